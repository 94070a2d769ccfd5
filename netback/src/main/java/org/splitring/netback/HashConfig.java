package org.splitring.netback;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.splitring.bridge.Frame;
import org.splitring.wire.NetifCtrlLayout;

/// What a frontend has asked for through the control ring: which hash chooses its queue, with which
/// key, and which queue belongs to which value. On the loop.
///
/// It stands in a note too, for a successor; whoever is interrupted in changing it has not answered
/// the request for it, and it is changed again:
///
///     byte  0           4       8              64        128
///           +-----------+-------+--------------+---------+-------------
///           | algorithm | types | mapping size | key     | mapping ..
///           +-----------+-------+--------------+---------+-------------
final class HashConfig {
    /// How much memory the note takes.
    static final long NOTE_BYTES = 128 + 128 * 4;

    private static final long TYPES_AT = 4;
    private static final long SIZE_AT = 8;
    private static final long KEY_AT = 64;
    private static final long MAPPING_AT = 128;

    /// Largest mapping: `XEN_NETBK_MAX_HASH_MAPPING_SIZE` of Linux.
    static final int MAX_MAPPING_SIZE = 128;

    /// Every type of hash that there is.
    static final int ALL_TYPES =
            NetifCtrlLayout.HASH_TYPE_IPV4
                    | NetifCtrlLayout.HASH_TYPE_IPV4_TCP
                    | NetifCtrlLayout.HASH_TYPE_IPV6
                    | NetifCtrlLayout.HASH_TYPE_IPV6_TCP;

    private final FlowHash flow = new FlowHash();
    private final int queues;
    private int algorithm = NetifCtrlLayout.HASH_ALGORITHM_NONE;
    private int types;
    private int[] mapping = {};

    private final MemorySegment note;

    /// @param queues that the frontend has, 1 or more
    /// @param note zeroes, or what a predecessor has left
    HashConfig(int queues, MemorySegment note) {
        this.queues = queues;
        this.note = note;
        restore();
    }

    /// What makes no sense is left out. Nothing is written: a process that ends meanwhile leaves
    /// the note as it has found it.
    private void restore() {
        if (note.get(JAVA_INT, 0) == NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ) {
            algorithm = NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ;
        }
        types = note.get(JAVA_INT, TYPES_AT) & ALL_TYPES;
        flow.key(note.asSlice(KEY_AT, FlowHash.KEY_BYTES).toArray(ValueLayout.JAVA_BYTE));
        int size = note.get(JAVA_INT, SIZE_AT);
        if (size > 0 && size <= MAX_MAPPING_SIZE) {
            int[] found = note.asSlice(MAPPING_AT, 4L * size).toArray(JAVA_INT);
            mapping = areQueues(found) ? found : new int[size];
        }
    }

    private boolean areQueues(int[] entries) {
        for (int queue : entries) {
            if (Integer.compareUnsigned(queue, queues) >= 0) {
                return false;
            }
        }
        return true;
    }

    /// Chooses the queue for a frame. [#hashType] and [#hash] are then those of the frame.
    ///
    /// @return 0 to `queues - 1`
    int queueOf(Frame frame) {
        if (algorithm != NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ) {
            return queues == 1 ? 0 : Integer.remainderUnsigned(flow.simple(frame), queues);
        }
        flow.toeplitz(frame, types);
        if (flow.type() == 0) {
            return 0;
        }
        int[] map = mapping;
        return map.length == 0
                ? Integer.remainderUnsigned(flow.hash(), queues)
                : map[Integer.remainderUnsigned(flow.hash(), map.length)];
    }

    /// Type of the last frame's hash, to be told to the frontend; 0 without one.
    int hashType() {
        return algorithm == NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ ? flow.type() : 0;
    }

    int hash() {
        return flow.hash();
    }

    int setAlgorithm(int wanted) {
        if (wanted != NetifCtrlLayout.HASH_ALGORITHM_NONE
                && wanted != NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        algorithm = wanted;
        note.set(JAVA_INT, 0, wanted);
        return NetifCtrlLayout.STATUS_SUCCESS;
    }

    int setTypes(int wanted) {
        if ((wanted & ~ALL_TYPES) != 0 || algorithm == NetifCtrlLayout.HASH_ALGORITHM_NONE) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        types = wanted;
        note.set(JAVA_INT, TYPES_AT, wanted);
        return NetifCtrlLayout.STATUS_SUCCESS;
    }

    /// @param key private, [FlowHash#KEY_BYTES] bytes; a shorter key ends in zeros
    void setKey(byte[] key) {
        flow.key(key);
        MemorySegment.copy(key, 0, note, ValueLayout.JAVA_BYTE, KEY_AT, key.length);
    }

    /// @param size any 32 bits
    int setMappingSize(int size) {
        if (size < 0 || size > MAX_MAPPING_SIZE) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        mapping = new int[size];
        noteMapping();
        return NetifCtrlLayout.STATUS_SUCCESS;
    }

    int mappingSize() {
        return mapping.length;
    }

    /// Replaces a part of the mapping, all of it or nothing.
    ///
    /// @param entries private copies of what the frontend wrote
    /// @param offset inside the mapping, with all entries
    int setMapping(int[] entries, int offset) {
        if (!areQueues(entries)) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        int[] changed = mapping.clone();
        System.arraycopy(entries, 0, changed, offset, entries.length);
        mapping = changed;
        noteMapping();
        return NetifCtrlLayout.STATUS_SUCCESS;
    }

    private void noteMapping() {
        note.set(JAVA_INT, SIZE_AT, mapping.length);
        MemorySegment.copy(mapping, 0, note, JAVA_INT, MAPPING_AT, mapping.length);
    }
}
