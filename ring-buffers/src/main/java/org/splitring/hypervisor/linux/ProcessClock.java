package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// How long a process has run, all its threads together, those that have ended too
/// (`clock_getcpuclockid`). For measurements: what `/proc/PID/stat` says is whole hundredths of a
/// second, of which an idle process takes none.
public final class ProcessClock {
    private static final Native.Plain GET_CLOCK = Native.plainFunction("clock_getcpuclockid");
    private static final Native.Function GET_TIME = Native.function("clock_gettime");

    private ProcessClock() {}

    /// Processor time of a process, in nanoseconds.
    ///
    /// @throws LinuxException when there is no such process
    public static long nanos(long pid) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment clock = arena.allocate(ValueLayout.JAVA_INT);
            int error = (int) GET_CLOCK.call(pid, clock.address(), 0, 0, 0, 0);
            if (error != 0) {
                throw new LinuxException("clock_getcpuclockid of process " + pid, error);
            }
            MemorySegment time = arena.allocate(2 * Long.BYTES, Long.BYTES);
            int id = clock.get(ValueLayout.JAVA_INT, 0);
            Fd.check("clock_gettime of process " + pid, GET_TIME.callInt(id, time.address()));
            return time.get(ValueLayout.JAVA_LONG, 0) * 1_000_000_000L
                    + time.get(ValueLayout.JAVA_LONG, Long.BYTES);
        }
    }
}
