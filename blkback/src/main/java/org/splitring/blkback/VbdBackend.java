package org.splitring.blkback;

import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.wire.BlkifInfo;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.KeyException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.device.DeviceMeters;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Serves one vbd from a disk: the keys it writes at the steps of its life, and the connection it
/// makes. The states are those of `BackendMachine`; the ring belongs to the loop, and the two meet
/// in [VbdConnection].
final class VbdBackend implements BackendHooks {
    private final DriverDomain domain;
    private final DomId frontend;
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

    /// @param disk open as long as the backend is there; it stays its owner's
    /// @param kind of disk that the guest is to see: bits of [BlkifInfo], without READONLY
    VbdBackend(
            DriverDomain domain,
            DomId frontend,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            int kind) {
        this.domain = domain;
        this.frontend = frontend;
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
        if (features.discard()) {
            keys.write(
                    folder + "/discard-granularity",
                    Integer.toString(disk.discardGranularityBytes()));
            keys.write(folder + "/discard-alignment", "0");
            keys.write(folder + "/discard-secure", "0");
            // Not Xen's: the promise without which zeros have to be written.
            keys.write(folder + "/discard-zeroes", disk.discardZeroes() ? "1" : "0");
        }
    }

    @Override
    public Connection connect(Keys keys, Consumer<String> broken)
            throws StoreException, KeyException, GrantException, EventChannelException {
        boolean persistent = keys.number("feature-persistent", 0, 0xFFFF_FFFFL, 0) != 0;
        List<RingKeys> rings =
                RingKeys.readQueues(keys, options.maxRingPageOrder(), features.maxQueues());
        VbdFeatures used = persistent ? features : features.withMaxPersistentGrants(0);
        if (rings.size() > 1) {
            // Between rings there is no before and after, so a barrier would not be one.
            used = used.withBarrier(false);
        }
        return VbdConnection.open(
                domain,
                frontend,
                rings,
                disk,
                loop,
                options,
                counters,
                used,
                gate,
                share,
                cause -> broken.accept("ring: " + cause.getMessage()));
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/sectors", Long.toString(disk.sizeSectors()));
        keys.write(folder + "/sector-size", Integer.toString(DiskImage.SECTOR_SIZE));
        keys.write(folder + "/physical-sector-size", Integer.toString(DiskImage.SECTOR_SIZE));
        keys.write(folder + "/info", Integer.toString(info));
        keys.write(folder + "/cache-mode", disk.mode().label());
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
