package org.splitring.benchmarks;

import java.io.IOException;
import java.util.List;
import org.splitring.hypervisor.linux.ProcessClock;

/// Time that processes had of processors.
public final class ProcessorTime {
    private ProcessorTime() {}

    /// Of all processes together, in nanoseconds, with their threads that have ended.
    ///
    /// @throws IOException when one has ended
    public static long nanos(List<Long> processes) throws IOException {
        long sum = 0;
        for (long process : processes) {
            sum += ProcessClock.nanos(process);
        }
        return sum;
    }
}
