package org.splitring.testkit;

import java.util.ArrayDeque;
import org.splitring.hypervisor.DeviceLoop;

/// A loop of a [Simulation]: first in, first out, one task at a time, run when the seed says so.
public final class SimulatedLoop implements DeviceLoop {
    private final Simulation simulation;
    private final long spinNanos;

    final String name;
    final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
    boolean running;
    long taken;

    SimulatedLoop(Simulation simulation, String name, long spinNanos) {
        this.simulation = simulation;
        this.name = name;
        this.spinNanos = spinNanos;
    }

    @Override
    public void execute(Runnable task) {
        simulation.checkThread();
        tasks.add(task);
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        return simulation.schedule(this, task, delayNanos);
    }

    @Override
    public boolean inLoop() {
        return running;
    }

    @Override
    public long nanoTime() {
        return simulation.lookAtClock();
    }

    @Override
    public long spinNanos() {
        return spinNanos;
    }

    @Override
    public String toString() {
        return "loop " + name;
    }
}
