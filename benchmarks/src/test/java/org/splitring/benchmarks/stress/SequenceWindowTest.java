package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/// Which frames have come.
final class SequenceWindowTest {
    private final SequenceWindow window = new SequenceWindow();

    @Test
    void framesInOrderAreDistinct() {
        for (long i = 0; i < 3L * SequenceWindow.SIZE; i++) {
            assertTrue(window.take(i));
        }
        assertEquals(3L * SequenceWindow.SIZE, window.distinct());
        assertEquals(0, window.duplicated() + window.reordered());
    }

    @Test
    void aSecondOneIsADuplicate() {
        window.take(0);
        window.take(1);
        assertFalse(window.take(0));
        assertFalse(window.take(1));
        assertEquals(2, window.duplicated());
        assertEquals(2, window.distinct());
    }

    @Test
    void aLateOneIsOutOfOrderAndNoDuplicate() {
        window.take(0);
        window.take(2);
        assertTrue(window.take(1));
        assertFalse(window.take(1));
        assertEquals(1, window.reordered());
        assertEquals(1, window.duplicated());
        assertEquals(3, window.distinct());
        assertEquals(3, window.next());
    }

    @Test
    void whatIsLostIsNotDistinct() {
        window.take(0);
        window.take(SequenceWindow.SIZE + 7L); // over all places of the window
        assertTrue(window.take(SequenceWindow.SIZE + 8L));
        assertEquals(3, window.distinct());
        assertEquals(SequenceWindow.SIZE + 9L, window.next());
    }
}
