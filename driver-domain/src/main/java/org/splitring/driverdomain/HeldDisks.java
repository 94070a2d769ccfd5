package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImages;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.MemoryDisks;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// The disks of a domain, with their images open and locked whether a guest is there or not: those
/// of the lab file and those that were attached since, as [DeviceNodes] remembers them.
final class HeldDisks implements AutoCloseable {
    private final LabDomain domain;
    private final DomId guest;
    private final DeviceNodes nodes;
    private final DiskImages images;
    private final Consumer<String> news;
    private final NavigableMap<Integer, Disk> disks = new ConcurrentSkipListMap<>();
    private @Nullable Watch watch; // guarded by this
    private boolean closed; // guarded by this

    /// A disk and its open image.
    ///
    /// @param name such as `xvda`
    record Disk(
            DevicePaths paths,
            String name,
            DiskSource image,
            DiskAccess access,
            DiskMode mode,
            DiskImages.Hold hold) {
        boolean readOnly() {
            return access == DiskAccess.READ_ONLY;
        }
    }

    /// @param news takes lines for people
    HeldDisks(
            LabDomain domain,
            DomId guest,
            Store control,
            DiskImages images,
            Consumer<String> news) {
        this.domain = domain;
        this.guest = guest;
        this.nodes = new DeviceNodes(control);
        this.images = images;
        this.news = news;
    }

    /// The disks of now, by their numbers. Any thread.
    List<Disk> disks() {
        return List.copyOf(disks.values());
    }

    /// Opens and locks every image, and follows what is attached and detached from now on.
    ///
    /// @throws CommandException for a disk of the lab file; one that was attached costs only itself
    synchronized void open() throws CommandException {
        try {
            for (DeviceNodes.Attached device : nodes.remembered(guest, "vbd")) {
                try {
                    hold(device);
                } catch (DiskException e) {
                    String place = labPlace(device.paths().device());
                    if (place != null) {
                        throw new CommandException(place + ": " + e.getMessage(), e);
                    }
                    sayLost(device, e);
                }
            }
            watch = nodes.watch(guest, "vbd", this::look);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    private @Nullable String labPlace(int device) {
        return domain.disks().stream()
                .filter(disk -> disk.device().number() == device)
                .map(LabDisk::place)
                .findFirst()
                .orElse(null);
    }

    private void hold(DeviceNodes.Attached device) throws DiskException {
        Map<String, String> keys = device.backend();
        DiskSource image = image(device);
        DiskAccess access = access(device);
        DiskMode mode = mode(device);
        DiskImages.Hold hold = images.hold(device.paths(), image, access, mode);
        String name = keys.getOrDefault("dev", "vbd" + device.paths().device());
        Disk disk = new Disk(device.paths(), name, image, access, mode, hold);
        disks.put(device.paths().device(), disk);
        if (mode == DiskMode.UNSAFE) {
            news.accept(
                    "domain %s: %s has cache=unsafe: what was flushed is lost when this machine crashes"
                            .formatted(domain.name(), name));
        }
    }

    private static DiskSource image(DeviceNodes.Attached device) throws DiskException {
        return DiskSource.parse(device.backend().getOrDefault("params", ""));
    }

    private static boolean isSame(Disk held, DeviceNodes.Attached device) {
        try {
            return held.image().equals(image(device))
                    && held.access() == access(device)
                    && held.mode() == mode(device);
        } catch (DiskException e) {
            return false; // holding it says why
        }
    }

    private static DiskMode mode(DeviceNodes.Attached device) throws DiskException {
        return DiskMode.parse(device.backend().getOrDefault("cache", DiskMode.WRITEBACK.label()));
    }

    private static DiskAccess access(DeviceNodes.Attached device) {
        return device.backend().getOrDefault("mode", "").equals("r")
                ? DiskAccess.READ_ONLY
                : DiskAccess.READ_WRITE;
    }

    private void sayLost(DeviceNodes.Attached device, Exception reason) {
        news.accept(
                "domain %s: %s: %s; attach it anew"
                        .formatted(domain.name(), DeviceNodes.name(device), reason.getMessage()));
    }

    /// Opens what has been attached, and closes what has been detached.
    private synchronized void look() {
        if (closed) {
            return;
        }
        try {
            List<DeviceNodes.Attached> wanted = nodes.remembered(guest, "vbd");
            Set<Integer> gone = new HashSet<>(disks.keySet());
            for (DeviceNodes.Attached device : wanted) {
                Disk held = disks.get(device.paths().device());
                if (held != null && isSame(held, device)) {
                    gone.remove(device.paths().device());
                }
            }
            for (int device : gone) {
                release(device);
            }
            for (DeviceNodes.Attached device : wanted) {
                if (!disks.containsKey(device.paths().device())) {
                    holdAttached(device);
                }
            }
        } catch (StoreException e) {
            news.accept("domain " + domain.name() + ": store: " + e.getMessage());
        }
    }

    private void holdAttached(DeviceNodes.Attached device) {
        try {
            hold(device);
        } catch (DiskException e) {
            sayLost(device, e);
        }
    }

    private void release(int device) {
        Disk disk = disks.remove(device);
        if (disk == null) {
            return;
        }
        try {
            disk.hold().close();
            if (MemoryDisks.isOne(disk.image())) {
                MadeImages.delete(Path.of(disk.image().name()));
            }
        } catch (DiskException e) {
            news.accept("domain " + domain.name() + ": " + disk.name() + ": " + e.getMessage());
        }
    }

    /// Closes the images: everything written is on stable storage when this returns.
    @Override
    public synchronized void close() throws DiskException {
        closed = true;
        Watch watching = watch;
        if (watching != null) {
            watching.close();
        }
        DiskException first = null;
        for (Disk disk : disks.values()) {
            try {
                disk.hold().close();
            } catch (DiskException e) {
                first = first == null ? e : first;
            }
        }
        disks.clear();
        if (first != null) {
            throw first;
        }
    }
}
