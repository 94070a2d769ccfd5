package org.splitring.benchmarks.stress;

/// A kind of request that is counted for itself.
///
/// @param name `read`, `frame`
/// @param sizeBytes what one moves; 0 when it moves nothing
record RequestKind(String name, int sizeBytes) {}
