package org.splitring.benchmarks;

/// One thing that a benchmark measures, in a process of its own.
interface Contender {
    /// Whose it is: `splitring`, `c`, `agrona`, `jctools`.
    String subject();

    /// How a test is named in the rows.
    String variant(String test);
}
