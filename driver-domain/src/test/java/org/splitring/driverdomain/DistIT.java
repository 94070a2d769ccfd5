package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// What people install who have no JDK: it is built, unpacked in another place, and run where
/// nothing is that it could find a Java by.
@Tag("long")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class DistIT {
    private static final Path TOP = Path.of("").toAbsolutePath().resolveSibling("");

    @TempDir Path dir;

    private String run(Map<String, String> environment, String... command) throws Exception {
        Path output = Files.createTempFile(dir, "output", ".txt");
        ProcessBuilder builder = new ProcessBuilder(command).directory(dir.toFile());
        if (!environment.isEmpty()) {
            builder.environment().clear();
            builder.environment().putAll(environment);
        }
        Process process = builder.redirectErrorStream(true).redirectOutput(output.toFile()).start();
        int code = process.waitFor();
        String said = Files.readString(output);
        assertEquals(0, code, () -> String.join(" ", command) + ": " + said);
        return said;
    }

    /// A folder of programs with those that the launcher of the archive needs, and no other.
    private Path fewPrograms() throws Exception {
        Path programs = Files.createDirectories(dir.resolve("programs"));
        for (String program : List.of("dirname", "readlink")) {
            Files.createSymbolicLink(
                    programs.resolve(program), ExternalTools.require(program, "coreutils"));
        }
        return programs;
    }

    @Test
    void theArchiveRunsWithItsOwnJavaAndThePackageHasItAll() throws Exception {
        ExternalTools.require("dpkg-deb", "dpkg");
        Path out = dir.resolve("dist");
        List<String> made =
                run(
                                Map.of(),
                                TOP.resolve("driver-domain/src/main/dist/build").toString(),
                                "--deb",
                                out.toString())
                        .lines()
                        .filter(line -> line.startsWith(out + "/"))
                        .toList();
        assertEquals(2, made.size(), made::toString);

        Path elsewhere = Files.createDirectories(dir.resolve("else where"));
        run(Map.of(), "tar", "-C", elsewhere.toString(), "-xzf", made.getFirst());
        String name = "splitring-" + Splitring.VERSION;
        Path program = elsewhere.resolve(name).resolve("bin/splitring");
        Map<String, String> bare = Map.of("PATH", fewPrograms().toString());
        assertEquals(
                "splitring " + Splitring.VERSION + "\n",
                run(bare, program.toString(), "--version"));
        Path examples = elsewhere.resolve(name).resolve("examples");
        String plan = run(bare, program.toString(), "validate", examples + "/nat.toml");
        assertTrue(plan.contains("network lan"), plan);
        run(bare, program.toString(), "device", "new", "clock");
        assertTrue(Files.exists(dir.resolve("clock/pom.xml")));

        aLabStartsFromCaches(elsewhere.resolve(name), bare);

        String inside = run(Map.of(), "dpkg-deb", "--contents", made.getLast());
        for (String file :
                List.of(
                        "./opt/splitring/bin/splitring",
                        "./opt/splitring/lib/aot/driver.aot",
                        "./opt/splitring/lib/aot/guest.aot",
                        "./usr/lib/systemd/system/splitring-lab@.service",
                        "./usr/lib/systemd/system/splitring-labs.service",
                        "./etc/splitring/auto/",
                        "./etc/splitring/labs/")) {
            assertTrue(inside.contains(" " + file), file + " is missing in " + inside);
        }
    }

    /// The command, the driver domain and the guest each end at once when they have no cache that
    /// fits: they are told to. Without being told, they do without one.
    private void aLabStartsFromCaches(Path unpacked, Map<String, String> bare) throws Exception {
        String program = unpacked.resolve("bin/splitring").toString();
        Path file = Files.writeString(dir.resolve("dist.toml"), "[domains.dist]\nmemory = 64\n");
        String runDir = "--run-dir=" + dir.resolve("run");
        Map<String, String> strict = new HashMap<>(bare);
        strict.put("JAVA_TOOL_OPTIONS", "-XX:AOTMode=on");
        String up = run(strict, program, "up", file.toString(), "--detach", runDir);
        run(bare, program, "down", runDir);
        assertTrue(up.contains("guest process"), up);

        Files.delete(unpacked.resolve("lib/aot/driver.aot"));
        AssertionError refused =
                assertThrows(AssertionError.class, () -> run(strict, program, "--version"));
        assertTrue(refused.toString().contains("AOT cache"), refused::toString);
        run(bare, program, "--version");
    }
}
