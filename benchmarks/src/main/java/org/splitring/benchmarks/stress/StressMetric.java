package org.splitring.benchmarks.stress;

import java.util.List;

/// A figure of every run, with the spread of the runs.
///
/// @param better which way is better
/// @param values one of each run, in their order
record StressMetric(
        String name,
        String unit,
        Better better,
        double median,
        double min,
        double max,
        List<Double> values) {
    /// Which way is better.
    enum Better {
        MORE,
        LESS,
        /// Not judged: no figure of merit, or a single event decides it.
        NEITHER
    }

    StressMetric {
        values = List.copyOf(values);
    }

    static StressMetric of(String name, String unit, Better better, List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
        int n = sorted.length;
        double median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
        return new StressMetric(name, unit, better, median, sorted[0], sorted[n - 1], values);
    }
}
