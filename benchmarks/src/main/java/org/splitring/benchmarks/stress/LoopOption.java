package org.splitring.benchmarks.stress;

import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/// How many threads the guests and the backends have.
final class LoopOption {
    private static final int MOST = 64;

    @Option(
            names = "--loops",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Event loops, so threads, of the guests, and as many of the backends (default:"
                            + " half as many as processors).")
    private int loops;

    void check(CommandSpec command) {
        if (loops != 0) {
            StressOptions.range(command, "--loops", loops, 1, MOST);
        }
    }

    int count() {
        int processors = Runtime.getRuntime().availableProcessors();
        return loops == 0 ? Math.clamp(processors / 2, 1, MOST) : loops;
    }

    void describe(Map<String, String> settings) {
        settings.put("loops", Integer.toString(count()));
    }
}
