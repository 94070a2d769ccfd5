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
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// The console and a shared folder as users meet them: commands, a terminal, clients of others. One
/// lab for all tests.
@Timeout(180)
class ConsoleIT {
    @TempDir private static Path dir;
    private static LabUnderTest lab;

    /// A program that is talked to.
    private static final class Talk implements AutoCloseable {
        private final Process process;
        private final Path output;

        Talk(List<String> command) throws IOException {
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

    @BeforeAll
    static void up() throws Exception {
        lab = new LabUnderTest(dir);
        Files.createDirectories(dir.resolve("shared"));
        lab.image("web.img", 1);
        Files.writeString(
                lab.lab(),
                """
                [domains.web]
                disk = ["format=raw, vdev=xvda, access=rw, target=web.img"]
                devices = ["9pfs, tag=share, path=./shared"]

                [domains.spare]
                memory = 16
                p9 = ["tag=xl,path=./shared,security_model=none"]
                """);
        lab.up();
    }

    @AfterAll
    static void down() throws Exception {
        try {
            lab.down();
        } finally {
            lab.cleanUp();
        }
    }

    private static List<String> console(String domain) {
        return LabUnderTest.java("console", domain, "--run-dir", lab.run().toString());
    }

    /// The command as in a terminal.
    private static List<String> inTerminal() {
        List<String> quoted = new ArrayList<>();
        console("web").forEach(word -> quoted.add("'" + word + "'"));
        return List.of(
                ExternalTools.require("script", "bsdutils").toString(),
                "-qfec",
                String.join(" ", quoted),
                "/dev/null");
    }

    @Test
    void aTerminalIsJoinedAndLeftAgain() throws Exception {
        try (Talk first = new Talk(inTerminal());
                Talk second = new Talk(inTerminal())) {
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
    }

    @Test
    void aPipeIsSentAndAnsweredAndAGuestCanBeEndedSo() throws Exception {
        try (Talk piped = new Talk(console("spare"))) {
            piped.type("nonsense\nhelp\ndevices\n");
            piped.process.getOutputStream().close();
            assertEquals(0, piped.code());
            String heard = piped.heard();
            assertTrue(heard.indexOf("spare is up") < heard.indexOf("nonsense"), heard);
            assertTrue(heard.contains("nonsense: no such command; help lists them"), heard);
            assertTrue(heard.contains("shutdown"), heard);
            assertTrue(heard.contains("9pfs/0           4 (Connected)"), heard);
        }
        ProcessHandle guest = lab.guest("spare");
        try (Talk talk = new Talk(console("spare"))) {
            talk.type("shutdown\n");
            await().atMost(PATIENCE).until(() -> !guest.isAlive());
        }
    }

    @Test
    void aConsoleThatIsNotThereIsNamed() throws Exception {
        Ended nobody = lab.splitring("console", "nobody", "--run-dir", lab.run().toString());
        assertEquals(1, nobody.code());
        assertTrue(nobody.output().contains("there is no such domain"), nobody.output());
    }

    @Test
    void aFolderIsSharedWithAClientOf9p() throws Exception {
        Files.writeString(dir.resolve("shared/hello"), "from the host");
        Files.createSymbolicLink(dir.resolve("shared/out"), lab.lab());
        assertEquals("from the host", diod("diodcat", "hello").output());
        Ended listed = diod("diodls", "-l", "/");
        assertTrue(listed.output().contains("hello"), listed.output());
        Ended out = diod("diodcat", "out");
        assertFalse(out.output().contains("domains.web"), out.output());
    }

    private static Ended diod(String program, String... arguments) throws Exception {
        String socket = lab.run().resolve("web/share.9p").toString();
        List<String> all = new ArrayList<>(List.of("-s", socket, "-a", "/", "-t", "20"));
        all.addAll(List.of(arguments));
        return lab.tool(program, "diod", all.toArray(String[]::new));
    }

    @Test
    void bothGoOnWhenTheDriverDomainWasKilledAndReplaced() throws Exception {
        Files.writeString(dir.resolve("shared/file"), "still there");
        ProcessHandle guest = lab.guest("web");
        lab.driverDomain().destroyForcibly();
        Ended replaced = lab.splitring("replace", "--run-dir", lab.run().toString());
        assertEquals(0, replaced.code(), replaced.output());
        assertTrue(guest.isAlive());
        try (Talk talk = new Talk(console("web"))) {
            talk.awaitHeard("web is up"); // from before
            talk.type("nobody knows\n");
            talk.awaitHeard("nobody knows: no such command");
        }
        await().atMost(PATIENCE)
                .until(() -> diod("diodcat", "file").output().equals("still there"));
    }
}
