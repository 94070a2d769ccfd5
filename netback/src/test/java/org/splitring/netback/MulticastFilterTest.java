package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.splitring.bridge.Frame;

/// The groups that a guest hears, and what a successor finds of them.
class MulticastFilterTest {
    private static final long FIRST = 0x0100_5E00_0000L;

    private final MemorySegment note = Arena.ofAuto().allocate(MulticastFilter.NOTE_BYTES, 64);
    private final MulticastFilter filter = new MulticastFilter(true, note);

    private static boolean hears(MulticastFilter of, int group) {
        byte[] to = {1, 0, 0x5E, 0, 0, (byte) group};
        byte[] bytes = Packets.frame(to, Packets.mac(9), 60);
        Frame frame = new Frame();
        frame.reset();
        frame.append(Arena.ofAuto().allocateFrom(ValueLayout.JAVA_BYTE, bytes), 0, bytes.length);
        return of.passes(frame);
    }

    /// In memory that may only be read: a process that ends while it does so has changed nothing.
    private MulticastFilter successor() {
        return new MulticastFilter(true, note.asReadOnly());
    }

    private void add(int... groups) {
        for (int group : groups) {
            assertTrue(filter.add(FIRST + group));
        }
    }

    @Test
    void aSuccessorHearsWhatWasAskedForAndWritesNothing() {
        add(1, 2, 3);
        filter.remove(FIRST + 1);
        MulticastFilter found = successor();
        assertEquals(2, found.count());
        assertFalse(hears(found, 1));
        assertTrue(hears(found, 2));
        assertTrue(hears(found, 3));
    }

    /// Ended between the stores of a removal, which the successor carries out again: the last group
    /// has taken the place of the first and stands at the end as well.
    @Test
    void aGroupThatStandsThereTwiceIsLeftAtOnce() {
        add(1, 2, 3);
        note.set(ValueLayout.JAVA_LONG, 64, FIRST + 3);
        MulticastFilter found = new MulticastFilter(true, note);
        found.remove(FIRST + 1);
        assertEquals(2, found.count());
        found.remove(FIRST + 3);
        assertFalse(hears(found, 3));
        assertTrue(hears(found, 2));
        assertEquals(1, successor().count());
    }

    /// Ended between the stores of an addition: what is behind the count counts for nothing.
    @Test
    void theCountComesLast() {
        add(1);
        note.set(ValueLayout.JAVA_LONG, 64 + 8, FIRST + 2);
        assertFalse(hears(successor(), 2));
        add(2);
        assertTrue(hears(successor(), 2));
    }

    @Test
    void numbersThatCannotBeLeadNowhere() {
        for (int i = 0; i < MulticastFilter.MAX_ADDRESSES; i++) {
            note.set(ValueLayout.JAVA_LONG, 64 + 8L * i, FIRST + i);
        }
        note.set(ValueLayout.JAVA_INT, 0, Integer.MAX_VALUE);
        assertEquals(MulticastFilter.MAX_ADDRESSES, successor().count());
        note.set(ValueLayout.JAVA_INT, 0, -1);
        assertEquals(0, successor().count());
        note.set(ValueLayout.JAVA_INT, 0, 2);
        note.set(ValueLayout.JAVA_LONG, 64, 0x0016_3E00_0001L);
        assertEquals(1, successor().count(), "one that is no group");
    }
}
