package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// The program as its users see it: processes, files, third-party NBD clients.
@Timeout(180)
class LabIT {
    private static final long SECONDS = 60;
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    @TempDir Path dir;
    private Path run;
    private Path lab;
    private Path image;

    /// What a program said, and how it ended.
    record Ended(int code, String output) {}

    @BeforeEach
    void prepare() throws IOException {
        run = dir.resolve("run");
        lab = dir.resolve("lab.toml");
        image = dir.resolve("web.img");
        Files.write(image, new byte[8 << 20]);
        Files.writeString(lab, "[domains.web]\ndisk = [\"web.img,raw,xvda,rw\"]\n");
    }

    @AfterEach
    void nothingStaysBehind() throws Exception {
        if (RunDirectory.owner(run).isPresent()) {
            splitring("down", "--run-dir", run.toString());
        }
        await().atMost(PATIENCE).until(() -> ours().isEmpty());
    }

    private static List<String> java(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        command.add(Splitring.class.getName());
        command.addAll(List.of(arguments));
        return command;
    }

    private Ended splitring(String... arguments) throws Exception {
        return execute(java(arguments));
    }

    private Ended execute(List<String> command) throws Exception {
        Path output = Files.createTempFile(dir, "output", ".txt");
        Process process =
                new ProcessBuilder(command)
                        .directory(dir.toFile()) // fio leaves a file where it runs
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start();
        boolean ended = process.waitFor(SECONDS, TimeUnit.SECONDS);
        String said = Files.readString(output, StandardCharsets.UTF_8);
        Files.delete(output);
        if (!ended) {
            process.destroyForcibly();
            throw new AssertionError(command.getLast() + " did not end: " + said);
        }
        return new Ended(process.exitValue(), said);
    }

    private Ended tool(String program, String debianPackage, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(ExternalTools.require(program, debianPackage).toString());
        command.addAll(List.of(arguments));
        return execute(command);
    }

    private Ended qemuIo(String... commands) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("-f", "raw"));
        for (String command : commands) {
            arguments.addAll(List.of("-c", command));
        }
        arguments.add(uri());
        return tool("qemu-io", "qemu-utils", arguments.toArray(String[]::new));
    }

    private String uri() {
        return "nbd+unix:///?socket=" + run.resolve("web/xvda.nbd");
    }

    private void up() throws Exception {
        Ended up = splitring("up", lab.toString(), "--run-dir", run.toString(), "--detach");
        assertEquals(0, up.code(), up.output());
        assertTrue(up.output().contains("nbdinfo 'nbd+unix:///?socket="), up.output());
    }

    private void down() throws Exception {
        Ended down = splitring("down", "--run-dir", run.toString());
        assertEquals(0, down.code(), down.output());
        assertEquals(List.of(), left(run));
    }

    /// What is in a folder; nothing when it is not there.
    private static List<Path> left(Path folder) throws IOException {
        if (Files.notExists(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }

    /// Processes of this test's run directory.
    private List<ProcessHandle> ours() {
        try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
            return all.filter(process -> commandLine(process).contains(dir + "/")).toList();
        }
    }

    private static String commandLine(ProcessHandle process) {
        try {
            return Files.readString(Path.of("/proc", process.pid() + "", "cmdline"));
        } catch (IOException e) {
            return ""; // it has ended
        }
    }

    private ProcessHandle guest() {
        return ours().stream()
                .filter(process -> commandLine(process).contains("\0guest\0"))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void clientsOfOthersWriteAndReadTheFileThroughTheRing() throws Exception {
        up();
        Ended info = tool("nbdinfo", "libnbd-bin", uri());
        assertEquals(0, info.code(), info.output());
        assertTrue(info.output().contains("export-size: 8388608"), info.output());

        byte[] pattern = new byte[8 << 20];
        new Random(1).nextBytes(pattern);
        Path source = dir.resolve("source.img");
        Files.write(source, pattern);
        Ended in =
                tool(
                        "qemu-img",
                        "qemu-utils",
                        "convert",
                        "-n",
                        "-f",
                        "raw",
                        "-O",
                        "raw",
                        source.toString(),
                        uri());
        assertEquals(0, in.code(), in.output());
        assertEquals(-1, Files.mismatch(source, image), "the file has what was written");
        Ended compare =
                tool(
                        "qemu-img",
                        "qemu-utils",
                        "compare",
                        "-f",
                        "raw",
                        "-F",
                        "raw",
                        source.toString(),
                        uri());
        assertEquals(0, compare.code(), compare.output());
        Path copy = dir.resolve("copy.img");
        Ended out = tool("nbdcopy", "libnbd-bin", uri(), copy.toString());
        assertEquals(0, out.code(), out.output());
        assertEquals(-1, Files.mismatch(source, copy), "what was read is what was written");
        down();
    }

    @Test
    void fioVerifiesWhatItWrites() throws Exception {
        up();
        Ended fio =
                tool(
                        "fio",
                        "fio",
                        "--name=verify",
                        "--ioengine=nbd",
                        "--uri=" + uri(),
                        "--rw=randwrite",
                        "--bsrange=4k-256k",
                        "--size=8m",
                        "--iodepth=16",
                        "--verify=crc32c",
                        "--randseed=7");
        assertEquals(0, fio.code(), fio.output());
        down();
    }

    @Test
    void driverDomainKilledAfterAFlushLeavesEveryFlushedWrite() throws Exception {
        up();
        Ended io = qemuIo("write -P 17 0 1M", "write -P 18 4M 512k", "flush");
        assertEquals(0, io.code(), io.output());
        ProcessHandle owner = RunDirectory.owner(run).orElseThrow();
        assertTrue(owner.destroyForcibly());
        await().atMost(PATIENCE).until(() -> ours().isEmpty()); // the guest ends by itself
        byte[] bytes = Files.readAllBytes(image);
        assertEquals(17, bytes[0]);
        assertEquals(17, bytes[(1 << 20) - 1]);
        assertEquals(18, bytes[4 << 20]);
        // What a killed process leaves is no hindrance.
        assertTrue(Files.exists(run.resolve("lock")));
        up();
        Ended again = qemuIo("read -P 17 0 1M", "read -P 18 4M 512k");
        assertEquals(0, again.code(), again.output());
        assertFalse(again.output().contains("failed"), again.output());
        down();
    }

    @Test
    void killedGuestIsReportedAndTheOthersGoOn() throws Exception {
        Files.write(dir.resolve("b.img"), new byte[1 << 20]);
        Files.writeString(
                lab,
                """
                [domains.gone]
                disk = ["b.img,raw,xvda,rw"]
                [domains.web]
                disk = ["web.img,raw,xvda,rw"]
                """);
        up();
        ProcessHandle victim =
                ours().stream()
                        .filter(process -> commandLine(process).contains("/gone/attach"))
                        .findFirst()
                        .orElseThrow();
        assertTrue(victim.destroyForcibly());
        Path log = run.resolve("log");
        await().atMost(PATIENCE).until(() -> Files.readString(log).contains("domain gone: "));
        String said = Files.readString(log);
        assertTrue(said.contains("was killed by signal 9"), said);
        assertEquals(1, said.lines().count(), said);
        await().atMost(PATIENCE).until(() -> Files.notExists(run.resolve("gone/xvda.nbd")));
        Ended io = qemuIo("write -P 5 0 64k", "flush", "read -P 5 0 64k");
        assertEquals(0, io.code(), io.output());
        down();
    }

    @Test
    void interruptLeavesNothing() throws Exception {
        for (String signal : new String[] {"INT", "TERM"}) {
            Path output = dir.resolve("up.txt");
            List<String> command = java("up", lab.toString(), "--run-dir", run.toString());
            Process process =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start();
            await().atMost(Duration.ofSeconds(SECONDS))
                    .until(() -> Files.readString(output).contains("stop it with Ctrl-C"));
            ProcessHandle guest = guest();
            Ended io = qemuIo("write -P 9 0 4k");
            assertEquals(0, io.code(), io.output());
            Path kill = ExternalTools.require("kill", "procps");
            execute(List.of(kill.toString(), "-" + signal, Long.toString(process.pid())));
            assertTrue(process.waitFor(SECONDS, TimeUnit.SECONDS), "still running");
            String said = Files.readString(output);
            assertTrue(said.contains("stopped"), said);
            assertFalse(said.contains("while stopping"), said);
            await().atMost(PATIENCE).until(() -> !guest.isAlive());
            assertFalse(Files.exists(run), "run directory is still there");
            assertEquals(9, Files.readAllBytes(image)[4095]);
        }
    }

    @Test
    void readOnlyDiskCannotBeWritten() throws Exception {
        Files.writeString(lab, "[domains.web]\ndisk = [\"web.img,raw,xvda,ro\"]\n");
        up();
        Ended info = tool("nbdinfo", "libnbd-bin", uri());
        assertTrue(info.output().contains("is_read_only: true"), info.output());
        Ended write = qemuIo("write -P 7 0 4k");
        assertTrue(write.code() != 0 || write.output().contains("failed"), write.output());
        Ended read =
                tool("qemu-io", "qemu-utils", "-r", "-f", "raw", "-c", "read -P 0 0 1M", uri());
        assertEquals(0, read.code(), read.output());
        assertEquals(0, Files.readAllBytes(image)[0]);
        down();
    }

    @Test
    void secondUpOnTheSameRunDirectoryAndTheSameImageAreRefused() throws Exception {
        up();
        long owner = RunDirectory.owner(run).orElseThrow().pid();
        refused(lab, run, "run directory " + run + " is in use by process " + owner);
        refused(lab, dir.resolve("other"), "image " + image + " is in use by");
        Ended io = qemuIo("write -P 5 0 64k", "read -P 5 0 64k");
        assertEquals(0, io.code(), "the first lab was disturbed: " + io.output());
        down();
        Ended down = splitring("down", "--run-dir", run.toString());
        assertEquals(1, down.code());
        assertEquals("splitring: nothing runs in run directory " + run + "\n", down.output());
    }

    @Test
    void badInputIsOneLineAndLeavesNothing() throws Exception {
        refused(dir.resolve("none.toml"), run, "none.toml: no such file");
        Path bad = dir.resolve("bad.toml");
        Files.writeString(bad, "[domains.web]\nmemroy = 64\n");
        refused(bad, run, "bad.toml:2: domains.web.memroy: unknown key (did you mean memory?)");
        Files.writeString(bad, "[domains.web]\ndisk = [\"no.img,raw,xvda\"]\n");
        refused(bad, run, "bad.toml:2: domains.web.disk: image " + dir.resolve("no.img"));
        Files.writeString(bad, "[domains.web]\ndisk = [\"" + dir + ",raw,xvda\"]\n");
        refused(bad, run, "image " + dir + " is a folder");
        Path deep = dir.resolve("d".repeat(120));
        refused(lab, deep, "bytes, the limit is 107: choose a shorter --run-dir");
        try (ServerSocket busy = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Files.writeString(
                    bad,
                    "[domains.web]\ndisk = [\"new.img,raw,xvda\"]\nexport = \"tcp:"
                            + busy.getLocalPort()
                            + "\"\n[images]\n\"new.img\" = { size = \"1M\" }\n");
            refused(bad, run, "bad.toml:3: domains.web.export: tcp port " + busy.getLocalPort());
        }
        Files.delete(bad);
        try (Stream<Path> left = Files.list(dir)) {
            assertEquals(List.of(lab, image), left.sorted().toList());
        }
    }

    private void refused(Path file, Path runDir, String message) throws Exception {
        Ended up = splitring("up", file.toString(), "--run-dir", runDir.toString());
        assertEquals(1, up.code(), up.output());
        assertEquals(1, up.output().lines().count(), up.output());
        assertTrue(up.output().startsWith("splitring: "), up.output());
        assertTrue(up.output().contains(message), up.output());
    }

    @Test
    void tcpPortServesEveryDiskByName() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        Files.write(dir.resolve("b.img"), new byte[1 << 20]);
        Files.writeString(
                lab,
                "[domains.web]\ndisk = [\"web.img,raw,xvda\", \"b.img,raw,xvdb\"]\nexport = \"tcp:"
                        + port
                        + "\"\n");
        up();
        Ended list = tool("nbdinfo", "libnbd-bin", "--list", "nbd://localhost:" + port);
        assertEquals(0, list.code(), list.output());
        Matcher sizes = Pattern.compile("export-size: (\\d+)").matcher(list.output());
        List<String> found = new ArrayList<>();
        while (sizes.find()) {
            found.add(sizes.group(1));
        }
        assertEquals(List.of("8388608", "1048576"), found);
        down();
    }
}
