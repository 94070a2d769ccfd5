package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.CPrograms;
import org.splitring.testkit.ExternalTools;

/// The program as its users see it: how it starts, stops, fails, and what it leaves.
@Timeout(180)
class LabIT {
    private static final long SECONDS = 60;

    @TempDir Path dir;
    private LabUnderTest program;
    private Path run;
    private Path lab;
    private Path image;

    @BeforeEach
    void prepare() throws IOException {
        program = new LabUnderTest(dir);
        run = program.run();
        lab = program.lab();
        image = program.image("web.img", 8);
        Files.writeString(lab, "[domains.web]\ndisk = [\"web.img,raw,xvda,rw\"]\n");
    }

    @AfterEach
    void nothingStaysBehind() throws Exception {
        program.cleanUp();
    }

    /// Java writes there what it is told to, and some warnings of its own.
    @Test
    void whatJavaSaysOnAGuestsStandardOutputIsNotTakenForItsGreeting() throws Exception {
        String options = "-Dsplitring.jvm.options=";
        List<String> command =
                new ArrayList<>(
                        PackedProgram.java().stream()
                                .map(
                                        word ->
                                                word.startsWith(options)
                                                        ? word + " -Xlog:gc=info:stdout"
                                                        : word)
                                .toList());
        command.addAll(List.of("up", lab + "", "--run-dir", run + "", "--detach"));
        Ended up = program.execute(command);
        assertEquals(0, up.code(), up.output());
        assertTrue(up.output().contains("Using Serial"), up.output()); // the driver domain's
        program.down();
    }

    @Test
    void driverDomainKilledAfterAFlushLeavesEveryFlushedWrite() throws Exception {
        program.up();
        Ended io = program.qemuIo("write -P 17 0 1M", "write -P 18 4M 512k", "flush");
        assertEquals(0, io.code(), io.output());
        ProcessHandle owner = program.driverDomain();
        assertTrue(owner.destroyForcibly());
        await().atMost(PATIENCE).until(() -> !owner.isAlive());
        assertTrue(program.guest("web").destroyForcibly()); // it would wait for a successor
        await().atMost(PATIENCE).until(() -> program.processes().isEmpty());
        byte[] bytes = Files.readAllBytes(image);
        assertEquals(17, bytes[0]);
        assertEquals(17, bytes[(1 << 20) - 1]);
        assertEquals(18, bytes[4 << 20]);
        // What a killed process leaves is no hindrance.
        assertTrue(Files.exists(run.resolve("lock")));
        program.up();
        Ended again = program.qemuIo("read -P 17 0 1M", "read -P 18 4M 512k");
        assertEquals(0, again.code(), again.output());
        assertFalse(again.output().contains("failed"), again.output());
        program.down();
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
        program.up();
        ProcessHandle victim = program.guest("gone");
        assertTrue(victim.destroyForcibly());
        Path log = run.resolve("log");
        await().atMost(PATIENCE).until(() -> Files.readString(log).contains("domain gone: "));
        String said = Files.readString(log);
        assertTrue(said.contains("was killed by signal 9"), said);
        assertEquals(1, said.lines().count(), said);
        await().atMost(PATIENCE).until(() -> Files.notExists(run.resolve("gone/xvda.nbd")));
        Ended io = program.qemuIo("write -P 5 0 64k", "flush", "read -P 5 0 64k");
        assertEquals(0, io.code(), io.output());
        program.down();
    }

    /// Nobody asks for anything, so nobody polls: event channels, sockets and watches wait.
    @Test
    void idleLabUsesNoProcessor() throws Exception {
        program.up();
        List<Long> processes = pids();
        assertEquals(2, processes.size());
        // The first look sees compilers at work on what happened at the start.
        awaitAtMost(2, () -> cpuTicks(processes)); // of 200 in two seconds
        long guest = program.guest("web").pid();
        awaitAtMost(6, () -> turns(guest)); // it would be 11, see JavaCommand
        program.down();
    }

    /// Waits until a count grows by so much at most in two seconds.
    private static void awaitAtMost(long most, Callable<Long> count) throws Exception {
        long[] before = {count.call()};
        await().atMost(PATIENCE)
                .pollInterval(Duration.ofSeconds(2))
                .until(
                        () -> {
                            long last = before[0];
                            before[0] = count.call();
                            return before[0] - last <= most;
                        });
    }

    /// How often the threads of a process have come to run: the last field of their `schedstat`.
    private static long turns(long process) throws IOException {
        long turns = 0;
        try (Stream<Path> threads = Files.list(Path.of("/proc", process + "", "task"))) {
            for (Path thread : threads.toList()) {
                String stat = Files.readString(thread.resolve("schedstat")).strip();
                turns += Long.parseLong(stat.substring(stat.lastIndexOf(' ') + 1));
            }
        }
        return turns;
    }

    /// Hundredths of a second that processes have run: fields 14 and 15 of `/proc/PID/stat`.
    private static long cpuTicks(List<Long> processes) throws IOException {
        long ticks = 0;
        for (long pid : processes) {
            String stat = Files.readString(Path.of("/proc", pid + "", "stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
            ticks += Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
        }
        return ticks;
    }

    @Test
    void interruptLeavesNothing() throws Exception {
        for (String signal : new String[] {"INT", "TERM"}) {
            Path output = dir.resolve("up.txt");
            List<String> command =
                    LabUnderTest.java("up", lab.toString(), "--run-dir", run.toString());
            Process process =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start();
            await().atMost(Duration.ofSeconds(SECONDS))
                    .until(() -> Files.readString(output).contains("stop it with Ctrl-C"));
            ProcessHandle guest = program.guest("web");
            Ended io = program.qemuIo("write -P 9 0 4k");
            assertEquals(0, io.code(), io.output());
            Path kill = ExternalTools.require("kill", "procps");
            program.execute(List.of(kill.toString(), "-" + signal, Long.toString(process.pid())));
            assertTrue(process.waitFor(SECONDS, TimeUnit.SECONDS), "still running");
            assertEquals(signal.equals("INT") ? 130 : 143, process.exitValue());
            String said = Files.readString(output);
            assertTrue(said.contains("stopped"), said);
            assertFalse(said.contains("while stopping"), said);
            await().atMost(PATIENCE).until(() -> !guest.isAlive());
            assertFalse(Files.exists(run), "run directory is still there");
            assertEquals(9, Files.readAllBytes(image)[4095]);
        }
    }

    @Test
    void secondUpOnTheSameRunDirectoryAndTheSameImageAreRefused() throws Exception {
        program.up();
        long owner = program.driverDomain().pid();
        refused(lab, run, "run directory " + run + " is in use by process " + owner);
        refused(lab, dir.resolve("other"), "image " + image + " is in use by");
        Ended io = program.qemuIo("write -P 5 0 64k", "read -P 5 0 64k");
        assertEquals(0, io.code(), "the first lab was disturbed: " + io.output());
        program.down();
        Ended down = program.splitring("down", "--run-dir", run.toString());
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
        Ended usage = program.splitring("up", "--no-such-option");
        assertEquals(2, usage.code(), usage.output());
        misusedGuest("no such option: --memroy=64", "--memroy=64");
        misusedGuest("--sockets is missing", "--attach=there", "--memory=64");
        misusedGuest("not a number: few", "--attach=there", "--sockets=.", "--memory=few");
        Files.delete(bad);
        try (Stream<Path> left = Files.list(dir)) {
            assertEquals(List.of(lab, image), left.sorted().toList());
        }
    }

    private void misusedGuest(String message, String... options) throws Exception {
        List<String> words = new ArrayList<>(List.of("guest"));
        words.addAll(List.of(options));
        Ended guest = program.splitring(words.toArray(String[]::new));
        assertEquals(2, guest.code(), guest.output());
        assertTrue(guest.output().startsWith("splitring guest: " + message), guest.output());
    }

    private void refused(Path file, Path runDir, String message) throws Exception {
        List<Long> before = pids();
        Ended up = program.splitring("up", file.toString(), "--run-dir", runDir.toString());
        assertEquals(before, pids(), "guests that were started early are gone");
        assertEquals(1, up.code(), up.output());
        assertEquals(1, up.output().lines().count(), up.output());
        assertTrue(up.output().startsWith("splitring: "), up.output());
        assertTrue(up.output().contains(message), up.output());
    }

    private List<Long> pids() {
        return program.processes().stream().map(ProcessHandle::pid).sorted().toList();
    }

    @Test
    void guestsAndGarbageComeAndGoAndLeaveNothingInTheDriverDomain() throws Exception {
        program.image("free.img", 4);
        Files.writeString(
                lab,
                """
                [domains.free]
                guest = "external"
                disk = ["free.img,raw,xvda,rw"]
                [domains.web]
                disk = ["web.img,raw,xvda,rw"]
                """);
        program.up();
        long driverDomain = program.driverDomain().pid();
        writesAndReadsBack(1);
        ChildResources baseline = settled(driverDomain);

        for (int seed = 2; seed < 5; seed++) {
            try (ChildProcess killed = frontend("--load", "--depth", "16")) {
                killed.awaitProgress(50);
            } // by kill -9
            writesAndReadsBack(seed); // and detaches
            for (int sizeBytes : new int[] {1, 16, 300, 4096}) {
                assertRefused(sizeBytes);
            }
        }
        await().atMost(PATIENCE).until(() -> ChildResources.of(driverDomain).within(baseline));
        String log = Files.readString(run.resolve("log"));
        assertTrue(log.contains("broke the protocol"), log);
        assertTrue(log.lines().count() < 12, "a line for each: " + log);
        Ended io = program.qemuIo("write -P 5 0 64k", "flush", "read -P 5 0 64k");
        assertEquals(0, io.code(), "our own guest was disturbed: " + io.output());

        ProcessHandle guest = program.guest("web");
        assertTrue(guest.destroyForcibly());
        await().atMost(PATIENCE).until(() -> ChildResources.of(driverDomain).guestMappings() == 0);
        await().atMost(PATIENCE)
                .until(
                        () ->
                                ChildResources.of(driverDomain).descriptors()
                                        < baseline.descriptors());
        program.down();
    }

    private ChildProcess frontend(String... options) throws IOException {
        List<String> command = new ArrayList<>(List.of(CPrograms.frontend().toString()));
        command.addAll(List.of("--socket", run.resolve("free/attach").toString()));
        command.addAll(List.of(options));
        return ChildProcess.start("guest in C", command);
    }

    private void writesAndReadsBack(int seed) throws Exception {
        try (ChildProcess guest =
                frontend("--blocks", "100", "--seed", Integer.toString(seed), "--segments", "4")) {
            assertEquals(0, guest.await(Duration.ofSeconds(20)), guest::output);
        }
    }

    private void assertRefused(int sizeBytes) throws IOException {
        try (Arena arena = Arena.ofConfined();
                UnixSocket socket = UnixSocket.connect(run.resolve("free/attach"))) {
            MemorySegment garbage = arena.allocate(sizeBytes).fill((byte) 'g');
            assertEquals(sizeBytes, socket.send(garbage, sizeBytes));
            assertTrue(socket.awaitReadable(10_000), "neither answered nor closed");
        }
    }

    /// What it holds once that has not changed for a while, and the guest in C is not mapped.
    private static ChildResources settled(long pid) throws IOException {
        ChildResources[] last = {ChildResources.of(pid)};
        await().atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(300))
                .until(
                        () -> {
                            ChildResources before = last[0];
                            last[0] = ChildResources.of(pid);
                            return last[0].equals(before) && before.guestMappings() == 0;
                        });
        return last[0];
    }
}
