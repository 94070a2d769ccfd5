package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;

/// A lab whose disks are no raw images: a qcow2 that is made, one that is based on a template
/// elsewhere, and a VHD.
@Timeout(180)
class DiskFormatsIT {
    @TempDir Path dir;
    private LabUnderTest lab;

    @BeforeEach
    void makeLab() throws Exception {
        lab = new LabUnderTest(dir);
        Files.createDirectories(dir.resolve("templates"));
        Files.createDirectories(dir.resolve("images"));
        Files.write(dir.resolve("templates/base.raw"), new byte[4 << 20]);
        qemuImg("create", "-f", "vpc", "-o", "force_size=on", dir.resolve("c.vhd") + "", "8M");
        qemuImg(
                "create",
                "-f",
                "qcow2",
                "-b",
                "../templates/base.raw",
                "-F",
                "raw",
                dir.resolve("images/b.qcow2") + "");
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    private String qemuImg(String... words) throws Exception {
        Ended ended = lab.tool("qemu-img", "qemu-utils", words);
        assertEquals(0, ended.code(), ended.output());
        return ended.output();
    }

    private void lab(String first) throws Exception {
        Files.writeString(
                lab.lab(),
                first
                        + """

                        [domains.web]
                        disk = [
                          "format=qcow2, vdev=xvda, target=a.qcow2",
                          "tap:qcow2:images/b.qcow2,,xvdb",
                          "c.vhd,vhd,xvdc",
                        ]
                        [images]
                        "a.qcow2" = { size = "16MiB" }
                        """);
    }

    @Test
    void guestsReadAndWriteThemAndAKilledDriverDomainLosesNothing() throws Exception {
        lab("backing_folders = [\"templates\"]");
        lab.up();
        for (String vdev : new String[] {"xvda", "xvdb", "xvdc"}) {
            lab.io(
                    lab.uri(vdev),
                    "read -P 0 0 1M",
                    "write -P 17 100k 900k",
                    "flush",
                    "write -P 18 2M 300k");
        }
        ProcessHandle killed = lab.driverDomain();
        killed.destroyForcibly();
        killed.onExit().join();
        Ended again = lab.splitring("replace", "--run-dir", lab.run().toString());
        assertEquals(0, again.code(), again.output());
        for (String vdev : new String[] {"xvda", "xvdb", "xvdc"}) {
            lab.io(
                    lab.uri(vdev),
                    "read -P 17 100k 900k",
                    "read -P 18 2M 300k",
                    "write -P 19 3M 64k");
        }
        lab.down();
        Path a = dir.resolve("a.qcow2");
        Path b = dir.resolve("images/b.qcow2");
        for (Path image : new Path[] {a, b}) {
            // The process that was killed had reserved clusters: leaks, and no damage.
            Ended check = lab.splitring("disk", "check", "-f", "qcow2", image.toString());
            assertTrue(check.code() == 0 || check.code() == 3, check.output());
            Ended repair =
                    lab.splitring(
                            "disk", "check", "-f", "qcow2", "--repair-leaks", image.toString());
            assertEquals(0, repair.code(), repair.output());
            qemuImg("check", "-f", "qcow2", image.toString());
        }
        for (String[] image :
                new String[][] {{"qcow2", a + ""}, {"qcow2", b + ""}, {"vpc", dir + "/c.vhd"}}) {
            Ended read =
                    lab.tool(
                            "qemu-io",
                            "qemu-utils",
                            "-f",
                            image[0],
                            "-c",
                            "read -P 17 100k 900k",
                            "-c",
                            "read -P 18 2M 300k",
                            "-c",
                            "read -P 19 3M 64k",
                            image[1]);
            assertEquals(0, read.code(), read.output());
        }
    }

    @Test
    void aTemplateThatIsNotAllowedIsOneLineWithItsPlace() throws Exception {
        lab("");
        Ended up = lab.splitring("up", lab.lab() + "", "--run-dir", lab.run() + "", "--detach");
        assertEquals(1, up.code(), up.output());
        assertTrue(
                up.output().contains("backing file \"../templates/base.raw\" is outside"),
                up.output());
        assertTrue(up.output().contains("lab.toml:5: domains.web.disk"), up.output());
        assertTrue(Files.notExists(dir.resolve("a.qcow2")), "made, and the start has failed");
    }
}
