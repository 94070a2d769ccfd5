package org.splitring.benchmarks.stress;

import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/// The numbers of guests that a scaling run goes through.
final class GuestCounts {
    private static final int MOST = 1000;

    private GuestCounts() {}

    /// @param step every number is a multiple of it
    /// @throws ParameterException when they are not ascending, or out of range
    static void check(CommandSpec command, List<Integer> counts, int step) {
        int before = 0;
        for (int count : counts) {
            if (count <= before || count > MOST || count % step != 0) {
                throw new ParameterException(
                        command.commandLine(),
                        "--guests must be ascending numbers%s up to %d, such as %s, not %s"
                                .formatted(
                                        step == 1 ? "" : " of pairs, so even ones,",
                                        MOST,
                                        step == 1 ? "1,2,4,8" : "2,4,8",
                                        text(counts)));
            }
            before = count;
        }
    }

    static String text(List<Integer> counts) {
        return counts.stream().map(String::valueOf).collect(Collectors.joining(","));
    }
}
