package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;
import org.splitring.wire.NetifRxLayout;
import org.splitring.wire.NetifTxLayout;
import org.splitring.xenbus.RingObserver;

/// One queue of a connected vif: both rings, one or two event channels, and who serves them. Made
/// and ended on the control plane, used on the network's loop.
final class VifQueue {
    /// What one queue holds mapped at most: two rings, the pages of one frame in each direction (of
    /// which one is under way at a time), and those that are kept.
    static final int MAX_MAPPINGS = 2 + 2 * CheckedFrame.FATAL_SLOTS + 2 + StaticGrants.MAX_PAGES;

    private final List<EventChannel> channels;
    private final List<PortPoller> pollers = new ArrayList<>();
    private final BackRing txRing;
    private final BackRing rxRing;
    private final TxQueue tx;
    private final RxQueue rx;

    private VifQueue(
            List<EventChannel> channels, BackRing txRing, BackRing rxRing, TxQueue tx, RxQueue rx) {
        this.channels = channels;
        this.txRing = txRing;
        this.rxRing = rxRing;
        this.tx = tx;
        this.rx = rx;
    }

    /// @param pages window of the vif, closed by the caller also when this throws
    static VifQueue open(
            DriverDomain domain,
            DomId frontend,
            VifKeys keys,
            VifKeys.QueueKeys queue,
            ForeignPages pages,
            StaticGrants kept,
            VifPort port,
            DeviceLoop loop,
            MulticastFilter multicast,
            VifBackendOptions options,
            VifCounters counters,
            RxQueue.RxCarrier carrier,
            VifNote note,
            VifNote.QueueNotes notes,
            Consumer<Throwable> onBroken)
            throws GrantException, EventChannelException {
        MemorySegment txPages = pages.mapContiguous(new int[] {queue.txRing()});
        MemorySegment rxPages = pages.mapContiguous(new int[] {queue.rxRing()});
        BackRing txRing =
                note.isFound()
                        ? notes.tx().resume(txPages)
                        : BackRing.init(txPages, NetifTxLayout.ENTRY_SIZE_BYTES);
        BackRing rxRing =
                note.isFound()
                        ? notes.rx().resume(rxPages)
                        : BackRing.init(rxPages, NetifRxLayout.ENTRY_SIZE_BYTES);
        List<EventChannel> channels = new ArrayList<>();
        try {
            channels.add(domain.eventChannels().bindInterdomain(frontend, queue.txPort()));
            if (queue.isSplit()) {
                channels.add(domain.eventChannels().bindInterdomain(frontend, queue.rxPort()));
            }
        } catch (EventChannelException e) {
            channels.forEach(EventChannel::close);
            throw e;
        }
        EventChannel txChannel = channels.getFirst();
        EventChannel rxChannel = channels.getLast();
        TxQueue tx =
                new TxQueue(
                        txRing,
                        notes.tx(),
                        txChannel,
                        loop,
                        port,
                        new FrameCopies(pages, kept, TxQueue.AT_A_TIME),
                        port.credit(),
                        multicast,
                        counters);
        RxQueue rx =
                new RxQueue(
                        rxRing,
                        notes.rx(),
                        pages,
                        kept,
                        rxChannel,
                        loop,
                        options.timeouts(),
                        counters,
                        carrier,
                        keys.xdpHeadroom(),
                        keys.rxNotify());
        VifQueue made = new VifQueue(channels, txRing, rxRing, tx, rx);
        if (queue.isSplit()) {
            PortPoller txPoller = made.poller(txChannel, loop, tx, options.budget(), onBroken);
            PortPoller rxPoller = made.poller(rxChannel, loop, rx, options.budget(), onBroken);
            tx.onCredit(txPoller::wake);
            rx.onWaiting(rxPoller::wake);
        } else {
            PortPoller poller =
                    made.poller(txChannel, loop, new BothRings(tx, rx), options.budget(), onBroken);
            tx.onCredit(poller::wake);
            rx.onWaiting(poller::wake);
        }
        return made;
    }

    private PortPoller poller(
            EventChannel channel,
            DeviceLoop loop,
            RingWork work,
            int budget,
            Consumer<Throwable> onBroken) {
        PortPoller poller = new PortPoller(channel, loop, work, budget, onBroken);
        pollers.add(poller);
        return poller;
    }

    /// Both rings behind one event channel.
    private static final class BothRings implements RingWork {
        private final TxQueue tx;
        private final RxQueue rx;

        BothRings(TxQueue tx, RxQueue rx) {
            this.tx = tx;
            this.rx = rx;
        }

        @Override
        public int poll(int budget) {
            return rx.poll(budget) + tx.poll(budget);
        }

        @Override
        public boolean finalCheck() {
            boolean rxWork = rx.finalCheck();
            return tx.finalCheck() || rxWork;
        }
    }

    void start() {
        pollers.forEach(PortPoller::start);
    }

    /// The predecessor may have published answers and not told of them, or have been asked for an
    /// event that it never got. On the loop.
    void wakeBothEnds() {
        rx.flush();
        channels.forEach(EventChannel::send);
        pollers.forEach(PortPoller::wake);
    }

    /// Both rings, for those who look at them.
    List<RingObserver.Observed> observed(String name) {
        return List.of(
                new RingObserver.Observed(
                        name + " tx", txRing, channels.getFirst(), pollers.getFirst()),
                new RingObserver.Observed(
                        name + " rx", rxRing, channels.getLast(), pollers.getLast()));
    }

    RxQueue rx() {
        return rx;
    }

    TxQueue tx() {
        return tx;
    }

    /// Serves nothing any more; every slot that was taken has been answered, but those of frames
    /// that wait for credit.
    void stop() {
        pollers.forEach(PortPoller::stop);
        tx.close();
        rx.close();
    }

    void closeChannels() {
        channels.forEach(EventChannel::close);
    }
}
