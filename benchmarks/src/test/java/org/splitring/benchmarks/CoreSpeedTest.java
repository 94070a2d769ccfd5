package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class CoreSpeedTest {
    @Test
    void everyProcessorIsMeasured() throws Exception {
        CoreSpeed speed = new CoreSpeed();
        speed.sample();
        speed.sample();
        assertTrue(
                speed.toString()
                        .matches(
                                "note: (the processors kept their speed|between the runs .* samples).*"),
                speed::toString);
    }

    @Test
    void slowSamplesAreTold() {
        assertEquals(
                "note: the processors kept their speed between the runs (0.95 of the best at least)",
                CoreSpeed.describe(List.of(2.0, 1.9, 1.95)));
        assertEquals(
                "note: between the runs the processors had down to 0.55 of their best speed, below 0.9"
                        + " in 2 of 4 samples: others on this host use their cores",
                CoreSpeed.describe(List.of(2.0, 1.2, 1.1, 1.9)));
    }
}
