package org.splitring.hypervisor;

import static org.splitring.wire.GrantEntryV1Layout.FLAGS_AND_DOMID;
import static org.splitring.wire.GrantEntryV1Layout.FLAGS_OFFSET;
import static org.splitring.wire.GrantEntryV1Layout.FRAME;
import static org.splitring.wire.GrantEntryV1Layout.FRAME_OFFSET;
import static org.splitring.wire.GrantEntryV1Layout.GTF_PERMIT_ACCESS;
import static org.splitring.wire.GrantEntryV1Layout.SIZE_SHIFT;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicBoolean;
import org.splitring.wire.XenstoreRingLayout;

/// One end of the page and the event channel that a guest shares with the store from its start.
/// They cannot be found through the store, since they lead there: the platform makes both, as Xen's
/// toolstack does.
///
/// Contents are the other end's as much as ours.
public final class XenstorePage implements AutoCloseable {
    /// `GNTTAB_RESERVED_XENSTORE`: the reference by which the store maps the page.
    public static final int GREF = 1;

    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final MemorySegment memory;
    private final EventChannel channel;
    private final Runnable release;
    private final AtomicBoolean closed = new AtomicBoolean();

    /// @param memory the page
    /// @param channel is closed with the page
    /// @param release gives the page back, or undoes its mapping
    public XenstorePage(MemorySegment memory, EventChannel channel, Runnable release) {
        this.memory = memory;
        this.channel = channel;
        this.release = release;
    }

    /// Prepares a page before the guest knows of it: clears it, leaves the number of the guest's
    /// port in it, and grants it to the store's domain.
    ///
    /// @param tableGfn first page of the guest's grant table
    /// @param gfn the page, outside of the table
    /// @param port the guest's, which only the store's domain can bind to
    public static void prepare(
            GuestMemory memory, int tableGfn, int gfn, DomId storeDomain, int port) {
        MemorySegment page = memory.pages(gfn, 1);
        page.fill((byte) 0);
        page.set(U32, XenstoreRingLayout.EVTCHN_PORT, port);
        MemorySegment table = memory.pages(tableGfn, 1);
        long entry = (long) GREF << SIZE_SHIFT;
        FRAME.set(table, entry + FRAME_OFFSET, gfn);
        // Release: page bytes and frame before flags and domid, which are one word. Pairs with the
        // compare-and-set in GrantPins.firstPin, after which the frame is read.
        FLAGS_AND_DOMID.setRelease(
                table, entry + FLAGS_OFFSET, GTF_PERMIT_ACCESS | (storeDomain.value() << 16));
    }

    /// The store's end: maps the page of a guest and binds to the guest's port.
    ///
    /// @param pins the guest's grants
    /// @param store the domain that the page is granted to
    /// @throws GrantException when the guest has changed what [#prepare] wrote, or is gone
    /// @throws EventChannelException when the guest has closed its port
    public static XenstorePage open(GrantPins pins, Domain store, int port)
            throws GrantException, EventChannelException {
        CheckedForeignPages window = pins.openReserved(store.id());
        EventChannel channel = null;
        try {
            MemorySegment memory = window.mapContiguous(new int[] {GREF});
            channel = store.eventChannels().bindInterdomain(pins.guest(), port);
            return new XenstorePage(memory, channel, window::close);
        } finally {
            if (channel == null) {
                window.close();
            }
        }
    }

    /// 4096 bytes: see [XenstoreRingLayout].
    public MemorySegment memory() {
        return memory;
    }

    public EventChannel channel() {
        return channel;
    }

    /// Closes the channel and lets go of the page. Nobody may be using either. Closing twice does
    /// nothing.
    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            channel.close();
            release.run();
        }
    }
}
