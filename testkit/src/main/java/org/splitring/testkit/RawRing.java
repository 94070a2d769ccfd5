package org.splitring.testkit;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;

/// The bare words of a shared ring, for a peer that keeps no rules. Nothing is checked; whatever is
/// written is visible to the other end at once.
///
/// The offsets stand here as numbers on purpose: a double that shares the layout class of what it
/// tests would share its mistakes.
public sealed class RawRing permits HostileFrontend, HostileBackend {
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle WORD = U32.varHandle();

    private static final long REQ_PROD = 0;
    private static final long REQ_EVENT = 4;
    private static final long RSP_PROD = 8;
    private static final long RSP_EVENT = 12;
    private static final long RING = 64;

    private final MemorySegment ring;
    private final int entrySizeBytes;
    private final int entries;

    /// @param ring whole pages
    /// @param entrySizeBytes distance of the slots
    public RawRing(MemorySegment ring, int entrySizeBytes) {
        this.ring = ring;
        this.entrySizeBytes = entrySizeBytes;
        entries = Integer.highestOneBit((int) ((ring.byteSize() - RING) / entrySizeBytes));
    }

    /// Makes the ring empty with all indices at `index`: near 2^32 wrapping is the normal case.
    public final void initialiseAt(int index) {
        ring.fill((byte) 0);
        reqProd(index);
        rspProd(index);
        reqEvent(index + 1);
        rspEvent(index + 1);
    }

    public final int entries() {
        return entries;
    }

    public final int reqProd() {
        return get(REQ_PROD);
    }

    public final int reqEvent() {
        return get(REQ_EVENT);
    }

    public final int rspProd() {
        return get(RSP_PROD);
    }

    public final int rspEvent() {
        return get(RSP_EVENT);
    }

    public final void reqProd(int index) {
        set(REQ_PROD, index);
    }

    public final void reqEvent(int index) {
        set(REQ_EVENT, index);
    }

    public final void rspProd(int index) {
        set(RSP_PROD, index);
    }

    public final void rspEvent(int index) {
        set(RSP_EVENT, index);
    }

    private int get(long offset) {
        return (int) WORD.getVolatile(ring, offset);
    }

    private void set(long offset, int value) {
        WORD.setVolatile(ring, offset, value);
    }

    /// Byte offset of the slot of an index, any index.
    public final long slotOffset(int index) {
        return RING + (long) (index & (entries - 1)) * entrySizeBytes;
    }

    /// The slot of an index, to be edited at any time, published or not.
    public final MemorySegment slot(int index) {
        return ring.asSlice(slotOffset(index), entrySizeBytes);
    }

    /// Writes anything into the four indices and into all slots.
    public final void scribble(SplittableRandom random) {
        reqProd(random.nextInt());
        reqEvent(random.nextInt());
        rspProd(random.nextInt());
        rspEvent(random.nextInt());
        for (int i = 0; i < entries(); i++) {
            MemorySegment slot = slot(i);
            byte[] bytes = new byte[(int) slot.byteSize()];
            random.nextBytes(bytes);
            MemorySegment.copy(MemorySegment.ofArray(bytes), 0, slot, 0, bytes.length);
        }
    }

    /// Changes one word between two values as fast as it can, until closed: what a check and a
    /// later use must not see differently.
    ///
    /// @param offset byte offset in the ring, a multiple of 4
    public final Flipper flip(long offset, int one, int other) {
        return new Flipper(ring, offset, one, other);
    }

    /// A thread that keeps writing.
    public static final class Flipper implements AutoCloseable {
        private final AtomicBoolean stop = new AtomicBoolean();
        private final Thread thread;

        private Flipper(MemorySegment memory, long offset, int one, int other) {
            thread =
                    new Thread(
                            () -> {
                                while (!stop.get()) {
                                    WORD.setVolatile(memory, offset, one);
                                    WORD.setVolatile(memory, offset, other);
                                }
                            },
                            "flipper");
            thread.setDaemon(true);
            thread.start();
        }

        /// Ends the writing and waits for the end of its thread.
        @Override
        public void close() {
            stop.set(true);
            boolean interrupted = false;
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
