package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Frames from ring to ring through the switch, as a program to start.
///
/// @param kept whether the backends keep the guests' pages mapped (static grants)
record RingsContender(List<String> sizes, boolean kept) implements Contender {
    RingsContender {
        sizes = List.copyOf(sizes);
    }

    @Override
    public String subject() {
        return "splitring";
    }

    @Override
    public String variant(String test) {
        return (kept ? "ring/" : "ring-unkept/") + test;
    }

    List<Figure> run(double seconds) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(
                        JavaProgram.command(
                                NetWorker.class, "-XX:+UseSerialGC", "-Xms32m", "-Xmx512m"));
        command.add(String.format(Locale.ROOT, "%.3f", seconds));
        command.add(kept ? NetWorker.KEPT : NetWorker.UNKEPT);
        command.addAll(sizes);
        return new FigureProgram("ring to ring", command, Map.of(), sizes)
                .run(60 + (long) (4 * seconds * sizes.size()));
    }

    @Override
    public String toString() {
        return "splitring ring to ring" + (kept ? "" : ", pages not kept");
    }
}
