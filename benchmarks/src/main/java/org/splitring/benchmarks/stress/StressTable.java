package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;

/// A result for a terminal: one line for each kind of request, medians over the runs with the
/// spread of the rate.
final class StressTable {
    private static final String FORM = "%-13s %-15s %10s %17s %9s %9s %9s %9s %9s %9s%n";

    private final StressResult result;

    StressTable(StressResult result) {
        this.result = result;
    }

    String text() {
        StringBuilder text = new StringBuilder();
        text.append("stress ").append(result.test()).append(": ").append(settings()).append('\n');
        text.append(result.machine()).append('\n');
        if (result.points().isEmpty()) {
            return text.append("interrupted before anything was measured\n").toString();
        }
        text.append(
                FORM.formatted(
                        "",
                        "requests",
                        "per second",
                        "min-max of runs",
                        "MB/s",
                        "p50",
                        "p90",
                        "p99",
                        "p99.9",
                        "max"));
        for (StressPoint point : result.points()) {
            String name = point.name();
            for (KindFigures kind : point.runs().getFirst().kinds()) {
                text.append(rate(point, name, kind));
                name = "";
                if (kind.service() != null) {
                    text.append(row(point, "", kind.kind() + " service", "", "", ""));
                }
            }
        }
        for (StressPoint point : result.points()) {
            text.append(rest(point));
        }
        String remark = remark();
        return remark.isEmpty() ? text.toString() : text.append(remark).append('\n').toString();
    }

    private String settings() {
        List<String> words = new ArrayList<>();
        result.settings().forEach((name, value) -> words.add(name + " " + value));
        return String.join(", ", words);
    }

    /// How it ended, unless as planned.
    private String remark() {
        return switch (result.outcome()) {
            case "interrupted" -> "interrupted, so this is what was measured until then";
            case "failed" -> "ended by a failure, so this is what was measured until then";
            default -> "";
        };
    }

    private static String rate(StressPoint point, String name, KindFigures kind) {
        StressMetric rate = point.metric(kind.kind() + " rate");
        String throughput =
                kind.megabytesPerSecond() > 0
                        ? Amounts.count(point.metric(kind.kind() + " throughput").median())
                        : "-";
        return row(
                point,
                name,
                kind.kind(),
                Amounts.count(rate.median()),
                Amounts.count(rate.min()) + "-" + Amounts.count(rate.max()),
                throughput);
    }

    private static String row(
            StressPoint point,
            String name,
            String kind,
            String rate,
            String spread,
            String throughput) {
        return FORM.formatted(
                name,
                kind,
                rate,
                spread,
                throughput,
                nanos(point, kind + " p50"),
                nanos(point, kind + " p90"),
                nanos(point, kind + " p99"),
                nanos(point, kind + " p99.9"),
                nanos(point, kind + " max"));
    }

    private static String nanos(StressPoint point, String metric) {
        return Amounts.nanos(point.metric(metric).median());
    }

    /// What is not of one kind of request.
    private static String rest(StressPoint point) {
        List<String> parts = new ArrayList<>();
        for (StressMetric metric : point.metrics()) {
            if (point.runs().getFirst().kinds().stream()
                    .noneMatch(kind -> metric.name().startsWith(kind.kind() + " "))) {
                parts.add(metric.name() + " " + Amounts.with(metric.median(), metric.unit()));
            }
        }
        List<String> cores = new ArrayList<>();
        for (Double percent : point.runs().getLast().corePercent()) {
            cores.add(Math.round(percent) + " %");
        }
        parts.add("cores " + String.join(" ", cores));
        int runs = point.runs().size();
        return "%s, %d %s: %s%n"
                .formatted(
                        point.name(), runs, runs == 1 ? "run" : "runs", String.join(", ", parts));
    }
}
