package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.DiskException;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.AttachSocket;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.GuestListener;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.RingViews;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.Watch;

/// One domain of a running lab, as the driver domain sees it: its disks, its attach socket, and
/// while a guest is attached the backends that serve it.
///
/// The images stay open and locked whether a guest is there or not. A guest comes and goes as
/// often as it likes; what it does to the store is done one after the other on a thread of its
/// own, never on the loop that serves the attach sockets.
final class LabGuest implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LabGuest.class);

    /// Classes of devices without which a guest cannot go on.
    private static final List<String> AWAITED = List.of("vbd", "vif");

    private final LabDomain domain;
    private final DomId domid;
    private final StoreTree tree;
    private final Store control;
    private final Toolstack toolstack;
    private final NettyDeviceLoops loops;
    private final LabDrivers drivers;
    private final Consumer<String> news;
    private final HeldDisks disks;
    private final Suspension suspension;
    private final ExecutorService controlPlane;
    private @Nullable AttachSocket socket;
    private volatile @Nullable BackendBus backends; // while a guest is attached; control plane
    private volatile boolean known; // its nodes in the store are still those of this guest
    private volatile @Nullable GuestStore store; // of the guest that is attached; control plane

    /// @param news takes lines for people
    LabGuest(
            LabDomain domain,
            DomId domid,
            StoreTree tree,
            Store control,
            NettyDeviceLoops loops,
            LabDrivers drivers,
            Consumer<String> news) {
        this.domain = domain;
        this.domid = domid;
        this.tree = tree;
        this.control = control;
        this.toolstack = new Toolstack(control);
        this.loops = loops;
        this.drivers = drivers;
        this.news = news;
        disks = new HeldDisks(domain, domid, control, drivers.images(), news);
        suspension = new Suspension(control, domain.name(), domid);
        controlPlane =
                Executors.newSingleThreadExecutor(
                        Thread.ofVirtual().name("control of " + domain.name()).factory());
    }

    LabDomain domain() {
        return domain;
    }

    DomId domid() {
        return domid;
    }

    /// Whether a guest is there.
    boolean isAttached() {
        return store != null;
    }

    /// Where the rings of its devices stand; nothing while no guest is attached. Any thread.
    Map<DevicePaths, CompletableFuture<RingViews>> rings() {
        BackendBus bus = backends;
        return bus == null ? Map.of() : bus.rings();
    }

    /// Whether its devices stand still.
    Suspension suspension() {
        return suspension;
    }

    /// The disks of now, also those that were attached.
    List<HeldDisks.Disk> disks() {
        return disks.disks();
    }

    /// Opens and locks every image.
    void openImages() throws CommandException {
        disks.open();
    }

    /// Takes out of a store of an earlier driver domain what belongs to its time: the devices,
    /// and everything of a guest that has not outlived it.
    ///
    /// @param living whether the guest lives, and will attach again
    void clearStore(boolean living) throws CommandException {
        known = living;
        try {
            for (Toolstack.DeviceStatus device : toolstack.devices(DomId.ZERO)) {
                if (device.paths().frontendDomain().equals(domid)) {
                    toolstack.removeDevice(device.paths());
                }
            }
            if (!living) {
                new DeviceNodes(control).forget(domid);
            }
        } catch (StoreException e) {
            throw new CommandException("domain " + domain.name() + ": store: " + e, e);
        }
        if (!living) {
            suspension.forget();
            tree.release(domid);
        }
    }

    /// Lets a guest attach.
    void listen(AttachServer server, Path runDir) throws CommandException {
        Path path = RunDirectory.attachSocket(runDir, domain.name());
        try {
            Files.createDirectories(RunDirectory.domain(runDir, domain.name()));
            socket =
                    server.listen(
                            path,
                            domid,
                            "domain " + domain.name(),
                            DomainLimits.DEFAULT,
                            new GuestListener() {
                                @Override
                                public void attached(AttachedPeer peer) {
                                    controlPlane.execute(() -> connect(peer));
                                }

                                @Override
                                public void detached(AttachedPeer peer) {
                                    controlPlane.execute(LabGuest.this::disconnect);
                                }
                            });
        } catch (IOException e) {
            throw new CommandException("cannot listen on " + path + ": " + e.getMessage(), e);
        }
    }

    private void connect(AttachedPeer peer) {
        try {
            tree.introduce(domid);
            if (!known) {
                toolstack.createDomain(domid, domain.name());
            }
            known = false;
            backends = drivers.serve(peer.driverDomain(), domid, loops::next);
            drivers.createDevices(toolstack, domid);
            store = GuestStore.serve(tree, peer, loops.next());
        } catch (StoreException | IOException | RuntimeException e) {
            LOG.error("domain {}: its devices cannot be made", domain.name(), e);
            news.accept("domain " + domain.name() + ": its devices cannot be made: " + e);
        }
    }

    private void disconnect() {
        GuestStore ending = store;
        store = null;
        if (ending != null) {
            ending.close();
        }
        BackendBus bus = backends;
        backends = null;
        if (bus != null) {
            bus.guestGone().join(); // without a bound: nothing of the guest stays mapped
            suspension.forget();
            drivers.removeDevices(toolstack, domid);
        }
        tree.release(domid);
    }

    /// Tells the guest to end, as Xen's toolstack does.
    ///
    /// @return `false` when there is nobody to be told
    boolean powerOff() {
        if (store == null) {
            return false;
        }
        try {
            control.write(DevicePaths.domain(domid) + "/control/shutdown", "poweroff");
            return true;
        } catch (StoreException e) {
            LOG.warn("domain {}: cannot be told to end: {}", domain.name(), e.getMessage());
            return false;
        }
    }

    /// Waits until both ends of every disk and every vif are connected.
    ///
    /// @param deadlineNanos on the clock of [System#nanoTime]
    boolean awaitConnected(long deadlineNanos) throws InterruptedException {
        Semaphore changes = new Semaphore(0);
        List<Watch> watches = new ArrayList<>();
        try {
            for (String type : AWAITED) {
                String frontends = DevicePaths.domain(domid) + "/device/" + type;
                String folder = DevicePaths.domain(DomId.ZERO) + "/backend/" + type + "/" + domid;
                watches.add(control.watch(frontends, path -> changes.release()));
                watches.add(control.watch(folder, path -> changes.release()));
            }
            while (true) {
                changes.drainPermits();
                if (areConnected()) {
                    return true;
                }
                long left = deadlineNanos - System.nanoTime();
                if (!changes.tryAcquire(left, TimeUnit.NANOSECONDS)) {
                    return false;
                }
            }
        } catch (StoreException e) {
            LOG.warn("domain {}: store: {}", domain.name(), e.getMessage());
            return false;
        } finally {
            watches.forEach(Watch::close);
        }
    }

    private boolean areConnected() throws StoreException {
        List<DevicePaths> devices = new ArrayList<>();
        for (String type : AWAITED) {
            for (DeviceNodes.Attached device : new DeviceNodes(control).remembered(domid, type)) {
                devices.add(device.paths());
            }
        }
        for (DevicePaths device : devices) {
            for (String folder : List.of(device.frontend(), device.backend())) {
                XenbusState state = XenbusState.parse(control.read(folder + "/state").orElse(""));
                if (state != XenbusState.CONNECTED) {
                    return false;
                }
            }
        }
        return true;
    }

    /// Ends the guest's attachment if there is one, and closes the images: everything written is
    /// on stable storage when this returns.
    @Override
    public void close() throws DiskException {
        AttachSocket listening = socket;
        if (listening != null) {
            listening.close();
        }
        controlPlane.close(); // after what is queued, which is the guest's disconnection
        disks.close();
    }
}
