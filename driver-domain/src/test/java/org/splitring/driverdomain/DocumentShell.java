package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.splitring.testkit.ExternalTools;

/// Runs commands of documents one after the other, until one fails: in a folder with a copy of
/// the examples, with a network and mounts of their own. So names of namespaces may be there
/// twice on a machine, and a port be in use; and where a page names a folder of the machine,
/// there is one in ours instead.
final class DocumentShell {
    /// What stands where the reader has a path of his own, or a folder of the machine.
    private static final Pattern ELSEWHERE =
            Pattern.compile("(?<![\\w.])(/path/to/|/tmp/|/etc/splitring/|/run/splitring-)");

    private static final String UP = "./splitring up ";

    private final Path dir;
    private final StringBuilder script = new StringBuilder();
    private int commands;

    DocumentShell(Path dir) throws IOException {
        this.dir = dir;
        LabUnderTest.requireNetworks();
        ExternalTools.require("unshare", "util-linux");
        Path examples = Files.createDirectory(dir.resolve("examples"));
        try (Stream<Path> files = Files.list(Documents.TOP.resolve("examples"))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, examples.resolve(String.valueOf(file.getFileName())));
            }
        }
        String words =
                LabUnderTest.java().stream()
                        .map(word -> "'" + word + "'")
                        .collect(Collectors.joining(" "));
        Path ours =
                Files.writeString(
                        dir.resolve("splitring"), "#!/bin/sh\nexec " + words + " \"$@\"\n");
        assertTrue(ours.toFile().setExecutable(true));
        script.append("set -e\ncd ").append(dir).append("\nexec >output 2>&1\n");
        script.append("PATH=").append(System.getProperty("java.home")).append("/bin:$PATH\n");
        script.append("mount -t tmpfs tmpfs /run/netns\nip link set lo up\n");
    }

    /// Has the folder with jars that `./splitring` builds. It is gone when the last process of
    /// here is.
    void prepareJars() {
        List<String> program = LabUnderTest.java();
        String jars = program.get(program.indexOf("-cp") + 1);
        String lib = "driver-domain/target/quick/lib";
        prepare("mkdir -p " + lib, "mount -t tmpfs tmpfs " + lib);
        for (String jar : jars.split(File.pathSeparator, -1)) {
            prepare("ln -s '" + Path.of(jar).toAbsolutePath() + "' " + lib);
        }
    }

    /// What the reader has or does before, which no document says.
    void prepare(String... lines) {
        for (String line : lines) {
            script.append(line).append('\n');
        }
    }

    /// A command as it stands there.
    void command(Documents.Command command) {
        command(command, "");
    }

    /// A command as it stands there. A program of ours stays in the background; what ran before
    /// it is stopped.
    ///
    /// @param options that make it shorter; they come last
    void command(Documents.Command command, String options) {
        String here = ELSEWHERE.matcher(command.text()).replaceAll(dir + "/");
        if (!options.isEmpty()) {
            here += " " + options;
        }
        if (here.startsWith(UP)) {
            here = here.contains("--detach") ? here : here + " --detach";
            here = "if [ -S run/control ]; then ./splitring down; fi && " + here;
        }
        script.append("echo \"# after $SECONDS s\"\ncat <<'COMMAND'\n# ").append(command);
        script.append("\nCOMMAND\n").append(here).append(" </dev/null\n");
        commands++;
    }

    int commands() {
        return commands;
    }

    /// Runs all of them, which have to succeed, and stops the lab that may be there at last.
    ///
    /// @return what they said
    String run(Duration limit) throws Exception {
        prepare("if [ -S run/control ]; then ./splitring down; fi", "echo '# all done'");
        Path file = Files.writeString(dir.resolve("commands"), script);
        Files.createDirectories(Path.of("/run/netns"));
        List<String> apart = List.of("unshare", "--mount", "--net", "bash", file.toString());
        try (ChildProcess process = ChildProcess.start("documents", apart)) {
            int status = process.await(limit);
            String said = Files.readString(dir.resolve("output"));
            assertEquals(0, status, said);
            assertTrue(said.contains("# all done"), said);
            return said;
        } finally {
            new LabUnderTest(dir).cleanUp();
        }
    }
}
