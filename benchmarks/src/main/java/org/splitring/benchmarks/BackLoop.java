package org.splitring.benchmarks;

import java.lang.management.CompilationMXBean;
import java.lang.management.ManagementFactory;
import java.util.concurrent.locks.LockSupport;

/// Runs a contender's answering end as the control page says, until told to quit.
final class BackLoop implements Runnable {
    private final CompilationMXBean compilers = ManagementFactory.getCompilationMXBean();
    private final RingBack back;
    private final Control control;
    private final Doorbell toFront;
    private final Doorbell toBack;

    BackLoop(RingBack back, Control control, Doorbell toFront, Doorbell toBack) {
        this.back = back;
        this.control = control;
        this.toFront = toFront;
        this.toBack = toBack;
    }

    @Override
    public void run() {
        for (int command = control.command(); ; command = control.command()) {
            control.acknowledge(command);
            switch (command) {
                case Control.QUIT -> {
                    return;
                }
                case Control.IDLE -> {
                    LockSupport.parkNanos(100_000); // leaves a processor to the JIT
                    control.tellCompilationMillis((int) compilers.getTotalCompilationTime());
                }
                case Control.BLOCKING -> block();
                default -> spin(command);
            }
        }
    }

    private void spin(int batch) {
        while (control.command() == batch) {
            if (back.awaitRequests(batch, control, batch) < 0) {
                toFront.ring();
            }
        }
    }

    private void block() {
        while (control.command() == Control.BLOCKING) {
            int served = back.serve(Integer.MAX_VALUE); // of bench ring, which sends one, it is one
            if (served < 0) {
                toFront.ring();
            } else if (served == 0 && !back.finalCheck()) {
                toBack.await();
            }
        }
    }
}
