package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/// How long a process has run, all its threads together, those that have ended too
/// (`clock_getcpuclockid`). For measurements: what `/proc/PID/stat` says is whole hundredths of a
/// second, of which an idle process takes none.
public final class ProcessClock {
    private static final MethodHandle GET_CLOCK =
            Native.plainFunction("clock_getcpuclockid", INT, INT, LONG);
    private static final MethodHandle GET_TIME = Native.function("clock_gettime", INT, INT, LONG);

    private ProcessClock() {}

    /// Processor time of a process, in nanoseconds.
    ///
    /// @throws LinuxException when there is no such process
    public static long nanos(long pid) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment clock = arena.allocate(ValueLayout.JAVA_INT);
            int error = getClock((int) pid, clock.address());
            if (error != 0) {
                throw new LinuxException("clock_getcpuclockid of process " + pid, error);
            }
            MemorySegment time = arena.allocate(2 * Long.BYTES, Long.BYTES);
            int id = clock.get(ValueLayout.JAVA_INT, 0);
            int result =
                    Native.call(state -> (int) GET_TIME.invokeExact(state, id, time.address()));
            Fd.check("clock_gettime of process " + pid, result);
            return time.get(ValueLayout.JAVA_LONG, 0) * 1_000_000_000L
                    + time.get(ValueLayout.JAVA_LONG, Long.BYTES);
        }
    }

    private static int getClock(int pid, long clock) {
        try {
            return (int) GET_CLOCK.invokeExact(pid, clock);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }
}
