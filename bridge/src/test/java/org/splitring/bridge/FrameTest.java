package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FrameTest {
    private static byte[] bytes(Frame frame) {
        byte[] bytes = new byte[frame.sizeBytes()];
        frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, bytes.length);
        return bytes;
    }

    @Test
    void copyToGivesEveryRangeWhateverTheSplit() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("FrameTest seed " + seed);
        Random random = new Random(seed);
        Frame frame = new Frame();
        for (int round = 0; round < 500; round++) {
            byte[] whole = new byte[14 + random.nextInt(3000)];
            random.nextBytes(whole);
            int[] cuts = random.ints(random.nextInt(12), 1, whole.length).sorted().toArray();
            Lab.fill(frame, whole, cuts);
            assertArrayEquals(whole, bytes(frame), "seed " + seed);
            for (int i = 0; i < 20; i++) {
                int from = random.nextInt(whole.length);
                int length = random.nextInt(whole.length - from + 1);
                byte[] part = new byte[length + 3];
                frame.copyTo(MemorySegment.ofArray(part), 3, from, length);
                assertArrayEquals(
                        Arrays.copyOfRange(whole, from, from + length),
                        Arrays.copyOfRange(part, 3, length + 3),
                        "seed " + seed);
            }
        }
    }

    @Test
    void rangesOutsideTheFrameAreRefused() {
        Frame frame = new Frame();
        Lab.fill(frame, new byte[300]);
        MemorySegment target = MemorySegment.ofArray(new byte[400]);
        assertThrows(IndexOutOfBoundsException.class, () -> frame.copyTo(target, 0, 0, 301));
        assertThrows(IndexOutOfBoundsException.class, () -> frame.copyTo(target, 0, 300, 1));
        assertThrows(IndexOutOfBoundsException.class, () -> frame.copyTo(target, 0, -1, 2));
        MemorySegment memory = Lab.copy(new byte[100]);
        assertThrows(IndexOutOfBoundsException.class, () -> frame.appendPiece(memory, 90, 11));
        assertThrows(
                IllegalArgumentException.class, () -> frame.appendHeader(memory, 0, 1), "too late");
    }

    @Test
    void tagsArePushedAndPoppedWithoutTouchingThePayload() {
        byte[] whole = tcp(946);
        Frame frame = new Frame();
        Lab.fill(frame, whole, 256, 500);
        assertTrue(frame.partialChecksum(34, 16));
        frame.pushTag(FrameLayers.VLAN, 0x6064);
        assertEquals(1004, frame.sizeBytes());
        assertEquals(38, frame.checksumStart());
        assertEquals(1, frame.layers().tags);
        byte[] tagged = bytes(frame);
        assertArrayEquals(Arrays.copyOf(whole, 12), Arrays.copyOf(tagged, 12));
        assertArrayEquals(
                new byte[] {(byte) 0x81, 0, 0x60, 0x64}, Arrays.copyOfRange(tagged, 12, 16));
        assertArrayEquals(
                Arrays.copyOfRange(whole, 12, 1000), Arrays.copyOfRange(tagged, 16, 1004));
        frame.popTag();
        assertArrayEquals(whole, bytes(frame));
        assertEquals(34, frame.checksumStart());
    }

    private static byte[] tcp(int payload) {
        return Packets.join(
                Packets.ethernet(Lab.mac(1), Lab.mac(2), 0x800),
                Packets.ipv4(
                        "10.0.0.1",
                        "10.0.0.2",
                        6,
                        Packets.tcp(1, 2, 0, 0, Packets.counting(payload), 0),
                        0));
    }

    /// Otherwise the sum would be written over addresses, tags or ports after they were checked,
    /// and whoever chooses the payload chooses the sum.
    @Test
    void h051_aPartialChecksumIsBelievedOnlyWhereThereIsOne() {
        Frame frame = new Frame();
        Lab.fill(frame, tcp(100));
        int[][] places = {
            {0, 0},
            {0, 50},
            {0, 14},
            {14, 12},
            {14, 36},
            {34, 0},
            {34, 2},
            {34, 18},
            {33, 17},
            {-1, 51},
            {34, -1},
            {54, 10},
            {Integer.MAX_VALUE, 16},
            {34, Integer.MAX_VALUE},
            {153, 0}
        };
        for (int[] place : places) {
            assertFalse(frame.partialChecksum(place[0], place[1]), place[0] + " + " + place[1]);
            assertEquals(ChecksumState.COMPLETE_UNKNOWN, frame.checksumState());
        }
        assertTrue(frame.partialChecksum(34, 16));
        Lab.fill(frame, Lab.frame(Lab.mac(1), Lab.mac(2), 100));
        assertFalse(frame.partialChecksum(34, 16), "no IP packet");
        byte[] tunnel =
                Packets.join(
                        Packets.ethernet(Lab.mac(1), Lab.mac(2), 0x800),
                        Packets.ipv4(
                                "10.0.0.1",
                                "10.0.0.2",
                                17,
                                Packets.udp(1, 4789, 0, Packets.join(new byte[8], tcp(40))),
                                0));
        Lab.fill(frame, tunnel);
        assertTrue(frame.partialChecksum(34, 6));
        assertTrue(frame.partialChecksum(50 + 34, 16), "the inner packet's");
        assertFalse(frame.partialChecksum(40, 2), "in the outer header");
    }
}
