package org.splitring.bridge;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;

/// A cable between two networks, which may live on two loops: a port of each. What one sends out of
/// its port comes in at the other's, partial checksums and large segments as they are.
///
/// Two networks that are linked twice are a loop, as two switches with two cables are.
public final class NetworkLink implements AutoCloseable {
    /// Of each direction.
    private static final int QUEUE_BYTES = 1 << 20;

    private final PortLink near;
    private final LoopCrossing far;
    private final Executor nearLoop;
    private final Executor farLoop;

    private NetworkLink(PortLink near, LoopCrossing far, Executor nearLoop, Executor farLoop) {
        this.near = near;
        this.far = far;
        this.nearLoop = nearLoop;
        this.farLoop = farLoop;
    }

    /// The near network's port: what it is offered goes into the crossing.
    private static final class NearPort implements FramePort {
        private volatile FrameSink crossing = new Nowhere();

        @Override
        public boolean offer(Frame frame) {
            crossing.receive(frame);
            return true; // what does not fit is counted by the crossing
        }

        @Override
        public void flush() {
            crossing.endBatch();
        }
    }

    /// Where frames go before the far end is there.
    private static final class Nowhere implements FrameSink {
        @Override
        public void receive(Frame frame) {
            // lost, as in a cable with one end
        }

        @Override
        public void endBatch() {
            // nobody waits
        }
    }

    /// What comes out of the crossing on the near network's loop.
    private record Arrivals(PortLink near) implements FramePort {
        @Override
        public boolean offer(Frame frame) {
            near.receive(frame);
            return true;
        }

        @Override
        public void flush() {
            near.endBatch();
        }
    }

    /// Plugs the cable in at both ends. Not called on a loop of the two.
    ///
    /// @param nearSettings of the port at `near`
    /// @param farSettings of the port at `far`
    /// @throws IllegalArgumentException when a network does not take the port; then there is none
    public static NetworkLink connect(
            VirtualNetwork near,
            PortSettings nearSettings,
            VirtualNetwork far,
            PortSettings farSettings,
            int mtu) {
        PortCapabilities capabilities = PortCapabilities.everything(mtu);
        NearPort port = new NearPort();
        PortLink nearLink =
                CompletableFuture.supplyAsync(
                                () -> near.attach(port, nearSettings, capabilities), near.loop())
                        .join();
        boolean connected = false;
        try {
            LoopCrossing crossing =
                    CompletableFuture.supplyAsync(
                                    () ->
                                            LoopCrossing.attach(
                                                    far,
                                                    farSettings,
                                                    capabilities,
                                                    near.loop(),
                                                    new Arrivals(nearLink),
                                                    QUEUE_BYTES),
                                    far.loop())
                            .join();
            port.crossing = crossing.deviceSink();
            connected = true;
            return new NetworkLink(nearLink, crossing, near.loop(), far.loop());
        } finally {
            if (!connected) {
                CompletableFuture.runAsync(nearLink::detach, near.loop()).join();
            }
        }
    }

    /// Changes the MTU of both ends. Not called on a loop of the two.
    public void mtu(int now) {
        PortCapabilities capabilities = PortCapabilities.everything(now);
        CompletableFuture.runAsync(() -> near.capabilities(capabilities), nearLoop).join();
        CompletableFuture.runAsync(() -> far.link().capabilities(capabilities), farLoop).join();
    }

    /// Frames that found the queue to the far network full. Any thread.
    public long dropped() {
        return far.droppedFromDevice();
    }

    /// Unplugs both ends. Not called on a loop of the two.
    @Override
    public void close() {
        CompletableFuture.runAsync(near::detach, nearLoop).join();
        CompletableFuture.runAsync(() -> far.link().detach(), farLoop).join();
    }

    @Override
    public String toString() {
        return near + " to " + far.link();
    }
}
