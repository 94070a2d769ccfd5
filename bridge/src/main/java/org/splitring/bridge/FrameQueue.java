package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/// Copies of frames on their way from one thread to another: a ring of bytes with one writer and
/// one reader, of fixed size.
///
///     byte  0     4          8             12            16     20     24     28     32
///           +-----+----------+-------------+-------------+------+------+------+------+------ - -
///           | size| checksum | csum start  | csum offset | gso  | gso  | hash | hash | frame,
///           |     | state    |             |             | type | size |      | type | to 8 bytes
///           +-----+----------+-------------+-------------+------+------+------+------+------ - -
///
/// A size of -1 says that the rest up to the end of the ring is empty.
final class FrameQueue {
    private static final int ENTRY_BYTES = 32;
    private static final int SKIP = -1;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ChecksumState[] STATES = ChecksumState.values();
    private static final GsoType[] TYPES = GsoType.values();

    private final MemorySegment ring;
    private final int size;
    // Free-running positions.
    private final AtomicLong published = new AtomicLong();
    private final AtomicLong consumed = new AtomicLong();

    // The writer's: what it has written, and how far it knows the reader to be.
    private long written;
    private long knownConsumed;

    // The reader's.
    private long read;
    private final Frame frame = new Frame();

    /// @param sizeBytes a multiple of 8, with room for the largest frame twice
    FrameQueue(int sizeBytes) {
        if (sizeBytes % 8 != 0 || sizeBytes < 2 * (ENTRY_BYTES + Frame.MAX_BYTES + 8)) {
            throw new IllegalArgumentException("a queue of " + sizeBytes + " bytes");
        }
        size = sizeBytes;
        ring = Arena.ofAuto().allocate(sizeBytes, 64);
    }

    /// Copies a frame in. The writer's thread; the reader sees it after [#publish].
    ///
    /// @return `false` when there is no room
    @SuppressWarnings("EnumOrdinal") // never leaves this class
    boolean offer(Frame from) {
        int length = ENTRY_BYTES + (from.sizeBytes() + 7 & ~7);
        int at = (int) (written % size);
        int skip = at + length > size ? size - at : 0;
        if (written + skip + length - knownConsumed > size) {
            // Acquire: the reader is done with the bytes that are written over. Pairs with release
            // in read.
            knownConsumed = consumed.getAcquire();
            if (written + skip + length - knownConsumed > size) {
                return false;
            }
        }
        if (skip > 0) {
            ring.set(INT, at, SKIP);
            written += skip;
            at = 0;
        }
        ring.set(INT, at, from.sizeBytes());
        ring.set(INT, at + 4L, from.checksumState().ordinal());
        ring.set(INT, at + 8L, from.checksumStart());
        ring.set(INT, at + 12L, from.checksumOffset());
        ring.set(INT, at + 16L, from.gsoType().ordinal());
        ring.set(INT, at + 20L, from.gsoSizeBytes());
        ring.set(INT, at + 24L, from.flowHash());
        ring.set(INT, at + 28L, from.flowHashType());
        from.copyTo(ring, at + ENTRY_BYTES, 0, from.sizeBytes());
        written += length;
        return true;
    }

    /// Shows the reader what was written. The writer's thread.
    void publish() {
        // The bytes before the position, and the position before the look at whether the reader is
        // awake (LoopCrossing.wake): so not only a release. Pairs with get in next and isEmpty.
        published.set(written);
    }

    /// The oldest frame, valid until [#free]; null when there is none. The reader's thread.
    @Nullable Frame next() {
        // The position before the bytes, and after what the reader said of being awake. Pairs with
        // set in publish.
        if (read == published.get()) {
            return null;
        }
        int at = (int) (read % size);
        if (ring.get(INT, at) == SKIP) {
            read += size - at;
            at = 0;
        }
        int length = ring.get(INT, at);
        frame.reset();
        frame.append(ring, at + ENTRY_BYTES, length);
        ChecksumState state = STATES[ring.get(INT, at + 4L)];
        if (state == ChecksumState.PARTIAL) {
            frame.partialChecksum(ring.get(INT, at + 8L), ring.get(INT, at + 12L));
        } else {
            frame.completeChecksum(state);
        }
        frame.gso(TYPES[ring.get(INT, at + 16L)], ring.get(INT, at + 20L));
        frame.flowHash(ring.get(INT, at + 24L), ring.get(INT, at + 28L));
        read += ENTRY_BYTES + (length + 7 & ~7);
        return frame;
    }

    /// Gives the room of all frames that [#next] returned back. The reader's thread.
    void free() {
        consumed.setRelease(read);
    }

    boolean isEmpty() {
        return read == published.get();
    }
}
