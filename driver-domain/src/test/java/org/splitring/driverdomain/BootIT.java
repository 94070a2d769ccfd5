package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A folder of labs that are started and stopped together.
@Timeout(120)
class BootIT {
    @TempDir Path dir;
    private Path labs;

    @BeforeEach
    void prepare() throws Exception {
        labs = Files.createDirectories(dir.resolve("auto"));
        Files.writeString(labs.resolve("notes.txt"), "no lab");
    }

    @AfterEach
    void cleanUp() {
        boot(0, "--stop");
        LabUnderTest all = new LabUnderTest(dir);
        await().atMost(LabUnderTest.PATIENCE).until(() -> all.processes().isEmpty());
    }

    /// A lab without a process for its guest comes up fast.
    private void lab(String name) throws Exception {
        Files.writeString(labs.resolve(name + ".toml"), "[domains.out]\nguest = \"external\"\n");
    }

    private List<String> boot(int code, String... options) {
        List<String> words = new ArrayList<>(List.of("boot", labs.toString()));
        words.addAll(List.of("--run-dir", dir.resolve("runs").toString()));
        words.addAll(List.of(options));
        StringWriter said = new StringWriter();
        PrintWriter out = new PrintWriter(said, true);
        int ended =
                Splitring.commandLine()
                        .setOut(out)
                        .setErr(out)
                        .execute(words.toArray(String[]::new));
        assertEquals(code, ended, said::toString);
        return said.toString().lines().toList();
    }

    private String run(String name) {
        return dir.resolve("runs").resolve(name).toString();
    }

    private boolean isUp(String name) throws Exception {
        return RunDirectory.owner(Path.of(run(name))).isPresent();
    }

    @Test
    void theyComeInTheOrderOfTheirNamesAndGoInTheOther() throws Exception {
        lab("20-web");
        lab("10-net");
        assertEquals(
                List.of(
                        "10-net: up, run directory " + run("10-net"),
                        "20-web: up, run directory " + run("20-web")),
                boot(0));
        assertTrue(isUp("10-net") && isUp("20-web"));
        assertEquals(List.of("10-net: runs already", "20-web: runs already"), boot(0));
        Files.delete(labs.resolve("20-web.toml")); // what runs is stopped all the same
        assertEquals(List.of("20-web: stopped", "10-net: stopped"), boot(0, "--stop"));
        assertFalse(isUp("10-net") || isUp("20-web"));
        assertEquals(List.of(), boot(0, "--stop"));
    }

    @Test
    void oneThatFailsKeepsTheRestDownUnlessToldOtherwise() throws Exception {
        Files.writeString(labs.resolve("10-bad.toml"), "[domains.web]\nmemoy = 5\n");
        lab("20-web");
        List<String> said = boot(1);
        assertEquals(2, said.size(), said::toString);
        assertTrue(said.getFirst().startsWith("10-bad: failed: "), said::toString);
        assertTrue(said.getFirst().contains("10-bad.toml:2: domains.web.memoy"), said::toString);
        assertEquals("20-web: not started", said.getLast());
        assertFalse(isUp("20-web"));

        said = boot(1, "--keep-going");
        assertTrue(said.getLast().startsWith("20-web: up"), said::toString);
        assertEquals(List.of("20-web: stopped"), boot(0, "--stop"));
    }

    @Test
    void anEmptyFolderIsNoFailureAndAMissingOneIs() throws Exception {
        assertEquals(List.of("no lab in " + labs), boot(0));
        Files.delete(labs.resolve("notes.txt"));
        Files.delete(labs);
        List<String> said = boot(1);
        assertEquals(List.of("splitring: " + labs + " is no folder of labs"), said);
    }
}
