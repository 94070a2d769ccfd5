package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import org.splitring.testkit.ExternalTools;

/// The machine with the real Xen of `testkit/xen`, with this program in its dom0.
final class XenTestbed {
    private static final Path SCRIPT = Path.of("../testkit/xen/testbed").toAbsolutePath();
    private static final Path HOTPLUG = Path.of("src/main/xen/hotplug-splitring");
    private static final String IN_DOM0 = "/opt/program";
    private static final int BOOT_MINUTES = 15;

    /// Stays there, for who boots by hand: `testkit/xen/testbed boot
    // driver-domain/target/xen-program`.
    private static final Path PROGRAM = Path.of("target/xen-program").toAbsolutePath();

    /// Libraries of the program, by the beginnings of their names: not those of tests.
    private static final String LIBRARIES =
            "(netty|picocli|logback|slf4j|micrometer|prometheus|HdrHistogram|jackson|jspecify|agrona|jctools)"
                    + "-?.*(?<!aarch_64)\\.jar";

    private XenTestbed() {}

    /// What a command in dom0 has said, both streams together.
    record Answer(int code, String text) {}

    /// Boots it. What is missing skips the test, with the name of the package.
    ///
    /// @param dir for what is needed meanwhile
    static XenTestbed boot(Path dir) throws IOException, InterruptedException {
        ExternalTools.require("qemu-system-x86_64", "qemu-system-x86");
        ExternalTools.require("mmdebstrap", "mmdebstrap");
        ExternalTools.require("mkfs.ext4", "e2fsprogs");
        ExternalTools.require("xz", "xz-utils");
        ExternalTools.require("cpio", "cpio");
        ExternalTools.require("depmod", "kmod");
        ExternalTools.require("ssh", "openssh-client");
        ExternalTools.require("python3", "python3");
        Path program = PROGRAM;
        pack(program, dir);
        Answer booted = call(BOOT_MINUTES, "boot", program.toString());
        assertEquals(0, booted.code(), booted.text());
        return new XenTestbed();
    }

    private static void pack(Path program, Path dir) throws IOException, InterruptedException {
        if (Files.exists(program)) {
            try (Stream<Path> files = Files.walk(program)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
        Path lib = Files.createDirectories(program.resolve("lib"));
        Files.copy(HOTPLUG, program.resolve(HOTPLUG.getFileName()));
        ToolProvider jar = ToolProvider.findFirst("jar").orElseThrow();
        List<String> names = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
            Path path = Path.of(entry);
            String name = String.valueOf(path.getFileName());
            if (Files.isDirectory(path) && name.equals("classes")) {
                name = module(path) + ".jar";
                String to = lib.resolve(name).toString();
                assertEquals(
                        0, jar.run(System.out, System.err, "-cf", to, "-C", entry, "."), entry);
            } else if (name.matches(LIBRARIES) || isOurs(path)) {
                Files.copy(path, lib.resolve(name));
            } else {
                continue;
            }
            names.add(name);
        }
        String options =
                "--enable-native-access=ALL-UNNAMED -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
                        + " -Xmx256m -Dio.netty.leakDetection.level=disabled";
        String main = Splitring.class.getName();
        learn(program, dir, names, options);
        StringBuilder path = new StringBuilder();
        names.forEach(name -> path.append(IN_DOM0).append("/lib/").append(name).append(':'));
        Path launcher = program.resolve("splitring");
        Files.writeString(
                launcher,
                "#!/bin/sh\nexec java "
                        + options
                        + " -XX:AOTCache="
                        + IN_DOM0
                        + "/app.aot -cp "
                        + path
                        + " "
                        + main
                        + " \"$@\"\n");
        assertTrue(launcher.toFile().setExecutable(true, false));
    }

    /// Whether it is the jar of another module, which a build makes before it comes to this one.
    private static boolean isOurs(Path path) {
        return path.toString().matches(".*/target/[^/]*(/[^/]*)?\\.jar");
    }

    /// The folder above `target`, in which the classes are.
    private static String module(Path classes) {
        Path target = classes;
        while (target != null && !target.endsWith("target")) {
            target = target.getParent();
        }
        return target == null
                ? classes.toString().replace('/', '-')
                : String.valueOf(target.resolveSibling(".").normalize().getFileName());
    }

    /// Loading classes takes a minute on the emulated processor: a start of the program here,
    /// with a guest that has a disk and an interface, saves most of it there. Without AVX, which
    /// that processor has not.
    private static void learn(Path program, Path dir, List<String> names, String options)
            throws IOException, InterruptedException {
        StringBuilder path = new StringBuilder();
        names.forEach(name -> path.append(program).append("/lib/").append(name).append(':'));
        List<String> jvm = new ArrayList<>();
        jvm.add(System.getProperty("java.home") + "/bin/java");
        jvm.addAll(List.of(options.split(" ", -1)));
        jvm.addAll(List.of("-XX:UseAVX=0", "-XX:AOTCacheOutput=" + program.resolve("app.aot")));
        jvm.addAll(List.of("-cp", path.toString()));
        PackedProgram.runLab(jvm, dir);
    }

    private static Answer call(int minutes, String... words)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(SCRIPT.toString()));
        command.addAll(List.of(words));
        Path out = Files.createTempFile("testbed", ".out");
        try {
            Process process =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectInput(new File("/dev/null"))
                            .redirectOutput(out.toFile())
                            .start();
            if (!process.waitFor(minutes, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                return new Answer(-1, "no end after minutes: " + Files.readString(out));
            }
            String text = new String(Files.readAllBytes(out), StandardCharsets.UTF_8);
            return new Answer(process.exitValue(), text);
        } finally {
            Files.delete(out);
        }
    }

    /// Runs a shell command in dom0.
    Answer run(String command) {
        try {
            return call(8, "run", command);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /// As [#run], for a command that must succeed.
    ///
    /// @return what it has said
    String dom0(String command) {
        Answer answer = run(command);
        assertEquals(0, answer.code(), command + "\n" + answer.text());
        return answer.text().strip();
    }

    /// Runs a shell command in a guest that must succeed there.
    String guest(String name, String command) {
        return dom0("guest run " + name + " '" + command.replace("'", "'\\''") + "'");
    }

    /// Starts the backend, and returns when it serves.
    ///
    /// @param options of the command
    void startBackend(String options) {
        dom0(
                "rm -f /root/backend.log; cd /root; (setsid "
                        + IN_DOM0
                        + "/splitring backend "
                        + options
                        + " >/root/backend.log 2>&1 </dev/null; echo ended $? >>/root/backend.log)"
                        + " >/dev/null 2>&1 & for i in $(seq 900); do grep -q \"serving as\""
                        + " /root/backend.log && exit 0; grep -q ended /root/backend.log && break;"
                        + " sleep 0.3; done; cat /root/backend.log; exit 1");
    }

    /// Runs the backend to its end.
    Answer backendHere(String before, String options) {
        return run(before + " timeout 200 " + IN_DOM0 + "/splitring backend " + options);
    }

    String backendLog() {
        return dom0("cat /root/backend.log");
    }

    /// Waits until a shell command in dom0 succeeds.
    void await(String condition) {
        dom0(
                "end=$((SECONDS + 90)); while [ $SECONDS -lt $end ]; do if "
                        + condition
                        + "; then exit 0; fi; sleep 0.3; done; echo not true: '"
                        + condition.replace("'", "'\\''")
                        + "'; exit 1");
    }

    /// Switches it off.
    void stop() throws IOException, InterruptedException {
        Answer stopped = call(2, "stop");
        assertEquals(0, stopped.code(), stopped.text());
    }
}
