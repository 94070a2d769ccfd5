package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// One seed to look at: `-Dextra.test.jvm.args=-Dsplitring.seed=N`.
@Timeout(120)
class VifSimulationTest {
    private static final int SEEDS = 300;
    private static final @Nullable Long ONLY_SEED = Long.getLong("splitring.seed");

    @Test
    void noSlotIsLostOrAnsweredTwiceWhenBackendsDie() throws Exception {
        long first = ONLY_SEED == null ? 1 : ONLY_SEED;
        long last = ONLY_SEED == null ? SEEDS : ONLY_SEED;
        long deaths = 0;
        long arrived = 0;
        long received = 0;
        long lost = 0;
        long asked = 0;
        for (long seed = first; seed <= last; seed++) {
            SimulatedVif vif = new SimulatedVif(seed);
            vif.run();
            deaths += vif.deaths;
            arrived += vif.arrived;
            received += vif.received;
            lost += vif.lost;
            asked += vif.asked;
        }
        String all = deaths + " deaths, " + arrived + ", " + received + ", " + lost + ", " + asked;
        if (ONLY_SEED == null) {
            assertTrue(deaths > 3L * SEEDS && arrived > 20L * SEEDS, all);
            assertTrue(received > 20L * SEEDS && lost > SEEDS / 10, all);
            assertTrue(asked > 20L * SEEDS, all);
        }
    }
}
