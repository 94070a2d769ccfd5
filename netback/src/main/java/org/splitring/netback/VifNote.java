package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.splitring.wire.NetifCtrlLayout;
import org.splitring.wire.NetifRxLayout;
import org.splitring.wire.NetifTxLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceNote;
import org.splitring.xenbus.device.DeviceNotes;

/// The notes of a vif: of its control ring, of what was asked for there and about groups, and of
/// the two rings of each queue.
///
/// @param isFound whether a predecessor has made it
record VifNote(
        DeviceNote memory,
        boolean isFound,
        OrderedNote control,
        MemorySegment hash,
        MemorySegment multicast,
        List<QueueNotes> queues) {
    private static final int TX_ENTRIES = 256;
    private static final int RX_ENTRIES = 256;
    private static final int CONTROL_ENTRIES = 128;

    /// The notes of one queue.
    record QueueNotes(OrderedNote tx, OrderedNote rx) {}

    /// Makes the note of one ring. A test has one that ends the process.
    @FunctionalInterface
    interface Maker {
        OrderedNote make(MemorySegment memory, int entries, int entrySizeBytes);
    }

    VifNote {
        queues = List.copyOf(queues);
    }

    /// A new one for a connection.
    ///
    /// @throws DeviceException as [DeviceNotes#make]
    static VifNote make(DeviceNotes notes, DevicePaths paths, int queues, Maker maker)
            throws DeviceException {
        return begin(notes.make(paths, sizeBytes(queues)), queues, maker);
    }

    /// A new one that ends with the process.
    static VifNote unkept(int queues, Maker maker) {
        return begin(DeviceNote.unkept(sizeBytes(queues)), queues, maker);
    }

    private static VifNote begin(DeviceNote memory, int queues, Maker maker) {
        VifNote made = of(memory, false, queues, maker);
        made.control.begin();
        for (QueueNotes queue : made.queues) {
            queue.tx.begin();
            queue.rx.begin();
        }
        return made;
    }

    /// What a predecessor has left of a connection.
    ///
    /// @throws DeviceException as [DeviceNotes#find], and for what makes no sense
    static VifNote find(DeviceNotes notes, DevicePaths paths, String id, int queues, Maker maker)
            throws DeviceException {
        VifNote found = of(notes.find(paths, id, sizeBytes(queues)), true, queues, maker);
        boolean sound = found.control.isSound();
        for (QueueNotes queue : found.queues) {
            sound &= queue.tx.isSound() && queue.rx.isSound();
        }
        if (!sound) {
            throw new DeviceException("the note is of rings of another kind");
        }
        return found;
    }

    private static long sizeBytes(int queues) {
        return OrderedNote.sizeBytes(CONTROL_ENTRIES, NetifCtrlLayout.ENTRY_SIZE_BYTES)
                + HashConfig.NOTE_BYTES
                + MulticastFilter.NOTE_BYTES
                + queues
                        * (OrderedNote.sizeBytes(TX_ENTRIES, NetifTxLayout.ENTRY_SIZE_BYTES)
                                + OrderedNote.sizeBytes(
                                        RX_ENTRIES, NetifRxLayout.ENTRY_SIZE_BYTES));
    }

    private static VifNote of(DeviceNote memory, boolean isFound, int count, Maker maker) {
        Pieces pieces = new Pieces(memory.memory(), maker);
        OrderedNote control = pieces.ring(CONTROL_ENTRIES, NetifCtrlLayout.ENTRY_SIZE_BYTES);
        MemorySegment hash = pieces.next(HashConfig.NOTE_BYTES);
        MemorySegment multicast = pieces.next(MulticastFilter.NOTE_BYTES);
        List<QueueNotes> queues = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            queues.add(
                    new QueueNotes(
                            pieces.ring(TX_ENTRIES, NetifTxLayout.ENTRY_SIZE_BYTES),
                            pieces.ring(RX_ENTRIES, NetifRxLayout.ENTRY_SIZE_BYTES)));
        }
        return new VifNote(memory, isFound, control, hash, multicast, queues);
    }

    /// Cuts one piece after the other off the memory.
    private static final class Pieces {
        private final MemorySegment all;
        private final Maker maker;
        private long at;

        Pieces(MemorySegment all, Maker maker) {
            this.all = all;
            this.maker = maker;
        }

        MemorySegment next(long sizeBytes) {
            MemorySegment piece = all.asSlice(at, sizeBytes);
            at += sizeBytes;
            return piece;
        }

        OrderedNote ring(int entries, int entrySizeBytes) {
            return maker.make(
                    next(OrderedNote.sizeBytes(entries, entrySizeBytes)), entries, entrySizeBytes);
        }
    }
}
