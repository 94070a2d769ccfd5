package org.splitring.blkback.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.NbdSource;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.LinuxException;

/// Servers that lie. Whatever they send, a request ends with an error, the disk with one line, and
/// nothing is kept waiting, allocated or logged without bounds.
@Timeout(30)
class NbdHostileTest {
    private static final long OPTION_REPLY = 0x0003E889045565A9L;
    private static final int FLAGS = NbdProtocol.HAS_FLAGS | NbdProtocol.SEND_FLUSH;

    @TempDir Path folder;
    private ServerSocketChannel listening;
    private final List<SocketChannel> clients = new ArrayList<>();
    private final AtomicInteger connections = new AtomicInteger();
    private NbdTimes times = times(5000, 5000, 2000);

    private static NbdTimes times(int handshake, int answer, int reconnect) {
        return new NbdTimes(
                TimeUnit.MILLISECONDS.toNanos(handshake),
                TimeUnit.MILLISECONDS.toNanos(answer),
                TimeUnit.MILLISECONDS.toNanos(reconnect));
    }

    /// What a server does with one connection.
    private interface Server {
        void serve(DataInputStream in, DataOutputStream out) throws IOException;
    }

    @BeforeEach
    void listen() throws IOException {
        listening = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listening.bind(UnixDomainSocketAddress.of(folder.resolve("s")));
    }

    @AfterEach
    void end() throws IOException {
        listening.close();
        synchronized (clients) {
            for (SocketChannel client : clients) {
                client.close();
            }
        }
    }

    private void serve(Server server) {
        Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                while (true) {
                                    SocketChannel client = listening.accept();
                                    synchronized (clients) {
                                        clients.add(client);
                                    }
                                    connections.incrementAndGet();
                                    Thread.ofVirtual().start(() -> serve(client, server));
                                }
                            } catch (IOException e) {
                                // closed
                            }
                        });
    }

    private static void serve(SocketChannel client, Server server) {
        try (client) {
            server.serve(
                    new DataInputStream(Channels.newInputStream(client)),
                    new DataOutputStream(Channels.newOutputStream(client)));
        } catch (IOException e) {
            // the client has left
        }
    }

    private NbdStore open() throws DiskException {
        NbdSource source = NbdSource.parse("nbd+unix:///disk?socket=" + folder.resolve("s"));
        return NbdStore.open(
                source, DiskAccess.READ_WRITE, false, times, NbdExport.LARGEST_PAYLOAD);
    }

    private String refused() {
        DiskException e = assertThrows(DiskException.class, () -> open().close());
        return oneLine(e);
    }

    private String oneLine(IOException e) {
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains("nbd+unix:///disk?socket=" + folder.resolve("s")), message);
        assertFalse(message.chars().anyMatch(Character::isISOControl), message);
        assertTrue(message.length() < 600, message);
        return message;
    }

    private static void greeting(DataOutputStream out) throws IOException {
        out.writeLong(0x4E42444D41474943L);
        out.writeLong(0x49484156454F5054L);
        out.writeShort(3);
    }

    private static void goOption(DataInputStream in) throws IOException {
        in.readInt();
        assertEquals(0x49484156454F5054L, in.readLong());
        assertEquals(7, in.readInt());
        in.readFully(new byte[in.readInt()]);
    }

    private static void replyHead(DataOutputStream out, int type, int length) throws IOException {
        out.writeLong(OPTION_REPLY);
        out.writeInt(7);
        out.writeInt(type);
        out.writeInt(length);
    }

    private static void export(DataOutputStream out, long size, int flags) throws IOException {
        replyHead(out, 3, 12);
        out.writeShort(0);
        out.writeLong(size);
        out.writeShort(flags);
    }

    /// A handshake as it should be, of an export of 1 MiB.
    private static void shakeHands(DataInputStream in, DataOutputStream out) throws IOException {
        greeting(out);
        goOption(in);
        export(out, 1 << 20, FLAGS);
        replyHead(out, 1, 0);
    }

    private static void stay(DataInputStream in) throws IOException {
        while (in.read() >= 0) {
            // until the client leaves
        }
    }

    @ParameterizedTest
    @CsvSource({
        "-9223372036854775808, 9223372036854775808 bytes",
        "-1, 18446744073709551615 bytes",
        "0, the export has 0 bytes",
        "1000, the export has 1000 bytes",
        "9223372036854775807, 9223372036854775807 bytes",
    })
    void n23_sizesThatCannotBeAreRefused(long size, String words) {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    export(out, size, FLAGS);
                    replyHead(out, 1, 0);
                    stay(in);
                });
        assertTrue(refused().contains(words), refused());
    }

    @ParameterizedTest
    @CsvSource({
        "0, 4096, 65536, cannot be",
        "3, 4096, 65536, cannot be",
        "512, 3000, 65536, cannot be",
        "4096, 512, 65536, cannot be",
        "1, 4096, 0, cannot be",
        "1, -2147483648, -1, cannot be",
        "4096, 4096, -1, 4096 to 4294967295 bytes at once",
        "1, 1, 256, 1 to 256 bytes at once",
    })
    void n23_blockSizesThatCannotBeAreRefused(int min, int preferred, int max, String words) {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    export(out, 1 << 20, FLAGS);
                    replyHead(out, 3, 14);
                    out.writeShort(3);
                    out.writeInt(min);
                    out.writeInt(preferred);
                    out.writeInt(max);
                    replyHead(out, 1, 0);
                    stay(in);
                });
        assertTrue(refused().contains(words), refused());
    }

    @Test
    void whoIsNoServerIsSaidToBeNone() {
        serve(
                (in, out) ->
                        out.write(
                                "SSH-2.0-OpenSSH_9.2p1 Debian\r\n"
                                        .getBytes(StandardCharsets.US_ASCII)));
        assertTrue(refused().endsWith("whoever listens there is no NBD server"), refused());
    }

    @Test
    void anotherSecondMagicIsRefused() {
        serve(
                (in, out) -> {
                    out.writeLong(0x4E42444D41474943L);
                    out.writeLong(1);
                    stay(in);
                });
        assertTrue(refused().endsWith("is no NBD server"), refused());
    }

    @Test
    void oldstyleIsRefusedByName() {
        serve(
                (in, out) -> {
                    out.writeLong(0x4E42444D41474943L);
                    out.writeLong(0x00420281861253L);
                    out.write(new byte[136]);
                    stay(in);
                });
        assertTrue(refused().contains("oldstyle"), refused());
    }

    @Test
    void flagsThatSayNothingAreRefused() {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    export(out, 1 << 20, 0);
                    replyHead(out, 1, 0);
                    stay(in);
                });
        assertTrue(refused().contains("says nothing about what it can do"), refused());
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, Integer.MIN_VALUE, Integer.MAX_VALUE, (16 << 10) + 1})
    void n23_oversizedRepliesToOptionsAreNotRead(int length) {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    replyHead(out, 3, length);
                    stay(in);
                });
        assertTrue(
                refused().contains(Integer.toUnsignedString(length) + " bytes, at most 16384"),
                refused());
    }

    @Test
    void repliesToOptionsWithoutEndAreRefused() {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    while (true) {
                        replyHead(out, 3, 2);
                        out.writeShort(1);
                    }
                });
        assertTrue(refused().contains("without end"), refused());
    }

    @Test
    void aReplyToAnotherOptionIsRefused() {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    out.writeLong(OPTION_REPLY);
                    out.writeInt(6);
                    out.writeInt(1);
                    out.writeInt(0);
                    stay(in);
                });
        assertTrue(refused().contains("answer to option GO is none"), refused());
    }

    @Test
    void anAgreementWithoutASizeIsRefused() {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    replyHead(out, 1, 0);
                    stay(in);
                });
        assertTrue(refused().contains("does not say how large"), refused());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 11, 13})
    void informationOfAnotherLengthIsRefused(int length) {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    replyHead(out, 3, length);
                    out.write(new byte[length]);
                    stay(in);
                });
        assertTrue(refused().contains("information of " + length + " bytes"), refused());
    }

    @Test
    void whatAServerSaysIsShownWithoutControlCharactersAndCut() {
        byte[] words = ("no\n\u001b[31m" + "x".repeat(5000)).getBytes(StandardCharsets.UTF_8);
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    replyHead(out, 0x80000006, words.length);
                    out.write(words);
                    stay(in);
                });
        assertTrue(refused().contains("has no export \"disk\" (\"no??[31mxxx"), refused());
    }

    @ParameterizedTest
    @CsvSource({
        "2, rules forbid export",
        "5, wants TLS",
        "6, has no export",
        "7, is shutting down",
        "8, wants other block sizes",
        "99, refuses export \"disk\" with error 99"
    })
    void errorsOfTheHandshakeAreNamed(int error, String words) {
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    replyHead(out, 0x80000000 + error, 0);
                    stay(in);
                });
        assertTrue(refused().contains(words), refused());
    }

    @Test
    void aServerThatSaysNothingIsLeft() {
        times = times(200, 5000, 2000);
        serve((in, out) -> stay(in));
        assertTrue(refused().contains("the handshake takes too long"), refused());
    }

    @Test
    void aServerThatSpeaksForEverIsLeft() {
        times = times(200, 5000, 2000);
        serve(
                (in, out) -> {
                    greeting(out);
                    goOption(in);
                    replyHead(out, 3, 16 << 10);
                    while (true) {
                        out.write(0);
                        try {
                            Thread.sleep(5); // a byte at a time is what it does
                        } catch (InterruptedException e) {
                            return;
                        }
                    }
                });
        assertTrue(refused().contains("the handshake takes too long"), refused());
    }

    private static long cookie(DataInputStream in) throws IOException {
        assertEquals(0x25609513, in.readInt());
        in.readUnsignedShort();
        int type = in.readUnsignedShort();
        long cookie = in.readLong();
        in.readLong();
        int length = in.readInt();
        if (type == NbdProtocol.CMD_WRITE) {
            in.readFully(new byte[length]);
        }
        return cookie;
    }

    private static void reply(DataOutputStream out, int error, long cookie) throws IOException {
        out.writeInt(0x67446698);
        out.writeInt(error);
        out.writeLong(cookie);
    }

    private String failedRead(NbdStore store) {
        return oneLine(assertThrows(IOException.class, () -> StoreBytes.read(store, 0, 512)));
    }

    private void breaks(Server answers, String words) throws IOException {
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    answers.serve(in, out);
                    stay(in);
                });
        try (NbdStore store = open()) {
            String message = failedRead(store);
            assertTrue(message.contains(words), message);
            assertEquals(message, failedRead(store), "failed for good");
            assertEquals(1, connections.get(), "and not tried again");
        }
    }

    @Test
    void n23_anotherMagicBreaksTheDisk() throws Exception {
        breaks((in, out) -> out.write(new byte[16]), "sent 00000000 where a reply begins");
    }

    @Test
    void n23_structuredRepliesThatNobodyAskedForBreakTheDisk() throws Exception {
        breaks(
                (in, out) -> {
                    long cookie = cookie(in);
                    out.writeInt(0x668E33EF);
                    out.writeInt(1);
                    out.writeLong(cookie);
                },
                "sent 668e33ef");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE, Long.MAX_VALUE, 128, 127})
    void n23_anAnswerToNothingBreaksTheDisk(long cookie) throws Exception {
        breaks((in, out) -> reply(out, 0, cookie), "which is not under way");
    }

    @Test
    void n23_aCookieOfAnotherRequestAtTheSamePlaceBreaksTheDisk() throws Exception {
        breaks((in, out) -> reply(out, 0, cookie(in) + 128), "which is not under way");
    }

    @Test
    void n23_aSecondAnswerBreaksTheDisk() throws Exception {
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    long cookie = cookie(in);
                    reply(out, 0, cookie);
                    out.write(new byte[512]);
                    reply(out, 0, cookie);
                    stay(in);
                });
        try (NbdStore store = open()) {
            assertArrayEquals(new byte[512], StoreBytes.read(store, 0, 512));
            String message = failedRead(store);
            assertTrue(message.contains("which is not under way"), message);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 22, 28, 95, 12345, -1, Integer.MIN_VALUE})
    void n23_eachErrorReachesWhoAsked(int error) throws Exception {
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    reply(out, error, cookie(in));
                    reply(out, error, cookie(in));
                    long cookie = cookie(in);
                    reply(out, 0, cookie);
                    out.write(new byte[512]);
                    stay(in);
                });
        try (NbdStore store = open()) {
            LinuxException read =
                    assertThrows(LinuxException.class, () -> StoreBytes.read(store, 0, 512));
            assertEquals(error, read.errno());
            assertTrue(oneLine(read).contains("read of 512 bytes at 0"), read.getMessage());
            LinuxException write =
                    assertThrows(
                            LinuxException.class,
                            () -> StoreBytes.write(store, 1024, new byte[512]));
            assertTrue(oneLine(write).contains("write of 512 bytes at 1024"), write.getMessage());
            assertArrayEquals(new byte[512], StoreBytes.read(store, 0, 512), "reads go on");
        }
    }

    @Test
    void afterAFailedFlushNothingIsWritten() throws Exception {
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    reply(out, Errno.EIO, cookie(in));
                    long cookie = cookie(in);
                    reply(out, 0, cookie);
                    out.write(new byte[512]);
                    stay(in);
                });
        try (NbdStore store = open()) {
            assertThrows(IOException.class, store::sync);
            IOException again = assertThrows(IOException.class, store::sync);
            assertTrue(oneLine(again).contains("an earlier flush failed"), again.getMessage());
            assertThrows(IOException.class, () -> StoreBytes.write(store, 0, new byte[512]));
            assertArrayEquals(new byte[512], StoreBytes.read(store, 0, 512), "reads go on");
        }
    }

    @Test
    void anAnswerThatEndsInItsMiddleIsAskedForAgain() throws Exception {
        AtomicInteger asked = new AtomicInteger();
        byte[] right = new byte[512];
        right[511] = 7;
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    long cookie = cookie(in);
                    reply(out, 0, cookie);
                    if (asked.incrementAndGet() == 1) {
                        out.write(new byte[100]);
                        return;
                    }
                    out.write(right);
                    stay(in);
                });
        try (NbdStore store = open()) {
            assertArrayEquals(right, StoreBytes.read(store, 0, 512));
            assertEquals(2, connections.get());
        }
    }

    @Test
    void aServerThatNeverAnswersIsLeft() throws Exception {
        times = times(5000, 200, 300);
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    stay(in);
                });
        try (NbdStore store = open()) {
            String message = failedRead(store);
            assertTrue(message.contains("no answer to a read of 512 bytes at 0"), message);
        }
    }

    @Test
    void aServerThatAnswersOthersForEverIsLeftToo() throws Exception {
        times = times(5000, 200, 300);
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    reply(out, 0, cookie(in));
                    while (true) {
                        out.write(0); // of a payload, slowly
                        try {
                            Thread.sleep(1);
                        } catch (InterruptedException e) {
                            return;
                        }
                    }
                });
        try (NbdStore store = open()) {
            String message =
                    oneLine(
                            assertThrows(
                                    IOException.class, () -> StoreBytes.read(store, 0, 1 << 20)));
            assertTrue(message.contains("no answer to a read of 1048576 bytes"), message);
        }
    }

    @Test
    void aServerThatTakesNothingIsLeft() throws Exception {
        times = times(5000, 200, 300);
        serve(
                (in, out) -> {
                    shakeHands(in, out);
                    try {
                        Thread.sleep(30_000); // it does not read; the test closes it
                    } catch (InterruptedException e) {
                        return;
                    }
                });
        try (NbdStore store = open()) {
            IOException e =
                    assertThrows(
                            IOException.class, () -> StoreBytes.write(store, 0, new byte[1 << 20]));
            assertTrue(oneLine(e).contains("no answer to a write"), e.getMessage());
        }
    }
}
