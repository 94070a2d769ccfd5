package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.testkit.ExternalTools;

/// NBD clients of others on the disks of one lab: a disk to write, a read-only one, and a port.
@Timeout(180)
class LabClientsIT {
    @TempDir static Path dir;

    private static LabUnderTest lab;
    private static Path image;
    private static Path readOnlyImage;
    private static int port;

    @BeforeAll
    static void up() throws Exception {
        lab = new LabUnderTest(dir);
        image = lab.image("web.img", 8);
        readOnlyImage = lab.image("b.img", 1);
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        Files.writeString(
                lab.lab(),
                "[domains.web]\ndisk = [\"web.img,raw,xvda\", \"b.img,raw,xvdb,ro\"]\nexport = \"tcp:"
                        + port
                        + "\"\n");
        lab.up();
    }

    @AfterAll
    static void down() throws Exception {
        try {
            lab.down();
        } finally {
            lab.cleanUp();
        }
    }

    @Test
    void qemuImgAndNbdcopyWriteAndReadTheFileThroughTheRing() throws Exception {
        Ended info = lab.tool("nbdinfo", "libnbd-bin", lab.uri("xvda"));
        assertEquals(0, info.code(), info.output());
        assertTrue(info.output().contains("export-size: 8388608"), info.output());

        byte[] pattern = new byte[8 << 20];
        new Random(1).nextBytes(pattern);
        Path source = dir.resolve("source.img");
        Files.write(source, pattern);
        Ended in = qemuImg("convert -n -f raw -O raw", source);
        assertEquals(0, in.code(), in.output());
        assertEquals(-1, Files.mismatch(source, image), "the file has what was written");
        Ended compare = qemuImg("compare -f raw -F raw", source);
        assertEquals(0, compare.code(), compare.output());
        Path copy = dir.resolve("copy.img");
        Ended out = lab.tool("nbdcopy", "libnbd-bin", lab.uri("xvda"), copy.toString());
        assertEquals(0, out.code(), out.output());
        assertEquals(-1, Files.mismatch(source, copy), "what was read is what was written");
    }

    private static Ended qemuImg(String command, Path source) throws Exception {
        List<String> arguments = new ArrayList<>(List.of(command.split(" ")));
        arguments.add(source.toString());
        arguments.add(lab.uri("xvda"));
        return lab.tool("qemu-img", "qemu-utils", arguments.toArray(String[]::new));
    }

    @Test
    void stockXenstoreClientsLookIntoTheRunningLab() throws Exception {
        Path list = ExternalTools.require("xenstore-ls", "xenstore-utils");
        Path socket = lab.run().resolve("xenstored/socket");
        Ended ls =
                lab.execute(
                        List.of(
                                "/usr/bin/env",
                                "XENSTORED_PATH=" + socket,
                                list.toString(),
                                "/local/domain/0/backend/vbd"));
        assertEquals(0, ls.code(), ls.output());
        assertTrue(ls.output().contains("params = \"" + image + "\""), ls.output());
        assertTrue(ls.output().contains("state = \"4\""), ls.output());
    }

    @Test
    void fioVerifiesWhatItWrites() throws Exception {
        Ended fio =
                lab.tool(
                        "fio",
                        "fio",
                        "--name=verify",
                        "--ioengine=nbd",
                        "--uri=" + lab.uri("xvda"),
                        "--rw=randwrite",
                        "--bsrange=4k-256k",
                        "--size=8m",
                        "--iodepth=16",
                        "--verify=crc32c",
                        "--randseed=7");
        assertEquals(0, fio.code(), fio.output());
    }

    private static Ended qemuIo(String... commands) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("-f", "raw", "-d", "unmap"));
        for (String command : commands) {
            arguments.add("-c");
            arguments.add(command);
        }
        arguments.add(lab.uri("xvda"));
        return lab.tool("qemu-io", "qemu-utils", arguments.toArray(String[]::new));
    }

    private static long allocatedBytes(Path file) throws Exception {
        try (VectoredFile open = VectoredFile.open(file)) {
            return open.status().allocatedBytes();
        }
    }

    @Test
    void trimAndZeroesPunchHolesIntoTheImage() throws Exception {
        Ended info = lab.tool("nbdinfo", "libnbd-bin", lab.uri("xvda"));
        assertTrue(info.output().contains("can_trim: true"), info.output());
        assertTrue(info.output().contains("can_fast_zero: true"), info.output());
        Ended filled = qemuIo("write -P 0xAA 0 8M", "flush");
        assertEquals(0, filled.code(), filled.output());
        long full = allocatedBytes(image);
        Ended punched = qemuIo("discard 1M 2M", "write -z -u 4M 1M", "write -z 6M 64k", "flush");
        assertEquals(0, punched.code(), punched.output());
        assertEquals(full - (3 << 20), allocatedBytes(image));
        Ended read =
                qemuIo(
                        "read -P 0xAA 0 1M",
                        "read -P 0 1M 2M",
                        "read -P 0xAA 3M 1M",
                        "read -P 0 4M 1M",
                        "read -P 0 6M 64k",
                        "read -P 0xAA 6208k 64k");
        assertEquals(0, read.code(), read.output());
        assertFalse(read.output().contains("verification failed"), read.output());
    }

    @Test
    void readOnlyDiskCannotBeWritten() throws Exception {
        String uri = lab.uri("xvdb");
        Ended info = lab.tool("nbdinfo", "libnbd-bin", uri);
        assertTrue(info.output().contains("is_read_only: true"), info.output());
        Ended write = lab.tool("qemu-io", "qemu-utils", "-f", "raw", "-c", "write -P 7 0 4k", uri);
        assertTrue(write.code() != 0 || write.output().contains("failed"), write.output());
        Ended read =
                lab.tool("qemu-io", "qemu-utils", "-r", "-f", "raw", "-c", "read -P 0 0 1M", uri);
        assertEquals(0, read.code(), read.output());
        assertEquals(0, Files.readAllBytes(readOnlyImage)[0]);
    }

    @Test
    void tcpPortServesEveryDiskByName() throws Exception {
        Ended list = lab.tool("nbdinfo", "libnbd-bin", "--list", "nbd://localhost:" + port);
        assertEquals(0, list.code(), list.output());
        Matcher sizes = Pattern.compile("export-size: (\\d+)").matcher(list.output());
        List<String> found = new ArrayList<>();
        while (sizes.find()) {
            found.add(sizes.group(1));
        }
        assertEquals(List.of("8388608", "1048576"), found);
    }
}
