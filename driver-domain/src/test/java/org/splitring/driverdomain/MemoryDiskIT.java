package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;

/// Disks in memory: of the lab, and attached while it runs.
@Timeout(180)
class MemoryDiskIT {
    private static final Path FOLDER = Path.of("/dev/shm");

    @TempDir Path dir;
    private LabUnderTest lab;

    @BeforeEach
    void makeLab() throws Exception {
        Assumptions.assumeTrue(Files.isWritable(FOLDER), "needs /dev/shm");
        lab = new LabUnderTest(dir);
        Files.writeString(lab.lab(), "[domains.web]\ndisk = [\"memory:8MiB,,xvda\"]\n");
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    /// Images of this lab: others may run beside it.
    private List<Path> images() throws Exception {
        byte[] path = lab.lab().toString().getBytes(StandardCharsets.UTF_8);
        String prefix = "splitring-memory-" + UUID.nameUUIDFromBytes(path);
        try (Stream<Path> files = Files.list(FOLDER)) {
            return files.filter(f -> f.getFileName().toString().startsWith(prefix)).toList();
        }
    }

    private Ended attach(String disk) throws Exception {
        return lab.splitring("block-attach", "--run-dir", lab.run() + "", "web", disk);
    }

    @Test
    void itOutlivesADriverDomainAndIsGoneWithTheLab() throws Exception {
        lab.up();
        lab.io(lab.uri("xvda"), "read -P 0 0 8M", "write -P 17 1M 3M");
        ProcessHandle killed = lab.driverDomain();
        killed.destroyForcibly();
        killed.onExit().join();
        Ended again = lab.splitring("replace", "--run-dir", lab.run() + "");
        assertEquals(0, again.code(), again.output());
        lab.io(lab.uri("xvda"), "read -P 17 1M 3M", "read -P 0 0 1M");

        Ended attached = attach("memory:4MiB,,xvdb");
        assertEquals(0, attached.code(), attached.output());
        lab.io(lab.uri("xvdb"), "write -P 18 0 4M", "read -P 18 0 4M");
        assertEquals(2, images().size());
        Ended twice = attach("memory:4MiB,,xvdb");
        assertEquals(1, twice.code(), twice.output());
        assertTrue(twice.output().contains("has a device vbd/xvdb already"), twice.output());
        lab.io(lab.uri("xvdb"), "read -P 18 0 4M");
        Ended detached = lab.splitring("block-detach", "--run-dir", lab.run() + "", "web", "xvdb");
        assertEquals(0, detached.code(), detached.output());
        assertEquals(1, images().size());
        attached = attach("memory:4MiB,,xvdb");
        assertEquals(0, attached.code(), attached.output());
        lab.io(lab.uri("xvdb"), "read -P 0 0 4M"); // another one
        lab.down();
        assertEquals(List.of(), images());

        lab.up();
        lab.io(lab.uri("xvda"), "read -P 0 0 8M");
        lab.down();
        assertEquals(List.of(), images());
    }

    @Test
    void moreThanThereIsIsOneLine() throws Exception {
        Files.writeString(lab.lab(), "[domains.web]\ndisk = [\"memory:900T,,xvda\"]\n");
        Ended up = lab.splitring("up", lab.lab() + "", "--run-dir", lab.run() + "", "--detach");
        assertEquals(1, up.code(), up.output());
        assertTrue(
                up.output().contains("lab.toml:2: domains.web.disk: a disk in memory of 900 TiB"));
        assertTrue(up.output().contains("in /dev/shm"), up.output());
        assertEquals(List.of(), images());
    }
}
