package org.splitring.driverdomain;

import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.DiskImages;
import org.splitring.blkback.ImageListener;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.VbdHost;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.lab.DeviceSpec;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDevice;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.netback.VifPlace;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// The drivers of a running lab, and the devices that its guests have from them.
final class LabDrivers implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LabDrivers.class);

    private final DeviceClasses classes;
    private final Store control;
    private final DeviceNodes nodes;
    private final MeterRegistry meters;
    private final DiskImages images;
    private final HostServices services;
    private final Map<DomId, String> domains = new ConcurrentHashMap<>();

    private LabDrivers(
            DeviceClasses classes,
            Store control,
            BackingFolders folders,
            VbdBackendOptions disks,
            LabNetworks networks,
            MeterRegistry meters) {
        this.meters = meters;
        this.classes = classes;
        this.control = control;
        images = new DiskImages(new NotedImages(), folders);
        nodes = new DeviceNodes(control);
        services =
                HostServices.NONE
                        .with(VbdHost.class, new VbdHost(images, disks))
                        .with(VifPlace.Finder.class, networks);
    }

    /// Notes in the store which images are open.
    private final class NotedImages implements ImageListener {
        @Override
        public String name(DevicePaths vbd) {
            String domain =
                    domains.getOrDefault(vbd.frontendDomain(), vbd.frontendDomain().toString());
            try {
                return "vbd/" + nodes.diskName(vbd) + " of domain " + domain;
            } catch (StoreException e) {
                return vbd.backend();
            }
        }

        @Override
        public void opened(DevicePaths vbd, DiskSource image) {
            try {
                nodes.imageOpened(vbd, image.name());
            } catch (StoreException e) {
                LOG.warn("image {}: cannot be noted as open: {}", image.name(), e.getMessage());
            }
        }

        @Override
        public void closed(DevicePaths vbd, DiskSource image) {
            try {
                nodes.imageClosed(vbd, image.name());
            } catch (StoreException e) {
                LOG.warn("image {}: cannot be noted as closed: {}", image.name(), e.getMessage());
            }
        }
    }

    /// Finds the drivers, and says in the store what there is.
    ///
    /// @param disks options of the backends of disks
    /// @param networks where vifs are plugged in
    /// @param meters where devices count
    /// @param news takes a line for each plug-in that cannot be used
    static LabDrivers find(
            Lab lab,
            Optional<Path> plugins,
            Store control,
            VbdBackendOptions disks,
            LabNetworks networks,
            MeterRegistry meters,
            Consumer<String> news)
            throws CommandException {
        DeviceNodes nodes = new DeviceNodes(control);
        try {
            Path folder =
                    plugins.or(() -> earlier(nodes))
                            .orElse(lab.file().toAbsolutePath().resolveSibling("plugins"))
                            .toAbsolutePath()
                            .normalize();
            LabDrivers drivers =
                    new LabDrivers(
                            DeviceClasses.find(Optional.of(folder)),
                            control,
                            new BackingFolders(lab.backingFolders()),
                            disks,
                            networks,
                            meters);
            drivers.classes.problems().forEach(news);
            nodes.publishPlugins(folder);
            nodes.publishClasses(drivers.classes);
            nodes.beginImages();
            return drivers;
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    private static Optional<Path> earlier(DeviceNodes nodes) {
        try {
            return nodes.plugins();
        } catch (StoreException e) {
            return Optional.empty();
        }
    }

    /// The images of disks that are open.
    DiskImages images() {
        return images;
    }

    /// Notes the disks and devices that the lab file gives to a domain, and the console that each
    /// has, unless they were noted by an earlier driver domain of this lab.
    ///
    /// @param runDir where console and log are
    /// @throws CommandException with the place of a device that there cannot be
    void plan(LabDomain domain, DomId guest, Path runDir) throws CommandException {
        domains.put(guest, domain.name());
        try {
            if (nodes.knows(guest)) {
                refreshVifs(domain, guest);
                return;
            }
            nodes.begin(guest);
            nodes.remember(console(domain, guest, runDir));
            for (LabDisk disk : domain.disks()) {
                nodes.remember(DeviceNodes.disk(guest, disk));
            }
            for (LabVif vif : domain.vifs()) {
                nodes.remember(DeviceNodes.vif(guest, vif));
            }
            for (LabDevice device : domain.devices()) {
                try {
                    nodes.remember(
                            nodes.plan(
                                    guest,
                                    new DeviceSpec(device.deviceClass(), device.parameters())));
                } catch (CommandException e) {
                    throw new CommandException(device.place() + ": " + e.getMessage(), e);
                }
            }
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    /// The guest has kept its interfaces; what the lab file says of their rates and VLANs may be
    /// new.
    private void refreshVifs(LabDomain domain, DomId guest) throws StoreException {
        for (LabVif vif : domain.vifs()) {
            DeviceNodes.Attached now = DeviceNodes.vif(guest, vif);
            if (nodes.knows(now.paths())) {
                nodes.forget(now.paths());
                nodes.remember(now);
            }
        }
    }

    private static DeviceNodes.Attached console(LabDomain domain, DomId guest, Path runDir) {
        return new DeviceNodes.Attached(
                new DevicePaths("console", guest, DomId.ZERO, 0),
                Map.of(),
                Map.of(
                        "socket", RunDirectory.consoleSocket(runDir, domain.name()).toString(),
                        "log", RunDirectory.consoleLog(runDir, domain.name()).toString()));
    }

    /// Serves a guest's devices as long as it is attached.
    BackendBus serve(DriverDomain domain, DomId guest, Supplier<? extends DeviceLoop> loops)
            throws StoreException {
        return BackendBus.open(
                new BackendHost(domain, control, loops, meters).with(services),
                guest,
                classes,
                BackendOptions.DEFAULT);
    }

    /// Makes the devices that a guest has had before, or shall have.
    void createDevices(Toolstack toolstack, DomId guest) throws StoreException {
        for (DeviceNodes.Attached device : nodes.remembered(guest)) {
            toolstack.createDevice(device.paths(), device.frontend(), device.backend());
        }
    }

    /// Removes them when the guest is gone.
    void removeDevices(Toolstack toolstack, DomId guest) {
        try {
            for (DeviceNodes.Attached device : nodes.remembered(guest)) {
                toolstack.removeDevice(device.paths());
            }
        } catch (StoreException e) {
            LOG.warn("guest {}: its devices are still in the store: {}", guest, e.getMessage());
        }
    }

    @Override
    public void close() {
        classes.close();
    }
}
