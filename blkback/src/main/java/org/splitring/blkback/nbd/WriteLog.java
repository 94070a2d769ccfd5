package org.splitring.blkback.nbd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Copies of writes that a server may still lose: those that are under way, and those that it has
/// acknowledged and not made stable. In the order in which they were begun, bounded in bytes and
/// in number.
///
///     begun ─> PENDING ─acknowledged─> ACKED ─flush that started after─> COVERED: room again
///                 └────────────failed, or stable at once────────────────────┘
///
/// The bytes stand in a ring, each write's in one piece. Room is given back in the order of the
/// ring. A write of zeros takes an entry and no bytes.
///
/// Any thread.
final class WriteLog implements AutoCloseable {
    /// Answer of [#begin]: there is no room now.
    static final long NO_ROOM = -1;

    static final int DEFAULT_BYTES = 32 << 20;

    private static final int ENTRIES = 8_192;
    private static final byte PENDING = 0;
    private static final byte ACKED = 1;
    private static final byte COVERED = 2;

    private final int capacityBytes;

    // Guarded by this. An entry's place in the arrays is its number modulo their length.
    private @Nullable Arena arena;
    private @Nullable MemorySegment memory;
    private final long[] offsets = new long[ENTRIES];
    private final int[] lengths = new int[ENTRIES];
    private final int[] starts = new int[ENTRIES]; // in memory, or -1 for zeros
    private final int[] taken = new int[ENTRIES]; // bytes of the ring, with what was skipped
    private final byte[] states = new byte[ENTRIES];
    private final long[] stamps = new long[ENTRIES]; // flushes begun before it was acknowledged
    private long first;
    private long end;
    private int usedBytes;
    private int nextByte;
    private int acked;
    private long flushes;

    /// @param capacityBytes at least as many as the largest write
    WriteLog(int capacityBytes) {
        this.capacityBytes = capacityBytes;
    }

    /// Makes room for a write.
    ///
    /// @param zeros whether it has no bytes of its own
    /// @return its number, or [#NO_ROOM]
    synchronized long begin(long offset, int length, boolean zeros) {
        if (memory == null) {
            arena = Arena.ofShared();
            memory = arena.allocate(capacityBytes, 4096);
        }
        if (first == end) {
            usedBytes = 0;
            nextByte = 0;
        }
        int bytes = zeros ? 0 : length;
        int skipped = bytes > capacityBytes - nextByte ? capacityBytes - nextByte : 0;
        if (end - first == ENTRIES || bytes > capacityBytes - usedBytes - skipped) {
            return NO_ROOM;
        }
        int start = bytes > capacityBytes - nextByte ? 0 : nextByte;
        int at = place(end);
        offsets[at] = offset;
        lengths[at] = length;
        starts[at] = zeros ? -1 : start;
        taken[at] = skipped + bytes;
        states[at] = PENDING;
        usedBytes += skipped + bytes;
        nextByte = start + bytes;
        return end++;
    }

    /// The memory in which the bytes stand.
    synchronized MemorySegment memory() {
        if (memory == null) {
            throw new IllegalStateException("no write was begun, or the log is closed");
        }
        return memory;
    }

    /// Where in [#memory] the bytes of a write are, or -1 for zeros.
    synchronized int start(long entry) {
        return starts[place(entry)];
    }

    synchronized long offset(long entry) {
        return offsets[place(entry)];
    }

    synchronized int length(long entry) {
        return lengths[place(entry)];
    }

    /// The server has acknowledged it; whatever flush is under way may not cover it.
    synchronized void acknowledged(long entry) {
        int at = place(entry);
        states[at] = ACKED;
        stamps[at] = flushes;
        acked++;
        notifyAll();
    }

    /// It need not be kept: it is stable, or was refused. Nothing happens when it is not pending.
    synchronized void forget(long entry) {
        if (entry >= first && entry < end && states[place(entry)] == PENDING) {
            states[place(entry)] = COVERED;
            giveBack();
        }
    }

    /// A flush is about to be sent for the first time.
    ///
    /// @return for [#flushed]
    synchronized long beginFlush() {
        return ++flushes;
    }

    /// A flush has succeeded: what had been acknowledged before it began is stable.
    synchronized void flushed(long flush) {
        for (long entry = first; entry < end; entry++) {
            int at = place(entry);
            if (states[at] == ACKED && stamps[at] < flush) {
                states[at] = COVERED;
                acked--;
            }
        }
        giveBack();
    }

    private void giveBack() {
        while (first < end && states[place(first)] == COVERED) {
            usedBytes -= taken[place(first)];
            first++;
        }
        notifyAll();
    }

    /// Whether a flush would make room, now or once other writes are acknowledged.
    synchronized boolean hasAcknowledged() {
        return acked > 0;
    }

    /// The first write from `entry` on that was acknowledged and may be lost, or -1. To go through
    /// them, start at 0.
    synchronized long nextAcknowledged(long entry) {
        for (long each = Math.max(entry, first); each < end; each++) {
            if (states[place(each)] == ACKED) {
                return each;
            }
        }
        return -1;
    }

    /// How many bytes may be lost, those under way included.
    synchronized int usedBytes() {
        return first == end ? 0 : usedBytes;
    }

    private static int place(long entry) {
        return (int) (entry % ENTRIES);
    }

    /// Gives the memory back; nobody uses it any more.
    @Override
    public synchronized void close() {
        if (arena != null) {
            arena.close();
        }
        arena = null;
        memory = null;
    }
}
