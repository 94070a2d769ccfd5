package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.ring.RingBrokenException;
import org.splitring.testkit.FuzzBytes;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Any bytes on the ring, in the pages of segments and in the index words, with every ABI.
///
/// Each request is answered exactly once, or the ring is declared broken and never answers again.
/// What a request does is compared with a second reading of the rules (`Scenario.serve`), written
/// from the protocol's header and the table in [RequestReader]: the status, every byte of the disk,
/// and every byte of the guest's pages. Another guest has pages granted to the same driver domain,
/// under the same references, and must find them untouched and unread.
class BlockRequestsFuzzTest {
    private static final int SECTOR = 512;
    private static final int PAGE = 4096;
    private static final int DISK_SECTORS = 96;
    private static final int MAX_STEPS = 200;
    private static final int MAX_INDIRECT = 256;

    /// Pages from here on are granted for reading only, and from there on not at all.
    private static final int FIRST_READ_ONLY = 48;

    private static final int FIRST_NOT_GRANTED = 56;

    private static final long SECRET = 0x5ec2e75ec2e75ec2L;

    @FuzzTest
    void everyRequestIsAnsweredOnceAndTouchesOnlyWhatItMay(byte[] data) {
        try (Scenario scenario = new Scenario(new FuzzBytes(data))) {
            scenario.run();
        }
    }

    /// A request as it was published, and what it has to lead to.
    private record Asked(long id, int operation) {}

    private static final class Scenario implements AutoCloseable {
        private final FuzzBytes in;
        private final BlkifLayout layout;
        private final boolean readOnly;
        private final boolean persistent;
        private final boolean inBatches;
        private final MemoryStore store;
        private final QueueRig rig;
        private final GuestDomain other;
        private final int otherGfn;
        private final Map<Integer, Integer> pageOfGref = new HashMap<>();
        private final byte[] disk;
        private final byte[] pages = new byte[QueueRig.DATA_PAGES * PAGE];
        private final int ringGref;
        private boolean harmsItself; // its own ring is among the pages of its requests
        private boolean broken;

        Scenario(FuzzBytes in) {
            this.in = in;
            int kind = in.u8();
            layout = List.of(BlkifLayout.X86_64, BlkifLayout.X86_32, BlkifLayout.ARM).get(kind % 3);
            readOnly = (kind & 0x10) != 0;
            persistent = (kind & 0x20) != 0;
            inBatches = (kind & 0x40) != 0;
            store = new MemoryStore(DISK_SECTORS * SECTOR, readOnly);
            for (int i = 0; i < store.bytes.length; i++) {
                store.bytes[i] = (byte) (i / SECTOR + 1);
            }
            disk = store.bytes.clone();
            DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
            rig =
                    new QueueRig(
                            image,
                            layout,
                            kind >= 0x80 ? 0xFFFF_FFF0 : 0,
                            Runnable::run,
                            DomainLimits.DEFAULT,
                            persistent ? VbdFeatures.ALL : QueueRig.NOT_PERSISTENT);
            ringGref = rig.grefs[0] - 1; // claimed just before
            other = rig.secondGuest(new DomId(2));
            otherGfn = other.pages().allocate(QueueRig.DATA_PAGES);
            for (int i = 0; i < QueueRig.DATA_PAGES; i++) {
                int gref = other.grants().claim();
                other.grants().grant(gref, DomId.ZERO, otherGfn + i, false);
                otherPage(i).set(ValueLayout.JAVA_LONG, 8L * i, SECRET);
                Arrays.fill(pages, i * PAGE, (i + 1) * PAGE, (byte) (0x80 + i));
                MemorySegment.copy(pages, i * PAGE, rig.page(i), ValueLayout.JAVA_BYTE, 0, PAGE);
                pageOfGref.put(rig.grefs[i], i);
                if (i >= FIRST_READ_ONLY) {
                    assertTrue(rig.guest.grants().tryRevoke(rig.grefs[i]));
                    if (i < FIRST_NOT_GRANTED) {
                        rig.guest.grants().grant(rig.grefs[i], DomId.ZERO, rig.dataGfn + i, true);
                    }
                }
            }
        }

        private MemorySegment otherPage(int i) {
            return other.memory().pages(otherGfn + i, 1);
        }

        void run() {
            int unpublished = 0;
            // Mostly one at a time: then its effect is known exactly.
            int most = inBatches ? rig.entries : 1;
            for (int step = 0; step < MAX_STEPS && in.hasMore() && !broken; step++) {
                switch (in.choice(8)) {
                    case 0 -> {
                        byte[] slot = in.take(layout.entrySizeBytes());
                        MemorySegment.copy(
                                slot,
                                0,
                                rig.ring,
                                ValueLayout.JAVA_BYTE,
                                rig.slot(rig.reqProd++),
                                slot.length);
                        unpublished++;
                    }
                    case 1 -> {
                        request();
                        unpublished++;
                    }
                    case 2 -> {
                        indirect();
                        unpublished++;
                    }
                    case 3 -> {
                        rig.writeDiscard(in.s64(), in.u8(), sector(), sector());
                        unpublished++;
                    }
                    case 4 -> scribble();
                    case 5 -> {
                        rig.word(4, in.s32());
                        rig.word(8, rig.rspCons); // the backend does not read it back
                        rig.word(12, in.s32());
                    }
                    case 6 -> {
                        serve();
                        unpublished = 0;
                    }
                    default -> {
                        jump(in.s32());
                        unpublished = 0;
                    }
                }
                if (!broken && (unpublished == most)) {
                    serve();
                    unpublished = 0;
                }
            }
            if (!broken) {
                serve();
            }
            checkOther();
            if (!broken) {
                assertEquals(0, rig.queue.inFlight());
                if (!persistent) {
                    assertEquals(0, rig.mappedData(), "mapped when nothing is under way");
                }
            }
        }

        /// Mostly near the disk's ends, sometimes anything.
        private long sector() {
            int kind = in.u8();
            return kind < 0xC0 ? kind : kind < 0xE0 ? DISK_SECTORS - (kind & 7) : in.s64();
        }

        private int gref() {
            int kind = in.u8();
            if (kind < 0xE0) {
                return rig.grefs[kind % QueueRig.DATA_PAGES];
            }
            return kind < 0xF0 ? ringGref + kind - 0xE8 : in.s32();
        }

        private void request() {
            long slot = rig.slot(rig.reqProd++);
            int count = in.u8() % 16;
            layout.writeRequest(rig.ring, slot, in.u8() % 8, count, in.u8(), in.s64(), sector());
            for (int i = 0; i < Math.min(count, 11); i++) {
                int bounds = in.u8();
                BlkifLayout.writeSegment(
                        rig.ring,
                        layout.segmentOffset(slot, i),
                        gref(),
                        bounds & 15,
                        bounds == 0 ? 7 : bounds >> 4);
            }
        }

        private void indirect() {
            long slot = rig.slot(rig.reqProd++);
            int inner = in.u8() % 8;
            int count = in.u8() % 8 == 7 ? in.u16() : in.u8();
            layout.writeIndirect(rig.ring, slot, inner, count, 0, in.s64(), sector());
            for (int i = 0; i < 8; i++) {
                layout.writeIndirectGref(rig.ring, slot, i, gref());
            }
        }

        /// Segments in a page, or any bytes.
        private void scribble() {
            int page = in.choice(QueueRig.DATA_PAGES);
            int at = in.wideChoice(PAGE / 8) * 8;
            int count = Math.min(in.u8(), (PAGE - at) / 8);
            if ((page & 1) == 0) {
                for (int i = 0; i < count; i++) {
                    int bounds = in.u8();
                    int last = bounds == 0 ? 7 : bounds >> 4;
                    BlkifLayout.writeSegment(
                            rig.page(page), at + i * 8L, gref(), bounds & 15, last);
                }
            } else {
                byte[] bytes = in.take(count);
                MemorySegment.copy(
                        bytes, 0, rig.page(page), ValueLayout.JAVA_BYTE, at, bytes.length);
            }
            MemorySegment.copy(rig.page(page), ValueLayout.JAVA_BYTE, 0, pages, page * PAGE, PAGE);
        }

        /// Publishes what was written, and polls.
        private void serve() {
            List<Integer> published = new ArrayList<>();
            for (int index = rig.rspCons; index != rig.reqProd; index++) {
                published.add(index);
            }
            poll(published);
        }

        /// Puts any number into req_prod.
        private void jump(int reqProd) {
            int count = reqProd - rig.rspCons;
            if (Integer.compareUnsigned(count, rig.entries) > 0) {
                rig.word(0, reqProd);
                int rspProd = rig.word(8);
                assertThrows(RingBrokenException.class, () -> rig.queue.poll(1024));
                assertThrows(RingBrokenException.class, () -> rig.queue.poll(1024));
                assertEquals(rspProd, rig.word(8), "answers on a broken ring");
                broken = true;
                return;
            }
            rig.reqProd = reqProd; // whatever lies in the slots are requests now
            serve();
        }

        private void poll(List<Integer> published) {
            List<Asked> expected = new ArrayList<>();
            int status = BlkifStatus.OKAY;
            for (int index : published) {
                MemorySegment slot =
                        MemorySegment.ofArray(
                                rig.ring
                                        .asSlice(rig.slot(index), layout.entrySizeBytes())
                                        .toArray(ValueLayout.JAVA_BYTE));
                expected.add(new Asked(layout.id(aligned(slot), 0), echo(aligned(slot))));
                if (published.size() == 1) {
                    status = serve(aligned(slot));
                } else {
                    noteGrefs(aligned(slot));
                }
            }
            try {
                rig.serve();
            } catch (RingBrokenException e) {
                assertTrue(harmsItself, "a ring whose words are sound was called broken");
                broken = true;
                return;
            }
            if (harmsItself) {
                // Sectors of the disk were read into the ring: what lies there says nothing now.
                broken = true;
                return;
            }
            List<Asked> answered = new ArrayList<>();
            while (rig.hasResponse()) {
                QueueRig.Response response = rig.take();
                answered.add(new Asked(response.id(), response.operation()));
                if (published.size() == 1) {
                    assertEquals(status, response.status(), () -> "status of " + response);
                } else {
                    assertTrue(
                            response.status() == BlkifStatus.OKAY
                                    || response.status() == BlkifStatus.ERROR
                                    || response.status() == BlkifStatus.EOPNOTSUPP);
                }
            }
            assertEquals(expected.size(), answered.size(), "answers");
            for (Asked asked : expected) {
                assertTrue(answered.remove(asked), () -> asked + " is not answered once");
            }
            if (published.size() == 1) {
                check(expected.getFirst());
            } else {
                resume(); // in which order they were done is not said; see checkOther
            }
        }

        private static MemorySegment aligned(MemorySegment slot) {
            MemorySegment copy = MemorySegment.ofArray(new long[14]);
            MemorySegment.copy(slot, 0, copy, 0, slot.byteSize());
            return copy;
        }

        /// The operation of the answer: of an indirect request that may be looked into, the inner.
        private int echo(MemorySegment slot) {
            int operation = layout.operation(slot, 0);
            if (operation != BlkifOp.INDIRECT) {
                return operation;
            }
            int inner = layout.indirectOp(slot, 0);
            return inner == BlkifOp.READ || inner == BlkifOp.WRITE ? inner : operation;
        }

        /// What has to be answered, with its effect on `disk` and `pages`.
        private int serve(MemorySegment slot) {
            int operation = layout.operation(slot, 0);
            int count = layout.nrSegments(slot, 0);
            return switch (operation) {
                case BlkifOp.READ -> transfer(slot, slotSegments(slot, count), false);
                case BlkifOp.WRITE -> transfer(slot, slotSegments(slot, count), true);
                case BlkifOp.FLUSH_DISKCACHE, BlkifOp.WRITE_BARRIER ->
                        count == 0
                                ? BlkifStatus.OKAY
                                : transfer(slot, slotSegments(slot, count), true);
                case BlkifOp.DISCARD -> discard(slot);
                case BlkifOp.INDIRECT -> {
                    int inner = layout.indirectOp(slot, 0);
                    yield inner == BlkifOp.READ || inner == BlkifOp.WRITE
                            ? transfer(slot, indirectSegments(slot), inner == BlkifOp.WRITE)
                            : BlkifStatus.ERROR;
                }
                case BlkifOp.RESERVED_1 -> BlkifStatus.EOPNOTSUPP;
                default -> BlkifStatus.ERROR;
            };
        }

        private record Segment(int gref, int first, int last) {
            static Segment of(MemorySegment memory, long at) {
                return new Segment(
                        BlkifLayout.gref(memory, at),
                        BlkifLayout.firstSect(memory, at),
                        BlkifLayout.lastSect(memory, at));
            }
        }

        private List<Segment> slotSegments(MemorySegment slot, int count) {
            List<Segment> segments = new ArrayList<>();
            for (int i = 0; i < count && count <= 11; i++) {
                segments.add(Segment.of(slot, layout.segmentOffset(0, i)));
            }
            return segments;
        }

        /// Empty when there are none that could be used.
        private List<Segment> indirectSegments(MemorySegment slot) {
            int count = layout.indirectNrSegments(slot, 0);
            List<Segment> segments = new ArrayList<>();
            if (count > MAX_INDIRECT) {
                return segments;
            }
            int gref = layout.indirectGref(slot, 0, 0); // 512 fit into the first page
            if (isRing(gref)) {
                return segments;
            }
            int page = pageOfGref.getOrDefault(gref, -1);
            if (page < 0 || page >= FIRST_NOT_GRANTED) {
                return segments;
            }
            for (int i = 0; i < count; i++) {
                segments.add(Segment.of(rig.page(page), i * 8L));
            }
            return segments;
        }

        private boolean isRing(int gref) {
            harmsItself |= gref == ringGref;
            return gref == ringGref;
        }

        private void noteGrefs(MemorySegment slot) {
            int operation = layout.operation(slot, 0);
            List<Segment> segments =
                    operation == BlkifOp.INDIRECT
                            ? indirectSegments(slot)
                            : slotSegments(slot, layout.nrSegments(slot, 0));
            segments.forEach(segment -> isRing(segment.gref));
        }

        private int transfer(MemorySegment slot, List<Segment> segments, boolean toDisk) {
            if (segments.isEmpty() || (toDisk && readOnly)) {
                return BlkifStatus.ERROR;
            }
            long sectors = 0;
            for (Segment segment : segments) {
                if (segment.first > segment.last || segment.last > 7) {
                    return BlkifStatus.ERROR;
                }
                sectors += segment.last - segment.first + 1;
            }
            long start = layout.sectorNumber(slot, 0);
            if (start < 0 || start > DISK_SECTORS || start + sectors > DISK_SECTORS) {
                return BlkifStatus.ERROR;
            }
            boolean needsWritable = persistent || !toDisk;
            for (Segment segment : segments) {
                if (isRing(segment.gref)) {
                    continue;
                }
                int page = pageOfGref.getOrDefault(segment.gref, -1);
                if (page < 0 || page >= (needsWritable ? FIRST_READ_ONLY : FIRST_NOT_GRANTED)) {
                    return BlkifStatus.ERROR;
                }
            }
            if (harmsItself) {
                return BlkifStatus.OKAY;
            }
            int at = (int) start * SECTOR;
            for (Segment segment : segments) {
                int page = pageOfGref.getOrDefault(segment.gref, -1);
                int from = page * PAGE + segment.first * SECTOR;
                int size = (segment.last - segment.first + 1) * SECTOR;
                if (toDisk) {
                    System.arraycopy(pages, from, disk, at, size);
                } else {
                    System.arraycopy(disk, at, pages, from, size);
                }
                at += size;
            }
            return BlkifStatus.OKAY;
        }

        private int discard(MemorySegment slot) {
            if (readOnly) {
                return BlkifStatus.ERROR;
            }
            if ((layout.discardFlag(slot, 0) & BlkifOp.DISCARD_SECURE) != 0) {
                return BlkifStatus.EOPNOTSUPP;
            }
            long start = layout.sectorNumber(slot, 0);
            long count = layout.discardNrSectors(slot, 0);
            if (start < 0
                    || start > DISK_SECTORS
                    || count <= 0
                    || count > DISK_SECTORS
                    || start + count > DISK_SECTORS) {
                return BlkifStatus.ERROR;
            }
            int from = (int) start * SECTOR;
            Arrays.fill(disk, from, from + (int) count * SECTOR, (byte) 0);
            return BlkifStatus.OKAY;
        }

        private void check(Asked asked) {
            int onDisk = Arrays.mismatch(disk, store.bytes);
            assertEquals(-1, onDisk, () -> "first byte of the disk that differs after " + asked);
            int inPages = Arrays.mismatch(pages, guestPages());
            assertEquals(-1, inPages, () -> "first byte of pages that differs after " + asked);
        }

        private byte[] guestPages() {
            return rig.guest
                    .memory()
                    .pages(rig.dataGfn, QueueRig.DATA_PAGES)
                    .toArray(ValueLayout.JAVA_BYTE);
        }

        private void resume() {
            byte[] now = guestPages();
            int readOnlyFrom = FIRST_READ_ONLY * PAGE;
            assertEquals(
                    -1,
                    Arrays.mismatch(
                            pages, readOnlyFrom, pages.length, now, readOnlyFrom, now.length),
                    "pages that are not granted for writing");
            if (readOnly) {
                assertEquals(-1, Arrays.mismatch(disk, store.bytes), "a read-only disk");
            }
            System.arraycopy(now, 0, pages, 0, pages.length);
            System.arraycopy(store.bytes, 0, disk, 0, disk.length);
        }

        private void checkOther() {
            for (int i = 0; i < QueueRig.DATA_PAGES; i++) {
                MemorySegment page = otherPage(i);
                for (int at = 0; at < PAGE; at += 8) {
                    assertEquals(
                            at == 8 * i ? SECRET : 0,
                            page.get(ValueLayout.JAVA_LONG, at),
                            "page of another guest");
                }
            }
            // The input could hold the secret, but only who knows it would write it.
            assertFalse(holdsSecret(store.bytes), "another guest's bytes on the disk");
            assertFalse(holdsSecret(guestPages()), "another guest's bytes in pages");
        }

        private static boolean holdsSecret(byte[] bytes) {
            MemorySegment all = MemorySegment.ofArray(bytes);
            for (int at = 0; at < bytes.length; at += 8) {
                if (all.get(ValueLayout.JAVA_LONG_UNALIGNED, at) == SECRET) {
                    return true;
                }
            }
            return false;
        }

        @Override
        public void close() {
            rig.queue.unmapPersistent();
            other.close();
            rig.close();
        }
    }
}
