package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.math.BigInteger;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

class RequestReaderTest {
    private static final long SECTORS = 1000;
    private VbdFeatures features = VbdFeatures.NONE.withFlush(true);

    private static final DiskImage WRITABLE = disk(false);
    private static final DiskImage READ_ONLY = disk(true);

    private static DiskImage disk(boolean readOnly) {
        return DiskImage.of(
                new MemoryStore((int) SECTORS * 512, readOnly), DiskMode.WRITEBACK, Runnable::run);
    }

    private final MemorySegment slot = Arena.ofAuto().allocate(112, 8);
    private final SegmentList list = new SegmentList(256);
    private final CheckedRequest request = new CheckedRequest();

    private int status(boolean readOnly, int op, int segments, long sector, int first, int last) {
        return status(BlkifLayout.X86_64, readOnly, op, segments, sector, first, last);
    }

    private int status(
            BlkifLayout layout,
            boolean readOnly,
            int op,
            int segments,
            long sector,
            int first,
            int last) {
        slot.fill((byte) 0);
        layout.writeRequest(slot, 0, op, segments, 0, 42, sector);
        for (int i = 0; i < 11; i++) {
            BlkifLayout.writeSegment(slot, layout.segmentOffset(0, i), 8 + i, first, last);
        }
        DiskImage disk = readOnly ? READ_ONLY : WRITABLE;
        new RequestReader(layout, disk, features).read(slot, request, list);
        assertEquals(42, request.id);
        assertEquals(op, request.operation);
        return request.status;
    }

    private int discard(DiskImage disk, VbdFeatures features, int flag, long sector, long count) {
        int status = 0;
        for (BlkifLayout layout : List.of(BlkifLayout.X86_64, BlkifLayout.X86_32)) {
            slot.fill((byte) 0);
            layout.writeDiscard(slot, 0, flag, 0, 42, sector, count);
            new RequestReader(layout, disk, features).read(slot, request, list);
            assertEquals(42, request.id);
            assertEquals(BlkifOp.DISCARD, request.operation);
            assertEquals(0, request.segmentCount);
            status = request.status;
            if (status == BlkifStatus.OKAY) {
                assertEquals(sector, request.startSector);
                assertEquals(count, request.sectors);
            }
        }
        return status;
    }

    @Test
    void h021_rangesOfDiscards() {
        long[][] ranges = { // sector, count, status
            {0, 1, 0},
            {0, SECTORS, 0},
            {SECTORS - 1, 1, 0},
            {17, SECTORS - 17, 0},
            {0, 0, -1},
            {SECTORS, 0, -1},
            {0, SECTORS + 1, -1},
            {SECTORS, 1, -1},
            {0, -1, -1},
            {1, -1, -1}, // the sum wraps to 0
            {5, -4, -1},
            {-1, 1, -1},
            {-1, 2, -1},
            {Long.MIN_VALUE, Long.MIN_VALUE, -1},
            {Long.MAX_VALUE, Long.MAX_VALUE, -1},
            {0, Long.MIN_VALUE, -1},
        };
        for (long[] range : ranges) {
            assertEquals(
                    range[2],
                    discard(WRITABLE, VbdFeatures.ALL, 0, range[0], range[1]),
                    () -> range[0] + " and " + range[1]);
        }
    }

    @Test
    void discardsThatAreNotOfferedOrSecureAreNotSupported() {
        for (int flag = 0; flag < 256; flag++) {
            int expected = (flag & 1) == 0 ? BlkifStatus.OKAY : BlkifStatus.EOPNOTSUPP;
            assertEquals(expected, discard(WRITABLE, VbdFeatures.ALL, flag, 0, 8));
            assertEquals(BlkifStatus.EOPNOTSUPP, discard(WRITABLE, VbdFeatures.NONE, flag, 0, 8));
            assertEquals(BlkifStatus.ERROR, discard(READ_ONLY, VbdFeatures.ALL, flag, 0, 8));
        }
    }

    @Test
    void h021_segmentAndRangeArithmetic() {
        for (BlkifLayout layout :
                List.of(BlkifLayout.X86_64, BlkifLayout.X86_32, BlkifLayout.ARM)) {
            for (int op : new int[] {BlkifOp.READ, BlkifOp.WRITE}) {
                for (int segments = 0; segments < 256; segments++) {
                    int expected =
                            segments >= 1 && segments <= 11 ? BlkifStatus.OKAY : BlkifStatus.ERROR;
                    assertEquals(
                            expected,
                            status(layout, false, op, segments, 0, 0, 7),
                            "segments " + segments);
                }
                for (int first = 0; first < 256; first++) {
                    for (int last = 0; last < 256; last++) {
                        int expected =
                                first <= last && last <= 7 ? BlkifStatus.OKAY : BlkifStatus.ERROR;
                        assertEquals(expected, status(layout, false, op, 1, 0, first, last));
                    }
                }
                assertEquals(0, status(layout, false, op, 1, SECTORS - 8, 0, 7));
                assertEquals(-1, status(layout, false, op, 1, SECTORS - 7, 0, 7));
                assertEquals(0, status(layout, false, op, 1, SECTORS - 1, 3, 3));
                assertEquals(-1, status(layout, false, op, 1, SECTORS, 3, 3));
                assertEquals(-1, status(layout, false, op, 1, -1, 0, 0));
                assertEquals(-1, status(layout, false, op, 1, -8, 0, 7)); // sum wraps to 0
                assertEquals(-1, status(layout, false, op, 1, Long.MIN_VALUE, 0, 7));
                assertEquals(-1, status(layout, false, op, 1, Long.MAX_VALUE, 0, 7));
            }
        }
    }

    @Test
    void h021_rangeCheckAgreesWithExactArithmetic() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        long[] corners = {0, 1, 7, 8, 9, SECTORS, Long.MAX_VALUE, Long.MIN_VALUE, -1, -8, -9};
        for (int i = 0; i < 200_000; i++) {
            long start =
                    random.nextBoolean()
                            ? random.nextLong()
                            : corners[random.nextInt(corners.length)] + random.nextInt(17) - 8;
            long count = random.nextInt(100);
            long size = random.nextBoolean() ? random.nextInt(200) : random.nextLong() >>> 1;
            BigInteger end =
                    new BigInteger(Long.toUnsignedString(start)).add(BigInteger.valueOf(count));
            assertEquals(
                    end.compareTo(BigInteger.valueOf(size)) <= 0,
                    RequestReader.isOnDisk(start, count, size),
                    () -> Long.toUnsignedString(start) + "+" + count + " of " + size);
        }
    }

    @Test
    void h020_nothingThatChangesTheDiskIsLetThroughOnAReadOnlyOne() {
        for (int op = 0; op < 256; op++) {
            int status = status(true, op, 1, 0, 0, 7);
            assertEquals(op == BlkifOp.READ, status == BlkifStatus.OKAY, "operation " + op);
        }
        assertEquals(BlkifStatus.OKAY, status(true, BlkifOp.FLUSH_DISKCACHE, 0, 0, 0, 0));
    }

    @Test
    void barriersAreReadAsFlushesWhereTheyAreOffered() {
        features = VbdFeatures.ALL;
        for (int segments = 0; segments < 256; segments++) {
            int expected = segments <= 11 ? BlkifStatus.OKAY : BlkifStatus.ERROR;
            assertEquals(expected, status(false, BlkifOp.WRITE_BARRIER, segments, 0, 0, 7));
        }
        assertEquals(-1, status(false, BlkifOp.WRITE_BARRIER, 1, SECTORS - 7, 0, 7));
        features = VbdFeatures.NONE;
        assertEquals(-2, status(false, BlkifOp.FLUSH_DISKCACHE, 0, 0, 0, 7));
        assertEquals(-2, status(false, BlkifOp.WRITE_BARRIER, 1, 0, 0, 7));
    }

    private int indirect(BlkifLayout layout, DiskImage disk, int op, int count, long sector) {
        slot.fill((byte) 0);
        layout.writeIndirect(slot, 0, op, count, 0, 42, sector);
        for (int i = 0; i < 8; i++) {
            layout.writeIndirectGref(slot, 0, i, 100 + i);
        }
        new RequestReader(layout, disk, VbdFeatures.ALL).read(slot, request, list);
        assertEquals(42, request.id);
        return request.status;
    }

    @Test
    void h021_h022_numbersAndOperationsOfIndirectRequests() {
        for (BlkifLayout layout : List.of(BlkifLayout.X86_64, BlkifLayout.X86_32)) {
            for (int op = 0; op < 256; op++) {
                int status = indirect(layout, WRITABLE, op, 20, 0);
                boolean inside = op == BlkifOp.READ || op == BlkifOp.WRITE;
                assertEquals(inside ? BlkifStatus.OKAY : BlkifStatus.ERROR, status, "op " + op);
                assertEquals(inside ? op : BlkifOp.INDIRECT, request.operation);
                int onReadOnly = indirect(layout, READ_ONLY, op, 20, 0);
                assertEquals(op == BlkifOp.READ, onReadOnly == BlkifStatus.OKAY, "op " + op);
            }
            for (int count : new int[] {0, 1, 11, 12, 255, 256, 257, 512, 4096, 4097, 65535}) {
                int status = indirect(layout, WRITABLE, BlkifOp.READ, count, 0);
                boolean possible = count > 0 && count <= 256;
                assertEquals(possible ? 0 : -1, status, "segments " + count);
                if (possible) {
                    assertEquals(count, request.segmentCount);
                    assertEquals(1, request.indirectPages);
                    assertEquals(100, request.indirectGrefs[0]);
                }
            }
        }
    }

    @Test
    void h021_segmentsInIndirectPages() {
        MemorySegment page = Arena.ofAuto().allocate(4096, 8);
        RequestReader reader = new RequestReader(BlkifLayout.X86_64, WRITABLE, VbdFeatures.ALL);
        int[][] wrong = {{1, 0}, {0, 8}, {0, 255}, {255, 255}, {8, 8}, {255, 0}};
        for (int bad = -1; bad < 100; bad++) {
            for (int[] pair : wrong) {
                indirect(BlkifLayout.X86_64, WRITABLE, BlkifOp.WRITE, 100, 5);
                for (int i = 0; i < 100; i++) {
                    int first = i == bad ? pair[0] : i % 8;
                    int last = i == bad ? pair[1] : 7;
                    BlkifLayout.writeSegment(page, i * 8L, 1000 + i, first, last);
                }
                int status = reader.readIndirectSegments(page, request, list);
                assertEquals(bad < 0 ? BlkifStatus.OKAY : BlkifStatus.ERROR, status);
                assertEquals(bad < 0 ? 100 : 0, request.segmentCount);
                if (bad < 0) {
                    assertEquals(1099, list.grefs[99]);
                    assertEquals(99 % 8, list.firstSects[99]);
                    assertEquals(8 - 99 % 8, list.sectorCounts[99]);
                    assertEquals(12 * 36 + 8 + 7 + 6 + 5, request.sectors);
                }
            }
        }
        for (long start : new long[] {SECTORS - 8 * 125 + 1, SECTORS, -1, -1000, Long.MIN_VALUE}) {
            indirect(BlkifLayout.X86_64, WRITABLE, BlkifOp.READ, 125, start);
            for (int i = 0; i < 125; i++) {
                BlkifLayout.writeSegment(page, i * 8L, 1000 + i, 0, 7);
            }
            assertEquals(-1, reader.readIndirectSegments(page, request, list), "" + start);
        }
    }

    @Test
    void h022_allOperationsNotAnnouncedAreRefused() {
        for (int op = 0; op < 256; op++) {
            for (int inner = 0; inner < 256; inner++) { // nr_segments is imm_op of an indirect one
                int status = status(false, op, inner, 0, 0, 7);
                switch (op) {
                    case BlkifOp.READ, BlkifOp.WRITE ->
                            assertEquals(inner >= 1 && inner <= 11 ? 0 : -1, status);
                    case BlkifOp.FLUSH_DISKCACHE -> assertEquals(inner <= 11 ? 0 : -1, status);
                    case 2, 4, 5, 6 -> assertEquals(BlkifStatus.EOPNOTSUPP, status);
                    default -> assertEquals(BlkifStatus.ERROR, status);
                }
            }
        }
    }
}
