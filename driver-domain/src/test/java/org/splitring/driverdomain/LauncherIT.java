package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.testkit.ExternalTools;

/// The two scripts at the top, where there is no JDK 25.
@Timeout(60)
class LauncherIT {
    @TempDir Path dir;

    @ParameterizedTest
    @ValueSource(strings = {"splitring", "mvnw"})
    void withoutAJdkOneLineSaysWhatToInstall(String script) throws Exception {
        Path programs = Files.createDirectory(dir.resolve("bin"));
        for (String program : List.of("dirname", "readlink", "sed")) {
            Files.createSymbolicLink(
                    programs.resolve(program), ExternalTools.require(program, "coreutils, sed"));
        }
        oldJavaIn(programs);
        List<String> command =
                List.of(
                        ExternalTools.require("env", "coreutils").toString(),
                        "-i",
                        "PATH=" + programs,
                        "HOME=" + dir,
                        "SPLITRING_JDKS=",
                        Path.of("..", script).toAbsolutePath().normalize().toString(),
                        "up");
        try (ChildProcess process = ChildProcess.start(script, command)) {
            assertEquals(1, process.await(Duration.ofSeconds(30)), process::output);
            assertEquals(1, process.lineCount(), process::output);
            assertTrue(process.output().contains("no JDK 25"), process::output);
            assertTrue(process.output().contains("openjdk-25-jdk"), process::output);
        }
    }

    /// What stands after a last colon is the current folder, and whoever may write there could
    /// have classes of his own run.
    @Test
    void theClassPathIsTheJarsInOneOrderAndNotTheCurrentFolder() throws Exception {
        Path lib = Files.createDirectory(dir.resolve("lib"));
        for (String jar : List.of("a.jar", "B.jar", "c.jar")) {
            Files.createFile(lib.resolve(jar));
        }
        Path functions = Path.of("src/main/dist/start.sh").toAbsolutePath();
        String script =
                "set -eu; java=echo lib=%s caches=%s; . %s; splitring list"
                        .formatted(lib, dir, functions);
        try (ChildProcess process = ChildProcess.start("sh", List.of("sh", "-c", script))) {
            assertEquals(0, process.await(Duration.ofSeconds(30)), process::output);
            String expected = " -cp %s/B.jar:%s/a.jar:%s/c.jar -".formatted(lib, lib, lib);
            assertTrue(process.output().contains(expected), process::output);
        }
    }

    /// An older `java` first in the path.
    private void oldJavaIn(Path programs) throws Exception {
        Path home = dir.resolve("jdk-17");
        Files.createDirectories(home.resolve("bin"));
        Files.writeString(home.resolve("release"), "JAVA_VERSION=\"17.0.9\"\n");
        for (String program : List.of("java", "javac")) {
            Path file = Files.writeString(home.resolve("bin").resolve(program), "#!/bin/sh\n");
            assertTrue(file.toFile().setExecutable(true));
        }
        Files.createSymbolicLink(programs.resolve("java"), home.resolve("bin/java"));
    }
}
