package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.CPrograms;
import org.splitring.testkit.ExternalTools;

/// A frontend in C, compiled against Xen's own headers and written from `docs/abi.md`, attaches to
/// a
/// driver domain and does checked block I/O.
@Timeout(120)
class CFrontendIT {
    private static final Pattern REPORT =
            Pattern.compile("ok requests=(\\d+) kicks=(\\d+) sleeps=(\\d+)");

    @TempDir static Path folder;

    private static DriverDomainUnderTest driverDomain;

    @BeforeAll
    static void startDriverDomain() throws Exception {
        Path image = DriverDomainUnderTest.image(folder, "disk.img", 32 << 20);
        driverDomain = new DriverDomainUnderTest(folder.resolve("run"), List.of("web:" + image));
    }

    @AfterAll
    static void stopDriverDomain() {
        if (driverDomain != null) {
            driverDomain.close();
        }
    }

    @ParameterizedTest(name = "ring order {0}, {1} segments, {2} at a time")
    @CsvSource({"0, 11, 32", "1, 1, 64", "2, 4, 1", "3, 7, 200", "4, 11, 512"})
    void writesFlushesAndReadsBackThroughRingsOfEverySize(int order, int segments, int depth)
            throws Exception {
        Matcher report =
                run(
                        "--order",
                        Integer.toString(order),
                        "--segments",
                        Integer.toString(segments),
                        "--depth",
                        Integer.toString(depth),
                        "--blocks",
                        "600",
                        "--seed",
                        Integer.toString(order + 100));
        assertEquals("1201", report.group(1)); // each block written and read, one flush
        assertTrue(Integer.parseInt(report.group(3)) > 0, "never slept");
    }

    @Test
    void randomLoadIsAnsweredAsWritten() throws Exception {
        try (ChildProcess guest =
                driverDomain.frontend("web", "--load", "--order", "1", "--segments", "3")) {
            guest.awaitProgress(5000);
            guest.endInput();
            assertEquals(0, guest.await(Duration.ofSeconds(20)), guest::output);
        }
    }

    @Test
    void findsItsDiskOverTheXenstorePageAlone() throws Exception {
        // Twice: the page of the next guest is served from its beginning.
        run("--store-page", "--blocks", "64", "--segments", "4", "--seed", "7");
        run("--store-page", "--order", "2", "--blocks", "64", "--segments", "2", "--seed", "8");
    }

    /// The same way in a guest of ours: its disk is connected when it says that it is ready.
    @Test
    void aJavaGuestFindsItsDiskOverTheXenstorePageToo() throws Exception {
        Path sockets = Files.createDirectories(folder.resolve("java-guest"));
        try (ChildProcess guest =
                ChildProcess.java(
                        "guest",
                        Splitring.class,
                        List.of(
                                "guest",
                                "--attach=" + driverDomain.socket("web"),
                                "--memory=16",
                                "--sockets=" + sockets,
                                "--xenstore=PAGE"))) {
            guest.awaitLine(GuestCommand.READY);
            assertTrue(Files.exists(sockets.resolve("xvda.nbd")));
        }
    }

    /// The socket's file would let anybody in: it is the driver domain that looks who it is.
    @Test
    void anotherUserMayNotAttach() throws Exception {
        Assumptions.assumeTrue(
                UnixSocket.effectiveUser() == 0, "only root can become another user");
        Path setpriv = ExternalTools.require("setpriv", "util-linux");
        Path socket = driverDomain.socket("web");
        Path program = Files.copy(CPrograms.frontend(), folder.resolve("cfront"));
        for (Path open : List.of(folder, folder.resolve("run"), socket.resolveSibling(""))) {
            Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxr-xr-x"));
        }
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwxr-xr-x"));
        Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-rw-rw-"));
        List<String> command =
                List.of(program.toString(), "--socket", socket.toString(), "--blocks", "16");
        List<String> asNobody =
                new ArrayList<>(
                        List.of(
                                setpriv.toString(),
                                "--reuid=65534",
                                "--regid=65534",
                                "--clear-groups"));
        asNobody.addAll(command);
        try (ChildProcess nobody = ChildProcess.start("nobody", asNobody)) {
            assertEquals(5, nobody.await(Duration.ofSeconds(20)), nobody::output);
            assertTrue(
                    nobody.output().contains("attach refused: Permission denied"), nobody::output);
        }
        try (ChildProcess owner = ChildProcess.start("owner", command)) {
            assertEquals(0, owner.await(Duration.ofSeconds(20)), owner::output);
        }
    }

    @Test
    void theImageIsWhatTheFrontendWrote() throws Exception {
        Path file = folder.resolve("disk.img");
        run("--blocks", "100", "--segments", "2", "--seed", "4242");
        WriteHistory history = new WriteHistory();
        for (int block = 0; block < 100; block++) {
            history.note("W", Integer.toString(block), "1");
            history.note("w", Integer.toString(block), "1");
        }
        assertEquals(List.of(), history.broken(file, 4242, 16));
    }

    private static Matcher run(String... options) throws Exception {
        try (ChildProcess guest = driverDomain.frontend("web", options)) {
            int exit = guest.await(Duration.ofSeconds(30));
            assertEquals(0, exit, guest::output);
            Matcher report = REPORT.matcher(guest.output());
            assertTrue(report.find(), guest::output);
            return report;
        }
    }
}
