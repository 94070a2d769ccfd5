package org.splitring.blkback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.concurrent.Executor;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.ring.BackRing;
import org.splitring.wire.BlkifLayout;

/// A backend's queue and a frontend made of bare hands: the test writes slots and indices itself,
/// in one thread, and polls when it likes. Offsets of the indices stand here as numbers on purpose.
final class QueueRig implements AutoCloseable {
    static final int DATA_PAGES = 64;
    static final VbdFeatures NOT_PERSISTENT = VbdFeatures.ALL.withMaxPersistentGrants(0);
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();

    final LocalHypervisor hypervisor;
    final GuestDomain guest;
    final DriverDomain driver;
    final ForeignPages pages;
    final EventChannel frontPort;
    final EventChannel backPort;
    final MemorySegment ring;
    final PumpedLoop loop;
    final VbdCounters counters = new VbdCounters();
    final VbdGate gate;
    final DiskQueue queue;
    final QueueNote note;
    final BackRing back;
    final BlkifLayout layout;
    final int entries;
    final int dataGfn;
    final int[] grefs = new int[DATA_PAGES];
    int reqProd;
    int rspCons;
    private final MemorySegment response;

    record Response(long id, int operation, int status) {}

    QueueRig(DiskImage disk) {
        this(disk, BlkifLayout.X86_64, 0xFFFF_FFF0, Runnable::run, DomainLimits.DEFAULT);
    }

    QueueRig(
            DiskImage disk,
            BlkifLayout layout,
            int startIndex,
            Executor workers,
            DomainLimits limits) {
        this(
                new LocalHypervisor(),
                1,
                disk,
                layout,
                startIndex,
                workers,
                limits,
                new PumpedLoop(),
                null,
                before -> {},
                NOT_PERSISTENT);
    }

    QueueRig(
            DiskImage disk,
            BlkifLayout layout,
            int startIndex,
            Executor workers,
            DomainLimits limits,
            VbdFeatures features) {
        this(
                new LocalHypervisor(),
                1,
                disk,
                layout,
                startIndex,
                workers,
                limits,
                new PumpedLoop(),
                null,
                before -> {},
                features);
    }

    /// One that keeps grants mapped.
    QueueRig(DiskImage disk, VbdFeatures features, Executor workers) {
        this(
                new LocalHypervisor(),
                1,
                disk,
                BlkifLayout.X86_64,
                0xFFFF_FFF0,
                workers,
                DomainLimits.DEFAULT,
                new PumpedLoop(),
                null,
                before -> {},
                features);
    }

    /// One of several guests, on a loop of the test.
    QueueRig(
            LocalHypervisor hypervisor,
            int domid,
            DiskImage disk,
            Executor workers,
            DomainLimits limits,
            DeviceLoop loop) {
        this(
                hypervisor,
                domid,
                disk,
                BlkifLayout.X86_64,
                0xFFFF_FFF0,
                workers,
                limits,
                loop instanceof PumpedLoop pumped ? pumped : new PumpedLoop(),
                loop,
                before -> {},
                NOT_PERSISTENT);
    }

    /// With somebody who is told before pages are unmapped.
    QueueRig(DiskImage disk, Executor workers, IntConsumer beforeUnmap) {
        this(
                new LocalHypervisor(),
                1,
                disk,
                BlkifLayout.X86_64,
                0xFFFF_FFF0,
                workers,
                DomainLimits.DEFAULT,
                new PumpedLoop(),
                null,
                beforeUnmap,
                NOT_PERSISTENT);
    }

    private QueueRig(
            LocalHypervisor hypervisor,
            int domid,
            DiskImage disk,
            BlkifLayout layout,
            int startIndex,
            Executor workers,
            DomainLimits limits,
            PumpedLoop pumped,
            @Nullable DeviceLoop otherLoop,
            IntConsumer beforeUnmap,
            VbdFeatures features) {
        this.hypervisor = hypervisor;
        this.layout = layout;
        this.loop = pumped;
        DomId id = new DomId(domid);
        try {
            guest = hypervisor.createGuest(id, 1 << 20, limits);
            driver = hypervisor.driverDomain(DomId.ZERO);
            int ringGfn = guest.pages().allocate(1);
            int ringGref = guest.grants().claim();
            guest.grants().grant(ringGref, DomId.ZERO, ringGfn, false);
            dataGfn = guest.pages().allocate(DATA_PAGES);
            for (int i = 0; i < DATA_PAGES; i++) {
                grefs[i] = guest.grants().claim();
                guest.grants().grant(grefs[i], DomId.ZERO, dataGfn + i, false);
            }
            pages =
                    driver.foreignPages(
                            id, Math.min(1 + 32 * 11 + 8 * 256 + 1056, limits.maxMappings()));
            ring = pages.mapContiguous(new int[] {ringGref});
            frontPort = guest.eventChannels().allocUnbound(DomId.ZERO);
            backPort = driver.eventChannels().bindInterdomain(id, frontPort.port());
        } catch (GrantException | EventChannelException e) {
            throw new IllegalStateException(e);
        }
        word(0, startIndex);
        word(4, startIndex + 1);
        word(8, startIndex);
        word(12, startIndex + 1);
        reqProd = startIndex;
        rspCons = startIndex;
        back = BackRing.attach(ring, layout.entrySizeBytes(), startIndex);
        entries = back.entries();
        response = Arena.ofAuto().allocate(layout.entrySizeBytes(), 8);
        gate = new VbdGate(otherLoop == null ? pumped : otherLoop, counters);
        note = new QueueNote(Arena.ofAuto().allocate(QueueNote.sizeBytes(entries), 64), entries);
        queue =
                new DiskQueue(
                        back,
                        layout,
                        new NotingPages(pages, beforeUnmap),
                        backPort,
                        disk,
                        workers,
                        otherLoop == null ? pumped : otherLoop,
                        counters,
                        features,
                        DiskQueue.LARGE_REQUESTS,
                        gate,
                        note);
    }

    /// Another guest of the same hypervisor, whom the caller closes.
    GuestDomain secondGuest(DomId id) {
        return hypervisor.createGuest(id, 1 << 20, DomainLimits.DEFAULT);
    }

    void word(long offset, int value) {
        INT.setVolatile(ring, offset, value);
    }

    int word(long offset) {
        return (int) INT.getVolatile(ring, offset);
    }

    long slot(int index) {
        return 64 + (long) (index & (entries - 1)) * layout.entrySizeBytes();
    }

    /// Writes a request of whole pages into the next slot, without publishing it.
    ///
    /// @return the byte offset of its slot
    long write(int operation, long id, long sector, int... segmentGrefs) {
        long slot = slot(reqProd++);
        layout.writeRequest(ring, slot, operation, segmentGrefs.length, 0, id, sector);
        for (int i = 0; i < Math.min(segmentGrefs.length, 11); i++) {
            BlkifLayout.writeSegment(ring, layout.segmentOffset(slot, i), segmentGrefs[i], 0, 7);
        }
        return slot;
    }

    /// Writes an indirect request of whole pages into the next slot, without publishing it. Its
    /// page of segments is the data page `segmentPage`.
    ///
    /// @return the byte offset of its slot
    long writeIndirect(
            int operation, long id, long sector, int segmentPage, int count, int... segmentGrefs) {
        long slot = slot(reqProd++);
        layout.writeIndirect(ring, slot, operation, count, 0, id, sector);
        for (int i = 0; i < 8; i++) {
            layout.writeIndirectGref(ring, slot, i, i == 0 ? grefs[segmentPage] : 0);
        }
        for (int i = 0; i < segmentGrefs.length; i++) {
            BlkifLayout.writeSegment(page(segmentPage), i * 8L, segmentGrefs[i], 0, 7);
        }
        return slot;
    }

    /// Writes a discard into the next slot, without publishing it.
    void writeDiscard(long id, int flag, long sector, long sectors) {
        layout.writeDiscard(ring, slot(reqProd++), flag, 0, id, sector, sectors);
    }

    void publish() {
        word(0, reqProd);
    }

    /// Publishes and polls until everything is answered.
    void serve() {
        publish();
        queue.poll(1024);
        loop.pumpUntil(() -> queue.inFlight() == 0);
    }

    boolean hasResponse() {
        return word(8) != rspCons;
    }

    Response take() {
        if (!hasResponse()) {
            throw new AssertionError("no response");
        }
        MemorySegment.copy(ring, slot(rspCons++), response, 0, layout.entrySizeBytes());
        return new Response(
                layout.responseId(response, 0),
                layout.responseOperation(response, 0),
                layout.responseStatus(response, 0));
    }

    /// Serves one request and returns its response.
    Response ask(int operation, long id, long sector, int... segmentGrefs) {
        write(operation, id, sector, segmentGrefs);
        serve();
        return take();
    }

    MemorySegment page(int i) {
        return guest.memory().pages(dataGfn + i, 1);
    }

    /// Grants mapped besides the ring.
    int mappedData() {
        return pages.mappedCount() - 1;
    }

    static int pageSize() {
        return GuestMemory.PAGE_SIZE;
    }

    /// Ends the backend's side.
    void closeDevice() {
        backPort.close();
        pages.close();
    }

    @Override
    public void close() {
        closeDevice();
        if (hypervisor.mappedTotal() != 0) {
            throw new AssertionError("mapped at the end: " + hypervisor.mappedTotal());
        }
        guest.close();
    }
}
