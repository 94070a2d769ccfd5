package org.splitring.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;

class PortPollerTest {
    private static final long LATE_NANOS = 1_000_000;

    /// A ring of which only the fill is of interest.
    private static final class CountedWork implements RingWork {
        int available;
        int taken;
        int polls;
        int finalChecks;
        @Nullable RuntimeException failure;

        @Override
        public int poll(int budget) {
            polls++;
            if (failure != null) {
                throw failure;
            }
            int n = Math.min(budget, available);
            available -= n;
            taken += n;
            return n;
        }

        @Override
        public boolean finalCheck() {
            finalChecks++;
            return available > 0;
        }
    }

    private final ManualLoop loop = new ManualLoop();
    private final CountedWork work = new CountedWork();
    private final List<Throwable> errors = new ArrayList<>();
    private final EventChannel guestEnd;
    private final EventChannel backEnd;
    private final PortPoller poller;
    private final EventChannels rebind;

    PortPollerTest() throws EventChannelException {
        LocalHypervisor hypervisor = new LocalHypervisor();
        LocalGuestDomain guest =
                hypervisor.createGuest(GrantFixture.GUEST, 1 << 20, DomainLimits.DEFAULT);
        DriverDomain driver = hypervisor.driverDomain(DomId.ZERO);
        rebind = driver.eventChannels();
        guestEnd = guest.eventChannels().allocUnbound(DomId.ZERO);
        backEnd = driver.eventChannels().bindInterdomain(GrantFixture.GUEST, guestEnd.port());
        poller = new PortPoller(backEnd, loop, work, 8, errors::add);
        poller.start();
        loop.runAll(10); // the event with which a bound port begins
    }

    private void serve(int items) {
        work.available += items;
        guestEnd.send();
        loop.runAll(1000);
        assertEquals(0, work.available);
    }

    @Test
    void bindingLeavesThePortPendingSoThatTheFirstPassRuns() {
        assertEquals(1, poller.events());
        assertEquals(1, work.polls);
    }

    @Test
    void h060_eachPassTakesItsBudgetAndLetsTheOtherTasksOfTheLoopRun() {
        work.available = 20;
        guestEnd.send();
        loop.runOne();
        assertEquals(8, work.taken);
        List<Integer> seen = new ArrayList<>();
        loop.execute(() -> seen.add(work.taken));
        loop.runOne(); // the second pass was queued before
        loop.runOne();
        assertEquals(List.of(16), seen);
        loop.runAll(10);
        assertEquals(20, work.taken);
    }

    @Test
    void h060_portStaysMaskedUntilTheWorkIsDone() {
        work.available = 9;
        guestEnd.send();
        loop.runOne();
        for (int i = 0; i < 1000; i++) {
            guestEnd.send();
        }
        assertEquals(1, loop.queued(), "only our own next pass");
        loop.runAll(10);
        assertEquals(9, work.taken);
        assertEquals(3, poller.events());
    }

    @Test
    void h060_spuriousEventsDelayTheNextOneTwiceAsLongEachTime() {
        serve(1);
        long delay = 0;
        for (int i = 0; i < 30; i++) {
            guestEnd.send();
            loop.runAll(10);
            if (i < PortPoller.FORGIVEN_SPURIOUS) {
                assertEquals(0, loop.timers());
                continue;
            }
            long next = loop.nextTimerNanos();
            assertEquals(
                    delay == 0
                            ? PortPoller.FIRST_DELAY_NANOS
                            : Math.min(2 * delay, PortPoller.LONGEST_DELAY_NANOS),
                    next);
            delay = next;
            guestEnd.send();
            assertEquals(0, loop.runAll(10), "delivered before the delay was over");
            loop.advance(next);
            loop.runAll(1); // re-arms, and with it queues the pending event
        }
        assertEquals(PortPoller.LONGEST_DELAY_NANOS, delay);
        assertTrue(poller.spuriousEvents() >= 30);
        work.available = 1;
        loop.runAll(10);
        assertEquals(0, work.available);
        assertEquals(0, loop.timers(), "work ends the penalty");
    }

    @Test
    void h061_workDoneByAnotherPathMakesTheEventCount() {
        serve(1);
        long before = poller.spuriousEvents();
        for (int i = 0; i < 100; i++) {
            poller.noteWork(); // say, responses taken while submitting
            guestEnd.send();
            loop.runAll(10);
            assertEquals(0, loop.timers());
        }
        assertEquals(before, poller.spuriousEvents());
    }

    @Test
    void h061_workTakenByAWokenPassMakesTheLaterEventCount() {
        serve(1);
        long before = poller.spuriousEvents();
        for (int i = 0; i < 100; i++) {
            work.available = 1;
            poller.wake();
            loop.runAll(10);
            assertEquals(0, work.available);
            guestEnd.send();
            loop.runAll(10);
            assertEquals(0, loop.timers());
        }
        assertEquals(before, poller.spuriousEvents());
    }

    @Test
    void h060_noRearmAfterAProtocolErrorAndNothingIsThrownIntoTheLoop() {
        RuntimeException broken = new IllegalStateException("broken ring");
        work.failure = broken;
        guestEnd.send();
        loop.runAll(10);
        assertEquals(List.of(broken), errors);
        assertTrue(poller.isStopped());
        int polls = work.polls;
        for (int i = 0; i < 100; i++) {
            guestEnd.send();
            assertEquals(0, loop.queued(), "still an event source");
            loop.advance(1_000_000_000);
            loop.runAll(10);
        }
        poller.wake();
        loop.runAll(10);
        assertEquals(polls, work.polls);
        assertEquals(1, errors.size());
    }

    @Test
    void stopCancelsADelayedRearm() {
        serve(1);
        for (int i = 0; i < 5 && loop.timers() == 0; i++) {
            guestEnd.send();
            loop.runAll(10);
        }
        assertEquals(1, loop.timers());
        poller.stop();
        assertEquals(0, loop.timers());
        guestEnd.send();
        assertEquals(0, loop.queued());
    }

    @Test
    void idlePollerSpinsForItsTimeInShortSlicesAndThenSleeps() {
        loop.spinNanos = 50_000;
        loop.tickNanos = 100;
        PortPoller spinner = newSpinner();
        work.available = 1;
        guestEnd.send();
        int checks = work.finalChecks;
        loop.runOne();
        int passes = 0;
        long start = loop.now;
        while (loop.queued() > 0) {
            long before = loop.now;
            loop.runOne();
            assertTrue(loop.now - before <= PortPoller.INLINE_SPIN_NANOS + 1_000, "slice too long");
            passes++;
            assertTrue(passes < 1000, "spins for ever");
        }
        assertTrue(passes > 10, "passes " + passes);
        assertTrue(loop.now - start <= 60_000, "spun " + (loop.now - start));
        assertEquals(checks + 1, work.finalChecks);
        assertFalse(spinner.isStopped());
    }

    /// A poller that looks on is in nobody's way: another device's task has its turn at once.
    @Test
    void lookingOnGivesWayToAnotherTask() {
        loop.spinNanos = 50_000;
        loop.tickNanos = 100;
        newSpinner();
        work.available = 1;
        guestEnd.send();
        boolean[] ran = {false};
        loop.execute(() -> ran[0] = true);
        long before = loop.now;
        loop.runOne();
        assertTrue(loop.now - before < 1_000, "looked on for " + (loop.now - before));
        loop.runOne();
        assertTrue(ran[0]);
        before = loop.now;
        loop.runOne();
        assertTrue(loop.now - before >= PortPoller.INLINE_SPIN_NANOS, "alone, it looks on");
    }

    @Test
    void itLooksOnForShorterWhereWorkComesLateAndWorkThatIsFoundMakesItLongAgain() {
        loop.spinNanos = 64_000;
        loop.tickNanos = 100;
        newSpinner();
        long first = spinTime(0, 0);
        long later = shortened();
        assertTrue(later * 8 < first, first + " then " + later);
        for (int i = 0; i < 8; i++) {
            spinTime(LATE_NANOS, 1);
        }
        assertTrue(spinTime(LATE_NANOS, 1) > later * 4);
    }

    /// Otherwise it would sleep between any two batches for ever, once it looks on too shortly to
    /// meet the next one.
    @Test
    void itLooksOnForLongerWhereWorkComesSoonAfterItHasGivenUp() {
        loop.spinNanos = 64_000;
        loop.tickNanos = 100;
        newSpinner();
        long shortest = shortened();
        for (int i = 0; i < 8; i++) {
            spinTime(20_000, 0);
        }
        long later = spinTime(20_000, 0);
        assertTrue(later > shortest * 8, shortest + " then " + later);
    }

    @Test
    void itLooksOnAfterWorkOfAWholeBudgetToo() {
        loop.spinNanos = 64_000;
        loop.tickNanos = 100;
        newSpinner();
        work.available = 8;
        guestEnd.send();
        loop.runOne();
        long start = loop.now;
        loop.runAll(1000);
        assertTrue(loop.now - start > 60_000, "looked on for " + (loop.now - start));
    }

    /// Lets work come late until it looks on for no shorter.
    private long shortened() {
        long time = 0;
        for (int i = 0; i < 8; i++) {
            time = spinTime(LATE_NANOS, 0);
        }
        return time;
    }

    /// Serves one item so long after it has given up, brings `extra` items while it looks on, and
    /// tells how long that went on.
    private long spinTime(long pauseNanos, int extra) {
        loop.now += pauseNanos;
        work.available = 1;
        guestEnd.send();
        loop.runOne();
        long start = loop.now;
        work.available += extra;
        for (int i = 0; loop.queued() > 0 && i < 10_000; i++) {
            loop.runOne();
        }
        return loop.now - start;
    }

    /// The fixture's poller was made for a loop without spinning: one on a second channel.
    private PortPoller newSpinner() {
        poller.stop();
        try {
            EventChannel end = newBackEnd();
            PortPoller spinner = new PortPoller(end, loop, work, 8, errors::add);
            spinner.start();
            loop.runAll(1000);
            return spinner;
        } catch (EventChannelException e) {
            throw new IllegalStateException(e);
        }
    }

    private EventChannel newBackEnd() throws EventChannelException {
        backEnd.close(); // the guest's end is unbound again, and can be bound once more
        return rebind.bindInterdomain(GrantFixture.GUEST, guestEnd.port());
    }
}
