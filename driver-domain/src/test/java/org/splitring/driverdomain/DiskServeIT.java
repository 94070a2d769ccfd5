package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// `disk serve`: images over NBD without a guest, used by the clients of others.
@Timeout(180)
class DiskServeIT {
    private static final int SIGTERM_STATUS = 128 + 15;
    private static final String SERVING = "serving ";
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    @TempDir Path dir;
    private LabUnderTest tools;
    private Path image;
    private Path socket;
    private String uri;
    private final List<ChildProcess> servers = new ArrayList<>();

    @BeforeEach
    void makeImage() throws Exception {
        tools = new LabUnderTest(dir);
        image = tools.image("disk.img", 8);
        socket = dir.resolve("disk.nbd");
        uri = "nbd+unix:///?socket=" + socket;
    }

    @AfterEach
    void stop() {
        servers.forEach(ChildProcess::close);
    }

    /// Begins to serve an image, and waits until it is so.
    ///
    /// @param words behind `disk serve`
    private ChildProcess serve(String... words) throws Exception {
        List<String> command = LabUnderTest.java("disk", "serve");
        command.addAll(List.of(words));
        ChildProcess server = ChildProcess.start("disk serve", command);
        servers.add(server);
        server.awaitLine(SERVING);
        return server;
    }

    private ChildProcess serveRaw() throws Exception {
        return serve("-f", "raw", image + "", "--socket", socket + "");
    }

    /// Tells it to stop, which it does without a complaint; its status says that it was told to.
    private void stop(ChildProcess server) throws Exception {
        assertTrue(ProcessHandle.of(server.pid()).orElseThrow().destroy());
        assertEquals(SIGTERM_STATUS, server.await(PATIENCE), server.output());
        assertEquals(1, server.lineCount(), server.output());
        assertFalse(Files.exists(socket), "socket file of a server that has ended");
    }

    private void succeeds(String program, String debianPackage, String... arguments)
            throws Exception {
        Ended ended = tools.tool(program, debianPackage, arguments);
        assertEquals(0, ended.code(), ended.output());
    }

    @Test
    void whatClientsWriteIsInTheFileAndWhatIsThereTheyRead() throws Exception {
        ChildProcess server = serveRaw();
        tools.io(uri, "write -P 17 100k 900k", "read -P 17 100k 900k", "read -P 0 1M 1M");
        tools.io(uri, "write -P 18 4097k 513k", "write -z 4M 64k", "discard 200k 64k", "flush");
        succeeds(
                "fio",
                "fio",
                "--name=verify",
                "--ioengine=nbd",
                "--uri=" + uri,
                "--rw=randwrite",
                "--bsrange=4k-256k",
                "--size=8m",
                "--iodepth=16",
                "--verify=crc32c",
                "--randseed=7");
        byte[] pattern = new byte[8 << 20];
        new Random(3).nextBytes(pattern);
        Path source = Files.write(dir.resolve("source.img"), pattern);
        succeeds("nbdcopy", "libnbd-bin", "--flush", source.toString(), uri);
        assertEquals(-1, Files.mismatch(source, image), "the file has what nbdcopy wrote");
        Path copy = dir.resolve("copy.img");
        succeeds("nbdcopy", "libnbd-bin", uri, copy.toString());
        assertEquals(-1, Files.mismatch(source, copy), "nbdcopy read what is there");
        stop(server);
        assertEquals(-1, Files.mismatch(source, image));
    }

    @Test
    void aQcow2ImageStaysClean() throws Exception {
        Path qcow2 = dir.resolve("disk.qcow2");
        assertEquals(
                0, tools.splitring("disk", "create", "-f", "qcow2", qcow2 + "", "8MiB").code());
        ChildProcess server = serve("-f", "qcow2", qcow2 + "", "--socket", socket + "");
        List<String> commands =
                List.of(
                        "write -P 17 100k 900k",
                        "write -P 18 4097k 513k",
                        "discard 2M 1M",
                        "write -z 512k 64k",
                        "write -P 19 0 4k");
        tools.io(uri, commands.toArray(String[]::new));
        stop(server);
        for (String command : commands) {
            succeeds("qemu-io", "qemu-utils", "-f", "raw", "-c", command, image.toString());
        }
        succeeds("qemu-img", "qemu-utils", "check", "-f", "qcow2", qcow2 + "");
        succeeds(
                "qemu-img",
                "qemu-utils",
                "compare",
                "-f",
                "raw",
                "-F",
                "qcow2",
                image + "",
                qcow2 + "");
    }

    @Test
    void n26_oneWriterOrManyReaders() throws Exception {
        ChildProcess writer = serveRaw();
        Ended second =
                tools.splitring("disk", "serve", "-f", "raw", image + "", "--socket", dir + "/2");
        assertEquals(1, second.code(), second.output());
        assertEquals(1, second.output().lines().count(), second.output());
        assertTrue(second.output().contains(image + " is in use by"), second.output());
        assertTrue(second.output().contains("" + writer.pid()), second.output());
        stop(writer);

        String[] readOnly = {"-f", "raw", "-r", image + "", "--socket", socket + ""};
        serve(readOnly);
        readOnly[5] = dir + "/2";
        serve(readOnly);
        for (String export : List.of(uri, "nbd+unix:///?socket=" + dir + "/2")) {
            succeeds("qemu-io", "qemu-utils", "-r", "-f", "raw", "-c", "read -P 0 0 8M", export);
            Ended info = tools.tool("nbdinfo", "libnbd-bin", export);
            assertTrue(info.output().contains("is_read_only: true"), info.output());
            assertTrue(info.output().contains("can_flush: false"), info.output());
        }
    }

    /// A write that is answered is in the kernel, whatever becomes of the server.
    @Test
    void whatWasAnsweredOutlivesTheServer() throws Exception {
        ChildProcess server = serveRaw();
        tools.io(uri, "write -P 17 0 8M", "write -P 18 1M 1M");
        server.kill();
        succeeds(
                "qemu-io",
                "qemu-utils",
                "-f",
                "raw",
                "-c",
                "read -P 17 2M 6M",
                "-c",
                "read -P 18 1M 1M",
                image.toString());
        Files.delete(socket); // nobody was there to do it
        serveRaw();
        tools.io(uri, "read -P 17 0 1M", "read -P 18 1M 1M");
    }

    @Test
    void aPortTakesClientsThatBeginWithTlsByTheNameOfTheExport() throws Exception {
        TestCertificates certificates = new TestCertificates(dir.resolve("tls"));
        ChildProcess server =
                serve(
                        "-f",
                        "raw",
                        image + "",
                        "--port",
                        "0",
                        "--name",
                        "the disk",
                        "--tls-certificate",
                        certificates.file("server-cert.pem") + "",
                        "--tls-key",
                        certificates.file("server-key.pem") + "",
                        "--tls-client-ca",
                        certificates.file("ca-cert.pem") + "");
        String said = server.output();
        String secure = said.substring(said.indexOf("nbds://"));
        assertTrue(secure.endsWith("/the%20disk"), secure);
        Path copy = dir.resolve("copy.img");
        succeeds(
                "nbdcopy",
                "libnbd-bin",
                secure + "?tls-certificates=" + certificates.folder(),
                copy.toString());
        assertEquals(-1, Files.mismatch(image, copy));
        byte[] pattern = new byte[8 << 20];
        new Random(5).nextBytes(pattern);
        Files.write(copy, pattern);
        succeeds(
                "nbdcopy",
                "libnbd-bin",
                copy.toString(),
                secure + "?tls-certificates=" + certificates.folder());
        assertEquals(-1, Files.mismatch(image, copy), "what came in encrypted");
        Ended plain = tools.tool("nbdinfo", "libnbd-bin", secure.replace("nbds:", "nbd:"));
        assertTrue(plain.code() != 0, plain.output());
    }

    /// A writing client is there when it is told to stop: what it was answered is in the file.
    @Test
    void itStopsWhileAClientWrites() throws Exception {
        ChildProcess server = serveRaw();
        Process client =
                new ProcessBuilder(
                                ExternalTools.require("fio", "fio").toString(),
                                "--name=load",
                                "--ioengine=nbd",
                                "--uri=" + uri,
                                "--rw=write",
                                "--bs=4k",
                                "--size=8m",
                                "--iodepth=8",
                                "--time_based",
                                "--runtime=30",
                                "--buffer_pattern=0x11")
                        .directory(dir.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(dir.resolve("fio.log").toFile())
                        .start();
        try {
            await().atMost(PATIENCE).until(() -> Files.readAllBytes(image)[4096] == 0x11);
            stop(server);
        } finally {
            client.destroyForcibly().waitFor(20, TimeUnit.SECONDS);
        }
        byte[] content = Files.readAllBytes(image);
        assertEquals(0x11, content[4096]);
        assertEquals(8 << 20, content.length);
    }
}
