package org.splitring.blkback;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.wire.BlkifLayout;
import org.splitring.xenbus.store.StoreException;

/// A frontend of bare hands in a [VbdLab]: one ring page, one data page, a port, and whatever nodes
/// the test wants to write.
final class RawFrontend implements AutoCloseable {
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();

    final VbdLab lab;
    final int ringGref;
    final int dataGref;
    final MemorySegment ring;
    final EventChannel port;
    private final int ringGfn;
    final int dataGfn;
    private int reqProd;

    RawFrontend(VbdLab lab) throws EventChannelException {
        this.lab = lab;
        ringGfn = lab.guest.pages().allocate(1);
        dataGfn = lab.guest.pages().allocate(1);
        ringGref = lab.guest.grants().claim();
        dataGref = lab.guest.grants().claim();
        lab.guest.grants().grant(ringGref, DomId.ZERO, ringGfn, false);
        lab.guest.grants().grant(dataGref, DomId.ZERO, dataGfn, false);
        ring = lab.guest.memory().pages(ringGfn, 1);
        port = lab.guest.eventChannels().allocUnbound(DomId.ZERO);
        initialise();
    }

    void initialise() {
        ring.fill((byte) 0);
        word(4, 1);
        word(12, 1);
        reqProd = 0;
    }

    void word(long offset, int value) {
        INT.setVolatile(ring, offset, value);
    }

    int word(long offset) {
        return (int) INT.getVolatile(ring, offset);
    }

    void node(String name, String value) throws StoreException {
        lab.guestStore.write(lab.paths.frontend() + "/" + name, value);
    }

    void state(int number) throws StoreException {
        node("state", Integer.toString(number));
    }

    /// Nodes that a backend can use.
    void goodNodes() throws StoreException {
        for (String name :
                new String[] {"ring-page-order", "num-ring-pages", "multi-queue-num-queues"}) {
            lab.guestStore.remove(lab.paths.frontend() + "/" + name);
        }
        node("ring-ref", Integer.toString(ringGref));
        node("event-channel", Integer.toString(port.port()));
        node("protocol", "x86_64-abi");
    }

    /// Puts a request on the ring; the index moves with [#publish].
    ///
    /// @return the byte offset of its slot
    long write(int operation, long id, long sector) {
        long slot = 64 + (long) (reqProd++ & 31) * 112;
        BlkifLayout layout = BlkifLayout.X86_64;
        layout.writeRequest(ring, slot, operation, 1, 0, id, sector);
        BlkifLayout.writeSegment(ring, layout.segmentOffset(slot, 0), dataGref, 0, 7);
        return slot;
    }

    void publish() {
        word(0, reqProd);
    }

    int published() {
        return reqProd;
    }

    int responses() {
        return word(8);
    }

    @Override
    public void close() {
        port.close();
        for (int gref : new int[] {ringGref, dataGref}) {
            if (!lab.guest.grants().tryRevoke(gref)) {
                throw new AssertionError("still mapped: gref " + gref);
            }
            lab.guest.grants().unclaim(gref);
        }
        lab.guest.pages().free(ringGfn, 1);
        lab.guest.pages().free(dataGfn, 1);
    }
}
