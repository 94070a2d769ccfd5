package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.bridge.Frame;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.testkit.PagesView;

/// Pages that a frontend has kept mapped, asked for by hand and by our own frontend.
@Timeout(60)
class StaticGrantsTest {
    private static final int SUCCESS = 0;
    private static final int INVALID = 2;
    private static final int GET_SIZE = 8;
    private static final int ADD = 9;
    private static final int DEL = 10;
    private static final int READ_ONLY = 1;
    private static final int LIST = 15; // the data page that has the list

    private final VifLab lab = VifLab.withSeed();
    private RawVif raw;

    @BeforeEach
    void connect() throws Exception {
        raw = new RawVif(lab, 1).withControlRing().connect();
    }

    @AfterEach
    void close() {
        raw.close();
        lab.close();
    }

    private void list(int index, int gref, int flags) {
        MemorySegment page = raw.data.memory();
        page.set(ValueLayout.JAVA_INT, LIST * 4096L + index * 8L, gref);
        page.set(ValueLayout.JAVA_SHORT, LIST * 4096L + index * 8L + 4, (short) flags);
        page.set(ValueLayout.JAVA_SHORT, LIST * 4096L + index * 8L + 6, (short) 0x5A5A);
    }

    private int listStatus(int index) {
        return raw.data.memory().get(ValueLayout.JAVA_SHORT, LIST * 4096L + index * 8L + 6);
    }

    private int ask(int type, int length) {
        return raw.ask(type, 0, raw.data.gref(LIST), length);
    }

    private int mapped() {
        return lab.hypervisor.mappedTotal();
    }

    @Test
    void asManyPagesAsBothRingsHaveSlotsCanBeKept() {
        assertEquals(SUCCESS, raw.ask(GET_SIZE, 0, 0, 0));
        assertEquals(512, raw.answeredData());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, -1, Integer.MAX_VALUE, Integer.MIN_VALUE})
    void h048_aQueueThatDoesNotExistIsRefused(int queue) {
        list(0, raw.data.gref(0), 0);
        assertEquals(INVALID, raw.ask(GET_SIZE, queue, 0, 0));
        assertEquals(INVALID, raw.ask(ADD, queue, raw.data.gref(LIST), 1));
        assertEquals(INVALID, raw.ask(DEL, queue, raw.data.gref(LIST), 1));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, 513, 0x2000_0001, Integer.MAX_VALUE, Integer.MIN_VALUE})
    void h048_aListOfAnotherLengthIsRefused(int length) {
        list(0, raw.data.gref(0), 0);
        int before = mapped();
        assertEquals(INVALID, ask(ADD, length));
        assertEquals(INVALID, ask(DEL, length));
        assertEquals(before, mapped());
    }

    @Test
    void h048_aListThatCannotBeReadIsRefused() {
        assertEquals(INVALID, raw.ask(ADD, 0, 0x7FFF_FFFF, 1));
        assertEquals(INVALID, raw.ask(DEL, 0, 0x7FFF_FFFF, 1));
    }

    @Test
    void keptPagesCarryFramesAndCannotBeRevokedUntilTheyAreGivenBack() throws Exception {
        VifLab.Guest neighbour = lab.guest(2);
        int before = mapped();
        list(0, raw.data.gref(0), READ_ONLY);
        list(1, raw.data.gref(16), 0);
        assertEquals(SUCCESS, ask(ADD, 2));
        assertEquals(before + 2, mapped());
        assertFalse(raw.domain.grants().tryRevoke(raw.data.gref(0)));

        byte[] packet = Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 300, false);
        raw.send(packet);
        raw.awaitTx(1);
        assertEquals(SUCCESS, raw.txStatus(0));
        lab.until("the frame comes", () -> neighbour.received.size() == 1);
        assertArrayEquals(packet, neighbour.received.getFirst().bytes());
        raw.offerRx(1);
        byte[] answer = Packets.ip4(Packets.mac(1), Packets.mac(2), 6, 400, false);
        neighbour.send(answer);
        raw.awaitRx(1);
        assertArrayEquals(answer, raw.rxBytes(0));

        list(2, raw.data.gref(5), 0); // never kept
        assertEquals(SUCCESS, ask(DEL, 3));
        assertEquals(2, raw.answeredData());
        assertEquals(SUCCESS, listStatus(0));
        assertEquals(SUCCESS, listStatus(1));
        assertEquals(INVALID, listStatus(2));
        assertEquals(before, mapped());
        assertTrue(raw.domain.grants().tryRevoke(raw.data.gref(0)));
        raw.domain.grants().grant(raw.data.gref(0), DomId.ZERO, gfn(0), false);
        raw.send(packet);
        raw.awaitTx(2);
        assertEquals(SUCCESS, raw.txStatus(1), "as without");
    }

    private int gfn(int page) {
        long offset = raw.data.memory().address() - raw.domain.memory().segment().address();
        return (int) (offset >>> 12) + page;
    }

    /// A page that is kept for reading is written through a mapping of its own, when the frontend
    /// offers it for frames; what it may do is what the grant table says.
    @Test
    void aPageThatIsKeptForReadingIsNotWrittenThroughThat() throws Exception {
        VifLab.Guest neighbour = lab.guest(2);
        assertTrue(raw.domain.grants().tryRevoke(raw.data.gref(16)));
        raw.domain.grants().grant(raw.data.gref(16), DomId.ZERO, gfn(16), true);
        list(0, raw.data.gref(16), 0);
        assertEquals(INVALID, ask(ADD, 1), "to be written, which the grant does not allow");
        list(0, raw.data.gref(16), READ_ONLY);
        assertEquals(SUCCESS, ask(ADD, 1));
        raw.offerRx(1);
        neighbour.send(Packets.ip4(Packets.mac(1), Packets.mac(2), 6, 400, false));
        raw.awaitRx(1);
        assertEquals(-1, raw.rxStatus(0), "the page was written");
    }

    @ParameterizedTest
    @CsvSource({
        "0x7FFFFFFF, 0", // no such reference
        "-1, 0",
        "-2, 2", // flags that do not exist
        "-2, 3",
        "-3, 0" // named twice
    })
    void h048_allOfAListIsKeptOrNothing(String wanted, int flags) {
        int before = mapped();
        list(0, raw.data.gref(0), 0);
        list(1, raw.data.gref(1), READ_ONLY);
        list(2, gref(Integer.decode(wanted)), flags);
        assertEquals(INVALID, ask(ADD, 3));
        assertEquals(before, mapped());
        assertEquals(SUCCESS, ask(ADD, 2));
        assertEquals(before + 2, mapped());
        list(0, raw.data.gref(2), 0);
        assertEquals(INVALID, ask(ADD, 2), "one of them is kept already");
        assertEquals(before + 2, mapped());
        list(0, raw.data.gref(0), 0);
        list(2, raw.data.gref(0), 0);
        assertEquals(SUCCESS, ask(DEL, 3));
        assertEquals(2, raw.answeredData(), "a reference that is named twice goes once");
        assertEquals(INVALID, listStatus(2));
        assertEquals(before, mapped());
    }

    private int gref(int wanted) {
        return switch (wanted) {
            case -2 -> raw.data.gref(2);
            case -3 -> raw.data.gref(0);
            default -> wanted;
        };
    }

    /// 32 pages under 512 numbers are no more than 32; pages beyond the bound are refused.
    @Test
    void noMoreThanTheBoundIsKept() throws Exception {
        ForeignPages window =
                lab.hypervisor.driverDomain(DomId.ZERO).foreignPages(raw.domain.id(), 600);
        StaticGrants kept = new StaticGrants(window);
        int[] first = new int[500];
        for (int i = 0; i < first.length; i++) {
            first[i] = claim(i);
        }
        assertTrue(kept.add(first, new boolean[500]));
        int[] rest = {claim(500), claim(501), claim(502), claim(503)};
        int[] beyond = new int[13];
        for (int i = 0; i < beyond.length; i++) {
            beyond[i] = claim(510 + i);
        }
        assertFalse(kept.add(beyond, new boolean[13]));
        assertEquals(500, window.mappedCount());
        assertTrue(kept.add(rest, new boolean[4]));
        assertEquals(504, kept.count());
        for (int gref : first) {
            int page = kept.find(gref, true);
            assertEquals(gref, kept.memory(page).get(ValueLayout.JAVA_INT, kept.offset(page)));
        }
        assertEquals(StaticGrants.NONE, kept.find(beyond[0], false));
        assertEquals(500, kept.remove(first, new boolean[500]));
        assertEquals(StaticGrants.NONE, kept.find(first[7], false));
        for (int gref : rest) {
            int page = kept.find(gref, true);
            assertEquals(gref, kept.memory(page).get(ValueLayout.JAVA_INT, kept.offset(page)));
        }
        assertEquals(4, window.mappedCount());
        window.close();
    }

    /// A page of its own, with its reference in it.
    private int claim(int ignored) {
        int gref = raw.domain.grants().claim();
        int page = raw.domain.pages().allocate(1);
        raw.domain.grants().grant(gref, DomId.ZERO, page, false);
        raw.domain.memory().segment().set(ValueLayout.JAVA_INT, page * 4096L, gref);
        return gref;
    }

    /// The point of it: what is kept is neither mapped nor copied through the grant table.
    @Test
    void aFrameInKeptPagesDoesNotTouchTheGrantTable() throws Exception {
        ForeignPages window =
                lab.hypervisor.driverDomain(DomId.ZERO).foreignPages(raw.domain.id(), 64);
        CountingPages counting = new CountingPages(window);
        StaticGrants kept = new StaticGrants(counting);
        assertTrue(
                kept.add(
                        new int[] {raw.data.gref(0), raw.data.gref(1)},
                        new boolean[] {true, true}));
        FrameCopies copies = new FrameCopies(counting, kept, 1);
        CheckedFrame checked = new CheckedFrame();
        checked.count = 2;
        checked.sizeBytes = 3000;
        for (int i = 0; i < 2; i++) {
            checked.grefs[i] = raw.data.gref(i);
            checked.offsets[i] = 8;
            checked.sizes[i] = 1500;
            raw.data.memory().asSlice(i * 4096L + 8, 1500).fill((byte) (i + 1));
        }
        Frame frame = new Frame();
        counting.calls = 0;
        copies.begin();
        copies.plan(checked, frame);
        copies.copyPlanned();
        assertEquals(0, copies.complete(checked, frame));
        assertEquals(3000, frame.sizeBytes());
        byte[] bytes = new byte[3000];
        frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, 3000);
        copies.release();
        assertEquals(0, counting.calls);
        for (int i = 0; i < bytes.length; i++) {
            assertEquals(i < 1500 ? 1 : 2, bytes[i], "byte " + i);
        }
        window.close();
    }

    /// Where pages are copied, those that are not kept are, each once, and come in their order.
    @Test
    void aFrameInKeptAndOtherPagesIsCopiedWhereItIsNotKept() throws Exception {
        ForeignPages window =
                lab.hypervisor.driverDomain(DomId.ZERO).foreignPages(raw.domain.id(), 64);
        CountingPages counting = new CountingPages(window);
        counting.copying = true;
        StaticGrants kept = new StaticGrants(counting);
        assertTrue(kept.add(new int[] {raw.data.gref(1)}, new boolean[] {true}));
        FrameCopies copies = new FrameCopies(counting, kept, 1);
        CheckedFrame checked = new CheckedFrame();
        checked.count = 4;
        checked.sizeBytes = 4000;
        for (int i = 0; i < 4; i++) {
            checked.grefs[i] = raw.data.gref(i % 3);
            checked.offsets[i] = 8 + i;
            checked.sizes[i] = 1000;
            raw.data.memory().asSlice(i % 3 * 4096L, 4096).fill((byte) (i % 3 + 1));
        }
        Frame frame = new Frame();
        counting.calls = 0;
        copies.begin();
        copies.plan(checked, frame);
        copies.copyPlanned();
        assertEquals(0, copies.complete(checked, frame));
        byte[] bytes = new byte[4000];
        frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, 4000);
        copies.release();
        // The first page in two pieces: what is in the header, and the rest.
        assertEquals(4, counting.calls);
        for (int i = 0; i < bytes.length; i++) {
            assertEquals(i / 1000 % 3 + 1, bytes[i], "byte " + i);
        }
        window.close();
    }

    /// Counts elements that are mapped, and copies.
    private static final class CountingPages extends PagesView {
        int calls;
        boolean copying;

        CountingPages(ForeignPages pages) {
            super(pages);
        }

        @Override
        public boolean isCopyingCheaper() {
            return copying;
        }

        @Override
        public boolean map(GrantBatch batch) {
            calls += batch.size();
            return super.map(batch);
        }

        @Override
        public int copyFrom(int gref, int offset, MemorySegment to, long toOffset, int size) {
            calls++;
            return super.copyFrom(gref, offset, to, toOffset, size);
        }

        @Override
        public int copyTo(int gref, int offset, MemorySegment from, long fromOffset, int size) {
            calls++;
            return super.copyTo(gref, offset, from, fromOffset, size);
        }
    }

    /// Our own frontend asks for all its pages, in every queue, and has them back at the end.
    @Test
    void ourFrontendHasItsPagesKept() throws Exception {
        int before = mapped();
        VifLab.Guest guest = lab.guest(2, VifFrontendOptions.DEFAULT.withQueues(2), Map.of());
        lab.settle();
        int rings = 2 * 2 + 1;
        assertEquals(before + rings + 2 * 512, mapped());
        VifLab.Guest plain =
                lab.guest(3, VifFrontendOptions.DEFAULT.withoutStaticGrants(), Map.of());
        lab.settle();
        assertEquals(before + rings + 2 * 512 + 2, mapped());
        byte[] packet = Packets.ip4(Packets.mac(3), Packets.mac(2), 6, 1400, false);
        guest.send(packet);
        lab.until("the frame comes", () -> plain.received.size() == 1);
        assertArrayEquals(packet, plain.received.getFirst().bytes());
        byte[] answer = Packets.ip4(Packets.mac(2), Packets.mac(3), 6, 1300, false);
        plain.send(answer);
        lab.until("the answer comes", () -> guest.received.size() == 1);
        assertArrayEquals(answer, guest.received.getFirst().bytes());
    }

    /// What a frontend does not give back goes when the vif is closed.
    @Test
    void pagesGoWithTheVif() throws Exception {
        int before = lab.mappedByOthers;
        list(0, raw.data.gref(0), 0);
        assertEquals(SUCCESS, ask(ADD, 1));
        raw.state("5");
        lab.awaitBackend(1, "5");
        raw.state("6");
        lab.awaitBackend(1, "6");
        lab.settle();
        assertEquals(before, mapped());
        assertTrue(raw.domain.grants().tryRevoke(raw.data.gref(0)));
    }
}
