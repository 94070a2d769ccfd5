package org.splitring.driverdomain;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.DiskImages;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.ImageListener;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.VbdHost;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.xen.XenDevices;
import org.splitring.hypervisor.xen.XenDriverDomain;
import org.splitring.hypervisor.xen.XenUnavailableException;
import org.splitring.netback.VifPlace;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.device.EveryGuest;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.device.NoteFolder;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreWireClient;

/// The backends of a domain under Xen, for every guest that xl gives devices of it to.
///
/// What is opened is closed in the opposite order, whether the start fails half-way or all is
/// stopped.
final class XenBackends implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(XenBackends.class);
    private static final int DISK_WORKERS = 4;

    /// Choices of whoever starts it.
    ///
    /// @param folders name of each folder below `backend`, and the class of the devices in it
    /// @param uplinks switches, and the bridge of Linux's that each reaches
    /// @param backing where images may have backing files, besides their own folders
    /// @param stateDir has the notes of what was begun for guests
    record Choices(
            XenStoreWay store,
            Map<String, String> folders,
            Map<String, String> uplinks,
            int mtu,
            LabNetwork.Antispoof antispoof,
            int loops,
            List<Path> backing,
            Path stateDir) {
        Choices {
            folders = Map.copyOf(folders);
            uplinks = Map.copyOf(uplinks);
            backing = List.copyOf(backing);
        }
    }

    private final Deque<AutoCloseable> open = new ArrayDeque<>();
    private DomId self = DomId.ZERO;

    private XenBackends() {}

    /// Finds out whether there is what cannot be done without.
    ///
    /// @throws CommandException that says what is missing, and what to do
    static void checkPlace(XenDevices devices) throws CommandException {
        try {
            devices.check();
        } catch (XenUnavailableException e) {
            throw new CommandException(String.valueOf(e.getMessage()), e);
        }
    }

    /// Starts to serve.
    ///
    /// @param onStoreLost runs when the store has gone away, once
    /// @throws CommandException when something that is needed is not there
    static XenBackends start(Choices choices, Runnable onStoreLost) throws CommandException {
        XenBackends started = new XenBackends();
        boolean complete = false;
        try {
            started.open(choices, onStoreLost);
            complete = true;
            return started;
        } catch (XenUnavailableException e) {
            throw new CommandException(String.valueOf(e.getMessage()), e);
        } catch (StoreException e) {
            throw new CommandException("xenstore: " + e.getMessage(), e);
        } finally {
            if (!complete) {
                started.close();
            }
        }
    }

    private void open(Choices choices, Runnable onStoreLost)
            throws CommandException, XenUnavailableException, StoreException {
        XenDevices devices = XenDevices.USUAL;
        NoteFolder notes = add(openNotes(choices.stateDir()));
        ExecutorService watches = add(Executors.newVirtualThreadPerTaskExecutor());
        NettyDeviceLoops loops = add(new NettyDeviceLoops("backend", choices.loops()));
        DiskWorkers workers = add(new DiskWorkers(DISK_WORKERS));
        StoreWireClient store = add(choices.store().connect(loops.next(), watches));
        store.onLost(onStoreLost);
        self = store.domain();
        sweep(notes, store);
        XenDriverDomain domain = XenDriverDomain.open(self, devices, DomainLimits.DEFAULT);
        XenSwitches switches = add(new XenSwitches(loops, choices.antispoof()));
        for (Map.Entry<String, String> uplink : choices.uplinks().entrySet()) {
            switches.addUplink(uplink.getKey(), uplink.getValue(), choices.mtu());
        }
        DiskImages images =
                new DiskImages(new ImageListener() {}, new BackingFolders(choices.backing()));
        MeterRegistry meters = new SimpleMeterRegistry();
        open.push(meters::close);
        DeviceClasses classes = add(DeviceClasses.find(Optional.empty()));
        HostServices services =
                HostServices.NONE
                        .with(VbdHost.class, new VbdHost(images, VbdBackendOptions.of(workers)))
                        .with(VifPlace.Finder.class, switches)
                        .with(DeviceNotes.class, notes);
        BackendOptions options =
                self.equals(DomId.ZERO)
                        ? BackendOptions.DEFAULT
                        : BackendOptions.DEFAULT.withFoldersRemoved();
        BackendHost host = new BackendHost(domain, store, loops::next, meters).with(services);
        EveryGuest guests = add(EveryGuest.serve(host, classes, choices.folders(), options));
        add(store.watch("@releaseDomain", path -> release(store, guests)));
    }

    private static NoteFolder openNotes(Path folder) throws CommandException {
        try {
            return NoteFolder.open(folder);
        } catch (IOException e) {
            throw new CommandException("--state-dir " + e.getMessage(), e);
        }
    }

    private void sweep(NoteFolder notes, StoreWireClient store) throws StoreException {
        try {
            notes.sweep(store, self);
        } catch (IOException e) {
            LOG.warn("notes of devices that are gone: {}", e.getMessage());
        }
    }

    private <T extends AutoCloseable> T add(T opened) {
        open.push(opened);
        return opened;
    }

    /// A domain has died: what is mapped of it would keep it as a zombie, also when nobody removes
    /// its devices from the store.
    private static void release(StoreWireClient store, EveryGuest guests) {
        try {
            for (DomId guest : guests.guests().join()) {
                if (!store.isIntroduced(guest)) {
                    guests.guestGone(guest);
                }
            }
        } catch (StoreException e) {
            LOG.debug("which domains are there: {}", e.getMessage());
        }
    }

    /// The domain that this is.
    DomId self() {
        return self;
    }

    @Override
    public void close() {
        while (!open.isEmpty()) {
            try {
                open.pop().close();
            } catch (Exception e) {
                LOG.warn("stopping: {}", e.getMessage());
            }
        }
    }
}
