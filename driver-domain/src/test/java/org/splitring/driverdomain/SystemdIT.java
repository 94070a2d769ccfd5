package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.ExternalTools;

/// The units for labs at boot, run by a systemd that is the first process of namespaces of its own.
/// There the program is in `/opt/splitring`, and nothing else is started.
@Timeout(300)
class SystemdIT {
    private static final Path UNITS = Path.of("src/main/dist").toAbsolutePath();
    private static final String SYSTEMD = "/lib/systemd/systemd";

    /// Gives the manager a part of each tree of control groups, as it had none above it.
    private static final String OUTER =
            """
            set -eu
            for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
              [ -w $tree/cgroup.procs ] || continue
              mkdir $tree/$GROUP
              echo $$ >$tree/$GROUP/cgroup.procs
            done
            exec unshare --kill-child --pid --fork --mount --uts --ipc --cgroup sh $DIR/inner.sh
            """;

    private static final String INNER =
            """
            set -eu
            mount --make-rprivate /
            mount -t proc proc /proc
            mount -t tmpfs tmpfs /run
            mount -t tmpfs tmpfs /opt
            mkdir -p /opt/splitring /run/etc/upper /run/etc/work
            cp $DIR/splitring /opt/splitring/splitring
            mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work etc /etc
            rm -rf /etc/splitring # in the overlay
            cp -r $DIR/labs /etc/splitring
            exec env -i container=other PATH="$PATH" SYSTEMD_UNIT_PATH=$DIR/units \\
              SYSTEMD --system --unit=multi-user.target --log-target=console
            """;

    @TempDir Path dir;
    private String group;
    private LabUnderTest tools;
    private @Nullable ChildProcess manager;
    private String systemd = ""; // its process

    @BeforeEach
    void startManager() throws Exception {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: a systemd of its own");
        }
        ExternalTools.requireFile(SYSTEMD, "systemd");
        ExternalTools.require("systemctl", "systemd");
        ExternalTools.require("unshare", "util-linux");
        ExternalTools.require("qemu-io", "qemu-utils");
        tools = new LabUnderTest(dir);
        group = "splitring-test-" + ProcessHandle.current().pid();
        Path units = Files.createDirectories(dir.resolve("units"));
        for (String unit : List.of("splitring-lab@.service", "splitring-labs.service")) {
            Files.copy(UNITS.resolve(unit), units.resolve(unit));
            Path added = Files.createDirectory(units.resolve(unit + ".d")).resolve("said.conf");
            Files.writeString(
                    added, "[Service]\nStandardOutput=append:/run/said\nStandardError=inherit\n");
        }
        for (String target : List.of("multi-user", "basic", "sysinit", "network", "shutdown")) {
            Files.writeString(units.resolve(target + ".target"), "[Unit]\nDescription=a target\n");
        }
        Files.createDirectories(dir.resolve("labs/labs"));
        Files.createDirectories(dir.resolve("labs/auto"));
        String program =
                PackedProgram.java().stream()
                        .map(word -> "'" + word + "'")
                        .collect(Collectors.joining(" "));
        Path script =
                Files.writeString(
                        dir.resolve("splitring"), "#!/bin/sh\nexec " + program + " \"$@\"\n");
        assertTrue(script.toFile().setExecutable(true));
    }

    private void start() throws Exception {
        Files.writeString(dir.resolve("inner.sh"), text(INNER));
        Path outer = Files.writeString(dir.resolve("outer.sh"), text(OUTER));
        ChildProcess started = ChildProcess.start("systemd", List.of("sh", outer.toString()));
        manager = started;
        await().atMost(PATIENCE).until(() -> isThere(started));
    }

    private String text(String script) {
        return script.replace("$DIR", dir.toString())
                .replace("$GROUP", group)
                .replace("SYSTEMD --", SYSTEMD + " --");
    }

    private boolean isThere(ChildProcess started) {
        assertTrue(started.isAlive(), started::output);
        systemd =
                ProcessHandle.of(started.pid()).stream()
                        .flatMap(ProcessHandle::children)
                        .map(child -> Long.toString(child.pid()))
                        .findFirst()
                        .orElse("");
        return Files.exists(Path.of("/proc", systemd, "root/run/systemd/private"));
    }

    @AfterEach
    void nothingStaysBehind() throws Exception {
        ChildProcess started = manager;
        if (started != null) {
            started.close();
            assertEquals(0, started.lineCount(), started::output);
        }
        for (String tree : List.of("systemd/", "unified/", "")) {
            Path folder = Path.of("/sys/fs/cgroup/" + tree + group);
            if (Files.isDirectory(folder)) {
                await().atMost(PATIENCE).until(() -> isRemoved(folder));
            }
        }
    }

    private static boolean isRemoved(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            List<Path> folders = new ArrayList<>(all.filter(Files::isDirectory).toList());
            for (Path each : folders.reversed()) {
                if (!each.toFile().delete()) {
                    return false; // a process that is about to end
                }
            }
        }
        return true;
    }

    /// Runs a command where the manager is.
    private Ended run(String... words) throws Exception {
        List<String> command = new ArrayList<>(List.of("-t", systemd, "-a"));
        command.addAll(List.of(words));
        return tools.tool("nsenter", "util-linux", command.toArray(String[]::new));
    }

    private String done(String... words) throws Exception {
        Ended ended = run(words);
        assertEquals(
                0,
                ended.code(),
                () -> String.join(" ", words) + ": " + ended.output() + "\n" + said());
        return ended.output().strip();
    }

    /// What the services have said, which no journal takes here.
    private String said() {
        try {
            return Files.readString(Path.of("/proc", systemd, "root/run/said"));
        } catch (IOException e) {
            return e.toString();
        }
    }

    private String property(String unit, String name) throws Exception {
        return done("systemctl", "show", "-P", name, unit);
    }

    private String listed(String runDir) throws Exception {
        return run("/opt/splitring/splitring", "list", "--run-dir", runDir).output();
    }

    /// The guest's process, as processes are numbered there.
    private String guest(String domain, String runDir) throws Exception {
        List<String> line =
                listed(runDir).lines().filter(each -> each.startsWith(domain + " ")).toList();
        assertEquals(1, line.size(), () -> domain + ": " + line + "\n" + said());
        assertTrue(line.getFirst().contains("running"), line::toString);
        return line.getFirst().split(" +", -1)[4];
    }

    private void io(String runDir, String command) throws Exception {
        String uri = "nbd+unix:///?socket=" + runDir + "/web/xvda.nbd";
        String said = done("qemu-io", "-f", "raw", "-c", command, uri);
        assertFalse(said.contains("verification failed"), said);
    }

    private static String lab(String domain) {
        return "[domains." + domain + "]\nmemory = 32\ndisk = [\"memory:1MiB,,xvda\"]\n";
    }

    @Test
    void aLabIsUpWhenItsUnitIsStartedAndGuestsOutliveItsProcess() throws Exception {
        Files.writeString(dir.resolve("labs/labs/one.toml"), lab("web"));
        start();
        String unit = "splitring-lab@one";
        String runDir = "/run/splitring-lab-one";
        done("systemctl", "start", unit);
        String guest = guest("web", runDir); // at once
        io(runDir, "write -P 7 0 64k");
        String first = property(unit, "MainPID");

        done("systemctl", "kill", "--kill-whom=main", "-s", "KILL", unit);
        await().atMost(PATIENCE).until(() -> !property(unit, "ActiveState").equals("active"));
        await().atMost(PATIENCE).until(() -> property(unit, "ActiveState").equals("active"));
        assertNotEquals(first, property(unit, "MainPID"));
        assertEquals(guest, guest("web", runDir));
        io(runDir, "read -P 7 0 64k");

        done("systemctl", "stop", unit);
        assertEquals("success", property(unit, "Result"));
        assertFalse(Files.exists(Path.of("/proc", systemd, "root", runDir)), "its run directory");
        assertEquals("", run("pgrep", "java").output(), "a process is left");
    }

    @Test
    void aFolderOfLabsIsStartedAndOneThatIsWrongIsNoHarm() throws Exception {
        Path auto = dir.resolve("labs/auto");
        Files.writeString(auto.resolve("10-a.toml"), lab("a"));
        Files.writeString(auto.resolve("15-bad.toml"), "[domains.bad]\nmemroy = 32\n");
        Files.writeString(auto.resolve("20-b.toml"), lab("b"));
        start();
        done("systemctl", "start", "splitring-labs");
        guest("a", "/run/splitring-labs/10-a");
        guest("b", "/run/splitring-labs/20-b");
        assertEquals("active", property("splitring-labs", "ActiveState"));
        assertEquals("1", property("splitring-labs", "ExecMainStatus"));

        done("systemctl", "stop", "splitring-labs");
        assertEquals("success", property("splitring-labs", "Result"));
        await().atMost(Duration.ofSeconds(10)).until(() -> run("pgrep", "java").output().isEmpty());
    }
}
