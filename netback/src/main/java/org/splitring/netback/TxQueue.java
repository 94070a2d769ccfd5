package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.ChecksumState;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FrameSink;
import org.splitring.bridge.GsoType;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifStatus;
import org.splitring.wire.NetifTxLayout;

/// The way from the guest of one queue: takes frames off the tx ring, passes them to the network,
/// and answers each slot exactly once. On the network's loop.
///
/// It takes some frames at a time: the slots of all, then the headers of all, then one after the
/// other their way through the network. A header lies in a cache line that another processor has
/// just written; fetched one behind the other, with nothing between, these lines come at the same
/// time, and not each when its frame has its turn.
///
/// A frame beyond the vif's rate limit stays where it is, and so does what is behind it, until
/// there is credit: back-pressure, no drop.
final class TxQueue implements RingWork {
    /// Frames that are taken at a time.
    static final int AT_A_TIME = 16;

    private final BackRing ring;
    private final OrderedNote note;
    private final EventChannel channel;
    private final DeviceLoop loop;
    private final FrameSink network;
    private final CreditBucket credit;
    private final MulticastFilter multicast;
    private final VifCounters counters;
    private final RequestReader reader;
    private final FrameCopies copies;
    private final CheckedFrame[] checked = new CheckedFrame[AT_A_TIME];
    private final Frame[] frames = new Frame[AT_A_TIME];
    private final Runnable creditTask = this::creditCame;

    private boolean waitsForCredit;
    private @Nullable Runnable cancelCredit;
    private Runnable wake = () -> {};

    // Of the pass at hand.
    private int cost;
    private int packets;
    private long bytes;

    /// @param note of the ring; what a predecessor has left without an answer is sent, again
    ///     perhaps: that is what networks do
    TxQueue(
            BackRing ring,
            OrderedNote note,
            EventChannel channel,
            DeviceLoop loop,
            FrameSink network,
            FrameCopies copies,
            CreditBucket credit,
            MulticastFilter multicast,
            VifCounters counters) {
        this.ring = ring;
        this.note = note;
        this.channel = channel;
        this.loop = loop;
        this.network = network;
        this.copies = copies;
        this.credit = credit;
        this.multicast = multicast;
        this.counters = counters;
        reader = new RequestReader(ring, note);
        for (int i = 0; i < AT_A_TIME; i++) {
            checked[i] = new CheckedFrame();
            frames[i] = new Frame();
        }
    }

    /// What makes the poller of the channel run a pass.
    void onCredit(Runnable wakePoller) {
        wake = wakePoller;
    }

    /// {@inheritDoc} A frame counts once, and once more for each page that it fills: those who send
    /// large frames take as long to serve as those who send many.
    @Override
    public int poll(int budget) {
        if (waitsForCredit) {
            return 0;
        }
        cost = 0;
        packets = 0;
        bytes = 0;
        try {
            while (cost < budget && !waitsForCredit && (reader.hasLeft() || reader.fill() > 0)) {
                takeSome(budget);
            }
        } finally { // also when the frontend broke the protocol: what was taken is answered
            endBatch();
        }
        return cost;
    }

    /// Takes frames that are here, as many as fit.
    private void takeSome(int budget) {
        int count = 0;
        int planned = 0;
        try {
            while (count < AT_A_TIME && cost < budget && reader.hasLeft()) {
                CheckedFrame next = checked[count];
                next.verdict = reader.read(next);
                if (!copies.hasRoom(planned, next.sizeBytes)) {
                    break;
                }
                if (credit.isLimited() && !hasCredit(next.sizeBytes)) {
                    break;
                }
                reader.accept();
                planned += next.sizeBytes;
                cost += 1 + (next.sizeBytes >> 12);
                count++;
            }
        } finally { // those before one that broke the protocol are sent
            send(count);
        }
    }

    private void send(int count) {
        copies.begin();
        for (int i = 0; i < count; i++) {
            if (checked[i].verdict == RequestReader.FRAME) {
                copies.plan(checked[i], frames[i]);
            }
        }
        copies.copyPlanned();
        for (int i = 0; i < count; i++) {
            CheckedFrame next = checked[i];
            if (next.verdict != RequestReader.FRAME) {
                answerOther(next);
            } else if (send(next, frames[i])) {
                packets++;
                bytes += next.sizeBytes;
            }
        }
    }

    private void endBatch() {
        if (packets > 0) {
            VifCounters.add(counters.txPackets, packets);
            VifCounters.add(counters.txBytes, bytes);
            network.endBatch();
        }
        note.publishing(ring.responseIndex());
        if (ring.pushResponsesAndCheckNotify()) {
            channel.send();
        }
    }

    @Override
    public boolean finalCheck() {
        if (waitsForCredit) {
            return false; // creditCame() wakes the poller
        }
        return reader.hasLeft() || ring.finalCheckForRequests();
    }

    private boolean hasCredit(int sizeBytes) {
        long now = loop.nanoTime();
        if (credit.take(sizeBytes, now)) {
            return true;
        }
        VifCounters.add(counters.txRateLimited, 1);
        waitsForCredit = true;
        cancelCredit = loop.schedule(creditTask, credit.waitNanos(sizeBytes, now));
        return false;
    }

    private void creditCame() {
        waitsForCredit = false;
        cancelCredit = null;
        wake.run();
    }

    /// The limit has changed: looks anew.
    void limitChanged() {
        Runnable cancel = cancelCredit;
        if (cancel != null) {
            cancel.run();
            creditCame();
        }
    }

    /// Nothing is polled any more.
    void close() {
        Runnable cancel = cancelCredit;
        cancelCredit = null;
        if (cancel != null) {
            try {
                cancel.run();
            } catch (RejectedExecutionException e) {
                return; // the loop has ended, and its timers with it
            }
        }
    }

    /// @return whether the frame went to the network
    private boolean send(CheckedFrame next, Frame frame) {
        int status = copies.complete(next, frame);
        if (status != GrantStatus.OKAY) {
            VifCounters.add(counters.txGrantErrors, 1);
            refuse(next);
            return false;
        }
        if (!describe(next, frame)) {
            copies.release();
            VifCounters.add(counters.txChecksumErrors, 1);
            refuse(next);
            return false;
        }
        network.receive(frame);
        copies.release(); // before the response: the frontend may reuse the page when it sees it
        answer(next, NetifStatus.OKAY);
        return true;
    }

    /// Sets what the frontend said of checksum, segmentation and hash.
    ///
    /// @return `false` when its checksum is said to be blank, and there is none
    private boolean describe(CheckedFrame next, Frame frame) {
        boolean large = next.gsoType != NetifExtraLayout.GSO_TYPE_NONE;
        boolean blank = (next.flags & NetifTxLayout.CSUM_BLANK) != 0;
        if (large && !blank) {
            VifCounters.add(counters.txGsoChecksumFixup, 1);
        }
        if (large || blank) {
            if (!frame.partialChecksumFromHeaders()) {
                return false;
            }
        } else if ((next.flags & NetifTxLayout.DATA_VALIDATED) != 0) {
            frame.completeChecksum(ChecksumState.COMPLETE_VERIFIED);
        }
        if (large) {
            frame.gso(
                    next.gsoType == NetifExtraLayout.GSO_TYPE_TCPV4 ? GsoType.TCPV4 : GsoType.TCPV6,
                    next.gsoSizeBytes);
        }
        if (next.hashType != 0) {
            frame.flowHash(next.hash, next.hashType);
        }
        return true;
    }

    private void answerOther(CheckedFrame next) {
        if (next.verdict == RequestReader.BAD) {
            refuse(next);
            return;
        }
        boolean done = true;
        if (next.multicastAdded) {
            done = multicast.add(next.multicastAddress);
        } else {
            multicast.remove(next.multicastAddress);
        }
        if (done) {
            answer(next, NetifStatus.OKAY);
        } else {
            refuse(next);
        }
    }

    private void refuse(CheckedFrame next) {
        VifCounters.add(counters.txErrors, 1);
        answer(next, NetifStatus.ERROR);
    }

    /// Answers all slots of the frame at hand, those of extras with NULL.
    private void answer(CheckedFrame next, int status) {
        int count = next.count + next.extras;
        long slot = ring.slotOffset(ring.takeResponseIndices(count));
        MemorySegment shared = ring.segment();
        for (int i = 0; i < next.count; i++) {
            NetifTxLayout.writeResponse(shared, slot, next.ids[i], status);
            slot = ring.nextSlotOffset(slot);
            if (i == 0) {
                for (int extra = 0; extra < next.extras; extra++) {
                    NetifTxLayout.writeResponse(shared, slot, next.ids[0], NetifStatus.NULL);
                    slot = ring.nextSlotOffset(slot);
                }
            }
        }
    }
}
