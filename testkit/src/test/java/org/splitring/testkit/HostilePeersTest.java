package org.splitring.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.ring.BackRing;
import org.splitring.ring.FrontRing;
import org.splitring.ring.RingBrokenException;

/// The hostile doubles against a polled ring each, on one loop with an honest pair beside them.
class HostilePeersTest {
    private static final int ENTRY_BYTES = 112;
    private static final int START = -2;

    private final Simulation sim = new Simulation(11);
    private final SimulatedLoop loop = sim.loop("driver", 0);
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final DriverDomain driver = hypervisor.driverDomain(DomId.ZERO);
    private int nextGuest = 1;

    /// A ring whose backend answers everything and counts.
    private final class Served {
        final MemorySegment ring;
        final EventChannel frontEnd;
        final HostileFrontend hostile;
        final BackRing back;
        final PortPoller poller;
        final List<Throwable> errors = new ArrayList<>();
        int served;

        Served() throws Exception {
            DomId id = new DomId(nextGuest++);
            LocalGuestDomain guest = hypervisor.createGuest(id, 1 << 18, DomainLimits.DEFAULT);
            ring = guest.memory().pages(guest.pages().allocate(1), 1);
            frontEnd = guest.eventChannels().allocUnbound(DomId.ZERO);
            hostile = new HostileFrontend(ring, ENTRY_BYTES, frontEnd, START);
            hostile.initialiseAt(START);
            back = BackRing.attach(ring, ENTRY_BYTES, START);
            EventChannel end = driver.eventChannels().bindInterdomain(id, frontEnd.port());
            MemorySegment copy = Arena.ofAuto().allocate(ENTRY_BYTES);
            poller =
                    new PortPoller(
                            end,
                            loop,
                            new RingWork() {
                                @Override
                                public int poll(int budget) {
                                    int n = Math.min(budget, back.unconsumedRequests());
                                    for (int i = 0; i < n; i++) {
                                        back.copyRequest(copy);
                                        MemorySegment.copy(
                                                copy,
                                                0,
                                                back.slot(back.takeResponseIndex()),
                                                0,
                                                ENTRY_BYTES);
                                    }
                                    served += n;
                                    if (back.pushResponsesAndCheckNotify()) {
                                        end.send();
                                    }
                                    return n;
                                }

                                @Override
                                public boolean finalCheck() {
                                    return back.finalCheckForRequests();
                                }
                            },
                            8,
                            errors::add);
            poller.start();
        }
    }

    private static MemorySegment entry(int value) {
        MemorySegment entry = Arena.ofAuto().allocate(ENTRY_BYTES);
        entry.set(ValueLayout.JAVA_INT, 0, value);
        return entry;
    }

    @Test
    void frontendThatBreaksItsRingStopsOnlyItsOwnDevice() throws Exception {
        List<Consumer<HostileFrontend>> attacks =
                List.of(
                        HostileFrontend::claimTooMuch,
                        HostileFrontend::goBackwards,
                        f -> f.reqProd(0x7FFFFFFE),
                        f -> f.scribble(new SplittableRandom(5)));
        Served honest = new Served();
        for (Consumer<HostileFrontend> attack : attacks) {
            Served victim = new Served();
            victim.hostile.publishAndKick(entry(1));
            sim.run(1000);
            assertEquals(1, victim.served);
            attack.accept(victim.hostile);
            victim.hostile.kick(1);
            sim.run(1000);
            assertEquals(1, victim.errors.size());
            assertTrue(victim.errors.getFirst() instanceof RingBrokenException);
            assertTrue(victim.poller.isStopped());

            // A broken ring is no event source any more, and does not start again (H-060).
            long events = victim.poller.events();
            victim.hostile.pretendNothingHappened();
            victim.hostile.kick(10_000);
            sim.run(10);
            assertEquals(events, victim.poller.events());
            assertEquals(1, victim.served);

            int before = honest.served;
            honest.hostile.publishAndKick(entry(2));
            sim.run(1000);
            assertEquals(before + 1, honest.served);
        }
    }

    @Test
    void h012_kicksWithoutRequestsAreCountedAndSlowedDown() throws Exception {
        Served noisy = new Served();
        Served honest = new Served();
        sim.run(100);
        for (int i = 0; i < 2000; i++) {
            noisy.hostile.kick(10);
            honest.hostile.publishAndKick(entry(i));
            sim.runFor(5_000);
        }
        sim.run(10_000);
        assertEquals(2000, honest.served);
        assertTrue(
                noisy.poller.events() * 4 < honest.poller.events(),
                noisy.poller.events() + " against " + honest.poller.events());
        assertEquals(noisy.poller.events(), noisy.poller.spuriousEvents());
    }

    @Test
    void h012_requestsWithoutAKickAreNotPolledFor() throws Exception {
        Served quiet = new Served();
        sim.run(100);
        quiet.hostile.publish(entry(1));
        sim.run(100);
        assertEquals(0, quiet.served);
        assertFalse(sim.step(), "somebody polls on");
    }

    @Test
    void frontendThatVanishesWithRequestsOutstandingLeavesAnIdleBackend() throws Exception {
        Served victim = new Served();
        sim.run(100);
        victim.hostile.publish(entry(1));
        victim.hostile.vanish();
        sim.run(100);
        victim.poller.wake();
        sim.run(100);
        assertEquals(1, victim.served);
        assertEquals(0, victim.errors.size());
        assertFalse(sim.step());
    }

    @Test
    void flipperMakesTwoReadsOfASlotDiffer() throws Exception {
        Served victim = new Served();
        VarHandle word = ValueLayout.JAVA_INT.varHandle();
        long offset = victim.hostile.slotOffset(START);
        int differing = 0;
        try (RawRing.Flipper flipper = victim.hostile.flip(offset, 0x11111111, 0x22222222)) {
            assertNotNull(flipper);
            long deadline = System.nanoTime() + 10_000_000_000L;
            while (differing < 100 && System.nanoTime() - deadline < 0) {
                int checked = (int) word.getVolatile(victim.ring, offset);
                int used = (int) word.getVolatile(victim.ring, offset);
                if (checked != used) {
                    differing++;
                }
            }
        }
        assertEquals(100, differing);
        int last = (int) word.getVolatile(victim.ring, offset);
        assertEquals(last, (int) word.getVolatile(victim.ring, offset));
    }

    @Test
    void backendThatLiesStopsTheFrontendsDeviceAndNothingElse() throws Exception {
        List<Consumer<HostileBackend>> attacks =
                List.of(
                        HostileBackend::answerTooMuch,
                        HostileBackend::goBackwards,
                        b -> b.scribble(new SplittableRandom(5)));
        for (Consumer<HostileBackend> attack : attacks) {
            DomId id = new DomId(nextGuest++);
            LocalGuestDomain guest = hypervisor.createGuest(id, 1 << 18, DomainLimits.DEFAULT);
            MemorySegment ring = guest.memory().pages(guest.pages().allocate(1), 1);
            EventChannel frontEnd = guest.eventChannels().allocUnbound(DomId.ZERO);
            EventChannel backEnd = driver.eventChannels().bindInterdomain(id, frontEnd.port());
            HostileBackend hostile = new HostileBackend(ring, ENTRY_BYTES, backEnd, START);
            hostile.initialiseAt(START);
            FrontRing front = FrontRing.attach(ring, ENTRY_BYTES, START);
            List<Throwable> errors = new ArrayList<>();
            int[] taken = new int[1];
            MemorySegment copy = Arena.ofAuto().allocate(ENTRY_BYTES);
            PortPoller poller =
                    new PortPoller(
                            frontEnd,
                            loop,
                            new RingWork() {
                                @Override
                                public int poll(int budget) {
                                    int n = Math.min(budget, front.unconsumedResponses());
                                    for (int i = 0; i < n; i++) {
                                        front.copyResponse(copy);
                                        taken[0]++;
                                    }
                                    return n;
                                }

                                @Override
                                public boolean finalCheck() {
                                    return front.finalCheckForResponses();
                                }
                            },
                            8,
                            errors::add);
            poller.start();
            front.takeRequestIndex();
            assertTrue(front.pushRequestsAndCheckNotify());
            hostile.publishAndKick(entry(1));
            sim.run(100);
            assertEquals(1, taken[0]);
            attack.accept(hostile);
            hostile.kick(1);
            sim.run(100);
            assertEquals(1, errors.size());
            assertTrue(poller.isStopped());
            hostile.pretendNothingHappened();
            hostile.kick(1000);
            sim.run(10);
            assertEquals(1, taken[0]);
            hostile.vanish();
        }
    }
}
