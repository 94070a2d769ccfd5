package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// `device new`: what it writes, and what it refuses. That what it makes works is in `PluginsIT`.
class DeviceCommandTest {
    private static final Path EXAMPLE =
            Path.of("").toAbsolutePath().resolveSibling("examples/vrng");

    @TempDir Path dir;

    private static String make(int code, String name, Path folder) {
        StringWriter said = new StringWriter();
        PrintWriter out = new PrintWriter(said, true);
        int ended =
                Splitring.commandLine()
                        .setOut(out)
                        .setErr(out)
                        .execute("device", "new", name, "--dir", folder.toString());
        assertEquals(code, ended, said::toString);
        return said.toString();
    }

    private static Set<String> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            Set<String> names = new TreeSet<>();
            files.filter(Files::isRegularFile)
                    .map(file -> folder.relativize(file).toString())
                    .filter(name -> !name.startsWith("target/"))
                    .forEach(names::add);
            return names;
        }
    }

    @Test
    void underItsOwnNameItIsTheExampleWithALabFileAndAReadme() throws Exception {
        Path made = dir.resolve("vrng");
        make(0, "vrng", made);
        Set<String> wanted = files(EXAMPLE);
        for (String name : wanted) {
            assertEquals(
                    Files.readString(EXAMPLE.resolve(name)), Files.readString(made.resolve(name)));
        }
        wanted.addAll(Set.of("README.md", "vrng.toml"));
        assertEquals(wanted, files(made));
    }

    @Test
    void everyNameOfTheExampleIsReplaced() throws Exception {
        Path made = dir.resolve("made");
        String said = make(0, "my-clock_2", made);
        assertTrue(said.contains(made.resolve("README.md").toString()), said);
        for (String name : files(made)) {
            assertFalse(name.toLowerCase(Locale.ROOT).contains("vrng"), name);
            String text = Files.readString(made.resolve(name));
            assertFalse(text.toLowerCase(Locale.ROOT).contains("vrng"), text);
        }
        String driver =
                Files.readString(
                        made.resolve("src/main/java/org/example/myclock2/MyClock2Frontend.java"));
        assertTrue(driver.startsWith("package org.example.myclock2;"), driver);
        assertEquals(
                "org.example.myclock2.MyClock2BackendDriver\n",
                Files.readString(
                        made.resolve(
                                "src/main/resources/META-INF/services/"
                                        + "org.splitring.xenbus.device.BackendDriver")));
        assertTrue(
                Files.readString(made.resolve("my-clock_2.toml"))
                        .contains("devices = [\"my-clock_2\"]"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "Clock | \"Clock\" is no name",
                "9clock | \"9clock\" is no name",
                "a/b | \"a/b\" is no name",
                "../x | \"../x\" is no name",
                "a23456789012345678901234567890123 | up to 32",
                "new | \"new\" is a word of Java",
                "vbd | \"vbd\" is a class of devices that there is already",
                "ring | \"ring\" would make a class RingFrontend"
            })
    void aNameThatCannotBeIsOneLineAndNothingIsMade(String name, String why) {
        Path made = dir.resolve("made");
        String said = make(1, name, made);
        assertEquals(1, said.lines().count(), said);
        assertTrue(said.contains(why), said);
        assertFalse(Files.exists(made));
    }

    @Test
    void nothingIsOverwritten() throws Exception {
        Path made = Files.createDirectories(dir.resolve("made"));
        Path file = Files.writeString(made.resolve("pom.xml"), "mine");
        String said = make(1, "clock", made);
        assertTrue(said.contains("folder " + made + " is not empty"), said);
        assertEquals("mine", Files.readString(file));
        assertEquals(Set.of("pom.xml"), files(made));
        assertTrue(make(1, "clock", file).contains(file + " is a file"));
    }
}
