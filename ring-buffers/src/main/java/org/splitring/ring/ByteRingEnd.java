package org.splitring.ring;

/// One side's two halves of a page with a ring of bytes in each direction.
///
/// @param reader takes what the other side writes
/// @param writer puts what the other side reads
public record ByteRingEnd(ByteRingReader reader, ByteRingWriter writer) {}
