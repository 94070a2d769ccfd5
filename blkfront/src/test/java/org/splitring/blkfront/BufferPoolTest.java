package org.splitring.blkfront;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BufferPoolTest {
    private static final int PAGES = 32;
    private final BufferPool pool = new BufferPool(Arena.ofAuto().allocate(PAGES * 4096L, 4096));

    private GuestBuffer acquire(int sizeBytes) {
        GuestBuffer buffer = pool.acquire(sizeBytes);
        assertNotNull(buffer);
        return buffer;
    }

    @Test
    void buffersNeverOverlapAndAllPagesComeBack() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        int[] owner = new int[PAGES];
        List<GuestBuffer> held = new ArrayList<>();
        for (int step = 1; step < 20_000; step++) {
            if (random.nextBoolean()) {
                int size = 1 + random.nextInt(8 * 4096);
                GuestBuffer buffer = pool.acquire(size);
                if (buffer != null) {
                    assertEquals((size + 4095) / 4096 * 4096, buffer.capacityBytes());
                    assertEquals(buffer.capacityBytes(), buffer.segment().byteSize());
                    assertEquals(buffer.capacityBytes(), buffer.bytes().capacity());
                    for (int i = 0; i < buffer.pageCount(); i++) {
                        assertEquals(0, owner[buffer.firstPage() + i], "page is taken");
                        owner[buffer.firstPage() + i] = step;
                    }
                    held.add(buffer);
                }
            } else if (!held.isEmpty()) {
                GuestBuffer buffer = held.remove(random.nextInt(held.size()));
                for (int i = 0; i < buffer.pageCount(); i++) {
                    owner[buffer.firstPage() + i] = 0;
                }
                pool.release(buffer);
            }
        }
        held.forEach(pool::release);
        assertEquals(PAGES, pool.freePages());
        pool.release(acquire(PAGES * 4096));
    }

    @Test
    void aBufferIsReleasedOnce() {
        GuestBuffer buffer = acquire(4096);
        pool.release(buffer);
        assertThrows(IllegalStateException.class, () -> pool.release(buffer));
        assertEquals(PAGES, pool.freePages());
    }

    @Test
    void aLostPageIsNeverHandedOutAgain() {
        GuestBuffer buffer = acquire(3 * 4096);
        pool.lose(buffer.firstPage() + 1);
        pool.release(buffer);
        assertEquals(PAGES - 1, pool.freePages());
        assertNull(pool.acquire(PAGES * 4096));
        for (int i = 0; i < PAGES - 1; i++) {
            assertEquals(false, acquire(1).firstPage() == 1);
        }
        assertNull(pool.acquire(1));
    }

    @Test
    void sizesThatCanNeverBeAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> pool.acquire(0));
        assertThrows(IllegalArgumentException.class, () -> pool.acquire(-1));
        assertThrows(IllegalArgumentException.class, () -> pool.acquire(PAGES * 4096 + 1));
    }
}
