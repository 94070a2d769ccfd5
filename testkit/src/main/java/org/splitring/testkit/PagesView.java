package org.splitring.testkit;

import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantException;

/// A window that passes everything on to another one: tests watch or change what they want to.
public class PagesView implements ForeignPages {
    private final ForeignPages pages;

    public PagesView(ForeignPages pages) {
        this.pages = pages;
    }

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
