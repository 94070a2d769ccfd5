package org.splitring.benchmarks;

/// Where a workload runs.
///
/// @param subject `splitring`, `native` or `bare`
/// @param net two ends with an interface each: clients at end 1, servers at end 2
/// @param disk the file system of end 2
record PaperSide(String subject, TapBed net, PaperDisk disk) {
    /// The end that has the disk, and where servers are.
    static final int SERVER = 2;

    static final int CLIENT = 1;
}
