package org.splitring.netfront;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.xenbus.FrontendHooks;

/// One virtual interface of a guest, as whoever uses it sees it: sends frames, and has a [VifUser]
/// that they come to. It lives as long as the device, over all its connections.
///
/// Made by [#create], connected by a `FrontendMachine`: a [VifFrontendDriver] has the one of its
/// bus. On the loop of the vif, except where a method says otherwise.
public final class VifFrontend {
    private final VifDevice device;

    private VifFrontend(VifDevice device) {
        this.device = device;
    }

    /// Makes a vif that is not connected yet.
    ///
    /// @param loop owns the vif
    /// @param user hears of frames
    public static VifFrontend create(DeviceLoop loop, VifUser user, VifFrontendOptions options) {
        return new VifFrontend(new VifDevice(loop, user, options));
    }

    /// What the machine of the handshake calls.
    public FrontendHooks hooks() {
        return device;
    }

    public DeviceLoop loop() {
        return device.loop();
    }

    /// Whether a backend serves the vif now. Any thread.
    public boolean hasCarrier() {
        return device.hasCarrier();
    }

    /// What may be sent now; `null` without a backend.
    public @Nullable VifFeatures features() {
        VifConnection now = device.current();
        return now == null ? null : now.features();
    }

    /// Takes pages to write a frame into, for [TxFrame#send] or [TxFrame#cancel] before returning
    /// to the loop, and before the next frame of the queue.
    ///
    /// @param queue 0 to [VifFeatures#queues]` - 1`
    /// @param sizeBytes the most that the frame can have; beyond [VifFeatures#maxFrameBytes] it is
    ///     taken for that
    /// @return `null` without a backend, and when so many pages are not free: [VifUser#writable]
    ///     says when they are
    public @Nullable TxFrame acquire(int queue, int sizeBytes) {
        VifConnection now = device.current();
        return now == null ? null : now.tx(queue).acquire(sizeBytes);
    }

    /// Publishes the frames that were sent since the last time: once for as many as there are.
    public void flush() {
        VifConnection now = device.current();
        if (now != null) {
            now.flush();
        }
    }

    /// What the vif has done since it was made. Any thread.
    public VifMetrics metrics() {
        return device.counters().snapshot();
    }

    VifCounters counters() {
        return device.counters();
    }
}
