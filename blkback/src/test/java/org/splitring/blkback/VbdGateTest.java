package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Limits and pauses of a disk, on a clock that the test holds.
class VbdGateTest {
    private static final long MILLI = 1_000_000;

    private final Clock clock = new Clock();
    private final ArrayDeque<Runnable> work = new ArrayDeque<>();
    private final MemoryStore store = new MemoryStore(1 << 20);
    private final DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);

    /// A loop whose time passes when the test says so.
    private static final class Clock implements DeviceLoop {
        private record Timer(long at, Runnable task) {}

        private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
        private final PriorityQueue<Timer> timers =
                new PriorityQueue<>(Comparator.comparingLong(Timer::at));
        private long now = 5_000;

        @Override
        public void execute(Runnable task) {
            tasks.add(task);
        }

        @Override
        public Runnable schedule(Runnable task, long delayNanos) {
            Timer timer = new Timer(now + delayNanos, task);
            timers.add(timer);
            return () -> timers.remove(timer);
        }

        @Override
        public boolean inLoop() {
            return true;
        }

        @Override
        public long nanoTime() {
            return now;
        }

        @Override
        public long spinNanos() {
            return 0;
        }

        void pass(long nanos) {
            long end = now + nanos;
            runTasks();
            while (!timers.isEmpty() && timers.peek().at <= end) {
                now = timers.peek().at;
                timers.remove().task.run();
                runTasks();
            }
            now = end;
        }

        private void runTasks() {
            for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
                task.run();
            }
        }
    }

    private QueueRig rig() {
        return new QueueRig(new LocalHypervisor(), 1, disk, work::add, DomainLimits.DEFAULT, clock);
    }

    /// Keeps the ring full of requests for some time, as a greedy guest does.
    ///
    /// @return how many were answered
    private int flood(QueueRig rig, int operation, int pages, long nanos) {
        int[] grefs = Arrays.copyOf(rig.grefs, pages);
        int[] answered = {0};
        Runnable fill =
                () -> {
                    while (rig.hasResponse()) {
                        rig.take();
                        answered[0]++;
                    }
                    while (rig.reqProd - rig.rspCons < rig.entries) {
                        rig.write(operation, 1, 0, grefs);
                    }
                    rig.publish();
                    rig.queue.poll(64);
                };
        rig.gate.add(rig.queue, fill);
        long end = clock.now + nanos;
        fill.run();
        while (clock.now < end) {
            clock.pass(Math.min(MILLI, end - clock.now));
            fill.run();
        }
        rig.gate.remove(rig.queue);
        while (rig.hasResponse()) {
            rig.take();
            answered[0]++;
        }
        return answered[0];
    }

    private static void drain(QueueRig rig) {
        rig.gate.limit(DiskRate.UNLIMITED);
        while (rig.word(8) != rig.reqProd) {
            assertTrue(rig.queue.poll(64) > 0);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 11})
    void aGuestGetsItsBytesASecondAndNoMore(int pages) {
        try (QueueRig rig = rig()) {
            rig.gate.limit(DiskRate.parse("4096000,0,100"));
            int answered = flood(rig, BlkifOp.READ, pages, 10_000 * MILLI);
            // 100 ms of burst, and one request that goes over it
            long bytes = 4096L * pages * answered;
            assertTrue(
                    bytes >= 40_960_000 && bytes <= 41_370_000 + 4096 * 11,
                    bytes + " bytes in 10 seconds");
            assertTrue(rig.counters.snapshot().inFlight() == 0);
            drain(rig);
        }
    }

    @Test
    void aGuestGetsItsOperationsASecondWhateverTheyAre() {
        try (QueueRig rig = rig()) {
            rig.gate.limit(DiskRate.parse("0,500"));
            int reads = flood(rig, BlkifOp.READ, 1, 4_000 * MILLI);
            assertTrue(reads >= 2000 && reads <= 2052, reads + " reads in 4 seconds");
            int flushes = flood(rig, BlkifOp.FLUSH_DISKCACHE, 0, 4_000 * MILLI);
            assertTrue(flushes >= 1999 && flushes <= 2035, flushes + " flushes in 4 seconds");
            int refused = flood(rig, 77, 0, 4_000 * MILLI); // no operation at all
            assertTrue(refused >= 1999 && refused <= 2035, refused + " refused in 4 seconds");
            drain(rig);
        }
    }

    @Test
    void whatIsNotUsedIsSavedUpToTheBurstOnly() {
        try (QueueRig rig = rig()) {
            rig.gate.limit(DiskRate.parse("0,1000,20"));
            clock.pass(60_000 * MILLI);
            int answered = flood(rig, BlkifOp.READ, 1, 0);
            assertTrue(answered >= 20 && answered <= 22, answered + " at once");
            drain(rig);
        }
    }

    @Test
    void anotherLimitAppliesAtOnce() {
        try (QueueRig rig = rig()) {
            rig.gate.limit(DiskRate.parse("0,1,0"));
            flood(rig, BlkifOp.READ, 1, 0); // the next is a second away
            int[] woken = {0};
            rig.gate.add(rig.queue, () -> woken[0]++);
            assertTrue(rig.gate.isShut());
            assertFalse(rig.queue.finalCheck(), "requests that wait are no work");
            rig.gate.limit(DiskRate.UNLIMITED);
            assertEquals(1, woken[0]);
            assertFalse(rig.gate.isShut());
            assertTrue(rig.queue.finalCheck());
            drain(rig);
            rig.gate.remove(rig.queue);
        }
    }

    @Test
    void aLimitThatIsGoneHasNoTimerLeft() {
        try (QueueRig rig = rig()) {
            int[] woken = {0};
            rig.gate.add(rig.queue, () -> woken[0]++);
            for (int i = 0; i < 2; i++) {
                rig.gate.limit(DiskRate.parse("0,1,0"));
                rig.gate.noteRequest();
                assertTrue(rig.gate.isShut());
                assertEquals(1, clock.timers.size());
                if (i == 0) {
                    rig.gate.limit(DiskRate.UNLIMITED);
                } else {
                    rig.gate.close();
                }
                assertEquals(0, clock.timers.size());
            }
            clock.pass(5_000 * MILLI);
            assertEquals(1, woken[0], "by the limit that went");
            assertEquals(2, rig.counters.limited.get());
            rig.gate.remove(rig.queue);
        }
    }

    @Test
    void aPauseAndALimitDoNotTakeEachOtherBack() {
        try (QueueRig rig = rig()) {
            rig.gate.pause(() -> {});
            rig.gate.limit(DiskRate.UNLIMITED);
            assertTrue(rig.gate.isShut(), "it is paused");
            rig.gate.limit(DiskRate.parse("0,1,0"));
            rig.gate.resume();
            assertFalse(rig.gate.isShut(), "nothing is owed yet");
            rig.gate.noteRequest();
            assertTrue(rig.gate.isShut(), "it is limited");
            drain(rig);
        }
    }

    /// A disk whose reads wait for storage.
    private QueueRig slowRig(LocalHypervisor hypervisor, int domid) {
        MemoryStore slow =
                new MemoryStore(1 << 20) {
                    @Override
                    public long readNoWait(IoVector into, long offset) {
                        return WOULD_BLOCK;
                    }
                };
        DiskImage image = DiskImage.of(slow, DiskMode.WRITEBACK, Runnable::run);
        return new QueueRig(hypervisor, domid, image, work::add, DomainLimits.DEFAULT, clock);
    }

    private static void beginRead(QueueRig rig) {
        rig.write(BlkifOp.READ, 1, 0, rig.grefs[0]);
        rig.publish();
        assertEquals(1, rig.queue.poll(64));
    }

    @Test
    void aPauseThatWasTakenBackIsNeverQuiet() {
        List<String> seen = new ArrayList<>();
        try (QueueRig rig = slowRig(new LocalHypervisor(), 1)) {
            rig.gate.add(rig.queue, () -> {});
            beginRead(rig);
            rig.gate.pause(() -> seen.add("quiet"));
            rig.gate.resume();
            work.remove().run();
            clock.pass(0);
            assertEquals(List.of(), seen);
            rig.gate.pause(() -> seen.add("once"));
            rig.gate.noteQuiet();
            rig.gate.noteQuiet();
            assertEquals(List.of("once"), seen);
            rig.gate.resume();
            rig.gate.remove(rig.queue);
        }
    }

    @Test
    void aPauseWaitsForEachRing() {
        LocalHypervisor hypervisor = new LocalHypervisor();
        List<String> seen = new ArrayList<>();
        QueueRig other = slowRig(hypervisor, 2);
        try (QueueRig rig = slowRig(hypervisor, 1)) {
            rig.gate.add(rig.queue, () -> {});
            rig.gate.add(other.queue, () -> {});
            beginRead(other);
            rig.gate.pause(() -> seen.add("quiet"));
            assertEquals(List.of(), seen);
            work.remove().run();
            clock.pass(0);
            rig.gate.noteQuiet();
            assertEquals(List.of("quiet"), seen);
            rig.gate.remove(other.queue);
            rig.gate.remove(rig.queue);
            other.closeDevice();
            other.guest.close();
        }
    }

    @Test
    void aPauseWaitsForWhatWasBegunAndBeginsNothing() {
        List<String> seen = new ArrayList<>();
        try (QueueRig rig = slowRig(new LocalHypervisor(), 1)) {
            rig.gate.add(rig.queue, () -> seen.add("woken"));
            rig.write(BlkifOp.READ, 1, 0, rig.grefs[0]);
            rig.publish();
            assertEquals(1, rig.queue.poll(64));
            rig.gate.pause(() -> seen.add("quiet"));
            rig.write(BlkifOp.READ, 2, 0, rig.grefs[1]);
            rig.publish();
            assertEquals(0, rig.queue.poll(64));
            assertFalse(rig.queue.finalCheck());
            assertEquals(List.of(), seen, "one is under way");
            work.remove().run();
            clock.pass(0);
            assertEquals(List.of("quiet"), seen);
            assertEquals(new QueueRig.Response(1, BlkifOp.READ, BlkifStatus.OKAY), rig.take());
            assertEquals(0, rig.queue.poll(64));
            rig.gate.resume();
            assertEquals(List.of("quiet", "woken"), seen);
            assertEquals(1, rig.queue.poll(64));
            work.remove().run();
            clock.pass(0);
            assertEquals(new QueueRig.Response(2, BlkifOp.READ, BlkifStatus.OKAY), rig.take());
            rig.gate.pause(() -> seen.add("quiet at once"));
            assertEquals(List.of("quiet", "woken", "quiet at once"), seen);
            rig.gate.resume();
            rig.gate.remove(rig.queue);
        }
    }

    @Test
    void nonsenseIsNamed() {
        for (String text : List.of("", "1", "1,2,3,4", "-1,0", "a,b", "1,99999999999")) {
            assertThrows(IllegalArgumentException.class, () -> DiskRate.parse(text), text);
        }
        assertEquals("10,20,100", DiskRate.parse("10,20").toString());
        assertFalse(DiskRate.parse("0,0,5").isLimited());
    }
}
