package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.splitring.ring.BackRing;
import org.splitring.wire.NetifTxLayout;

/// The note of one ring, and the copies in it.
class OrderedNoteTest {
    private static final int ENTRIES = 256;
    private static final int SIZE = NetifTxLayout.ENTRY_SIZE_BYTES;
    private static final int RSP_PROD_AT = 0;
    private static final int REQ_CONS_AT = 4;

    private final MemorySegment memory =
            Arena.ofAuto().allocate(OrderedNote.sizeBytes(ENTRIES, SIZE), 64);
    private final OrderedNote note = new OrderedNote(memory, ENTRIES, SIZE);
    private final MemorySegment sring = Arena.ofAuto().allocate(4096, 4096);

    private void publish(int reqProd) {
        sring.set(ValueLayout.JAVA_INT, 0, reqProd);
    }

    /// A slot whose id is its index.
    private void slot(int index) {
        NetifTxLayout.writeRequest(
                sring, 64 + (index & (ENTRIES - 1)) * (long) SIZE, 1, 0, 0, index, 60);
    }

    private int copiedId(int index) {
        long at = (index & (ENTRIES - 1)) * (long) SIZE;
        return NetifTxLayout.idOf(NetifTxLayout.readTail(note.copies(), at));
    }

    @Test
    void isThatOfItsRingOnlyAndOnlyWithIndicesThatCanBe() {
        assertFalse(note.isSound(), "zeroes");
        note.begin();
        assertTrue(note.isSound());
        assertFalse(new OrderedNote(memory, ENTRIES / 2, SIZE).isSound());
        assertFalse(new OrderedNote(memory, ENTRIES, SIZE - 4).isSound());
        int first = -ENTRIES / 2; // so that they wrap
        memory.set(ValueLayout.JAVA_INT, RSP_PROD_AT, first);
        memory.set(ValueLayout.JAVA_INT, REQ_CONS_AT, first + ENTRIES);
        assertTrue(note.isSound());
        memory.set(ValueLayout.JAVA_INT, REQ_CONS_AT, first + ENTRIES + 1);
        assertFalse(note.isSound());
        memory.set(ValueLayout.JAVA_INT, REQ_CONS_AT, first - 1);
        assertFalse(note.isSound());
    }

    @Test
    void aSuccessorPublishesWhatStandsThereAndNotWhatTheGuestHasWritten() {
        note.begin();
        note.taken(7);
        note.publishing(5);
        sring.set(ValueLayout.JAVA_INT, 8, 99);
        BackRing ring = note.resume(sring);
        assertEquals(5, sring.get(ValueLayout.JAVA_INT, 8));
        assertEquals(2, ring.unansweredRequests());
        assertEquals(5, ring.responseIndex());
    }

    /// A frontend that puts more on the ring than answers that it can have seen gets no copy
    /// written over that a successor would need.
    @Test
    void aCopyStaysUntilItsAnswerIsPublished() {
        note.begin();
        BackRing ring = BackRing.init(sring, SIZE);
        RequestReader reader = new RequestReader(ring, note);
        for (int i = 0; i < ENTRIES; i++) {
            slot(i);
        }
        publish(ENTRIES);
        assertEquals(ENTRIES, reader.fill());
        CheckedFrame frame = new CheckedFrame();
        for (int i = 0; i < 10; i++) {
            assertEquals(RequestReader.FRAME, reader.read(frame));
            reader.accept();
            ring.takeResponseIndex();
        }
        for (int i = ENTRIES; i < ENTRIES + 10; i++) {
            slot(i);
        }
        publish(ENTRIES + 10);
        assertEquals(ENTRIES - 10, reader.fill(), "nothing is published yet");
        assertEquals(0, copiedId(0));
        assertTrue(note.isSound());
        note.publishing(ring.responseIndex());
        ring.pushResponsesAndCheckNotify();
        assertEquals(ENTRIES, reader.fill());
        assertEquals(ENTRIES, copiedId(ENTRIES));
        assertTrue(note.isSound());
    }
}
