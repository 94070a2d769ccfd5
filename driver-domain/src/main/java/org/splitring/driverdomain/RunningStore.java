package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
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

    /// The domain of a guest that is attached now.
    DomId domain(String name) throws CommandException, StoreException {
        List<String> names = new ArrayList<>();
        for (String domid : store.list("/local/domain")) {
            String found = store.read("/local/domain/" + domid + "/name").orElse("");
            if (found.equals(name) && domid.matches("[0-9]{1,5}")) {
                return new DomId(Integer.parseInt(domid));
            }
            if (!found.isEmpty()) {
                names.add(found);
            }
        }
        throw new CommandException(
                "no domain \"" + name + "\" runs; there are " + String.join(", ", names));
    }

    /// What a domain is called; its number when it is not attached.
    String name(DomId domain) throws StoreException {
        return store.read("/local/domain/" + domain + "/name").orElse(domain.toString());
    }

    @Override
    public void close() {
        store.close();
        loops.close();
        watches.close();
    }
}
