package org.splitring.blkback;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.NbdSource;
import org.splitring.wire.BlkifInfo;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceNotes;

/// Makes backends of vbds. Parameters, as xl's toolstack writes them into the backend's folder,
/// which the guest cannot change:
///
/// - `params`: path of the image, with its format before it unless that is raw:
///   `qcow2:/images/web.qcow2`; or an export of an NBD server ([NbdSource])
/// - `mode`: `w`, or `r` for a disk that is not changed
/// - `cache`: when a write is safe: `writeback`, `writethrough`, `unsafe` or `direct` ([DiskMode])
/// - `type`: `file`, or `qdisk` when there is a format; xl writes `phy` for what is raw
/// - `device-type`: `disk`, or `cdrom`, which is read-only and removable; `removable`: `1` for
///   other disks that the guest is to see as such
/// - `rate`: limits of bytes and operations a second ([DiskRate]), at any time
/// - `weight`: 1 to 1000, what the disk gets of storage beside others that want it at the same
///   time, 100 without it; at any time
/// - `pause`: see [VbdPausing]
/// - `resize`: a number of bytes, at any time: the image and the disk get this size while the guest
///   uses it, and `resize-status` says what has become of it
/// - `discard-enable`: `0` when the guest is not to be offered discard; otherwise it is, where the
///   image can do it
/// - `dev`: what the guest calls it, such as `xvda`; `bootable`: for the guest
public final class VbdBackendDriver implements BackendDriver {
    private static final Logger LOG = LoggerFactory.getLogger(VbdBackendDriver.class);
    private static final int OWN_WORKERS = 2;
    private static final int SERVER_WORKERS = 32; // requests under way to one NBD server

    private static final String CONNECTED = Integer.toString(XenbusState.CONNECTED.number());
    private static final int PREDECESSOR_LOOKS = 50;
    private static final long LOOK_MILLIS = 200;

    private final @Nullable DiskImage fixed;

    /// For the service loader.
    public VbdBackendDriver() {
        fixed = null;
    }

    /// Serves one disk, whatever `params` says.
    ///
    /// @param disk stays its owner's, who closes it after the last device; it cannot be paused
    public VbdBackendDriver(DiskImage disk) {
        fixed = disk;
    }

    @Override
    public String deviceClass() {
        return "vbd";
    }

    @Override
    public Set<String> parameters() {
        return Set.of(
                "params",
                "mode",
                "cache",
                "type",
                "dev",
                "device-type",
                "removable",
                "bootable",
                "discard-enable",
                "rate",
                "weight",
                "pause",
                "resize");
    }

    @Override
    public BackendHooks create(BackendContext context) throws DeviceException {
        oneOf(context, "type", List.of("file", "qdisk", "phy"));
        boolean cdrom = oneOf(context, "device-type", List.of("disk", "cdrom")).equals("cdrom");
        boolean removable = oneOf(context, "removable", List.of("0", "1")).equals("1");
        int kind =
                (cdrom ? BlkifInfo.CDROM | BlkifInfo.REMOVABLE : 0)
                        | (removable ? BlkifInfo.REMOVABLE : 0);
        DiskAccess access =
                oneOf(context, "mode", List.of("w", "r")).equals("r") || cdrom
                        ? DiskAccess.READ_ONLY
                        : DiskAccess.READ_WRITE;
        DiskMode mode = mode(context);
        boolean discard = oneOf(context, "discard-enable", List.of("1", "0")).equals("1");
        Optional<VbdHost> host = context.service(VbdHost.class);
        DiskImages.Hold hold = null;
        DiskImage disk = fixed;
        if (disk == null) {
            DiskImages images = host.map(VbdHost::images).orElseGet(DiskImages::new);
            hold = hold(context, images, access, mode);
            disk = hold.disk();
        }
        VbdBackendOptions options = host.map(VbdHost::options).orElseGet(() -> ownOptions(context));
        if (hold != null && image(context) instanceof NbdSource) {
            // Requests to a server that is gone wait for it: not on the threads of other disks.
            DiskWorkers workers = new DiskWorkers(SERVER_WORKERS, DiskEngine.THREADS);
            context.onEnd(workers);
            options = options.withWorkers(workers);
        }
        if (!discard) {
            options = options.withFeatures(options.features().withDiscard(false));
        }
        VbdBackend backend =
                new VbdBackend(
                        context.domain(),
                        context.paths(),
                        disk,
                        context.loop(),
                        options,
                        kind,
                        context.service(DeviceNotes.class).orElse(DeviceNotes.NONE));
        backend.countWith(context.meters());
        backend.watchDisk(failure -> context.note(VbdBackend.FAILURE, failure.toString()));
        backend.watchSize(context::republish);
        context.watch("rate", text -> backend.limit(rate(context, text)));
        context.watch("weight", text -> backend.weigh(weight(context, text)));
        if (hold != null) {
            context.watch("pause", new VbdPausing(context, backend, hold)::look);
        }
        context.watch("resize", new VbdResizing(context, disk)::look);
        return backend;
    }

    private static DiskImages.Hold hold(
            BackendContext context, DiskImages images, DiskAccess access, DiskMode mode)
            throws DeviceException {
        DiskSource image = image(context);
        boolean connected = context.parameter("state").equals(Optional.of(CONNECTED));
        for (int looks = connected ? PREDECESSOR_LOOKS : 1; ; looks--) {
            try {
                DiskImages.Hold hold = images.hold(context.paths(), image, access, mode);
                context.onEnd(hold);
                return hold;
            } catch (DiskException e) {
                if (looks <= 1) {
                    throw new DeviceException(String.valueOf(e.getMessage()), e);
                }
            }
            // The process that had the guest may not have ended yet: the kernel finishes what it
            // has begun, and keeps the image locked.
            await(image);
        }
    }

    private static void await(DiskSource image) throws DeviceException {
        try {
            Thread.sleep(LOOK_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DeviceException(
                    "image " + image.name() + ": interrupted while it was waited for", e);
        }
    }

    private static DiskRate rate(BackendContext context, Optional<String> text) {
        try {
            return text.map(DiskRate::parse).orElse(DiskRate.UNLIMITED);
        } catch (IllegalArgumentException e) {
            LOG.warn("vbd {}: {}: not limited", context.paths().backend(), e.getMessage());
            return DiskRate.UNLIMITED;
        }
    }

    private static int weight(BackendContext context, Optional<String> text) {
        String value = text.orElse("");
        if (value.matches("[0-9]{1,4}")) {
            int weight = Integer.parseInt(value);
            if (weight >= 1 && weight <= WorkShares.MAX_WEIGHT) {
                return weight;
            }
        }
        if (!value.isEmpty()) {
            LOG.warn(
                    "vbd {}: weight \"{}\" is not 1 to {}: {}",
                    context.paths().backend(),
                    value,
                    WorkShares.MAX_WEIGHT,
                    WorkShares.DEFAULT_WEIGHT);
        }
        return WorkShares.DEFAULT_WEIGHT;
    }

    private static VbdBackendOptions ownOptions(BackendContext context) {
        DiskWorkers workers = new DiskWorkers(OWN_WORKERS);
        context.onEnd(workers);
        return VbdBackendOptions.of(workers);
    }

    private static DiskSource image(BackendContext context) throws DeviceException {
        String params = context.parameter("params").orElse("");
        try {
            return DiskSource.parse(params);
        } catch (DiskException e) {
            throw new DeviceException("params is " + e.getMessage(), e);
        }
    }

    private static DiskMode mode(BackendContext context) throws DeviceException {
        try {
            return DiskMode.parse(context.parameter("cache").orElse(DiskMode.WRITEBACK.label()));
        } catch (DiskException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    private static String oneOf(BackendContext context, String name, List<String> allowed)
            throws DeviceException {
        String value = context.parameter(name).orElse(allowed.getFirst());
        if (!allowed.contains(value)) {
            throw new DeviceException(
                    name + " is \"" + value + "\": expected " + String.join(" or ", allowed));
        }
        return value;
    }
}
