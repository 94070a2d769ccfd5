package org.splitring.netback;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// Guests on a network with real time and loops that the test drives.
final class SpinLab implements AutoCloseable {
    final DeviceLoop netLoop;
    final DeviceLoop frontLoop;
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final StoreTree tree = new StoreTree();
    private final ExecutorService control = Executors.newVirtualThreadPerTaskExecutor();
    private final Store store = tree.connection(DomId.ZERO, control);
    private final Toolstack toolstack = new Toolstack(store);
    private final List<Runnable> closeables = new ArrayList<>();
    final VirtualNetwork network;

    SpinLab(DeviceLoop netLoop, DeviceLoop frontLoop) {
        this.netLoop = netLoop;
        this.frontLoop = frontLoop;
        network =
                new VirtualNetwork(
                        "lab",
                        netLoop,
                        netLoop::nanoTime,
                        new LearningSwitch(SwitchSettings.DEFAULT));
    }

    /// A guest whose vif begins to connect.
    VifFrontend guest(int domid, VifUser user, VifFrontendOptions options) throws Exception {
        return guest(domid, VifFrontend.create(frontLoop, user, options));
    }

    VifFrontend guest(int domid, VifFrontend vif) throws Exception {
        DomId id = new DomId(domid);
        tree.introduce(id);
        toolstack.createDomain(id, "guest" + domid);
        GuestDomain domain = hypervisor.createGuest(id, 8 << 20, DomainLimits.DEFAULT);
        DeviceClasses classes =
                DeviceClasses.of(
                        new VifBackendDriver(
                                context ->
                                        new VifPlace(
                                                network,
                                                netLoop,
                                                PortSettings.of("vif" + domid + ".0"),
                                                1500),
                                VifBackendOptions.DEFAULT),
                        new VifFrontendDriver((context, o) -> vif, VifFrontendOptions.DEFAULT));
        toolstack.createDevice(
                new DevicePaths("vif", id, DomId.ZERO, 0), Map.of("mac", ""), Map.of());
        BackendBus backends =
                BackendBus.open(
                        new BackendHost(
                                hypervisor.driverDomain(DomId.ZERO),
                                store,
                                () -> netLoop,
                                new SimpleMeterRegistry()),
                        id,
                        classes,
                        BackendOptions.DEFAULT);
        FrontendBus.open(
                        new FrontendHost(
                                () -> frontLoop, Path.of("none"), new SimpleMeterRegistry()),
                        domain,
                        tree.connection(id, control),
                        classes,
                        FrontendOptions.DEFAULT)
                .join();
        closeables.add(
                () -> {
                    var ignored = backends.guestGone(); // the loops end with the test
                });
        return vif;
    }

    @Override
    public void close() {
        closeables.forEach(Runnable::run);
        store.close();
        control.shutdown();
    }
}
