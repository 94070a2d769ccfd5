package org.splitring.console.back;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.devices.DeviceLab;
import org.splitring.xenbus.DevicePaths;

/// Both halves of the console, between programs in the guest and viewers in the driver domain.
@Timeout(60)
class ConsoleDeviceTest {
    private static final DevicePaths CONSOLE = DeviceLab.paths("console", 0);

    @TempDir private Path dir;
    private Path log;
    private DeviceLab lab;

    /// One end of a socket: says something, and collects what comes.
    private static final class Talker implements AutoCloseable {
        private final SocketChannel channel;
        private final StringBuilder heard = new StringBuilder();

        Talker(Path socket) throws IOException {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.connect(UnixDomainSocketAddress.of(socket));
        }

        Talker say(String text) throws IOException {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.ISO_8859_1));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            return this;
        }

        /// Reads until the text has come.
        String hear(String text) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(4096);
            while (heard.indexOf(text) < 0) {
                if (channel.read(bytes.clear()) < 0) {
                    throw new AssertionError("ended after: " + heard);
                }
                heard.append(StandardCharsets.ISO_8859_1.decode(bytes.flip()));
            }
            return heard.toString();
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    @BeforeEach
    void open() throws Exception {
        log = dir.resolve("console.log");
        lab = DeviceLab.withFrontends(dir);
        lab.attach(
                CONSOLE,
                Map.of(),
                Map.of("socket", dir.resolve("console").toString(), "log", log.toString()));
    }

    @AfterEach
    void close() throws Exception {
        lab.close();
        assertFalse(Files.exists(dir.resolve("console")));
        assertFalse(Files.exists(dir.resolve("console0.sock")));
    }

    private Talker viewer() throws IOException {
        return new Talker(dir.resolve("console"));
    }

    private Talker program() throws IOException {
        return new Talker(dir.resolve("console0.sock"));
    }

    @Test
    void whatIsPrintedIsShownToAllKeptForLaterAndLogged() throws Exception {
        String odd = "hello\r\n\u001b[31mred\u001b[0m \u0000\u00ff\n";
        try (Talker early = viewer();
                Talker program = program()) {
            program.say(odd).say("end.");
            assertEquals(odd + "end.", early.hear("end."));
            try (Talker late = viewer()) {
                assertEquals(odd + "end.", late.hear("end."));
            }
        }
        assertEquals(odd + "end.", Files.readString(log, StandardCharsets.ISO_8859_1));
    }

    @Test
    void whatIsTypedGoesToTheProgramThatCameLast() throws Exception {
        try (Talker viewer = viewer();
                Talker first = program()) {
            viewer.say("one\r");
            first.hear("one\r");
            try (Talker second = program()) {
                second.say("second is here");
                viewer.hear("second is here");
                viewer.say("two\r");
                second.hear("two\r");
            }
            first.say("still here");
            viewer.hear("still here");
            await().atMost(10, TimeUnit.SECONDS)
                    .untilAsserted(
                            () -> {
                                viewer.say("three\r");
                                assertTrue(first.hear("t").length() > 0);
                            });
            assertFalse(first.hear("three\r").contains("two"));
        }
    }

    @Test
    void typedAheadWaitsForAProgram() throws Exception {
        try (Talker viewer = viewer()) {
            viewer.say("early\r");
            try (Talker program = program()) {
                program.hear("early\r");
            }
        }
    }

    @Test
    void aViewerThatDoesNotReadStopsNobodyAndIsToldWhatItMissed() throws Exception {
        String line = "0123456789".repeat(100) + "\n";
        try (Talker lazy = viewer();
                Talker program = program();
                Talker quick = viewer()) {
            program.say("start ");
            lazy.hear("start ");
            quick.hear("start ");
            Thread reader =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try {
                                            quick.hear("done.");
                                        } catch (IOException e) {
                                            throw new IllegalStateException(e);
                                        }
                                    });
            for (int i = 0; i < 900; i++) {
                program.say(line);
            }
            program.say("done.");
            reader.join();
            String seen = lazy.hear("done.");
            assertTrue(seen.contains(" bytes left out]"), "length " + seen.length());
        }
    }

    @Test
    void scrollBackAndProgramsOutliveTheBackend() throws Exception {
        try (Talker program = program()) {
            program.say("before ");
            try (Talker viewer = viewer()) {
                viewer.hear("before ");
            }
            lab.replaceBackends();
            lab.awaitConnected(CONSOLE);
            program.say("after");
            try (Talker viewer = viewer()) {
                assertEquals("before after", viewer.hear("after"));
                viewer.say("typed");
                program.hear("typed");
            }
        }
    }

    @Test
    void lastWordsAreKept() throws Exception {
        try (Talker program = program()) {
            program.say("last words");
            await().atMost(10, TimeUnit.SECONDS).until(() -> Files.exists(log));
            lab.detach(CONSOLE);
        }
        assertEquals("last words", Files.readString(log));
        lab.awaitNothingGranted();
    }
}
