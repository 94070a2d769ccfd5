package org.splitring.blkback;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.store.Permission;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// One guest, one driver domain and a store in this JVM, two loops, and what a toolstack does.
final class VbdLab implements AutoCloseable {
    static final DomId GUEST = new DomId(1);
    static final int XVDA = 51712;
    static final int MIB = 1 << 20;

    final LocalHypervisor hypervisor = new LocalHypervisor();
    final StoreTree tree = new StoreTree();
    final ThreadLoop frontLoop = new ThreadLoop("front");
    final ThreadLoop backLoop = new ThreadLoop("back");
    final DiskWorkers workers = new DiskWorkers(2);
    final GuestDomain guest;
    final DriverDomain driver;
    final ExecutorService watches =
            Executors.newThreadPerTaskExecutor(Thread.ofVirtual().factory());
    final Store toolstack;
    final Store guestStore;
    final DevicePaths paths = DevicePaths.vbd(GUEST, DomId.ZERO, XVDA);

    VbdLab() {
        this(64 * MIB, DomainLimits.DEFAULT);
    }

    VbdLab(long memoryBytes, DomainLimits limits) {
        guest = hypervisor.createGuest(GUEST, memoryBytes, limits);
        driver = hypervisor.driverDomain(DomId.ZERO);
        tree.introduce(GUEST);
        toolstack = tree.connection(DomId.ZERO, watches);
        guestStore = tree.connection(GUEST, watches);
        try {
            makeDevice(toolstack, paths);
        } catch (StoreException e) {
            throw new IllegalStateException(e);
        }
    }

    /// What `xl block-attach` writes.
    static void makeDevice(Store toolstack, DevicePaths paths) throws StoreException {
        String front = paths.frontend();
        String back = paths.backend();
        toolstack.write(front + "/backend", back);
        toolstack.write(front + "/backend-id", "0");
        toolstack.write(front + "/virtual-device", Integer.toString(XVDA));
        toolstack.write(front + "/state", "1");
        toolstack.write(back + "/frontend", front);
        toolstack.write(back + "/frontend-id", GUEST.toString());
        toolstack.write(back + "/online", "1");
        toolstack.write(back + "/mode", "w");
        toolstack.write(back + "/state", "1");
        List<Permission> guests =
                List.of(
                        Permission.parse("n" + GUEST).orElseThrow(),
                        Permission.parse("r0").orElseThrow());
        List<Permission> backends =
                List.of(
                        Permission.parse("n0").orElseThrow(),
                        Permission.parse("r" + GUEST).orElseThrow());
        toolstack.setPermissions(front, guests);
        for (String node : toolstack.list(front)) {
            toolstack.setPermissions(front + "/" + node, guests);
        }
        toolstack.setPermissions(back, backends);
        for (String node : toolstack.list(back)) {
            toolstack.setPermissions(back + "/" + node, backends);
        }
    }

    ServedVbd backend(DiskImage disk) {
        return backend(disk, ServedVbd.LIFECYCLE);
    }

    ServedVbd backend(DiskImage disk, BackendOptions lifecycle) {
        return backend(disk, lifecycle, VbdFeatures.ALL);
    }

    ServedVbd backend(DiskImage disk, BackendOptions lifecycle, VbdFeatures features) {
        try {
            return ServedVbd.create(
                    driver,
                    toolstack,
                    GUEST,
                    XVDA,
                    disk,
                    backLoop,
                    VbdBackendOptions.of(workers).withFeatures(features),
                    lifecycle);
        } catch (StoreException e) {
            throw new IllegalStateException(e);
        }
    }

    ConnectedVbd frontend(VbdFrontendOptions options, FrontendOptions lifecycle)
            throws HandshakeException {
        return ConnectedVbd.connect(guest, guestStore, XVDA, frontLoop, options, lifecycle);
    }

    ConnectedVbd frontend(int ringPageOrder) throws HandshakeException {
        return frontend(
                VbdFrontendOptions.DEFAULT
                        .withRingPageOrder(ringPageOrder)
                        .withBufferBytes(4 * MIB),
                FrontendOptions.DEFAULT);
    }

    static int write(ConnectedVbd front, long offset, byte[] data) {
        return write(front.disk(), offset, data);
    }

    static int read(ConnectedVbd front, long offset, byte[] data) {
        return read(front.disk(), offset, data);
    }

    /// Writes and waits for the status.
    static int write(VbdFrontend front, long offset, byte[] data) {
        return transfer(
                front,
                data.length,
                buffer -> buffer.bytes().clear().put(data),
                (buffer, done) -> front.write(offset, buffer, data.length, done),
                buffer -> {});
    }

    /// Reads into `data` and waits for the status.
    static int read(VbdFrontend front, long offset, byte[] data) {
        return transfer(
                front,
                data.length,
                buffer -> {},
                (buffer, done) -> front.read(offset, buffer, data.length, done),
                buffer -> buffer.bytes().clear().get(data));
    }

    static int flush(ConnectedVbd front) {
        CompletableFuture<Integer> done = new CompletableFuture<>();
        front.loop().execute(() -> front.flush(done::complete));
        return done.orTimeout(20, TimeUnit.SECONDS).join();
    }

    static int discard(ConnectedVbd front, long offset, long sizeBytes) {
        CompletableFuture<Integer> done = new CompletableFuture<>();
        front.loop().execute(() -> front.disk().discard(offset, sizeBytes, done::complete));
        return done.orTimeout(20, TimeUnit.SECONDS).join();
    }

    private static int transfer(
            VbdFrontend front,
            int sizeBytes,
            Consumer<GuestBuffer> before,
            Start start,
            Consumer<GuestBuffer> after) {
        CompletableFuture<Integer> result = new CompletableFuture<>();
        front.loop()
                .execute(
                        () -> {
                            GuestBuffer buffer = front.acquire(sizeBytes);
                            if (buffer == null) {
                                result.completeExceptionally(new AssertionError("no buffer"));
                                return;
                            }
                            before.accept(buffer);
                            Completion done =
                                    status -> {
                                        after.accept(buffer);
                                        front.release(buffer);
                                        result.complete(status);
                                    };
                            start.start(buffer, done);
                        });
        return result.orTimeout(20, TimeUnit.SECONDS).join();
    }

    @FunctionalInterface
    private interface Start {
        void start(GuestBuffer buffer, Completion done);
    }

    /// Closes what is not a device; devices are closed before.
    @Override
    public void close() {
        guest.close();
        guestStore.close();
        toolstack.close();
        watches.shutdown();
        workers.close();
        frontLoop.close();
        backLoop.close();
    }
}
