package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;

/// What a successor makes of the words of one, wherever the indices are.
class QueueNoteTest {
    private static final int ENTRIES = 32;

    private final MemorySegment memory = Arena.ofAuto().allocate(QueueNote.sizeBytes(ENTRIES), 64);
    private final QueueNote note = new QueueNote(memory, ENTRIES);

    private void answered(int place, int response) {
        note.taken(place, response);
        note.answered(place, response);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 31, -1, -31, Integer.MAX_VALUE, Integer.MIN_VALUE})
    void whatHasNoPublishedAnswerIsTaken(int rspProd) {
        note.publishing(rspProd);
        note.taken(1, rspProd + 3);
        answered(2, rspProd - 1);
        answered(3, rspProd - ENTRIES);
        answered(4, rspProd);
        answered(5, rspProd + ENTRIES - 1);
        note.taken(ENTRIES - 1, rspProd + 4);
        for (int round = 0; round < 2; round++) {
            assertEquals(4, note.settle());
            for (int place = 0; place < ENTRIES; place++) {
                boolean taken = place == 1 || place == 4 || place == 5 || place == ENTRIES - 1;
                assertEquals(taken, note.isTaken(place), "place " + place);
            }
            // Indices that were not published are other responses' now.
            note.publishing(rspProd + 2 * ENTRIES);
        }
        assertEquals(rspProd + 2 * ENTRIES, note.rspProd());
        assertEquals(rspProd + 3, note.request(1));
        assertEquals(rspProd + 4, note.request(ENTRIES - 1));
    }

    @Test
    void theIndexOfARequestIsThereBeforeItIsTaken() {
        List<Integer> seen = new ArrayList<>();
        QueueNote watched =
                new QueueNote(memory, ENTRIES) {
                    @Override
                    void taken(int place) {
                        seen.add(request(place));
                        super.taken(place);
                    }
                };
        watched.taken(3, 77);
        assertEquals(List.of(77), seen);
        assertTrue(watched.isTaken(3));
    }

    /// Half the way round an index that was published looks as if it were to come.
    @Test
    void aFreePlaceStaysFreeHoweverFarTheIndexGoes() {
        answered(7, 100);
        note.publishing(101);
        note.free(7);
        note.publishing(101 + Integer.MIN_VALUE);
        assertEquals(0, note.settle());
        assertFalse(note.isTaken(7));
    }

    @Test
    void aQueueFreesThePlacesOfWhatItHasPublished() {
        DiskImage disk = DiskImage.of(new MemoryStore(1 << 20), DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig = new QueueRig(disk)) {
            for (int i = 0; i < 3; i++) {
                rig.write(BlkifOp.READ, i, 0, rig.grefs[i]);
            }
            rig.serve();
            for (int place = 0; place < rig.entries; place++) {
                assertFalse(rig.note.isTaken(place), "place " + place);
            }
            assertEquals(rig.reqProd, rig.note.rspProd());
        }
    }

    @Test
    void aNoteIsOfRingsOfItsShapeOnly() {
        assertFalse(note.isOf(BlkifLayout.X86_64), "nobody has begun it");
        note.begin(BlkifLayout.X86_64);
        assertTrue(note.isOf(BlkifLayout.X86_64));
        assertFalse(note.isOf(BlkifLayout.X86_32));
        assertFalse(new QueueNote(memory, ENTRIES / 2).isOf(BlkifLayout.X86_64));
    }
}
