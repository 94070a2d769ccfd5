package org.splitring.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// One figure of a benchmark, in the form that every `bench` writes.
///
/// @param bench which benchmark: `ring`, `store`, `net`
/// @param subject what was measured: `splitring`, `c`, `agrona`, `jctools`
/// @param variant how: `threads/112/batch-32`
/// @param metric what the values are; ends in `per_second` or `ns`, or is `ratio` or
///     `core_percent`
/// @param runs how many values median, min and max are of
/// @param values those, in the order of the rounds; empty when they are not known
public record BenchRow(
        String bench,
        String subject,
        String variant,
        String metric,
        double median,
        double min,
        double max,
        int runs,
        List<Double> values) {
    static BenchRow of(
            String bench, String subject, String variant, String metric, List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
        int n = sorted.length;
        return new BenchRow(
                bench,
                subject,
                variant,
                metric,
                median(sorted),
                sorted[0],
                sorted[n - 1],
                n,
                List.copyOf(values));
    }

    private static double median(double[] sorted) {
        int n = sorted.length;
        return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    }

    /// How many times as much this is as another: the median over the rounds, in each of which
    /// both met about the same machine.
    double by(BenchRow other) {
        return values.isEmpty() || values.size() != other.values.size()
                ? median / other.median
                : relativeTo(other).median();
    }

    /// The same with its spread, as a row of its own.
    ///
    /// @param other has as many values, one of each round
    BenchRow relativeTo(BenchRow other) {
        List<Double> ratios = new ArrayList<>();
        for (int i = 0; i < values.size(); i++) {
            ratios.add(values.get(i) / other.values.get(i));
        }
        return of(bench, subject, variant, "ratio", ratios);
    }

    boolean isRate() {
        return metric.endsWith("per_second");
    }

    boolean isTime() {
        return metric.endsWith("ns");
    }

    String toJson() {
        return String.format(
                Locale.ROOT,
                "{\"bench\": \"%s\", \"subject\": \"%s\", \"variant\": \"%s\", \"metric\": \"%s\","
                        + " \"median\": %s, \"min\": %s, \"max\": %s, \"runs\": %d}",
                bench,
                subject,
                variant,
                metric,
                decimal(median),
                decimal(min),
                decimal(max),
                runs);
    }

    /// A ratio has its meaning in the second decimal, and a rate has none after the first.
    private static String decimal(double value) {
        return String.format(Locale.ROOT, Math.abs(value) < 10 ? "%.3f" : "%.1f", value);
    }

    static String toJson(List<BenchRow> rows) {
        StringBuilder json = new StringBuilder("[");
        for (BenchRow row : rows) {
            json.append(json.length() == 1 ? "\n  " : ",\n  ").append(row.toJson());
        }
        return json.append("\n]\n").toString();
    }
}
