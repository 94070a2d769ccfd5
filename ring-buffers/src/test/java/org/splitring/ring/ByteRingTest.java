package org.splitring.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.wire.ConsoleRingLayout;
import org.splitring.wire.FlexRingLayout;
import org.splitring.wire.XenstoreRingLayout;

/// The console page, the xenstore page and flexible rings: honest streams, and mad indices.
class ByteRingTest {
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Arena arena = Arena.ofAuto();
    private final MemorySegment page = arena.allocate(4096, 4096);
    private final MemorySegment from = arena.allocate(1 << 20, 8);
    private final MemorySegment to = arena.allocate(1 << 20, 8);

    ByteRingTest() {
        for (int i = 0; i < from.byteSize(); i++) {
            from.set(ValueLayout.JAVA_BYTE, i, (byte) (i * 31));
        }
    }

    private ByteRingReader storeAt(int cons, int prod) {
        page.set(U32, XenstoreRingLayout.REQ_CONS, cons);
        page.set(U32, XenstoreRingLayout.REQ_PROD, cons);
        ByteRingReader reader = XenstoreRing.store(page).reader();
        page.set(U32, XenstoreRingLayout.REQ_PROD, prod);
        return reader;
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, -1024, 5000, Integer.MAX_VALUE})
    void h002_distancesUpToTheSizeAreServedAndNoOthers(int cons) {
        for (int i = 0; i < 1024; i++) {
            page.set(ValueLayout.JAVA_BYTE, i, (byte) (i + 1));
        }
        for (int distance : new int[] {0, 1, 1023, 1024}) {
            ByteRingReader reader = storeAt(cons, cons + distance);
            assertEquals(distance, reader.readableBytes(), "full is not empty");
            assertEquals(distance, reader.read(to, 0, 4096));
            for (int i = 0; i < distance; i++) {
                assertEquals(
                        (byte) ((cons + i & 1023) + 1), to.get(ValueLayout.JAVA_BYTE, i), "byte");
            }
            assertEquals(cons + distance, page.get(U32, XenstoreRingLayout.REQ_CONS));
            assertFalse(reader.isBroken());
        }
        for (int distance : new int[] {1025, 1 << 31, -1, 2048, -1024}) {
            ByteRingReader reader = storeAt(cons, cons + distance);
            assertEquals(0, reader.readableBytes());
            assertTrue(reader.isBroken());
            assertEquals(0, reader.read(to, 0, 4096));
            assertEquals(cons, page.get(U32, XenstoreRingLayout.REQ_CONS), "nothing was consumed");
            page.set(U32, XenstoreRingLayout.REQ_PROD, cons + 1);
            assertEquals(0, reader.readableBytes(), "it stays broken");
        }
    }

    @Test
    void h003_arbitraryIndicesNeverLeaveTheRing() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        Random random = new Random(seed);
        int broken = 0;
        for (int i = 0; i < 1_000_000; i++) {
            int ours = i % 2 == 0 ? random.nextInt() : -random.nextInt(2000);
            int theirs = i % 3 == 0 ? random.nextInt() : ours + random.nextInt(-3000, 3000);
            page.set(U32, ConsoleRingLayout.OUT_CONS, ours);
            page.set(U32, ConsoleRingLayout.IN_PROD, ours);
            ByteRingEnd end = ConsoleRing.backend(page);
            page.set(U32, ConsoleRingLayout.OUT_PROD, theirs);
            page.set(U32, ConsoleRingLayout.IN_CONS, theirs);
            long queued = (theirs - (long) ours) & 0xFFFFFFFFL;
            int readable = end.reader().readableBytes();
            assertEquals(queued <= 2048 ? queued : 0, readable, "seed " + seed);
            assertEquals(queued > 2048, end.reader().isBroken());
            long unread = ((long) ours - theirs) & 0xFFFFFFFFL;
            int writable = end.writer().writableBytes();
            assertEquals(unread <= 1024 ? 1024 - unread : 0, writable, "seed " + seed);
            assertEquals(unread > 1024, end.writer().isBroken());
            broken += end.writer().isBroken() ? 1 : 0;
            if (i % 16 == 0) {
                assertEquals(readable, end.reader().read(to, 0, 1 << 20));
                assertEquals(writable, end.writer().write(from, 0, 1 << 20));
            }
        }
        assertTrue(broken > 10_000, "only " + broken);
    }

    @Test
    void h003_scribblingOverOurOwnIndexDoesNotMoveUs() {
        ByteRingEnd guest = ConsoleRing.frontend(page);
        ByteRingEnd daemon = ConsoleRing.backend(page);
        assertEquals(10, guest.writer().write(from, 0, 10));
        page.set(U32, ConsoleRingLayout.OUT_CONS, 7);
        assertEquals(10, daemon.reader().read(to, 0, 100), "cons is not read back");
        assertEquals(10, page.get(U32, ConsoleRingLayout.OUT_CONS));
        page.set(U32, ConsoleRingLayout.OUT_PROD, 99);
        assertEquals(5, guest.writer().write(from, 10, 5), "prod is not read back");
        assertEquals(15, page.get(U32, ConsoleRingLayout.OUT_PROD));
    }

    @Test
    void consoleHasTheHeadersPlaces() {
        ByteRingEnd guest = ConsoleRing.frontend(page);
        ByteRingEnd daemon = ConsoleRing.backend(page);
        assertEquals(2048, guest.writer().sizeBytes());
        assertEquals(1024, guest.reader().sizeBytes());
        assertEquals(2, guest.writer().write(from, 1, 2));
        assertEquals(from.get(ValueLayout.JAVA_BYTE, 1), page.get(ValueLayout.JAVA_BYTE, 1024));
        assertEquals(2, page.get(U32, 3084), "out_prod");
        assertEquals(3, daemon.writer().write(from, 1, 3));
        assertEquals(from.get(ValueLayout.JAVA_BYTE, 1), page.get(ValueLayout.JAVA_BYTE, 0));
        assertEquals(3, page.get(U32, 3076), "in_prod");
        assertEquals(2, daemon.reader().read(to, 0, 10));
        assertEquals(2, page.get(U32, 3080), "out_cons");
        assertEquals(3, guest.reader().read(to, 0, 10));
        assertEquals(3, page.get(U32, 3072), "in_cons");
    }

    @Test
    void streamsPassThroughEveryKindOfRing() {
        stream(ConsoleRing.frontend(page), ConsoleRing.backend(page));
        page.fill((byte) 0);
        for (long index = 2048; index < 2064; index += 4) {
            page.set(U32, index, -5); // all four of the xenstore page: attaching live, then a wrap
        }
        stream(XenstoreRing.domain(page), XenstoreRing.store(page));
        for (int order : new int[] {0, 1, 4}) {
            MemorySegment index = arena.allocate(4096, 4096);
            MemorySegment data = arena.allocate(4096L << order, 4096);
            index.set(U32, FlexRingLayout.IN_CONS, -7);
            index.set(U32, FlexRingLayout.IN_PROD, -7);
            ByteRingEnd front = FlexRing.frontend(index, data, order);
            ByteRingEnd back = FlexRing.backend(index, data, order);
            assertEquals(2048 << order, front.reader().sizeBytes());
            stream(front, back);
        }
    }

    /// Random pieces both ways, against a plain queue.
    private void stream(ByteRingEnd front, ByteRingEnd back) {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        Random random = new Random(seed);
        ArrayDeque<Byte> out = new ArrayDeque<>();
        ArrayDeque<Byte> in = new ArrayDeque<>();
        boolean sawFull = false;
        for (int i = 0; i < 2_000_000 / front.reader().sizeBytes(); i++) {
            sawFull |= write(random, front.writer(), out);
            write(random, back.writer(), in);
            read(random, back.reader(), out, seed);
            read(random, front.reader(), in, seed);
        }
        assertTrue(sawFull, "the ring was never full; seed " + seed);
    }

    private boolean write(Random random, ByteRingWriter writer, ArrayDeque<Byte> expected) {
        int offset = random.nextInt(1000);
        int length = random.nextInt(writer.sizeBytes() + 10);
        int written = writer.write(from, offset, length);
        assertEquals(Math.min(length, writer.sizeBytes() - expected.size()), written);
        for (int i = 0; i < written; i++) {
            expected.add(from.get(ValueLayout.JAVA_BYTE, offset + i));
        }
        return writer.writableBytes() == 0;
    }

    private void read(Random random, ByteRingReader reader, ArrayDeque<Byte> expected, long seed) {
        int most = random.nextInt(reader.sizeBytes() + 10);
        assertEquals(expected.size(), reader.readableBytes());
        int count = reader.read(to, 3, most);
        assertEquals(Math.min(most, expected.size()), count);
        for (int i = 0; i < count; i++) {
            assertEquals(expected.remove(), to.get(ValueLayout.JAVA_BYTE, 3 + i), "seed " + seed);
        }
    }

    @Test
    void h010_flexibleRingOfAnotherGeometryIsRefused() {
        MemorySegment data = arena.allocate(4096 * 8, 4096);
        for (int order : new int[] {-1, 10, 31, 32, Integer.MAX_VALUE, Integer.MIN_VALUE, 2, 4}) {
            assertThrows(IllegalArgumentException.class, () -> FlexRing.backend(page, data, order));
            assertThrows(
                    IllegalArgumentException.class, () -> FlexRing.frontend(page, data, order));
        }
        MemorySegment small = page.asSlice(0, 132);
        assertThrows(IllegalArgumentException.class, () -> FlexRing.backend(small, data, 3));
        assertThrows(IllegalArgumentException.class, () -> ConsoleRing.backend(small));
        assertThrows(IllegalArgumentException.class, () -> XenstoreRing.store(page.asReadOnly()));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, -1024, 5000})
    void whatWasWrittenAndNotTakenCanBeHadAgain(int start) {
        page.set(U32, XenstoreRingLayout.REQ_CONS, start);
        page.set(U32, XenstoreRingLayout.REQ_PROD, start);
        ByteRingWriter writer = XenstoreRing.domain(page).writer();
        for (int length : new int[] {0, 1, 1023, 1024}) {
            for (int taken : new int[] {0, 1, length}) {
                if (taken <= length) {
                    int before = page.get(U32, XenstoreRingLayout.REQ_PROD);
                    assertEquals(length, writer.write(from, 0, length));
                    page.set(U32, XenstoreRingLayout.REQ_CONS, before + taken);
                    byte[] unread = writer.unread();
                    assertEquals(length - taken, unread.length);
                    assertEquals(
                            MemorySegment.ofArray(unread)
                                    .mismatch(from.asSlice(taken, unread.length)),
                            -1);
                    page.set(U32, XenstoreRingLayout.REQ_CONS, before + length);
                }
            }
        }
    }

    @Test
    void h002_nothingIsHadAgainFromARingWhoseReaderLies() {
        ByteRingWriter writer = XenstoreRing.domain(page).writer();
        assertEquals(10, writer.write(from, 0, 10));
        page.set(U32, XenstoreRingLayout.REQ_CONS, 11);
        assertEquals(0, writer.unread().length);
        assertTrue(writer.isBroken());
    }
}
