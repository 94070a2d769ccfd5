package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.splitring.testkit.ExternalTools;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// That `bench store` runs both stores, with clients and guests, and writes what it promises. Says
/// nothing about speed.
final class BenchStoreCommandTest {
    private static final Set<String> TESTS =
            Set.of("read", "write", "directory", "transaction-empty", "transaction-rmw", "watch");

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        return new CommandLine(new BenchStoreCommand())
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err))
                .execute(arguments);
    }

    @Test
    void quickRunWritesARowForEveryFigure() {
        ExternalTools.require("gcc", "gcc");
        ExternalTools.requireFile("/usr/include/xen/io/ring.h", "libxen-dev");
        ExternalTools.requireFile("/usr/lib/xen-4.17/bin/xenstored", "xen-utils-4.17");
        assertEquals(0, run("--quick", "--json", "-"), err::toString);

        Set<String> found = new TreeSet<>();
        for (JsonNode row : JsonMapper.shared().readTree(out.toString())) {
            assertEquals("store", row.get("bench").asString());
            assertTrue(row.get("min").asDouble() > 0, row::toString);
            assertTrue(row.get("min").asDouble() <= row.get("median").asDouble(), row::toString);
            assertTrue(row.get("median").asDouble() <= row.get("max").asDouble(), row::toString);
            found.add(
                    row.get("subject").asString()
                            + " "
                            + row.get("variant").asString()
                            + " "
                            + row.get("metric").asString());
        }
        Set<String> expected = new TreeSet<>();
        for (String subject : Set.of("splitring", "c")) {
            Set<String> withRelease = new TreeSet<>(TESTS);
            withRelease.add("release");
            addRows(expected, subject + " clients-2/", TESTS);
            addRows(expected, subject + " guests-10/", withRelease);
            addRows(expected, subject + " guests-100/", withRelease);
            withRelease.forEach(
                    test -> expected.add(subject + " guests-100:10/" + test + " ratio"));
        }
        for (String situation : Set.of("clients-2/", "guests-10/", "guests-100/")) {
            TESTS.forEach(test -> expected.add("splitring:c " + situation + test + " ratio"));
        }
        expected.add("splitring:c guests-10/release ratio");
        expected.add("splitring:c guests-100/release ratio");
        assertEquals(expected, found);
        assertTrue(err.toString().contains("watch"), "the table goes beside the rows");
    }

    private static void addRows(Set<String> rows, String start, Set<String> tests) {
        for (String test : tests) {
            for (String metric : Set.of("operations_per_second", "p50_ns", "p99_ns")) {
                rows.add(start + test + " " + metric);
            }
        }
    }

    @Test
    void badOptionsAreNamed() {
        assertEquals(2, run("--seconds", "0"));
        assertTrue(
                err.toString().contains("--seconds must be 0.02 to 600, not 0.0"), err::toString);
        assertEquals(2, run("--subjects", "oxenstored"));
        assertTrue(err.toString().contains("no such subject: oxenstored"), err::toString);
    }
}
