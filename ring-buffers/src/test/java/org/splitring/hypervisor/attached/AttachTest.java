package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.wire.GrantEntryV1Layout;

/// Guest and driver domain through the attach socket, in one process.
class AttachTest {
    private static final DomId SEVEN = new DomId(7);
    private static final long MEMORY = 1 << 20;
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    @TempDir Path folder;
    private AttachBed bed;
    private NettyDeviceLoops guestLoops;

    @BeforeEach
    void start() throws IOException {
        bed = new AttachBed(folder);
        guestLoops = new NettyDeviceLoops("guest", 1, 0);
    }

    @AfterEach
    void stop() {
        bed.close();
        guestLoops.close();
    }

    private AttachedGuest attach(int domid) throws IOException {
        return AttachedGuest.attach(bed.path(domid), MEMORY, guestLoops.loop(0), () -> {});
    }

    private AttachedGuest attachPatiently(int domid, Duration patience) throws IOException {
        return AttachedGuest.attach(
                bed.path(domid), MEMORY, guestLoops.loop(0), () -> {}, patience);
    }

    @Test
    void aGuestCanWaitUntilSomebodyListens() throws Exception {
        // A socket of somebody who is gone, as one that was killed has left it.
        try (ServerSocketChannel gone = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            gone.bind(UnixDomainSocketAddress.of(bed.path(8)));
        }
        for (int domid = 7; domid <= 8; domid++) {
            DomId id = new DomId(domid);
            CompletableFuture<AttachedGuest> coming =
                    CompletableFuture.supplyAsync(
                            () -> {
                                try {
                                    return attachPatiently(id.value(), PATIENCE);
                                } catch (IOException e) {
                                    throw new java.io.UncheckedIOException(e);
                                }
                            });
            TimeUnit.MILLISECONDS.sleep(100);
            assertFalse(coming.isDone());
            Files.deleteIfExists(bed.path(domid));
            bed.listen(domid);
            try (AttachedGuest guest = coming.get(10, TimeUnit.SECONDS)) {
                assertEquals(id, guest.id());
            }
        }
    }

    @Test
    void aGuestWaitsNoLongerThanItsPatience() {
        IOException said =
                assertThrows(IOException.class, () -> attachPatiently(7, Duration.ofMillis(50)));
        assertTrue(said.toString().contains("ENOENT"), said::toString);
    }

    @Test
    void pagesThatAGuestGrantsAreMappedAndNothingElse() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            assertEquals(SEVEN, guest.id());
            assertEquals(DomId.ZERO, guest.backendDomain());
            assertTrue(guest.storeFd() > 0);
            DriverDomain driver = bed.peer(1).driverDomain();
            int gfn = guest.pages().allocate(3);
            int gref = guest.grants().claim();
            guest.memory().pages(gfn, 1).set(ValueLayout.JAVA_INT, 8, 4711);
            guest.grants().grant(gref, DomId.ZERO, gfn, false);
            try (ForeignPages pages = driver.foreignPages(SEVEN, 16)) {
                GrantBatch batch = new GrantBatch(2);
                batch.add(gref, true);
                batch.add(gref + 1, false);
                assertFalse(pages.map(batch));
                assertEquals(0, batch.status(0));
                assertTrue(batch.status(1) < 0);
                assertEquals(4711, batch.memory(0).get(ValueLayout.JAVA_INT, batch.offset(0) + 8));
                assertFalse(guest.grants().tryRevoke(gref), "in use");
                batch.memory(0).set(ValueLayout.JAVA_INT, batch.offset(0) + 8, 4712);
                pages.unmap(batch);
                assertEquals(4712, guest.memory().pages(gfn, 1).get(ValueLayout.JAVA_INT, 8));
                assertTrue(guest.grants().tryRevoke(gref));
            }
            assertThrows(GrantException.class, () -> driver.foreignPages(new DomId(8), 1));
        }
    }

    @Test
    void ringOfPagesThatLieApartIsOneSegment() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            DriverDomain driver = bed.peer(1).driverDomain();
            int gfn = guest.pages().allocate(8);
            int[] grefs = new int[4];
            for (int i = 0; i < 4; i++) {
                grefs[i] = guest.grants().claim();
                guest.grants().grant(grefs[i], DomId.ZERO, gfn + 7 - 2 * i, false);
            }
            try (ForeignPages pages = driver.foreignPages(SEVEN, 16)) {
                MemorySegment ring = pages.mapContiguous(grefs);
                for (int i = 0; i < 4; i++) {
                    ring.set(ValueLayout.JAVA_INT, i * 4096L, 100 + i);
                    assertEquals(
                            100 + i,
                            guest.memory().pages(gfn + 7 - 2 * i, 1).get(ValueLayout.JAVA_INT, 0));
                }
                pages.unmapContiguous(ring);
                assertThrows(IllegalStateException.class, () -> ring.get(ValueLayout.JAVA_INT, 0));
            }
        }
    }

    @Test
    void xenstorePageIsThereFromTheStartWithItsGrantAndItsPort() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            AttachedPeer peer = bed.peer(1);
            XenstorePage store = peer.openXenstorePage().orElseThrow();
            XenstorePage front = guest.openXenstorePage();
            assertEquals(1, front.channel().port());
            assertEquals(1, front.memory().get(ValueLayout.JAVA_INT, 2076), "evtchn_port");
            assertEquals(EventChannelStatus.INTERDOMAIN, front.channel().status());
            front.memory().set(ValueLayout.JAVA_INT, 0, 4711);
            assertEquals(4711, store.memory().get(ValueLayout.JAVA_INT, 0));
            AtomicInteger storeEvents = new AtomicInteger();
            AtomicInteger frontEvents = new AtomicInteger();
            store.channel().listen(bed.loops.loop(1), storeEvents::incrementAndGet);
            front.channel().listen(guestLoops.loop(0), frontEvents::incrementAndGet);
            AttachBed.await(() -> storeEvents.get() == 1); // left pending by the bind
            store.channel().send();
            AttachBed.await(() -> frontEvents.get() == 1);
            store.channel().unmask();
            front.channel().send();
            AttachBed.await(() -> storeEvents.get() == 2);
            assertThrows(EventChannelException.class, guest::openXenstorePage, "once");
            assertEquals(1, peer.mappedGrants());
            store.close();
            assertEquals(0, peer.mappedGrants());
            assertEquals(EventChannelStatus.UNBOUND, front.channel().status());
        }
    }

    @Test
    void guestWithoutAXenstorePageHasNone() throws Exception {
        bed.listen(7);
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            guest.attach(MEMORY);
            assertTrue(bed.peer(1).openXenstorePage().isEmpty());
        }
    }

    @Test
    void eventsGoBothWaysAndAPortIsMaskedWhileItIsServed() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            DriverDomain driver = bed.peer(1).driverDomain();
            EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
            assertEquals(EventChannelStatus.UNBOUND, front.status());
            front.send(); // before anybody is bound: not lost
            EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, front.port());
            assertEquals(EventChannelStatus.INTERDOMAIN, front.status());
            assertEquals(EventChannelStatus.INTERDOMAIN, back.status());
            AtomicInteger backEvents = new AtomicInteger();
            AtomicInteger frontEvents = new AtomicInteger();
            back.listen(bed.loops.loop(1), backEvents::incrementAndGet);
            front.listen(guestLoops.loop(0), frontEvents::incrementAndGet);
            AttachBed.await(() -> backEvents.get() == 1);
            front.send();
            front.send();
            back.send();
            AttachBed.await(() -> frontEvents.get() == 1);
            assertEquals(1, backEvents.get(), "masked until it is served");
            back.unmask();
            AttachBed.await(() -> backEvents.get() >= 2);
            for (int i = 0; i < 100; i++) {
                int seen = frontEvents.get();
                front.unmask();
                back.send();
                AttachBed.await(() -> frontEvents.get() > seen);
            }
            back.close();
            assertEquals(EventChannelStatus.UNBOUND, front.status());
            front.send();
            EventChannel again = driver.eventChannels().bindInterdomain(SEVEN, front.port());
            AtomicInteger againEvents = new AtomicInteger();
            again.listen(bed.loops.loop(1), againEvents::incrementAndGet);
            AttachBed.await(() -> againEvents.get() == 1);
            front.close();
            AttachBed.await(() -> again.status() == EventChannelStatus.UNBOUND);
            assertEquals(EventChannelStatus.CLOSED, front.status());
            again.send();
            again.close();
        }
    }

    @Test
    void driverDomainOffersAPortToTheGuest() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            DriverDomain driver = bed.peer(1).driverDomain();
            EventChannel back = driver.eventChannels().allocUnbound(SEVEN);
            AtomicInteger backEvents = new AtomicInteger();
            back.listen(
                    bed.loops.loop(1),
                    () -> {
                        backEvents.incrementAndGet();
                        back.unmask();
                    });
            back.send();
            EventChannel front = guest.eventChannels().bindInterdomain(DomId.ZERO, back.port());
            AtomicInteger frontEvents = new AtomicInteger();
            front.listen(guestLoops.loop(0), frontEvents::incrementAndGet);
            AttachBed.await(() -> frontEvents.get() == 1); // left pending
            front.send();
            AttachBed.await(() -> backEvents.get() == 1);
            EventChannelException e =
                    assertThrows(
                            EventChannelException.class,
                            () -> guest.eventChannels().bindInterdomain(DomId.ZERO, back.port()));
            assertEquals(22, e.errno());
        }
    }

    @Test
    void twoGuestsAreBoundToEachOther() throws Exception {
        bed.listen(7);
        bed.listen(8);
        AttachedGuest eight = attach(8);
        try (AttachedGuest seven = attach(7)) {
            EventChannel offered = seven.eventChannels().allocUnbound(new DomId(8));
            EventChannel bound = eight.eventChannels().bindInterdomain(SEVEN, offered.port());
            AtomicInteger toSeven = new AtomicInteger();
            AtomicInteger toEight = new AtomicInteger();
            offered.listen(guestLoops.loop(0), toSeven::incrementAndGet);
            bound.listen(guestLoops.loop(0), toEight::incrementAndGet);
            AttachBed.await(() -> toEight.get() == 1); // left pending
            bound.send();
            AttachBed.await(() -> toSeven.get() == 1);
            bound.unmask();
            offered.send();
            AttachBed.await(() -> toEight.get() == 2);
            assertEquals(EventChannelStatus.INTERDOMAIN, offered.status());
            eight.close();
            AttachBed.await(() -> offered.status() == EventChannelStatus.UNBOUND);
            EventChannelException gone =
                    assertThrows(
                            EventChannelException.class,
                            () -> seven.eventChannels().bindInterdomain(new DomId(8), 1));
            assertEquals(3, gone.errno());
        }
    }

    @Test
    void guestIsToldWhenTheDriverDomainIsGone() throws Exception {
        AttachSocket socket = bed.listen(7);
        CountDownLatch lost = new CountDownLatch(1);
        AttachedGuest guest =
                AttachedGuest.attach(bed.path(7), MEMORY, guestLoops.loop(0), lost::countDown);
        EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
        assertThrows(IOException.class, () -> bed.listen(7), "two sockets for one domain");
        socket.close();
        assertTrue(lost.await(10, TimeUnit.SECONDS));
        assertTrue(guest.isLost());
        assertThrows(
                EventChannelException.class, () -> guest.eventChannels().allocUnbound(DomId.ZERO));
        front.send();
        front.close();
        guest.close();
        assertFalse(Files.exists(bed.path(7)));
        assertThrows(IOException.class, () -> attach(7));
    }

    /// As when the driver domain was killed: it has marked what it mapped, and is gone.
    private static void markAsMapped(AttachedGuest guest, int gref) {
        long word = (long) gref * GrantEntryV1Layout.SIZE_BYTES + GrantEntryV1Layout.FLAGS_OFFSET;
        int marks = GrantEntryV1Layout.GTF_READING | GrantEntryV1Layout.GTF_WRITING;
        int ignored =
                (int)
                        GrantEntryV1Layout.FLAGS_AND_DOMID.getAndBitwiseOr(
                                guest.memory().pages(0, 1), word, marks);
    }

    @Test
    void guestAttachesAgainWithItsMemoryAndGetsItsGrantsBack() throws Exception {
        AttachSocket socket = bed.listen(7);
        AtomicInteger lost = new AtomicInteger();
        AttachedGuest guest =
                AttachedGuest.attach(
                        bed.path(7), MEMORY, guestLoops.loop(0), lost::incrementAndGet);
        int gfn = guest.pages().allocate(1);
        guest.memory().pages(gfn, 1).set(ValueLayout.JAVA_INT, 0, 99);
        int gref = guest.grants().claim();
        guest.grants().grant(gref, DomId.ZERO, gfn, false);
        EventChannel old = guest.eventChannels().allocUnbound(DomId.ZERO);
        assertThrows(IllegalStateException.class, () -> guest.attachAgain(PATIENCE));
        socket.close();
        AttachBed.await(guest::isLost);
        markAsMapped(guest, gref);
        assertFalse(guest.grants().tryRevoke(gref));

        // The next one comes later.
        CompletableFuture<Void> back =
                CompletableFuture.runAsync(
                        () -> {
                            try {
                                guest.attachAgain(PATIENCE);
                            } catch (IOException e) {
                                throw new java.io.UncheckedIOException(e);
                            }
                        });
        assertFalse(back.isDone());
        bed.listen(7);
        back.get(10, TimeUnit.SECONDS);
        AttachedPeer peer = bed.peer(2);
        assertTrue(guest.grants().tryRevoke(gref), "nobody has it mapped any more");
        EventChannel made = guest.eventChannels().allocUnbound(DomId.ZERO);
        assertEquals(old.port(), made.port(), "a new life begins with the first port");
        old.close();
        assertEquals(EventChannelStatus.UNBOUND, made.status(), "the old one is another's");
        guest.grants().grant(gref, DomId.ZERO, gfn, false);
        try (ForeignPages pages = peer.driverDomain().foreignPages(SEVEN, 1)) {
            assertEquals(99, pages.mapContiguous(new int[] {gref}).get(ValueLayout.JAVA_INT, 0));
        }
        AttachBed.await(() -> lost.get() == 1);
        guest.close();
    }

    @Test
    void guestGivesUpAttachingAgainWhenNobodyComesOrItIsClosed() throws Exception {
        AttachSocket socket = bed.listen(7);
        long before = AttachBed.openDescriptors();
        AttachedGuest guest = attach(7);
        Fd.close(guest.storeFd());
        socket.close();
        AttachBed.await(guest::isLost);
        IOException e =
                assertThrows(IOException.class, () -> guest.attachAgain(Duration.ofMillis(50)));
        assertTrue(String.valueOf(e.getMessage()).contains("ENOENT"), e.toString());
        CompletableFuture<Throwable> waiting =
                CompletableFuture.supplyAsync(
                        () -> assertThrows(IOException.class, () -> guest.attachAgain(PATIENCE)));
        guest.close();
        assertNotNull(waiting.get(10, TimeUnit.SECONDS));
        AttachBed.awaitDescriptors(before);
        assertThrows(IOException.class, () -> guest.attachAgain(PATIENCE));
    }

    @Test
    void memoryStaysMappedUntilTheLastDeviceHasLetGo() throws Exception {
        bed.listen(7);
        AttachedGuest guest = attach(7);
        AttachedPeer peer = bed.peer(1);
        int gfn = guest.pages().allocate(1);
        int gref = guest.grants().claim();
        guest.grants().grant(gref, DomId.ZERO, gfn, false);
        ForeignPages pages = peer.driverDomain().foreignPages(SEVEN, 4);
        MemorySegment page = pages.mapContiguous(new int[] {gref});
        guest.memory().pages(gfn, 1).set(ValueLayout.JAVA_INT, 0, 99);
        guest.close();
        AttachBed.await(() -> bed.recorder.detached.size() == 1);
        assertEquals(99, page.get(ValueLayout.JAVA_INT, 0), "a device may still be at it");
        assertThrows(GrantException.class, () -> peer.driverDomain().foreignPages(SEVEN, 4));
        assertThrows(
                EventChannelException.class,
                () -> peer.driverDomain().eventChannels().bindInterdomain(SEVEN, 1));
        // The next guest waits at the door until this one is gone for good.
        Thread next =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try (AttachedGuest second = attach(7)) {
                                        assertNotEquals(-1, second.storeFd());
                                    } catch (IOException e) {
                                        throw new java.io.UncheckedIOException(e);
                                    }
                                });
        assertEquals(1, bed.recorder.attached.size());
        pages.close();
        bed.peer(2);
        next.join();
        assertThrows(IllegalStateException.class, () -> page.get(ValueLayout.JAVA_INT, 0));
    }

    @Test
    void secondGuestIsRefusedWhileTheFirstIsThere() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            IOException e = assertThrows(IOException.class, () -> attach(7));
            assertTrue(e.toString().contains("EBUSY"), e.toString());
            assertTrue(guest.eventChannels().allocUnbound(DomId.ZERO).port() > 0);
        }
        try (AttachedGuest guest = attach(7)) {
            assertEquals(MEMORY, guest.memory().segment().byteSize());
        }
    }

    /// Once refused with EBUSY: the next hello was read before the end of the last connection.
    @Test
    void nextGuestIsNotRefusedWhenTheLastHasJustGone() throws Exception {
        bed.listen(7);
        for (int round = 0; round < 200; round++) {
            attach(7).close();
        }
    }

    @Test
    void nothingIsLeftAfterManyGuests() throws Exception {
        bed.listen(7);
        try (AttachedGuest warmUp = attach(7)) {
            warmUp.eventChannels().allocUnbound(DomId.ZERO);
            Fd.close(warmUp.storeFd());
        }
        AttachBed.await(() -> AttachBed.guestMappings() == 0);
        long before = AttachBed.openDescriptors();
        int threads = Thread.getAllStackTraces().size();
        for (int round = 0; round < 20; round++) {
            try (AttachedGuest guest = attach(7)) {
                DriverDomain driver = bed.peer(round + 2).driverDomain();
                for (int i = 0; i < 5; i++) {
                    EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
                    EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, front.port());
                    if (i % 2 == 0) {
                        back.listen(bed.loops.loop(1), () -> {});
                    }
                }
                Fd.close(guest.storeFd());
            }
        }
        AttachBed.await(() -> AttachBed.guestMappings() == 0);
        AttachBed.awaitDescriptors(before);
        AttachBed.awaitThreads(threads + 2);
        assertEquals(GuestMemory.PAGE_SIZE, 4096);
    }

    @Test
    void n11_guestMemoryIsThereBeforeTheDriverDomainTouchesIt() throws Exception {
        bed.listen(7);
        try (AttachedGuest guest = attach(7)) {
            // Our mapping of the same pages needs no page of its own: all were made by the guest.
            assertEquals(MEMORY, allocatedBytes(), "every page of the guest's memfd exists");
            assertEquals(MEMORY, guest.memory().segment().byteSize());
        }
    }

    private static long allocatedBytes() throws IOException {
        try (var fds = Files.list(Path.of("/proc/self/fd"))) {
            for (Path fd : fds.toList()) {
                String target;
                try {
                    target = Files.readSymbolicLink(fd).toString();
                } catch (IOException e) {
                    continue; // the descriptor of the listing itself
                }
                if (target.contains("splitring-guest")) {
                    return Fd.status(Integer.parseInt(fd.getFileName().toString()))
                            .allocatedBytes();
                }
            }
        }
        throw new AssertionError("no guest memory here");
    }
}
