package org.splitring.benchmarks;

/// A figure as a measuring program prints it: a line `TEST METRIC VALUE`.
record Figure(String test, String metric, double value) {
    /// @throws IllegalArgumentException when the value is none: where nothing was counted, a time
    ///     for each of it has no meaning, and nobody can draw it
    Figure {
        if (!Double.isFinite(value)) {
            throw new IllegalArgumentException(test + " " + metric + ": " + value);
        }
    }
}
