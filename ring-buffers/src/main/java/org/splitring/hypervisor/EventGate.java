package org.splitring.hypervisor;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/// The receiving end of a port: an event is pending or not, masked or not, and goes to its listener
/// on the listener's loop. No lock, so that nothing a listener does can block the other end
/// (hostile catalogue H-063). For platforms.
public final class EventGate {
    private static final int PENDING = 1;
    private static final int MASKED = 2;
    private static final int LISTENING = 4;
    private static final int CLOSED = 8;
    private static final VarHandle STATE;

    static {
        try {
            STATE =
                    MethodHandles.lookup()
                            .findVarHandle(EventGate.class, "state", int.class)
                            .withInvokeExactBehavior();
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /// Bits above; through [#STATE].
    private volatile int state;

    // Set once, before LISTENING.
    private @Nullable DeviceLoop loop;
    private @Nullable Runnable onEvent;

    private final Runnable dispatch = this::dispatch;

    /// Nothing pending, not masked, nobody listening.
    public EventGate() {}

    /// See [EventChannel#listen].
    public void listen(DeviceLoop loop, Runnable onEvent) {
        if (this.loop != null) {
            throw new IllegalStateException("the port has a listener");
        }
        this.loop = loop;
        this.onEvent = onEvent;
        int before = (int) STATE.getAndBitwiseOr(this, LISTENING);
        if ((before & (PENDING | MASKED | CLOSED)) == PENDING) {
            loop.execute(dispatch);
        }
    }

    /// An event has come. Any thread; on the listener's loop it is heard at once.
    ///
    /// @return `false` when one was pending already and cannot be delivered now: the sender is
    /// noisy
    public boolean deliver() {
        int before = (int) STATE.getAndBitwiseOr(this, PENDING);
        if ((before & (MASKED | LISTENING | CLOSED)) == LISTENING) {
            DeviceLoop to = loop;
            if (to != null && to.inLoop()) {
                dispatch();
            } else if (to != null) {
                to.execute(dispatch);
            }
            return true;
        }
        return (before & PENDING) == 0;
    }

    /// Takes the pending event, masks the port and tells the listener. On the loop.
    private void dispatch() {
        int now = state;
        while ((now & (PENDING | MASKED | LISTENING | CLOSED)) == (PENDING | LISTENING)) {
            if (STATE.compareAndSet(this, now, (now & ~PENDING) | MASKED)) {
                Runnable to = onEvent;
                if (to != null) {
                    to.run();
                }
                return;
            }
            now = state;
        }
    }

    public void mask() {
        int ignored = (int) STATE.getAndBitwiseOr(this, MASKED);
    }

    /// Allows delivery; `true` when an event was pending, which is now on its way.
    public boolean unmask() {
        int before = (int) STATE.getAndBitwiseAnd(this, ~MASKED);
        DeviceLoop to = loop;
        if ((before & (PENDING | LISTENING | CLOSED)) == (PENDING | LISTENING) && to != null) {
            // Not called from here: a poller that unmasks would be inside itself.
            to.execute(dispatch);
            return true;
        }
        return false;
    }

    /// Closes; `false` when it was closed before.
    public boolean close() {
        return ((int) STATE.getAndBitwiseOr(this, CLOSED) & CLOSED) == 0;
    }

    public boolean isClosed() {
        return (state & CLOSED) != 0;
    }

    public @Nullable DeviceLoop loop() {
        return loop;
    }
}
