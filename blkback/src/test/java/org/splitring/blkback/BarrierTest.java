package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// What a barrier keeps apart, seen by the order in which things reach the store. Everything that
/// waits for storage is a task that the test runs when it likes.
@Timeout(60)
class BarrierTest {
    private final List<String> log = new ArrayList<>();
    private final ArrayDeque<Runnable> work = new ArrayDeque<>();
    private final ArrayDeque<Runnable> syncs = new ArrayDeque<>();
    private boolean failSync;
    private int sizeBytes = 1 << 20;

    private final MemoryStore store =
            new MemoryStore(1 << 20) {
                @Override
                public long sizeBytes() {
                    return sizeBytes;
                }

                @Override
                public long writeNoWait(IoVector from, long offset) {
                    return WOULD_BLOCK;
                }

                @Override
                public void write(IoVector from, long offset) throws IOException {
                    log.add("write " + offset / 4096);
                    super.write(from, offset);
                }

                @Override
                public void discard(long offset, long size) throws IOException {
                    log.add("discard " + offset / 4096);
                    super.discard(offset, size);
                }

                @Override
                public void sync() throws IOException {
                    if (failSync) {
                        throw new IOException("injected");
                    }
                    log.add("sync");
                }
            };
    private final DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, syncs::add);

    private QueueRig rig() {
        return new QueueRig(disk, BlkifLayout.X86_64, 0xFFFF_FFF0, work::add, DomainLimits.DEFAULT);
    }

    private void poll(QueueRig rig) {
        rig.publish();
        rig.queue.poll(64);
    }

    private static void run(QueueRig rig, ArrayDeque<Runnable> tasks) {
        tasks.remove().run();
        rig.loop.pump();
    }

    private void runAll(QueueRig rig) {
        rig.loop.pump();
        while (!work.isEmpty() || !syncs.isEmpty()) {
            run(rig, work.isEmpty() ? syncs : work);
        }
    }

    /// It was answered OKAY and never written: its place still bore the mark that the data of a
    /// barrier is on the disk.
    @Test
    void aFlushWithDataInThePlaceOfABarrierIsWrittenToo() {
        try (QueueRig rig = rig()) {
            for (int operation : new int[] {BlkifOp.WRITE_BARRIER, BlkifOp.FLUSH_DISKCACHE}) {
                rig.write(operation, 1, 8L * operation, rig.grefs[1]);
                poll(rig);
                runAll(rig);
                assertEquals(new QueueRig.Response(1, operation, 0), rig.take());
            }
            assertEquals(List.of("sync", "write 2", "sync", "sync", "write 3"), log);
        }
    }

    @Test
    void earlierWritesComeFirstAndLaterOnesAfter() {
        try (QueueRig rig = rig()) {
            rig.write(BlkifOp.WRITE, 1, 8, rig.grefs[1]);
            rig.write(BlkifOp.WRITE, 2, 16, rig.grefs[2]);
            rig.write(BlkifOp.WRITE_BARRIER, 3, 24, rig.grefs[3]);
            rig.write(BlkifOp.WRITE, 4, 32, rig.grefs[4]);
            rig.writeDiscard(5, 0, 40, 8);
            poll(rig);
            assertEquals(2, work.size(), "only what came before the barrier");
            assertTrue(syncs.isEmpty());
            Runnable first = work.remove();
            run(rig, work); // the second write ends first
            assertEquals(new QueueRig.Response(2, BlkifOp.WRITE, 0), rig.take());
            assertTrue(work.isEmpty() && syncs.isEmpty(), "one write is still under way");
            first.run();
            rig.loop.pump();
            assertEquals(1, rig.take().id());
            run(rig, syncs);
            assertEquals(List.of("write 2", "write 1", "sync"), log);
            run(rig, work); // the barrier's own data
            assertFalse(rig.hasResponse(), "not stable yet");
            assertTrue(work.isEmpty());
            run(rig, syncs);
            assertEquals(new QueueRig.Response(3, BlkifOp.WRITE_BARRIER, 0), rig.take());
            runAll(rig);
            assertEquals(
                    List.of(
                            "write 2",
                            "write 1",
                            "sync",
                            "write 3",
                            "sync",
                            "write 4",
                            "discard 5"),
                    log);
            assertEquals(4, rig.take().id());
            assertEquals(5, rig.take().id());
            assertEquals(0, rig.mappedData());
        }
    }

    @Test
    void readsAndEmptyFlushesPass() {
        try (QueueRig rig = rig()) {
            rig.write(BlkifOp.WRITE, 1, 0, rig.grefs[1]);
            rig.write(BlkifOp.WRITE_BARRIER, 2, 0);
            rig.write(BlkifOp.READ, 3, 8, rig.grefs[3]);
            rig.write(BlkifOp.FLUSH_DISKCACHE, 4, 0);
            poll(rig);
            assertEquals(3, rig.take().id());
            run(rig, syncs);
            assertEquals(4, rig.take().id());
            assertFalse(rig.hasResponse());
            runAll(rig);
            assertEquals(1, rig.take().id());
            assertEquals(2, rig.take().id());
            assertEquals(List.of("sync", "write 0", "sync"), log);
        }
    }

    @Test
    void barriersInARowTakeTurns() {
        try (QueueRig rig = rig()) {
            for (int i = 0; i < 32; i++) {
                rig.write(BlkifOp.WRITE_BARRIER, i, 8L * i, rig.grefs[i]);
            }
            poll(rig);
            runAll(rig);
            List<String> expected = new ArrayList<>();
            for (int i = 0; i < 32; i++) {
                expected.addAll(List.of("sync", "write " + i, "sync"));
                assertEquals(new QueueRig.Response(i, BlkifOp.WRITE_BARRIER, 0), rig.take());
            }
            assertEquals(expected, log);
        }
    }

    @Test
    void barriersThatFailLetOthersOn() {
        try (QueueRig rig = rig()) {
            rig.write(BlkifOp.WRITE_BARRIER, 1, 0, 9999); // no such grant
            rig.write(BlkifOp.WRITE_BARRIER, 2, 0, rig.grefs[0], 9999);
            rig.write(BlkifOp.WRITE, 3, 0, rig.grefs[0]);
            poll(rig);
            runAll(rig);
            assertEquals(-1, rig.take().status());
            assertEquals(-1, rig.take().status());
            assertEquals(new QueueRig.Response(3, BlkifOp.WRITE, 0), rig.take());
            assertEquals(List.of("write 0"), log);
            failSync = true;
            rig.write(BlkifOp.WRITE_BARRIER, 4, 0, rig.grefs[0]);
            rig.write(BlkifOp.WRITE, 5, 0, rig.grefs[0]);
            poll(rig);
            runAll(rig);
            assertEquals(new QueueRig.Response(4, BlkifOp.WRITE_BARRIER, -1), rig.take());
            assertEquals(-1, rig.take().status(), "the disk is failed");
            assertEquals(List.of("write 0"), log, "nothing is written after that");
            assertEquals(0, rig.mappedData());
            assertEquals(0, rig.queue.inFlight());
        }
    }

    @Test
    void aFlushThatFailsIsNotForgotten() {
        try (QueueRig rig = rig()) {
            rig.write(BlkifOp.WRITE_BARRIER, 1, 8, rig.grefs[1]);
            poll(rig);
            run(rig, syncs);
            run(rig, work);
            failSync = true;
            run(rig, syncs);
            assertEquals(new QueueRig.Response(1, BlkifOp.WRITE_BARRIER, -1), rig.take());
            failSync = false;
            rig.write(BlkifOp.FLUSH_DISKCACHE, 2, 0);
            poll(rig);
            runAll(rig);
            assertEquals(new QueueRig.Response(2, BlkifOp.FLUSH_DISKCACHE, -1), rig.take());
            assertEquals(List.of("sync", "write 1"), log);
        }
    }

    /// The flush after the data cannot make good what was not written: here the disk has become
    /// smaller before it was.
    @Test
    void aBarrierWhoseDataFailedIsAnErrorAndLetsOthersOn() {
        try (QueueRig rig = rig()) {
            rig.write(BlkifOp.WRITE_BARRIER, 1, 8, rig.grefs[1]);
            rig.write(BlkifOp.WRITE, 2, 0, rig.grefs[2]);
            poll(rig);
            run(rig, syncs);
            sizeBytes = 4096;
            runAll(rig);
            assertEquals(new QueueRig.Response(1, BlkifOp.WRITE_BARRIER, -1), rig.take());
            assertEquals(new QueueRig.Response(2, BlkifOp.WRITE, 0), rig.take());
            assertEquals(List.of("sync", "write 0"), log);
            assertEquals(0, rig.mappedData());
        }
    }

    @Test
    void h029_noOrderOfEventsBreaksABarrier() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (QueueRig rig = rig()) {
            List<String> log = this.log;
            int[] number = new int[1];
            List<Boolean> isBarrier = new ArrayList<>();
            int answered = 0;
            for (int step = 0; answered < Math.max(2000, number[0]); step++) {
                assertTrue(step < 1_000_000, "a request is never answered, seed " + seed);
                int choice = random.nextInt(4);
                if (choice == 0 && rig.queue.inFlight() < 20 && number[0] < 2000) {
                    for (int i = random.nextInt(8); i >= 0; i--) {
                        boolean barrier = random.nextInt(4) == 0;
                        isBarrier.add(barrier);
                        int operation = barrier ? BlkifOp.WRITE_BARRIER : BlkifOp.WRITE;
                        int id = number[0]++;
                        rig.write(operation, id, 8L * (id % 200), rig.grefs[id % 60]);
                    }
                    poll(rig);
                } else if (choice == 1 && !syncs.isEmpty()) {
                    run(rig, syncs);
                } else if (!work.isEmpty()) {
                    if (random.nextBoolean()) {
                        work.add(work.remove()); // in any order
                    }
                    run(rig, work);
                } else if (number[0] >= 2000) {
                    runAll(rig);
                }
                while (rig.hasResponse()) {
                    QueueRig.Response response = rig.take();
                    assertEquals(0, response.status(), "seed " + seed);
                    log.add("answer " + response.id());
                    answered++;
                }
            }
            // Everything before a barrier was answered, and everything after it was not written.
            int done = 0;
            for (int barrier = 0; barrier < isBarrier.size(); barrier++) {
                if (isBarrier.get(barrier)) {
                    int answer = log.indexOf("answer " + barrier);
                    for (int other = Math.max(0, barrier - 30); other < barrier; other++) {
                        assertTrue(log.indexOf("answer " + other) < answer, "seed " + seed);
                    }
                    for (int other = barrier + 1;
                            other < Math.min(barrier + 30, isBarrier.size());
                            other++) {
                        assertTrue(log.indexOf("answer " + other) > answer, "seed " + seed);
                    }
                    done++;
                }
            }
            assertTrue(done > 300, "barriers: " + done);
        }
    }

    @Test
    void h020_aReadOnlyDiskTakesNoBarrierWithData() {
        MemoryStore readOnly = new MemoryStore(1 << 20, true);
        DiskImage image = DiskImage.of(readOnly, DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig = new QueueRig(image)) {
            assertEquals(-1, rig.ask(BlkifOp.WRITE_BARRIER, 1, 0, rig.grefs[0]).status());
            assertEquals(BlkifStatus.OKAY, rig.ask(BlkifOp.WRITE_BARRIER, 2, 0).status(), "empty");
        }
    }
}
