package org.splitring.netfront;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.wire.NetifRxLayout;
import org.splitring.wire.NetifTxLayout;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// One queue of a connection: two rings of a page, the pages behind their slots, one or two event
/// channels. Made and given back on the control plane, used on the loop.
final class VifQueue {
    private static final int BUDGET = 64;

    private final Deque<GrantedPages> granted = new ArrayDeque<>();
    private final List<EventChannel> channels = new ArrayList<>();
    private final List<PortPoller> pollers = new ArrayList<>();
    private final int txGref;
    private final int rxGref;
    private final TxRing tx;
    private final RxRing rx;
    private final GrantedPages txPages;
    private final GrantedPages rxPages;

    private VifQueue(
            GuestDomain guest,
            DomId backend,
            int number,
            boolean split,
            VifFeatures features,
            DeviceLoop loop,
            VifUser user,
            VifCounters counters,
            Consumer<Throwable> onBroken)
            throws DeviceException, EventChannelException {
        boolean made = false;
        try {
            channels.add(guest.eventChannels().allocUnbound(backend));
            if (split) {
                channels.add(guest.eventChannels().allocUnbound(backend));
            }
            GrantedPages txPage = grant(guest, backend, 1, false);
            GrantedPages rxPage = grant(guest, backend, 1, false);
            txGref = txPage.gref(0);
            rxGref = rxPage.gref(0);
            FrontRing txRing = FrontRing.init(txPage.memory(), NetifTxLayout.ENTRY_SIZE_BYTES);
            FrontRing rxRing = FrontRing.init(rxPage.memory(), NetifRxLayout.ENTRY_SIZE_BYTES);
            txPages = grant(guest, backend, txRing.entries(), true);
            rxPages = grant(guest, backend, rxRing.entries(), false);
            MemorySegment memory = guest.memory().segment();
            tx =
                    new TxRing(
                            txRing,
                            txChannel(),
                            txPages,
                            memory,
                            offsetIn(guest.memory(), txPages),
                            number,
                            features.maxFrameBytes(),
                            user,
                            counters);
            rx =
                    new RxRing(
                            rxRing,
                            rxChannel(),
                            rxPages,
                            memory,
                            offsetIn(guest.memory(), rxPages),
                            number,
                            user,
                            counters);
            PortPoller txPoller =
                    poller(txChannel(), loop, split ? tx : new BothRings(tx, rx), onBroken);
            if (split) {
                var ignored = poller(rxChannel(), loop, rx, onBroken);
            }
            tx.onWaiting(txPoller::wake);
            made = true;
        } finally {
            if (!made) {
                giveBack();
            }
        }
    }

    /// Makes a queue for the backend to connect to. When this throws everything has been given
    /// back.
    static VifQueue open(
            GuestDomain guest,
            DomId backend,
            int number,
            boolean split,
            VifFeatures features,
            DeviceLoop loop,
            VifUser user,
            VifCounters counters,
            Consumer<Throwable> onBroken)
            throws DeviceException, EventChannelException {
        VifQueue queue =
                new VifQueue(
                        guest, backend, number, split, features, loop, user, counters, onBroken);
        queue.rx.fill(); // nobody hears the event; the backend finds them when it connects
        return queue;
    }

    private GrantedPages grant(GuestDomain guest, DomId backend, int count, boolean readOnly)
            throws DeviceException {
        GrantedPages pages = GrantedPages.grant(guest, backend, count, readOnly);
        granted.push(pages);
        return pages;
    }

    private static long offsetIn(GuestMemory memory, GrantedPages pages) {
        return pages.memory().address() - memory.segment().address();
    }

    private PortPoller poller(
            EventChannel channel, DeviceLoop loop, RingWork work, Consumer<Throwable> onBroken) {
        PortPoller poller = new PortPoller(channel, loop, work, BUDGET, onBroken);
        pollers.add(poller);
        return poller;
    }

    private EventChannel txChannel() {
        return channels.getFirst();
    }

    private EventChannel rxChannel() {
        return channels.getLast();
    }

    /// Both rings behind one event channel.
    private static final class BothRings implements RingWork {
        private final TxRing tx;
        private final RxRing rx;

        BothRings(TxRing tx, RxRing rx) {
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

    /// Writes where the rings are.
    void publish(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/tx-ring-ref", Integer.toUnsignedString(txGref));
        keys.write(folder + "/rx-ring-ref", Integer.toUnsignedString(rxGref));
        if (channels.size() == 1) {
            keys.remove(folder + "/event-channel-tx");
            keys.remove(folder + "/event-channel-rx");
            keys.write(folder + "/event-channel", Integer.toString(txChannel().port()));
        } else {
            keys.remove(folder + "/event-channel");
            keys.write(folder + "/event-channel-tx", Integer.toString(txChannel().port()));
            keys.write(folder + "/event-channel-rx", Integer.toString(rxChannel().port()));
        }
    }

    void start() {
        pollers.forEach(PortPoller::start);
    }

    TxRing tx() {
        return tx;
    }

    /// How many pages lie behind the slots of both rings.
    int pages() {
        return txPages.count() + rxPages.count();
    }

    /// Reference of one of [#pages].
    int gref(int page) {
        return isReadOnly(page) ? txPages.gref(page) : rxPages.gref(page - txPages.count());
    }

    /// Whether the backend may only read it.
    boolean isReadOnly(int page) {
        return page < txPages.count();
    }

    /// On the loop: nothing of the rings is used after this.
    void stop() {
        pollers.forEach(PortPoller::stop);
        tx.close();
    }

    /// Closes the ports, and ends all grants.
    void giveBack() {
        channels.forEach(EventChannel::close);
        while (!granted.isEmpty()) {
            granted.pop().close();
        }
    }
}
