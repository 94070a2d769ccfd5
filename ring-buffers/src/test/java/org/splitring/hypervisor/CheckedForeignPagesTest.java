package org.splitring.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.hypervisor.GrantFixture.mapOne;
import static org.splitring.wire.GrantEntryV1Layout.GTF_PERMIT_ACCESS;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READING;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READONLY;
import static org.splitring.wire.GrantEntryV1Layout.GTF_WRITING;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

class CheckedForeignPagesTest {
    private final GrantFixture guest = new GrantFixture(64, 1, 32);
    private final CheckedForeignPages window = guest.open(16);
    private final GrantBatch batch = new GrantBatch(16);

    @Test
    void mappingPinsTheEntryAndUnmappingClearsIt() {
        int gref = guest.grantNewPage(false);
        batch.add(gref, false);
        assertTrue(window.map(batch));
        assertEquals(GTF_PERMIT_ACCESS | GTF_READING, guest.flags(gref));
        assertEquals(1, window.mappedCount());
        assertEquals(1, guest.pins.mapped());
        window.unmap(batch);
        assertEquals(GTF_PERMIT_ACCESS, guest.flags(gref));
        assertEquals(0, window.mappedCount());
        assertEquals(0, guest.pins.mapped());
        assertEquals(0, guest.total.taken());
    }

    @Test
    void writingIsClearedWhenTheLastWriterLeavesAndReadingWithTheLastOfAll() {
        int gref = guest.grantNewPage(false);
        GrantBatch reader = new GrantBatch(1);
        GrantBatch writer = new GrantBatch(1);
        assertEquals(0, mapOne(window, reader, gref, false));
        assertEquals(0, mapOne(window, writer, gref, true));
        assertEquals(GTF_PERMIT_ACCESS | GTF_READING | GTF_WRITING, guest.flags(gref));
        window.unmap(writer);
        assertEquals(GTF_PERMIT_ACCESS | GTF_READING, guest.flags(gref));
        assertFalse(guest.table.tryRevoke(gref));
        window.unmap(reader);
        assertEquals(GTF_PERMIT_ACCESS, guest.flags(gref));
        assertTrue(guest.table.tryRevoke(gref));
        assertEquals(0, guest.flags(gref));
    }

    @Test
    void readOnlyGrantsAreNotMappedForWritingAlsoWhenReadersAreThere() {
        int gref = guest.grantNewPage(true);
        GrantBatch reader = new GrantBatch(1);
        assertEquals(GrantStatus.PERMISSION_DENIED, mapOne(window, batch, gref, true));
        assertEquals(0, mapOne(window, reader, gref, false));
        assertEquals(GrantStatus.PERMISSION_DENIED, mapOne(window, batch, gref, true));
        assertEquals(GTF_PERMIT_ACCESS | GTF_READONLY | GTF_READING, guest.flags(gref));
        window.unmap(reader);
        assertEquals(GTF_PERMIT_ACCESS | GTF_READONLY, guest.flags(gref));
    }

    @Test
    void pagesThatAreNotGrantableAreRefused() {
        int other = guest.table.claim();
        guest.writeEntry(other, GTF_PERMIT_ACCESS, 3, 5);
        assertEquals(GrantStatus.PERMISSION_DENIED, mapOne(window, batch, other, false));
        for (int frame : new int[] {0, 64, -1, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            guest.writeEntry(other, GTF_PERMIT_ACCESS, 0, frame);
            assertEquals(GrantStatus.BAD_PAGE, mapOne(window, batch, other, false), "" + frame);
            assertEquals(GTF_PERMIT_ACCESS, guest.flags(other));
        }
        assertEquals(0, guest.pins.mapped());
    }

    @Test
    void adjacentPagesAreMappedAsOneSegmentAndOthersAreRefusedHere() throws GrantException {
        int first = guest.pages.allocate(4);
        int[] grefs = new int[4];
        for (int i = 0; i < 4; i++) {
            grefs[i] = guest.table.claim();
            guest.table.grant(grefs[i], GrantFixture.BACKEND, first + i, false);
        }
        MemorySegment ring = window.mapContiguous(grefs);
        assertEquals(4L * GuestMemory.PAGE_SIZE, ring.byteSize());
        assertEquals(guest.memory.pages(first, 1).address(), ring.address());
        assertEquals(4, window.mappedCount());
        window.unmapContiguous(ring);
        assertThrows(IllegalArgumentException.class, () -> window.unmapContiguous(ring));
        assertEquals(0, window.mappedCount());

        int[] turned = {grefs[1], grefs[0]};
        GrantException refused =
                assertThrows(GrantException.class, () -> window.mapContiguous(turned));
        assertEquals(GrantStatus.NO_DEVICE_SPACE, refused.status());
        assertEquals(0, window.mappedCount());
        assertEquals(0, guest.pins.mapped());
        for (int gref : grefs) {
            assertTrue(guest.table.tryRevoke(gref));
        }
    }

    @Test
    void copiesStayWithinThePage() {
        int gref = guest.grantNewPage(false);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment mine = arena.allocate(8192);
            mine.set(ValueLayout.JAVA_BYTE, 0, (byte) 42);
            assertEquals(0, window.copyTo(gref, 4095, mine, 0, 1));
            assertEquals(0, window.copyFrom(gref, 4095, mine, 100, 1));
            assertEquals(42, mine.get(ValueLayout.JAVA_BYTE, 100));
            assertEquals(GrantStatus.BAD_COPY_ARG, window.copyTo(gref, 4095, mine, 0, 2));
            assertEquals(GrantStatus.BAD_COPY_ARG, window.copyFrom(gref, -1, mine, 0, 2));
            assertEquals(GrantStatus.BAD_COPY_ARG, window.copyFrom(gref, 0, mine, 0, -1));
            assertEquals(GrantStatus.BAD_COPY_ARG, window.copyFrom(gref, 2, mine, 0, 4095));
            assertEquals(
                    GrantStatus.BAD_COPY_ARG, window.copyFrom(gref, Integer.MAX_VALUE, mine, 0, 1));
            assertEquals(GTF_PERMIT_ACCESS, guest.flags(gref));
        }
    }
}
