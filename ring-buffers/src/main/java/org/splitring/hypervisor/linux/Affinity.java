package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/// Which processors a thread may run on (`sched_setaffinity`). For measurements: two ends that
/// spin on one processor, or change places, measure the scheduler.
public final class Affinity {
    private static final int MASK_BYTES = 128; // 1024 processors, as in glibc's cpu_set_t
    private static final Native.Function SET = Native.function("sched_setaffinity");
    private static final Native.Function GET = Native.function("sched_getaffinity");

    private Affinity() {}

    /// The processors that the calling thread may run on, in ascending order.
    public static List<Integer> processors() throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment mask = arena.allocate(MASK_BYTES, Long.BYTES);
            call(GET, "sched_getaffinity", mask);
            List<Integer> processors = new ArrayList<>();
            for (int cpu = 0; cpu < MASK_BYTES * Byte.SIZE; cpu++) {
                if ((mask.get(ValueLayout.JAVA_BYTE, cpu >> 3) >> (cpu & 7) & 1) != 0) {
                    processors.add(cpu);
                }
            }
            return processors;
        }
    }

    /// Keeps the calling thread on one processor. Threads that it starts afterwards inherit that.
    ///
    /// @throws LinuxException when there is no such processor for this process
    public static void pin(int cpu) throws LinuxException {
        if (cpu < 0 || cpu >= MASK_BYTES * Byte.SIZE) {
            throw new IllegalArgumentException("processor " + cpu);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment mask = arena.allocate(MASK_BYTES, Long.BYTES);
            mask.set(ValueLayout.JAVA_BYTE, cpu >> 3, (byte) (1 << (cpu & 7)));
            call(SET, "sched_setaffinity to processor " + cpu, mask);
        }
    }

    private static void call(Native.Function function, String what, MemorySegment mask)
            throws LinuxException {
        Fd.check(what, function.callInt(0, MASK_BYTES, mask.address()));
    }
}
