package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// The console and a shared folder as users meet them: commands, a terminal, clients of others.
class ConsoleIT {
    @TempDir private Path dir;
    private LabUnderTest lab;

    /// A program that is talked to.
    private static final class Talk implements AutoCloseable {
        private final Process process;
        private final Path output;

        Talk(Path dir, List<String> command) throws IOException {
            output = Files.createTempFile(dir, "talk", ".txt");
            process =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start();
        }

        void type(String keys) throws IOException {
            OutputStream in = process.getOutputStream();
            in.write(keys.getBytes(StandardCharsets.ISO_8859_1));
            in.flush();
        }

        String heard() throws IOException {
            return Files.readString(output, StandardCharsets.ISO_8859_1);
        }

        void awaitHeard(String text) {
            await("heard " + text).atMost(PATIENCE).until(() -> heard().contains(text));
        }

        int code() throws InterruptedException {
            assertTrue(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS));
            return process.exitValue();
        }

        @Override
        public void close() {
            process.destroyForcibly();
        }
    }

    @BeforeEach
    void up() throws Exception {
        lab = new LabUnderTest(dir);
        Files.createDirectories(dir.resolve("shared"));
        lab.image("web.img", 1);
        Files.writeString(
                lab.lab(),
                """
                [domains.web]
                disk = ["format=raw, vdev=xvda, access=rw, target=web.img"]
                devices = ["9pfs, tag=share, path=./shared"]
                """);
        lab.up();
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    private List<String> console() {
        return LabUnderTest.java("console", "web", "--run-dir", lab.run().toString());
    }

    /// The command as in a terminal.
    private List<String> inTerminal() {
        List<String> quoted = new ArrayList<>();
        console().forEach(word -> quoted.add("'" + word + "'"));
        return List.of(
                ExternalTools.require("script", "bsdutils").toString(),
                "-qfec",
                String.join(" ", quoted),
                "/dev/null");
    }

    @Test
    void aTerminalIsJoinedAndLeftAgain() throws Exception {
        try (Talk first = new Talk(dir, inTerminal());
                Talk second = new Talk(dir, inTerminal())) {
            first.awaitHeard("leave with Ctrl-]");
            first.awaitHeard("web is up; help lists the commands\r\n# ");
            second.awaitHeard("web is up");
            first.type("devices\r");
            first.awaitHeard("console/0");
            first.awaitHeard("9pfs/0");
            first.awaitHeard("vbd/51712");
            second.awaitHeard("9pfs/0"); // several viewers see the same
            first.type("\u0003"); // Ctrl-C goes to the guest, and ends nobody
            first.awaitHeard("^C");
            first.type("x\u001d");
            assertEquals(0, first.code());
            second.type("\u001d");
            assertEquals(0, second.code());
        }
        String log = Files.readString(lab.run().resolve("web/console.log"));
        assertTrue(log.contains("web is up") && log.contains("vbd/51712"), log);
        shutDown();
    }

    /// The scroll-back comes first, then the answers, also where the input is a pipe.
    private void shutDown() throws Exception {
        try (Talk piped = new Talk(dir, console())) {
            piped.type("nonsense\nhelp\n");
            piped.process.getOutputStream().close();
            assertEquals(0, piped.code());
            String heard = piped.heard();
            assertTrue(heard.indexOf("web is up") < heard.indexOf("nonsense"), heard);
            assertTrue(heard.contains("nonsense: no such command; help lists them"), heard);
            assertTrue(heard.contains("shutdown"), heard);
        }
        ProcessHandle guest = lab.guest("web");
        try (Talk talk = new Talk(dir, console())) {
            talk.type("shutdown\n");
            await().atMost(PATIENCE).until(() -> !guest.isAlive());
        }
        Ended nobody = lab.splitring("console", "nobody", "--run-dir", lab.run().toString());
        assertEquals(1, nobody.code());
        assertTrue(nobody.output().contains("there is no such domain"), nobody.output());
        lab.down();
    }

    @Test
    void aFolderIsSharedWithAClientOf9p() throws Exception {
        Files.writeString(dir.resolve("shared/hello"), "from the host");
        Files.createSymbolicLink(dir.resolve("shared/out"), lab.lab());
        String socket = lab.run().resolve("web/share.9p").toString();
        Ended read = lab.tool("diodcat", "diod", "-s", socket, "-a", "/", "-t", "20", "hello");
        assertEquals("from the host", read.output());
        Ended listed = lab.tool("diodls", "diod", "-s", socket, "-a", "/", "-t", "20", "-l", "/");
        assertTrue(listed.output().contains("hello"), listed.output());
        Ended out = lab.tool("diodcat", "diod", "-s", socket, "-a", "/", "-t", "20", "out");
        assertFalse(out.output().contains("domains.web"), out.output());
        lab.down();
    }
}
