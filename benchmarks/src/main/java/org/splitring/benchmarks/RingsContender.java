package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Frames from ring to ring through the switch, as a program to start.
///
/// @param how one of [NetWorker]'s words: pages kept mapped (static grants) or not, or noted
record RingsContender(List<String> sizes, String how) implements Contender {
    RingsContender {
        sizes = List.copyOf(sizes);
    }

    @Override
    public String subject() {
        return "splitring";
    }

    @Override
    public String variant(String test) {
        return (how.equals(NetWorker.KEPT) ? "ring/" : "ring-" + how + "/") + test;
    }

    List<Figure> run(double seconds) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(
                        JavaProgram.command(
                                NetWorker.class, "-XX:+UseSerialGC", "-Xms32m", "-Xmx512m"));
        command.add(String.format(Locale.ROOT, "%.3f", seconds));
        command.add(how);
        command.addAll(sizes);
        return new FigureProgram("ring to ring", command, Map.of(), sizes)
                .run(60 + (long) (4 * seconds * sizes.size()));
    }

    @Override
    public String toString() {
        return "splitring ring to ring, " + how;
    }
}
