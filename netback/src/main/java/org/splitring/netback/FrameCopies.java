package org.splitring.netback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.splitring.bridge.Frame;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantCopies;
import org.splitring.hypervisor.GrantStatus;

/// Brings frames of the tx ring within reach of the network, some at a time: [#begin], [#plan] for
/// each, [#copyPlanned]; then each has its turn with [#complete], until [#release].
///
/// The first bytes of a frame are copied into its private header, and the rest is mapped when the
/// frame has its turn, and stays where it is. Where mapping costs more than a copy, one call copies
/// the headers of all, and the rest too, into memory of this queue. A page that the frontend has
/// had kept ([StaticGrants]) needs none of that.
final class FrameCopies {
    /// Most bytes of frames that are planned at a time where all is copied; several of the largest.
    private static final int REST_BYTES = 256 << 10;

    private final ForeignPages pages;
    private final StaticGrants kept;
    private final GrantBatch batch = new GrantBatch(CheckedFrame.FATAL_SLOTS);
    private final GrantCopies copies;
    private final MemorySegment rest; // empty where pages are mapped
    private int restBytes;

    /// @param frames how many are planned at a time
    FrameCopies(ForeignPages pages, StaticGrants kept, int frames) {
        this.pages = pages;
        this.kept = kept;
        copies = new GrantCopies(2 * frames * CheckedFrame.FATAL_SLOTS);
        rest =
                pages.isCopyingCheaper()
                        ? Arena.ofAuto().allocate(REST_BYTES, 64)
                        : MemorySegment.NULL;
    }

    private boolean copiesAll() {
        return rest.byteSize() > 0;
    }

    /// Forgets what was planned before, whose frames are done.
    void begin() {
        copies.clear();
        restBytes = 0;
    }

    /// Whether another frame can be planned after so many bytes.
    boolean hasRoom(int plannedBytes, int sizeBytes) {
        return !copiesAll() || plannedBytes + sizeBytes <= REST_BYTES;
    }

    /// Copies the header of a frame, or says what is to be copied of it.
    ///
    /// @param to reset by this; only its header is filled, at the latest by [#copyPlanned]
    void plan(CheckedFrame from, Frame to) {
        to.reset();
        from.headerStatus = GrantStatus.OKAY;
        from.firstCopy = copies.size();
        int slot = 0;
        int used = 0; // of the slot at hand
        int left = Math.min(from.sizeBytes, Frame.HEADER_BYTES);
        while (left > 0) {
            int n = Math.min(from.sizes[slot] - used, left);
            if (n > 0) { // a piece of nothing may name any reference
                int status = takeHeader(from.grefs[slot], from.offsets[slot] + used, to, n);
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
        if (copiesAll()) {
            planRest(from);
        }
        from.endCopy = copies.size();
    }

    private int takeHeader(int gref, int pageOffset, Frame to, int length) {
        int page = kept.find(gref, false);
        if (page != StaticGrants.NONE) {
            to.appendHeader(kept.memory(page), kept.offset(page) + pageOffset, length);
            return GrantStatus.OKAY;
        }
        int status = GrantStatus.OKAY;
        if (copiesAll()) {
            copies.add(gref, pageOffset, to.header(), to.headerEnd(), length);
        } else {
            status = pages.copyFrom(gref, pageOffset, to.header(), to.headerEnd(), length);
        }
        to.headerAppended(length);
        return status;
    }

    private void planRest(CheckedFrame from) {
        from.restAt = restBytes;
        for (int slot = from.nextSlot; slot < from.count; slot++) {
            int n = from.sizes[slot] - skip(from, slot);
            if (n > 0 && kept.find(from.grefs[slot], false) == StaticGrants.NONE) {
                copies.add(
                        from.grefs[slot],
                        from.offsets[slot] + skip(from, slot),
                        rest,
                        restBytes,
                        n);
                restBytes += n;
            }
        }
    }

    /// Copies what was planned. Every frame has its own statuses.
    void copyPlanned() {
        if (copies.size() > 0) {
            var ignored = pages.copyFrom(copies); // complete looks at each
        }
    }

    /// Completes a planned frame with what is not in its header.
    ///
    /// @return a [GrantStatus]; when it is not okay nothing stays mapped
    int complete(CheckedFrame from, Frame to) {
        if (from.headerStatus != GrantStatus.OKAY) {
            return from.headerStatus;
        }
        for (int copy = from.firstCopy; copy < from.endCopy; copy++) {
            if (copies.status(copy) != GrantStatus.OKAY) {
                return copies.status(copy);
            }
        }
        if (to.sizeBytes() == from.sizeBytes) {
            return GrantStatus.OKAY;
        }
        return copiesAll() ? appendRest(from, to) : mapRest(from, to);
    }

    private int appendRest(CheckedFrame from, Frame to) {
        long at = from.restAt;
        for (int slot = from.nextSlot; slot < from.count; slot++) {
            int skip = skip(from, slot);
            int n = from.sizes[slot] - skip;
            if (n > 0) {
                int page = kept.find(from.grefs[slot], false);
                if (page == StaticGrants.NONE) {
                    to.appendPiece(rest, at, n);
                    at += n;
                } else {
                    appendKept(page, from.offsets[slot] + skip, n, to);
                }
            }
        }
        return GrantStatus.OKAY;
    }

    private void appendKept(int page, int pageOffset, int length, Frame to) {
        to.appendPiece(kept.memory(page), kept.offset(page) + pageOffset, length);
    }

    private int mapRest(CheckedFrame from, Frame to) {
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
                if (page == StaticGrants.NONE) {
                    int status = batch.status(element);
                    if (status != GrantStatus.OKAY) {
                        release();
                        return status;
                    }
                    if (allMapped) {
                        to.appendPiece(
                                batch.memory(element),
                                batch.offset(element) + from.offsets[slot] + skip,
                                n);
                    }
                    element++;
                } else if (allMapped) {
                    appendKept(page, from.offsets[slot] + skip, n, to);
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
