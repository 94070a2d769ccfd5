package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DomId;
import org.splitring.wire.XsdSockmsgLayout;

/// The server's half of the wire, byte for byte.
class WireTest {
    private static final DomId SEVEN = new DomId(7);

    private final StoreTree tree = new StoreTree();
    private final EmbeddedChannel control = channel(DomId.ZERO);

    private EmbeddedChannel channel(DomId domain) {
        return new EmbeddedChannel(new StoreWireServer(tree).handler(domain));
    }

    @AfterEach
    void booksBalance() {
        control.finishAndReleaseAll();
        tree.checkBooks();
        assertEquals(1, tree.watchPlaces());
    }

    static ByteBuf message(int type, int requestId, int transactionId, String payload) {
        byte[] bytes = payload.getBytes(ISO_8859_1);
        return Unpooled.buffer()
                .writeIntLE(type)
                .writeIntLE(requestId)
                .writeIntLE(transactionId)
                .writeIntLE(bytes.length)
                .writeBytes(bytes);
    }

    static @Nullable WireMessage next(EmbeddedChannel channel) {
        channel.runPendingTasks();
        ByteBuf out = channel.readOutbound();
        if (out == null) {
            return null;
        }
        try {
            return WireMessage.take(out);
        } catch (WireMessage.TooLongException e) {
            throw new AssertionError(e);
        } finally {
            out.release();
        }
    }

    /// Type and payload of an answer, NUL shown as `|`.
    static String show(@Nullable WireMessage message) {
        assertNotNull(message);
        return message.type() + " " + new String(message.payload(), ISO_8859_1).replace('\0', '|');
    }

    static String ask(EmbeddedChannel channel, int type, int transactionId, String payload) {
        channel.writeInbound(message(type, 77, transactionId, payload));
        WireMessage answer = next(channel);
        assertNotNull(answer);
        assertEquals(77, answer.requestId());
        assertEquals(transactionId, answer.transactionId());
        return show(answer);
    }

    private String ask(int type, String payload) {
        return ask(control, type, 0, payload);
    }

    @Test
    void everyOperationAnswersAsXensDaemonDoes() {
        assertEquals("11 OK|", ask(11, "/a/b\0value"));
        assertEquals("2 value", ask(2, "/a/b\0"));
        assertEquals("13 OK|", ask(13, "/a/none\0"));
        assertEquals("16 ENOENT|", ask(13, "/x/y/none\0"));
        assertEquals("12 OK|", ask(12, "/a/c\0"));
        assertEquals("12 OK|", ask(12, "/a/b\0"));
        assertEquals("2 value", ask(2, "/a/b\0"));
        assertEquals("1 b|c|", ask(1, "/a\0"));
        assertEquals("1 ", ask(1, "/a/b\0"));
        assertEquals("3 n0|", ask(3, "/a\0"));
        assertEquals("14 OK|", ask(14, "/a\0n0\0r7\0b8\0"));
        assertEquals("3 n0|r7|b8|", ask(3, "/a\0"));
        assertEquals("10 /local/domain/7|", ask(10, "7\0"));
        assertEquals("17 F|", ask(17, "7\0"));
        tree.introduce(SEVEN);
        assertEquals("17 T|", ask(17, "7\0"));
        assertEquals("13 OK|", ask(13, "/a\0"));
        assertEquals("16 ENOENT|", ask(2, "/a/b\0"));
    }

    @Test
    void whatIsMalformedIsEinval() {
        for (int type : new int[] {1, 2, 3, 4, 5, 7, 10, 11, 12, 13, 14, 17, 22}) {
            assertEquals("16 EINVAL|", ask(type, ""), "type " + type);
            assertEquals("16 EINVAL|", ask(type, "no end"), "type " + type);
        }
        assertEquals("16 EINVAL|", ask(2, "/a\0/b\0"));
        assertEquals("16 EINVAL|", ask(4, "/a\0token\0more\0"));
        assertEquals("16 EINVAL|", ask(4, "/a\0token\0" + "1\0" + "2\0"));
        assertEquals("16 EINVAL|", ask(14, "/\0x0\0"));
        assertEquals("16 EINVAL|", ask(14, "/\0n\0"));
        assertEquals("16 EINVAL|", ask(14, "/\0n32752\0"));
        assertEquals("16 EINVAL|", ask(10, "-1\0"));
        assertEquals("16 EINVAL|", ask(22, "/\0-1\0"));
    }

    @Test
    void whatIsNotServedIsSaidToBeSo() {
        EmbeddedChannel guest = channel(SEVEN);
        for (int type : new int[] {0, 8, 9, 17, 18, 19, 23, 24, 25, 26}) {
            assertEquals("16 EACCES|", ask(guest, type, 0, "7\0"), "type " + type);
        }
        for (int type : new int[] {15, 16, 20, 27, 0xFFFF, -1, Integer.MIN_VALUE}) {
            assertEquals("16 ENOSYS|", ask(type, "x\0"), "type " + type);
        }
        guest.finishAndReleaseAll();
    }

    @Test
    void aWatchIsAnsweredFirstAndThenFires() {
        assertEquals("4 OK|", ask(4, "/a\0my token\0"));
        assertEquals("15 /a|my token|", show(next(control)));
        assertEquals("16 EEXIST|", ask(4, "/a\0my token\0"));
        assertEquals("11 OK|", ask(11, "/a/b\0" + "1"));
        WireMessage event = next(control);
        assertEquals("15 /a/b|my token|", show(event));
        assertNotNull(event);
        assertEquals(0, event.requestId());
        assertEquals("16 ENOENT|", ask(5, "/a\0other\0"));
        assertEquals("5 OK|", ask(5, "/a\0my token\0"));
        assertEquals("11 OK|", ask(11, "/a/b\0" + "2"));
        assertEquals(null, next(control));
    }

    @Test
    void transactionsHaveNumbers() {
        String first = ask(6, "\0");
        assertEquals("6 1|", first);
        assertEquals("6 2|", ask(6, "\0"));
        assertEquals("16 EBUSY|", ask(control, 6, 1, "\0"));
        assertEquals("11 OK|", ask(control, 11, 1, "/x\0one"));
        assertEquals("16 ENOENT|", ask(control, 2, 2, "/x\0"));
        assertEquals("16 ENOENT|", ask(2, "/x\0"));
        assertEquals("7 OK|", ask(control, 7, 1, "T\0"));
        assertEquals("2 one", ask(2, "/x\0"));
        assertEquals("16 EAGAIN|", ask(control, 7, 2, "T\0"));
        assertEquals("16 ENOENT|", ask(control, 7, 2, "T\0"));
        assertEquals("16 ENOENT|", ask(control, 2, 9, "/x\0"));
        assertEquals("6 3|", ask(6, "\0"));
        assertEquals("11 OK|", ask(control, 11, 3, "/x\0three"));
        assertEquals("16 EINVAL|", ask(control, 7, 3, "Maybe\0"));
        assertEquals("7 OK|", ask(control, 7, 3, "F\0"));
        assertEquals("2 one", ask(2, "/x\0"));
    }

    @Test
    void requestsMayComeInPieces() {
        ByteBuf two = Unpooled.buffer();
        two.writeBytes(message(11, 1, 0, "/a\0" + "1"));
        two.writeBytes(message(2, 2, 0, "/a\0"));
        while (two.isReadable()) {
            control.writeInbound(two.readRetainedSlice(1));
        }
        two.release();
        assertEquals("11 OK|", show(next(control)));
        assertEquals("2 1", show(next(control)));
        control.writeInbound(
                Unpooled.wrappedBuffer(
                        message(2, 3, 0, "/a\0"), message(2, 4, 0, "/a\0"), message(2, 5, 0, "/")));
        for (int i = 3; i <= 5; i++) {
            WireMessage answer = next(control);
            assertNotNull(answer);
            assertEquals(i, answer.requestId());
        }
    }

    /// More than are answered in one turn, and more than may wait for a guest to read.
    @Test
    void manyRequestsAtOnceAreAllAnswered() {
        for (EmbeddedChannel channel : List.of(control, channel(SEVEN))) {
            ByteBuf all = Unpooled.buffer();
            for (int i = 0; i < 100; i++) {
                all.writeBytes(message(6, i, 0, "\0"));
            }
            channel.writeInbound(all);
            for (int i = 0; i < 100; i++) {
                WireMessage answer = next(channel);
                assertNotNull(answer, "answer " + i);
                assertEquals(i, answer.requestId());
            }
        }
    }

    @Test
    void h118_lengthIsUnsignedAndEndsTheConnectionOnce() {
        for (int length : new int[] {4097, 1 << 30, Integer.MAX_VALUE, Integer.MIN_VALUE, -1}) {
            EmbeddedChannel guest = channel(SEVEN);
            guest.writeInbound(message(6, 1, 0, "\0"));
            assertEquals("6 1|", show(next(guest)));
            ByteBuf bad = Unpooled.buffer();
            bad.writeIntLE(2).writeIntLE(1).writeIntLE(0).writeIntLE(length);
            bad.writeBytes(new byte[64]);
            guest.writeInbound(bad);
            guest.runPendingTasks();
            assertFalse(guest.isOpen(), "length " + Integer.toUnsignedString(length));
            assertEquals(null, next(guest));
            guest.finishAndReleaseAll();
        }
        assertEquals("11 OK|", ask(11, "/still\0here"));
    }

    /// By the rule for lengths, not by some accident further on: nothing is taken, nothing of that
    /// size is made. A signed length would come out as "not complete yet" or as an array size.
    @ParameterizedTest
    @ValueSource(
            ints = {4097, 65_536, 1 << 30, Integer.MAX_VALUE, Integer.MIN_VALUE, -4096, -16, -1})
    void h118_theRuleForLengthsRefusesIt(int length) {
        ByteBuf bad = Unpooled.buffer();
        bad.writeIntLE(2).writeIntLE(1).writeIntLE(0).writeIntLE(length);
        bad.writeBytes(new byte[64]);
        WireMessage.TooLongException e =
                assertThrows(WireMessage.TooLongException.class, () -> WireMessage.take(bad));
        assertEquals("message of " + Integer.toUnsignedString(length) + " bytes", e.getMessage());
        assertEquals(0, bad.readerIndex());
        assertEquals(0, e.getStackTrace().length);
        // And the connection meets that rule before anything else: no exception gets out of it.
        EmbeddedChannel guest = channel(SEVEN);
        guest.writeInbound(bad);
        guest.runPendingTasks();
        guest.checkException();
        assertFalse(guest.isOpen());
        guest.finishAndReleaseAll();
    }

    @Test
    void h127_halfAMessageHoldsNothingAndGoesWithItsConnection() {
        EmbeddedChannel guest = channel(SEVEN);
        guest.writeInbound(message(4, 1, 0, "x\0t\0"), message(6, 2, 0, "\0"));
        ByteBuf half = message(11, 3, 0, "/local/domain/7/x\0" + "v".repeat(4000));
        guest.writeInbound(half.readRetainedSlice(2000));
        half.release();
        assertEquals("4 OK|", show(next(guest)));
        guest.finishAndReleaseAll();
        assertEquals(1, tree.watchPlaces());
    }

    @Test
    void h111_eventsFitIntoAMessageWhateverTheToken() {
        String path = "/watched";
        for (int size : new int[] {0, 1, 4000, 4095 - path.length() - 1}) {
            String token = "t".repeat(size);
            assertEquals("4 OK|", ask(4, path + "\0" + token + "\0"));
            assertEquals("15 " + path + "|" + token + "|", show(next(control)));
            String child = path + "/" + "c".repeat(2000);
            assertEquals("11 OK|", ask(11, child + "\0"));
            WireMessage event = next(control);
            assertNotNull(event);
            assertEquals(XsdSockmsgLayout.WATCH_EVENT, event.type());
            assertTrue(event.payload().length <= 4096);
            assertEquals("5 OK|", ask(5, path + "\0" + token + "\0"));
        }
        // One byte more does not fit into the request; 5000 ends the connection.
        EmbeddedChannel guest = channel(SEVEN);
        guest.writeInbound(message(4, 1, 0, path + "\0" + "t".repeat(5000) + "\0"));
        assertFalse(guest.isOpen());
        guest.finishAndReleaseAll();
    }

    @Test
    void h112_longListsAreE2bigAndReadInParts() throws StoreException {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            names.add(i + "-" + "n".repeat(200 - Integer.toString(i).length() - 1));
            assertEquals("11 OK|", ask(11, "/long/" + names.getLast() + "\0"));
        }
        assertEquals("16 E2BIG|", ask(1, "/long\0"));
        StringBuilder all = new StringBuilder();
        String generation = null;
        while (true) {
            control.writeInbound(message(22, 1, 0, "/long\0" + all.length() + "\0"));
            WireMessage part = next(control);
            assertNotNull(part);
            assertEquals(XsdSockmsgLayout.DIRECTORY_PART, part.type());
            assertTrue(part.payload().length <= 4096);
            String text = new String(part.payload(), ISO_8859_1);
            String head = text.substring(0, text.indexOf('\0'));
            assertTrue(generation == null || generation.equals(head));
            generation = head;
            all.append(text.substring(head.length() + 1));
            if (text.endsWith("\0\0")) {
                break;
            }
        }
        assertEquals(String.join("\0", names) + "\0\0", all.toString());
        assertEquals(generation + "||", ask(22, "/long\0" + 999_999 + "\0").substring(3));
    }

    @Test
    void h123_everyOperationInsideATransaction() {
        EmbeddedChannel guest = channel(SEVEN);
        for (int type = 0; type <= 27; type++) {
            if (type == 7) {
                continue;
            }
            String start = ask(guest, 6, 0, "\0");
            int id = Integer.parseInt(start.substring(2, start.length() - 1));
            ask(guest, 4, 0, "x\0t" + type + "\0");
            while (next(guest) != null) {
                // the first event of the watch
            }
            String answer = ask(guest, type, id, "x\0t" + type + "\0");
            while (next(guest) != null) {
                // events of the operation
            }
            assertTrue(answer.length() > 3, answer);
            // Resetting watches drops the transaction; everything else leaves it open.
            assertEquals(
                    type == XsdSockmsgLayout.RESET_WATCHES ? "16 ENOENT|" : "7 OK|",
                    ask(guest, 7, id, "F\0"),
                    "type " + type);
        }
        assertEquals("21 OK|", ask(guest, 21, 0, ""));
        guest.finishAndReleaseAll();
    }

    @Test
    void aTransactionThatIsNotOpenIsRefusedWhateverTheOperation() {
        EmbeddedChannel control = channel(DomId.ZERO);
        for (int type :
                new int[] {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19, 21, 22}) {
            assertEquals("16 ENOENT|", ask(control, type, 99, ""), "type " + type);
        }
        assertEquals("16 ENOSYS|", ask(control, 64, 99, ""));
        assertEquals("4 OK|", ask(control, 4, 99, "/a\0t\0"));
        assertEquals("15 /a|t|", show(next(control)));
        assertEquals("5 OK|", ask(control, 5, 99, "/a\0t\0"));
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("16 EACCES|", ask(guest, 17, 99, "7\0"));
        control.finishAndReleaseAll();
        guest.finishAndReleaseAll();
    }

    @Test
    void h113_resetLeavesNothingInAnyIndex() {
        EmbeddedChannel guest = channel(SEVEN);
        for (int round = 0; round < 200; round++) {
            for (int i = 0; i < 128; i++) {
                guest.writeInbound(message(4, i, 0, "a/" + i + "\0t\0"));
            }
            assertEquals("21 OK|", lastAnswer(guest, 21));
            assertEquals(1, tree.watchPlaces());
        }
        guest.finishAndReleaseAll();
    }

    private static String lastAnswer(EmbeddedChannel guest, int type) {
        guest.writeInbound(message(type, 9, 0, ""));
        String last = "";
        for (WireMessage answer = next(guest); answer != null; answer = next(guest)) {
            last = show(answer);
        }
        return last;
    }
}
