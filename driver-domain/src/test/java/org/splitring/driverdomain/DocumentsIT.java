package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// The commands of the README and of the pages about labs as they stand there, one after the other,
/// in a folder with a copy of the examples. What a page says of a device (`docs/new-device.md`) and
/// of measuring has tests of its own. They have a network of their own, and names of namespaces:
/// `web` may run twice on a machine, and port 8000 be in use.
@Timeout(480)
@Order(3) // long
class DocumentsIT {
    private static final Path README = Path.of("..", "README.md");
    private static final Path DOCS = Path.of("..", "docs");
    private static final Path EXAMPLES = Path.of("..", "examples");
    private static final List<String> SECTIONS =
            List.of(
                    "## Try it",
                    "### A network",
                    "### See and steer it",
                    "### Plug in a disk",
                    "### Images of other formats",
                    "### Replace the driver domain");
    private static final List<String> PAGES =
            List.of("metrics.md", "control.md", "lab-file.md", "architecture.md");
    private static final Pattern COMMAND = Pattern.compile("(\\./splitring|curl) .*");

    /// What is not run, each with its reason.
    private static final Map<String, String> LEFT_OUT =
            Map.of("./splitring top --rates", "goes on until Ctrl-C");

    /// What stands where the reader has a path of his own.
    private static final String PLACEHOLDER = "/path/to/run";

    private static final Duration LIMIT = Duration.ofSeconds(400);

    @TempDir private Path dir;

    /// The indented lines of the sections that are commands, and then those of the pages.
    private static List<String> commands() throws IOException {
        List<String> found = new ArrayList<>();
        String section = "";
        boolean toml = false;
        for (String line : Files.readAllLines(README)) {
            if (line.startsWith("#")) {
                section = line;
            }
            if (!line.startsWith("    ")) {
                toml = false; // a block ends
            } else if (SECTIONS.contains(section)) {
                toml |= line.startsWith("    ["); // part of a lab file, to its end
                if (!toml) {
                    found.add(line.strip());
                }
            }
        }
        for (String page : PAGES) {
            Files.readAllLines(DOCS.resolve(page)).stream()
                    .filter(line -> line.startsWith("    "))
                    .map(String::strip)
                    .filter(line -> COMMAND.matcher(line).matches())
                    .forEach(found::add);
        }
        return found;
    }

    private static Optional<String> leftOut(String command) {
        return LEFT_OUT.keySet().stream().filter(command::startsWith).findFirst();
    }

    /// A program of ours stays in the background; what ran before it is stopped.
    private String runnable(String command) {
        String here =
                command.replaceFirst(" +# .*", "")
                        .replace(PLACEHOLDER, dir.resolve("run").toString());
        if (!command.startsWith("./splitring up ")) {
            return here;
        }
        String detached = here.contains("--detach") ? here : here + " --detach";
        return "if [ -S run/control ]; then ./splitring down; fi && " + detached;
    }

    private String script(List<String> commands) {
        StringBuilder script = new StringBuilder("set -e\ncd " + dir + "\n");
        script.append("mount -t tmpfs tmpfs /run/netns\nip link set lo up\n");
        for (String command : commands) {
            script.append("cat <<'COMMAND'\n# ").append(command).append("\nCOMMAND\n");
            script.append(runnable(command)).append("\n");
        }
        return script.append("./splitring down\necho '# all done'\n").toString();
    }

    @Test
    void commandsWorkAsTheyStandThere() throws Exception {
        LabUnderTest.requireNetworks();
        ExternalTools.require("unshare", "util-linux");
        ExternalTools.require("curl", "curl");
        ExternalTools.require("nbdinfo", "libnbd-bin");
        ExternalTools.require("qemu-io", "qemu-utils");
        List<String> all = commands();
        List<String> run = all.stream().filter(each -> leftOut(each).isEmpty()).toList();
        assertTrue(run.size() > 15, run::toString);
        assertEquals(LEFT_OUT.size(), all.size() - run.size(), "left out, and not there");

        Path examples = Files.createDirectory(dir.resolve("examples"));
        try (Stream<Path> files = Files.list(EXAMPLES)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, examples.resolve(String.valueOf(file.getFileName())));
            }
        }
        String program =
                LabUnderTest.java().stream()
                        .map(word -> "'" + word + "'")
                        .collect(Collectors.joining(" "));
        Path ours =
                Files.writeString(
                        dir.resolve("splitring"), "#!/bin/sh\nexec " + program + " \"$@\"\n");
        assertTrue(ours.toFile().setExecutable(true));
        Path script = Files.writeString(dir.resolve("commands"), script(run));
        Files.createDirectories(Path.of("/run/netns"));

        List<String> apart = List.of("unshare", "--mount", "--net", "bash", script.toString());
        try (ChildProcess process = ChildProcess.start("documents", apart)) {
            assertEquals(0, process.await(LIMIT), process::output);
            String said = process.output();
            assertTrue(said.contains("# all done"), said);
            assertTrue(said.contains("3 received"), said);
            assertTrue(said.contains("nothing is wrong"), said);
            assertTrue(said.contains("# TYPE splitring_"), said);
            assertTrue(said.contains("\"req_prod\""), said);
        } finally {
            new LabUnderTest(dir).cleanUp();
        }
    }
}
