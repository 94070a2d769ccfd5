package org.splitring.ring;

/// Space in front of the indices of a ring's end. The two ends of a ring belong to two threads, and
/// when both live in one JVM a garbage collection puts their objects side by side: each index that
/// one end moves would take the cache line with the other end's indices away from it. 128 bytes,
/// since processors fetch lines in pairs.
///
/// A superclass's fields lie before those of its subclasses; that is all that Java promises of
/// places, and enough. What lies behind the indices is spaced by the next ring.
@SuppressWarnings("unused") // space
abstract class RingSpacing {
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
