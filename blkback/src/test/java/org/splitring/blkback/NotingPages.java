package org.splitring.blkback;

import java.util.function.IntConsumer;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.testkit.PagesView;

/// A window that tells when something is unmapped, before it happens, and how many pages.
final class NotingPages extends PagesView {
    private final IntConsumer beforeUnmap;

    NotingPages(ForeignPages pages, IntConsumer beforeUnmap) {
        super(pages);
        this.beforeUnmap = beforeUnmap;
    }

    @Override
    public void unmap(GrantBatch batch) {
        beforeUnmap.accept(batch.size());
        super.unmap(batch);
    }
}
