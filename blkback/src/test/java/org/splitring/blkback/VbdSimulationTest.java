package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.blkback.SimulatedVbd.Fault;

/// One seed to look at: `-Dextra.test.jvm.args=-Dsplitring.seed=N`. Steps are bounded there, so the
/// time is for a machine with much else to do.
@Timeout(600)
class VbdSimulationTest {
    private static final int SEEDS = 120;
    private static final @Nullable Long ONLY_SEED = Long.getLong("splitring.seed");

    @Test
    void everySeedKeepsEveryPromiseAndLeavesNothingBehind() throws Exception {
        long first = ONLY_SEED == null ? 1 : ONLY_SEED;
        long last = ONLY_SEED == null ? SEEDS : ONLY_SEED;
        long transfers = 0;
        long failed = 0;
        for (long seed = first; seed <= last; seed++) {
            SimulatedVbd vbd = new SimulatedVbd(seed, Fault.NONE);
            vbd.run();
            transfers += vbd.transfers;
            failed += vbd.failedTransfers;
            assertTrue(vbd.connections >= 2, "seed " + seed);
        }
        if (ONLY_SEED == null) {
            assertTrue(transfers > 50L * SEEDS, "transfers " + transfers);
            assertTrue(failed > SEEDS, "failed " + failed);
            assertTrue(failed < transfers / 4, "failed " + failed + " of " + transfers);
        }
    }

    @Test
    void aBackendThatDiesAtAnyStepIsADelay() throws Exception {
        long first = ONLY_SEED == null ? 1 : ONLY_SEED;
        long last = ONLY_SEED == null ? SEEDS : ONLY_SEED;
        long replacements = 0;
        for (long seed = first; seed <= last; seed++) {
            SimulatedVbd vbd = new SimulatedVbd(seed, Fault.REPLACED);
            vbd.runWithReplacements();
            replacements += vbd.replacements;
        }
        if (ONLY_SEED == null) {
            assertTrue(replacements > 2L * SEEDS, "replacements " + replacements);
        }
    }

    @Test
    void aGuestThatNeverConnectsAgainSurvivesEveryDeath() throws Exception {
        long first = ONLY_SEED == null ? 1 : ONLY_SEED;
        long last = ONLY_SEED == null ? 10 * SEEDS : ONLY_SEED;
        long replacements = 0;
        for (long seed = first; seed <= last; seed++) {
            SimulatedVbd vbd = new SimulatedVbd(seed, Fault.SURVIVED);
            vbd.runWithSuccessors();
            replacements += vbd.replacements;
        }
        if (ONLY_SEED == null) {
            assertTrue(replacements > 20L * SEEDS, "replacements " + replacements);
        }
    }

    @Test
    void sameSeedGivesTheSameTrace() throws Exception {
        for (long seed = 1; seed <= 12; seed++) {
            SimulatedVbd one = new SimulatedVbd(seed, Fault.NONE);
            one.run();
            SimulatedVbd again = new SimulatedVbd(seed, Fault.NONE);
            again.run();
            assertEquals(one.sim.trace(), again.sim.trace());
            assertEquals(one.sim.traceHash(), again.sim.traceHash());
            SimulatedVbd other = new SimulatedVbd(seed + 1000, Fault.NONE);
            other.run();
            assertNotEquals(one.sim.traceHash(), other.sim.traceHash());
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Fault.class,
            names = {"NONE", "REPLACED", "SURVIVED"},
            mode = EnumSource.Mode.EXCLUDE)
    void aBrokenPieceIsFoundAndItsSeedReplays(Fault fault) throws Exception {
        for (long seed = 1; seed <= SEEDS; seed++) {
            SimulatedVbd vbd = new SimulatedVbd(seed, fault);
            AssertionError found = null;
            try {
                vbd.run();
            } catch (AssertionError e) {
                found = e;
            }
            if (found != null) {
                System.out.println(fault + ": " + found.getMessage());
                SimulatedVbd replay = new SimulatedVbd(seed, fault);
                AssertionError again = assertThrows(AssertionError.class, replay::run);
                assertEquals(found.getMessage(), again.getMessage());
                assertEquals(vbd.sim.traceHash(), replay.sim.traceHash());
                return;
            }
        }
        fail(fault + " was not found by any of " + SEEDS + " seeds");
    }
}
