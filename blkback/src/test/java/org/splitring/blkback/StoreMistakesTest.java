package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// What a store does that it should not, and what happens beside it: requests are answered all the
/// same, and nobody is told that lost data is stable.
@Timeout(30)
class StoreMistakesTest {
    private static final int SIZE = 8192;

    @TempDir Path dir;

    private static IoVector vector(int sizeBytes) {
        IoVector vector = new IoVector(1);
        vector.add(Arena.ofAuto().allocate(sizeBytes), 0, sizeBytes);
        return vector;
    }

    private static DiskImage disk(BlockStore store) {
        return DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
    }

    private DiskImage file() throws Exception {
        return DiskImage.open(
                Files.write(dir.resolve("disk.img"), new byte[SIZE]), DiskMode.WRITEBACK);
    }

    /// The kernel may have told the other of the loss, and does so once.
    @Test
    void aWriteThatFailsWhileTheImageIsMadeStableIsNotOverlooked() {
        DiskImage[] disk = new DiskImage[1];
        disk[0] =
                disk(
                        new MemoryStore(SIZE) {
                            @Override
                            public void write(IoVector from, long offset) throws IOException {
                                throw new LinuxException("pwritev2", Errno.EIO);
                            }

                            @Override
                            public void sync() {
                                assertEquals(DiskImage.FAILED, disk[0].write(vector(512), 0));
                            }
                        });
        DiskException e = assertThrows(DiskException.class, disk[0]::makeStable);
        assertTrue(String.valueOf(e.getMessage()).startsWith("write of "), e.getMessage());
    }

    @Test
    void aSynchronisationThatThrowsFailsTheDiskWhoeverAskedForIt() {
        DiskImage disk =
                disk(
                        new MemoryStore(SIZE) {
                            @Override
                            public void sync() {
                                throw new IllegalStateException("a mistake");
                            }
                        });
        DiskException e = assertThrows(DiskException.class, disk::makeStable);
        assertTrue(String.valueOf(e.getMessage()).contains("a mistake"), e.getMessage());
        assertTrue(disk.failure().isPresent());
        assertEquals(DiskImage.FAILED, disk.write(vector(512), 0));
    }

    @Test
    void whereNoThreadIsToBeHadAFlushIsDoneByWhoeverAsks() {
        boolean[] none = {true};
        Executor threads =
                task -> {
                    if (none[0]) {
                        throw new OutOfMemoryError("unable to create native thread");
                    }
                    task.run();
                };
        DiskImage disk = DiskImage.of(new MemoryStore(SIZE), DiskMode.WRITEBACK, threads);
        List<Boolean> stable = new ArrayList<>();
        disk.flush(stable::add);
        assertEquals(List.of(true), stable);
        none[0] = false;
        disk.flush(stable::add);
        assertEquals(List.of(true, true), stable);
        assertEquals(2, disk.syncsStarted());
    }

    @Test
    void rangesThatAreNotOnTheDiskAreErrorsAndFailNobody() throws Exception {
        try (DiskImage disk = file()) {
            long[] offsets = {-512, Long.MIN_VALUE, Long.MAX_VALUE - 511, SIZE, SIZE - 512};
            for (long offset : offsets) {
                assertEquals(DiskImage.FAILED, disk.write(vector(1024), offset));
                assertEquals(DiskImage.FAILED, disk.tryWrite(vector(1024), offset));
                assertEquals(DiskImage.FAILED, disk.discard(offset, 1024));
            }
            assertTrue(disk.failure().isEmpty());
            assertEquals(DiskImage.DONE, disk.write(vector(1024), SIZE - 1024));
            disk.resize(SIZE / 2);
            assertEquals(DiskImage.FAILED, disk.discard(SIZE / 2, 512));
        }
    }

    @Test
    void anAskerThatThrowsCostsTheOthersNothing() {
        DiskImage disk =
                disk(
                        new MemoryStore(SIZE) {
                            @Override
                            public long readNoWait(IoVector into, long offset) {
                                return WOULD_BLOCK;
                            }
                        });
        PumpedLoop loop = new PumpedLoop();
        List<String> answered = new ArrayList<>();
        LocalDisk<String> local =
                new LocalDisk<>(
                        disk,
                        Runnable::run,
                        loop,
                        (asker, status) -> {
                            answered.add(asker + " " + status);
                            if (asker.equals("a")) {
                                throw new IllegalStateException("a mistake");
                            }
                        });
        MemorySegment memory = Arena.ofAuto().allocate(512);
        local.read(0, memory, 512, "a");
        local.read(0, memory, 512, "b");
        loop.pump();
        assertEquals(List.of("a 0", "b 0"), answered);
    }

    @Test
    void aStoreThatThrowsAtOnceIsAnErrorToTheGuestWhoseRingGoesOn() {
        for (int operation : new int[] {BlkifOp.READ, BlkifOp.WRITE}) {
            ArrayDeque<String> asked = new ArrayDeque<>();
            DiskImage disk =
                    disk(
                            new MemoryStore(SIZE) {
                                @Override
                                public long readNoWait(IoVector into, long offset) {
                                    asked.add("read");
                                    throw new IllegalStateException("a mistake");
                                }

                                @Override
                                public long writeNoWait(IoVector from, long offset) {
                                    asked.add("write");
                                    throw new IllegalStateException("a mistake");
                                }
                            });
            try (QueueRig rig = new QueueRig(disk)) {
                rig.write(operation, 1, 0, rig.grefs[0]);
                rig.publish();
                assertEquals(1, rig.queue.poll(10));
                assertEquals(1, asked.size());
                assertEquals(0, rig.queue.inFlight());
                assertEquals(0, rig.mappedData());
                assertEquals(BlkifStatus.ERROR, rig.take().status());
                assertEquals(operation == BlkifOp.WRITE, disk.failure().isPresent());
            }
            assertFalse(asked.isEmpty());
        }
    }
}
