package org.splitring.hypervisor.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.ManualLoop;
import org.splitring.hypervisor.ThreadLoop;

@Timeout(value = 60, unit = TimeUnit.SECONDS)
class LocalEventChannelsTest {
    private static final DomId GUEST = new DomId(4);
    private static final DomId OTHER = new DomId(9);
    private static final DomainLimits LIMITS = new DomainLimits(1L << 30, 32, 64, 64);
    private static final int RESERVE = 4;

    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final LocalGuestDomain guest = hypervisor.createGuest(GUEST, 1 << 18, LIMITS);
    private final DriverDomain driver = hypervisor.driverDomain(DomId.ZERO);
    private final ManualLoop loop = new ManualLoop();
    private final AtomicInteger events = new AtomicInteger();

    private EventChannel frontEnd() throws EventChannelException {
        return guest.eventChannels().allocUnbound(DomId.ZERO);
    }

    private EventChannel bind(EventChannel front) throws EventChannelException {
        return driver.eventChannels().bindInterdomain(GUEST, front.port());
    }

    @Test
    void boundPortIsLeftPendingAndDeliveredMasked() throws Exception {
        EventChannel front = frontEnd();
        assertEquals(EventChannelStatus.UNBOUND, front.status());
        EventChannel back = bind(front);
        assertEquals(EventChannelStatus.INTERDOMAIN, front.status());
        assertEquals(EventChannelStatus.INTERDOMAIN, back.status());
        back.listen(loop, events::incrementAndGet);
        assertEquals(0, events.get());
        loop.runAll(10);
        assertEquals(1, events.get());
        front.send();
        front.send();
        assertEquals(0, loop.runAll(10), "masked until the listener unmasks");
        back.unmask();
        loop.runAll(10);
        assertEquals(2, events.get(), "two sends are one event");
        back.unmask();
        assertEquals(0, loop.runAll(10));
    }

    @Test
    void manySendsQueueOneTask() throws Exception {
        EventChannel front = frontEnd();
        EventChannel back = bind(front);
        back.listen(loop, events::incrementAndGet);
        for (int i = 0; i < 10_000; i++) {
            front.send();
        }
        assertEquals(1, loop.queued());
        back.mask();
        loop.runAll(10);
        assertEquals(0, events.get());
        back.unmask();
        loop.runAll(10);
        assertEquals(1, events.get());
    }

    @Test
    void closingPutsTheRemoteEndBackToUnboundAndItCanBeBoundAgain() throws Exception {
        EventChannel front = frontEnd();
        EventChannel back = bind(front);
        back.close();
        back.close();
        assertEquals(EventChannelStatus.CLOSED, back.status());
        assertEquals(EventChannelStatus.UNBOUND, front.status());
        front.send();
        back.send();
        EventChannel again = bind(front);
        again.listen(loop, events::incrementAndGet);
        loop.runAll(1);
        again.unmask();
        front.send();
        loop.runAll(10);
        assertEquals(2, events.get());
    }

    @Test
    void nothingIsDeliveredAfterCloseOnTheLoop() throws Exception {
        EventChannel front = frontEnd();
        EventChannel back = bind(front);
        back.listen(loop, events::incrementAndGet);
        assertEquals(1, loop.queued());
        back.close();
        loop.runAll(10);
        back.unmask();
        front.send();
        loop.runAll(10);
        assertEquals(0, events.get());
    }

    @Test
    void secondListenerIsRefused() throws Exception {
        EventChannel front = frontEnd();
        front.listen(loop, events::incrementAndGet);
        assertThrows(
                IllegalStateException.class, () -> front.listen(loop, events::incrementAndGet));
    }

    @Test
    void h062_portIsClosedByOneThreadWhileTheLoopDrainsIt() throws Exception {
        closeStorm(20_000, false);
    }

    @Test
    void h063_closeStormWhileEveryHandlerLogs() throws Exception {
        closeStorm(2_000, true);
    }

    private void closeStorm(int rounds, boolean logging) throws Exception {
        try (ThreadLoop frontLoop = new ThreadLoop("front");
                ThreadLoop backLoop = new ThreadLoop("back")) {
            AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
            for (int i = 0; i < rounds; i++) {
                EventChannel front = frontEnd();
                EventChannel back = bind(front);
                AtomicBoolean closed = new AtomicBoolean();
                back.listen(
                        backLoop,
                        () -> {
                            if (closed.get()) {
                                failure.set(new AssertionError("delivered after close"));
                            }
                            if (logging) {
                                LoggerFactory.getLogger("storm").debug("event on {}", back);
                            }
                            events.incrementAndGet();
                            back.send();
                            back.unmask();
                        });
                front.listen(
                        frontLoop,
                        () -> {
                            front.send();
                            front.unmask();
                        });
                front.send();
                if ((i & 1) == 0) {
                    backLoop.execute(
                            () -> {
                                back.close();
                                closed.set(true); // on the loop: nothing starts from here on
                            });
                    front.close();
                } else {
                    back.close(); // from a stranger's thread
                    front.close();
                }
            }
            Awaitility.await().until(() -> guest.openPorts() == 0);
            AtomicBoolean drained = new AtomicBoolean();
            backLoop.execute(() -> drained.set(true));
            Awaitility.await().untilTrue(drained);
            assertEquals(null, failure.get());
            assertTrue(events.get() > 0);
        }
    }

    @Test
    void h064_guestWithEveryPortGoesAwayOnePortAtATime() throws Exception {
        LocalGuestDomain big =
                hypervisor.createGuest(
                        new DomId(77), 1 << 18, new DomainLimits(1 << 30, 32, 64, 8192));
        List<EventChannel> backs = new ArrayList<>();
        for (int i = 0; i < 7_680; i++) {
            EventChannel front = big.eventChannels().allocUnbound(DomId.ZERO);
            backs.add(driver.eventChannels().bindInterdomain(new DomId(77), front.port()));
        }
        // Another guest keeps making and closing ports meanwhile, and is never held up for long.
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong rounds = new AtomicLong();
        AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        Thread other =
                new Thread(
                        () -> {
                            try {
                                while (!stop.get()) {
                                    frontEnd().close();
                                    rounds.incrementAndGet();
                                }
                            } catch (EventChannelException e) {
                                failure.set(e);
                            }
                        });
        other.start();
        try {
            Awaitility.await().until(() -> rounds.get() > 10);
            big.close();
            long after = rounds.get();
            Awaitility.await().until(() -> rounds.get() > after + 10);
        } finally {
            stop.set(true);
            other.join(10_000);
        }
        assertEquals(null, failure.get());
        for (EventChannel back : backs) {
            assertEquals(EventChannelStatus.UNBOUND, back.status());
            back.close();
        }
        assertThrows(
                EventChannelException.class, () -> big.eventChannels().allocUnbound(DomId.ZERO));
    }

    @Test
    void h065_closeAgainstSendAndGrowthAgainstLookup() throws Exception {
        AtomicBoolean stop = new AtomicBoolean();
        EventChannel[] shared = new EventChannel[16];
        for (int i = 0; i < shared.length; i++) {
            shared[i] = frontEnd();
        }
        AtomicLong sends = new AtomicLong();
        AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        AtomicReference<@Nullable EventChannel> current = new AtomicReference<>();
        Thread sender =
                new Thread(
                        () -> {
                            try {
                                while (!stop.get()) {
                                    EventChannel channel = current.get();
                                    if (channel != null) {
                                        channel.send();
                                        sends.incrementAndGet();
                                    }
                                }
                            } catch (Throwable t) {
                                failure.set(t);
                            }
                        });
        Thread reader =
                new Thread(
                        () -> {
                            try {
                                while (!stop.get()) {
                                    for (int n = 0; n < shared.length; n++) {
                                        LocalPort port = guest.ports().lookup(shared[n].port());
                                        if (port == null || port != shared[n]) {
                                            throw new AssertionError("port lost: " + shared[n]);
                                        }
                                    }
                                }
                            } catch (Throwable t) {
                                failure.set(t);
                            }
                        });
        sender.start();
        reader.start();
        int closes = 0;
        try {
            SplittableRandom random = new SplittableRandom(3);
            long end = System.nanoTime() + 20_000_000_000L;
            while (closes < 120_000 && System.nanoTime() - end < 0) {
                EventChannel front = shared[random.nextInt(shared.length)];
                EventChannel back = bind(front);
                back.listen(DIRECT, events::incrementAndGet);
                current.set(random.nextBoolean() ? front : back);
                back.unmask();
                back.close();
                assertEquals(EventChannelStatus.UNBOUND, front.status());
                closes++;
            }
        } finally {
            stop.set(true);
            sender.join(10_000);
            reader.join(10_000);
        }
        assertEquals(null, failure.get());
        assertEquals(120_000, closes);
        assertTrue(sends.get() > 10_000, "sends " + sends);
    }

    /// Runs at once, in whatever thread: the worst case for a port that is closing.
    private static final DeviceLoop DIRECT =
            new DeviceLoop() {
                @Override
                public void execute(Runnable task) {
                    task.run();
                }

                @Override
                public Runnable schedule(Runnable task, long delayNanos) {
                    throw new UnsupportedOperationException();
                }

                @Override
                public boolean inLoop() {
                    return true;
                }

                @Override
                public long nanoTime() {
                    return System.nanoTime();
                }

                @Override
                public long spinNanos() {
                    return 0;
                }
            };

    @Test
    void h066_everyPortNumberIsCheckedAndAFailedBindCanBeRepeated() throws Exception {
        EventChannel front = frontEnd();
        int[] wrong = {
            0, 2, 63, 64, 65, 4095, 1 << 16, Integer.MAX_VALUE, Integer.MIN_VALUE, -1, -2
        };
        for (int round = 0; round < 3; round++) {
            for (int port : wrong) {
                EventChannelException e =
                        assertThrows(
                                EventChannelException.class,
                                () -> driver.eventChannels().bindInterdomain(GUEST, port));
                assertEquals(22, e.errno());
            }
        }
        EventChannelException nobody =
                assertThrows(
                        EventChannelException.class,
                        () -> driver.eventChannels().bindInterdomain(OTHER, front.port()));
        assertEquals(3, nobody.errno());
        EventChannel back = bind(front);
        assertThrows(EventChannelException.class, () -> bind(front)); // bound already
        assertEquals(EventChannelStatus.INTERDOMAIN, back.status());
        back.close();
        front.close();
        assertThrows(EventChannelException.class, () -> bind(front)); // closed
    }

    @Test
    void h067_refusedBindLeavesNothingHalfMade() throws Exception {
        LocalGuestDomain other = hypervisor.createGuest(OTHER, 1 << 18, LIMITS);
        EventChannel front = frontEnd(); // for domain 0 only
        int before = other.openPorts();
        for (int i = 0; i < 1000; i++) {
            EventChannelException e =
                    assertThrows(
                            EventChannelException.class,
                            () -> other.eventChannels().bindInterdomain(GUEST, front.port()));
            assertEquals(22, e.errno());
        }
        assertEquals(before, other.openPorts());
        assertEquals(EventChannelStatus.UNBOUND, front.status());
        bind(front).close();
    }

    @Test
    void h068_everyOperationAtTheLimitDisturbsNobodyElse() throws Exception {
        LocalGuestDomain other = hypervisor.createGuest(OTHER, 1 << 18, LIMITS);
        EventChannel otherFront = other.eventChannels().allocUnbound(DomId.ZERO);
        EventChannel otherBack = driver.eventChannels().bindInterdomain(OTHER, otherFront.port());
        otherBack.listen(loop, events::incrementAndGet);
        loop.runAll(10);

        EventChannel offered = driver.eventChannels().allocUnbound(GUEST);
        List<EventChannel> all = new ArrayList<>();
        EventChannelException full = null;
        while (full == null) {
            try {
                all.add(frontEnd());
            } catch (EventChannelException e) {
                full = e;
            }
        }
        assertEquals(28, full.errno());
        assertEquals(64 - RESERVE, all.size());
        for (int i = 0; i < 100; i++) {
            EventChannelException e =
                    assertThrows(
                            EventChannelException.class,
                            () ->
                                    guest.eventChannels()
                                            .bindInterdomain(DomId.ZERO, offered.port()));
            assertEquals(28, e.errno());
            // Refused, so the port that it named is as it was, and its owner's can be bound.
            assertEquals(EventChannelStatus.UNBOUND, offered.status());
        }
        assertEquals(64 - RESERVE, guest.openPorts());

        otherBack.unmask();
        otherFront.send();
        loop.runAll(10);
        assertEquals(2, events.get());
        EventChannel more = other.eventChannels().allocUnbound(DomId.ZERO);
        more.close();

        all.removeLast().close();
        EventChannel bound = guest.eventChannels().bindInterdomain(DomId.ZERO, offered.port());
        assertEquals(EventChannelStatus.INTERDOMAIN, offered.status());
        bound.close();
    }

    @Test
    void h069_controlPlaneHasPortsLeftWhenTheGuestHasTakenAllItCan() throws Exception {
        for (int i = 0; i < 64 - RESERVE; i++) {
            frontEnd();
        }
        assertThrows(EventChannelException.class, this::frontEnd);
        List<EventChannel> reserved = new ArrayList<>();
        for (int i = 0; i < RESERVE; i++) {
            reserved.add(guest.controlEventChannels().allocUnbound(DomId.ZERO));
        }
        EventChannelException e =
                assertThrows(
                        EventChannelException.class,
                        () -> guest.controlEventChannels().allocUnbound(DomId.ZERO));
        assertEquals(28, e.errno());
        reserved.getFirst().close();
        assertThrows(EventChannelException.class, this::frontEnd);
        EventChannel shutdown = guest.controlEventChannels().allocUnbound(DomId.ZERO);
        EventChannel back = bind(shutdown);
        back.listen(loop, events::incrementAndGet);
        loop.runAll(10);
        assertEquals(1, events.get());
    }

    @Test
    void senderIsNotToBlameForALoopThatHasEnded() throws Exception {
        ThreadLoop ended = new ThreadLoop("ended");
        EventChannel front = frontEnd();
        EventChannel back = bind(front);
        ended.close();
        back.listen(ended, events::incrementAndGet);
        for (int i = 0; i < 100; i++) {
            front.send();
            back.unmask();
        }
        assertEquals(0, events.get());
        back.close();
    }

    @Test
    void sendAllocatesNothing() throws Exception {
        EventChannel front = frontEnd();
        EventChannel back = bind(front);
        back.listen(DIRECT, back::unmask);
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = Long.MAX_VALUE;
        for (int round = 0; round < 20 && allocated > 1_000; round++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 50_000; i++) {
                front.send();
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertTrue(allocated <= 1_000, allocated + " bytes for 50,000 events");
    }

    @Test
    void j02_memoryIsReleasedAfterTheLastBackendHasGone() throws Exception {
        var window = driver.foreignPages(GUEST, 8);
        guest.close();
        guest.close();
        assertFalse(guest.isMemoryReleased());
        assertThrows(Exception.class, () -> driver.foreignPages(GUEST, 8));
        window.close();
        assertTrue(guest.isMemoryReleased());
        LocalGuestDomain next = hypervisor.createGuest(GUEST, 1 << 18, LIMITS);
        assertNotEquals(0, next.pages().freeCount());
        next.close();
        assertTrue(next.isMemoryReleased());
    }

    @Test
    void domainsAreMadeOnceAndOnlyWithinTheirLimits() {
        assertThrows(
                IllegalArgumentException.class,
                () -> hypervisor.createGuest(GUEST, 1 << 18, LIMITS));
        assertThrows(
                IllegalArgumentException.class,
                () -> hypervisor.createGuest(DomId.ZERO, 1 << 18, LIMITS));
        assertThrows(IllegalArgumentException.class, () -> hypervisor.driverDomain(GUEST));
        for (long size : new long[] {0, -4096, 4095, 4097, (1L << 30) + 4096, Long.MAX_VALUE}) {
            assertThrows(
                    IllegalArgumentException.class,
                    () -> hypervisor.createGuest(OTHER, size, LIMITS),
                    "" + size);
        }
    }
}
