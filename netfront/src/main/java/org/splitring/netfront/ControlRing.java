package org.splitring.netfront;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.wire.NetifCtrlLayout;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// The control ring of a connection. It asks the backend to keep the pages behind the slots of all
/// queues mapped (static grants), once, after connecting: the backend then copies frames without a
/// look at the grant table. What it does not keep works as without.
///
///     for each queue   GET_GREF_MAPPING_SIZE ──► how many
///                      ADD_GREF_MAPPING      ──► all of the list, or none
///
/// One request is outstanding at a time. Made and given back on the control plane, used on the
/// loop.
///
/// Source: Xen `public/io/netif.h`, "Control Ring".
final class ControlRing implements RingWork {
    private static final Logger LOG = LoggerFactory.getLogger(ControlRing.class);
    private static final int BUDGET = 4;
    private static final int MOST_IN_LIST = GuestMemory.PAGE_SIZE / NetifCtrlLayout.GREF_SIZE_BYTES;

    private final Deque<GrantedPages> granted = new ArrayDeque<>();
    private final List<VifQueue> queues;
    private final EventChannel channel;
    private final FrontRing ring;
    private final int ringGref;
    private final int listGref;
    private final MemorySegment list;
    private final PortPoller poller;
    private final MemorySegment response =
            Arena.ofAuto().allocate(NetifCtrlLayout.ENTRY_SIZE_BYTES, 8);

    // Of the loop.
    private int queue;
    private int asked; // type of the outstanding request, or TYPE_INVALID
    private int id;

    private ControlRing(
            GuestDomain guest,
            DomId backend,
            List<VifQueue> queues,
            DeviceLoop loop,
            Consumer<Throwable> onBroken)
            throws DeviceException, EventChannelException {
        this.queues = List.copyOf(queues);
        channel = guest.eventChannels().allocUnbound(backend);
        boolean made = false;
        try {
            GrantedPages ringPage = grant(guest, backend);
            GrantedPages listPage = grant(guest, backend);
            ring = FrontRing.init(ringPage.memory(), NetifCtrlLayout.ENTRY_SIZE_BYTES);
            ringGref = ringPage.gref(0);
            listGref = listPage.gref(0);
            list = listPage.memory();
            poller = new PortPoller(channel, loop, this, BUDGET, onBroken);
            made = true;
        } finally {
            if (!made) {
                giveBack();
            }
        }
    }

    /// Makes a ring for the backend to connect to. When this throws everything has been given back.
    ///
    /// @param queues of the connection, in order
    /// @param onBroken is told once, on the loop, how the backend broke the protocol
    static ControlRing open(
            GuestDomain guest,
            DomId backend,
            List<VifQueue> queues,
            DeviceLoop loop,
            Consumer<Throwable> onBroken)
            throws DeviceException, EventChannelException {
        return new ControlRing(guest, backend, queues, loop, onBroken);
    }

    private GrantedPages grant(GuestDomain guest, DomId backend) throws DeviceException {
        GrantedPages pages = GrantedPages.grant(guest, backend, 1, false);
        granted.push(pages);
        return pages;
    }

    /// Writes where the ring is, or that there is none.
    static void publish(@Nullable ControlRing control, StoreAccess keys, String folder)
            throws StoreException {
        if (control == null) {
            keys.remove(folder + "/ctrl-ring-ref");
            keys.remove(folder + "/event-channel-ctrl");
        } else {
            keys.write(folder + "/ctrl-ring-ref", Integer.toUnsignedString(control.ringGref));
            keys.write(folder + "/event-channel-ctrl", Integer.toString(control.channel.port()));
        }
    }

    /// The backend serves the ring from now on. Any thread.
    void start() {
        poller.start();
    }

    /// Asks for the pages of all queues to be kept, one queue after the other.
    void keepPages() {
        queue = 0;
        ask(NetifCtrlLayout.TYPE_GET_GREF_MAPPING_SIZE, 0, 0);
    }

    private void ask(int type, int second, int third) {
        if (queue == queues.size()) {
            return;
        }
        asked = type;
        id = (id + 1) & 0xFFFF;
        NetifCtrlLayout.writeRequest(
                ring.segment(),
                ring.slotOffset(ring.takeRequestIndex()),
                id,
                type,
                queue,
                second,
                third);
        if (ring.pushRequestsAndCheckNotify()) {
            channel.send();
        }
        poller.wake(); // asks for an event
    }

    @Override
    public int poll(int budget) {
        int count = ring.unconsumedResponses();
        for (int i = 0; i < count; i++) {
            ring.copyResponse(response);
            take();
        }
        return count;
    }

    @Override
    public boolean finalCheck() {
        return asked != NetifCtrlLayout.TYPE_INVALID && ring.finalCheckForResponses();
    }

    private void take() {
        if (asked == NetifCtrlLayout.TYPE_INVALID
                || NetifCtrlLayout.responseId(response, 0) != id
                || NetifCtrlLayout.responseType(response, 0) != asked) {
            throw VifBrokenException.CONTROL_ID;
        }
        int answered = asked;
        asked = NetifCtrlLayout.TYPE_INVALID;
        int status = NetifCtrlLayout.responseStatus(response, 0);
        if (status == NetifCtrlLayout.STATUS_NOT_SUPPORTED) {
            return; // of this kind, or of all: frames go as without
        }
        if (answered == NetifCtrlLayout.TYPE_GET_GREF_MAPPING_SIZE
                && status == NetifCtrlLayout.STATUS_SUCCESS) {
            int length = writeList(NetifCtrlLayout.responseData(response, 0));
            if (length > 0) {
                ask(NetifCtrlLayout.TYPE_ADD_GREF_MAPPING, listGref, length);
                return;
            }
        }
        if (status != NetifCtrlLayout.STATUS_SUCCESS) {
            LOG.info("queue {}: the backend keeps no pages: status {}", queue, status);
        }
        queue++;
        ask(NetifCtrlLayout.TYPE_GET_GREF_MAPPING_SIZE, 0, 0);
    }

    /// @param allowed by the backend, any 32 bits
    /// @return how many are in the list
    private int writeList(int allowed) {
        VifQueue of = queues.get(queue);
        int length = Math.min(MOST_IN_LIST, of.pages());
        if (allowed >= 0) {
            length = Math.min(length, allowed);
        }
        for (int i = 0; i < length; i++) {
            NetifCtrlLayout.writeGref(
                    list,
                    (long) i * NetifCtrlLayout.GREF_SIZE_BYTES,
                    of.gref(i),
                    of.isReadOnly(i) ? NetifCtrlLayout.GREF_READONLY : 0);
        }
        return length;
    }

    /// On the loop: nothing of the ring is used after this.
    void stop() {
        poller.stop();
    }

    /// Closes the port, and ends all grants.
    void giveBack() {
        channel.close();
        while (!granted.isEmpty()) {
            granted.pop().close();
        }
    }
}
