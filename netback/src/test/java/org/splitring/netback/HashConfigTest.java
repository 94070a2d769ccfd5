package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.splitring.bridge.Frame;
import org.splitring.wire.NetifCtrlLayout;

/// What was asked for about hashes, and what a successor finds of it.
class HashConfigTest {
    private static final int QUEUES = 4;
    private static final int SIZE_AT = 8;
    private static final int MAPPING_AT = 128;

    private final MemorySegment note = Arena.ofAuto().allocate(HashConfig.NOTE_BYTES, 64);
    private final HashConfig config = new HashConfig(QUEUES, note);
    private final Frame frame = frame(1);

    private static Frame frame(int from) {
        byte[] bytes = Packets.ip4(Packets.mac(2), Packets.mac(from), 6, 10, false);
        Frame made = new Frame();
        made.reset();
        made.append(Arena.ofAuto().allocateFrom(ValueLayout.JAVA_BYTE, bytes), 0, bytes.length);
        return made;
    }

    private static byte[] key(int first) {
        byte[] key = new byte[FlowHash.KEY_BYTES];
        for (int i = 0; i < key.length; i++) {
            key[i] = (byte) (first + 7 * i);
        }
        return key;
    }

    private void askForAll() {
        assertEquals(0, config.setAlgorithm(NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ));
        assertEquals(0, config.setTypes(NetifCtrlLayout.HASH_TYPE_IPV4));
        config.setKey(key(3));
        assertEquals(0, config.setMappingSize(3));
        assertEquals(0, config.setMapping(new int[] {3, 2, 1}, 0));
    }

    /// In memory that may only be read: a process that ends while it does so has changed nothing.
    private HashConfig successor() {
        return new HashConfig(QUEUES, note.asReadOnly());
    }

    @Test
    void aSuccessorFindsAllOfItAndWritesNothing() {
        askForAll();
        HashConfig found = successor();
        assertEquals(3, found.mappingSize());
        for (int from = 1; from < 40; from++) {
            Frame each = frame(from);
            assertEquals(config.queueOf(each), found.queueOf(each));
            assertNotEquals(0, found.queueOf(each), "the mapping");
            assertEquals(NetifCtrlLayout.HASH_TYPE_IPV4, found.hashType());
            assertEquals(config.hash(), found.hash());
        }
    }

    @Test
    void eachChangeIsFound() {
        askForAll();
        config.setKey(key(4));
        assertEquals(0, config.setTypes(NetifCtrlLayout.HASH_TYPE_IPV4_TCP));
        config.queueOf(frame);
        HashConfig found = successor();
        found.queueOf(frame);
        assertEquals(config.hash(), found.hash());
        assertEquals(NetifCtrlLayout.HASH_TYPE_IPV4_TCP, found.hashType());
        assertEquals(0, config.setMapping(new int[] {0}, 2));
        assertEquals(
                0, note.get(ValueLayout.JAVA_INT, MAPPING_AT + 8), "the third one is 0 there too");
        assertEquals(0, config.setMappingSize(2));
        assertEquals(2, successor().mappingSize());
        assertEquals(0, config.setAlgorithm(NetifCtrlLayout.HASH_ALGORITHM_NONE));
        found = successor();
        found.queueOf(frame);
        assertEquals(0, found.hashType());
    }

    @Test
    void aNewSizeLeavesNothingOfTheOldMapping() {
        askForAll();
        assertEquals(0, config.setMappingSize(3));
        assertEquals(0, successor().queueOf(frame));
    }

    @Test
    void whatMakesNoSenseIsLeftOut() {
        askForAll();
        note.set(ValueLayout.JAVA_INT, MAPPING_AT + 4, QUEUES);
        HashConfig found = successor();
        assertEquals(3, found.mappingSize());
        assertEquals(0, found.queueOf(frame), "a queue that is not there: none of them counts");
        for (int size : new int[] {-1, 129, Integer.MAX_VALUE}) {
            note.set(ValueLayout.JAVA_INT, SIZE_AT, size);
            assertEquals(0, successor().mappingSize());
        }
        note.set(ValueLayout.JAVA_INT, 4, -1);
        assertEquals(HashConfig.ALL_TYPES & 2, typeOf(successor()));
        note.set(ValueLayout.JAVA_INT, 0, 77);
        assertEquals(0, typeOf(successor()));
    }

    private int typeOf(HashConfig found) {
        found.queueOf(frame);
        return found.hashType();
    }
}
