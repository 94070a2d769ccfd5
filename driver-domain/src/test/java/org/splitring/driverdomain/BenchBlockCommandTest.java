package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `bench block` as users call it. Other servers are left out: they take time and packages.
@Timeout(300)
class BenchBlockCommandTest {
    @TempDir Path dir;
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        String[] all = new String[arguments.length + 2];
        all[0] = "bench";
        all[1] = "block";
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return Splitring.commandLine()
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(all);
    }

    @Test
    void everyWayHasARowForEveryFigureAndItsImagesAreGone() throws Exception {
        ExternalTools.require("fio", "fio");
        int status =
                run(
                        "--quick",
                        "--seconds",
                        "0.2",
                        "--subjects",
                        "splitring,splitring-noted,splitring-served,psync",
                        "--dir",
                        dir.toString(),
                        "--json",
                        "-");
        assertEquals(0, status, err::toString);
        Set<String> found = new TreeSet<>();
        for (JsonNode row : JsonMapper.shared().readTree(out.toString())) {
            assertEquals("block", row.get("bench").asString());
            assertTrue(row.get("median").asDouble() > 0, row::toString);
            found.add(
                    "%s %s %s"
                            .formatted(
                                    row.get("subject").asString(),
                                    row.get("variant").asString(),
                                    row.get("metric").asString()));
        }
        Set<String> expected = new TreeSet<>();
        for (String metric : Set.of("ops_per_second", "cpu_ns")) {
            expected.add("splitring null/read-4k-128 " + metric);
            expected.add("splitring-noted null/read-4k-128 " + metric);
            expected.add("splitring ring/tmpfs/write-4k-32 " + metric);
            expected.add("psync ring/tmpfs/write-4k-32 " + metric);
            expected.add("splitring nbd/tmpfs/write-4k-32 " + metric);
            expected.add("splitring-served nbd/tmpfs/write-4k-32 " + metric);
        }
        assertEquals(expected, found);
        try (var left = Files.list(dir)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void aPartThatThereIsNotIsNamed() {
        assertEquals(2, run("--parts", "ring,disk"));
        assertTrue(err.toString().contains("no such part: disk"), err::toString);
    }
}
