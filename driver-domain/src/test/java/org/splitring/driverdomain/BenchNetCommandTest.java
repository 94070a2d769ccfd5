package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.ExternalTools;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `bench net` as users call it. It stands here because it starts labs, which the module of the
/// benchmarks does not see. Other switches are left out: they take time and packages.
@Timeout(300)
class BenchNetCommandTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        String[] all = new String[arguments.length + 2];
        all[0] = "bench";
        all[1] = "net";
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return Splitring.commandLine()
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(all);
    }

    private Set<String> rows() {
        Set<String> found = new TreeSet<>();
        for (JsonNode row : JsonMapper.shared().readTree(out.toString())) {
            assertEquals("net", row.get("bench").asString());
            assertTrue(row.get("min").asDouble() <= row.get("median").asDouble(), row::toString);
            assertTrue(row.get("median").asDouble() <= row.get("max").asDouble(), row::toString);
            found.add(
                    "%s %s %s"
                            .formatted(
                                    row.get("subject").asString(),
                                    row.get("variant").asString(),
                                    row.get("metric").asString()));
        }
        return found;
    }

    @Test
    void framesFromRingToRingHaveARowForEveryFigure() {
        assertEquals(0, run("--quick", "--parts", "ring", "--json", "-"), err::toString);
        Set<String> expected = new TreeSet<>();
        for (String size : Set.of("64", "1500", "65214")) {
            for (String metric : Set.of("frames_per_second", "bits_per_second", "frame_ns")) {
                expected.add("splitring ring/" + size + " " + metric);
                expected.add("splitring ring-unkept/64 " + metric);
                expected.add("splitring ring-noted/64 " + metric);
            }
        }
        assertEquals(expected, rows());
        assertTrue(err.toString().contains("frame_ns"), "the table goes beside the rows");
    }

    @Test
    void labsHaveARowForEveryFigureAndAreGoneAfterIt() throws IOException {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: network namespaces and TAPs");
        }
        ExternalTools.require("ip", "iproute2");
        ExternalTools.require("ping", "iputils-ping");
        ExternalTools.require("iperf3", "iperf3");
        assertEquals(
                0,
                run(
                        "--quick",
                        "--parts",
                        "tap,idle",
                        "--subjects",
                        "splitring,splitring-ports",
                        "--json",
                        "-"),
                err::toString);
        assertEquals(
                Set.of(
                        "splitring tap/tcp bits_per_second",
                        "splitring tap/udp-64 packets_per_second",
                        "splitring tap/ping rtt_ns",
                        "splitring-ports tap/tcp bits_per_second",
                        "splitring-ports tap/udp-64 packets_per_second",
                        "splitring-ports tap/ping rtt_ns",
                        "splitring idle/guests-2-ipv6 core_percent",
                        "splitring idle/guests-2 core_percent"),
                rows(),
                err::toString);
        try (Stream<Path> names = Files.list(Path.of("/var/run/netns"))) {
            String ours = "sb" + ProcessHandle.current().pid();
            assertFalse(names.anyMatch(it -> it.getFileName().toString().contains(ours)));
        }
    }

    @Test
    void badOptionsAreNamed() {
        assertEquals(2, run("--parts", "ring,tape"));
        assertTrue(err.toString().contains("--parts: no such part: tape"), err::toString);
        assertEquals(2, run("--subjects", "pasta"));
        assertTrue(err.toString().contains("no such subject: pasta"), err::toString);
        assertEquals(2, run("--guests", "0"));
        assertTrue(err.toString().contains("--guests must be 1 to 1000, not 0"), err::toString);
    }
}
