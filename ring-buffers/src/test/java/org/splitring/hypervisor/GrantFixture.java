package org.splitring.hypervisor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// A guest with a grant table at page 0, and the driver domain's record of it.
final class GrantFixture {
    static final DomId BACKEND = new DomId(0);
    static final DomId GUEST = new DomId(7);

    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    final GuestMemory memory;
    final PageAllocator pages;
    final GuestGrantTable table;
    final GrantPins pins;
    final MappingBudget total;

    GrantFixture(int pageCount, int frames, int maxMappings) {
        this(pageCount, frames, maxMappings, new MappingBudget(GrantPins.MAX_MAPPINGS));
    }

    GrantFixture(int pageCount, int frames, int maxMappings, MappingBudget total) {
        this.total = total;
        memory =
                new GuestMemory(
                        Arena.ofAuto()
                                .allocate(
                                        (long) pageCount * GuestMemory.PAGE_SIZE,
                                        GuestMemory.PAGE_SIZE));
        pages = new PageAllocator(memory, frames);
        table = new GuestGrantTable(memory, 0, frames, pages);
        try {
            pins =
                    new GrantPins(
                            memory,
                            GUEST,
                            0,
                            frames,
                            new DomainLimits(1L << 30, 32, maxMappings, 256),
                            total);
        } catch (GrantException e) {
            throw new IllegalStateException(e);
        }
    }

    CheckedForeignPages open(int maxMappings) {
        try {
            return pins.open(BACKEND, maxMappings, ContiguousMapper.NONE);
        } catch (GrantException e) {
            throw new IllegalStateException(e);
        }
    }

    /// A page of its own, granted to the backend.
    int grantNewPage(boolean readOnly) {
        int gref = table.claim();
        table.grant(gref, BACKEND, pages.allocate(1), readOnly);
        return gref;
    }

    /// Writes an entry as a hostile guest may: any flags, domid and frame.
    void writeEntry(int gref, int flags, int domid, int frame) {
        long offset = (long) gref * 8;
        memory.segment().set(U32, offset + 4, frame);
        memory.segment().set(U16, offset + 2, (short) domid);
        memory.segment().set(U16, offset, (short) flags);
    }

    int flags(int gref) {
        return Short.toUnsignedInt(memory.segment().get(U16, (long) gref * 8));
    }

    /// Maps one reference in a batch of its own.
    static int mapOne(ForeignPages window, GrantBatch batch, int gref, boolean forWriting) {
        batch.clear();
        batch.add(gref, forWriting);
        window.map(batch);
        return batch.status(0);
    }

    static MemorySegment page(GrantBatch batch, int index) {
        return batch.memory(index).asSlice(batch.offset(index), GuestMemory.PAGE_SIZE);
    }
}
