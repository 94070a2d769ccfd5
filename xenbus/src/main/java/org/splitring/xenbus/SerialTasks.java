package org.splitring.xenbus;

import java.util.ArrayDeque;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Runs tasks one at a time and in order on an executor that may have many threads. Between two
/// tasks the executor's other work has its turn.
public final class SerialTasks implements Executor {
    private static final Logger LOG = LoggerFactory.getLogger(SerialTasks.class);

    private final String name;
    private final Executor executor;
    private final ArrayDeque<Runnable> tasks = new ArrayDeque<>(); // guarded by itself
    private boolean running; // guarded by tasks

    /// @param name whose tasks they are, for the log
    public SerialTasks(String name, Executor executor) {
        this.name = name;
        this.executor = executor;
    }

    /// Runs a task after those that were given before. Any thread.
    @Override
    public void execute(Runnable task) {
        synchronized (tasks) {
            tasks.add(task);
            if (running) {
                return;
            }
            running = true;
        }
        executor.execute(this::runNext);
    }

    private void runNext() {
        Runnable task;
        synchronized (tasks) {
            task = tasks.poll();
        }
        if (task != null) {
            try {
                task.run();
            } catch (RuntimeException e) {
                LOG.error("{}: task failed", name, e);
            }
        }
        synchronized (tasks) {
            running = !tasks.isEmpty();
            if (!running) {
                return;
            }
        }
        executor.execute(this::runNext);
    }
}
