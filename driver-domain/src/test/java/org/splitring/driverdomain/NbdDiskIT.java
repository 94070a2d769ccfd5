package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// A lab whose disks are exports of nbdkit: a client of the guest's NBD export, the guest, the
/// driver domain, and nbdkit, which comes and goes.
@Timeout(180)
class NbdDiskIT {
    @TempDir Path dir;
    private LabUnderTest lab;
    private Path image;
    private @Nullable Process server;

    @BeforeEach
    void makeLab() throws Exception {
        lab = new LabUnderTest(dir);
        image = lab.image("served.img", 8);
        serve();
    }

    @AfterEach
    void cleanUp() throws Exception {
        stop();
        lab.cleanUp();
    }

    private void serve() throws Exception {
        Path socket = dir.resolve("server.sock");
        Files.deleteIfExists(socket);
        String nbdkit = ExternalTools.require("nbdkit", "nbdkit").toString();
        Process started = // in relative paths: `down` asserts that no process names this folder
                new ProcessBuilder(nbdkit, "-f", "-U", "server.sock", "file", "served.img")
                        .directory(dir.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(dir.resolve("server.log").toFile())
                        .start();
        server = started;
        await().atMost(LabUnderTest.PATIENCE)
                .until(() -> Files.exists(socket) || !started.isAlive());
    }

    private void stop() {
        if (server != null) {
            server.destroyForcibly().onExit().join();
        }
    }

    private void io(String vdev, String... commands) throws Exception {
        List<String> words = new ArrayList<>(List.of("-f", "raw"));
        for (String command : commands) {
            words.addAll(List.of("-c", command));
        }
        words.add(lab.uri(vdev));
        Ended ended = lab.tool("qemu-io", "qemu-utils", words.toArray(String[]::new));
        assertEquals(0, ended.code(), ended.output());
        assertTrue(!ended.output().contains("verification failed"), ended.output());
    }

    private void fileHolds(String... commands) throws Exception {
        List<String> words = new ArrayList<>(List.of("-f", "raw"));
        for (String command : commands) {
            words.addAll(List.of("-c", command));
        }
        words.add(image.toString());
        Ended ended = lab.tool("qemu-io", "qemu-utils", words.toArray(String[]::new));
        assertTrue(!ended.output().contains("verification failed"), ended.output());
    }

    @Test
    void aGuestsDiskIsAnExportWhoseServerIsKilledAndComesBack() throws Exception {
        Files.writeString(
                lab.lab(),
                """
                [domains.web]
                disk = ["nbd:unix:server.sock,,xvda"]
                """);
        lab.up();
        io("xvda", "read -P 0 0 1M", "write -P 17 100k 900k", "write -P 18 2M 300k");
        stop();
        serve();
        io("xvda", "read -P 17 100k 900k", "write -P 19 3M 64k", "flush", "discard 2M 64k");
        ProcessHandle killed = lab.driverDomain();
        killed.destroyForcibly();
        killed.onExit().join();
        Ended again = lab.splitring("replace", "--run-dir", lab.run().toString());
        assertEquals(0, again.code(), again.output());
        io("xvda", "read -P 17 100k 900k", "read -P 0 2M 64k", "read -P 19 3M 64k");

        String export = "nbd+unix:///?socket=" + dir.resolve("server.sock");
        Ended other =
                lab.splitring(
                        "block-attach",
                        "--run-dir",
                        lab.run().toString(),
                        "web",
                        export + ",,xvdb");
        assertTrue(other.code() != 0, other.output());
        assertTrue(
                other.output().contains("image " + export + " is in use by vbd/xvda"),
                other.output());
        lab.down();
        fileHolds("read -P 17 100k 900k", "read -P 18 2112k 236k", "read -P 19 3M 64k");

        Ended info = lab.splitring("disk", "info", "-f", "raw", export);
        assertEquals(0, info.code(), info.output());
        assertTrue(info.output().contains("8 MiB (8388608 bytes)"), info.output());
        assertTrue(info.output().contains("raw, an NBD server's export, flush"), info.output());
        Ended convert =
                lab.splitring("disk", "convert", "-f", "raw", "-O", "qcow2", export, "copy.qcow2");
        assertEquals(0, convert.code(), convert.output());
        Ended same =
                lab.tool(
                        "qemu-img",
                        "qemu-utils",
                        "compare",
                        "-f",
                        "raw",
                        "-F",
                        "qcow2",
                        image.toString(),
                        dir.resolve("copy.qcow2").toString());
        assertEquals(0, same.code(), same.output());
    }

    @Test
    void aServerThatIsNotThereIsOneLineWithThePlaceOfTheDisk() throws Exception {
        stop();
        Files.writeString(
                lab.lab(),
                """
                [domains.web]
                disk = ["nbd:unix:server.sock,,xvda"]
                """);
        Ended up = lab.splitring("up", lab.lab() + "", "--run-dir", lab.run() + "", "--detach");
        assertEquals(1, up.code(), up.output());
        assertTrue(
                up.output().contains("lab.toml:2: domains.web.disk: disk nbd+unix"), up.output());
        assertTrue(up.output().contains("ECONNREFUSED"), up.output());
    }
}
