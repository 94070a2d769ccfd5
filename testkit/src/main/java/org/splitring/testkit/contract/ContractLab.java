package org.splitring.testkit.contract;

import io.netty.channel.Channel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.AttachSocket;
import org.splitring.hypervisor.attached.AttachedGuest;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.GuestListener;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireClient;
import org.splitring.xenbus.store.StoreWireServer;

/// A driver domain, a store and guests, on one of the platforms, all in this process.
final class ContractLab implements AutoCloseable {
    static final long MEMORY_BYTES = 64L << 20;

    final ContractPlatform platform;
    final NettyDeviceLoops backLoops = new NettyDeviceLoops("contract-back", 2, 0);
    final NettyDeviceLoops frontLoops = new NettyDeviceLoops("contract-front", 2, 0);
    final StoreTree tree = new StoreTree();
    final ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
    final Store control = tree.connection(DomId.ZERO, watches);
    final Toolstack toolstack = new Toolstack(control);
    final Path folder;
    final Path files; // what the device itself keeps
    private final @Nullable LocalHypervisor hypervisor;
    private final @Nullable AttachServer server;
    private final Deque<Runnable> closeables = new ArrayDeque<>();
    private final List<ContractGuest> guests = new ArrayList<>();

    ContractLab(ContractPlatform platform) throws IOException {
        this.platform = platform;
        folder = Files.createTempDirectory("contract");
        files = Files.createDirectory(folder.resolve("files"));
        boolean local = platform == ContractPlatform.LOCAL;
        hypervisor = local ? new LocalHypervisor() : null;
        server = local ? null : new AttachServer(DomId.ZERO, backLoops.next());
    }

    /// Brings a guest up, without buses.
    ContractGuest guest(int domid) throws IOException, StoreException {
        DomId id = new DomId(domid);
        tree.introduce(id);
        toolstack.createDomain(id, "guest" + domid);
        ContractGuest guest;
        LocalHypervisor local = hypervisor;
        if (local != null) {
            LocalGuestDomain domain = local.createGuest(id, MEMORY_BYTES, DomainLimits.DEFAULT);
            Store store = tree.connection(id, watches);
            closeables.push(domain::close);
            closeables.push(store::close);
            guest =
                    new ContractGuest(
                            this, domain, local.driverDomain(DomId.ZERO), store, null, folder);
        } else {
            guest = attach(id);
        }
        guests.add(guest);
        return guest;
    }

    private ContractGuest attach(DomId id) throws IOException {
        CompletableFuture<AttachedPeer> peer = new CompletableFuture<>();
        AttachSocket socket =
                listen(
                        id,
                        new GuestListener() {
                            @Override
                            public void attached(AttachedPeer arrived) {
                                peer.complete(arrived);
                            }

                            @Override
                            public void detached(AttachedPeer gone) {
                                // This process is both: its devices are closed before.
                            }
                        });
        closeables.push(socket::close);
        AttachedGuest domain =
                AttachedGuest.attach(socket.path(), MEMORY_BYTES, frontLoops.next(), () -> {});
        closeables.push(domain::close);
        AttachedPeer arrived = Bounded.get("guest attaches", peer);
        Channel serving =
                new StoreWireServer(tree)
                        .serve(arrived.storeFd(), id, backLoops.next().eventLoop());
        closeables.push(() -> serving.close().awaitUninterruptibly());
        Store store =
                StoreWireClient.open(domain.storeFd(), id, frontLoops.next().eventLoop(), watches);
        closeables.push(store::close);
        return new ContractGuest(this, domain, arrived.driverDomain(), store, arrived, folder);
    }

    /// Lets a guest attach; the caller closes the socket.
    AttachSocket listen(DomId id, GuestListener listener) throws IOException {
        AttachServer attachServer = server;
        if (attachServer == null) {
            throw new IllegalStateException("not attached");
        }
        return attachServer.listen(
                folder.resolve("attach" + id), id, DomainLimits.DEFAULT, listener);
    }

    /// Another connection to the store for a guest: on the local platform only, where that needs no
    /// new attachment.
    Store reconnect(ContractGuest guest) {
        Store store = tree.connection(guest.id, watches);
        closeables.push(store::close);
        return store;
    }

    int mappedLocally() {
        LocalHypervisor local = hypervisor;
        return local == null ? 0 : local.mappedTotal();
    }

    DevicePaths paths(ContractGuest guest, String deviceClass, int device) {
        return new DevicePaths(deviceClass, guest.id, DomId.ZERO, device);
    }

    void create(DevicePaths paths, Map<String, String> frontend, Map<String, String> backend)
            throws StoreException {
        toolstack.createDevice(paths, frontend, backend);
    }

    String state(String deviceFolder) throws StoreException {
        return control.read(deviceFolder + "/state").orElse("");
    }

    /// What stands in the error node of a backend.
    String error(DevicePaths paths) {
        try {
            return control.read(paths.backendError()).orElse("no error node");
        } catch (StoreException e) {
            return e.toString();
        }
    }

    void awaitState(String deviceFolder, String wanted) {
        Bounded.until(
                () -> deviceFolder + " comes to state " + wanted + ", it is " + seen(deviceFolder),
                () -> state(deviceFolder).equals(wanted));
    }

    private String seen(String deviceFolder) {
        try {
            return state(deviceFolder);
        } catch (StoreException e) {
            return e.toString();
        }
    }

    /// Unplugs in an orderly way, and takes the folders away.
    void detach(DevicePaths paths) {
        try {
            toolstack.detach(paths, Bounded.patience);
        } catch (Exception e) {
            throw new AssertionError("detach " + paths.backend() + ": " + e.getMessage(), e);
        }
    }

    /// Closes the buses, and checks that devices have left nothing behind.
    void closeBuses() {
        for (ContractGuest guest : guests) {
            guest.closeFrontends();
            guest.closeBackends();
        }
        for (ContractGuest guest : guests) {
            Bounded.until(
                    () -> "guest " + guest.id + " leaks " + guest.held(),
                    () -> guest.held().isEmpty());
        }
    }

    @Override
    public void close() throws IOException {
        while (!closeables.isEmpty()) {
            closeables.pop().run();
        }
        if (server != null) {
            server.close();
        }
        control.close();
        watches.close();
        frontLoops.close();
        backLoops.close();
        delete(folder);
    }

    /// Deletes a folder with everything in it.
    static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }
}
