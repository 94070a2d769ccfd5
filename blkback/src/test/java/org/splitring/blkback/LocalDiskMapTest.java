package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.wire.BlkifStatus;

/// What a disk without a guest says of its parts.
@Timeout(60)
class LocalDiskMapTest {
    private static final int SECTORS = 4096;
    private static final int SECTOR = DiskImage.SECTOR_SIZE;

    /// Tells of a few sectors at a time.
    private static class PiecemealStore extends MemoryStore {
        final Set<Thread> askedBy = new HashSet<>();
        int asked;

        PiecemealStore() {
            super(SECTORS * SECTOR);
        }

        boolean isHole(long sector) {
            return sector % 4 == 2 || sector % 4 == 3;
        }

        @Override
        public void describe(long offsetBytes, long sizeBytes, AllocationMap into)
                throws IOException {
            asked++;
            askedBy.add(Thread.currentThread());
            if (isHole(offsetBytes / SECTOR)) {
                into.addHole(SECTOR);
            } else {
                into.addData(SECTOR);
            }
        }
    }

    private final PumpedLoop loop = new PumpedLoop();
    private final DiskWorkers workers = new DiskWorkers(1);
    private final List<String> answers = new ArrayList<>();
    private final AllocationMap map = new AllocationMap();

    @AfterEach
    void end() {
        workers.close();
    }

    private LocalDisk<String> disk(BlockStore store) {
        DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        return new LocalDisk<>(
                image, workers.share(100), loop, (asker, status) -> answers.add(asker + status));
    }

    private int describe(LocalDisk<String> disk, long sector, long sectors) {
        answers.clear();
        disk.describe(sector * SECTOR, sectors * SECTOR, map, "");
        loop.pumpUntil(() -> !answers.isEmpty());
        assertEquals(1, answers.size());
        return Integer.parseInt(answers.getFirst());
    }

    private List<String> extents() {
        List<String> extents = new ArrayList<>();
        for (int i = 0; i < map.count(); i++) {
            extents.add((map.isHole(i) ? "hole " : "data ") + map.sizeBytes(i) / SECTOR);
        }
        return extents;
    }

    @Test
    void extentsOfARangeAreFoundOutByAWorker() {
        PiecemealStore store = new PiecemealStore();
        LocalDisk<String> disk = disk(store);
        disk.describe(SECTOR, 6 * SECTOR, map, "asker ");
        loop.pumpUntil(() -> !answers.isEmpty());
        assertEquals(List.of("asker 0"), answers);
        assertEquals(List.of("data 1", "hole 2", "data 2", "hole 1"), extents());
        assertEquals(1, store.askedBy.size());
        assertNotEquals(Set.of(Thread.currentThread()), store.askedBy, "the loop has waited");
    }

    @Test
    void noMoreExtentsAreLookedForThanThereMayBe() {
        PiecemealStore store = new PiecemealStore();
        LocalDisk<String> disk = disk(store);
        assertEquals(BlkifStatus.OKAY, describe(disk, 0, SECTORS));
        assertEquals(AllocationMap.MAX_EXTENTS, map.count());
        assertEquals(2 * AllocationMap.MAX_EXTENTS * SECTOR, map.coveredBytes());
        assertEquals(2 * AllocationMap.MAX_EXTENTS + 1, store.asked);
        map.clear(1);
        assertEquals(BlkifStatus.OKAY, describe(disk, 2, 1000));
        assertEquals(List.of("hole 2"), extents());
    }

    @Test
    void aDiskInManyPiecesIsLookedAtForABoundedTime() {
        PiecemealStore store =
                new PiecemealStore() {
                    @Override
                    boolean isHole(long sector) {
                        return true;
                    }
                };
        assertEquals(BlkifStatus.OKAY, describe(disk(store), 0, SECTORS));
        assertEquals(List.of("hole 1024"), extents());
        assertEquals(1024, store.asked);
    }

    @Test
    void aFailureIsAnErrorAndTheNextQuestionIsAnswered() {
        PiecemealStore store =
                new PiecemealStore() {
                    @Override
                    public void describe(long offsetBytes, long sizeBytes, AllocationMap into)
                            throws IOException {
                        super.describe(offsetBytes, sizeBytes, into);
                        if (asked == 3) {
                            throw new IOException("storage has gone");
                        }
                        if (asked == 6) {
                            throw new IllegalStateException("a mistake of ours");
                        }
                    }
                };
        LocalDisk<String> disk = disk(store);
        assertEquals(BlkifStatus.ERROR, describe(disk, 0, 16));
        map.clear(2);
        assertEquals(BlkifStatus.ERROR, describe(disk, 0, 16));
        map.clear(2);
        assertEquals(BlkifStatus.OKAY, describe(disk, 0, 16));
        assertEquals(List.of("data 2", "hole 2"), extents());
        assertTrue(disk.image().failure().isEmpty(), "nothing is lost by a question");
    }

    @Test
    void aStoreThatSaysNothingOrTooMuchIsAnError() {
        LocalDisk<String> silent =
                disk(
                        new MemoryStore(SECTORS * SECTOR) {
                            @Override
                            public void describe(
                                    long offsetBytes, long sizeBytes, AllocationMap into) {}
                        });
        assertEquals(BlkifStatus.ERROR, describe(silent, 0, 8));
        LocalDisk<String> talkative =
                disk(
                        new MemoryStore(SECTORS * SECTOR) {
                            @Override
                            public void describe(
                                    long offsetBytes, long sizeBytes, AllocationMap into) {
                                into.addHole(sizeBytes + SECTOR);
                            }
                        });
        assertEquals(BlkifStatus.ERROR, describe(talkative, 0, 8));
    }

    @Test
    void aRangeThatIsNotOnTheDiskAnyMoreIsAnError() {
        LocalDisk<String> disk = disk(new PiecemealStore());
        assertEquals(BlkifStatus.ERROR, describe(disk, SECTORS - 1, 2));
        map.clear(8);
        assertEquals(BlkifStatus.OKAY, describe(disk, SECTORS - 1, 1));
    }

    @Test
    void withoutWorkersItIsAnError() {
        LocalDisk<String> disk = disk(new PiecemealStore());
        workers.close();
        assertEquals(BlkifStatus.ERROR, describe(disk, 0, 8));
    }

    @Test
    void aStoreIsDataUnlessItSaysOtherwise() {
        assertEquals(BlkifStatus.OKAY, describe(disk(new MemoryStore(SECTORS * SECTOR)), 8, 80));
        assertEquals(List.of("data 80"), extents());
    }

    @Test
    void aSwitchedStoreSaysWhatIsBehindIt() throws IOException {
        SwitchedStore switched = new SwitchedStore(new PiecemealStore());
        switched.describe(2 * SECTOR, SECTOR, map);
        assertEquals(List.of("hole 1"), extents());
        switched.release();
        assertThrows(IOException.class, () -> switched.describe(0, SECTOR, map));
    }
}
