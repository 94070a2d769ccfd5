package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.nbd.StoreBytes;
import org.splitring.hypervisor.linux.IoVector;

/// A range of very many clusters is worked on in parts, so that others who need the tables have
/// their turn, and memory does not grow with it.
@Timeout(60)
class Qcow2LargeRangeTest {
    private static final int CLUSTER = 512;
    private static final int CLUSTERS = 70_000; // more than are let go of at once
    private static final int SIZE = CLUSTERS * CLUSTER;

    private final RecordingFile file = new RecordingFile(new byte[0], false);

    @BeforeEach
    void makeImage() throws IOException {
        new Qcow2Creation(SIZE, 9, "", "").write(file);
    }

    private BlockStore open() throws IOException {
        return Qcow2Store.open(file, Qcow2Header.read(file), null);
    }

    private static void fill(BlockStore store) throws IOException {
        var memory = Arena.ofAuto().allocate(1 << 20, CLUSTER).fill((byte) 5);
        IoVector vector = new IoVector(1);
        for (int at = 0; at < SIZE; at += 1 << 20) {
            vector.clear();
            vector.add(memory, 0, Math.min(1 << 20, SIZE - at));
            store.write(vector, at);
        }
        store.sync();
    }

    private static AllocationMap map(BlockStore store, long offset) throws IOException {
        AllocationMap map = new AllocationMap();
        store.describe(offset, SIZE - offset, map);
        return map;
    }

    @Test
    void aLargeDiscardIsMadeStableOnItsWay() throws Exception {
        try (BlockStore store = open()) {
            fill(store);
            int before = file.syncs();
            AtomicBoolean onItsWay = new AtomicBoolean();
            file.setWitness(
                    recording -> {
                        if (recording.syncs() > before && !map(store, SIZE - CLUSTER).isHole(0)) {
                            onItsWay.set(true);
                        }
                    });
            store.discard(0, SIZE);
            assertTrue(onItsWay.get(), "what it had is kept in a list until its end");
            file.setWitness(recording -> {});
            assertArrayEquals(new byte[SIZE], StoreBytes.read(store, 0, SIZE));
            store.sync();
        }
        CheckReport report = Qcow2Check.check(file, Qcow2Header.read(file), false, Progress.none());
        assertEquals(0, report.damageCount());
    }

    @Test
    void aThousandClustersAreLookedAtWithTheTablesLocked() throws Exception {
        try (BlockStore store = open()) {
            fill(store);
            store.discard(0, SIZE);
            assertEquals(List.of("hole " + SIZE), AllocationJudge.extents(store)); // all is read
            assertEquals(1024 * CLUSTER, map(store, 0).coveredBytes());
        }
    }
}
