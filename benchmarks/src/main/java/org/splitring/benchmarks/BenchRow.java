package org.splitring.benchmarks;

import java.util.Arrays;
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
public record BenchRow(
        String bench,
        String subject,
        String variant,
        String metric,
        double median,
        double min,
        double max,
        int runs) {
    static BenchRow of(
            String bench, String subject, String variant, String metric, List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).toArray();
        Arrays.sort(sorted);
        int n = sorted.length;
        double median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
        return new BenchRow(bench, subject, variant, metric, median, sorted[0], sorted[n - 1], n);
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
