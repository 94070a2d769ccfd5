package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceNote;
import org.splitring.xenbus.device.DeviceNotes;

/// The notes of a vbd's rings, one after the other.
///
/// @param isFound whether a predecessor has made it: there are requests to be carried out again
record VbdNote(DeviceNote memory, List<QueueNote> queues, boolean isFound) {
    /// Makes the note of one ring. A test has one that ends the process.
    @FunctionalInterface
    interface Maker {
        QueueNote make(MemorySegment memory, int entries);
    }

    VbdNote {
        queues = List.copyOf(queues);
    }

    /// A new one for a connection.
    ///
    /// @throws DeviceException as [DeviceNotes#make]
    static VbdNote make(DeviceNotes notes, DevicePaths paths, List<RingKeys> rings, Maker maker)
            throws DeviceException {
        return begin(notes.make(paths, sizeBytes(rings)), rings, maker);
    }

    /// A new one that ends with the process.
    static VbdNote unkept(List<RingKeys> rings, Maker maker) {
        return begin(DeviceNote.unkept(sizeBytes(rings)), rings, maker);
    }

    private static VbdNote begin(DeviceNote memory, List<RingKeys> rings, Maker maker) {
        BlkifLayout layout = layout(rings);
        List<QueueNote> queues = queues(memory, rings, maker);
        queues.forEach(queue -> queue.begin(layout));
        return new VbdNote(memory, queues, false);
    }

    /// What a predecessor has left of a connection.
    ///
    /// @throws DeviceException as [DeviceNotes#find], and for rings of another shape
    static VbdNote find(
            DeviceNotes notes, DevicePaths paths, String id, List<RingKeys> rings, Maker maker)
            throws DeviceException {
        BlkifLayout layout = layout(rings);
        DeviceNote memory = notes.find(paths, id, sizeBytes(rings));
        List<QueueNote> queues = queues(memory, rings, maker);
        if (!queues.stream().allMatch(queue -> queue.isOf(layout))) {
            throw new DeviceException("the note is of rings of another kind");
        }
        return new VbdNote(memory, queues, true);
    }

    private static long sizeBytes(List<RingKeys> rings) {
        return rings.size() * QueueNote.sizeBytes(slots(rings));
    }

    private static List<QueueNote> queues(DeviceNote memory, List<RingKeys> rings, Maker maker) {
        int slots = slots(rings);
        long sizeBytes = QueueNote.sizeBytes(slots);
        List<QueueNote> queues = new ArrayList<>();
        for (int i = 0; i < rings.size(); i++) {
            queues.add(maker.make(memory.memory().asSlice(i * sizeBytes, sizeBytes), slots));
        }
        return queues;
    }

    /// The layout of a vbd's entries: the same on all rings.
    static BlkifLayout layout(List<RingKeys> rings) {
        return BlkifLayout.ofProtocol(rings.getFirst().protocol()).orElseThrow();
    }

    /// How many slots each ring of a vbd has.
    static int slots(List<RingKeys> rings) {
        int sizeBytes = rings.getFirst().grefs().size() * 4096 - 64;
        return Integer.highestOneBit(sizeBytes / layout(rings).entrySizeBytes());
    }
}
