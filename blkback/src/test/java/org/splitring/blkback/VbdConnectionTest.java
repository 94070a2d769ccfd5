package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.testkit.LastingNotes;
import org.splitring.testkit.PagesView;
import org.splitring.wire.BlkifOp;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.device.DeviceException;

/// How a connection ends, step by step: in this thread, with storage that the test keeps waiting.
@Timeout(60)
class VbdConnectionTest {
    private final VbdLab lab = new VbdLab();
    private final PumpedLoop loop = new PumpedLoop();
    private final LastingNotes notes = new LastingNotes();
    private final ArrayDeque<Runnable> work = new ArrayDeque<>(); // that waits for storage
    private final ArrayDeque<Runnable> control = new ArrayDeque<>();
    private final List<RawFrontend> rings = new ArrayList<>();
    private final VbdCounters counters = new VbdCounters();
    private final VbdGate gate = new VbdGate(loop, counters);
    private final AtomicInteger closed = new AtomicInteger();
    private final List<ForeignPages> windows = new ArrayList<>();
    private final List<Integer> asked = new ArrayList<>(); // how large windows were to be
    private int largestWindow = Integer.MAX_VALUE;
    private int mappedAtClose = -1;
    private boolean closingThrows;

    private final DiskImage disk =
            DiskImage.of(
                    new MemoryStore(1 << 20) {
                        @Override
                        public long readNoWait(IoVector into, long offsetBytes) {
                            return WOULD_BLOCK;
                        }
                    },
                    DiskMode.WRITEBACK,
                    Runnable::run);

    /// Looks what is mapped when a window is closed.
    private final DriverDomain driver =
            new DriverDomain() {
                @Override
                public DomId id() {
                    return lab.driver.id();
                }

                @Override
                public EventChannels eventChannels() {
                    return lab.driver.eventChannels();
                }

                @Override
                public ForeignPages foreignPages(DomId frontend, int maxMappings)
                        throws GrantException {
                    asked.add(maxMappings);
                    if (maxMappings > largestWindow) {
                        throw new GrantException(GrantStatus.NO_SPACE, "at most " + largestWindow);
                    }
                    ForeignPages opened = lab.driver.foreignPages(frontend, maxMappings);
                    windows.add(opened);
                    return new PagesView(opened) {
                        @Override
                        public void close() {
                            mappedAtClose = mappedCount();
                            super.close();
                            if (closingThrows) {
                                throw new IllegalStateException("a mistake of the platform");
                            }
                        }
                    };
                }
            };

    @AfterEach
    void nothingIsLeft() {
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertTrue(notes.isEmpty());
        rings.forEach(RawFrontend::close);
        lab.close();
    }

    private VbdConnection connect(int count) throws Exception {
        List<RingKeys> keys = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            rings.add(new RawFrontend(lab));
            keys.add(keys(rings.getLast(), rings.getLast().port.port()));
        }
        VbdConnection connection = open(keys, loop);
        loop.pump();
        return connection;
    }

    private static RingKeys keys(RawFrontend ring, int port) {
        return new RingKeys(List.of(ring.ringGref), port, RingKeys.X86_64);
    }

    private VbdConnection open(List<RingKeys> keys, DeviceLoop on)
            throws GrantException, EventChannelException, DeviceException {
        return VbdConnection.open(
                driver,
                VbdLab.GUEST,
                keys,
                disk,
                on,
                VbdBackendOptions.of(weight -> work::add),
                counters,
                VbdFeatures.ALL,
                gate,
                work::add,
                VbdNote.make(notes, lab.paths, keys, QueueNote::new),
                cause -> {
                    throw new AssertionError(cause);
                });
    }

    private void ask(RawFrontend ring) {
        ring.write(BlkifOp.READ, 7, 0);
        ring.publish();
        ring.port.send();
        loop.pump();
    }

    private void close(VbdConnection connection) {
        connection.close(control::add, closed::incrementAndGet);
        loop.pump();
    }

    private void finishControl() {
        assertEquals(1, control.size());
        control.remove().run();
        loop.pump();
        assertEquals(1, closed.get());
        assertEquals(0, mappedAtClose, "given back one by one");
        assertTrue(notes.isEmpty());
    }

    @Test
    void withNothingUnderWayItEndsAtOnce() throws Exception {
        VbdConnection connection = connect(1);
        assertFalse(notes.isEmpty());
        close(connection);
        assertEquals(EventChannelStatus.UNBOUND, rings.getFirst().port.status());
        assertEquals(0, closed.get(), "pages are given back on the control plane");
        assertEquals(1, lab.hypervisor.mappedTotal(), "the ring");
        finishControl();
        assertEquals(0, lab.hypervisor.mappedTotal());
    }

    /// The kernel works on the pages as long as the storage has the request.
    @Test
    void theEndWaitsForTheStorage() throws Exception {
        VbdConnection connection = connect(1);
        RawFrontend ring = rings.getFirst();
        ask(ring);
        assertEquals(1, work.size());
        close(connection);
        assertTrue(control.isEmpty(), "the storage has a request");
        assertEquals(EventChannelStatus.INTERDOMAIN, ring.port.status());
        assertEquals(2, lab.hypervisor.mappedTotal());
        assertEquals(0, ring.responses());

        work.remove().run();
        loop.pump();
        assertEquals(1, ring.responses(), "answered all the same");
        assertEquals(EventChannelStatus.UNBOUND, ring.port.status());
        finishControl();
    }

    @Test
    void theEndWaitsForTheLastRequest() throws Exception {
        VbdConnection connection = connect(1);
        RawFrontend ring = rings.getFirst();
        ask(ring);
        ask(ring);
        assertEquals(2, work.size());
        close(connection);
        work.remove().run();
        loop.pump();
        assertEquals(1, ring.responses());
        assertTrue(control.isEmpty(), "the storage has another");
        work.remove().run();
        loop.pump();
        assertEquals(2, ring.responses());
        finishControl();
    }

    @Test
    void nothingIsTakenWhileItEnds() throws Exception {
        VbdConnection connection = connect(1);
        RawFrontend ring = rings.getFirst();
        ask(ring);
        close(connection);
        ask(ring);
        loop.execute(gate::resume); // wakes whoever listens
        loop.pump();
        assertEquals(1, work.size(), "one that came too late");
        work.remove().run();
        loop.pump();
        assertEquals(1, ring.responses());
        finishControl();
    }

    @Test
    void twoRingsEndTogether() throws Exception {
        VbdConnection connection = connect(2);
        ask(rings.get(0));
        ask(rings.get(1));
        assertEquals(2, work.size());
        close(connection);
        work.remove().run();
        loop.pump();
        assertTrue(control.isEmpty(), "the other has a request still");
        assertEquals(EventChannelStatus.UNBOUND, rings.get(0).port.status());
        assertEquals(EventChannelStatus.INTERDOMAIN, rings.get(1).port.status());
        work.remove().run();
        loop.pump();
        assertEquals(1, rings.get(1).responses());
        finishControl();
    }

    /// Pages that stay mapped between requests.
    @Test
    void whatIsKeptMappedIsGivenBackToo() throws Exception {
        VbdConnection connection = connect(1);
        ask(rings.getFirst());
        work.remove().run();
        loop.pump();
        assertEquals(2, lab.hypervisor.mappedTotal(), "the ring, and a page that is kept");
        close(connection);
        assertEquals(1, lab.hypervisor.mappedTotal());
        finishControl();
        assertEquals(0, counters.persistent.get());
    }

    /// The gate is the vbd's, and stays when the guest connects anew.
    @Test
    void theGateForgetsItsRings() throws Exception {
        for (int i = 0; i < 3; i++) {
            VbdConnection connection = connect(2);
            assertEquals(2, gate.rings());
            close(connection);
            control.remove().run();
            assertEquals(0, gate.rings());
        }
    }

    /// Eleven pages for each of 32 slots, large requests, and what is kept mapped.
    @Test
    void theWindowHasRoomForAllThatMayBeMappedAtOnce() throws Exception {
        int plain = 1 + 32 * 11;
        int kept = 1056;
        close(connect(1));
        control.remove().run();
        close(connect(2));
        control.remove().run();
        assertEquals(
                List.of(plain + 8 * 256 + kept, 2 * (plain + 4 * 256 + kept)),
                asked,
                "large requests are shared by the rings");
    }

    @Test
    void aGuestThatMayNotHaveSoMuchMappedIsServedWithLess() throws Exception {
        largestWindow = 2 * (1 + 32 * 11);
        VbdConnection connection = connect(2);
        assertEquals(largestWindow, asked.getLast());
        ask(rings.getFirst());
        work.remove().run();
        loop.pump();
        assertEquals(1, rings.getFirst().responses());
        close(connection);
        finishControl();
    }

    @Test
    void whoWaitsForTheEndIsToldWhateverHappens() throws Exception {
        VbdConnection connection = connect(1);
        closingThrows = true;
        close(connection);
        assertThrows(IllegalStateException.class, control.remove()::run);
        assertEquals(1, closed.get());
        notes.clear();
    }

    /// The second ring has a port that nobody has.
    @Test
    void whatCannotBeOpenedLeavesNothing() throws Exception {
        rings.add(new RawFrontend(lab));
        rings.add(new RawFrontend(lab));
        RawFrontend first = rings.getFirst();
        List<RingKeys> keys = List.of(keys(first, first.port.port()), keys(rings.getLast(), 200));
        assertThrows(EventChannelException.class, () -> open(keys, loop));
        assertEquals(EventChannelStatus.UNBOUND, first.port.status());
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertTrue(notes.isEmpty());
    }

    /// A mistake of the program; what is mapped stays.
    @Test
    void aLoopThatIsGoneKeepsNobodyWaiting() throws Exception {
        rings.add(new RawFrontend(lab));
        RawFrontend ring = rings.getFirst();
        VbdConnection connection;
        try (ThreadLoop own = new ThreadLoop("gone")) {
            connection = open(List.of(keys(ring, ring.port.port())), own);
        }
        connection.close(control::add, closed::incrementAndGet);
        assertEquals(1, control.size());
        control.remove().run();
        assertEquals(1, closed.get());
        assertEquals(1, lab.hypervisor.mappedTotal());
        windows.forEach(ForeignPages::close);
        notes.clear();
    }
}
