package org.splitring.netfront;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifRxLayout;
import org.splitring.xenbus.device.GrantedPages;

/// The way in of one queue: a page for each slot of the rx ring, granted once for the whole
/// connection. A response lies in the slot of its request, and the same page is offered there
/// again when the frame has been passed on; so the number of the slot is the number of the page,
/// and what a backend says of ids does not matter.
///
/// On the loop of the vif.
final class RxRing implements RingWork {
    /// More than there are types of them.
    private static final int MAX_EXTRAS = 8;

    private final FrontRing ring;
    private final EventChannel channel;
    private final GrantedPages pages;
    private final long firstPage;
    private final int mask;
    private final VifUser user;
    private final VifCounters counters;
    private final ReceivedFrame frame;
    private final MemorySegment extra = Arena.ofAuto().allocate(NetifExtraLayout.SIZE_BYTES, 8);

    // The frame that is coming together: its slots need not all be there at once.
    private boolean inFrame;
    private boolean inExtras;
    private boolean moreData;
    private boolean bad;
    private boolean blank;
    private int extras; // of it so far
    private int incomplete; // slots of it so far
    private int complete; // slots before them whose pages are not offered again yet

    /// @param memory of the guest, in which `pages` begin at `firstPage`
    RxRing(
            FrontRing ring,
            EventChannel channel,
            GrantedPages pages,
            MemorySegment memory,
            long firstPage,
            int queue,
            VifUser user,
            VifCounters counters) {
        this.ring = ring;
        this.channel = channel;
        this.pages = pages;
        this.firstPage = firstPage;
        this.user = user;
        this.counters = counters;
        mask = ring.entries() - 1;
        frame = new ReceivedFrame(memory, queue);
    }

    /// Offers every page.
    void fill() {
        complete = ring.entries();
        offerAgain();
    }

    /// Offers the pages again that nobody needs any more, in the slots that they had.
    private void offerAgain() {
        int count = complete;
        complete = 0;
        MemorySegment shared = ring.segment();
        int index = ring.takeRequestIndices(count);
        long slot = ring.slotOffset(index);
        for (int i = 0; i < count; i++) {
            int page = (index + i) & mask;
            NetifRxLayout.writeRequest(shared, slot, page, pages.gref(page));
            slot = ring.nextSlotOffset(slot);
        }
        if (ring.pushRequestsAndCheckNotify()) {
            channel.send();
        }
    }

    @Override
    public int poll(int budget) {
        int frames = 0;
        MemorySegment shared = ring.segment();
        for (int left = ring.unconsumedResponses(); left > 0 && frames < budget; left--) {
            int index = ring.consumeResponseIndex();
            incomplete++;
            take(shared, ring.slotOffset(index), index & mask);
            boolean whole = !inExtras && !moreData;
            if (whole) {
                inFrame = false;
                frames++;
                pass();
            }
            if (whole || bad) { // of a frame that is dropped, too, however long it goes on
                complete += incomplete;
                incomplete = 0;
            }
        }
        if (complete > 0) {
            offerAgain();
        }
        if (frames > 0) {
            user.batchEnd();
        }
        return frames;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }

    private void take(MemorySegment shared, long slot, int page) {
        if (inFrame && inExtras) {
            takeExtra(shared, slot);
            return;
        }
        long response = NetifRxLayout.readSlot(shared, slot);
        int flags = NetifRxLayout.flagsOf(response);
        int offset = NetifRxLayout.offsetOf(response);
        int size = NetifRxLayout.statusOf(response);
        if (!inFrame) {
            inFrame = true;
            bad = false;
            extras = 0;
            frame.reset();
            inExtras = (flags & NetifRxLayout.EXTRA_INFO) != 0;
            blank = (flags & NetifRxLayout.CSUM_BLANK) != 0;
            frame.checksum(
                    blank
                            ? FrameChecksum.PARTIAL
                            : (flags & NetifRxLayout.DATA_VALIDATED) != 0
                                    ? FrameChecksum.COMPLETE
                                    : FrameChecksum.UNKNOWN);
        }
        moreData = (flags & NetifRxLayout.MORE_DATA) != 0;
        bad |=
                size < 0
                        || offset + size > GuestMemory.PAGE_SIZE
                        || !frame.append(
                                firstPage + (long) page * GuestMemory.PAGE_SIZE + offset, size);
    }

    /// An extra lies where a response would be; what it says is read once.
    private void takeExtra(MemorySegment shared, long slot) {
        MemorySegment.copy(shared, slot, extra, 0, NetifExtraLayout.SIZE_BYTES);
        inExtras = (NetifExtraLayout.flags(extra, 0) & NetifExtraLayout.FLAG_MORE) != 0;
        bad |= ++extras > MAX_EXTRAS;
        switch (NetifExtraLayout.type(extra, 0)) {
            case NetifExtraLayout.TYPE_GSO -> {
                int type = NetifExtraLayout.gsoType(extra, 0);
                int size = NetifExtraLayout.gsoSize(extra, 0);
                if (size == 0
                        || (type != NetifExtraLayout.GSO_TYPE_TCPV4
                                && type != NetifExtraLayout.GSO_TYPE_TCPV6)) {
                    bad = true;
                } else {
                    frame.segmentation(
                            type == NetifExtraLayout.GSO_TYPE_TCPV4
                                    ? FrameSegmentation.TCPV4
                                    : FrameSegmentation.TCPV6,
                            size);
                }
            }
            case NetifExtraLayout.TYPE_HASH -> {
                int type = NetifExtraLayout.hashType(extra, 0);
                if (type < 4) {
                    frame.hash(1 << type, NetifExtraLayout.hashValue(extra, 0));
                }
            }
            default -> bad |= !NetifExtraLayout.isXdp(extra, 0); // we ask for no headroom
        }
    }

    private void pass() {
        if (bad || frame.sizeBytes() < 14) {
            VifCounters.add(counters.rxErrors, 1);
            return;
        }
        if (frame.segmentation() != FrameSegmentation.NONE && !blank) {
            // A large segment cannot have its checksum: whoever cuts it writes them all.
            VifCounters.add(counters.rxGsoChecksumFixup, 1);
            if (!frame.writePseudoHeader()) {
                VifCounters.add(counters.rxErrors, 1);
                return;
            }
            frame.checksum(FrameChecksum.PARTIAL);
        }
        VifCounters.add(counters.rxPackets, 1);
        VifCounters.add(counters.rxBytes, frame.sizeBytes());
        user.received(frame);
    }
}
