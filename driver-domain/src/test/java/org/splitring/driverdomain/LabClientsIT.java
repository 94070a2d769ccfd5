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
    private static TestCertificates certificates;

    @BeforeAll
    static void up() throws Exception {
        lab = new LabUnderTest(dir);
        image = lab.image("web.img", 8);
        readOnlyImage = lab.image("b.img", 1);
        certificates = new TestCertificates(dir.resolve("tls"));
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        Files.writeString(
                lab.lab(),
                "[domains.web]\ndisk = [\"web.img,raw,xvda\", \"b.img,raw,xvdb,ro\"]\nexport = \"tcp:"
                        + port
                        + "\"\n[nbd_tls]\ncertificate = \"tls/server-cert.pem\"\n"
                        + "key = \"tls/server-key.pem\"\nclient_ca = \"tls/ca-cert.pem\"\n");
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

        new Random(2).nextBytes(pattern);
        Files.write(source, pattern);
        Ended back = lab.tool("nbdcopy", "libnbd-bin", source.toString(), lab.uri("xvda"));
        assertEquals(0, back.code(), back.output());
        assertEquals(-1, Files.mismatch(source, image), "the file has what nbdcopy wrote");
    }

    @Test
    void nbdinfoSeesWhatIsOffered() throws Exception {
        Ended info = lab.tool("nbdinfo", "libnbd-bin", lab.uri("xvda"));
        assertEquals(0, info.code(), info.output());
        for (String line :
                List.of(
                        "using structured packets",
                        "base:allocation",
                        "can_cache: true",
                        "can_df: true",
                        "can_flush: true",
                        "can_fua: true",
                        "can_multi_conn: true",
                        "can_zero: true",
                        "block_size_minimum: 512",
                        "block_size_maximum: 33554432")) {
            assertTrue(info.output().contains(line), () -> line + " is not in " + info.output());
        }
        Ended map = lab.tool("nbdinfo", "libnbd-bin", "--map", lab.uri("xvda"));
        assertEquals(0, map.code(), map.output());
        assertEquals("0 8388608 0 data", map.output().strip().replaceAll(" +", " "));
        Ended qemuMap =
                lab.tool(
                        "qemu-img",
                        "qemu-utils",
                        "map",
                        "--output=json",
                        "-f",
                        "raw",
                        lab.uri("xvda"));
        assertEquals(0, qemuMap.code(), qemuMap.output());
        assertTrue(qemuMap.output().contains("\"length\": 8388608"), qemuMap.output());
    }

    @Test
    void nbdshReadsInChunksAsksForStatusAndFillsTheCache() throws Exception {
        String script =
                """
                h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
                h.connect_uri("%s")
                h.pwrite(b"x" * 4096, 1 << 20)
                chunks = []
                def chunk(data, offset, status, error):
                    chunks.append((offset, len(data)))
                assert h.pread_structured(512, 1 << 20, chunk, nbd.CMD_FLAG_DF) == b"x" * 512
                assert chunks == [(1 << 20, 512)], chunks
                chunks.clear()
                h.pread_structured(4 << 20, 0, chunk)
                assert len(chunks) == 32 and sum(c[1] for c in chunks) == 4 << 20, chunks
                extents = []
                h.block_status(1 << 20, 4096, lambda c, o, e, err: extents.append((c, o, e)))
                assert extents == [("base:allocation", 4096, [1 << 20, 0])], extents
                h.cache(8 << 20, 0)
                h.flush()
                h.set_strict_mode(0)
                try:
                    h.pread(100, 0)
                    assert False, "an unaligned read was answered"
                except nbd.Error as e:
                    assert e.errno == "EINVAL", e
                h.shutdown()
                """
                        .formatted(lab.uri("xvda"));
        // It takes the python3 of the path, which has to be the one of its package.
        String path = "PATH=/usr/bin:/bin";
        String nbdsh = ExternalTools.require("nbdsh", "python3-libnbd").toString();
        Ended ended = lab.execute(List.of("/usr/bin/env", path, nbdsh, "-c", script));
        assertEquals(0, ended.code(), ended.output());
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

    private static String secureUri(String export) {
        return secureUri(export, certificates.folder());
    }

    private static String secureUri(String export, Path folder) {
        return "nbds://localhost:" + port + "/" + export + "?tls-certificates=" + folder;
    }

    @Test
    void tcpPortServesEveryDiskByNameToClientsThatItKnows() throws Exception {
        Ended list = lab.tool("nbdinfo", "libnbd-bin", "--list", secureUri(""));
        assertEquals(0, list.code(), list.output());
        assertTrue(list.output().contains("with TLS"), list.output());
        Matcher sizes = Pattern.compile("export-size: (\\d+)").matcher(list.output());
        List<String> found = new ArrayList<>();
        while (sizes.find()) {
            found.add(sizes.group(1));
        }
        assertEquals(List.of("8388608", "1048576"), found);

        Ended plain = lab.tool("nbdinfo", "libnbd-bin", "nbd://localhost:" + port + "/xvda");
        assertTrue(plain.code() != 0, plain.output());
    }

    @Test
    void clientsWithoutTheRightCertificateGetNothing() throws Exception {
        TestCertificates others = new TestCertificates(dir.resolve("others"));
        assertGetsNothing(certificates.folderWithoutClient());
        assertGetsNothing(certificates.folderWithClientOf(others));
    }

    private static void assertGetsNothing(Path folder) throws Exception {
        Path copy = dir.resolve("stolen.img");
        for (Ended refused :
                List.of(
                        lab.tool("nbdinfo", "libnbd-bin", secureUri("xvda", folder)),
                        lab.tool("nbdinfo", "libnbd-bin", "--list", secureUri("", folder)),
                        lab.tool(
                                "nbdcopy",
                                "libnbd-bin",
                                secureUri("xvda", folder),
                                copy.toString()),
                        convertByQemu(folder, copy))) {
            assertTrue(refused.code() != 0, refused.output());
            assertTrue(refused.output().contains("TLS"), refused.output());
            assertFalse(refused.output().contains("export-size"), refused.output());
            assertFalse(Files.exists(copy) && Files.size(copy) > 0, "something was copied");
        }
    }

    @Test
    void nbdcopyAndQemuImgCopyThroughTls() throws Exception {
        byte[] pattern = new byte[8 << 20];
        new Random(3).nextBytes(pattern);
        Path source = Files.write(dir.resolve("secure.img"), pattern);
        Ended in = lab.tool("nbdcopy", "libnbd-bin", source.toString(), secureUri("xvda"));
        assertEquals(0, in.code(), in.output());
        assertEquals(-1, Files.mismatch(source, image), "the file has what was written");
        Path copy = dir.resolve("secure-copy.img");
        Ended out = lab.tool("nbdcopy", "libnbd-bin", secureUri("xvda"), copy.toString());
        assertEquals(0, out.code(), out.output());
        assertEquals(-1, Files.mismatch(source, copy), "what was read is what was written");
        Path qemuCopy = dir.resolve("secure-qemu.img");
        Ended qemu = convertByQemu(certificates.folder(), qemuCopy);
        assertEquals(0, qemu.code(), qemu.output());
        assertEquals(-1, Files.mismatch(source, qemuCopy), "what QEMU read is what was written");
    }

    /// Reads the disk with the certificates of a folder.
    private static Ended convertByQemu(Path folder, Path copy) throws Exception {
        return lab.tool(
                "qemu-img",
                "qemu-utils",
                "convert",
                "--object",
                "tls-creds-x509,id=t,endpoint=client,dir=" + folder,
                "--image-opts",
                "driver=nbd,host=localhost,port=" + port + ",export=xvda,tls-creds=t",
                "-O",
                "raw",
                copy.toString());
    }
}
