package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// Checks the SPIN model of the handshake, with few requests; more of it: `docs/ring-model.md`.
final class HandshakeModelTest {
    private static final int LIMIT_SECONDS = 240;

    @TempDir Path folder;

    @Test
    void modelHasNoLostWakeupAndEveryMutantOfItHasOne() throws Exception {
        ExternalTools.require("spin", "spin");
        ExternalTools.require("gcc", "gcc");
        Path output = folder.resolve("output");
        Process check =
                new ProcessBuilder("model/check", "2")
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start();
        try {
            if (!check.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                fail("the check takes longer than " + LIMIT_SECONDS + " s");
            }
        } finally {
            check.descendants().forEach(ProcessHandle::destroyForcibly);
            check.destroyForcibly();
        }
        String text = Files.readString(output, StandardCharsets.UTF_8);
        assertEquals(0, check.exitValue(), text);
        assertTrue(text.startsWith("handshake errors=0 states=476424"), text);
        assertEquals(10, text.lines().filter(l -> l.matches("mutant-.* errors=1 .*")).count());
    }
}
