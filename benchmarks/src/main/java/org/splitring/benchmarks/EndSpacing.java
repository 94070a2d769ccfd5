package org.splitring.benchmarks;

/// Space in front of the counters of a contender's end, so that the two ends do not share a cache
/// line when a garbage collection has put them side by side: with it, threads measure the rings
/// and queues, and not where the collector put the loops around them.
@SuppressWarnings("unused") // space
abstract class EndSpacing {
    private long space0;
    private long space1;
    private long space2;
    private long space3;
    private long space4;
    private long space5;
    private long space6;
    private long space7;
    private long space8;
    private long space9;
    private long space10;
    private long space11;
    private long space12;
    private long space13;
    private long space14;
    private long space15;
}
