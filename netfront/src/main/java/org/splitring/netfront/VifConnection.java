package org.splitring.netfront;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.wire.NetifTxLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What exists only while there is a backend: queues, and what was negotiated. Made and given back
/// on the control plane; used on the loop.
final class VifConnection implements FrontendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(VifConnection.class);

    private final VifDevice device;
    private final VifFrontendOptions options;
    private final VifFeatures features;
    private final boolean backendKnowsQueues;
    private final boolean backendGivesHeadroom;
    private final Consumer<String> onBroken;
    private VifQueue[] queues = {};
    private @Nullable ControlRing control;
    private boolean broken; // of the loop

    private VifConnection(
            VifDevice device,
            VifFrontendOptions options,
            VifFeatures features,
            boolean backendKnowsQueues,
            boolean backendGivesHeadroom,
            Consumer<String> onBroken) {
        this.device = device;
        this.options = options;
        this.features = features;
        this.backendKnowsQueues = backendKnowsQueues;
        this.backendGivesHeadroom = backendGivesHeadroom;
        this.onBroken = onBroken;
    }

    /// Makes queues for what the backend offers. When this throws everything has been given back.
    ///
    /// @param onBroken is told once, on the loop, how the backend broke the protocol
    static VifConnection open(
            VifDevice device,
            GuestDomain guest,
            DevicePaths paths,
            Keys backend,
            VifFrontendOptions options,
            Consumer<String> onBroken)
            throws StoreException, HandshakeException, EventChannelException {
        if (!isSet(backend, "feature-rx-copy")) {
            throw new HandshakeException(
                    "backend "
                            + backend.folder()
                            + " has no feature-rx-copy: pages are not exchanged here");
        }
        int maxQueues = (int) backend.number("multi-queue-max-queues", 1, Integer.MAX_VALUE, 1);
        VifFeatures features = features(backend, options, Math.min(options.queues(), maxQueues));
        boolean split = options.splitChannels() && isSet(backend, "feature-split-event-channels");
        VifConnection made =
                new VifConnection(
                        device,
                        options,
                        features,
                        backend.text("multi-queue-max-queues").isPresent(),
                        isSet(backend, "feature-xdp-headroom"),
                        onBroken);
        List<VifQueue> queues = new ArrayList<>();
        boolean done = false;
        try {
            for (int i = 0; i < features.queues(); i++) {
                queues.add(
                        VifQueue.open(
                                guest,
                                paths.backendDomain(),
                                i,
                                split,
                                features,
                                device.loop(),
                                device.user(),
                                device.counters(),
                                made::broken));
            }
            if (options.staticGrants() && isSet(backend, "feature-ctrl-ring")) {
                made.control =
                        ControlRing.open(
                                guest, paths.backendDomain(), queues, device.loop(), made::broken);
            }
            done = true;
        } finally {
            if (!done) {
                queues.forEach(VifQueue::giveBack);
            }
        }
        made.queues = queues.toArray(VifQueue[]::new);
        return made;
    }

    private static VifFeatures features(Keys backend, VifFrontendOptions options, int queues)
            throws StoreException, HandshakeException {
        boolean sg = options.scatterGather() && isSet(backend, "feature-sg");
        boolean v4 = options.offloads() && !isSet(backend, "feature-no-csum-offload");
        boolean v6 = options.offloads() && isSet(backend, "feature-ipv6-csum-offload");
        return new VifFeatures(
                queues,
                sg ? NetifTxLayout.MAX_SIZE_BYTES : GuestMemory.PAGE_SIZE,
                v4,
                v6,
                sg && v4 && isSet(backend, "feature-gso-tcpv4"),
                sg && v6 && isSet(backend, "feature-gso-tcpv6"));
    }

    /// Backends write 1 and 0; any other number is true, as in C.
    private static boolean isSet(Keys keys, String key) throws StoreException, HandshakeException {
        return keys.number(key, Integer.MIN_VALUE, 0xFFFF_FFFFL, 0) != 0;
    }

    VifFeatures features() {
        return features;
    }

    TxRing tx(int queue) {
        return queues[queue].tx();
    }

    void flush() {
        for (VifQueue queue : queues) {
            queue.tx().flush();
        }
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        if (backendKnowsQueues) {
            keys.write(folder + "/multi-queue-num-queues", Integer.toString(features.queues()));
        } else {
            keys.remove(folder + "/multi-queue-num-queues");
        }
        if (backendGivesHeadroom) {
            keys.write(folder + "/xdp-headroom", "0");
        }
        for (int i = 0; i < queues.length; i++) {
            queues[i].publish(keys, queues.length == 1 ? folder : folder + "/queue-" + i);
        }
        ControlRing.publish(control, keys, folder);
        boolean large = options.scatterGather() && options.offloads();
        flag(keys, folder + "/request-rx-copy", true);
        flag(keys, folder + "/feature-rx-notify", true);
        flag(keys, folder + "/feature-sg", options.scatterGather());
        flag(keys, folder + "/feature-gso-tcpv4", large);
        flag(keys, folder + "/feature-gso-tcpv6", large);
        flag(keys, folder + "/feature-ipv6-csum-offload", options.offloads());
        flag(keys, folder + "/feature-no-csum-offload", !options.offloads());
    }

    private static void flag(StoreAccess keys, String path, boolean set) throws StoreException {
        if (set) {
            keys.write(path, "1");
        } else {
            keys.remove(path);
        }
    }

    @Override
    public void connected(Keys backend) {
        onLoop(() -> device.carrierOn(this));
        for (VifQueue queue : queues) {
            queue.start();
        }
        ControlRing ring = control;
        if (ring != null) {
            ring.start();
            onLoop(ring::keepPages);
        }
    }

    /// {@inheritDoc} Frames on the rx ring are not asked for: the backend does not answer its
    /// slots without frames.
    @Override
    public void pause(Executor executor, Runnable quiet) {
        onLoop(
                () -> {
                    device.carrierOff(this);
                    pauseQueue(0, executor, quiet);
                });
    }

    private void pauseQueue(int number, Executor executor, Runnable quiet) {
        if (number == queues.length || broken) {
            executor.execute(quiet);
        } else {
            queues[number].tx().pause(() -> pauseQueue(number + 1, executor, quiet));
        }
    }

    private void broken(Throwable cause) {
        if (!broken) {
            broken = true;
            device.carrierOff(this);
            stop();
            onBroken.accept("ring: " + cause.getMessage());
        }
    }

    private void stop() {
        for (VifQueue queue : queues) {
            queue.stop();
        }
        ControlRing ring = control;
        if (ring != null) {
            ring.stop();
        }
    }

    @Override
    public void close(Executor executor, Runnable closed) {
        Runnable last =
                () -> {
                    try {
                        for (VifQueue queue : queues) {
                            queue.giveBack();
                        }
                        ControlRing ring = control;
                        if (ring != null) {
                            ring.giveBack();
                        }
                    } finally {
                        closed.run();
                    }
                };
        try {
            device.loop()
                    .execute(
                            () -> {
                                try {
                                    device.carrierOff(this);
                                    stop();
                                } finally {
                                    executor.execute(last);
                                }
                            });
        } catch (RejectedExecutionException e) {
            LOG.debug("the loop has ended before its vif", e);
            executor.execute(last);
        }
    }

    private void onLoop(Runnable task) {
        try {
            device.loop().execute(task);
        } catch (RejectedExecutionException e) {
            LOG.debug("the loop has ended before its vif", e);
        }
    }
}
