package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
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

    /// Whoever is there after the process has ended between two stores finds what the order says.
    @Test
    void aQueueKeepsTheOrder() {
        DiskImage disk = DiskImage.of(new MemoryStore(1 << 20), DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig = new QueueRig(disk)) {
            int[] responses = new int[rig.entries];
            List<String> steps = new ArrayList<>();
            List<byte[]> requests = new ArrayList<>();
            int first = rig.reqProd;
            QueueNote watched =
                    new QueueNote(memory, rig.entries) {
                        @Override
                        void answered(int place, int response) {
                            super.answered(place, response);
                            responses[place] = response;
                            assertArrayEquals(
                                    requests.get(response - first),
                                    slot(rig, response),
                                    "the answer is written before it is noted");
                            steps.add("answered");
                        }

                        @Override
                        void publishing(int rspProd) {
                            assertTrue(rig.word(8) - rspProd < 0, "published before it is noted");
                            super.publishing(rspProd);
                            steps.add("publishing");
                        }

                        @Override
                        void free(int place) {
                            assertTrue(
                                    rig.word(8) - responses[place] > 0,
                                    "free before the answer is published");
                            assertTrue(rspProd() - responses[place] > 0, "free before it is noted");
                            super.free(place);
                            steps.add("free");
                        }
                    };
            DiskQueue queue =
                    new DiskQueue(
                            rig.back,
                            rig.layout,
                            rig.pages,
                            rig.backPort,
                            disk,
                            Runnable::run,
                            rig.loop,
                            rig.counters,
                            QueueRig.NOT_PERSISTENT,
                            DiskQueue.LARGE_REQUESTS,
                            rig.gate,
                            watched);
            for (int i = 0; i < 24; i++) { // beyond where the indices wrap
                rig.write(BlkifOp.READ, i, 0, rig.grefs[i]);
                requests.add(slot(rig, rig.reqProd - 1));
            }
            rig.publish();
            queue.poll(1024);
            assertEquals(24, Collections.frequency(steps, "answered"));
            assertEquals(24, Collections.frequency(steps, "free"));
        }
    }

    private static byte[] slot(QueueRig rig, int index) {
        return rig.ring
                .asSlice(rig.slot(index), rig.layout.entrySizeBytes())
                .toArray(ValueLayout.JAVA_BYTE);
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
