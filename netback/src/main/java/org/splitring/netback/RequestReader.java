package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import org.splitring.ring.BackRing;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifTxLayout;

/// Takes slots off the tx ring into private memory, once, and makes a [CheckedFrame] of those that
/// belong together. Nothing of a frame is believed that has not been through here.
///
/// | what is on the ring | verdict |
/// |---|---|
/// | `MORE_DATA` or `EXTRA_INFO` in the last slot published | the vif is closed |
/// | more than 20 slots of data | the vif is closed |
/// | `offset + size` beyond the page, in any slot | the vif is closed |
/// | an extra of type 0 or unknown, GSO size 0, unknown GSO type | the vif is closed |
/// | 19 or 20 slots of data | the frame is dropped: ERROR in all its slots |
/// | more in further slots than the first one's size, which wraps at 64 KiB | dropped |
/// | smaller than an Ethernet header | dropped |
/// | a slot of 0 bytes, first or not | fine; its reference is not looked at |
/// | an extra to add or remove a multicast address | no frame: see [#MULTICAST] |
///
/// Linux also drops a frame of which less than 14 bytes are in the first slot; here its header is
/// put together from as many slots as it takes.
///
/// Source: Xen `public/io/netif.h`; the verdicts are those of Linux's `xenvif_count_requests`.
final class RequestReader {
    /// Nothing is on the ring.
    static final int EMPTY = 0;

    /// A frame to be sent.
    static final int FRAME = 1;

    /// A frame to be answered with ERROR.
    static final int BAD = 2;

    /// A multicast address is added or removed; nothing is sent.
    static final int MULTICAST = 3;

    private final BackRing ring;
    private final OrderedNote note;
    private final int entries;
    private final int mask;
    private final MemorySegment slots; // copies, each in the place that it has on the ring
    private int head; // index of the first copy that is not accepted yet
    private int tail; // index after the last copy
    private int end; // index after the frame that was read last

    /// @param note has the copies, also those that a predecessor has left without an answer: they
    ///     are read first
    RequestReader(BackRing ring, OrderedNote note) {
        this.ring = ring;
        this.note = note;
        entries = ring.entries();
        mask = entries - 1;
        slots = note.copies();
        head = ring.responseIndex();
        end = head;
        tail = head + ring.unansweredRequests();
    }

    /// Copies what the frontend has published, as far as there is room.
    ///
    /// @return how many slots are here and not accepted
    /// @throws org.splitring.ring.RingBrokenException as the ring
    int fill() {
        // A copy stays until its answer is published: a successor may need it.
        int room = entries - (tail - ring.publishedIndex());
        int count = Math.min(ring.unconsumedRequests(), room);
        if (count > 0) {
            int index = ring.consumeRequestIndices(count);
            copy(index, count);
            tail = index + count;
            note.taken(tail);
        }
        return tail - head;
    }

    private void copy(int index, int count) {
        int first = Math.min(count, entries - (index & mask));
        MemorySegment.copy(
                ring.segment(),
                ring.slotOffset(index),
                slots,
                at(index),
                (long) first * NetifTxLayout.ENTRY_SIZE_BYTES);
        if (first < count) {
            MemorySegment.copy(
                    ring.segment(),
                    ring.slotOffset(index + first),
                    slots,
                    at(index + first),
                    (long) (count - first) * NetifTxLayout.ENTRY_SIZE_BYTES);
        }
    }

    private long at(int index) {
        return (long) (index & mask) * NetifTxLayout.ENTRY_SIZE_BYTES;
    }

    /// Whether there are copies that nobody has accepted.
    boolean hasLeft() {
        return tail != head;
    }

    /// Reads the next frame, and leaves it where it is until [#accept].
    ///
    /// @return [#EMPTY], [#FRAME], [#BAD] or [#MULTICAST]
    /// @throws VifFatalException when the vif is to be closed
    int read(CheckedFrame into) {
        if (head == tail) {
            return EMPTY;
        }
        long slot = at(head);
        end = head + 1;
        long first = NetifTxLayout.readHead(slots, slot);
        int second = NetifTxLayout.readTail(slots, slot);
        into.flags = NetifTxLayout.flagsOf(first);
        into.sizeBytes = NetifTxLayout.sizeOf(second);
        into.ids[0] = NetifTxLayout.idOf(second);
        into.grefs[0] = NetifTxLayout.grefOf(first);
        into.offsets[0] = NetifTxLayout.offsetOf(first);
        into.sizes[0] = into.sizeBytes;
        into.count = 1;
        into.extras = 0;
        into.gsoType = NetifExtraLayout.GSO_TYPE_NONE;
        into.gsoSizeBytes = 0;
        into.hashType = 0;
        if ((into.flags & NetifTxLayout.EXTRA_INFO) != 0 && readExtras(into)) {
            return MULTICAST;
        }
        boolean good = (into.flags & NetifTxLayout.MORE_DATA) == 0 || readPieces(into);
        if (!good) {
            return BAD;
        }
        if (into.offsets[0] + into.sizes[0] > 4096) {
            throw VifFatalException.CROSSES_PAGE;
        }
        return into.sizeBytes < 14 ? BAD : FRAME;
    }

    /// Makes sure that there is a copy of slot `end`.
    private boolean hasMore() {
        if (end == tail) {
            int ignored = fill(); // published since
        }
        return end != tail;
    }

    /// @return whether it is a request about a multicast address
    private boolean readExtras(CheckedFrame into) {
        boolean multicast = false;
        int flags;
        do {
            if (!hasMore()) {
                throw VifFatalException.MISSING_EXTRA;
            }
            long slot = at(end++);
            into.extras++;
            flags = NetifExtraLayout.flags(slots, slot);
            int type = NetifExtraLayout.type(slots, slot);
            switch (type) {
                case NetifExtraLayout.TYPE_GSO -> {
                    into.gsoType = NetifExtraLayout.gsoType(slots, slot);
                    into.gsoSizeBytes = NetifExtraLayout.gsoSize(slots, slot);
                    checkGso(into);
                }
                case NetifExtraLayout.TYPE_MCAST_ADD, NetifExtraLayout.TYPE_MCAST_DEL -> {
                    multicast = true;
                    into.multicastAddress = NetifExtraLayout.mcastAddress(slots, slot);
                    into.multicastAdded = type == NetifExtraLayout.TYPE_MCAST_ADD;
                }
                case NetifExtraLayout.TYPE_HASH -> {
                    int hashType = NetifExtraLayout.hashType(slots, slot);
                    into.hashType = hashType < 4 ? 1 << hashType : 0;
                    into.hash = NetifExtraLayout.hashValue(slots, slot);
                }
                default -> throw VifFatalException.EXTRA_TYPE;
            }
        } while ((flags & NetifExtraLayout.FLAG_MORE) != 0);
        return multicast;
    }

    private static void checkGso(CheckedFrame frame) {
        if (frame.gsoSizeBytes == 0) {
            throw VifFatalException.GSO_SIZE;
        }
        if (frame.gsoType != NetifExtraLayout.GSO_TYPE_TCPV4
                && frame.gsoType != NetifExtraLayout.GSO_TYPE_TCPV6) {
            throw VifFatalException.GSO_TYPE;
        }
    }

    /// @return whether the frame may be sent
    private boolean readPieces(CheckedFrame into) {
        boolean good = true;
        int left = into.sizeBytes; // of the first slot, after those that follow
        int flags;
        do {
            if (!hasMore()) {
                throw VifFatalException.UNFINISHED;
            }
            int i = into.count;
            if (i == CheckedFrame.FATAL_SLOTS) {
                throw VifFatalException.TOO_MANY_SLOTS;
            }
            long slot = at(end++);
            into.count = i + 1;
            long first = NetifTxLayout.readHead(slots, slot);
            int second = NetifTxLayout.readTail(slots, slot);
            into.ids[i] = NetifTxLayout.idOf(second);
            into.grefs[i] = NetifTxLayout.grefOf(first);
            into.offsets[i] = NetifTxLayout.offsetOf(first);
            into.sizes[i] = NetifTxLayout.sizeOf(second);
            flags = NetifTxLayout.flagsOf(first);
            good &= i < NetifTxLayout.NR_SLOTS_MIN && into.sizes[i] <= left;
            left -= into.sizes[i];
            if (into.offsets[i] + into.sizes[i] > 4096) {
                throw VifFatalException.CROSSES_PAGE;
            }
        } while ((flags & NetifTxLayout.MORE_DATA) != 0);
        into.sizes[0] = left;
        return good;
    }

    /// Moves past the frame that was read last: it will be answered.
    void accept() {
        head = end;
    }
}
