package org.splitring.bridge;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/// The counters of one port. Written by the network's loop only, read by any thread; they go on
/// as long as the port is attached.
@SuppressWarnings("EnumOrdinal") // a map by enum constant that boxes nothing
public final class PortCounters {
    private static final VarHandle VALUE = MethodHandles.arrayElementVarHandle(long[].class);

    private final long[] values = new long[PortCounter.values().length];

    PortCounters() {}

    /// Adds without a locked instruction: there is one writer. Opaque, so that readers see whole
    /// values and progress; nothing else is ordered by it.
    void add(PortCounter counter, long amount) {
        int i = counter.ordinal();
        VALUE.setOpaque(values, i, values[i] + amount);
    }

    /// Any thread.
    public long get(PortCounter counter) {
        return (long) VALUE.getOpaque(values, counter.ordinal());
    }
}
