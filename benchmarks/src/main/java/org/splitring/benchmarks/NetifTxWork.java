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

    private static final VarHandle LONG =
            ValueLayout.JAVA_LONG_UNALIGNED
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();

    @Override
    public int entrySizeBytes() {
        return ENTRY_SIZE;
    }

    @Override
    public void fill(MemorySegment ring, long at, int id, int count) {
        fill(ring, at, id);
        for (int i = 1; i < count; i++) {
            fill(ring, at + (long) i * ENTRY_SIZE, id + i);
        }
    }

    private static void fill(MemorySegment ring, long at, int id) {
        LONG.set(ring, at + 0L, FIRST_GREF + (id & 255L) | (long) OFFSET << 32);
        INT.set(ring, at + 8L, (id & 0xFFFF) | SIZE << 16);
    }

    @Override
    public void answer(MemorySegment ring, long requestAt, long responseAt, int count) {
        answer(ring, requestAt, responseAt);
        for (int i = 1; i < count; i++) {
            answer(ring, requestAt + (long) i * ENTRY_SIZE, responseAt + (long) i * ENTRY_SIZE);
        }
    }

    private static void answer(MemorySegment ring, long requestAt, long responseAt) {
        long head = (long) LONG.get(ring, requestAt + 0L);
        int gref = (int) head;
        int offsetAndFlags = (int) (head >>> 32);
        int idAndSize = (int) INT.get(ring, requestAt + 8L);
        int size = idAndSize >>> 16;
        boolean good =
                gref >= FIRST_GREF
                        && offsetAndFlags >>> 16 == 0
                        && size >= 14
                        && (offsetAndFlags & 0xFFFF) + size <= 4096;
        INT.set(ring, responseAt + 0L, (idAndSize & 0xFFFF) | (good ? OKAY : ERROR) << 16);
    }

    @Override
    public boolean areAnswersTo(MemorySegment ring, long at, int id, int count) {
        if (!isAnswerTo(ring, at, id)) {
            return false;
        }
        for (int i = 1; i < count; i++) {
            if (!isAnswerTo(ring, at + (long) i * ENTRY_SIZE, id + i)) {
                return false;
            }
        }
        return true;
    }

    private static boolean isAnswerTo(MemorySegment ring, long at, int id) {
        return (int) INT.get(ring, at + 0L) == ((id & 0xFFFF) | OKAY << 16);
    }
}
