package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The commands of `docs/new-device.md` as they are written there, in a copy of the sources and
/// with a Maven repository of their own (which falls back on the user's for what others made).
@Order(1) // long
class NewDeviceTutorialIT {
    private static final Set<String> LEFT_OUT = Set.of("target", ".git", "build", "run");
    private static final int SECONDS =
            600; // a quarter of that on a machine with nothing else to do

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    /// What is run here.
    static List<Documents.Command> commands() throws IOException {
        return Documents.fenced("docs/new-device.md");
    }

    @Test
    void itsCommandsMakeADeviceAndAttachIt() throws Exception {
        Path top = Path.of("").toAbsolutePath().resolveSibling("");
        Path copy = temp.resolve("splitring");
        copySources(top, copy);
        List<String> script = new ArrayList<>(List.of("set -eu"));
        commands().forEach(command -> script.add(command.text()));
        assertTrue(script.size() > 8, "the tutorial has no commands any more: " + script);
        Path file = Files.write(temp.resolve("tutorial.sh"), script);
        Path output = temp.resolve("output.txt");
        ProcessBuilder builder = new ProcessBuilder("sh", "-x", file.toString());
        String repository = System.getProperty("user.home") + "/.m2/repository";
        builder.environment()
                .put(
                        "MAVEN_ARGS",
                        "-Dmaven.repo.local="
                                + temp.resolve("repository")
                                + " -Dmaven.repo.local.tail="
                                + System.getProperty("maven.repo.local", repository));
        // As the launcher has it for its own builds, which are short.
        builder.environment().put("MAVEN_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        Process process =
                builder.directory(copy.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start();
        boolean ended = process.waitFor(SECONDS, TimeUnit.SECONDS);
        if (!ended) {
            process.descendants().forEach(ProcessHandle::destroy);
            process.destroy();
        }
        String said = Files.readString(output);
        assertTrue(ended, said);
        assertEquals(0, process.exitValue(), said);
        assertTrue(said.contains("attached vrng/1 to web"), said);
        assertTrue(said.contains("detached vrng/1 from web"), said);
    }

    private static void copySources(Path from, Path to) throws IOException {
        Files.walkFileTree(
                from,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(
                            Path folder, BasicFileAttributes attributes) throws IOException {
                        if (LEFT_OUT.contains(String.valueOf(folder.getFileName()))) {
                            return FileVisitResult.SKIP_SUBTREE;
                        }
                        Files.createDirectories(to.resolve(from.relativize(folder).toString()));
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                            throws IOException {
                        if (attributes.isRegularFile()) {
                            Path copy = to.resolve(from.relativize(file).toString());
                            Files.copy(file, copy);
                            if (Files.isExecutable(file)) {
                                copy.toFile().setExecutable(true);
                            }
                        }
                        return FileVisitResult.CONTINUE;
                    }
                });
    }
}
