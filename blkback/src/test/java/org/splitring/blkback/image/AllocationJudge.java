package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.nbd.StoreBytes;

/// Holds what a store says of its parts against what it reads as.
public final class AllocationJudge {
    private AllocationJudge() {}

    /// Every extent of a store, `hole` or `data` and its size, neighbours joined.
    public static List<String> extents(BlockStore store) throws IOException {
        Joined all = new Joined();
        AllocationMap map = new AllocationMap();
        for (long at = 0; at < store.sizeBytes(); ) {
            map.clear(AllocationMap.MAX_EXTENTS);
            store.describe(at, store.sizeBytes() - at, map);
            assertTrue(map.count() > 0, "nothing is said of what is at " + at);
            for (int i = 0; i < map.count(); i++) {
                all.add(map.isHole(i), map.sizeBytes(i));
            }
            at += map.coveredBytes();
            assertTrue(at <= store.sizeBytes(), "says more than was asked");
        }
        return all.extents();
    }

    /// Extents one after the other.
    static final class Joined {
        private final List<String> extents = new ArrayList<>();
        private boolean hole;
        private long sizeBytes;

        void add(boolean isHole, long size) {
            if (isHole != hole) {
                end();
                hole = isHole;
            }
            sizeBytes += size;
        }

        private void end() {
            if (sizeBytes > 0) {
                extents.add((hole ? "hole " : "data ") + sizeBytes);
                sizeBytes = 0;
            }
        }

        List<String> extents() {
            end();
            return extents;
        }
    }

    /// Asks for every part and for random ones: all that is said to be a hole reads as zeros.
    ///
    /// @return how many bytes are holes
    public static long judge(BlockStore store, Random random) throws IOException {
        byte[] bytes = StoreBytes.read(store, 0, Math.toIntExact(store.sizeBytes()));
        int sectors = bytes.length / 512;
        AllocationMap map = new AllocationMap();
        for (int i = 0; i < 200; i++) {
            int from = random.nextInt(sectors);
            int count = 1 + random.nextInt(Math.min(sectors - from, 1 << random.nextInt(20)));
            map.clear(1 + random.nextInt(AllocationMap.MAX_EXTENTS));
            store.describe(from * 512L, count * 512L, map);
            assertTrue(map.count() > 0, "nothing is said");
            assertTrue(map.coveredBytes() <= count * 512L, "says more than was asked");
            int at = from * 512;
            for (int e = 0; e < map.count(); e++) {
                assertZeros(map.isHole(e), bytes, at, (int) map.sizeBytes(e));
                at += (int) map.sizeBytes(e);
            }
        }
        int at = 0;
        long holes = 0;
        for (String extent : extents(store)) {
            boolean hole = extent.startsWith("hole ");
            int size = Integer.parseInt(extent.substring(5));
            assertZeros(hole, bytes, at, size);
            at += size;
            holes += hole ? size : 0;
        }
        assertEquals(bytes.length, at);
        return holes;
    }

    private static void assertZeros(boolean hole, byte[] bytes, int from, int size) {
        for (int i = from; hole && i < from + size; i++) {
            if (bytes[i] != 0) {
                throw new AssertionError(
                        "at " + i + " is " + bytes[i] + ", in a hole of " + size + " at " + from);
            }
        }
    }
}
