package org.splitring.hypervisor;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// A loop that runs when the test says so, with a clock that the test moves.
public final class ManualLoop implements DeviceLoop {
    private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
    private final List<Timer> timers = new ArrayList<>();
    private boolean running;

    public long now = 1_000_000;
    public long spinNanos;

    /// How far each look at the clock moves it.
    public long tickNanos;

    private record Timer(long at, Runnable task) {}

    @Override
    public void execute(Runnable task) {
        tasks.add(task);
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        Timer timer = new Timer(now + delayNanos, task);
        timers.add(timer);
        return () -> timers.remove(timer);
    }

    @Override
    public boolean inLoop() {
        return running;
    }

    @Override
    public long nanoTime() {
        now += tickNanos;
        return now;
    }

    @Override
    public long spinNanos() {
        return spinNanos;
    }

    @Override
    public boolean isWanted() {
        return !tasks.isEmpty();
    }

    public int queued() {
        return tasks.size();
    }

    public int timers() {
        return timers.size();
    }

    /// When the next timer is due, from now.
    public long nextTimerNanos() {
        return timers.stream().mapToLong(Timer::at).min().orElseThrow() - now;
    }

    /// Runs one task.
    public void runOne() {
        running = true;
        try {
            tasks.remove().run();
        } finally {
            running = false;
        }
    }

    /// Runs tasks until there are none, at most `limit`.
    ///
    /// @return how many were run
    public int runAll(int limit) {
        int run = 0;
        while (!tasks.isEmpty() && run < limit) {
            runOne();
            run++;
        }
        return run;
    }

    /// Moves the clock and queues what is due.
    public void advance(long nanos) {
        now += nanos;
        List<Timer> due =
                timers.stream()
                        .filter(t -> t.at <= now)
                        .sorted(Comparator.comparingLong(Timer::at))
                        .toList();
        timers.removeAll(due);
        due.forEach(t -> tasks.add(t.task));
    }
}
