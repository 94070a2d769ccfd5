package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import org.splitring.hypervisor.linux.UnixSocket;

/// The program in jars, with caches for a quick start, as the launcher runs it: a test starts
/// hundreds of processes. Made once, and again when a class has changed.
final class PackedProgram {
    private static final Path FOLDER = Path.of("target/packed").toAbsolutePath();
    private static final long SECONDS = 60;

    /// Compiled little: most of these processes live for a second or two.
    private static final String LITTLE = "-XX:TieredStopAtLevel=1";

    private static final String CLASS_PATH = classPath();

    private PackedProgram() {}

    /// The beginning of a command line, up to the name of the class.
    static List<String> java() {
        List<String> all = new ArrayList<>(List.of(LITTLE, "-Dsplitring.jvm.options=" + LITTLE));
        all.addAll(JavaCommand.cached(FOLDER.toString(), "driver"));
        List<String> command = jvm(CLASS_PATH, all);
        command.add(Splitring.class.getName());
        return command;
    }

    /// The command line of a driver domain, as [JavaCommand] has it for a program in such jars.
    static List<String> driverDomain(List<String> arguments) {
        List<String> command = JavaCommand.driverDomain(arguments);
        int classPath = command.indexOf("-cp");
        command.set(classPath + 1, CLASS_PATH);
        List<String> options = new ArrayList<>(JavaCommand.cached(FOLDER.toString(), "driver"));
        options.addAll(List.of(LITTLE, "-Dsplitring.jvm.options=" + LITTLE));
        command.addAll(classPath, options);
        return command;
    }

    private static List<String> jvm(String classPath, List<String> options) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC"));
        command.addAll(options);
        command.addAll(List.of("-cp", classPath));
        return command;
    }

    /// Classes of tests stay out: no process of the program has them elsewhere.
    private static String classPath() {
        List<String> entries = new ArrayList<>();
        boolean changed = Files.notExists(FOLDER.resolve("guest.aot"));
        try {
            Files.createDirectories(FOLDER);
            for (String entry :
                    System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
                Path path = Path.of(entry);
                if (!Files.isDirectory(path)) {
                    entries.add(entry);
                } else if (path.endsWith("classes")) {
                    Path jar = FOLDER.resolve(path.toString().replace('/', '-') + ".jar");
                    changed |= pack(path, jar);
                    entries.add(jar.toString());
                }
            }
            String all = String.join(File.pathSeparator, entries);
            if (changed) {
                learn(all);
            }
            return all;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /// @return whether it was necessary
    private static boolean pack(Path classes, Path jar) throws IOException {
        if (Files.exists(jar)) {
            long made = Files.getLastModifiedTime(jar).toMillis();
            try (Stream<Path> files = Files.walk(classes)) {
                if (files.allMatch(file -> file.toFile().lastModified() < made)) {
                    return false;
                }
            }
            Files.delete(jar); // whoever has it open keeps it
        }
        ToolProvider tool = ToolProvider.findFirst("jar").orElseThrow();
        String[] words = {"-cf", jar.toString(), "-C", classes.toString(), "."};
        assertEquals(0, tool.run(System.out, System.err, words), classes::toString);
        return true;
    }

    /// Has both kinds of processes write down what they load, and makes the caches of it.
    private static void learn(String classPath) throws IOException, InterruptedException {
        Path dir = Files.createTempDirectory("learn");
        List<String> lab =
                jvm(
                        classPath,
                        List.of(
                                "-XX:AOTMode=record",
                                "-XX:AOTConfiguration=" + dir.resolve("driver.aotconf"),
                                "-Dsplitring.aot.record=" + dir));
        runLab(lab, dir);
        List<Process> makers = new ArrayList<>();
        for (String kind : List.of("driver", "guest")) {
            List<String> maker =
                    jvm(
                            classPath,
                            List.of(
                                    "-XX:AOTMode=create",
                                    "-XX:AOTConfiguration=" + dir.resolve(kind + ".aotconf"),
                                    "-XX:AOTCache=" + FOLDER.resolve(kind + ".aot")));
            File log = dir.resolve(kind + ".log").toFile();
            makers.add(
                    new ProcessBuilder(maker)
                            .redirectErrorStream(true)
                            .redirectOutput(log)
                            .start());
        }
        for (Process maker : makers) {
            assertTrue(maker.waitFor(SECONDS, TimeUnit.SECONDS), "no cache after a minute");
            assertEquals(0, maker.exitValue(), () -> "no cache, see " + dir);
        }
        try (Stream<Path> files = Files.walk(dir)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    /// Runs a lab with one guest, with an interface where this user may have one, until it is up.
    ///
    /// @param jvm command line without the class
    /// @param dir for its files
    static void runLab(List<String> jvm, Path dir) throws IOException, InterruptedException {
        Path image = Files.write(dir.resolve("learn.img"), new byte[1 << 20]);
        boolean vif = UnixSocket.effectiveUser() == 0;
        Path file =
                Files.writeString(
                        dir.resolve("learn.toml"),
                        "[domains.learn-"
                                + ProcessHandle.current().pid()
                                + "]\ndisk = [\"format=raw, vdev=xvda, access=rw, target="
                                + image
                                + "\"]\n"
                                + (vif ? "vif = [\"bridge=lan\"]\n" : "")
                                + "[networks.lan]\nsubnet = \"10.20.0.0/24\"\n");
        List<String> command = new ArrayList<>(jvm);
        command.addAll(List.of(Splitring.class.getName(), "up", file.toString()));
        command.add("--run-dir=" + dir.resolve("run"));
        Path log = dir.resolve("learn.log");
        Process process =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        boolean up = false;
        for (int i = 0; i < 10 * SECONDS && process.isAlive() && !up; i++) {
            TimeUnit.MILLISECONDS.sleep(100);
            up = Files.readString(log).contains("stop it with");
        }
        process.destroy();
        assertTrue(process.waitFor(2, TimeUnit.MINUTES));
        assertTrue(up, Files.readString(log));
    }
}
