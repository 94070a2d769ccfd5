package org.splitring.hypervisor;

import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Serves one event channel: takes work in passes of a budget, looks on for a while when there is
/// none, and sleeps after the final check.
///
///     event ──► pass ──► full budget taken? ── yes ─► pass again, after the loop's other tasks
///                ▲              │ no
///                │              ▼
///                │       worked a moment ago? ── yes ─► pass again (spin)
///                │              │ no
///                │              ▼
///                └─ found ─ final check ── nothing ─► unmask: at once, or later after a
///                                                    spurious event
///
/// **Fairness**: between two passes every other task of the loop has its turn. **Spin**: a wake-up
/// costs 30 to 300 times a round trip, so an idle poller looks again for up to
/// [DeviceLoop#spinNanos] after its last work, in slices of about [#INLINE_SPIN_NANOS], shorter
/// where another task waits. How long depends on how long it has been without work until the last
/// event: when looking on for the longest time would have found that work the time is doubled,
/// otherwise it is halved; work that is found while looking on doubles it too.
/// **Late re-arm**: the port stays masked from the event until the work is done, so a noisy peer
/// costs one event a pass. **Spurious events** (no work was done since the last one, by this poller
/// or by whoever calls [#noteWork]) delay the unmasking, twice as long each time (hostile catalogue
/// H-060, H-061). **After an error** the port is never armed again.
///
/// All methods are called on the loop, unless they say otherwise.
public final class PortPoller {
    /// Longest looking on within one pass; the loop's other tasks wait for that.
    public static final long INLINE_SPIN_NANOS = 2_000;

    /// How many spurious events in a row are forgiven: an event that crossed with our final check
    /// is one.
    public static final int FORGIVEN_SPURIOUS = 2;

    /// Delay of the first spurious event that is not forgiven; each further one doubles it.
    public static final long FIRST_DELAY_NANOS = 50_000;

    /// Longest delay of an event.
    public static final long LONGEST_DELAY_NANOS = 20_000_000;

    private static final Logger LOG = LoggerFactory.getLogger(PortPoller.class);

    private final EventChannel channel;
    private final DeviceLoop loop;
    private final RingWork work;
    private final int budget;
    private final Consumer<Throwable> onError;
    private final Runnable passTask = this::queuedPass;
    private final Runnable rearmTask = this::rearm;

    private boolean stopped;
    private boolean passQueued;
    private boolean rearmDelayed;
    private @Nullable Runnable cancelRearm;

    private boolean eventSinceSleep;
    private boolean workSinceEvent;
    private int spuriousInARow;

    private boolean worked; // since it looked on the last time
    private boolean spinning;
    private long spinNanos;
    private long spinUntil;
    private long workedAt;

    private final AtomicLong events = new AtomicLong();
    private final AtomicLong spuriousEvents = new AtomicLong();
    private final AtomicLong passes = new AtomicLong();

    /// @param channel not listened to yet
    /// @param loop that owns the device
    /// @param budget most items of a pass
    /// @param onError is told, on the loop, why the poller has stopped itself: a broken ring, or a
    ///     bug in `work`. It stops the device.
    public PortPoller(
            EventChannel channel,
            DeviceLoop loop,
            RingWork work,
            int budget,
            Consumer<Throwable> onError) {
        if (budget < 1) {
            throw new IllegalArgumentException("budget " + budget);
        }
        this.channel = channel;
        this.loop = loop;
        this.work = work;
        this.budget = budget;
        this.onError = onError;
        spinNanos = loop.spinNanos();
        workedAt = loop.nanoTime();
    }

    /// Listens to the channel from now on. Any thread.
    public void start() {
        channel.listen(loop, this::onEvent);
    }

    /// Runs a pass soon, without an event: something that held the device up has passed.
    public void wake() {
        if (!stopped) {
            queuePass();
        }
    }

    /// Notes work that was done on this ring by another path than [RingWork#poll], so that the
    /// event that announced it does not count as spurious.
    public void noteWork() {
        workSinceEvent = true;
    }

    /// Ends polling; the port stays masked. Nothing of `work` is called after this.
    public void stop() {
        stopped = true;
        Runnable cancel = cancelRearm;
        cancelRearm = null;
        if (cancel != null) {
            cancel.run();
        }
        channel.mask();
    }

    /// Whether it was stopped, or stopped itself after an error.
    public boolean isStopped() {
        return stopped;
    }

    /// Events delivered so far. Any thread.
    public long events() {
        return events.get();
    }

    /// Events that brought no work. Any thread.
    public long spuriousEvents() {
        return spuriousEvents.get();
    }

    /// Passes made so far. Any thread.
    public long passes() {
        return passes.get();
    }

    private static void count(AtomicLong counter) {
        counter.setRelease(counter.getPlain() + 1); // the loop is the only writer
    }

    private void onEvent() {
        if (stopped) {
            channel.mask();
            return;
        }
        count(events);
        eventSinceSleep = true;
        adapt(loop.spinNanos());
        if (!passQueued) {
            pass();
        }
    }

    /// Judges the last looking on by when the event has come.
    private void adapt(long mostSpin) {
        if (mostSpin > 0 && !passQueued) {
            boolean soon = loop.nanoTime() - workedAt < mostSpin;
            spinNanos = soon ? longer(mostSpin) : Math.max(spinNanos >> 1, mostSpin >> 4);
        }
    }

    private long longer(long mostSpin) {
        return Math.min(mostSpin, 2 * Math.max(spinNanos, 1));
    }

    private void queuedPass() {
        passQueued = false;
        if (!stopped) {
            pass();
        }
    }

    private void queuePass() {
        if (!passQueued) {
            passQueued = true;
            try {
                loop.execute(passTask);
            } catch (RejectedExecutionException e) {
                stopped = true; // the loop has ended, and the device with it
            }
        }
    }

    private void pass() {
        try {
            count(passes);
            if (takeWork()) {
                queuePass();
            } else if (!stopped) {
                sleep();
            }
        } catch (Throwable t) { // thrown further, it would stop or slow a loop that others share
            fail(t);
        }
    }

    /// @return whether to pass again without sleeping
    private boolean takeWork() {
        int taken = work.poll(budget);
        if (stopped) {
            return false;
        }
        long mostSpin = loop.spinNanos();
        if (taken > 0) {
            workSinceEvent = true;
            worked = true;
            if (spinning) {
                spinNanos = longer(mostSpin);
                spinning = false;
            }
        }
        if (taken >= budget) {
            return true;
        }
        return mostSpin > 0 && spin(mostSpin);
    }

    /// Looks on for work, at most for the rest of the spinning time and one slice.
    private boolean spin(long mostSpin) {
        long now = loop.nanoTime();
        if (worked) {
            worked = false;
            lookOn(now, mostSpin);
            spinning = true;
        } else if (!spinning) {
            return false;
        }
        Thread.onSpinWait();
        long sliceEnd = now + INLINE_SPIN_NANOS;
        while (now - spinUntil < 0 && now - sliceEnd < 0 && !loop.isWanted()) {
            Thread.onSpinWait();
            int taken = work.poll(budget);
            if (taken > 0 || stopped) {
                if (taken > 0) {
                    workSinceEvent = true;
                    spinNanos = longer(mostSpin);
                    lookOn(loop.nanoTime(), mostSpin);
                }
                return !stopped;
            }
            now = loop.nanoTime();
        }
        if (now - spinUntil < 0) {
            return true;
        }
        spinning = false;
        return false;
    }

    /// A sixteenth at least, so that spinning can find out that it pays again.
    private void lookOn(long now, long mostSpin) {
        workedAt = now;
        spinUntil = now + Math.max(Math.min(spinNanos, mostSpin), mostSpin >> 4);
    }

    private void sleep() {
        if (work.finalCheck()) {
            queuePass();
            return;
        }
        if (stopped || rearmDelayed) {
            return;
        }
        if (workSinceEvent) {
            spuriousInARow = 0;
        } else if (eventSinceSleep) {
            count(spuriousEvents);
            spuriousInARow++;
        }
        boolean penalty = eventSinceSleep && spuriousInARow > FORGIVEN_SPURIOUS;
        if (eventSinceSleep) {
            eventSinceSleep = false;
            workSinceEvent = false;
        }
        if (penalty) {
            int doublings = Math.min(spuriousInARow - FORGIVEN_SPURIOUS - 1, 16);
            rearmDelayed = true;
            cancelRearm =
                    loop.schedule(
                            rearmTask,
                            Math.min(FIRST_DELAY_NANOS << doublings, LONGEST_DELAY_NANOS));
        } else {
            channel.unmask();
        }
    }

    private void rearm() {
        rearmDelayed = false;
        cancelRearm = null;
        if (!stopped) {
            channel.unmask();
        }
    }

    private void fail(Throwable t) {
        try {
            stop();
            onError.accept(t);
        } catch (Throwable t2) {
            LOG.error("port {}: stopping the device failed", channel.port(), t2);
        }
    }
}
