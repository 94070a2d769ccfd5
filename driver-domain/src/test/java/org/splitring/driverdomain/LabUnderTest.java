package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.ExternalTools;

/// The program in processes of its own, a lab file `lab.toml` in a folder, and clients of others.
final class LabUnderTest {
    static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final long SECONDS = 60;

    private final Path dir;
    private final Path run;
    private final Path lab;

    /// What a program said, and how it ended.
    record Ended(int code, String output) {}

    LabUnderTest(Path dir) {
        this.dir = dir;
        run = dir.resolve("run");
        lab = dir.resolve("lab.toml");
    }

    Path run() {
        return run;
    }

    Path lab() {
        return lab;
    }

    Path image(String name, int sizeMib) throws IOException {
        return Files.write(dir.resolve(name), new byte[sizeMib << 20]);
    }

    static List<String> java(String... arguments) {
        List<String> command = PackedProgram.java();
        command.addAll(List.of(arguments));
        return command;
    }

    Ended splitring(String... arguments) throws Exception {
        return execute(java(arguments));
    }

    Ended execute(List<String> command) throws Exception {
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

    Ended tool(String program, String debianPackage, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(ExternalTools.require(program, debianPackage).toString());
        command.addAll(List.of(arguments));
        return execute(command);
    }

    /// Commands of `qemu-io` on the disk `web/xvda`.
    Ended qemuIo(String... commands) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("-f", "raw"));
        for (String command : commands) {
            arguments.addAll(List.of("-c", command));
        }
        arguments.add(uri("xvda"));
        return tool("qemu-io", "qemu-utils", arguments.toArray(String[]::new));
    }

    /// A disk of the domain `web`.
    String uri(String vdev) {
        return uri("web", vdev);
    }

    String uri(String domain, String vdev) {
        return "nbd+unix:///?socket=" + run.resolve(domain + "/" + vdev + ".nbd");
    }

    /// Runs commands of `qemu-io`, each for itself; reads find what they expect.
    void io(String uri, String... commands) throws Exception {
        for (String command : commands) {
            Ended ended = tool("qemu-io", "qemu-utils", "-f", "raw", "-c", command, uri);
            assertEquals(0, ended.code(), ended.output());
            assertFalse(ended.output().contains("verification failed"), ended.output());
        }
    }

    void up() throws Exception {
        Ended up = splitring("up", lab.toString(), "--run-dir", run.toString(), "--detach");
        assertEquals(0, up.code(), up.output());
        assertTrue(up.output().contains("nbdinfo 'nbd+unix:///?socket="), up.output());
    }

    /// Skips tests that need networks where there can be none.
    static void requireNetworks() {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: network namespaces and TAPs");
        }
        ExternalTools.require("ip", "iproute2");
        ExternalTools.require("ping", "iputils-ping");
    }

    /// Starts a lab in the background.
    ///
    /// @return what `up` says
    String up(String text) throws Exception {
        Files.writeString(lab, text);
        Ended up = splitring("up", lab.toString(), "--run-dir", run.toString(), "--detach");
        assertEquals(0, up.code(), up.output());
        return up.output();
    }

    /// A command of ours, in this process: what it says, and that it ends so.
    String command(int code, String... words) {
        List<String> all = new ArrayList<>(List.of(words));
        all.addAll(1, List.of("--run-dir", run.toString()));
        StringWriter said = new StringWriter();
        PrintWriter out = new PrintWriter(said, true);
        int ended =
                Splitring.commandLine().setOut(out).setErr(out).execute(all.toArray(String[]::new));
        assertEquals(code, ended, said::toString);
        return said.toString();
    }

    /// Makes the running lab another one.
    ///
    /// @return what `reload` says, which ends so
    String reload(int code, String text) throws IOException {
        Files.writeString(lab, text);
        return command(code, "reload");
    }

    /// The command line that runs a program inside a guest.
    static List<String> line(String domain, String... program) {
        List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", "splitring-" + domain));
        all.addAll(List.of(program));
        return all;
    }

    /// Runs a program in some namespace, which must succeed, and hands on what it says.
    interface Place {
        String run(String... program) throws Exception;
    }

    Place in(String domain) {
        return program -> {
            Ended ended = inside(domain, program);
            assertEquals(0, ended.code(), ended.output());
            return ended.output();
        };
    }

    /// Asserts that nothing is lost. After its last question `ping` waits for two of the longest
    /// round trips, or an interval if that is longer, and takes an answer that is late on a busy
    /// machine for one that is lost. The kernel counts answers whenever they come: so it is asked.
    /// Nobody else may ping from there meanwhile.
    ///
    /// @param ping the options and the address
    static void pingsWithoutLoss(Place place, String... ping) throws Exception {
        long before = unanswered(place);
        List<String> command = new ArrayList<>(List.of("ping"));
        command.addAll(List.of(ping));
        String said = place.run(command.toArray(String[]::new));
        assertFalse(said.contains("duplicates"), said);
        if (!said.contains(" 0% packet loss")) {
            await(said).atMost(PATIENCE).until(() -> unanswered(place) == before);
        }
    }

    /// How many questions of a namespace's pings have had no answer so far.
    private static long unanswered(Place place) throws Exception {
        String[] kinds = null;
        long count = 0;
        for (String line : place.run("cat", "/proc/net/snmp", "/proc/net/snmp6").lines().toList()) {
            String[] words = line.split("\\s+", -1);
            if (words[0].equals("Icmp6OutEchos")) {
                count += Long.parseLong(words[1]);
            } else if (words[0].equals("Icmp6InEchoReplies")) {
                count -= Long.parseLong(words[1]);
            } else if (words[0].equals("Icmp:") && kinds == null) {
                kinds = words;
            } else if (words[0].equals("Icmp:")) {
                List<String> names = List.of(kinds);
                count += Long.parseLong(words[names.indexOf("OutEchos")]);
                count -= Long.parseLong(words[names.indexOf("InEchoReps")]);
            }
        }
        return count;
    }

    Ended inside(String domain, String... program) throws Exception {
        return execute(line(domain, program));
    }

    void down() throws Exception {
        command(0, "down");
        assertEquals(List.of(), left(run));
        assertEquals(List.of(), processes());
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

    /// Processes that run in this folder. One that has ended has no command line any more.
    List<ProcessHandle> processes() {
        try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
            return all.filter(process -> commandLine(process).contains(dir + "/")).toList();
        }
    }

    static String commandLine(ProcessHandle process) {
        try {
            return Files.readString(Path.of("/proc", process.pid() + "", "cmdline"));
        } catch (IOException e) {
            return ""; // it has ended
        }
    }

    /// The process of a guest that the lab has started.
    ProcessHandle guest(String domain) {
        return processes().stream()
                .filter(process -> commandLine(process).contains("\0guest\0"))
                .filter(process -> commandLine(process).contains("/" + domain + "/attach"))
                .findFirst()
                .orElseThrow();
    }

    ProcessHandle driverDomain() throws IOException {
        return RunDirectory.owner(run).flatMap(ProcessIdentity::handle).orElseThrow();
    }

    /// Stops what a failed test has left running.
    void cleanUp() throws Exception {
        if (RunDirectory.owner(run).isPresent() || !RunDirectory.livingGuests(run).isEmpty()) {
            command(0, "down");
        }
        await().atMost(PATIENCE).until(() -> processes().isEmpty());
    }
}
