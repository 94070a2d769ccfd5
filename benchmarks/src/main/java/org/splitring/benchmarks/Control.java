package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/// The page through which the front tells the back what to do next.
///
///     byte  0          64             128              4096
///           +----------+--------------+----------------+
///           | command  | acknowledged | compilation ms |
///           +----------+--------------+----------------+
///     writer  front      back           back
///
/// A positive command is how many requests to answer as one batch at most, spinning.
final class Control {
    static final int SIZE_BYTES = 4096;
    static final int IDLE = 0;
    static final int BLOCKING = -1;
    static final int QUIT = -2;

    private static final VarHandle WORD =
            ValueLayout.JAVA_INT.varHandle().withInvokeExactBehavior();
    private static final long COMMAND = 0;
    private static final long ACKNOWLEDGED = 64;
    private static final long COMPILATION = 128;

    private final MemorySegment page;

    Control(MemorySegment page) {
        this.page = page;
    }

    int command() {
        return (int) WORD.getAcquire(page, COMMAND);
    }

    void acknowledge(int command) {
        WORD.setRelease(page, ACKNOWLEDGED, command);
    }

    /// How long the back's JVM has compiled, in milliseconds.
    int compilationMillis() {
        return (int) WORD.getAcquire(page, COMPILATION);
    }

    void tellCompilationMillis(int millis) {
        WORD.setRelease(page, COMPILATION, millis);
    }

    /// Gives a command and waits until the back has seen it.
    void tell(int command, Doorbell toBack) {
        WORD.setRelease(page, COMMAND, command);
        toBack.ring(); // it may sleep
        while ((int) WORD.getAcquire(page, ACKNOWLEDGED) != command) {
            Thread.onSpinWait();
        }
    }
}
