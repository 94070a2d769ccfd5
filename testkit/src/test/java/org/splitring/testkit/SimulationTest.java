package org.splitring.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.testkit.SimulatedPair.Fault;

class SimulationTest {
    private static final int SEEDS = 300;

    /// One seed to look at: `-Dsplitring.seed=N`.
    private static final @Nullable Long ONLY_SEED = Long.getLong("splitring.seed");

    @Test
    void everySeedServesEveryRequestOnceAndLeavesNothingBehind() throws Exception {
        long first = ONLY_SEED == null ? 1 : ONLY_SEED;
        int closedEarly = 0;
        for (long seed = first; seed < first + (ONLY_SEED == null ? SEEDS : 1); seed++) {
            SimulatedPair pair = new SimulatedPair(seed, 60 + (int) (seed % 50), Fault.NONE);
            pair.run();
            pair.closeAll();
            String where = "seed " + seed;
            if (pair.completed < pair.requests) {
                closedEarly++;
            }
            assertEquals(0, pair.hypervisor.mappedTotal(), where);
            assertEquals(0, pair.guest.grants().quarantinedCount(), where);
            assertEquals(pair.freeGrefs, pair.guest.grants().freeCount(), where);
            assertEquals(63, pair.guest.pages().freeCount(), where);
            assertEquals(0, pair.guest.openPorts(), where);
            pair.guest.close();
            assertTrue(pair.guest.isMemoryReleased(), where);
        }
        if (ONLY_SEED == null) {
            assertTrue(closedEarly > SEEDS / 20, "closed while busy: " + closedEarly);
            assertTrue(closedEarly < SEEDS / 2, "closed while busy: " + closedEarly);
        }
    }

    @Test
    void sameSeedGivesTheSameTrace() throws Exception {
        for (long seed = 1; seed <= 20; seed++) {
            Simulation first = run(seed);
            Simulation again = run(seed);
            assertFalse(first.trace().isEmpty());
            assertEquals(first.trace(), again.trace());
            assertEquals(first.traceHash(), again.traceHash());
            assertNotEquals(first.traceHash(), run(seed + 1000).traceHash());
        }
    }

    private static Simulation run(long seed) throws Exception {
        SimulatedPair pair = new SimulatedPair(seed, 50, Fault.NONE);
        pair.run();
        return pair.sim;
    }

    @ParameterizedTest
    @EnumSource(
            value = Fault.class,
            names = {"NONE"},
            mode = EnumSource.Mode.EXCLUDE)
    void brokenNotifyRuleIsFoundAndItsSeedReplays(Fault fault) throws Exception {
        for (long seed = 1; seed <= SEEDS; seed++) {
            SimulatedPair pair = new SimulatedPair(seed, 100, fault);
            AssertionError found = lostWakeUp(pair);
            if (found != null) {
                SimulatedPair replay = new SimulatedPair(seed, 100, fault);
                AssertionError again = assertThrows(AssertionError.class, replay::run);
                assertEquals(found.getMessage(), again.getMessage());
                assertEquals(pair.sim.trace(), replay.sim.trace());
                assertEquals(pair.sim.traceHash(), replay.sim.traceHash());
                return;
            }
        }
        throw new AssertionError(fault + " not found by " + SEEDS + " seeds");
    }

    private static @Nullable AssertionError lostWakeUp(SimulatedPair pair) {
        try {
            pair.run();
            return null;
        } catch (AssertionError e) {
            assertTrue(String.valueOf(e.getMessage()).contains("lost wake-up"), e::toString);
            return e;
        }
    }

    @Test
    void loopsKeepTheOrderOfTheirTasksAndTimersTheirTime() {
        Simulation sim = new Simulation(7);
        SimulatedLoop a = sim.loop("a", 0);
        SimulatedLoop b = sim.loop("b", 0);
        List<String> ran = new ArrayList<>();
        long start = a.nanoTime();
        a.schedule(() -> ran.add("late " + (a.nanoTime() - start >= 1_000_000)), 1_000_000);
        Runnable cancel = b.schedule(() -> ran.add("cancelled"), 500_000);
        b.schedule(cancel, 400_000);
        for (int i = 0; i < 3; i++) {
            String name = "a" + i;
            a.execute(
                    () -> {
                        assertTrue(a.inLoop());
                        assertFalse(b.inLoop());
                        ran.add(name);
                    });
        }
        sim.run(100);
        assertEquals(List.of("a0", "a1", "a2", "late true"), ran);
    }

    @Test
    void failureInATaskNamesSeedAndStep() {
        Simulation sim = new Simulation(99);
        SimulatedLoop loop = sim.loop("x", 0);
        loop.execute(
                () -> {
                    throw new IllegalStateException("boom");
                });
        AssertionError e = assertThrows(AssertionError.class, () -> sim.run(10));
        assertTrue(e.toString().contains("seed 99, step 1, loop x"), e::toString);
    }

    @Test
    void endlessLoopEndsAtTheBound() {
        Simulation sim = new Simulation(3);
        SimulatedLoop loop = sim.loop("x", 0);
        Runnable[] again = new Runnable[1];
        again[0] = () -> loop.execute(again[0]);
        loop.execute(again[0]);
        assertThrows(AssertionError.class, () -> sim.run(1000));
    }
}
