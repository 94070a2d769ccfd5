package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import org.splitring.benchmarks.stress.StressMetric.Better;

/// Two results side by side: for each metric that both have, whether they differ beyond the
/// spread of their runs.
final class Comparison {
    /// Differences smaller than this share are none, however small the spread: histograms have
    /// three digits, and no two starts of a JVM are the same.
    private static final double LEAST_SHARE = 0.01;

    /// What B is beside A.
    enum Verdict {
        BETTER,
        WORSE,
        /// Within the spread.
        SAME,
        /// It differs, and neither way is better.
        DIFFERENT,
        /// One run has no spread.
        UNKNOWN
    }

    /// One metric of both.
    record Row(String point, StressMetric a, StressMetric b, Verdict verdict) {}

    private final List<String> differences;
    private final List<Row> rows;

    private Comparison(List<String> differences, List<Row> rows) {
        this.differences = differences;
        this.rows = rows;
    }

    static Comparison of(StressResult a, StressResult b) {
        List<String> differences = new ArrayList<>();
        note(differences, "test", a.test(), b.test());
        TreeSet<String> names = new TreeSet<>(a.settings().keySet());
        names.addAll(b.settings().keySet());
        for (String name : names) {
            note(differences, name, value(a.settings(), name), value(b.settings(), name));
        }
        note(differences, "processor", a.machine().processor(), b.machine().processor());
        note(
                differences,
                "processors",
                Integer.toString(a.machine().processors()),
                Integer.toString(b.machine().processors()));
        note(differences, "kernel", a.machine().kernel(), b.machine().kernel());
        note(differences, "JDK", a.machine().jdk(), b.machine().jdk());
        note(differences, "outcome", a.outcome(), b.outcome());
        List<Row> rows = new ArrayList<>();
        for (StressPoint pointA : a.points()) {
            for (StressPoint pointB : b.points()) {
                if (pointA.name().equals(pointB.name())) {
                    rows(pointA, pointB, rows);
                }
            }
        }
        if (a.points().size() == 1 && b.points().size() == 1 && rows.isEmpty()) {
            rows(a.points().getFirst(), b.points().getFirst(), rows); // as many guests as they like
        }
        return new Comparison(differences, rows);
    }

    private static String value(Map<String, String> settings, String name) {
        return Objects.requireNonNullElse(settings.get(name), "-");
    }

    private static void note(List<String> differences, String what, String a, String b) {
        if (!a.equals(b)) {
            differences.add("%s: %s in A, %s in B".formatted(what, a, b));
        }
    }

    private static void rows(StressPoint a, StressPoint b, List<Row> rows) {
        for (StressMetric ours : a.metrics()) {
            for (StressMetric theirs : b.metrics()) {
                if (ours.name().equals(theirs.name())) {
                    rows.add(new Row(a.name(), ours, theirs, judge(ours, theirs)));
                }
            }
        }
    }

    /// Beyond the spread: no run of one lies among those of the other, and the medians are
    /// further apart than the runs of either are.
    static Verdict judge(StressMetric a, StressMetric b) {
        double difference = b.median() - a.median();
        if (a.values().size() < 2 || b.values().size() < 2) {
            return difference == 0 ? Verdict.SAME : Verdict.UNKNOWN;
        }
        boolean apart = a.max() < b.min() || b.max() < a.min();
        double spread = Math.max(a.max() - a.min(), b.max() - b.min());
        if (!apart
                || Math.abs(difference) <= spread
                || Math.abs(difference) <= LEAST_SHARE * Math.abs(a.median())) {
            return Verdict.SAME;
        }
        if (a.better() == Better.NEITHER) {
            return Verdict.DIFFERENT;
        }
        return difference > 0 == (a.better() == Better.MORE) ? Verdict.BETTER : Verdict.WORSE;
    }

    List<Row> rows() {
        return rows;
    }

    boolean isWorse() {
        return rows.stream().anyMatch(row -> row.verdict() == Verdict.WORSE);
    }

    /// What is not the same first, then a line for each metric.
    String text() {
        StringBuilder text = new StringBuilder();
        if (!differences.isEmpty()) {
            text.append("not the same in A and B, so the figures may differ because of it:\n");
            differences.forEach(line -> text.append("  ").append(line).append('\n'));
        }
        if (rows.isEmpty()) {
            return text.append("nothing that both have measured\n").toString();
        }
        String form = "%-12s %-26s %32s %32s %8s  %s%n";
        text.append(form.formatted("", "metric", "A (min-max)", "B (min-max)", "B/A", ""));
        String point = "";
        for (Row row : rows) {
            text.append(
                    form.formatted(
                            row.point().equals(point) ? "" : row.point(),
                            row.a().name(),
                            values(row.a()),
                            values(row.b()),
                            ratio(row),
                            word(row.verdict())));
            point = row.point();
        }
        return text.toString();
    }

    private static String values(StressMetric metric) {
        return "%s (%s-%s)"
                .formatted(
                        Amounts.with(metric.median(), metric.unit()),
                        Amounts.with(metric.min(), metric.unit()),
                        Amounts.with(metric.max(), metric.unit()));
    }

    private static String ratio(Row row) {
        return row.a().median() == 0 ? "-" : Amounts.count(row.b().median() / row.a().median());
    }

    private static String word(Verdict verdict) {
        return switch (verdict) {
            case BETTER -> "better";
            case WORSE -> "WORSE";
            case SAME -> "same";
            case DIFFERENT -> "differs";
            case UNKNOWN -> "one run: no spread";
        };
    }
}
