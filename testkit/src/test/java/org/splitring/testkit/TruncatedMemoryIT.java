package org.splitring.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Why only sealed memory is accepted: a child JVM polls a ring whose memory is cut short.
@Timeout(60)
class TruncatedMemoryIT {
    @TempDir Path folder;

    private record End(int status, String output) {}

    @Test
    void j01_withoutSealsTheOwnerOfTheMemoryKillsTheJvm() throws Exception {
        End end = poll("unsealed");
        assertNotEquals(0, end.status(), end.output());
        assertTrue(end.output().startsWith("shrunk\n"), end.output());
        assertTrue(end.output().contains("SIGBUS"), end.output());
        assertFalse(end.output().contains("alive"), end.output());
    }

    @Test
    void j01_sealedMemoryCannotBeShrunkAndTheJvmLives() throws Exception {
        End end = poll("sealed");
        assertEquals(0, end.status(), end.output());
        assertTrue(end.output().startsWith("refused\nalive "), end.output());
    }

    private End poll(String seals) throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(
                                List.of(
                                        System.getProperty("java.home") + "/bin/java",
                                        "--enable-native-access=ALL-UNNAMED",
                                        "-XX:-CreateCoredumpOnCrash",
                                        "-XX:ErrorFile=" + folder.resolve("error.log"),
                                        "-cp",
                                        System.getProperty("java.class.path"),
                                        TruncatedMemoryMain.class.getName(),
                                        seals))
                        .redirectErrorStream(true)
                        .start();
        try {
            String output =
                    new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(process.waitFor(20, TimeUnit.SECONDS), output);
            return new End(process.exitValue(), output);
        } finally {
            process.destroyForcibly();
        }
    }
}
