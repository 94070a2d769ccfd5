package org.splitring.ring;

import static org.splitring.wire.ConsoleRingLayout.IN;
import static org.splitring.wire.ConsoleRingLayout.IN_CONS;
import static org.splitring.wire.ConsoleRingLayout.IN_PROD;
import static org.splitring.wire.ConsoleRingLayout.IN_SIZE_BYTES;
import static org.splitring.wire.ConsoleRingLayout.OUT;
import static org.splitring.wire.ConsoleRingLayout.OUT_CONS;
import static org.splitring.wire.ConsoleRingLayout.OUT_PROD;
import static org.splitring.wire.ConsoleRingLayout.OUT_SIZE_BYTES;

import java.lang.foreign.MemorySegment;
import org.splitring.wire.ConsoleRingLayout;

/// The two ends of the console page. Attaching resets nothing; a new page is zeroed by whoever
/// makes it.
public final class ConsoleRing {
    private ConsoleRing() {}

    /// The guest's end: reads `in`, writes `out`.
    public static ByteRingEnd frontend(MemorySegment page) {
        check(page);
        return new ByteRingEnd(
                new ByteRingReader(page, IN_CONS, IN_PROD, page.asSlice(IN, IN_SIZE_BYTES)),
                new ByteRingWriter(page, OUT_CONS, OUT_PROD, page.asSlice(OUT, OUT_SIZE_BYTES)));
    }

    /// The console daemon's end: reads `out`, writes `in`.
    public static ByteRingEnd backend(MemorySegment page) {
        check(page);
        return new ByteRingEnd(
                new ByteRingReader(page, OUT_CONS, OUT_PROD, page.asSlice(OUT, OUT_SIZE_BYTES)),
                new ByteRingWriter(page, IN_CONS, IN_PROD, page.asSlice(IN, IN_SIZE_BYTES)));
    }

    private static void check(MemorySegment page) {
        SringLayout.checkPage(page, ConsoleRingLayout.PAGE.byteSize());
    }
}
