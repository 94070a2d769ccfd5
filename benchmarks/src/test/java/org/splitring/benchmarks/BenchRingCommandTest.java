package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// That `bench ring` runs every contender and writes what it promises. Says nothing about speed.
final class BenchRingCommandTest {
    @TempDir Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        return new CommandLine(new BenchRingCommand())
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err))
                .execute(arguments);
    }

    @Test
    void quickRunWritesARowForEveryFigureAndAPage() throws Exception {
        ExternalTools.require("gcc", "gcc");
        ExternalTools.requireFile("/usr/include/xen/io/ring.h", "libxen-dev");
        Path page = folder.resolve("ring.html");
        assertEquals(0, run("--quick", "--json", "-", "--html", page.toString()), err::toString);

        JsonNode rows = JsonMapper.shared().readTree(out.toString());
        assertTrue(rows.isArray(), out::toString);
        Set<String> subjects = new TreeSet<>();
        Set<String> variants = new TreeSet<>();
        for (JsonNode row : rows) {
            assertEquals(
                    Set.of("bench", "subject", "variant", "metric", "median", "min", "max", "runs"),
                    new TreeSet<>(row.propertyNames()));
            assertEquals("ring", row.get("bench").asString());
            assertTrue(row.get("metric").asString().matches(".*(per_second|ns)"), row::toString);
            assertTrue(row.get("min").asDouble() <= row.get("median").asDouble(), row::toString);
            assertTrue(row.get("median").asDouble() <= row.get("max").asDouble(), row::toString);
            assertTrue(row.get("min").asDouble() >= 0, row::toString);
            assertEquals(1, row.get("runs").asInt());
            subjects.add(row.get("subject").asString());
            variants.add(row.get("subject").asString() + " " + row.get("variant").asString());
        }
        assertEquals(Set.of("splitring", "c", "agrona", "jctools"), subjects);
        for (String subject : Set.of("splitring", "c")) {
            for (String placement : Set.of("threads", "processes")) {
                for (String test : Set.of("112/batch-32", "12/batch-32", "112/spinning")) {
                    assertTrue(variants.contains(subject + " " + placement + "/" + test));
                }
                assertTrue(variants.contains(subject + " " + placement + "/112/blocking"));
            }
        }
        assertTrue(variants.contains("agrona processes/112/batch-32"), variants::toString);
        assertTrue(variants.contains("jctools threads/12/batch-32"), variants::toString);

        String html = Files.readString(page);
        assertTrue(html.contains("<svg"));
        assertFalse(html.contains("<script"), "the page runs nothing");
        assertFalse(html.contains("src="), "the page loads nothing");
    }

    @Test
    void badOptionsAreNamed() {
        assertEquals(2, run("--rounds", "0"));
        assertTrue(err.toString().contains("--rounds must be 1 to 1000, not 0"), err::toString);
        assertEquals(2, run("--subjects", "rust"));
        assertTrue(err.toString().contains("no such subject: rust"), err::toString);
        assertEquals(2, run("--html", "/nowhere/ring.html"));
        assertTrue(err.toString().contains("--html: cannot write a file there: /nowhere"));
    }
}
