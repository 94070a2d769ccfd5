package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import org.splitring.bridge.Frame;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantStatus;

/// Brings a frame of the tx ring within reach of the network: its first bytes are copied into the
/// frame's private header ([#copyHeader]), the rest is mapped and stays where it is ([#mapRest]),
/// until [#release].
///
/// A small frame fits into the header; then no page stays mapped. A page that the frontend has had
/// kept ([StaticGrants]) needs no mapping at all.
final class FrameCopies {
    private final ForeignPages pages;
    private final StaticGrants kept;
    private final GrantBatch batch = new GrantBatch(CheckedFrame.FATAL_SLOTS);

    FrameCopies(ForeignPages pages, StaticGrants kept) {
        this.pages = pages;
        this.kept = kept;
    }

    /// Begins a frame of the slots: its header. What [#mapRest] needs is left in `from`.
    ///
    /// @param to reset by this
    void copyHeader(CheckedFrame from, Frame to) {
        to.reset();
        int wanted = Math.min(from.sizeBytes, Frame.HEADER_BYTES);
        int slot = 0;
        int used = 0; // of the slot at hand
        int left = wanted;
        from.headerStatus = GrantStatus.OKAY;
        while (left > 0) {
            int n = Math.min(from.sizes[slot] - used, left);
            if (n > 0) { // a piece of nothing may name any reference
                int status = copy(from.grefs[slot], from.offsets[slot] + used, to, n);
                if (status != GrantStatus.OKAY) {
                    from.headerStatus = status;
                    return;
                }
                left -= n;
                used += n;
            }
            if (used == from.sizes[slot]) {
                slot++;
                used = 0;
            }
        }
        from.nextSlot = slot;
        from.nextByte = used;
    }

    private int copy(int gref, int pageOffset, Frame to, int length) {
        int page = kept.find(gref, false);
        if (page != StaticGrants.NONE) {
            to.appendHeader(kept.memory(page), kept.offset(page) + pageOffset, length);
            return GrantStatus.OKAY;
        }
        int status = pages.copyFrom(gref, pageOffset, to.header(), to.headerEnd(), length);
        if (status == GrantStatus.OKAY) {
            to.headerAppended(length);
        }
        return status;
    }

    /// Completes a frame with what is not in its header.
    ///
    /// @return a [GrantStatus]; when it is not okay nothing stays mapped
    int mapRest(CheckedFrame from, Frame to) {
        if (to.sizeBytes() == from.sizeBytes) {
            return GrantStatus.OKAY;
        }
        for (int slot = from.nextSlot; slot < from.count; slot++) {
            if (from.sizes[slot] > skip(from, slot)
                    && kept.find(from.grefs[slot], false) == StaticGrants.NONE) {
                batch.add(from.grefs[slot], false);
            }
        }
        boolean allMapped = pages.map(batch);
        int element = 0;
        for (int slot = from.nextSlot; slot < from.count; slot++) {
            int skip = skip(from, slot);
            int n = from.sizes[slot] - skip;
            if (n > 0) {
                int page = kept.find(from.grefs[slot], false);
                MemorySegment memory;
                long start;
                if (page != StaticGrants.NONE) {
                    memory = kept.memory(page);
                    start = kept.offset(page);
                } else {
                    int status = batch.status(element);
                    if (status != GrantStatus.OKAY) {
                        release();
                        return status;
                    }
                    memory = batch.memory(element);
                    start = batch.offset(element);
                    element++;
                }
                if (allMapped) {
                    to.appendPiece(memory, start + from.offsets[slot] + skip, n);
                }
            }
        }
        return GrantStatus.OKAY;
    }

    /// Bytes of a slot that are in the header already.
    private static int skip(CheckedFrame from, int slot) {
        return slot == from.nextSlot ? from.nextByte : 0;
    }

    /// Unmaps what the last frame needed; before its slots are answered.
    void release() {
        if (batch.size() > 0) {
            pages.unmap(batch);
            batch.clear();
        }
    }
}
