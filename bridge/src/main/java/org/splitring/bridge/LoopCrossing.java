package org.splitring.bridge;

import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;

/// Carries frames between a network and a device that is served by another event loop: one
/// bounded queue for each direction, with a copy at the entrance. This is what a port on the
/// network's own loop saves.
///
///     device's loop    device sink ──copy──▶ queue ──▶ link        network's loop
///                      device port ◀── queue ◀──copy── this
///
/// Frames keep their order. What does not fit is a tail drop: towards the device counted by the
/// network as for any port, towards the network by [#droppedFromDevice].
public final class LoopCrossing implements FramePort {
    /// Frames that are passed on before the loop gets to others.
    private static final int BUDGET = 256;

    private final Executor deviceLoop;
    private final Executor networkLoop;
    private final FramePort device;
    private final FrameQueue toDevice;
    private final FrameQueue toNetwork;
    private final AtomicBoolean deviceWoken = new AtomicBoolean();
    private final AtomicBoolean networkWoken = new AtomicBoolean();
    private final PortLink link;
    private final FrameSink deviceSink = new DeviceSink();
    private final Runnable drainToDevice = this::drainToDevice;
    private final Runnable drainToNetwork = this::drainToNetwork;
    private volatile long droppedFromDevice;

    private LoopCrossing(
            VirtualNetwork network,
            PortSettings settings,
            PortCapabilities capabilities,
            Executor deviceLoop,
            FramePort device,
            int queueBytes) {
        this.deviceLoop = deviceLoop;
        this.device = device;
        networkLoop = network.loop();
        toDevice = new FrameQueue(queueBytes);
        toNetwork = new FrameQueue(queueBytes);
        link = network.attach(this, settings, capabilities);
    }

    /// Attaches a device of another loop. Called on the network's loop.
    ///
    /// @param deviceLoop where `device` is called
    /// @param queueBytes of each direction, a multiple of 8, at least 256 KiB
    public static LoopCrossing attach(
            VirtualNetwork network,
            PortSettings settings,
            PortCapabilities capabilities,
            Executor deviceLoop,
            FramePort device,
            int queueBytes) {
        return new LoopCrossing(network, settings, capabilities, deviceLoop, device, queueBytes);
    }

    /// What the device sends into, on its own loop.
    public FrameSink deviceSink() {
        return deviceSink;
    }

    /// The network's end, for counters, settings and detaching, on the network's loop.
    public PortLink link() {
        return link;
    }

    /// Frames of the device that found the queue full. Any thread.
    public long droppedFromDevice() {
        return droppedFromDevice;
    }

    @Override
    public boolean offer(Frame frame) {
        return toDevice.offer(frame);
    }

    @Override
    public void flush() {
        toDevice.publish();
        wake(deviceWoken, deviceLoop, drainToDevice);
    }

    /// One task at a time: the flag is cleared before the queue is looked at, so that what is
    /// published after the look finds it cleared.
    private static void wake(AtomicBoolean woken, Executor loop, Runnable drain) {
        if (!woken.getAndSet(true)) {
            loop.execute(drain);
        }
    }

    private void drainToDevice() {
        deviceWoken.set(false);
        int count = 0;
        for (; count < BUDGET; count++) {
            Frame frame = toDevice.next();
            if (frame == null) {
                break;
            }
            device.offer(frame);
        }
        toDevice.free();
        if (count > 0) {
            device.flush();
        }
        if (!toDevice.isEmpty()) {
            wake(deviceWoken, deviceLoop, drainToDevice);
        }
    }

    private void drainToNetwork() {
        networkWoken.set(false);
        for (int i = 0; i < BUDGET; i++) {
            Frame frame = toNetwork.next();
            if (frame == null) {
                break;
            }
            link.receive(frame);
        }
        toNetwork.free();
        link.endBatch();
        if (!toNetwork.isEmpty()) {
            wake(networkWoken, networkLoop, drainToNetwork);
        }
    }

    private final class DeviceSink implements FrameSink {
        private long dropped;

        @Override
        public void receive(Frame frame) {
            if (!toNetwork.offer(frame)) {
                dropped++;
                droppedFromDevice = dropped;
            }
        }

        @Override
        public void endBatch() {
            toNetwork.publish();
            wake(networkWoken, networkLoop, drainToNetwork);
        }
    }
}
