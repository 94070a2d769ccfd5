package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.testkit.ExternalTools;

/// The two scripts at the top, where there is no JDK 25.
@Timeout(60)
class LauncherIT {
    @TempDir Path dir;

    /// @param home nothing, as a service of systemd has it
    @ParameterizedTest
    @CsvSource({"splitring, HOME=/root", "mvnw, HOME=/root", "splitring, NO=HOME"})
    void withoutAJdkOneLineSaysWhatToInstall(String script, String home) throws Exception {
        Path programs = Files.createDirectory(dir.resolve("bin"));
        for (String program : List.of("cut", "dirname", "getent", "id", "readlink", "sed")) {
            Files.createSymbolicLink(
                    programs.resolve(program),
                    ExternalTools.require(program, "coreutils, sed, libc-bin"));
        }
        oldJavaIn(programs);
        List<String> command =
                List.of(
                        ExternalTools.require("env", "coreutils").toString(),
                        "-i",
                        "PATH=" + programs,
                        home,
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
            // What Java itself says is no part of a command's answer.
            assertTrue(process.output().contains(" -Xlog:disable "), process::output);
        }
    }

    /// A lab that runs starts its next guest from the jars that are there.
    @Test
    void whatWasBuiltStaysUntilTheNextBuildHasSucceeded() throws Exception {
        Path top = Files.createDirectory(dir.resolve("top"));
        Path root = Path.of("..").toAbsolutePath().normalize();
        for (String file :
                List.of(
                        "splitring",
                        ".mvn/find-jdk.sh",
                        "driver-domain/src/main/dist/start.sh",
                        "driver-domain/src/main/dist/learn.sh")) {
            Files.createDirectories(top.resolve(file).getParent());
            Files.copy(root.resolve(file), top.resolve(file), StandardCopyOption.COPY_ATTRIBUTES);
        }
        Path quick = Files.createDirectories(top.resolve("driver-domain/target/quick"));
        Path lib = Files.createDirectory(quick.resolve("lib"));
        Path caches = Files.createDirectory(quick.resolve("aot"));
        Path old = Files.createFile(lib.resolve("old.jar"));
        Path cache = Files.createFile(caches.resolve("guest.aot"));

        assertTrue(builds(top, "exit 1").contains("the build failed"));
        assertTrue(Files.exists(old) && Files.exists(cache));

        String build =
                "for a; do case $a in -Dquick.lib=*) l=${a#*=}; mkdir $l; touch $l/new.jar; esac; done";
        assertTrue(builds(top, build).contains("built in"));
        assertTrue(Files.exists(lib.resolve("new.jar")));
        assertFalse(Files.exists(old) || Files.exists(cache));
    }

    /// What the launcher says, which finds no program then, when Maven does this.
    private String builds(Path top, String maven) throws Exception {
        Path mvnw = Files.writeString(top.resolve("mvnw"), "#!/bin/sh\n" + maven + "\n");
        assertTrue(mvnw.toFile().setExecutable(true));
        List<String> command =
                List.of(
                        ExternalTools.require("env", "coreutils").toString(),
                        "SPLITRING_LEARN=no",
                        top.resolve("splitring").toString(),
                        "list");
        try (ChildProcess process = ChildProcess.start("splitring", command)) {
            assertEquals(1, process.await(Duration.ofSeconds(60)), process::output);
            return process.output();
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
