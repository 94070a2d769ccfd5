package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// The commands of the pages about measuring, and of those sections of the README. Each is made
/// shorter by options at its end, [#SHORTER]: little time, and one subject or part of those
/// that a `bench` has. That each of them has its figures is in `BenchNetCommandTest` and its
/// neighbours. A command that stands in several documents is run once, and so are two that are
/// the same when they are short.
@Timeout(480)
@Order(3) // long
class MeasuringDocumentsIT {
    private static final List<String> SECTIONS = List.of("Measure", "Load it");
    private static final List<String> PAGES =
            List.of(
                    "docs/bench-ring.md",
                    "docs/bench-store.md",
                    "docs/bench-net.md",
                    "docs/bench-block.md",
                    "docs/comparison.md",
                    "docs/stress.md");

    /// By how a command begins, the longest first.
    private static final Map<String, String> SHORTER = shorter();

    private static final String COMPARE = "./splitring stress compare ";
    private static final Duration LIMIT = Duration.ofSeconds(400);

    @TempDir private Path dir;

    private static Map<String, String> shorter() {
        String stress = "--seconds 0.2 --warm-up 0.1 --runs 1";
        Map<String, String> all = new LinkedHashMap<>();
        all.put("./splitring bench ring", "--quick --subjects c");
        all.put("./splitring bench store", "--quick --subjects c");
        all.put("./splitring bench switch", "--rounds 1 --seconds 0.05");
        all.put("./splitring bench net --parts", "--quick");
        all.put("./splitring bench net", "--quick --parts tap --subjects bridge");
        all.put("./splitring bench block", "--quick --parts null --subjects splitring");
        all.put(COMPARE, "");
        all.put("./splitring stress paper", "--quick --workloads iperf3 --subjects splitring");
        all.put("./splitring stress scale", stress + " --image-size 1M");
        all.put("./splitring stress block --rate 5k --seconds 3", "--warm-up 0.1 --runs 1");
        all.put("./splitring stress", stress);
        return all;
    }

    /// What is run here.
    static List<Documents.Command> commands() throws IOException {
        List<Documents.Command> found = Documents.commands(SECTIONS, PAGES);
        Set<String> texts = new TreeSet<>();
        found.removeIf(command -> !texts.add(command.text()));
        return found;
    }

    private static String shorter(String command) {
        String options =
                SHORTER.entrySet().stream()
                        .filter(each -> command.startsWith(each.getKey()))
                        .findFirst()
                        .orElseThrow(() -> new AssertionError("what makes it short? " + command))
                        .getValue();
        return command.contains(" --quick") ? options.replace("--quick ", "") : options;
    }

    @Test
    void commandsWorkAsTheyStandThere() throws Exception {
        ExternalTools.require("gcc", "gcc");
        ExternalTools.requireFile("/usr/include/xen/io/ring.h", "libxen-dev");
        ExternalTools.require("xenstored", "xen-utils-4.17");
        ExternalTools.require("iperf3", "iperf3");
        DocumentShell shell = new DocumentShell(dir);
        Set<String> begun = new TreeSet<>();
        for (Documents.Command command : commands()) {
            if (!begun.add((command.text() + " " + shorter(command.text())).strip())) {
                continue; // `--quick` is what makes another one short
            }
            if (command.text().startsWith(COMPARE)) {
                shell.prepare("cp a.json before.json", "cp a.json after.json");
            }
            shell.command(command, shorter(command.text()));
        }
        assertTrue(shell.commands() > 15);

        String said = shell.run(LIMIT);
        assertTrue(said.contains("frame_ns"), said);
        for (Documents.Command command : commands()) {
            String text = command.text();
            for (String option : List.of("--json ", "--html ")) {
                if (text.contains(option)) {
                    String name = text.substring(text.indexOf(option) + option.length());
                    Path file = dir.resolve(name.split(" ", 2)[0]);
                    assertTrue(Files.size(file) > 100, command::toString);
                }
            }
        }
    }
}
