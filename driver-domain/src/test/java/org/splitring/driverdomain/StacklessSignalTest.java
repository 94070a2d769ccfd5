package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.splitring.ring.BackRing;
import org.splitring.ring.RingBrokenException;

/// What a peer can make us throw costs no stack trace and no allocation.
class StacklessSignalTest {
    @Test
    void j08_aBrokenRingIsSignalledWithOnePreallocatedExceptionWithoutAStackTrace() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4096, 4096);
            BackRing ring = BackRing.attach(memory, 112, -2);
            memory.set(ValueLayout.JAVA_INT, 0, 1 << 31);
            RingBrokenException first =
                    assertThrows(RingBrokenException.class, ring::unconsumedRequests);
            RingBrokenException second =
                    assertThrows(RingBrokenException.class, ring::unconsumedRequests);
            assertSame(first, second);
            assertEquals(0, first.getStackTrace().length);
            first.addSuppressed(new IllegalStateException("kept by nobody"));
            assertEquals(0, first.getSuppressed().length);
        }
    }
}
