package org.splitring.bridge;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/// The counters of one router. Written by the network's loop only, read by any thread.
@SuppressWarnings("EnumOrdinal") // a map by enum constant that boxes nothing
public final class RouterCounters {
    private static final VarHandle VALUE = MethodHandles.arrayElementVarHandle(long[].class);

    private final long[] values = new long[RouterCounter.values().length];

    RouterCounters() {}

    /// Opaque: one writer, and readers see whole values.
    void add(RouterCounter counter) {
        add(counter, 1);
    }

    void add(RouterCounter counter, long amount) {
        int i = counter.ordinal();
        VALUE.setOpaque(values, i, values[i] + amount);
    }

    /// Any thread.
    public long get(RouterCounter counter) {
        return (long) VALUE.getOpaque(values, counter.ordinal());
    }
}
