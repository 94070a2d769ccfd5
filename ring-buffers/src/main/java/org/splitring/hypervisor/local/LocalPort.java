package org.splitring.hypervisor.local;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelStatus;

/// One end of an event channel inside one JVM. An event is a bit; ringing the doorbell is giving
/// the peer's loop a task, made beforehand, when the bit was not set yet.
///
/// ## State
///
/// `word` holds the bits below and changes by compare-and-set only, so that sending needs no lock:
///
/// - `PENDING`: an event was sent and not yet delivered
/// - `MASKED`: delivery is held back
/// - `LISTENING`: `loop` and `onEvent` are set
/// - `QUEUED`: the delivery task is in the loop's queue; it is there once at most
/// - `CLOSED`: nothing is delivered any more, for ever
///
/// Who sets `PENDING` on a port that is listening, not masked and not queued sets `QUEUED` in the
/// same step, and only he gives the task to the loop. A sender holds the object of the peer's port,
/// not its number: a port that is closed or used anew is never reached by an old send (hostile
/// catalogue H-065).
///
/// `state`, `remote` and `remoteDomain` change under the lock of the hypervisor.
final class LocalPort implements EventChannel {
    private static final int PENDING = 1;
    private static final int MASKED = 1 << 1;
    private static final int LISTENING = 1 << 2;
    private static final int QUEUED = 1 << 3;
    private static final int CLOSED = 1 << 4;

    private static final VarHandle WORD;

    static {
        try {
            WORD =
                    MethodHandles.lookup()
                            .findVarHandle(LocalPort.class, "word", int.class)
                            .withInvokeExactBehavior();
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final LocalEventChannels owner;
    private final int number;
    private final Runnable deliverTask = this::deliver;

    @SuppressWarnings("unused") // through WORD
    private int word;

    private @Nullable DeviceLoop loop;
    private @Nullable Runnable onEvent;

    volatile EventChannelStatus state;
    volatile @Nullable LocalPort remote;
    volatile DomId remoteDomain;

    LocalPort(LocalEventChannels owner, int number, DomId remoteDomain, EventChannelStatus state) {
        this.owner = owner;
        this.number = number;
        this.remoteDomain = remoteDomain;
        this.state = state;
    }

    LocalEventChannels owner() {
        return owner;
    }

    @Override
    public int port() {
        return number;
    }

    @Override
    public EventChannelStatus status() {
        return state;
    }

    @Override
    public void send() {
        LocalPort peer = remote;
        if (peer != null) {
            peer.raise();
        }
    }

    /// Makes this end pending. Any thread.
    void raise() {
        while (true) {
            int seen = (int) WORD.getAcquire(this);
            if ((seen & CLOSED) != 0) {
                return;
            }
            int next = ready(seen | PENDING);
            // Always a compare-and-set, also when the bit is set already: its full order puts what
            // the sender published before it. Pairs with the one in deliver, after which the
            // listener looks at the ring.
            if (WORD.compareAndSet(this, seen, next)) {
                ringIfNew(seen, next);
                return;
            }
        }
    }

    /// Adds `QUEUED` where there is something to deliver.
    private static int ready(int word) {
        return (word & (PENDING | LISTENING | MASKED | CLOSED)) == (PENDING | LISTENING)
                ? word | QUEUED
                : word;
    }

    private void ringIfNew(int before, int after) {
        if ((after & ~before & QUEUED) == 0) {
            return;
        }
        DeviceLoop target = loop; // set before LISTENING was
        if (target == null) {
            throw new IllegalStateException("port " + number + " listens without a loop");
        }
        try {
            target.execute(deliverTask);
        } catch (RejectedExecutionException e) {
            // The peer's loop has ended: nobody is there to hear, and the sender is not to blame.
            mask();
        }
    }

    private void deliver() {
        while (true) {
            int seen = (int) WORD.getAcquire(this);
            boolean deliver = (seen & (PENDING | MASKED | CLOSED)) == PENDING;
            int next = deliver ? (seen & ~(QUEUED | PENDING)) | MASKED : seen & ~QUEUED;
            if (WORD.compareAndSet(this, seen, next)) {
                Runnable listener = onEvent;
                if (deliver && listener != null) {
                    listener.run();
                }
                return;
            }
        }
    }

    @Override
    public void listen(DeviceLoop loop, Runnable onEvent) {
        synchronized (this) {
            if (this.loop != null) {
                throw new IllegalStateException("port " + number + " has a listener already");
            }
            this.loop = loop;
            this.onEvent = onEvent;
        }
        change(LISTENING, 0);
    }

    @Override
    public void mask() {
        change(MASKED, 0);
    }

    @Override
    public void unmask() {
        change(0, MASKED);
    }

    private void change(int set, int clear) {
        while (true) {
            int seen = (int) WORD.getAcquire(this);
            int next = ready((seen | set) & ~clear);
            if (WORD.compareAndSet(this, seen, next)) {
                ringIfNew(seen, next);
                return;
            }
        }
    }

    @Override
    public void close() {
        owner.close(this);
    }

    /// Stops delivery for ever.
    void markClosed() {
        change(CLOSED, PENDING);
    }

    @Override
    public String toString() {
        return "port " + number + " of domain " + owner.domain() + " (" + state + ")";
    }
}
