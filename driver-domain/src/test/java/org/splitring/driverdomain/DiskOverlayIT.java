package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;

/// Guests that share one golden image: each writes into an overlay of its own.
@Timeout(180)
class DiskOverlayIT {
    private static final int SIZE = 4 << 20;

    @TempDir Path dir;
    private LabUnderTest lab;
    private final byte[] golden = new byte[SIZE];

    @BeforeEach
    void makeLab() throws Exception {
        lab = new LabUnderTest(dir);
        Files.createDirectories(dir.resolve("templates"));
        Files.createDirectories(dir.resolve("images"));
        Arrays.fill(golden, (byte) 0x11);
        Files.write(dir.resolve("templates/golden.raw"), golden);
        Files.writeString(
                lab.lab(),
                """
                [domains.web]
                disk = ["format=raw, vdev=xvda, overlay=images/web.qcow2, target=templates/golden.raw"]
                [domains.db]
                disk = ["overlay=images/db.qcow2, vdev=xvda, target=templates/golden.raw"]
                """);
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    private void io(String domain, String vdev, String command) throws Exception {
        lab.io(lab.uri(domain, vdev), command);
    }

    private void holds(String domain, String vdev, int pattern, String range) throws Exception {
        io(domain, vdev, "read -P " + pattern + " " + range);
    }

    private Ended refusedUp() throws Exception {
        Ended up = lab.splitring("up", lab.lab() + "", "--run-dir", lab.run() + "", "--detach");
        assertEquals(1, up.code(), up.output());
        return up;
    }

    @Test
    void eachGuestHasItsOwnWritesAndTheTargetStaysAsItIs() throws Exception {
        lab.up();
        io("web", "xvda", "write -P 0x22 1M 64k");
        holds("web", "xvda", 0x22, "1M 64k");
        holds("web", "xvda", 0x11, "0 1M");
        holds("db", "xvda", 0x11, "0 4M");
        // One more, while it runs.
        Ended attached =
                lab.splitring(
                        "block-attach",
                        "--run-dir",
                        lab.run() + "",
                        "db",
                        "vdev=xvdb,overlay="
                                + dir.resolve("images/more.qcow2")
                                + ",target="
                                + dir.resolve("templates/golden.raw"));
        assertEquals(0, attached.code(), attached.output());
        assertTrue(attached.output().contains("made image"), attached.output());
        io("db", "xvdb", "write -P 0x33 0 64k");
        holds("db", "xvdb", 0x11, "64k 1M");
        lab.down();

        lab.up(); // what was written is still there
        holds("web", "xvda", 0x22, "1M 64k");
        holds("db", "xvda", 0x11, "0 4M");
        lab.down();
        assertArrayEquals(golden, Files.readAllBytes(dir.resolve("templates/golden.raw")));
        for (String name : new String[] {"web", "db", "more"}) {
            String image = dir.resolve("images/" + name + ".qcow2").toString();
            Ended check = lab.tool("qemu-img", "qemu-utils", "check", "-f", "qcow2", image);
            assertEquals(0, check.code(), check.output());
            Ended info = lab.tool("qemu-img", "qemu-utils", "info", "-f", "qcow2", image);
            assertTrue(info.output().contains("backing file format: raw"), info.output());
        }
    }

    @Test
    void anImageThatIsBasedOnSomethingElseIsOneLineWithItsPlace() throws Exception {
        Path web = dir.resolve("images/web.qcow2");
        Files.write(dir.resolve("images/other.raw"), new byte[SIZE]);
        Ended made =
                lab.splitring("disk", "snapshot", "-f", "raw", dir + "/images/other.raw", web + "");
        assertEquals(0, made.code(), made.output());
        Ended up = refusedUp();
        assertTrue(up.output().contains("lab.toml:2: domains.web.disk: image " + web), up.output());
        assertTrue(up.output().contains("images/other.raw, and not on"), up.output());
        assertTrue(Files.notExists(dir.resolve("images/db.qcow2")), "nothing is left of it");

        Files.delete(web);
        Ended blank = lab.splitring("disk", "create", "-f", "qcow2", web + "", "4MiB");
        assertEquals(0, blank.code(), blank.output());
        up = refusedUp();
        assertTrue(up.output().contains("is based on nothing, and not on"), up.output());

        Files.write(web, new byte[4096]);
        up = refusedUp();
        assertTrue(up.output().contains(web + ": is no qcow2 image"), up.output());
        assertEquals(4096, Files.size(web), "untouched");
    }
}
