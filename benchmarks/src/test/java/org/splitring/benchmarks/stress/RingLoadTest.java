package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.splitring.benchmarks.LyingRing;

/// A load of rings finds a wrong answer.
final class RingLoadTest {
    @Test
    void aWrongAnswerEndsTheRun() throws Exception {
        RunEnd end = new RunEnd();
        RingLoad.Settings settings = new RingLoad.Settings(0, 8, true);
        try (RingLoad load =
                new RingLoad(1, 112, settings, new StressOptions(), () -> LyingRing.open(1000))) {
            load.start(end);
            assertTrue(
                    end.awaitUntil(System.nanoTime() + TimeUnit.SECONDS.toNanos(20)),
                    "nothing was found");
            load.stop();
            String message = end.failure().orElseThrow();
            assertTrue(
                    message.matches(
                            "ring 0, after \\d+ answers: wrong response to a request from \\d+ on"),
                    message);
        }
    }
}
