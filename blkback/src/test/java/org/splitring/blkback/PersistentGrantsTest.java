package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;

@Timeout(60)
class PersistentGrantsTest {
    private static final int DISK = 1 << 20;
    private final MemoryStore store = new MemoryStore(DISK);
    private final DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);

    private QueueRig rig(int grants) {
        VbdFeatures features = VbdFeatures.ALL.withMaxPersistentGrants(grants);
        return new QueueRig(disk, features, Runnable::run);
    }

    private static void close(QueueRig rig) {
        rig.queue.unmapPersistent();
        assertEquals(0, rig.mappedData());
        rig.close();
    }

    @Test
    void aGrantThatIsUsedAgainIsMappedOnce() {
        QueueRig rig = rig(8);
        for (int i = 0; i < 100; i++) {
            int operation = i % 2 == 0 ? BlkifOp.READ : BlkifOp.WRITE;
            assertEquals(0, rig.ask(operation, i, 0, rig.grefs[1], rig.grefs[2]).status());
            assertEquals(2, rig.mappedData());
        }
        // Twice in one request, seen for the first time.
        assertEquals(0, rig.ask(BlkifOp.READ, 1, 0, rig.grefs[3], rig.grefs[3]).status());
        assertEquals(3, rig.mappedData());
        close(rig);
    }

    @Test
    void h025_freshGrantsPushOutTheOldestAndNeverExceedTheBound() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        random.nextBytes(store.bytes);
        QueueRig rig = rig(7);
        Set<Integer> recent = new LinkedHashSet<>();
        for (int i = 0; i < 3000; i++) {
            int page = random.nextInt(random.nextBoolean() ? 60 : 9);
            int sector = random.nextInt(DISK / 512 - 8);
            rig.page(page).fill((byte) 0);
            assertEquals(0, rig.ask(BlkifOp.READ, i, sector, rig.grefs[page]).status());
            byte[] expected = Arrays.copyOfRange(store.bytes, sector * 512, sector * 512 + 4096);
            assertArrayEquals(expected, rig.page(page).toArray(ValueLayout.JAVA_BYTE));
            recent.remove(page);
            recent.add(page);
            if (recent.size() > 7) {
                recent.remove(recent.iterator().next());
            }
            assertEquals(recent.size(), rig.mappedData(), "seed " + seed);
        }
        for (int page = 0; page < 60; page++) {
            boolean held = !rig.guest.grants().tryRevoke(rig.grefs[page]);
            assertEquals(recent.contains(page), held, "page " + page + ", seed " + seed);
        }
        close(rig);
    }

    @Test
    void h024_failedGrantsLoseNoPersistentOne() {
        QueueRig rig = rig(16);
        assertEquals(0, rig.ask(BlkifOp.READ, 0, 0, rig.grefs[0], rig.grefs[1]).status());
        for (int pattern = 0; pattern < 64; pattern++) {
            int[] some = new int[6];
            for (int i = 0; i < 6; i++) {
                some[i] = ((pattern >> i) & 1) == 0 ? rig.grefs[i % 2] : 9999;
            }
            int expected = pattern == 0 ? 0 : -1;
            assertEquals(expected, rig.ask(BlkifOp.WRITE, pattern, 0, some).status());
            assertEquals(2, rig.mappedData(), "pattern " + pattern);
        }
        // New good ones beside a bad one are undone, and can be kept later.
        assertEquals(-1, rig.ask(BlkifOp.READ, 1, 0, rig.grefs[5], 9999).status());
        assertEquals(2, rig.mappedData());
        assertEquals(0, rig.ask(BlkifOp.READ, 1, 0, rig.grefs[5]).status());
        assertEquals(3, rig.mappedData());
        close(rig);
    }

    /// The window is smaller than what may be kept: what nobody uses makes room.
    @Test
    void aWindowThatIsFullIsEmptiedForTheNextRequest() {
        VbdFeatures features = VbdFeatures.ALL.withMaxPersistentGrants(64);
        DomainLimits limits = new DomainLimits(1 << 20, 32, 1 + 5, 256);
        QueueRig rig =
                new QueueRig(
                        disk, BlkifLayout.X86_64, 0xFFFF_FFF0, Runnable::run, limits, features);
        for (int i = 0; i < 5; i++) {
            assertEquals(0, rig.ask(BlkifOp.READ, i, 0, rig.grefs[i]).status());
        }
        assertEquals(5, rig.mappedData());
        assertEquals(-1, rig.ask(BlkifOp.READ, 5, 0, rig.grefs[5], rig.grefs[6]).status());
        assertEquals(1, rig.counters.ooReq.get());
        assertEquals(0, rig.mappedData());
        assertEquals(0, rig.ask(BlkifOp.READ, 6, 0, rig.grefs[5], rig.grefs[6]).status());
        assertEquals(2, rig.mappedData());
        close(rig);
    }

    @Test
    void whatIsInUseIsNotPushedOut() {
        ArrayDeque<Runnable> later = new ArrayDeque<>();
        MemoryStore cold =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) {
                        return WOULD_BLOCK;
                    }
                };
        Arrays.fill(cold.bytes, (byte) 5);
        DiskImage image = DiskImage.of(cold, DiskMode.WRITEBACK, Runnable::run);
        QueueRig rig = new QueueRig(image, VbdFeatures.ALL.withMaxPersistentGrants(2), later::add);
        for (int i = 0; i < 10; i++) {
            rig.write(BlkifOp.READ, i, 0, rig.grefs[i]);
        }
        rig.publish();
        rig.queue.poll(64);
        assertEquals(10, rig.mappedData(), "two are kept, the others are their requests' own");
        while (!later.isEmpty()) {
            later.remove().run();
        }
        rig.loop.pump();
        for (int i = 0; i < 10; i++) {
            assertEquals(0, rig.take().status());
            assertEquals(5, rig.page(i).get(ValueLayout.JAVA_BYTE, 4095));
        }
        assertEquals(2, rig.mappedData());
        assertFalse(rig.guest.grants().tryRevoke(rig.grefs[0]));
        assertTrue(rig.guest.grants().tryRevoke(rig.grefs[2]));
        close(rig);
    }
}
