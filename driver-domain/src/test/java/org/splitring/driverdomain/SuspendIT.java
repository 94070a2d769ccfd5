package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A guest whose devices stand still, and go on, while a client does verified I/O.
@Timeout(180)
class SuspendIT {
    private static final int CYCLES = 4;
    private static final int MIB = 2;

    @TempDir Path dir;
    private LabUnderTest lab;
    private Path image;

    @BeforeEach
    void up() throws Exception {
        lab = new LabUnderTest(dir);
        image = lab.image("web.img", MIB);
        Files.createDirectories(dir.resolve("share"));
        lab.up(
                """
                [domains.web]
                memory = 32
                disk = ["web.img,raw,xvda,rw"]
                p9 = ["tag=share, path=./share"]
                [domains.out]
                guest = "external"
                """);
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    private VerifiedDisk client() throws Exception {
        return new VerifiedDisk("web/xvda", lab.run().resolve("web/xvda.nbd"), MIB, 7);
    }

    private static void progress(VerifiedDisk disk) {
        long before = disk.answers();
        await().atMost(PATIENCE)
                .until(() -> disk.failure() != null || disk.answers() > before + 20);
        assertNull(disk.failure());
    }

    /// Nothing is written, and nothing answered, while the devices stand still.
    private void standsStill(VerifiedDisk disk) throws IOException {
        byte[] bytes = Files.readAllBytes(image);
        long before = disk.answers();
        long more = disk.answersAtRest() - before; // what was answered before is read late, perhaps
        assertTrue(
                more <= VerifiedDisk.DEPTH, more + " requests are answered while it is suspended");
        assertArrayEquals(bytes, Files.readAllBytes(image), "written while it is suspended");
        assertNull(disk.failure());
    }

    private void state(String state) {
        assertTrue(
                lab.command(0, "list", "web").matches("(?s).*web .* " + state + " .*"),
                () -> lab.command(0, "list"));
    }

    private List<String> backendStates() {
        return lab.command(0, "list", "--json", "web")
                .lines()
                .filter(line -> line.contains("\"backend_state\""))
                .map(line -> line.replaceAll(".*: \"|\".*", ""))
                .distinct()
                .toList();
    }

    @Test
    void nothingIsLostOverManySuspensionsUnderLoad() throws Exception {
        try (VerifiedDisk disk = client()) {
            for (int i = 0; i < CYCLES; i++) {
                progress(disk);
                assertEquals("suspended web\n", lab.command(0, "suspend", "web"));
                state("suspended");
                assertEquals(List.of("closed"), backendStates());
                standsStill(disk);
                assertEquals("resumed web\n", lab.command(0, "resume", "web"));
                state("running");
                assertEquals(List.of("connected"), backendStates());
            }
            progress(disk);
            disk.finish();
            assertNull(disk.failure());
            lab.down();
            assertEquals(List.of(), disk.broken(image));
        }
    }

    @Test
    void itStaysSuspendedUnderAnotherDriverDomainAndThenGoesOn() throws Exception {
        try (VerifiedDisk disk = client()) {
            progress(disk);
            lab.command(0, "suspend", "web");
            lab.driverDomain().destroyForcibly();
            LabUnderTest.Ended replaced =
                    lab.splitring("replace", "--run-dir", lab.run().toString());
            assertEquals(0, replaced.code(), replaced.output());
            await().atMost(PATIENCE).untilAsserted(() -> state("suspended"));
            standsStill(disk);
            assertEquals("resumed web\n", lab.command(0, "resume", "web"));
            progress(disk);
            disk.finish();
            lab.down();
            assertEquals(List.of(), disk.broken(image));
        }
    }

    @Test
    void whatCannotBeIsOneLine() {
        refused("domain web is not suspended", "resume", "web");
        refused("no domain \"wed\"", "suspend", "wed");
        refused("domain out cannot be suspended: no guest is attached", "suspend", "out");
        lab.command(0, "suspend", "web");
        String doctor = lab.command(3, "doctor", "web");
        assertTrue(doctor.contains("./splitring resume web"), doctor);
        assertFalse(doctor.contains("the guest's half is"), doctor);
        String remedy = "domain web is suspended; ./splitring resume web";
        refused(remedy, "suspend", "web");
        refused(remedy, "attach", "web", "9pfs,tag=b,path=/");
        refused(remedy, "detach", "web", "vbd/xvda");
        refused(remedy, "block-limit", "web", "xvda", "--iops", "5");
        // One that is stopped is not suspended any more.
        assertEquals("stopped web\n", lab.command(0, "stop", "web"));
        state("stopped");
        assertEquals("started web\n", lab.command(0, "start", "web"));
        state("running");
    }

    private void refused(String why, String... words) {
        String said = lab.command(1, words);
        assertEquals(1, said.lines().count(), said);
        assertTrue(said.contains(why), said);
    }
}
