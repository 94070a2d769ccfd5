package org.splitring.benchmarks;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// Entries of 12 bytes: frames of one piece, `struct netif_tx_request`.
///
///     byte  0        4        6        8        10       12
///           +--------+--------+--------+--------+--------+
///           | gref   | offset | flags  | id     | size   |    response: id 0, status 2
///           +--------+--------+--------+--------+--------+
///
/// Source: Xen `public/io/netif.h`.
final class NetifTxWork implements EntryWork {
    static final int ENTRY_SIZE = 12;
    static final int RESPONSE_SIZE = 4;
    static final int FIRST_GREF = 8;
    static final int OFFSET = 64;
    static final int SIZE = 1514;
    static final int OKAY = 0;
    static final int ERROR = -1;

    private static final VarHandle INT =
            ValueLayout.JAVA_INT_UNALIGNED
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();
    private static final VarHandle SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();

    @Override
    public int entrySizeBytes() {
        return ENTRY_SIZE;
    }

    @Override
    public void fill(MemorySegment ring, long slot, int id) {
        INT.set(ring, slot, FIRST_GREF + (id & 255));
        SHORT.set(ring, slot + 4, (short) OFFSET);
        SHORT.set(ring, slot + 6, (short) 0);
        SHORT.set(ring, slot + 8, (short) id);
        SHORT.set(ring, slot + 10, (short) SIZE);
    }

    @Override
    public void answer(MemorySegment ring, long requestSlot, long responseSlot) {
        int offset = Short.toUnsignedInt((short) SHORT.get(ring, requestSlot + 4));
        short id = (short) SHORT.get(ring, requestSlot + 8);
        int size = Short.toUnsignedInt((short) SHORT.get(ring, requestSlot + 10));
        boolean good =
                (int) INT.get(ring, requestSlot) >= FIRST_GREF
                        && (short) SHORT.get(ring, requestSlot + 6) == 0
                        && size >= 14
                        && offset + size <= 4096;
        SHORT.set(ring, responseSlot, id);
        SHORT.set(ring, responseSlot + 2, (short) (good ? OKAY : ERROR));
    }

    @Override
    public boolean isAnswerTo(MemorySegment ring, long slot, int id) {
        return (short) SHORT.get(ring, slot) == (short) id
                && (short) SHORT.get(ring, slot + 2) == OKAY;
    }
}
