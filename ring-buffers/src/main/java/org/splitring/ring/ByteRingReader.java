package org.splitring.ring;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// The consuming end of a ring of bytes: the console, the xenstore page and flexible rings all
/// have this shape.
///
/// `cons` and `prod` run freely as u32 and are masked only to address a byte, so a full ring
/// (`prod - cons` is the size) and an empty one (0) differ. Our `cons` lives here and is not read
/// back. The writer may put any value into `prod` at any moment: there is one place that reads it,
/// and it answers with a count that is within the ring, or with 0 and the ring marked broken.
///
/// One thread. After a read the peer is notified when it may be waiting for room: these protocols
/// have no event words.
public final class ByteRingReader {
    static final VarHandle INDEX =
            ValueLayout.JAVA_INT
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();

    private final MemorySegment indices;
    private final long consOffset;
    private final long prodOffset;
    private final MemorySegment data;
    private final int size;
    private int cons;
    private boolean broken;

    /// Attaches where `cons` stands now: 0 in a page just zeroed.
    ///
    /// @param indices holds the two indices, at four-byte boundaries
    /// @param data the ring's bytes, a power of two of them
    ByteRingReader(MemorySegment indices, long consOffset, long prodOffset, MemorySegment data) {
        this(indices, consOffset, prodOffset, data, (int) INDEX.getAcquire(indices, consOffset));
    }

    /// Attaches at an index of our own choice, which stands in shared memory already.
    ByteRingReader(
            MemorySegment indices, long consOffset, long prodOffset, MemorySegment data, int cons) {
        this.indices = indices;
        this.consOffset = consOffset;
        this.prodOffset = prodOffset;
        this.data = data;
        this.size = Math.toIntExact(data.byteSize());
        this.cons = cons;
    }

    public int sizeBytes() {
        return size;
    }

    /// How many bytes may be read now: 0 to [#sizeBytes]; 0 for ever once the ring is broken.
    public int readableBytes() {
        // Acquire: the index before the bytes. Pairs with the release in ByteRingWriter.write.
        int queued = (int) INDEX.getAcquire(indices, prodOffset) - cons;
        if (Integer.compareUnsigned(queued, size) > 0 || broken) {
            broken = true; // further ahead than the ring is long, or behind us
            return 0;
        }
        return queued;
    }

    /// Copies what is there into private memory, and frees its room.
    ///
    /// @param to receives at most `maxBytes` at `toOffset`
    /// @return how many bytes were copied: 0 when the ring is empty or broken
    public int read(MemorySegment to, long toOffset, int maxBytes) {
        int count = Math.min(readableBytes(), maxBytes);
        if (count <= 0) {
            return 0;
        }
        int slot = cons & (size - 1);
        int first = Math.min(count, size - slot);
        MemorySegment.copy(data, slot, to, toOffset, first);
        MemorySegment.copy(data, 0, to, toOffset + first, count - first);
        cons += count;
        // Release: our copy before the index that lets the writer overwrite the bytes. Pairs with
        // the acquire in ByteRingWriter.writableBytes.
        INDEX.setRelease(indices, consOffset, cons);
        return count;
    }

    /// The writer's index as it stands in shared memory, whatever it is: to be shown, not used.
    public int sharedProd() {
        return (int) INDEX.getOpaque(indices, prodOffset);
    }

    /// How far we have read.
    public int cons() {
        return cons;
    }

    /// Whether the writer has put an impossible index there: the device is to be stopped.
    public boolean isBroken() {
        return broken;
    }
}
