package org.splitring.xenbus.device;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;
import org.splitring.xenbus.RingKeys;

/// One ring of a [RingFrontend], for one connection: its pages, its port, and the requests that are
/// on it. On the loop, except where a method says otherwise.
final class FrontendRing<T> implements RingWork {
    private final RingFrontend<T> device;
    private final GrantedPages pages;
    private final EventChannel port;
    private final FrontRing ring;
    private final PortPoller poller;
    private final List<@Nullable T> requests; // by id
    private final long[] sequences; // by id
    private final int[] freeIds;
    private int freeCount;
    private long nextSequence;

    private FrontendRing(
            RingFrontend<T> device,
            GrantedPages pages,
            EventChannel port,
            RingShape shape,
            DeviceLoop loop,
            Consumer<String> broken) {
        this.device = device;
        this.pages = pages;
        this.port = port;
        ring = FrontRing.init(pages.memory(), shape.entryBytes());
        poller =
                new PortPoller(
                        port,
                        loop,
                        this,
                        shape.budget(),
                        cause -> broken.accept("ring: " + cause.getMessage()));
        requests = new ArrayList<>(ring.entries());
        sequences = new long[ring.entries()];
        freeIds = new int[ring.entries()];
        for (int id = ring.entries() - 1; id >= 0; id--) {
            requests.add(null);
            freeIds[freeCount++] = id;
        }
    }

    /// Takes pages and a port. On the control plane.
    static <T> FrontendRing<T> make(
            GuestDomain guest,
            DomId backend,
            int pageOrder,
            RingShape shape,
            DeviceLoop loop,
            RingFrontend<T> device,
            Consumer<String> broken)
            throws DeviceException, EventChannelException {
        GrantedPages pages = GrantedPages.grant(guest, backend, 1 << pageOrder, false);
        boolean made = false;
        try {
            EventChannel port = guest.eventChannels().allocUnbound(backend);
            made = true;
            return new FrontendRing<>(device, pages, port, shape, loop, broken);
        } finally {
            if (!made) {
                pages.close();
            }
        }
    }

    /// What the backend must know of it. Any thread.
    RingKeys keys() {
        List<Integer> grefs = new ArrayList<>();
        for (int page = 0; page < pages.count(); page++) {
            grefs.add(pages.gref(page));
        }
        return new RingKeys(grefs, port.port(), RingKeys.X86_64);
    }

    void start() {
        poller.start();
    }

    void stop() {
        poller.stop();
    }

    /// Closes the port and ends the grants, after [#stop]. On the control plane.
    void giveBack() {
        port.close();
        pages.close();
    }

    boolean isFull() {
        return freeCount == 0 || ring.isFull();
    }

    int outstanding() {
        return freeIds.length - freeCount;
    }

    /// Gives a request its id.
    int register(T request) {
        int id = freeIds[--freeCount];
        requests.set(id, request);
        sequences[id] = nextSequence++;
        return id;
    }

    /// Puts a request into the next slot; the backend sees it after [#push].
    void put(MemorySegment request) {
        long offset = ring.slotOffset(ring.takeRequestIndex());
        MemorySegment.copy(request, 0, ring.segment(), offset, ring.entrySizeBytes());
    }

    void push() {
        if (ring.pushRequestsAndCheckNotify()) {
            port.send();
        }
    }

    /// Takes the next response, if there is one.
    ///
    /// @return `false` when there is none
    boolean copyResponse(MemorySegment to) {
        if (ring.unconsumedResponses() == 0) {
            return false;
        }
        ring.copyResponse(to);
        return true;
    }

    /// The request of an id that the backend wrote: once.
    T answered(long id) {
        T request = id >= 0 && id < freeIds.length ? requests.get((int) id) : null;
        if (request == null) {
            throw new IllegalStateException("the backend answered what nobody asked, id " + id);
        }
        requests.set((int) id, null);
        freeIds[freeCount++] = (int) id;
        return request;
    }

    /// Puts what was not answered before all that is in the queue, in the order of its sending.
    void takeBack(ArrayDeque<T> waiting) {
        List<Integer> left = new ArrayList<>();
        for (int id = 0; id < freeIds.length; id++) {
            if (requests.get(id) != null) {
                left.add(id);
            }
        }
        left.sort(Comparator.comparingLong((Integer id) -> sequences[id]).reversed());
        for (int id : left) {
            T request = requests.set(id, null);
            if (request != null) {
                waiting.addFirst(request);
            }
        }
        freeCount = freeIds.length;
    }

    @Override
    public int poll(int budget) {
        return device.takeResponses(this, budget);
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }
}
