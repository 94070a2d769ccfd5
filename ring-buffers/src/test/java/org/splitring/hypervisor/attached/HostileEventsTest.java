package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.linux.Fd;

/// Event channels under attack, on the attached platform: entries H-060 to H-065 of the hostile
/// catalogue.
class HostileEventsTest {
    private static final DomId SEVEN = new DomId(7);
    private static final long MEMORY = 1 << 20;

    @TempDir Path folder;
    private AttachBed bed;
    private NettyDeviceLoops guestLoops;
    private AttachedGuest guest;
    private DriverDomain driver;

    @BeforeEach
    void start() throws IOException {
        bed = new AttachBed(folder);
        guestLoops = new NettyDeviceLoops("guest", 1, 0);
        bed.listen(7);
        guest = AttachedGuest.attach(bed.path(7), MEMORY, guestLoops.loop(0), () -> {});
        driver = bed.peer(1).driverDomain();
    }

    @AfterEach
    void stop() {
        guest.close();
        Fd.close(guest.storeFd());
        bed.close();
        guestLoops.close();
    }

    /// A second channel on the same loops, whose ends answer each other until told to stop.
    private final class PingPong {
        final AtomicLong rounds = new AtomicLong();
        final EventChannel front;
        final EventChannel back;
        volatile boolean stopped;

        PingPong(AttachedGuest of, DriverDomain domain) throws EventChannelException {
            front = of.eventChannels().allocUnbound(DomId.ZERO);
            back = domain.eventChannels().bindInterdomain(of.id(), front.port());
            back.listen(
                    bed.loops.loop(0),
                    () -> {
                        back.unmask();
                        back.send();
                    });
            front.listen(
                    guestLoops.loop(0),
                    () -> {
                        rounds.incrementAndGet();
                        front.unmask();
                        if (!stopped) {
                            front.send();
                        }
                    });
            front.send();
        }

        void goesOn() {
            long seen = rounds.get();
            AttachBed.await(() -> rounds.get() > seen + 20);
        }
    }

    @Test
    void h060_stormOnAMaskedPortIsTakenOffTheLoopUntilItIsServed() throws Exception {
        EventChannel noisy = guest.eventChannels().allocUnbound(DomId.ZERO);
        EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, noisy.port());
        AtomicInteger served = new AtomicInteger();
        back.listen(bed.loops.loop(0), served::incrementAndGet); // stays masked after the first
        AtomicBoolean stop = new AtomicBoolean();
        Thread storm =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (!stop.get()) {
                                        noisy.send();
                                    }
                                });
        try {
            AttachBed.await(() -> served.get() == 1);
            new PingPong(guest, driver).goesOn();
            assertEquals(1, served.get(), "not armed before it was served");
            // Served now and then: each time one event comes, not thousands.
            for (int i = 2; i < 50; i++) {
                int next = i;
                back.unmask();
                AttachBed.await(() -> served.get() == next);
            }
        } finally {
            stop.set(true);
            storm.join();
        }
        back.close();
    }

    @Test
    void h060_roundsOfABusyRingLeaveRoomForOthers() throws Exception {
        // A poller that always has work queues itself again and again on the loop; Netty alone
        // would run it for a second before it looks at descriptors.
        AtomicBoolean stop = new AtomicBoolean();
        NettyDeviceLoop loop = bed.loops.loop(0);
        AtomicLong turns = new AtomicLong();
        loop.execute(
                new Runnable() {
                    @Override
                    public void run() {
                        turns.incrementAndGet();
                        if (!stop.get()) {
                            loop.execute(this);
                        }
                    }
                });
        long elapsed;
        try {
            PingPong others = new PingPong(guest, driver);
            long start = System.nanoTime();
            long before = others.rounds.get();
            AttachBed.await(() -> others.rounds.get() > before + 200);
            elapsed = System.nanoTime() - start;
        } finally {
            stop.set(true); // or the loop could not even be closed
        }
        assertTrue(turns.get() > 0);
        assertTrue(elapsed < 5_000_000_000L, "200 round trips beside a busy ring: " + elapsed);
    }

    @Test
    void h060_guestThatFillsItsCounterAndBlocksItsDescriptorKeepsNobodyWaiting() throws Exception {
        try (RawGuest raw = attachRaw(8)) {
            assertEquals(0, raw.call(2, 0));
            int port = raw.word(16);
            List<Integer> fds = raw.takeDescriptors();
            EventChannel back =
                    bed.peer(2).driverDomain().eventChannels().bindInterdomain(new DomId(8), port);
            AtomicInteger events = new AtomicInteger();
            back.listen(bed.loops.loop(0), events::incrementAndGet);
            // Both descriptors made blocking, the counter filled, the pipe never read.
            Fd.setNonBlocking(fds.get(0), false);
            Fd.setNonBlocking(fds.get(1), false);
            MemorySegment full = Arena.ofAuto().allocate(8, 8);
            full.set(ValueLayout.JAVA_LONG, 0, -2L);
            assertEquals(8, Fd.write(fds.get(0), full.address(), 8));
            CountDownLatch sent = new CountDownLatch(1);
            bed.loops
                    .loop(0)
                    .execute(
                            () -> {
                                for (int i = 0; i < 100_000; i++) {
                                    back.send();
                                }
                                sent.countDown();
                            });
            assertTrue(sent.await(10, TimeUnit.SECONDS), "the loop waits for a guest");
            AttachBed.await(() -> events.get() == 1);
            new PingPong(guest, driver).goesOn();
            back.close();
            fds.forEach(Fd::close);
        }
    }

    @Test
    void h061_backendThatStormsAPortDoesNotShutOutTheOthersOfTheGuest() throws Exception {
        EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
        EventChannel noisy = driver.eventChannels().bindInterdomain(SEVEN, front.port());
        AtomicInteger served = new AtomicInteger();
        front.listen(
                guestLoops.loop(0),
                () -> {
                    served.incrementAndGet();
                    front.unmask();
                });
        AtomicBoolean stop = new AtomicBoolean();
        Thread storm =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (!stop.get()) {
                                        noisy.send();
                                    }
                                });
        try {
            PingPong others = new PingPong(guest, driver);
            for (int i = 0; i < 10; i++) {
                others.goesOn();
            }
            assertTrue(served.get() > 0);
        } finally {
            stop.set(true);
            storm.join();
        }
    }

    @Test
    void h062_portIsClosedWhileItsEventsAreServedTenThousandTimes() throws Exception {
        long before = AttachBed.openDescriptors();
        EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
        AtomicBoolean stop = new AtomicBoolean();
        Thread storm =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (!stop.get()) {
                                        front.send();
                                    }
                                });
        AtomicInteger served = new AtomicInteger();
        AtomicInteger late = new AtomicInteger();
        try {
            for (int i = 0; i < 10_000; i++) {
                EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, front.port());
                AtomicBoolean closedOnLoop = new AtomicBoolean();
                back.listen(
                        bed.loops.loop(i & 1),
                        () -> {
                            served.incrementAndGet();
                            if (closedOnLoop.get()) {
                                late.incrementAndGet();
                            }
                            back.unmask();
                        });
                if (i % 4 == 0) {
                    back.close(); // from here, with the loop in the middle of it
                } else {
                    CountDownLatch done = new CountDownLatch(1);
                    bed.loops
                            .loop(i & 1)
                            .execute(
                                    () -> {
                                        back.close();
                                        closedOnLoop.set(true);
                                        done.countDown();
                                    });
                    assertTrue(done.await(10, TimeUnit.SECONDS));
                }
                assertEquals(EventChannelStatus.CLOSED, back.status());
            }
        } finally {
            stop.set(true);
            storm.join();
        }
        assertEquals(0, late.get(), "an event after the close on the port's own loop");
        assertTrue(served.get() > 0);
        front.close();
        AttachBed.awaitDescriptors(before);
    }

    @Test
    void h063_closeStormWhileEveryHandlerLogsDoesNotHang() throws Exception {
        var log = LoggerFactory.getLogger(HostileEventsTest.class);
        AtomicBoolean stop = new AtomicBoolean();
        List<Thread> threads = new ArrayList<>();
        AtomicInteger rounds = new AtomicInteger();
        for (int t = 0; t < 3; t++) {
            int loop = t & 1;
            threads.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        while (!stop.get() && rounds.incrementAndGet() < 900) {
                                            bindLogAndClose(log, loop);
                                        }
                                    }));
        }
        for (Thread thread : threads) {
            thread.join(20_000);
            assertFalse(thread.isAlive(), "hangs");
        }
        stop.set(true);
        new PingPong(guest, driver).goesOn();
    }

    private void bindLogAndClose(org.slf4j.Logger log, int loop) {
        try {
            EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
            EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, front.port());
            back.listen(
                    bed.loops.loop(loop),
                    () -> {
                        log.info("event on port {}", back.port());
                        back.close();
                        log.info("closed port {}", back.port());
                    });
            front.send();
            front.close();
            back.close();
        } catch (EventChannelException e) {
            throw new IllegalStateException(e);
        }
    }

    /// A task of somebody else on the server's loop looks, each time it has its turn, at how much
    /// of
    /// the guest is left. From one turn to the next no more may have gone than one slice.
    @Test
    void h064_guestWithManyPortsAndMuchMemoryGoesInSlices() throws Exception {
        int ports = 320;
        long memory = 64L << 20;
        bed.listen(9, new DomainLimits(memory, 32, 4096, ports * 2));
        AttachedGuest big = AttachedGuest.attach(bed.path(9), memory, guestLoops.loop(0), () -> {});
        AttachedPeer peer = bed.peer(2);
        DriverDomain domain = peer.driverDomain();
        for (int i = 0; i < ports; i++) {
            EventChannel front = big.eventChannels().allocUnbound(DomId.ZERO);
            domain.eventChannels()
                    .bindInterdomain(big.id(), front.port())
                    .listen(bed.loops.loop(0), () -> {});
        }
        long start = peer.mapping().segment().address();
        Fd.close(big.storeFd());
        PingPong others = new PingPong(guest, driver);
        Remainder openPorts = new Remainder(() -> openPorts(peer, ports * 2));
        Remainder mapped = new Remainder(() -> mappedBytes(start, start + memory));
        NettyDeviceLoop loop = bed.loops.loop(0);
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch looking = new CountDownLatch(1);
        loop.execute(
                new Runnable() {
                    @Override
                    public void run() {
                        openPorts.look();
                        mapped.look();
                        looking.countDown();
                        if (!stop.get()) {
                            loop.execute(this);
                        }
                    }
                });
        assertTrue(looking.await(10, TimeUnit.SECONDS));
        big.close();
        AttachBed.await(() -> bed.recorder.detached.size() == 1);
        AttachBed.await(() -> mapped.last == 0);
        stop.set(true);
        assertEquals(ports + 1, openPorts.first, "its own, and that of its xenstore page");
        assertEquals(0, openPorts.last);
        assertEquals(memory, mapped.first);
        assertTrue(
                openPorts.largestStep <= AttachSocket.PORTS_PER_SLICE,
                openPorts.largestStep + " ports closed in one turn");
        assertTrue(
                mapped.largestStep <= AttachSocket.UNMAP_SLICE_BYTES,
                mapped.largestStep + " bytes unmapped in one turn");
        others.goesOn();
    }

    /// How a quantity falls, as one thread sees it.
    private static final class Remainder {
        private final LongSupplier now;
        volatile long first = -1;
        volatile long last;
        volatile long largestStep;

        Remainder(LongSupplier now) {
            this.now = now;
        }

        void look() {
            long seen = now.getAsLong();
            if (first < 0) {
                first = seen;
            } else {
                largestStep = Math.max(largestStep, last - seen);
            }
            last = seen;
        }
    }

    private long openPorts(AttachedPeer peer, int maxPorts) {
        long open = 0;
        for (int port = 1; port <= maxPorts; port++) {
            open += bed.server.broker().guestPortStatus(peer, port)[0] == 0 ? 0 : 1;
        }
        return open;
    }

    /// How many bytes of a range of addresses are a guest's memory. What is free again may soon be
    /// somebody else's: a thread's stack, say.
    private static long mappedBytes(long from, long to) {
        long bytes = 0;
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
                if (!line.contains("memfd:")) {
                    continue;
                }
                String[] range = line.substring(0, line.indexOf(' ')).split("-", -1);
                long start = Math.max(from, Long.parseUnsignedLong(range[0], 16));
                long end = Math.min(to, Long.parseUnsignedLong(range[1], 16));
                bytes += Math.max(0, end - start);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes;
    }

    @Test
    void h065_sendOnAClosedPortReachesNobody() throws Exception {
        // Numbers and descriptors are used again at once; a late send must not ring at the next
        // owner, who would see an event that nobody sent.
        EventChannel stale = guest.eventChannels().allocUnbound(DomId.ZERO);
        EventChannel staleBack = driver.eventChannels().bindInterdomain(SEVEN, stale.port());
        staleBack.close();
        stale.close();
        EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
        EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, front.port());
        AtomicInteger frontEvents = new AtomicInteger();
        AtomicInteger backEvents = new AtomicInteger();
        front.listen(
                guestLoops.loop(0),
                () -> {
                    frontEvents.incrementAndGet();
                    front.unmask();
                });
        back.listen(
                bed.loops.loop(0),
                () -> {
                    backEvents.incrementAndGet();
                    back.unmask();
                });
        AttachBed.await(() -> backEvents.get() == 1); // left pending by the bind
        for (int i = 0; i < 1000; i++) {
            stale.send();
            staleBack.send();
        }
        front.send();
        AttachBed.await(() -> backEvents.get() == 2);
        back.send();
        AttachBed.await(() -> frontEvents.get() == 1);
        assertEquals(2, backEvents.get());
    }

    @Test
    void h065_sendAgainstCloseAndRebindNeverLosesTheChannel() throws Exception {
        EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
        front.listen(guestLoops.loop(0), front::unmask);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicReference<EventChannel> current =
                new AtomicReference<>(driver.eventChannels().bindInterdomain(SEVEN, front.port()));
        Thread sender =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (!stop.get()) {
                                        Objects.requireNonNull(current.get()).send();
                                        front.send();
                                    }
                                });
        try {
            for (int i = 0; i < 2000; i++) {
                Objects.requireNonNull(current.get()).close();
                EventChannel next = driver.eventChannels().bindInterdomain(SEVEN, front.port());
                CountDownLatch heard = new CountDownLatch(1);
                next.listen(bed.loops.loop(1), heard::countDown);
                current.set(next);
                assertTrue(heard.await(10, TimeUnit.SECONDS), "round " + i);
            }
        } finally {
            stop.set(true);
            sender.join();
        }
    }

    @Test
    void j06_listenerThatThrowsStopsOnlyItself() throws Exception {
        EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
        EventChannel back = driver.eventChannels().bindInterdomain(SEVEN, front.port());
        AtomicInteger calls = new AtomicInteger();
        back.listen(
                bed.loops.loop(0),
                () -> {
                    if (calls.incrementAndGet() > 1) {
                        throw new OutOfMemoryError("not really");
                    }
                    back.unmask();
                });
        AttachBed.await(() -> calls.get() == 1); // left pending by the bind
        front.send(); // this one comes through the descriptor's handle
        AttachBed.await(() -> calls.get() == 2);
        long start = System.nanoTime();
        PingPong others = new PingPong(guest, driver);
        others.goesOn();
        for (int i = 0; i < 100; i++) {
            front.send();
        }
        others.goesOn();
        assertTrue(
                System.nanoTime() - start < 5_000_000_000L,
                "Netty sleeps a second after each exception of a handle");
        assertEquals(2, calls.get(), "it stays masked");
    }

    private RawGuest attachRaw(int domid) throws IOException {
        bed.listen(domid);
        RawGuest raw = new RawGuest(bed.path(domid));
        raw.attach(MEMORY);
        return raw;
    }
}
