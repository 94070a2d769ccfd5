package org.splitring.testkit;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// One thread, many loops, a clock of its own: everything that is concurrent elsewhere happens here
/// in an order that a seed decides. The same seed gives the same order, so that a failure is
/// replayed exactly; [#trace] and [#traceHash] prove it.
///
/// At each step one of the loops that have a task runs it; the seed chooses which. Time passes when
/// a loop looks at the clock and when nothing is left but timers. A task is not cut in pieces,
/// except where it calls [#preemptionPoint]: there other loops may go on, as if this one had lost
/// its processor.
///
/// Only for the thread that made it. A simulation in which nothing can happen any more
/// ([#step] is `false`) while somebody still waits has found a lost wake-up.
public final class Simulation {
    private static final int MAX_TRACE_CHARS = 1 << 20;
    private static final long FNV_OFFSET = 0xCBF29CE484222325L;
    private static final long FNV_PRIME = 0x100000001B3L;

    private final long seed;
    private final SplittableRandom random;
    private final Thread owner = Thread.currentThread();
    private final List<SimulatedLoop> loops = new ArrayList<>();
    private final List<SimulatedLoop> runnable = new ArrayList<>();
    private final PriorityQueue<Timer> timers =
            new PriorityQueue<>(
                    Comparator.comparingLong((Timer t) -> t.at).thenComparingLong(t -> t.number));
    private final StringBuilder trace = new StringBuilder();

    private long traceHash = FNV_OFFSET;
    private long now = 1_000_000_000L;
    private long timerNumber;
    private long steps;

    private static final class Timer {
        final long at;
        final long number;
        final SimulatedLoop loop;
        final Runnable task;

        Timer(long at, long number, SimulatedLoop loop, Runnable task) {
            this.at = at;
            this.number = number;
            this.loop = loop;
            this.task = task;
        }
    }

    /// @param seed decides everything; printed with every failure
    public Simulation(long seed) {
        this.seed = seed;
        random = new SplittableRandom(seed);
    }

    /// Makes one more loop.
    ///
    /// @param name for the trace; must be the same in each run
    /// @param spinNanos what the loop answers to `spinNanos()`
    public SimulatedLoop loop(String name, long spinNanos) {
        checkThread();
        SimulatedLoop loop = new SimulatedLoop(this, name, spinNanos);
        loops.add(loop);
        return loop;
    }

    public long seed() {
        return seed;
    }

    /// Tasks run so far.
    public long steps() {
        return steps;
    }

    /// A number from 0 to `bound - 1` that the seed decides: for whatever a test varies.
    public int choose(int bound) {
        checkThread();
        return random.nextInt(bound);
    }

    /// Adds a line to the trace. Only values that are the same in each run: no addresses, no
    /// identity hash codes.
    public void trace(String what, long value) {
        String line = now + " " + what + " " + value + "\n";
        for (byte b : line.getBytes(StandardCharsets.UTF_8)) {
            traceHash = (traceHash ^ (b & 0xFF)) * FNV_PRIME;
        }
        if (trace.length() < MAX_TRACE_CHARS) {
            trace.append(line);
        }
    }

    /// FNV-1a over the whole trace.
    public long traceHash() {
        return traceHash;
    }

    /// The trace, or its first megabyte.
    public String trace() {
        return trace.toString();
    }

    /// Runs one task.
    ///
    /// @return `false` when there is nothing left to run, now or later
    public boolean step() {
        return stepUntil(Long.MAX_VALUE);
    }

    /// Lets a span of time pass, and runs what there is to run in it; the clock does not jump
    /// beyond.
    ///
    /// @param nanos how long
    public void runFor(long nanos) {
        long end = now + nanos;
        while (now < end && stepUntil(end)) {
            // one task after the other
        }
        now = Math.max(now, end);
    }

    private boolean stepUntil(long end) {
        checkThread();
        while (true) {
            queueDueTimers();
            SimulatedLoop loop = chooseLoop();
            if (loop != null) {
                runTask(loop);
                return true;
            }
            Timer next = timers.peek();
            if (next == null || next.at > end) {
                return false;
            }
            now = Math.max(now, next.at);
        }
    }

    /// Runs until nothing is left.
    ///
    /// @param maxSteps a bound: more is an endless loop
    /// @throws AssertionError when the bound is reached
    public void run(int maxSteps) {
        for (int i = 0; i < maxSteps; i++) {
            if (!step()) {
                return;
            }
        }
        throw new AssertionError("seed " + seed + ": still running after " + maxSteps + " steps");
    }

    /// Called within a task: lets other loops run for a while, or not.
    public void preemptionPoint() {
        checkThread();
        for (int left = random.nextInt(4); left > 0; left--) {
            queueDueTimers();
            SimulatedLoop loop = chooseLoop();
            if (loop == null) {
                return;
            }
            runTask(loop);
        }
    }

    private @Nullable SimulatedLoop chooseLoop() {
        runnable.clear();
        for (SimulatedLoop loop : loops) {
            if (!loop.running && !loop.tasks.isEmpty()) {
                runnable.add(loop);
            }
        }
        return runnable.isEmpty() ? null : runnable.get(random.nextInt(runnable.size()));
    }

    private void runTask(SimulatedLoop loop) {
        steps++;
        now += 50 + random.nextInt(500);
        trace(loop.name, loop.taken++);
        loop.running = true;
        try {
            loop.tasks.remove().run();
        } catch (Throwable t) {
            throw new AssertionError(
                    "seed " + seed + ", step " + steps + ", loop " + loop.name + ": " + t, t);
        } finally {
            loop.running = false;
        }
    }

    private void queueDueTimers() {
        Timer timer = timers.peek();
        while (timer != null && timer.at <= now) {
            timers.remove();
            timer.loop.tasks.add(timer.task);
            timer = timers.peek();
        }
    }

    long lookAtClock() {
        checkThread();
        now += 20 + random.nextInt(100);
        return now;
    }

    Runnable schedule(SimulatedLoop loop, Runnable task, long delayNanos) {
        checkThread();
        Timer timer = new Timer(now + Math.max(0, delayNanos), timerNumber++, loop, task);
        timers.add(timer);
        return () -> timers.remove(timer);
    }

    void checkThread() {
        if (!Thread.currentThread().equals(owner)) {
            throw new IllegalStateException(
                    "seed " + seed + ": a simulation belongs to one thread, not to this one too");
        }
    }
}
