package org.splitring.driverdomain;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.driverdomain.lab.VirtualDevice;
import org.splitring.driverdomain.nbd.NbdExport;
import org.splitring.driverdomain.nbd.NbdLimits;
import org.splitring.driverdomain.nbd.NbdServer;
import org.splitring.hypervisor.attached.AttachedGuest;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreWireClient;

/// What a `java` guest does: attaches, connects a frontend for each disk, and exports them over
/// NBD.
/// One loop serves the attach socket, the rings and the NBD clients.
final class GuestProgram implements AutoCloseable {
    /// Pages that grant table and rings need, generously.
    private static final int RESERVED_BYTES = 2 << 20;

    private static final int MAX_CLIENTS = 16;

    private final NettyDeviceLoops loops = new NettyDeviceLoops("guest", 1);
    private final NettyDeviceLoop loop = loops.next();
    private final ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
    private final int memoryMib;
    private final AttachedGuest guest;
    private final Store store;
    private final CountDownLatch end = new CountDownLatch(1);
    private final List<VbdFrontend> frontends = new ArrayList<>();
    private final List<NbdServer> servers = new ArrayList<>();

    /// Attaches.
    ///
    /// @throws IOException when the driver domain refuses: the message says why
    GuestProgram(Path attachSocket, int memoryMib) throws IOException {
        this.memoryMib = memoryMib;
        try {
            guest =
                    AttachedGuest.attach(
                            attachSocket, (long) memoryMib << 20, loop, end::countDown);
        } catch (IOException e) {
            loops.close();
            throw e;
        }
        try {
            store = StoreWireClient.open(guest.storeFd(), guest.id(), loop.eventLoop(), watches);
        } catch (IOException e) {
            guest.close();
            loops.close();
            throw e;
        }
    }

    /// Connects the disks, and offers each on its own socket and all of them on the port.
    void export(List<VirtualDevice> disks, Path sockets, @Nullable Integer tcpPort)
            throws IOException {
        if (disks.isEmpty()) {
            return;
        }
        long perDisk = (((long) memoryMib << 20) - RESERVED_BYTES) * 3 / 4 / disks.size();
        int clients = Math.clamp(perDisk / NbdServer.BYTES_PER_CLIENT, 1, MAX_CLIENTS);
        NbdLimits limits =
                new NbdLimits(
                        clients,
                        NbdLimits.DEFAULT.handshakeNanos(),
                        NbdLimits.DEFAULT.stallNanos());
        List<NbdExport> exports = new ArrayList<>();
        for (VirtualDevice device : disks) {
            VbdFrontend frontend =
                    VbdFrontend.connect(
                            guest,
                            store,
                            device.number(),
                            loop,
                            VbdFrontendOptions.DEFAULT.withBufferBytes(
                                    clients * NbdServer.BYTES_PER_CLIENT));
            frontends.add(frontend);
            NbdExport export = new NbdExport(device.name(), "", new VbdDisk(frontend));
            exports.add(export);
            NbdServer server = new NbdServer(loop.eventLoop(), List.of(export), limits);
            servers.add(server);
            server.listen(sockets.resolve(device.name() + ".nbd"));
        }
        if (tcpPort != null) {
            NbdServer server = new NbdServer(loop.eventLoop(), exports, limits);
            servers.add(server);
            server.listenOnLoopback(tcpPort);
        }
    }

    /// Waits until `input` ends or the driver domain is gone.
    void awaitEnd(InputStream input) throws InterruptedException {
        Thread.ofPlatform()
                .daemon()
                .name("input")
                .start(
                        () -> {
                            try {
                                while (input.read() >= 0) {
                                    // Nothing is said here: only the end counts.
                                }
                            } catch (IOException e) {
                                // The same.
                            }
                            end.countDown();
                        });
        end.await();
    }

    /// Clients first, so that everything they were promised is on the ring; then the devices.
    @Override
    public void close() {
        servers.forEach(NbdServer::close);
        frontends.forEach(VbdFrontend::close);
        store.close();
        guest.close();
        loops.close();
        watches.close();
    }
}
