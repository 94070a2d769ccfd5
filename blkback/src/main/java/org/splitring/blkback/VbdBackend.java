package org.splitring.blkback;

import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.wire.BlkifInfo;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.KeyException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceMeters;
import org.splitring.xenbus.device.DeviceNote;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Serves one vbd from a disk: the keys it writes at the steps of its life, and the connection it
/// makes. The states are those of `BackendMachine`; the ring belongs to the loop, and the two meet
/// in [VbdConnection].
final class VbdBackend implements BackendHooks {
    private static final Logger LOG = LoggerFactory.getLogger(VbdBackend.class);

    /// Key that says why the disk has failed, if it has.
    static final String FAILURE = "disk-failure";

    private final DriverDomain domain;
    private final DevicePaths paths;
    private final DeviceNotes notes;
    private final VbdNote.Maker noteMaker;
    private final DiskImage disk;
    private final DeviceLoop loop;
    private final VbdBackendOptions options;
    private final VbdFeatures features;
    private final VbdCounters counters = new VbdCounters();
    private final VbdGate gate;
    private final WorkShare share;
    private final int info;
    private @Nullable Consumer<DiskFailure> diskListener; // guarded by this
    private @Nullable Runnable sizeListener; // guarded by this
    private boolean ended; // guarded by this

    private DeviceNote note = DeviceNote.unkept(0); // of the last connection; of the machine

    /// @param disk open as long as the backend is there; it stays its owner's
    /// @param kind of disk that the guest is to see: bits of [BlkifInfo], without READONLY
    /// @param notes has memory that outlives the process
    VbdBackend(
            DriverDomain domain,
            DevicePaths paths,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            int kind,
            DeviceNotes notes) {
        this(domain, paths, disk, loop, options, kind, notes, QueueNote::new);
    }

    VbdBackend(
            DriverDomain domain,
            DevicePaths paths,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            int kind,
            DeviceNotes notes,
            VbdNote.Maker noteMaker) {
        this.domain = domain;
        this.paths = paths;
        this.notes = notes;
        this.noteMaker = noteMaker;
        this.disk = disk;
        this.loop = loop;
        this.options = options;
        this.share = options.workers().share(WorkShares.DEFAULT_WEIGHT);
        this.gate = new VbdGate(loop, counters);
        this.info = kind | (disk.readOnly() ? BlkifInfo.READONLY : 0);
        VbdFeatures wanted = options.features();
        this.features = wanted.withDiscard(wanted.discard() && disk.discardGranularityBytes() > 0);
    }

    VbdCounters counters() {
        return counters;
    }

    VbdMetrics metrics() {
        return counters.snapshot();
    }

    /// Counts with the meters of the device.
    void countWith(DeviceMeters meters) {
        counters.register(meters);
    }

    /// A rate that applies from now on. Any thread.
    void limit(DiskRate rate) {
        loop.execute(() -> gate.limit(rate));
    }

    /// What this disk gets beside others that share the workers. Any thread.
    void weigh(int weight) {
        share.weigh(weight);
    }

    /// Begins no request from now on. Any thread.
    ///
    /// @param quiet runs on the loop when those that were begun are answered
    void pause(Runnable quiet) {
        loop.execute(() -> gate.pause(quiet));
    }

    /// Takes back [#pause]. Any thread.
    void resume() {
        loop.execute(gate::resume);
    }

    /// Hears of the disk's failure until the device ends.
    synchronized void watchDisk(Consumer<DiskFailure> listener) {
        if (!ended) {
            diskListener = listener;
            disk.onFailure(listener);
        }
    }

    /// Hears of changes of the disk's size until the device ends.
    synchronized void watchSize(Runnable listener) {
        if (!ended) {
            sizeListener = listener;
            disk.onResize(listener);
        }
    }

    @Override
    public void offer(StoreAccess keys, String folder) throws StoreException {
        DeviceNote.unpublish(keys, folder);
        if (disk.failure().isEmpty()) {
            keys.remove(folder + "/" + FAILURE); // of a backend before this one
        }
        keys.write(folder + "/feature-flush-cache", features.flush() ? "1" : "0");
        keys.write(folder + "/feature-barrier", features.barrier() ? "1" : "0");
        offerDiscard(keys, folder);
        keys.write(folder + "/feature-persistent", features.maxPersistentGrants() > 0 ? "1" : "0");
        String indirect = folder + "/feature-max-indirect-segments";
        if (features.maxIndirectSegments() > 0) {
            keys.write(indirect, Integer.toString(features.maxIndirectSegments()));
        } else {
            keys.remove(indirect); // of a backend before this one
        }
        keys.write(folder + "/multi-queue-max-queues", Integer.toString(features.maxQueues()));
        int order = options.maxRingPageOrder();
        keys.write(folder + "/max-ring-page-order", Integer.toString(order));
        keys.write(folder + "/max-ring-pages", Integer.toString(1 << order));
    }

    private void offerDiscard(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/feature-discard", features.discard() ? "1" : "0");
        String granularity = folder + "/discard-granularity";
        String alignment = folder + "/discard-alignment";
        String secure = folder + "/discard-secure";
        String zeroes = folder + "/discard-zeroes"; // not Xen's: without it zeros are written
        if (features.discard()) {
            keys.write(granularity, Integer.toString(disk.discardGranularityBytes()));
            keys.write(alignment, "0");
            keys.write(secure, "0");
            keys.write(zeroes, disk.discardZeroes() ? "1" : "0");
        } else { // of a backend before this one
            keys.remove(granularity);
            keys.remove(alignment);
            keys.remove(secure);
            keys.remove(zeroes);
        }
    }

    @Override
    public Connection connect(Keys keys, Consumer<String> broken)
            throws StoreException, KeyException, GrantException, EventChannelException {
        List<RingKeys> rings =
                RingKeys.readQueues(keys, options.maxRingPageOrder(), features.maxQueues());
        VbdFeatures used = used(features, keys, rings);
        return open(rings, used, makeNote(rings), broken);
    }

    /// A device without a note is better than none.
    private VbdNote makeNote(List<RingKeys> rings) {
        try {
            return VbdNote.make(notes, paths, rings, noteMaker);
        } catch (DeviceException e) {
            LOG.warn(
                    "vbd {}: {}: the disk will not outlive this process",
                    paths.backend(),
                    e.getMessage());
            return VbdNote.unkept(rings, noteMaker);
        }
    }

    @Override
    public Optional<Connection> resume(Keys own, Keys keys, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        String id = DeviceNote.published(own);
        if (own.text(FAILURE).isPresent()) {
            // Opened anew it would seem well, and the guest was promised errors.
            throw new DeviceException("the disk had failed");
        }
        VbdFeatures offered = VbdFeatures.read(own);
        if (offered.discard() && disk.discardGranularityBytes() == 0) {
            throw new DeviceException("the image can no longer discard, as the guest was told");
        }
        if (own.number("info", 0, 0xFFFF_FFFFL) != info) {
            throw new DeviceException("the disk is not of the kind that the guest was told");
        }
        int order = (int) own.number("max-ring-page-order", 0, VbdBackendOptions.MAX_PAGE_ORDER);
        List<RingKeys> rings = RingKeys.readQueues(keys, order, offered.maxQueues());
        VbdNote found = VbdNote.find(notes, paths, id, rings, noteMaker);
        return Optional.of(open(rings, used(offered, keys, rings), found, broken));
    }

    /// Which features of those that were offered apply to a connection.
    private static VbdFeatures used(VbdFeatures offered, Keys keys, List<RingKeys> rings)
            throws StoreException, KeyException {
        boolean persistent = keys.number("feature-persistent", 0, 0xFFFF_FFFFL, 0) != 0;
        VbdFeatures used = persistent ? offered : offered.withMaxPersistentGrants(0);
        // Between rings there is no before and after, so a barrier would not be one.
        return rings.size() > 1 ? used.withBarrier(false) : used;
    }

    private Connection open(
            List<RingKeys> rings, VbdFeatures used, VbdNote noted, Consumer<String> broken)
            throws GrantException, EventChannelException {
        VbdConnection opened =
                VbdConnection.open(
                        domain,
                        paths.frontendDomain(),
                        rings,
                        disk,
                        loop,
                        options,
                        counters,
                        used,
                        gate,
                        share,
                        noted,
                        cause -> broken.accept("ring: " + cause.getMessage()));
        note = noted.memory();
        return opened;
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/sectors", Long.toString(disk.sizeSectors()));
        keys.write(folder + "/sector-size", Integer.toString(DiskImage.SECTOR_SIZE));
        keys.write(folder + "/physical-sector-size", Integer.toString(DiskImage.SECTOR_SIZE));
        keys.write(folder + "/info", Integer.toString(info));
        keys.write(folder + "/cache-mode", disk.mode().label());
        note.publish(keys, folder);
    }

    @Override
    public synchronized void ended() {
        ended = true;
        loop.execute(gate::close);
        Consumer<DiskFailure> listener = diskListener;
        if (listener != null) {
            disk.removeFailureListener(listener);
        }
        Runnable resized = sizeListener;
        if (resized != null) {
            disk.removeResizeListener(resized);
        }
    }
}
