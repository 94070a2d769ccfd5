package org.splitring.hypervisor;

/// Keeps a loop from sleeping for a moment after something has come from outside, where a processor
/// is free for that ([DeviceLoop#spinNanos]): to be woken costs more than the next request takes to
/// come. What the loop waits for is looked at as ever; nothing is polled but that. For how long is
/// learnt as by [PortPoller], which does the same for rings. On the loop.
public final class LookOut {
    private final DeviceLoop loop;
    private final Runnable look = this::look;
    private long spinNanos;
    private long activeAt;
    private boolean looking;

    public LookOut(DeviceLoop loop) {
        this.loop = loop;
        spinNanos = loop.spinNanos();
        activeAt = loop.nanoTime();
    }

    /// How long it looks out at most; 0 where no processor is free for that.
    public long mostNanos() {
        return loop.spinNanos();
    }

    /// Something has come.
    public void noteActivity() {
        long most = loop.spinNanos();
        if (most == 0) {
            return;
        }
        long now = loop.nanoTime();
        boolean soon = now - activeAt < most;
        spinNanos = soon ? Math.min(most, 2 * spinNanos) : Math.max(spinNanos >> 1, most >> 4);
        activeAt = now;
        if (!looking) {
            looking = true;
            loop.execute(look);
        }
    }

    private void look() {
        Thread.onSpinWait();
        if (loop.nanoTime() - activeAt < spinNanos) {
            loop.execute(look);
        } else {
            looking = false;
        }
    }
}
