package org.splitring.netback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.splitring.bridge.Frame;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantStatus;

/// Brings a frame of the tx ring within reach of the network: its first bytes are copied into the
/// frame's private header, the rest is mapped and stays where it is, until [#release].
///
/// A small frame fits into the header; then no page stays mapped.
final class FrameCopies {
    private final ForeignPages pages;
    private final GrantBatch batch = new GrantBatch(CheckedFrame.FATAL_SLOTS);
    private final MemorySegment header = Arena.ofAuto().allocate(Frame.HEADER_BYTES, 64);

    FrameCopies(ForeignPages pages) {
        this.pages = pages;
    }

    /// Makes a frame of the slots.
    ///
    /// @param to reset by this
    /// @return a [GrantStatus]; when it is not okay nothing stays mapped
    int load(CheckedFrame from, Frame to) {
        to.reset();
        int headerBytes = Math.min(from.sizeBytes, Frame.HEADER_BYTES);
        int copied = 0;
        int slot = 0;
        int used = 0; // of the slot at hand
        while (copied < headerBytes) {
            int n = Math.min(from.sizes[slot] - used, headerBytes - copied);
            if (n > 0) { // a piece of nothing may name any reference
                int status =
                        pages.copyFrom(
                                from.grefs[slot], from.offsets[slot] + used, header, copied, n);
                if (status != GrantStatus.OKAY) {
                    return status;
                }
                copied += n;
                used += n;
            }
            if (used == from.sizes[slot]) {
                slot++;
                used = 0;
            }
        }
        to.appendHeader(header, 0, headerBytes);
        return copied == from.sizeBytes ? GrantStatus.OKAY : map(from, to, slot, used);
    }

    private int map(CheckedFrame from, Frame to, int firstSlot, int used) {
        for (int slot = firstSlot; slot < from.count; slot++) {
            if (from.sizes[slot] > (slot == firstSlot ? used : 0)) {
                batch.add(from.grefs[slot], false);
            }
        }
        boolean allMapped = pages.map(batch);
        int element = 0;
        for (int slot = firstSlot; slot < from.count; slot++) {
            int skip = slot == firstSlot ? used : 0;
            int n = from.sizes[slot] - skip;
            if (n > 0) {
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
            }
        }
        return GrantStatus.OKAY;
    }

    /// Unmaps what the last frame needed; before its slots are answered.
    void release() {
        if (batch.size() > 0) {
            pages.unmap(batch);
            batch.clear();
        }
    }
}
