package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreWireClient;

/// A command's connection to the store of a running lab, with the rights of domain 0.
final class RunningStore implements AutoCloseable {
    private final NettyDeviceLoops loops = new NettyDeviceLoops("store", 1, 0);
    private final ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
    private final Store store;

    private RunningStore(Path runDir) throws IOException {
        boolean connected = false;
        try {
            store =
                    StoreWireClient.connect(
                            RunDirectory.storeSocket(runDir), loops.next().eventLoop(), watches);
            connected = true;
        } finally {
            if (!connected) {
                loops.close();
                watches.close();
            }
        }
    }

    static RunningStore connect(Path runDir) throws CommandException {
        try {
            return new RunningStore(runDir);
        } catch (IOException e) {
            throw new CommandException(
                    "nothing runs in run directory "
                            + runDir
                            + "; start a lab there with: ./splitring up LAB.toml --run-dir "
                            + runDir,
                    e);
        }
    }

    Store store() {
        return store;
    }

    @Override
    public void close() {
        store.close();
        loops.close();
        watches.close();
    }
}
