package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.Configurator.ExecutionStatus;
import ch.qos.logback.classic.util.ContextInitializer;
import ch.qos.logback.classic.util.LogbackMDCAdapter;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.Logger;

class WarningsToStderrTest {
    private static final String FILE = "logback.configurationFile";

    @TempDir private Path dir;

    private final LoggerContext logging = new LoggerContext();
    private final ByteArrayOutputStream said = new ByteArrayOutputStream();
    private PrintStream before = System.err;

    @BeforeEach
    void listen() {
        before = System.err;
        System.setErr(new PrintStream(said, true, StandardCharsets.UTF_8));
        logging.setMDCAdapter(new LogbackMDCAdapter()); // as SLF4J's provider does
        logging.start();
    }

    @AfterEach
    void stopListening() {
        System.setErr(before);
        System.clearProperty(FILE);
        logging.stop();
    }

    @Test
    void aWarningIsALineAndWhatIsLessIsNone() {
        assertEquals(ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY, configure());
        Logger log = logging.getLogger("org.splitring.Disk");
        log.info("nobody asks");
        assertEquals("", text());
        log.warn("{} is full", "web.img");
        assertTrue(
                text().matches("[0-9]{2}:[0-9]{2}:[0-9]{2} WARN  Disk: web\\.img is full\\R"),
                text());
    }

    @Test
    void anExceptionIsItsMessageAndItsFirstPlace() {
        configure();
        logging.getLogger("Disk").error("cannot write", new IllegalStateException("no room"));
        String[] lines = text().split("\\R", -1);
        assertTrue(lines[0].endsWith("ERROR Disk: cannot write"), text());
        assertEquals("java.lang.IllegalStateException: no room", lines[1]);
        assertTrue(lines[2].startsWith("\tat " + getClass().getName()), text());
        assertEquals(3, text().lines().count());
    }

    @Test
    void aFileOfTheUsersOwnIsReadInItsPlace() throws Exception {
        Path file = dir.resolve("own.xml");
        Path log = dir.resolve("own.log");
        Files.writeString(
                file,
                """
                <configuration>
                  <appender name="file" class="ch.qos.logback.core.FileAppender">
                    <file>%s</file>
                    <encoder><pattern>own %%msg%%n</pattern></encoder>
                  </appender>
                  <root level="INFO"><appender-ref ref="file"/></root>
                </configuration>
                """
                        .formatted(log));
        System.setProperty(FILE, file.toString());
        new ContextInitializer(logging).autoConfig();
        logging.getLogger("Disk").info("somebody asks");
        assertEquals("own somebody asks\n", Files.readString(log));
        assertEquals("", text());
    }

    @Test
    void logbackFindsIt() {
        assertTrue(
                ServiceLoader.load(Configurator.class).stream()
                        .anyMatch(found -> found.type() == WarningsToStderr.class));
    }

    private ExecutionStatus configure() {
        WarningsToStderr configurator = new WarningsToStderr();
        configurator.setContext(logging);
        return configurator.configure(logging);
    }

    private String text() {
        return said.toString(StandardCharsets.UTF_8);
    }
}
