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
/// A frame beyond the vif's rate limit stays where it is, and so does what is behind it, until
/// there is credit: back-pressure, no drop.
final class TxQueue implements RingWork {
    private final BackRing ring;
    private final EventChannel channel;
    private final DeviceLoop loop;
    private final FrameSink network;
    private final CreditBucket credit;
    private final MulticastFilter multicast;
    private final VifCounters counters;
    private final RequestReader reader;
    private final FrameCopies copies;
    private final CheckedFrame checked = new CheckedFrame();
    private final Frame frame = new Frame();
    private final Runnable creditTask = this::creditCame;

    private boolean waitsForCredit;
    private @Nullable Runnable cancelCredit;
    private Runnable wake = () -> {};

    TxQueue(
            BackRing ring,
            EventChannel channel,
            DeviceLoop loop,
            FrameSink network,
            FrameCopies copies,
            CreditBucket credit,
            MulticastFilter multicast,
            VifCounters counters) {
        this.ring = ring;
        this.channel = channel;
        this.loop = loop;
        this.network = network;
        this.copies = copies;
        this.credit = credit;
        this.multicast = multicast;
        this.counters = counters;
        reader = new RequestReader(ring);
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
        int taken = 0;
        int packets = 0;
        long bytes = 0;
        try {
            int left = reader.fill();
            while (left > 0 && taken < budget) {
                int verdict = reader.read(checked);
                if (credit.isLimited() && !hasCredit()) {
                    break;
                }
                reader.accept();
                taken += 1 + (checked.sizeBytes >> 12);
                if (verdict == RequestReader.FRAME && send()) {
                    packets++;
                    bytes += checked.sizeBytes;
                } else if (verdict != RequestReader.FRAME) {
                    answerOther(verdict);
                }
                if (!reader.hasLeft()) {
                    left = reader.fill();
                }
            }
        } finally { // also when the frontend broke the protocol: what was taken is answered
            endBatch(packets, bytes);
        }
        return taken;
    }

    private void endBatch(int packets, long bytes) {
        if (packets > 0) {
            VifCounters.add(counters.txPackets, packets);
            VifCounters.add(counters.txBytes, bytes);
            network.endBatch();
        }
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

    private boolean hasCredit() {
        long now = loop.nanoTime();
        if (credit.take(checked.sizeBytes, now)) {
            return true;
        }
        VifCounters.add(counters.txRateLimited, 1);
        waitsForCredit = true;
        cancelCredit = loop.schedule(creditTask, credit.waitNanos(checked.sizeBytes, now));
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
    private boolean send() {
        int status = copies.load(checked, frame);
        if (status != GrantStatus.OKAY) {
            VifCounters.add(counters.txGrantErrors, 1);
            refuse();
            return false;
        }
        if (!describe()) {
            copies.release();
            VifCounters.add(counters.txChecksumErrors, 1);
            refuse();
            return false;
        }
        network.receive(frame);
        copies.release(); // before the response: the frontend may reuse the page when it sees it
        answer(NetifStatus.OKAY);
        return true;
    }

    /// Sets what the frontend said of checksum, segmentation and hash.
    ///
    /// @return `false` when its checksum is said to be blank, and there is none
    private boolean describe() {
        boolean large = checked.gsoType != NetifExtraLayout.GSO_TYPE_NONE;
        boolean blank = (checked.flags & NetifTxLayout.CSUM_BLANK) != 0;
        if (large && !blank) {
            VifCounters.add(counters.txGsoChecksumFixup, 1);
        }
        if (large || blank) {
            if (!frame.partialChecksumFromHeaders()) {
                return false;
            }
        } else if ((checked.flags & NetifTxLayout.DATA_VALIDATED) != 0) {
            frame.completeChecksum(ChecksumState.COMPLETE_VERIFIED);
        }
        if (large) {
            frame.gso(
                    checked.gsoType == NetifExtraLayout.GSO_TYPE_TCPV4
                            ? GsoType.TCPV4
                            : GsoType.TCPV6,
                    checked.gsoSizeBytes);
        }
        if (checked.hashType != 0) {
            frame.flowHash(checked.hash, checked.hashType);
        }
        return true;
    }

    private void answerOther(int verdict) {
        if (verdict == RequestReader.BAD) {
            refuse();
            return;
        }
        boolean done = true;
        if (checked.multicastAdded) {
            done = multicast.add(checked.multicastAddress);
        } else {
            multicast.remove(checked.multicastAddress);
        }
        if (done) {
            answer(NetifStatus.OKAY);
        } else {
            refuse();
        }
    }

    private void refuse() {
        VifCounters.add(counters.txErrors, 1);
        answer(NetifStatus.ERROR);
    }

    /// Answers all slots of the frame at hand, those of extras with NULL.
    private void answer(int status) {
        int count = checked.count + checked.extras;
        long slot = ring.slotOffset(ring.takeResponseIndices(count));
        MemorySegment shared = ring.segment();
        for (int i = 0; i < checked.count; i++) {
            NetifTxLayout.writeResponse(shared, slot, checked.ids[i], status);
            slot = ring.nextSlotOffset(slot);
            if (i == 0) {
                for (int extra = 0; extra < checked.extras; extra++) {
                    NetifTxLayout.writeResponse(shared, slot, checked.ids[0], NetifStatus.NULL);
                    slot = ring.nextSlotOffset(slot);
                }
            }
        }
    }
}
