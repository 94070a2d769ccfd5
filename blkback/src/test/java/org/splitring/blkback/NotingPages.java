package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.util.function.IntConsumer;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantException;

/// A window that tells when something is unmapped, before it happens, and how many pages.
record NotingPages(ForeignPages pages, IntConsumer beforeUnmap) implements ForeignPages {
    @Override
    public DomId frontend() {
        return pages.frontend();
    }

    @Override
    public boolean map(GrantBatch batch) {
        return pages.map(batch);
    }

    @Override
    public void unmap(GrantBatch batch) {
        beforeUnmap.accept(batch.size());
        pages.unmap(batch);
    }

    @Override
    public MemorySegment mapContiguous(int[] grefs) throws GrantException {
        return pages.mapContiguous(grefs);
    }

    @Override
    public void unmapContiguous(MemorySegment segment) {
        pages.unmapContiguous(segment);
    }

    @Override
    public int copyFrom(int gref, int pageOffset, MemorySegment to, long toOffset, int sizeBytes) {
        return pages.copyFrom(gref, pageOffset, to, toOffset, sizeBytes);
    }

    @Override
    public int copyTo(
            int gref, int pageOffset, MemorySegment from, long fromOffset, int sizeBytes) {
        return pages.copyTo(gref, pageOffset, from, fromOffset, sizeBytes);
    }

    @Override
    public int mappedCount() {
        return pages.mappedCount();
    }

    @Override
    public boolean closeSome(int budget) {
        return pages.closeSome(budget);
    }

    @Override
    public void close() {
        pages.close();
    }
}
