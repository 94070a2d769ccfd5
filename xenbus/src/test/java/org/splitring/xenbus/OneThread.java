package org.splitring.xenbus;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.PriorityQueue;
import java.util.concurrent.Executor;

/// A queue of tasks and a clock that the test holds.
final class OneThread implements Timers, Executor {
    private record Timer(long at, Runnable task) {}

    final Deque<Runnable> tasks = new ArrayDeque<>();
    private final PriorityQueue<Timer> timers =
            new PriorityQueue<>((a, b) -> Long.compare(a.at, b.at));
    private long now = -5;

    @Override
    public void execute(Runnable task) {
        tasks.add(task);
    }

    @Override
    public long nanoTime() {
        return now;
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        Timer timer = new Timer(now + delayNanos, task);
        timers.add(timer);
        return () -> timers.remove(timer);
    }

    /// Runs what is queued, and what that queues.
    void run() {
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
    }

    /// Lets time pass, timer by timer.
    void pass(Duration time) {
        run();
        long until = now + time.toNanos();
        while (!timers.isEmpty() && timers.peek().at <= until) {
            Timer next = timers.remove();
            now = Math.max(now, next.at);
            next.task().run();
            run();
        }
        now = until;
    }

    boolean noTimers() {
        return timers.isEmpty();
    }
}
