package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class AllocationMapTest {
    private final AllocationMap map = new AllocationMap();

    @Test
    void neighboursOfTheSameKindAreOneExtent() {
        map.addHole(512);
        map.addHole(1L << 40);
        map.addData(512);
        map.addData(512);
        map.addHole(1024);
        assertEquals(3, map.count());
        assertEquals(512 + (1L << 40), map.sizeBytes(0));
        assertTrue(map.isHole(0));
        assertEquals(1024, map.sizeBytes(1));
        assertFalse(map.isHole(1));
        assertEquals(512 + (1L << 40) + 2048, map.coveredBytes());
        assertFalse(map.isCut());
    }

    @Test
    void whatFollowsAnExtentWithoutRoomIsLeftAway() {
        map.clear(2);
        map.addData(512);
        map.addHole(512);
        map.addHole(512); // belongs to the one before
        assertFalse(map.isCut());
        map.addData(512);
        map.addHole(512); // would make what was left away a hole
        assertTrue(map.isCut());
        assertEquals(2, map.count());
        assertEquals(1536, map.coveredBytes());
        map.clear(1);
        assertFalse(map.isCut());
        assertEquals(0, map.count());
        assertEquals(0, map.coveredBytes());
    }

    @Test
    void thereIsRoomForAllThatItEverGets() {
        for (int i = 0; i <= AllocationMap.MAX_EXTENTS; i++) {
            assertEquals(i, map.count());
            assertFalse(map.isCut());
            if (i % 2 == 0) {
                map.addData(512);
            } else {
                map.addHole(512);
            }
        }
        assertTrue(map.isCut());
        assertThrows(IllegalArgumentException.class, () -> map.clear(0));
        assertThrows(
                IllegalArgumentException.class, () -> map.clear(AllocationMap.MAX_EXTENTS + 1));
    }

    @Test
    void extentsAreWholeSectors() {
        for (long bad : new long[] {0, -512, 511, 513}) {
            assertThrows(IllegalArgumentException.class, () -> map.addHole(bad));
            assertThrows(IllegalArgumentException.class, () -> map.addData(bad));
        }
        assertEquals(0, map.count());
    }
}
