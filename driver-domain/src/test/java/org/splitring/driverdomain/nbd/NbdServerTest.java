package org.splitring.driverdomain.nbd;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.IoEventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.nbd.NbdProtocol;
import org.splitring.wire.BlkifStatus;

@Timeout(60)
class NbdServerTest {
    private static final int EIO = NbdProtocol.EIO;
    private static final int EINVAL = NbdProtocol.EINVAL;

    @TempDir Path dir;
    private IoEventLoopGroup group;
    private MemoryDisk disk;
    private NbdServer server;
    private Path socket;

    @BeforeEach
    void start() throws IOException {
        group = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
        disk = new MemoryDisk(64 << 20, group.next());
        socket = dir.resolve("xvda.nbd");
        serve(NbdLimits.DEFAULT);
    }

    private void serve(NbdLimits limits) throws IOException {
        if (server != null) {
            server.close();
        }
        server =
                new NbdServer(
                        group.next(), List.of(new NbdExport("xvda", "disk of web", disk)), limits);
        server.listen(socket);
    }

    @AfterEach
    void stop() {
        server.close();
        assertEquals(0, server.metrics().connections(), "clients after close");
        assertEquals(0, disk.lentCount, "buffers after close");
        assertFalse(Files.exists(socket), "socket file after close");
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    }

    @Test
    void goTellsSizeFlagsNameAndBlockSizes() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("xvda", 1, 2, 3));
            ByteBuffer[] infos = new ByteBuffer[4];
            RawNbdClient.OptionReply reply = client.optionReply();
            while (reply.type() == NbdProtocol.REP_INFO) {
                ByteBuffer data = ByteBuffer.wrap(reply.data());
                int type = data.getShort();
                infos[type] = data.slice();
                reply = client.optionReply();
            }
            assertEquals(NbdProtocol.REP_ACK, reply.type());
            assertEquals(64 << 20, infos[0].getLong());
            assertEquals(
                    1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11,
                    infos[0].getShort());
            assertEquals("xvda", StandardCharsets.UTF_8.decode(infos[1]).toString());
            assertEquals("disk of web", StandardCharsets.UTF_8.decode(infos[2]).toString());
            assertEquals(512, infos[3].getInt());
            assertEquals(4096, infos[3].getInt());
            assertEquals(32 << 20, infos[3].getInt());
        }
    }

    @Test
    void exportNameAnswersInTheOldForm() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket)) {
            client.read(18);
            client.send(ByteBuffer.allocate(4).putInt(1)); // wants the 124 zeroes
            client.option(NbdProtocol.OPT_EXPORT_NAME, new byte[0]);
            ByteBuffer answer = client.read(134);
            assertEquals(64 << 20, answer.getLong());
            client.request(0, NbdProtocol.CMD_READ, 1, 0, 512);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
        }
    }

    @Test
    void listNamesTheExport() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.option(NbdProtocol.OPT_LIST, new byte[0]);
            RawNbdClient.OptionReply reply = client.optionReply();
            assertEquals(NbdProtocol.REP_SERVER, reply.type());
            assertEquals(
                    "\0\0\0\4xvdadisk of web", new String(reply.data(), StandardCharsets.UTF_8));
            assertEquals(NbdProtocol.REP_ACK, client.optionReply().type());
            client.option(NbdProtocol.OPT_LIST, new byte[1]);
            assertEquals(NbdProtocol.REP_ERR_INVALID, client.optionReply().type());
            client.option(NbdProtocol.OPT_ABORT, new byte[0]);
            assertEquals(NbdProtocol.REP_ACK, client.optionReply().type());
            client.awaitClosed();
        }
    }

    @Test
    void unknownOptionsAreRefusedAndTheClientGoesOn() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            for (int option : new int[] {4, 5, 11, 0, -1}) {
                client.option(option, new byte[7]);
                RawNbdClient.OptionReply reply = client.optionReply();
                assertEquals(option, reply.option());
                assertEquals(NbdProtocol.REP_ERR_UNSUP, reply.type());
            }
            client.option(NbdProtocol.OPT_INFO, RawNbdClient.goData("nosuch"));
            assertEquals(NbdProtocol.REP_ERR_UNKNOWN, client.optionReply().type());
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData(""));
            assertEquals(NbdProtocol.REP_INFO, client.optionReply().type());
        }
    }

    @Test
    void wholeRequestsOfEverySizeComeBackAsWritten() throws IOException {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("NbdServerTest seed " + seed);
        Random random = new Random(seed);
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int size : new int[] {512, 8192, 8704, 131072, 131584, 524288, 524800, 1 << 20}) {
                roundTrip(client, random, size);
            }
            roundTrip(client, random, 32 << 20);
        }
    }

    private void roundTrip(RawNbdClient client, Random random, int size) throws IOException {
        byte[] data = new byte[size];
        random.nextBytes(data);
        long offset = random.nextInt((int) ((client.size - size) / 512) + 1) * 512L;
        client.write(0, size, offset, data);
        assertEquals(new RawNbdClient.Reply(0, size), client.reply());
        byte[] stored = new byte[size];
        MemorySegment.copy(
                disk.content, java.lang.foreign.ValueLayout.JAVA_BYTE, offset, stored, 0, size);
        assertArrayEquals(data, stored, "stored, size " + size);
        client.request(0, NbdProtocol.CMD_READ, -size, offset, size);
        assertEquals(new RawNbdClient.Reply(0, -size), client.reply());
        assertArrayEquals(data, client.read(size).array(), "read, size " + size);
    }

    @Test
    void manyRequestsInFlightAreEachAnsweredOnce() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("NbdServerTest seed " + seed);
        Random random = new Random(seed);
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            int count = 2000;
            int[] sizes = new int[count];
            boolean[] writes = new boolean[count];
            for (int i = 0; i < count; i++) {
                writes[i] = random.nextBoolean();
                sizes[i] = 512 * (1 + random.nextInt(random.nextInt(8) == 0 ? 2000 : 40));
            }
            Thread sender =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try {
                                            for (int i = 0; i < count; i++) {
                                                if (writes[i]) {
                                                    client.write(0, i, 0, new byte[sizes[i]]);
                                                } else {
                                                    client.request(0, 0, i, 4096, sizes[i]);
                                                }
                                            }
                                        } catch (IOException e) {
                                            throw new java.io.UncheckedIOException(e);
                                        }
                                    });
            boolean[] seen = new boolean[count];
            for (int i = 0; i < count; i++) {
                RawNbdClient.Reply reply = client.reply();
                int cookie = (int) reply.cookie();
                assertEquals(0, reply.error());
                assertFalse(seen[cookie], "answered twice: " + cookie);
                seen[cookie] = true;
                if (!writes[cookie]) {
                    client.read(sizes[cookie]);
                }
            }
            sender.join();
        }
    }

    @Test
    void fuaWritesAndThenFlushes() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.write(NbdProtocol.CMD_FLAG_FUA, 1, 0, new byte[300 * 1024]);
            assertEquals(0, client.reply().error());
            assertEquals(1, disk.flushes);
            disk.flushError = -1;
            client.write(NbdProtocol.CMD_FLAG_FUA, 2, 0, new byte[512]);
            assertEquals(EIO, client.reply().error());
            client.request(0, NbdProtocol.CMD_FLUSH, 3, 0, 0);
            assertEquals(new RawNbdClient.Reply(EIO, 3), client.reply());
        }
    }

    @Test
    void readOnlyDiskSaysSoAndRefusesWrites() throws IOException {
        disk.readOnly = true;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertTrue((client.flags & NbdProtocol.READ_ONLY) != 0);
            client.write(0, 1, 0, new byte[200_000 / 512 * 512]);
            assertEquals(new RawNbdClient.Reply(NbdProtocol.EPERM, 1), client.reply());
            client.request(0, NbdProtocol.CMD_READ, 2, 0, 512);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            assertEquals(0, disk.writes);
        }
    }

    @Test
    void readErrorIsToldAndALateOneEndsTheConnection() throws IOException {
        disk.failReadAt = 1 << 20;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.request(0, NbdProtocol.CMD_READ, 1, (1 << 20) - 4096, 8192);
            assertEquals(new RawNbdClient.Reply(EIO, 1), client.reply());
            client.request(0, NbdProtocol.CMD_READ, 2, 0, 2 << 20);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            assertThrows(EOFException.class, () -> client.read(2 << 20));
        }
    }

    @Test
    void disconnectIsAnsweredAfterWhatIsInFlight() throws IOException {
        disk.holding = true;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.request(0, NbdProtocol.CMD_READ, 1, 0, 512);
            client.request(0, NbdProtocol.CMD_DISC, 2, 0, 0);
            await().until(() -> disk.reads == 1);
            disk.letGo();
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            client.read(512);
            assertThrows(EOFException.class, () -> client.read(1));
        }
    }

    @Test
    void clientThatDiesWithOperationsInFlightLeavesNothing() throws IOException {
        disk.holding = true;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.request(0, NbdProtocol.CMD_READ, 1, 0, 1 << 20);
            client.write(0, 2, 0, new byte[64 << 10]);
            await().until(() -> disk.reads == 4 && disk.writes == 1);
        }
        await().until(() -> server.metrics().connections() == 0);
        assertTrue(disk.lentCount > 0, "pieces given back while the disk works on them");
        disk.letGo();
        await().until(() -> disk.lentCount == 0);
    }

    @Test
    void n20_connectionsHaveABound() throws IOException {
        long patient = TimeUnit.SECONDS.toNanos(30);
        serve(new NbdLimits(3, patient, patient));
        List<RawNbdClient> idlers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            idlers.add(idler());
        }
        try (RawNbdClient tooMany = new RawNbdClient(socket)) {
            assertThrows(EOFException.class, () -> tooMany.read(18));
        }
        assertEquals(1, server.metrics().connectionsRefused());
        for (RawNbdClient idler : idlers) {
            idler.close();
        }
        await().until(() -> server.metrics().connections() == 0);
        new RawNbdClient(socket).go().close();
    }

    @Test
    void n20_handshakeHasADeadlineAndWhatFollowsHasNone() throws IOException {
        serve(new NbdLimits(3, TimeUnit.MILLISECONDS.toNanos(300), TimeUnit.SECONDS.toNanos(30)));
        try (RawNbdClient client = goInTime()) {
            long before = server.metrics().handshakesTimedOut();
            for (int i = 0; i < 2; i++) {
                try (RawNbdClient idler = idler()) { // its deadline is after the client's
                    idler.awaitClosed();
                }
            }
            assertEquals(before + 2, server.metrics().handshakesTimedOut());
            client.request(0, NbdProtocol.CMD_READ, 1, 0, 512);
            assertEquals(0, client.reply().error());
        }
    }

    private RawNbdClient idler() throws IOException {
        RawNbdClient idler = new RawNbdClient(socket);
        idler.read(18);
        return idler;
    }

    /// A client that is through the handshake, also where everything is slow.
    private RawNbdClient goInTime() {
        return await().ignoreExceptionsInstanceOf(IOException.class)
                .until(() -> new RawNbdClient(socket).go(), client -> client.size > 0);
    }

    @Test
    void n20_serverStopsWithClientsInTheHandshake() throws IOException {
        try (RawNbdClient idler = new RawNbdClient(socket).greet()) {
            idler.optionHeader(NbdProtocol.OPT_GO, 4000);
            server.close();
            idler.awaitClosed();
        }
    }

    @Test
    void n21_longNamesAreRefusedBeforeTheyAreKept() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("x".repeat(3000)));
            assertEquals(NbdProtocol.REP_ERR_UNKNOWN, client.optionReply().type());
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("x".repeat(4096)));
            assertEquals(NbdProtocol.REP_ERR_UNKNOWN, client.optionReply().type());
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("x".repeat(4097)));
            assertEquals(NbdProtocol.REP_ERR_TOO_BIG, client.optionReply().type());
            client.option(NbdProtocol.OPT_INFO, RawNbdClient.goData("x".repeat(1_000_000)));
            assertEquals(NbdProtocol.REP_ERR_TOO_BIG, client.optionReply().type());
            // Lengths inside that disagree with the option's.
            byte[] lies = RawNbdClient.goData("xvda");
            ByteBuffer.wrap(lies).putInt(0, 5000);
            client.option(NbdProtocol.OPT_GO, lies);
            assertEquals(NbdProtocol.REP_ERR_TOO_BIG, client.optionReply().type());
            ByteBuffer.wrap(lies).putInt(0, 100);
            client.option(NbdProtocol.OPT_GO, lies);
            assertEquals(NbdProtocol.REP_ERR_INVALID, client.optionReply().type());
            ByteBuffer.wrap(lies).putInt(0, -1);
            client.option(NbdProtocol.OPT_GO, lies);
            assertEquals(NbdProtocol.REP_ERR_TOO_BIG, client.optionReply().type());
            client.option(NbdProtocol.OPT_EXPORT_NAME, new byte[5000]);
            client.awaitClosed();
        }
    }

    @Test
    void n22_commandsInTheWrongOrderNeverReachTheDisk() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            // A request where an option belongs.
            client.request(0, NbdProtocol.CMD_READ, 1, 0, 512);
            client.awaitClosed();
        }
        try (RawNbdClient client = new RawNbdClient(socket)) {
            client.read(18);
            client.send(ByteBuffer.allocate(4).putInt(0xFFFF)); // unknown client flags
            client.awaitClosed();
        }
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            // An option where a request belongs.
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("xvda", 1, 2, 3));
            client.awaitClosed();
        }
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.option(NbdProtocol.OPT_INFO, RawNbdClient.goData("xvda"));
            assertEquals(NbdProtocol.REP_INFO, client.optionReply().type());
            assertEquals(0, disk.lentCount, "memory taken before the handshake was over");
        }
        assertEquals(0, disk.reads);
    }

    @Test
    void n24_slowReaderIsBoundedAndStopsNobody() throws Exception {
        try (RawNbdClient slow = new RawNbdClient(socket).go();
                RawNbdClient other = new RawNbdClient(socket).go()) {
            Thread sender =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try {
                                            for (int i = 0; i < 100_000; i++) {
                                                slow.request(0, 0, i, 0, 1 << 20);
                                            }
                                        } catch (IOException e) {
                                            // cut off at the end: as wanted
                                        }
                                    });
            await().until(() -> disk.reads >= 4);
            // The other client is served, and the slow one gets no further.
            for (int i = 0; i < 50; i++) {
                other.write(0, i, 0, new byte[256 << 10]);
                assertEquals(0, other.reply().error());
            }
            // For a client that takes nothing: as much as pieces and the socket hold.
            await().during(300, TimeUnit.MILLISECONDS)
                    .until(() -> disk.reads, reads -> reads <= 40);
            slow.channel.close();
            sender.join();
        }
    }

    @Test
    void n25_impossibleRequestsAreAnsweredWithAnError() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            long size = client.size;
            long[][] refused = { // flags, type, offset, length, error
                {0, 0, 0, 0xFFFF_FFFFL, EINVAL},
                {0, 0, 0, 0xFFFF_FE00L, EINVAL},
                {0, 0, 0, (32 << 20) + 512, EINVAL},
                {0, 0, -512, 512, EINVAL},
                {0, 0, -512, 1024, EINVAL},
                {0, 0, Long.MIN_VALUE, 512, EINVAL},
                {0, 0, Long.MAX_VALUE - 511, 512, EINVAL},
                {0, 0, size, 512, EINVAL},
                {0, 0, size - 512, 1024, EINVAL},
                {0, 0, 1, 512, EINVAL},
                {0, 0, 0, 513, EINVAL},
                {1 << 2, 0, 0, 512, EINVAL}, // DF, which needs structured replies
                {1 << 15, 0, 0, 512, EINVAL},
                {0, NbdProtocol.CMD_TRIM, 0, size + 512, EINVAL},
                {0, NbdProtocol.CMD_TRIM, size, 512, EINVAL},
                {0, NbdProtocol.CMD_TRIM, -512, 1024, EINVAL},
                {0, NbdProtocol.CMD_TRIM, 0, 0xFFFF_FE00L, EINVAL},
                {0, NbdProtocol.CMD_TRIM, 512, 511, EINVAL},
                {1 << 1, NbdProtocol.CMD_TRIM, 0, 512, EINVAL}, // NO_HOLE
                {0, NbdProtocol.CMD_WRITE_ZEROES, 0, size + 512, NbdProtocol.ENOSPC},
                {0, NbdProtocol.CMD_WRITE_ZEROES, -512, 512, NbdProtocol.ENOSPC},
                {0, NbdProtocol.CMD_WRITE_ZEROES, 1, 512, EINVAL},
                {1 << 2, NbdProtocol.CMD_WRITE_ZEROES, 0, 512, EINVAL},
                {1 << 4, 0, 0, 512, EINVAL}, // FAST_ZERO of a READ
                {0, 7, 0, 512, EINVAL}, // BLOCK_STATUS, which needs structured replies
                {0, NbdProtocol.CMD_CACHE, 0, (32 << 20) + 512, EINVAL},
                {0, NbdProtocol.CMD_CACHE, size, 512, EINVAL},
                {0, NbdProtocol.CMD_CACHE, -512, 512, EINVAL},
                {0, NbdProtocol.CMD_CACHE, 0, 511, EINVAL},
                {1 << 1, NbdProtocol.CMD_CACHE, 0, 512, EINVAL},
                {0, 8, 0, 512, EINVAL}, // RESIZE of an experimental extension
                {0, 0xFFFF, 0, 512, EINVAL},
                {0, NbdProtocol.CMD_FLUSH, 512, 0, EINVAL},
                {0, NbdProtocol.CMD_FLUSH, 0, 512, EINVAL},
            };
            for (int i = 0; i < refused.length; i++) {
                long[] r = refused[i];
                client.request((int) r[0], (int) r[1], i, r[2], (int) r[3]);
                assertEquals(new RawNbdClient.Reply((int) r[4], i), client.reply(), "request " + i);
            }
            assertEquals(refused.length, server.metrics().requestsRefused());
            client.write(0, 100, size - 512, new byte[1024]);
            assertEquals(new RawNbdClient.Reply(NbdProtocol.ENOSPC, 100), client.reply());
            client.write(0, 101, 3, new byte[512]);
            assertEquals(new RawNbdClient.Reply(EINVAL, 101), client.reply());
            client.write(1 << 9, 102, 0, new byte[4096]);
            assertEquals(new RawNbdClient.Reply(EINVAL, 102), client.reply());
            // The connection is still in step.
            client.request(0, NbdProtocol.CMD_READ, 103, size - 512, 512);
            assertEquals(new RawNbdClient.Reply(0, 103), client.reply());
            client.read(512);
            assertEquals(1, disk.reads);
            assertEquals(0, disk.writes);
            assertEquals(0, disk.discarded);
        }
    }

    private static void fillWithOnes(MemoryDisk disk) {
        disk.content.fill((byte) 1);
    }

    private void assertZeroed(long from, long to) {
        for (long at = Math.max(0, from - 4096); at < to + 4096; at++) {
            byte expected = (byte) (at >= from && at < to ? 0 : 1);
            assertEquals(expected, disk.content.get(ValueLayout.JAVA_BYTE, at), "byte " + at);
        }
    }

    @Test
    void zeroesAreAHoleWhereThatIsKnownToReadAsZeros() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            fillWithOnes(disk);
            int length = (5 << 20) + 512;
            client.request(NbdProtocol.CMD_FLAG_FUA, NbdProtocol.CMD_WRITE_ZEROES, 1, 1024, length);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            assertZeroed(1024, 1024 + length);
            assertEquals(1, disk.discarded);
            assertEquals(0, disk.writes);
            assertEquals(1, disk.flushes);
            // The storage is to stay: written. And not in a hurry.
            fillWithOnes(disk);
            int noHole = NbdProtocol.CMD_FLAG_NO_HOLE;
            client.request(noHole, NbdProtocol.CMD_WRITE_ZEROES, 2, 512, length);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            assertZeroed(512, 512 + length);
            int writes = disk.writes;
            assertTrue(writes > 0);
            int fast = noHole | NbdProtocol.CMD_FLAG_FAST_ZERO;
            client.request(fast, NbdProtocol.CMD_WRITE_ZEROES, 3, 0, length);
            assertEquals(new RawNbdClient.Reply(NbdProtocol.ENOTSUP, 3), client.reply());
            assertEquals(writes, disk.writes);
            assertEquals(1, disk.discarded);
        }
    }

    @Test
    void zeroesAreWrittenWhereADiscardPromisesNothing() throws IOException {
        disk.discardZeroes = false;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertEquals(0, client.flags & NbdProtocol.SEND_FAST_ZERO);
            fillWithOnes(disk);
            client.request(NbdProtocol.CMD_FLAG_FUA, NbdProtocol.CMD_WRITE_ZEROES, 1, 4096, 700416);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            assertZeroed(4096, 4096 + 700416);
            assertEquals(0, disk.discarded);
            assertEquals(1, disk.flushes);
        }
    }

    @Test
    void aDiscardThatIsNotSupportedAfterAllIsZerosWrittenOrAHintNotTaken() throws IOException {
        disk.discardStatus = BlkifStatus.EOPNOTSUPP;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            fillWithOnes(disk);
            client.request(0, NbdProtocol.CMD_WRITE_ZEROES, 1, 4096, 4096);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            assertZeroed(4096, 8192);
            client.request(0, NbdProtocol.CMD_TRIM, 2, 0, 4096);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            assertEquals(1, disk.content.get(ValueLayout.JAVA_BYTE, 0));
            int fast = NbdProtocol.CMD_FLAG_FAST_ZERO;
            client.request(fast, NbdProtocol.CMD_WRITE_ZEROES, 3, 0, 4096);
            assertEquals(new RawNbdClient.Reply(NbdProtocol.ENOTSUP, 3), client.reply());
            disk.discardStatus = BlkifStatus.ERROR;
            client.request(0, NbdProtocol.CMD_WRITE_ZEROES, 4, 0, 4096);
            assertEquals(new RawNbdClient.Reply(EIO, 4), client.reply());
            client.request(0, NbdProtocol.CMD_TRIM, 5, 0, 4096);
            assertEquals(new RawNbdClient.Reply(EIO, 5), client.reply());
        }
    }

    @Test
    void trimIsOfferedWhereTheDiskDiscards() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            fillWithOnes(disk);
            client.request(NbdProtocol.CMD_FLAG_FUA, NbdProtocol.CMD_TRIM, 1, 0, 64 << 20);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            assertEquals(0, disk.content.get(ValueLayout.JAVA_BYTE, 12345));
            assertEquals(1, disk.flushes);
            client.request(0, NbdProtocol.CMD_TRIM, 2, 0, 0);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            assertEquals(1, disk.discarded);
        }
        disk.discards = false;
        disk.discardZeroes = false;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertEquals(0, client.flags & NbdProtocol.SEND_TRIM);
            client.request(0, NbdProtocol.CMD_TRIM, 1, 0, 4096);
            assertEquals(new RawNbdClient.Reply(EINVAL, 1), client.reply());
        }
        disk.readOnly = true;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertEquals(0, client.flags & NbdProtocol.SEND_WRITE_ZEROES);
            for (int type : new int[] {NbdProtocol.CMD_TRIM, NbdProtocol.CMD_WRITE_ZEROES}) {
                client.request(0, type, type, 0, 4096);
                assertEquals(new RawNbdClient.Reply(NbdProtocol.EPERM, type), client.reply());
            }
            client.request(0, NbdProtocol.CMD_CACHE, 9, 0, 4096); // changes nothing
            assertEquals(new RawNbdClient.Reply(0, 9), client.reply());
        }
    }

    @Test
    void cacheReadsTheRangeAndSaysHowThatWent() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.request(0, NbdProtocol.CMD_CACHE, 1, 512, (1 << 20) - 512);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            assertEquals((1 << 20) - 512, disk.bytesRead);
            assertEquals(8, disk.reads);
            client.request(NbdProtocol.CMD_FLAG_FUA, NbdProtocol.CMD_CACHE, 2, 0, 0);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            disk.failReadAt = 300_000;
            client.request(0, NbdProtocol.CMD_CACHE, 3, 0, 1 << 20);
            assertEquals(new RawNbdClient.Reply(EIO, 3), client.reply());
            assertEquals(11, disk.reads, "it ends with the error");
            assertEquals(0, disk.flushes);
        }
    }

    /// Large payloads are read straight into their pieces and small ones with what follows; one
    /// after the other, in whatever parts they come.
    @Test
    void largeAndSmallWritesInTurnArriveAsTheyWereSent() throws IOException {
        Random random = new Random(20261128);
        int[] sizes = {131072, 512, 65536, 33280, 4096, 1 << 20, 32768, 1024, 131584, 8192};
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        byte[] expected = new byte[4 << 20];
        int at = 0;
        int cookie = 0;
        for (int round = 0; round < 2; round++) {
            for (int size : sizes) {
                byte[] data = new byte[size];
                random.nextBytes(data);
                System.arraycopy(data, 0, expected, at, size);
                stream.writeBytes(
                        RawNbdClient.header(0, NbdProtocol.CMD_WRITE, cookie++, at, size).array());
                stream.writeBytes(data);
                at += size;
            }
        }
        byte[] all = stream.toByteArray();
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int sent = 0; sent < all.length; ) {
                int part = Math.min(all.length - sent, 1 + random.nextInt(200_000));
                client.send(ByteBuffer.allocate(part).put(all, sent, part));
                sent += part;
            }
            Set<Long> answered = new HashSet<>();
            while (answered.size() < cookie) {
                RawNbdClient.Reply reply = client.reply();
                assertEquals(0, reply.error());
                assertTrue(answered.add(reply.cookie()), "twice: " + reply.cookie());
            }
        }
        assertArrayEquals(
                Arrays.copyOf(expected, at),
                disk.content.asSlice(0, at).toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void n24_cacheOfTheWholeDiskInALoopStopsNobody() throws IOException {
        try (RawNbdClient greedy = new RawNbdClient(socket).go();
                RawNbdClient other = new RawNbdClient(socket).go()) {
            for (int i = 0; i < 200; i++) { // more than requests and pieces
                greedy.request(0, NbdProtocol.CMD_CACHE, i, 0, 32 << 20);
            }
            for (int i = 0; i < 50; i++) {
                other.write(0, i, 0, new byte[4096]);
                assertEquals(new RawNbdClient.Reply(0, i), other.reply());
            }
            greedy.write(0, 1000, 0, new byte[1 << 20]); // has pieces left, when it is its turn
            for (int i = 0; i <= 200; i++) {
                assertEquals(0, greedy.reply().error());
            }
        }
        await().until(() -> disk.lentCount == 0);
    }

    @Test
    void n24_cacheLeavesPiecesToWritesOfTheSameClient() throws IOException {
        // All large pieces but those for writes; then the small ones as well.
        int large = PieceShare.LARGE_PIECES - PieceShare.KEPT_FOR_WRITES;
        int[][] sizesAndReads = {
            {PieceShare.LARGE_BYTES, large}, {4096, PieceShare.SMALL_PIECES + large}
        };
        for (int[] sizeAndReads : sizesAndReads) {
            int before = disk.reads;
            int written = disk.writes;
            disk.holding = true;
            try (RawNbdClient client = new RawNbdClient(socket).go()) {
                for (int i = 0; i < 100; i++) {
                    client.request(0, NbdProtocol.CMD_CACHE, i, 0, sizeAndReads[0]);
                }
                client.write(0, 100, 0, new byte[16 << 10]); // little enough for the socket
                await().until(() -> disk.writes == written + 1);
                assertEquals(sizeAndReads[1], disk.reads - before, "reads of " + sizeAndReads[0]);
                disk.letGo();
                for (int i = 0; i <= 100; i++) {
                    assertEquals(0, client.reply().error());
                }
            }
        }
    }

    @Test
    void aFlushOfOneConnectionCoversWhatWasAnsweredOnAnother() throws IOException {
        try (RawNbdClient writer = new RawNbdClient(socket).go();
                RawNbdClient flusher = new RawNbdClient(socket).go()) {
            assertTrue((writer.flags & NbdProtocol.CAN_MULTI_CONN) != 0);
            byte[] data = new byte[300 << 10]; // several pieces
            Arrays.fill(data, (byte) 7);
            for (int i = 0; i < 20; i++) {
                long offset = i * 512L * 1024;
                writer.write(0, i, offset, data);
                assertEquals(new RawNbdClient.Reply(0, i), writer.reply());
                assertEquals(0, disk.stable.get(ValueLayout.JAVA_BYTE, offset), "before");
                flusher.flush(i);
                assertEquals(new RawNbdClient.Reply(0, i), flusher.reply());
                assertArrayEquals(
                        data,
                        disk.stable.asSlice(offset, data.length).toArray(ValueLayout.JAVA_BYTE));
            }
        }
    }

    @Test
    void n25_zeroesOfTheWholeDiskInALoopStopNobody() throws IOException {
        disk.discardZeroes = false;
        try (RawNbdClient greedy = new RawNbdClient(socket).go();
                RawNbdClient other = new RawNbdClient(socket).go()) {
            for (int i = 0; i < 200; i++) { // more than requests and pieces
                greedy.request(0, NbdProtocol.CMD_WRITE_ZEROES, i, 0, 64 << 20);
            }
            for (int i = 0; i < 50; i++) {
                other.write(0, i, 0, new byte[4096]);
                assertEquals(new RawNbdClient.Reply(0, i), other.reply());
            }
            assertEquals(0, greedy.reply().error());
        }
        await().until(() -> disk.lentCount == 0);
    }

    @Test
    void n25_giganticWriteEndsTheConnection() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.request(0, NbdProtocol.CMD_WRITE, 1, 0, -512);
            assertEquals(new RawNbdClient.Reply(EINVAL, 1), client.reply());
            client.awaitClosed();
        }
    }

    @Test
    void n25_silenceInThePayloadEndsTheConnection() throws IOException {
        long stall = TimeUnit.MILLISECONDS.toNanos(200);
        serve(new NbdLimits(16, TimeUnit.SECONDS.toNanos(10), stall));
        try (RawNbdClient idle = new RawNbdClient(socket).go();
                RawNbdClient client = new RawNbdClient(socket).go();
                RawNbdClient inHeader = new RawNbdClient(socket).go()) {
            ByteBuffer header = RawNbdClient.header(0, NbdProtocol.CMD_WRITE, 1, 0, 1 << 20);
            ByteBuffer begun = ByteBuffer.allocate(70_000).put(header.flip());
            client.send(begun.position(begun.capacity())); // in one, without a silence
            inHeader.send(ByteBuffer.allocate(27).putInt(NbdProtocol.REQUEST_MAGIC).position(27));
            client.awaitClosed();
            inHeader.awaitClosed();
            assertEquals(2, server.metrics().stalled());
            // Silence between requests is nobody's business.
            idle.request(0, NbdProtocol.CMD_READ, 1, 0, 512);
            assertEquals(0, idle.reply().error());
        }
    }

    @Test
    void n25_cookieReusedInFlightIsAnsweredTwice() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int i = 0; i < 2; i++) {
                client.request(0, NbdProtocol.CMD_FLUSH, 7, 0, 0);
            }
            assertEquals(new RawNbdClient.Reply(0, 7), client.reply());
            assertEquals(new RawNbdClient.Reply(0, 7), client.reply());
        }
    }

    @Test
    void clientIsRefusedWhenTheDiskHasNoMemoryLeft() throws IOException {
        disk.buffersLeft = 10;
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("xvda"));
            assertEquals(NbdProtocol.REP_ERR_POLICY, client.optionReply().type());
        }
        assertEquals(0, disk.lentCount);
    }

    @Test
    void aPortServesDisksByName() throws IOException {
        server.add(new NbdExport("xvdb", "", new MemoryDisk(1 << 20, group.next())));
        int port = server.listenOnLoopback(0);
        try (RawNbdClient client = new RawNbdClient(port).greet().enter("xvdb")) {
            assertEquals(1 << 20, client.size);
            roundTrip(new RawNbdClient(port).go(), new Random(1), 300 << 10);
        }
    }

    @Test
    void busyPortIsNamed() throws IOException {
        int port = server.listenOnLoopback(0);
        try (NbdServer second =
                new NbdServer(
                        group.next(),
                        List.of(new NbdExport("xvda", "", disk)),
                        NbdLimits.DEFAULT)) {
            IOException e = assertThrows(IOException.class, () -> second.listenOnLoopback(port));
            String message = String.valueOf(e.getMessage());
            assertTrue(message.contains("tcp port " + port), message);
        }
    }
}
