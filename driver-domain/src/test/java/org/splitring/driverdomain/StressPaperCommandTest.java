package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.ExternalTools;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `stress paper` as users call it, with the workloads whose programs other tests need too.
@Timeout(300)
class StressPaperCommandTest {
    @TempDir private Path dir;
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        List<String> all =
                Stream.concat(Stream.of("stress", "paper"), Stream.of(arguments)).toList();
        return Splitring.commandLine()
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(all.toArray(String[]::new));
    }

    @Test
    void everySideOfEveryWorkloadHasARowAndNothingIsLeft() throws Exception {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: network namespaces, loop devices, mounts");
        }
        ExternalTools.require("ip", "iproute2");
        ExternalTools.require("iperf3", "iperf3");
        ExternalTools.require("fio", "fio");
        ExternalTools.require("gcc", "gcc");
        ExternalTools.require("make", "make");
        ExternalTools.require("nbdfuse", "libnbd-bin");
        ExternalTools.require("nbdkit", "nbdkit");
        ExternalTools.require("mkfs.ext4", "e2fsprogs");
        if (!Files.isWritable(Path.of("/dev/fuse"))) {
            Assumptions.abort("needs /dev/fuse");
        }
        Path page = dir.resolve("paper.html");
        assertEquals(
                0,
                run(
                        "--quick",
                        "--workloads",
                        "iperf3,fio,compile",
                        "--dir",
                        dir.toString(),
                        "--json",
                        "-",
                        "--html",
                        page.toString()),
                err::toString);
        JsonNode found = JsonMapper.shared().readTree(out.toString());
        Set<String> rows = new TreeSet<>();
        for (JsonNode row : found.path("rows")) {
            assertTrue(row.path("median").asDouble() > 0, row::toString);
            rows.add(row.path("subject").asString() + " " + row.path("variant").asString());
        }
        assertEquals(
                Set.of(
                        "splitring iperf3",
                        "native iperf3",
                        "splitring fio",
                        "native fio",
                        "bare fio",
                        "splitring compile",
                        "native compile",
                        "bare compile"),
                rows);
        Set<String> relative = new TreeSet<>(found.path("relative").findValuesAsString("name"));
        assertEquals(
                Set.of(
                        "iperf3 by native",
                        "fio by native",
                        "fio by bare",
                        "compile by native",
                        "compile by bare"),
                relative);
        assertTrue(found.path("not_run").isEmpty(), found::toString);
        assertTrue(err.toString().contains("relative performance"), "the table goes beside");
        String html = Files.readString(page);
        assertTrue(html.contains("compile by native") && !html.contains("<script"), html);

        String mounts = Files.readString(Path.of("/proc/self/mounts"));
        assertFalse(mounts.contains("splitring-bench"), mounts);
        try (Stream<Path> left = Files.list(dir)) {
            assertEquals(List.of(page), left.toList());
        }
    }

    @Test
    void badOptionsAreNamed() {
        assertEquals(2, run("--workloads", "fio,doom"));
        assertTrue(err.toString().contains("--workloads: no such workload: doom"), err::toString);
        assertEquals(2, run("--subjects", "metal"));
        assertTrue(err.toString().contains("no such subject: metal"), err::toString);
    }
}
