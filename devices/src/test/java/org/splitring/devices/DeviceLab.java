package org.splitring.devices;

import static org.awaitility.Awaitility.await;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// One guest and one driver domain in this JVM, with the drivers that the class path has: devices
/// are plugged in by writing them into the store.
public final class DeviceLab implements AutoCloseable {
    public static final DomId GUEST = new DomId(3);

    public final LocalHypervisor hypervisor = new LocalHypervisor();
    public final GuestDomain guest = hypervisor.createGuest(GUEST, 8 << 20, DomainLimits.DEFAULT);
    public final NettyDeviceLoops loops = new NettyDeviceLoops("lab", 2, 0);
    public final Store control;
    public final Store guestStore;
    public final Toolstack toolstack;
    private final StoreTree tree = new StoreTree();
    private final DeviceClasses classes = DeviceClasses.find(Optional.empty());
    private final BackendHost backendHost;
    private BackendBus backends;
    private final Path sockets;
    private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    private @Nullable FrontendBus frontends;
    private final int freePages = guest.pages().freeCount();

    /// Without frontends: the guest is a test.
    ///
    /// @param sockets folder for the sockets of the guest
    public DeviceLab(Path sockets) throws Exception {
        this.sockets = sockets;
        control = tree.connection(DomId.ZERO, DeviceEnd.VIRTUAL_THREADS);
        toolstack = new Toolstack(control);
        tree.introduce(GUEST);
        toolstack.createDomain(GUEST, "guest");
        guestStore = tree.connection(GUEST, DeviceEnd.VIRTUAL_THREADS);
        backendHost =
                new BackendHost(hypervisor.driverDomain(DomId.ZERO), control, loops::next, meters);
        backends = openBackends();
    }

    /// With the frontends of the class path.
    public static DeviceLab withFrontends(Path sockets) throws Exception {
        DeviceLab lab = new DeviceLab(sockets);
        lab.frontends =
                FrontendBus.open(
                                new FrontendHost(lab.loops::next, lab.sockets, lab.meters),
                                lab.guest,
                                lab.guestStore,
                                lab.classes,
                                FrontendOptions.DEFAULT)
                        .get(10, TimeUnit.SECONDS);
        return lab;
    }

    private BackendBus openBackends() throws StoreException {
        return BackendBus.open(backendHost, GUEST, classes, BackendOptions.DEFAULT);
    }

    public static DevicePaths paths(String deviceClass, int device) {
        return new DevicePaths(deviceClass, GUEST, DomId.ZERO, device);
    }

    /// Plugs a device in, and waits until both halves are connected.
    public void attach(DevicePaths paths, Map<String, String> front, Map<String, String> back)
            throws Exception {
        toolstack.createDevice(paths, front, back);
        awaitConnected(paths);
    }

    public void awaitConnected(DevicePaths paths) {
        await().atMost(10, TimeUnit.SECONDS)
                .until(
                        () ->
                                state(paths.frontend()) == XenbusState.CONNECTED
                                        && state(paths.backend()) == XenbusState.CONNECTED);
    }

    public XenbusState state(String folder) throws StoreException {
        return XenbusState.parse(control.read(folder + "/state").orElse(""));
    }

    /// Closes all backends in order, and makes new ones: frontends reconnect.
    public void replaceBackends() throws StoreException {
        backends.close();
        backends = openBackends();
    }

    /// Unplugs a device, and waits until both halves have let go.
    public void detach(DevicePaths paths) throws Exception {
        toolstack.unplug(paths);
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> state(paths.backend()) == XenbusState.CLOSED);
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> state(paths.frontend()) == XenbusState.CLOSED);
        toolstack.removeDevice(paths);
    }

    /// Waits until every page that the guest had granted is its own again.
    public void awaitNothingGranted() {
        await().atMost(10, TimeUnit.SECONDS)
                .until(
                        () -> {
                            guest.grants().retryQuarantined();
                            return guest.pages().freeCount() == freePages;
                        });
    }

    @Override
    public void close() {
        if (frontends != null) {
            frontends.close();
        }
        backends.close();
        guestStore.close();
        control.close();
        guest.close();
        classes.close();
        loops.close();
    }
}
