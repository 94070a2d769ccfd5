package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.ring.RingBrokenException;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// What a hostile guest does to one ring of the backend, entry by entry of the catalogue.
@Timeout(60)
class HostileFrontendTest {
    private static final int DISK = 1 << 20;

    /// Notes what reaches the disk, and insists on ranges that were checked.
    private static final class NotingStore extends MemoryStore {
        int reads;
        int writes;
        int syncs;
        long lastOffset = -1;
        long lastSize;

        NotingStore() {
            super(DISK);
        }

        private void note(IoVector vector, long offset) {
            lastOffset = offset;
            lastSize = vector.remainingBytes();
            if (offset < 0 || lastSize <= 0 || lastSize > 256 * 4096 || offset > DISK - lastSize) {
                throw new AssertionError("range " + offset + "+" + lastSize);
            }
        }

        @Override
        public long readNoWait(IoVector into, long offset) throws IOException {
            reads++;
            note(into, offset);
            return super.read(into, offset);
        }

        @Override
        public long writeNoWait(IoVector from, long offset) throws IOException {
            writes++;
            note(from, offset);
            long size = from.remainingBytes();
            super.write(from, offset);
            return size;
        }

        @Override
        public void sync() {
            syncs++;
        }
    }

    private static DiskImage disk(BlockStore store) {
        return DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 0xFFFF_FFF0, -2})
    void h001_reqProdAheadOfRingBreaksTheDevice(int start) {
        // N+1, 2N, 2^31, 2^32-1 ahead of the last response, and backwards by one and by N.
        for (int ahead : new int[] {33, 64, Integer.MIN_VALUE, -1, -2, -32}) {
            NotingStore store = new NotingStore();
            try (QueueRig rig =
                    new QueueRig(
                            disk(store),
                            BlkifLayout.X86_64,
                            start,
                            Runnable::run,
                            DomainLimits.DEFAULT)) {
                assertEquals(0, rig.ask(BlkifOp.READ, 1, 0, rig.grefs[0]).status());
                int answered = rig.word(8);
                rig.word(0, rig.reqProd + ahead);
                assertThrows(RingBrokenException.class, () -> rig.queue.poll(64), "" + ahead);
                rig.word(0, rig.reqProd); // repaired: too late
                assertThrows(RingBrokenException.class, () -> rig.queue.poll(64));
                assertThrows(RingBrokenException.class, rig.queue::finalCheck);
                assertEquals(answered, rig.word(8), "no response after the break");
                assertEquals(1, store.reads);
                assertEquals(0, rig.mappedData());
                assertEquals(0, rig.queue.inFlight());
            }
        }
    }

    @Test
    void h004_fieldsFlippedBetweenCheckAndUse() throws Exception {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            // field offset in the slot, its two values
            long[][] fields = {
                {0, BlkifOp.READ, BlkifOp.WRITE},
                {1, 1, 255},
                {1, 1, 11},
                {16, 8, 255}, // low byte of sector_number: 255 + 8 sectors is still on the disk
                {23, 0, 255}, // high byte of sector_number: far off the disk
                {24, rig.grefs[0], 255}, // low byte of gref
                {28, 0, 200}, // first_sect
                {29, 7, 200}, // last_sect
            };
            for (long[] field : fields) {
                AtomicBoolean stop = new AtomicBoolean();
                long[] slot = new long[1];
                slot[0] = rig.slot(0);
                MemorySegment ring = rig.ring;
                Thread flipper =
                        Thread.ofPlatform()
                                .daemon()
                                .start(
                                        () -> {
                                            while (!stop.get()) {
                                                for (int i = 0; i < 32; i++) {
                                                    long at = rig.slot(i) + field[0];
                                                    byte one = (byte) field[1];
                                                    byte two = (byte) field[2];
                                                    ring.set(ValueLayout.JAVA_BYTE, at, one);
                                                    ring.set(ValueLayout.JAVA_BYTE, at, two);
                                                }
                                            }
                                        });
                long end = System.nanoTime() + 150_000_000L;
                int okay = 0;
                int refused = 0;
                while (System.nanoTime() < end) {
                    int writes = store.writes;
                    int reads = store.reads;
                    QueueRig.Response response = rig.ask(BlkifOp.READ, 5, 8, rig.grefs[0]);
                    int done = store.reads - reads + store.writes - writes;
                    if (response.status() == BlkifStatus.OKAY) {
                        okay++;
                        assertEquals(1, done);
                        if (field[0] == 0) {
                            // What is echoed is what was done.
                            assertEquals(
                                    response.operation() == BlkifOp.WRITE, store.writes > writes);
                        }
                        assertTrue(
                                store.lastOffset == 8 * 512 || store.lastOffset == 255 * 512,
                                () -> "offset " + store.lastOffset);
                        assertEquals(0, store.lastSize % 4096);
                    } else {
                        refused++;
                        assertEquals(BlkifStatus.ERROR, response.status());
                        assertEquals(0, done, "refused requests touch nothing");
                    }
                    assertEquals(0, rig.mappedData());
                }
                stop.set(true);
                flipper.join();
                assertTrue(okay + refused > 0);
            }
        }
    }

    @Test
    void h005_aWordChangedAfterTheCopyChangesNothing() {
        NotingStore store = new NotingStore();
        ArrayDeque<Runnable> later = new ArrayDeque<>();
        MemoryStore cold =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) {
                        return WOULD_BLOCK;
                    }
                };
        cold.bytes[8 * 512] = 77;
        try (QueueRig rig =
                new QueueRig(
                        disk(cold), BlkifLayout.X86_64, -2, later::add, DomainLimits.DEFAULT)) {
            long slot = rig.write(BlkifOp.READ, 9, 8, rig.grefs[0]);
            rig.publish();
            rig.queue.poll(64);
            assertEquals(1, later.size());
            // The request is under way: operation, range and page are edited now.
            rig.ring.asSlice(slot, rig.layout.entrySizeBytes()).fill((byte) 1);
            later.remove().run();
            rig.loop.pump();
            assertEquals(new QueueRig.Response(9, BlkifOp.READ, BlkifStatus.OKAY), rig.take());
            assertEquals(77, rig.page(0).get(ValueLayout.JAVA_BYTE, 0));
        }
        assertEquals(0, store.writes);
    }

    @Test
    void h006_requestsInFlightAreBoundedByTheRing() {
        ArrayDeque<Runnable> never = new ArrayDeque<>();
        MemoryStore cold =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) {
                        return WOULD_BLOCK;
                    }
                };
        try (QueueRig rig =
                new QueueRig(
                        disk(cold), BlkifLayout.X86_64, -5, never::add, DomainLimits.DEFAULT)) {
            for (int i = 0; i < 32; i++) {
                rig.write(BlkifOp.READ, i, 0, rig.grefs[i]);
            }
            rig.publish();
            assertEquals(32, rig.queue.poll(1000));
            assertEquals(32, rig.queue.inFlight());
            // Submits again without waiting, over the slots in flight.
            rig.write(BlkifOp.READ, 99, 0, rig.grefs[40]);
            rig.publish();
            assertThrows(RingBrokenException.class, () -> rig.queue.poll(1000));
            assertEquals(32, never.size());
            never.forEach(Runnable::run);
            rig.loop.pump();
            assertEquals(0, rig.queue.inFlight());
            assertEquals(0, rig.mappedData());
        }
    }

    @Test
    void h007_idsAreEchoedAndMeanNothing() {
        try (QueueRig rig = new QueueRig(disk(new NotingStore()))) {
            for (long id : new long[] {-1, 65535, 7, 7, 7, Long.MIN_VALUE}) {
                rig.write(BlkifOp.READ, id, 0, rig.grefs[0]);
            }
            rig.serve();
            for (long id : new long[] {-1, 65535, 7, 7, 7, Long.MIN_VALUE}) {
                assertEquals(new QueueRig.Response(id, BlkifOp.READ, 0), rig.take());
            }
        }
    }

    @Test
    void h008_responsesWriteNothingButTheirFields() {
        for (BlkifLayout layout :
                List.of(BlkifLayout.X86_64, BlkifLayout.X86_32, BlkifLayout.ARM)) {
            int idOffset = 0;
            try (QueueRig rig =
                    new QueueRig(
                            disk(new NotingStore()),
                            layout,
                            -2,
                            Runnable::run,
                            DomainLimits.DEFAULT)) {
                long slot = rig.slot(rig.reqProd);
                MemorySegment bytes = rig.ring.asSlice(slot, layout.entrySizeBytes());
                bytes.fill((byte) 0xA5);
                layout.writeRequest(rig.ring, slot, 77, 0, 0, 0x0102030405060708L, 0);
                byte[] before = bytes.toArray(ValueLayout.JAVA_BYTE);
                rig.reqProd++;
                rig.serve();
                byte[] after = bytes.toArray(ValueLayout.JAVA_BYTE);
                for (int i = 0; i < after.length; i++) {
                    if (i < idOffset + 8) {
                        assertEquals((byte) (8 - i), after[i], "id");
                    } else if (i == 8) {
                        assertEquals(77, after[i], "operation");
                    } else if (i == 10 || i == 11) {
                        assertEquals(-1, after[i], "status");
                    } else {
                        assertEquals(before[i], after[i], layout + " byte " + i);
                    }
                }
            }
        }
    }

    @Test
    void h011_eventWordsOnlyChangeWakeups() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (QueueRig rig = new QueueRig(disk(new NotingStore()))) {
            for (int i = 0; i < 5000; i++) {
                rig.word(4, random.nextInt());
                rig.word(12, random.nextInt());
                assertEquals(0, rig.ask(BlkifOp.READ, i, 0, rig.grefs[0]).status());
                assertFalse(rig.queue.finalCheck());
            }
        }
    }

    /// A frontend may use a page for something else the moment it sees the index.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void pagesAreUnmappedBeforeTheirResponseIsSeen(boolean onWorkers) {
        MemoryStore store =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) throws IOException {
                        return onWorkers ? WOULD_BLOCK : super.readNoWait(into, offset);
                    }
                };
        int[] unmapped = new int[2]; // requests, pages
        QueueRig[] self = new QueueRig[1];
        IntConsumer beforeUnmap =
                count -> {
                    int published = self[0].word(8) - 0xFFFF_FFF0;
                    assertTrue(
                            published <= unmapped[0], "a response is seen, and its pages mapped");
                    unmapped[0]++;
                    unmapped[1] += count;
                };
        try (QueueRig rig = new QueueRig(disk(store), Runnable::run, beforeUnmap)) {
            self[0] = rig;
            for (int i = 0; i < 50; i++) {
                int batch = 1 + i % 5;
                for (int n = 0; n < batch; n++) {
                    rig.write(BlkifOp.READ, n, 0, rig.grefs[n], rig.grefs[n + 1]);
                }
                rig.serve();
                for (int n = 0; n < batch; n++) {
                    assertEquals(0, rig.take().status());
                }
                assertEquals(rig.rspCons - 0xFFFF_FFF0, unmapped[0]);
                assertEquals(2 * unmapped[0], unmapped[1]);
                assertEquals(0, rig.mappedData());
            }
        }
    }

    @Test
    void h020_aReadOnlyDiskIsNeverWritten() {
        MemoryStore store = new MemoryStore(DISK, true);
        new Random(1).nextBytes(store.bytes);
        byte[] before = store.bytes.clone();
        try (QueueRig rig = new QueueRig(disk(store))) {
            for (int op = 0; op < 256; op++) {
                int status = rig.ask(op, op, 0, rig.grefs[0]).status();
                assertEquals(op == BlkifOp.READ, status == 0, "operation " + op);
            }
            assertEquals(0, rig.ask(BlkifOp.FLUSH_DISKCACHE, 1, 0).status());
            rig.writeDiscard(1, 0, 0, 8);
            rig.serve();
            assertEquals(BlkifStatus.ERROR, rig.take().status());
        }
        assertArrayEquals(before, store.bytes);
    }

    @Test
    void h021_discardsTouchTheirRangeAndNothingElse() {
        NotingStore store = new NotingStore();
        Arrays.fill(store.bytes, (byte) 9);
        byte[] expected = store.bytes.clone();
        try (QueueRig rig = new QueueRig(disk(store))) {
            long sectors = DISK / 512;
            long[][] requests = { // flag, sector, count, status
                {0, 3, 5, 0},
                {0, sectors - 1, 1, 0},
                {0, sectors - 1, 2, -1},
                {0, 4, 0, -1},
                {0, 1, -1, -1},
                {0, -1, 1, -1},
                {0, -8, 16, -1},
                {1, 16, 1, -2},
            };
            for (long[] request : requests) {
                rig.writeDiscard(7, (int) request[0], request[1], request[2]);
                rig.serve();
                QueueRig.Response response = rig.take();
                assertEquals(7, response.id());
                assertEquals(BlkifOp.DISCARD, response.operation());
                assertEquals(request[3], response.status(), Arrays.toString(request));
                if (request[3] == 0) {
                    int from = (int) request[1] * 512;
                    Arrays.fill(expected, from, from + (int) request[2] * 512, (byte) 0);
                }
                assertArrayEquals(expected, store.bytes);
            }
            assertEquals(0, rig.mappedData());
            assertEquals(2, rig.counters.snapshot().dsReq());
            assertEquals(6, rig.counters.snapshot().dsSect());
        }
    }

    @Test
    void aDiscardThatTheFileSystemRefusesIsNotSupportedAndTheDiskLives() {
        IOException[] failure = {new LinuxException("punch hole", Errno.EOPNOTSUPP)};
        MemoryStore store =
                new MemoryStore(DISK) {
                    @Override
                    public void discard(long offset, long size) throws IOException {
                        throw failure[0];
                    }
                };
        DiskImage disk = disk(store);
        try (QueueRig rig = new QueueRig(disk)) {
            rig.writeDiscard(1, 0, 0, 8);
            rig.serve();
            assertEquals(BlkifStatus.EOPNOTSUPP, rig.take().status());
            failure[0] = new LinuxException("punch hole", Errno.EIO);
            rig.writeDiscard(2, 0, 0, 8);
            rig.serve();
            assertEquals(BlkifStatus.ERROR, rig.take().status());
            assertTrue(disk.failure().isEmpty());
            assertEquals(0, rig.ask(BlkifOp.WRITE, 3, 0, rig.grefs[0]).status());
        }
    }

    @Test
    void h022_unknownOperationsAreAnsweredAndTouchNothing() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            for (int op = 4; op < 256; op++) {
                if (op == BlkifOp.DISCARD || op == BlkifOp.INDIRECT) {
                    continue;
                }
                int expected = op == 4 ? BlkifStatus.EOPNOTSUPP : BlkifStatus.ERROR;
                assertEquals(
                        new QueueRig.Response(op, op, expected),
                        rig.ask(op, op, 0, rig.grefs[0], rig.grefs[1]));
            }
            for (int op = 2; op < 256; op++) {
                rig.writeIndirect(op, op, 0, 60, 2, rig.grefs[0], rig.grefs[1]);
                rig.serve();
                assertEquals(
                        new QueueRig.Response(op, BlkifOp.INDIRECT, BlkifStatus.ERROR), rig.take());
            }
            assertEquals(0, store.reads + store.writes + store.syncs);
            assertEquals(0, rig.mappedData());
        }
    }

    /// 256 segments of 64 pages, in an order of their own, and then as many as there can be.
    @Test
    void indirectRequestsMoveTheirPagesInOrderAndAreAnsweredWithTheOperationInside() {
        byte[] expected = new byte[DISK];
        new Random(3).nextBytes(expected);
        NotingStore store = new NotingStore();
        System.arraycopy(expected, 0, store.bytes, 0, DISK);
        try (QueueRig rig = new QueueRig(disk(store))) {
            for (int count : new int[] {1, 11, 12, 60}) {
                int[] order = new int[count];
                for (int i = 0; i < count; i++) {
                    order[i] = rig.grefs[(i * 7) % 60];
                }
                rig.writeIndirect(BlkifOp.READ, 1, 8, 60, count, order);
                rig.serve();
                assertEquals(new QueueRig.Response(1, BlkifOp.READ, 0), rig.take());
                for (int i = 0; i < count; i++) {
                    byte[] page = rig.page((i * 7) % 60).toArray(ValueLayout.JAVA_BYTE);
                    byte[] wanted = Arrays.copyOfRange(expected, 4096 + i * 4096, 8192 + i * 4096);
                    assertArrayEquals(wanted, page, "segment " + i + " of " + count);
                }
            }
            int[] same = new int[256];
            Arrays.fill(same, rig.grefs[3]);
            rig.page(3).fill((byte) 9);
            rig.writeIndirect(BlkifOp.WRITE, 2, 0, 60, 256, same);
            rig.serve();
            assertEquals(new QueueRig.Response(2, BlkifOp.WRITE, 0), rig.take());
            Arrays.fill(expected, (byte) 9);
            assertArrayEquals(expected, store.bytes);
            assertEquals(0, rig.mappedData());
        }
    }

    @Test
    void h021_badIndirectRequestsAreAnsweredAndTouchNothing() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            int[] good = Arrays.copyOf(rig.grefs, 60);
            for (int count : new int[] {0, 257, 65535}) {
                rig.writeIndirect(BlkifOp.READ, 1, 0, 60, count, good);
                rig.serve();
                assertEquals(new QueueRig.Response(1, BlkifOp.READ, -1), rig.take());
            }
            // The page of segments: not granted, the ring's own reference, a segment that lies.
            long slot = rig.writeIndirect(BlkifOp.WRITE, 2, 0, 60, 20, good);
            rig.layout.writeIndirectGref(rig.ring, slot, 0, 9999);
            rig.serve();
            assertEquals(-1, rig.take().status());
            slot = rig.writeIndirect(BlkifOp.WRITE, 3, 0, 60, 20, good);
            rig.layout.writeIndirectGref(rig.ring, slot, 0, -1);
            rig.serve();
            assertEquals(-1, rig.take().status());
            rig.writeIndirect(BlkifOp.WRITE, 4, 0, 60, 20, good);
            BlkifLayout.writeSegment(rig.page(60), 19 * 8L, good[0], 7, 6);
            rig.serve();
            assertEquals(-1, rig.take().status());
            // Off the disk only with its last sector.
            rig.writeIndirect(BlkifOp.WRITE, 5, DISK / 512 - 60 * 8 + 1, 60, 60, good);
            rig.serve();
            assertEquals(-1, rig.take().status());
            rig.writeIndirect(BlkifOp.WRITE, 6, -8, 60, 60, good);
            rig.serve();
            assertEquals(-1, rig.take().status());
            assertEquals(0, store.reads + store.writes);
            assertEquals(0, rig.mappedData());
            rig.writeIndirect(BlkifOp.WRITE, 7, DISK / 512 - 60 * 8, 60, 60, good);
            rig.serve();
            assertEquals(0, rig.take().status());
        }
    }

    @Test
    void h023_everyPageOfAnIndirectRequestCanBeTheBadOne() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            for (int bad = 0; bad < 60; bad++) {
                int[] some = Arrays.copyOf(rig.grefs, 60);
                some[bad] = 9999;
                rig.writeIndirect(BlkifOp.READ, bad, 0, 60, 60, some);
                rig.serve();
                assertEquals(new QueueRig.Response(bad, BlkifOp.READ, -1), rig.take());
                assertEquals(0, rig.mappedData());
            }
            assertEquals(0, store.reads);
        }
    }

    /// The guest edits the page of segments after it was looked at, and more such requests are
    /// there than lists for them.
    @Test
    void h004_h026_pagesOfSegmentsAreCopiedOnceAndLargeRequestsAreBounded() {
        MemoryStore cold =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) {
                        return WOULD_BLOCK;
                    }
                };
        new Random(4).nextBytes(cold.bytes);
        ArrayDeque<Runnable> later = new ArrayDeque<>();
        try (QueueRig rig =
                new QueueRig(
                        disk(cold), BlkifLayout.X86_64, -2, later::add, DomainLimits.DEFAULT)) {
            for (int i = 0; i < 32; i++) {
                int[] some = Arrays.copyOfRange(rig.grefs, i, i + 20);
                rig.writeIndirect(BlkifOp.READ, i, 8L * i, 60, 20, some);
                rig.publish();
                rig.queue.poll(64);
            }
            assertEquals(DiskQueue.LARGE_REQUESTS, later.size());
            assertEquals(DiskQueue.LARGE_REQUESTS * 20, rig.mappedData());
            rig.page(60).fill((byte) 0xFF); // those that wait will find nonsense
            for (int answered = 0; answered < 32; ) {
                if (!later.isEmpty()) {
                    later.remove().run();
                }
                rig.loop.pump();
                while (rig.hasResponse()) {
                    QueueRig.Response response = rig.take();
                    int expected = response.id() < DiskQueue.LARGE_REQUESTS ? 0 : -1;
                    assertEquals(expected, response.status(), "request " + response.id());
                    answered++;
                }
            }
            assertEquals(0, rig.queue.inFlight());
            assertEquals(0, rig.mappedData());
            byte[] last = rig.page(7 + 19).toArray(ValueLayout.JAVA_BYTE);
            int at = (7 + 19) * 4096;
            assertArrayEquals(Arrays.copyOfRange(cold.bytes, at, at + 4096), last);
        }
    }

    @Test
    void h023_everyPatternOfFailedGrantsIsUndone() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            int readOnlyGref = rig.guest.grants().claim();
            rig.guest.grants().grant(readOnlyGref, DomId.ZERO, rig.dataGfn + 20, true);
            int[] bad = {0, 7, 4000, -1, Integer.MIN_VALUE, readOnlyGref};
            for (int n = 1; n <= 6; n++) {
                for (int pattern = 0; pattern < 1 << n; pattern++) {
                    int[] grefs = new int[n];
                    for (int i = 0; i < n; i++) {
                        boolean fails = (pattern & 1 << i) != 0;
                        grefs[i] = fails ? bad[(pattern + i) % bad.length] : rig.grefs[i];
                    }
                    int reads = store.reads;
                    int status = rig.ask(BlkifOp.READ, pattern, 0, grefs).status();
                    assertEquals(pattern == 0 ? 0 : -1, status, Arrays.toString(grefs));
                    assertEquals(pattern == 0 ? 1 : 0, store.reads - reads);
                    assertEquals(0, rig.mappedData());
                }
            }
            for (int i = 0; i < QueueRig.DATA_PAGES; i++) { // no pin was left in any entry
                assertTrue(rig.guest.grants().tryRevoke(rig.grefs[i]));
            }
        }
    }

    @Test
    void h026_mappingsAreLimitedForEachGuest() {
        NotingStore store = new NotingStore();
        DomainLimits few = new DomainLimits(1L << 30, 32, 1 + 4, 256);
        try (QueueRig rig = new QueueRig(disk(store), BlkifLayout.X86_64, -2, Runnable::run, few)) {
            int[] four = Arrays.copyOf(rig.grefs, 4);
            int[] five = Arrays.copyOf(rig.grefs, 5);
            assertEquals(0, rig.ask(BlkifOp.READ, 1, 0, four).status());
            assertEquals(-1, rig.ask(BlkifOp.READ, 2, 0, five).status());
            assertEquals(1, rig.counters.ooReq.get());
            assertEquals(0, rig.mappedData());
            assertEquals(0, rig.ask(BlkifOp.READ, 3, 0, four).status());
        }
    }

    @Test
    void h028_pagesInAnyOrderAreNotMerged() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        MemoryStore store = new MemoryStore(DISK);
        random.nextBytes(store.bytes);
        try (QueueRig rig = new QueueRig(disk(store))) {
            for (int round = 0; round < 200; round++) {
                int[] order = random.ints(0, QueueRig.DATA_PAGES).distinct().limit(11).toArray();
                int[] grefs = Arrays.stream(order).map(i -> rig.grefs[i]).toArray();
                long sector = random.nextInt(DISK / 512 - 88);
                assertEquals(0, rig.ask(BlkifOp.READ, round, sector, grefs).status());
                for (int i = 0; i < 11; i++) {
                    int from = (int) sector * 512 + i * 4096;
                    assertArrayEquals(
                            Arrays.copyOfRange(store.bytes, from, from + 4096),
                            rig.page(order[i]).toArray(ValueLayout.JAVA_BYTE));
                }
            }
        }
    }

    @Test
    void h029_aFloodOfFlushesSharesSynchronisations() {
        NotingStore store = new NotingStore();
        ArrayDeque<Runnable> syncs = new ArrayDeque<>();
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, syncs::add);
        try (QueueRig rig = new QueueRig(disk)) {
            for (int round = 0; round < 100; round++) {
                for (int i = 0; i < 32; i++) {
                    rig.write(BlkifOp.FLUSH_DISKCACHE, i, -1);
                }
                rig.publish();
                rig.queue.poll(64);
                assertEquals(1, syncs.size(), "one synchronisation at a time");
                syncs.remove().run();
                rig.loop.pump();
                for (int i = 0; i < 32; i++) {
                    assertEquals(0, rig.take().status());
                }
            }
            assertEquals(100, store.syncs);
        }
    }

    @Test
    void h029_aFlushWithDataFlushesAndWrites() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            rig.page(0).fill((byte) 5);
            assertEquals(0, rig.ask(BlkifOp.FLUSH_DISKCACHE, 1, 8, rig.grefs[0]).status());
            assertEquals(1, store.syncs);
            assertEquals(5, store.bytes[8 * 512]);
            assertEquals(-1, rig.ask(BlkifOp.FLUSH_DISKCACHE, 1, -8, rig.grefs[0]).status());
            assertEquals(1, store.syncs);
        }
    }

    @Test
    void h030_theSamePageTwiceHurtsOnlyItsGuest() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            int[] same = new int[11];
            Arrays.fill(same, rig.grefs[3]);
            assertEquals(0, rig.ask(BlkifOp.READ, 1, 0, same).status());
            rig.write(BlkifOp.READ, 2, 0, same);
            rig.write(BlkifOp.WRITE, 3, 64, same);
            rig.write(BlkifOp.READ, 4, 128, same);
            rig.serve();
            for (int id = 2; id <= 4; id++) {
                assertEquals(0, rig.take().status());
            }
            assertEquals(0, rig.mappedData());
            assertTrue(rig.guest.grants().tryRevoke(rig.grefs[3]));
        }
    }

    @Test
    void pagesAreUnmappedBeforeTheResponseIsSeen() {
        NotingStore store = new NotingStore();
        try (QueueRig rig = new QueueRig(disk(store))) {
            for (int i = 0; i < 100; i++) {
                rig.write(BlkifOp.READ, i, 0, rig.grefs[5]);
                rig.publish();
                rig.queue.poll(1);
                assertTrue(rig.hasResponse());
                assertTrue(rig.guest.grants().tryRevoke(rig.grefs[5]));
                rig.guest.grants().grant(rig.grefs[5], DomId.ZERO, rig.dataGfn + 5, false);
                rig.take();
            }
        }
    }
}
