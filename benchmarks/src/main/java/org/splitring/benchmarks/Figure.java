package org.splitring.benchmarks;

/// A figure as a measuring program prints it: a line `TEST METRIC VALUE`.
record Figure(String test, String metric, double value) {}
