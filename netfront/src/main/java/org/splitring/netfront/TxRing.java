package org.splitring.netfront;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifStatus;
import org.splitring.wire.NetifTxLayout;
import org.splitring.xenbus.device.GrantedPages;

/// The way out of one queue: a page for each slot of the tx ring, granted once for the whole
/// connection, read only. The id of a request is the number of its page.
///
/// Responses say which pages are free again. They are taken when pages are needed; an event is
/// asked for only while somebody waits. On the loop of the vif.
///
/// Free pages are a queue, not a stack: they are taken in the order in which they lie, and a
/// backend answers in the order in which it was asked, so the pages of one frame lie side by side
/// in memory nearly always. Who reads from a file into all of them names one piece instead of 16;
/// more than eight cost the kernel an allocation for each frame.
final class TxRing implements RingWork {
    /// Pages of the largest frame: 65535 bytes.
    private static final int MAX_PAGES = 16;

    private final FrontRing ring;
    private final EventChannel channel;
    private final GrantedPages pages;
    private final VifCounters counters;
    private final VifUser user;
    private final int queue;
    private final int maxFrameBytes;
    private final long firstPage;

    private final int[] free; // a power of two: as many as the ring has slots
    private int freeHead; // index of the next one to take
    private int freeCount;
    private final boolean[] outstanding;
    private final TxFrame frame;

    private boolean waited; // somebody found no room, and hears when there is
    private boolean paused;
    private @Nullable Runnable whenQuiet;
    private Runnable wake = () -> {};

    /// @param memory of the guest, in which `pages` begin at `firstPage`
    TxRing(
            FrontRing ring,
            EventChannel channel,
            GrantedPages pages,
            MemorySegment memory,
            long firstPage,
            int queue,
            int maxFrameBytes,
            VifUser user,
            VifCounters counters) {
        this.ring = ring;
        this.channel = channel;
        this.pages = pages;
        this.firstPage = firstPage;
        this.queue = queue;
        this.maxFrameBytes = maxFrameBytes;
        this.user = user;
        this.counters = counters;
        free = new int[pages.count()];
        outstanding = new boolean[pages.count()];
        for (int i = 0; i < free.length; i++) {
            addFree(i);
        }
        frame = new TxFrame(this, memory, MAX_PAGES);
    }

    /// What makes the poller run a pass.
    void onWaiting(Runnable wakePoller) {
        wake = wakePoller;
    }

    int maxFrameBytes() {
        return maxFrameBytes;
    }

    /// Takes pages for a frame.
    ///
    /// @return `null` when there are not enough now; [VifUser#writable] follows
    @Nullable TxFrame acquire(int sizeBytes) {
        int wanted = (Math.min(sizeBytes, maxFrameBytes) + GuestMemory.PAGE_SIZE - 1) >>> 12;
        if (paused) {
            return null;
        }
        if (!hasRoom(wanted)) {
            if (freeCount < free.length) {
                reap();
            }
            if (!hasRoom(wanted)) {
                if (!waited) {
                    waited = true;
                    wake.run(); // asks for an event
                }
                return null;
            }
        }
        frame.begin();
        for (int i = 0; i < wanted; i++) {
            int id = takeFree();
            frame.addPage(id, firstPage + (long) id * GuestMemory.PAGE_SIZE);
        }
        return frame;
    }

    /// One slot more than pages, for an extra.
    private boolean hasRoom(int wanted) {
        return freeCount >= wanted && ring.freeRequests() > wanted;
    }

    void send(TxFrame sent, int sizeBytes) {
        int slots = (sizeBytes + GuestMemory.PAGE_SIZE - 1) >>> 12;
        boolean large = sent.segmentation() != FrameSegmentation.NONE;
        MemorySegment shared = ring.segment();
        long slot = ring.slotOffset(ring.takeRequestIndices(large ? slots + 1 : slots));
        for (int i = 0; i < slots; i++) {
            int id = sent.id(i);
            outstanding[id] = true;
            int flags = i < slots - 1 ? NetifTxLayout.MORE_DATA : 0;
            int bytes = Math.min(sizeBytes - i * GuestMemory.PAGE_SIZE, GuestMemory.PAGE_SIZE);
            if (i == 0) {
                flags |= flagsOf(sent) | (large ? NetifTxLayout.EXTRA_INFO : 0);
                bytes = sizeBytes; // the first slot has the size of all
            }
            NetifTxLayout.writeRequest(shared, slot, pages.gref(id), 0, flags, id, bytes);
            slot = ring.nextSlotOffset(slot);
            if (i == 0 && large) {
                NetifExtraLayout.writeGso(
                        shared,
                        slot,
                        0,
                        sent.segmentation() == FrameSegmentation.TCPV4
                                ? NetifExtraLayout.GSO_TYPE_TCPV4
                                : NetifExtraLayout.GSO_TYPE_TCPV6,
                        sent.segmentBytes());
                slot = ring.nextSlotOffset(slot);
            }
        }
        giveBack(sent, slots);
        VifCounters.add(counters.txPackets, 1);
        VifCounters.add(counters.txBytes, sizeBytes);
    }

    private static int flagsOf(TxFrame sent) {
        return switch (sent.checksum()) {
            case PARTIAL -> NetifTxLayout.CSUM_BLANK | NetifTxLayout.DATA_VALIDATED;
            case COMPLETE -> NetifTxLayout.DATA_VALIDATED;
            case UNKNOWN -> 0;
        };
    }

    /// The pages of a frame from `first` on are not needed.
    void giveBack(TxFrame from, int first) {
        for (int i = from.pages() - 1; i >= first; i--) {
            freeHead--;
            freeCount++;
            free[freeHead & (free.length - 1)] = from.id(i);
        }
    }

    private int takeFree() {
        int id = free[freeHead & (free.length - 1)];
        freeHead++;
        freeCount--;
        return id;
    }

    private void addFree(int id) {
        free[(freeHead + freeCount) & (free.length - 1)] = id;
        freeCount++;
    }

    /// Publishes what was sent.
    void flush() {
        if (ring.pushRequestsAndCheckNotify()) {
            channel.send();
        }
    }

    /// Takes the responses: their pages are free.
    private int reap() {
        int count = ring.unconsumedResponses();
        if (count == 0) {
            return 0;
        }
        MemorySegment shared = ring.segment();
        int errors = 0;
        long slot = ring.slotOffset(ring.consumeResponseIndices(count));
        for (int i = 0; i < count; i++) {
            int response = NetifTxLayout.readResponse(shared, slot);
            int status = NetifTxLayout.responseStatusOf(response);
            if (status != NetifStatus.NULL) {
                int id = NetifTxLayout.responseIdOf(response);
                if (id >= outstanding.length || !outstanding[id]) {
                    throw VifBrokenException.TX_ID;
                }
                outstanding[id] = false;
                addFree(id);
                errors += status == NetifStatus.OKAY ? 0 : 1;
            }
            slot = ring.nextSlotOffset(slot);
        }
        if (errors > 0) {
            VifCounters.add(counters.txErrors, errors);
        }
        return count;
    }

    @Override
    public int poll(int budget) {
        int taken = 0;
        if (waited || paused) {
            taken = reap();
            if (waited && hasRoom(wanted())) {
                waited = false;
                user.writable(queue);
            }
        }
        Runnable quiet = whenQuiet;
        if (quiet != null && ring.outstandingRequests() == 0) {
            whenQuiet = null;
            quiet.run();
        }
        return taken;
    }

    /// Enough that whoever waited does not come back for each page.
    private int wanted() {
        return Math.max(MAX_PAGES, free.length / 4);
    }

    @Override
    public boolean finalCheck() {
        if (whenQuiet != null) {
            return ring.finalCheckForResponses();
        }
        return waited
                && ring.finalCheckForResponses(
                        Math.min(wanted(), Math.max(1, ring.outstandingRequests())));
    }

    /// Sends nothing more, and runs `quiet` when all that was sent is answered.
    void pause(Runnable quiet) {
        paused = true;
        frame.cancel();
        flush();
        whenQuiet = quiet;
        wake.run();
    }

    /// Nothing of this is used any more.
    void close() {
        paused = true;
        frame.end();
        VifCounters.add(counters.txLost, free.length - freeCount);
    }
}
