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
        int samples = 2 * Runtime.getRuntime().availableProcessors();
        assertTrue(speed.toString().contains(samples + " samples)"), speed::toString);
    }

    @Test
    void slowSamplesAreTold() {
        assertEquals(
                "note: between the runs the processors had 0.97 of their best speed (0.60 at least, 4"
                        + " samples)",
                CoreSpeed.describe(List.of(2.0, 1.2, 1.95, 1.94)));
        assertEquals(
                "note: between the runs the processors had 0.60 of their best speed (0.55 at least, 4"
                        + " samples): others here or on this host use them",
                CoreSpeed.describe(List.of(2.0, 1.2, 1.1, 1.9)));
    }
}
