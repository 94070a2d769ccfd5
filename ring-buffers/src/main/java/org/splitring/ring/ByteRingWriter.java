package org.splitring.ring;

import static org.splitring.ring.ByteRingReader.INDEX;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// The producing end of a ring of bytes: see [ByteRingReader].
///
/// Our `prod` lives here and is not read back. The reader may put any value into `cons` at any
/// moment: there is one place that reads it, and it answers with room that is within the ring, or
/// with 0 and the ring marked broken.
///
/// One thread. After a write the peer is notified.
public final class ByteRingWriter {
    private final MemorySegment indices;
    private final long consOffset;
    private final long prodOffset;
    private final MemorySegment data;
    private final int size;
    private int prod;
    private boolean broken;

    /// Attaches where `prod` stands now: 0 in a page just zeroed.
    ///
    /// @param indices holds the two indices, at four-byte boundaries
    /// @param data the ring's bytes, a power of two of them
    ByteRingWriter(MemorySegment indices, long consOffset, long prodOffset, MemorySegment data) {
        this(indices, consOffset, prodOffset, data, (int) INDEX.getAcquire(indices, prodOffset));
    }

    /// Attaches at an index of our own choice, which stands in shared memory already.
    ByteRingWriter(
            MemorySegment indices, long consOffset, long prodOffset, MemorySegment data, int prod) {
        this.indices = indices;
        this.consOffset = consOffset;
        this.prodOffset = prodOffset;
        this.data = data;
        this.size = Math.toIntExact(data.byteSize());
        this.prod = prod;
    }

    public int sizeBytes() {
        return size;
    }

    /// How many bytes may be written now: 0 to [#sizeBytes]; 0 for ever once the ring is broken.
    public int writableBytes() {
        // Acquire: the reader's copy before our overwriting it. Pairs with the release in
        // ByteRingReader.read.
        int queued = prod - (int) INDEX.getAcquire(indices, consOffset);
        if (Integer.compareUnsigned(queued, size) > 0 || broken) {
            broken = true; // ahead of what was written, or further behind than the ring is long
            return 0;
        }
        return size - queued;
    }

    /// Copies as much as there is room for into the ring, and publishes it.
    ///
    /// @return how many bytes were written: 0 when the ring is full or broken
    public int write(MemorySegment from, long fromOffset, int length) {
        int count = Math.min(writableBytes(), length);
        if (count <= 0) {
            return 0;
        }
        int slot = prod & (size - 1);
        int first = Math.min(count, size - slot);
        MemorySegment.copy(from, fromOffset, data, slot, first);
        MemorySegment.copy(from, fromOffset + first, data, 0, count - first);
        prod += count;
        // Release: the bytes before the index. Pairs with the acquire in
        // ByteRingReader.readableBytes.
        INDEX.setRelease(indices, prodOffset, prod);
        return count;
    }

    /// Copies what was written and not taken yet, for whoever writes it again elsewhere when this
    /// ring goes. A reader that is still there may take it as well, and may have changed the bytes:
    /// they are in memory that it shares.
    ///
    /// @return 0 to [#sizeBytes] bytes; none when the ring is broken
    public byte[] unread() {
        int count = size - writableBytes();
        if (broken) {
            return new byte[0];
        }
        byte[] unread = new byte[count];
        int slot = (prod - count) & (size - 1);
        int first = Math.min(count, size - slot);
        MemorySegment.copy(data, ValueLayout.JAVA_BYTE, slot, unread, 0, first);
        MemorySegment.copy(data, ValueLayout.JAVA_BYTE, 0, unread, first, count - first);
        return unread;
    }

    /// The reader's index as it stands in shared memory, whatever it is: to be shown, not used.
    public int sharedCons() {
        return (int) INDEX.getOpaque(indices, consOffset);
    }

    /// How far we have written.
    public int prod() {
        return prod;
    }

    /// Whether the reader has put an impossible index there: the device is to be stopped.
    public boolean isBroken() {
        return broken;
    }
}
