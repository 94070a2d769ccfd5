package org.splitring.driverdomain.nbd;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.IoEventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.nbd.NbdProtocol;

/// Clients that have asked for structured replies.
@Timeout(60)
class NbdStructuredTest {
    private static final int SIZE = 64 << 20;

    @TempDir Path dir;
    private final IoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final MemoryDisk disk = new MemoryDisk(SIZE, group.next());
    private NbdServer server;
    private Path socket;

    @BeforeEach
    void start() throws IOException {
        server =
                new NbdServer(
                        group.next(), List.of(new NbdExport("xvda", "", disk)), NbdLimits.DEFAULT);
        socket = dir.resolve("xvda.nbd");
        server.listen(socket);
        byte[] noise = new byte[4 << 20];
        new Random(5).nextBytes(noise);
        MemorySegment.copy(noise, 0, disk.content, ValueLayout.JAVA_BYTE, 0, noise.length);
    }

    @AfterEach
    void stop() {
        server.close();
        assertEquals(0, disk.lentCount, "buffers after close");
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    }

    private byte[] stored(long offset, int length) {
        return disk.content.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    }

    /// A READ under way, as its chunks come in.
    private static final class Reading {
        final long offset;
        final byte[] data;
        final boolean[] here;
        int chunks;

        Reading(long offset, int length) {
            this.offset = offset;
            data = new byte[length];
            here = new boolean[length / 512];
        }

        void take(RawNbdClient.Chunk chunk) {
            assertEquals(NbdProtocol.CHUNK_OFFSET_DATA, chunk.type());
            ByteBuffer bytes = chunk.bytes();
            int at = (int) (bytes.getLong() - offset);
            int size = bytes.remaining();
            bytes.get(data, at, size);
            chunks++;
            for (int sector = at / 512; sector < (at + size) / 512; sector++) {
                assertFalse(here[sector], "twice: sector " + sector);
                here[sector] = true;
            }
        }

        boolean isComplete() {
            for (boolean sector : here) {
                if (!sector) {
                    return false;
                }
            }
            return true;
        }
    }

    private Reading readAll(RawNbdClient client, int flags, long offset, int length)
            throws IOException {
        client.request(flags, NbdProtocol.CMD_READ, 77, offset, length);
        Reading reading = new Reading(offset, length);
        RawNbdClient.Chunk chunk;
        do {
            chunk = client.chunk();
            assertEquals(77, chunk.cookie());
            reading.take(chunk);
        } while (!chunk.last());
        assertTrue(reading.isComplete(), "length " + length);
        assertArrayEquals(stored(offset, length), reading.data, "length " + length);
        return reading;
    }

    private static void assertError(
            RawNbdClient.Chunk chunk, int error, long cookie, String words) {
        assertTrue(chunk.last());
        assertEquals(NbdProtocol.CHUNK_ERROR, chunk.type());
        assertEquals(cookie, chunk.cookie());
        ByteBuffer bytes = chunk.bytes();
        assertEquals(error, bytes.getInt());
        assertEquals(words.length(), bytes.getShort());
        assertEquals(words, StandardCharsets.US_ASCII.decode(bytes).toString());
    }

    private static void assertErrorAt(RawNbdClient.Chunk chunk, long cookie, long offset) {
        assertTrue(chunk.last());
        assertEquals(NbdProtocol.CHUNK_ERROR_OFFSET, chunk.type());
        assertEquals(cookie, chunk.cookie());
        ByteBuffer bytes = chunk.bytes();
        assertEquals(NbdProtocol.EIO, bytes.getInt());
        assertEquals(0, bytes.getShort());
        assertEquals(offset, bytes.getLong());
        assertFalse(bytes.hasRemaining());
    }

    @Test
    void dataOfEverySizeComesInAsFewChunksAsCanTellAnError() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            assertTrue((client.flags & NbdProtocol.SEND_DF) != 0);
            for (int size : new int[] {512, 8192, 8704, 131072, 131584, 524288}) {
                assertEquals(1, readAll(client, 0, 1024, size).chunks, "size " + size);
                assertEquals(1, readAll(client, NbdProtocol.CMD_FLAG_DF, 0, size).chunks);
            }
            assertEquals(5, readAll(client, 0, 512, 524800).chunks);
            assertEquals(256, readAll(client, 0, 0, 32 << 20).chunks);
            client.request(0, NbdProtocol.CMD_READ, 1, 0, 0);
            RawNbdClient.Chunk nothing = client.chunk();
            assertTrue(nothing.last());
            assertEquals(NbdProtocol.CHUNK_NONE, nothing.type());
        }
    }

    @Test
    void withoutTheOptionRepliesAreSimpleAndDfIsNotOffered() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertEquals(0, client.flags & NbdProtocol.SEND_DF);
            client.askToRead(1, 0, 512);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
        }
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.option(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[1]);
            assertEquals(NbdProtocol.REP_ERR_INVALID, client.optionReply().type());
            client.enter("").askToRead(1, 0, 512);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
        }
    }

    @Test
    void anErrorInTheMiddleOfALongReadIsToldAndTheClientGoesOn() throws IOException {
        disk.failReadAt = (2 << 20) + 4096;
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            // Short enough to be known before the answer begins.
            client.askToRead(1, (2 << 20) - 4096, 512 << 10);
            assertErrorAt(client.chunk(), 1, (2 << 20) - 4096);
            client.askToRead(2, 1 << 20, 8 << 20);
            Reading reading = new Reading(1 << 20, 1 << 20);
            RawNbdClient.Chunk chunk = client.chunk();
            while (!chunk.last()) {
                reading.take(chunk);
                chunk = client.chunk();
            }
            assertErrorAt(chunk, 2, 2 << 20);
            assertTrue(reading.isComplete(), "what is before the error is here");
            assertArrayEquals(stored(1 << 20, 1 << 20), reading.data);
            disk.failReadAt = -1;
            readAll(client, 0, 0, 3 << 20);
        }
        await().until(() -> disk.lentCount == 0);
    }

    @Test
    void anErrorInAnyPieceOfAReadIsItsLastChunk() throws IOException {
        int piece = PieceShare.LARGE_BYTES;
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            for (int bad = 0; bad < 9; bad++) {
                disk.failReadAt = (long) bad * piece;
                client.askToRead(bad, 0, 9 * piece);
                for (int good = 0; good < bad; good++) {
                    RawNbdClient.Chunk chunk = client.chunk();
                    assertFalse(chunk.last());
                    assertEquals((long) good * piece, chunk.bytes().getLong());
                }
                assertErrorAt(client.chunk(), bad, (long) bad * piece);
            }
            disk.failReadAt = -1;
            readAll(client, 0, 0, 9 * piece);
        }
    }

    @Test
    void otherAnswersComeInBetweenTheChunksOfALongRead() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            disk.holding = true;
            client.askToRead(1, 0, 1 << 20);
            client.write(0, 2, 8 << 20, new byte[512]);
            await().until(() -> disk.reads == 4 && disk.writes == 1);
            disk.letGo();
            boolean answered = false;
            RawNbdClient.Chunk last = null;
            while (last == null) {
                ByteBuffer start = client.read(4);
                if (start.getInt() == NbdProtocol.REPLY_MAGIC) {
                    ByteBuffer rest = client.read(12);
                    assertEquals(0, rest.getInt());
                    assertEquals(2, rest.getLong());
                    answered = true;
                } else {
                    ByteBuffer rest = client.read(16);
                    boolean done = rest.getShort() == NbdProtocol.CHUNK_DONE;
                    int type = rest.getShort();
                    long cookie = rest.getLong();
                    byte[] payload = client.read(rest.getInt()).array();
                    last = done ? new RawNbdClient.Chunk(true, type, cookie, payload) : null;
                }
            }
            assertTrue(answered, "the write waited for the end of the read");
        }
    }

    @Test
    void manyLongReadsAtOnceAreEachAnsweredCompletely() throws Exception {
        int count = 200;
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("NbdStructuredTest seed " + seed);
        Random random = new Random(seed);
        Map<Long, Reading> readings = new HashMap<>();
        for (long cookie = 0; cookie < count; cookie++) {
            int length = 512 * (1 + random.nextInt(cookie % 2 == 0 ? 3000 : 40));
            readings.put(cookie, new Reading(512L * random.nextInt(4000), length));
        }
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            Map<Long, Reading> asked = Map.copyOf(readings);
            Thread sender =
                    Thread.ofVirtual()
                            .start(
                                    () ->
                                            asked.forEach(
                                                    (cookie, reading) ->
                                                            ask(client, cookie, reading)));
            while (!readings.isEmpty()) {
                RawNbdClient.Chunk chunk = client.chunk();
                Reading reading = Objects.requireNonNull(readings.get(chunk.cookie()));
                reading.take(chunk);
                if (chunk.last()) {
                    readings.remove(chunk.cookie());
                    assertTrue(reading.isComplete());
                    assertArrayEquals(stored(reading.offset, reading.data.length), reading.data);
                }
            }
            sender.join();
        }
    }

    private static void ask(RawNbdClient client, long cookie, Reading reading) {
        try {
            client.askToRead(cookie, reading.offset, reading.data.length);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<String> contexts(RawNbdClient client, int option, String... queries)
            throws IOException {
        client.option(option, RawNbdClient.metaData("xvda", queries));
        List<String> contexts = new ArrayList<>();
        for (; ; ) {
            RawNbdClient.OptionReply reply = client.optionReply();
            if (reply.type() == NbdProtocol.REP_ACK) {
                return contexts;
            }
            assertEquals(NbdProtocol.REP_META_CONTEXT, reply.type());
            ByteBuffer context = ByteBuffer.wrap(reply.data());
            int id = context.getInt();
            contexts.add(id + " " + StandardCharsets.US_ASCII.decode(context));
        }
    }

    @Test
    void metaContextsAreFoundByNameAndByNamespace() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            int list = NbdProtocol.OPT_LIST_META_CONTEXT;
            List<String> all = List.of("0 base:allocation");
            assertEquals(all, contexts(client, list));
            assertEquals(all, contexts(client, list, "base:"));
            assertEquals(all, contexts(client, list, "x-what:ever", "base:allocation"));
            assertEquals(List.of(), contexts(client, list, "base:other", "qemu:"));
            int set = NbdProtocol.OPT_SET_META_CONTEXT;
            List<String> selected = List.of("1 base:allocation");
            assertEquals(selected, contexts(client, set, "base:allocation", "base:allocation"));
            assertEquals(List.of(), contexts(client, set, "base:")); // no wildcard here
            assertEquals(List.of(), contexts(client, set));
        }
    }

    private static void assertExtent(RawNbdClient.Chunk chunk, long cookie, int length) {
        assertTrue(chunk.last());
        assertEquals(NbdProtocol.CHUNK_BLOCK_STATUS, chunk.type());
        assertEquals(cookie, chunk.cookie());
        ByteBuffer bytes = chunk.bytes();
        assertEquals(1, bytes.getInt());
        assertEquals(length, bytes.getInt());
        assertEquals(0, bytes.getInt());
        assertFalse(bytes.hasRemaining());
    }

    @Test
    void blockStatusSaysDataAlsoOfWhatWasDiscarded() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            contexts(client, NbdProtocol.OPT_SET_META_CONTEXT, "base:allocation");
            client.enter(""); // another name of the same export
            int status = NbdProtocol.CMD_BLOCK_STATUS;
            client.request(0, status, 1, 0, SIZE);
            assertExtent(client.chunk(), 1, SIZE);
            client.request(0, NbdProtocol.CMD_TRIM, 2, 0, 1 << 20);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            client.request(NbdProtocol.CMD_FLAG_REQ_ONE, status, 3, 512, 4096);
            assertExtent(client.chunk(), 3, 4096);
            int eInval = NbdProtocol.EINVAL;
            client.request(0, status, 4, 0, 0);
            assertError(client.chunk(), eInval, 4, "asks for nothing");
            client.request(0, status, 5, 512, SIZE);
            assertError(client.chunk(), eInval, 5, "reaches behind the end of the disk");
            client.request(0, status, 6, 0, 100);
            assertError(
                    client.chunk(), eInval, 6, "offset or length is not a whole number of blocks");
        }
    }

    private RawNbdClient clientThatAsksForAllocation() throws IOException {
        RawNbdClient client = new RawNbdClient(socket).greet();
        client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
        contexts(client, NbdProtocol.OPT_SET_META_CONTEXT, "base:allocation");
        return client.enter("");
    }

    /// Extents of a reply: data as positive numbers, holes that read as zeros as negative ones.
    private static List<Long> extents(RawNbdClient.Chunk chunk, long cookie) {
        assertTrue(chunk.last());
        assertEquals(NbdProtocol.CHUNK_BLOCK_STATUS, chunk.type());
        assertEquals(cookie, chunk.cookie());
        ByteBuffer bytes = chunk.bytes();
        assertEquals(1, bytes.getInt());
        List<Long> extents = new ArrayList<>();
        while (bytes.hasRemaining()) {
            long size = Integer.toUnsignedLong(bytes.getInt());
            int state = bytes.getInt();
            assertTrue(state == 0 || state == 3, "state " + state);
            extents.add(state == 0 ? size : -size);
        }
        return extents;
    }

    @Test
    void severalExtentsComeInOneChunk() throws IOException {
        disk.extents = List.of(4096L, -512L, 1024L, 512L, -(8L << 20), (long) SIZE);
        int status = NbdProtocol.CMD_BLOCK_STATUS;
        try (RawNbdClient client = clientThatAsksForAllocation()) {
            client.request(0, status, 1, 0, 1 << 20);
            assertEquals(
                    List.of(4096L, -512L, 1536L, -(1L << 20) + 6144), extents(client.chunk(), 1));
            client.request(0, status, 2, 4096, 512);
            assertEquals(List.of(-512L), extents(client.chunk(), 2));
            client.request(0, status, 3, 3584, 1536);
            assertEquals(List.of(512L, -512L, 512L), extents(client.chunk(), 3));
            client.request(NbdProtocol.CMD_FLAG_REQ_ONE, status, 4, 3584, 1536);
            assertEquals(List.of(512L), extents(client.chunk(), 4));
            client.request(NbdProtocol.CMD_FLAG_REQ_ONE, status, 5, 1 << 20, 1 << 20);
            assertEquals(List.of(-(1L << 20)), extents(client.chunk(), 5));
            client.request(0, status, 6, 3584, 1536); // that there may be one only is forgotten
            assertEquals(3, extents(client.chunk(), 6).size());
        }
    }

    @Test
    void aDiskInManyPiecesIsToldPieceByPiece() throws IOException {
        List<Long> all = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            all.add(i % 2 == 0 ? 512L : -512L);
        }
        disk.extents = all;
        List<Long> told = new ArrayList<>();
        try (RawNbdClient client = clientThatAsksForAllocation()) {
            while (told.size() < all.size()) {
                int at = told.size() * 512;
                client.request(0, NbdProtocol.CMD_BLOCK_STATUS, at, at, 512_000 - at);
                List<Long> some = extents(client.chunk(), at);
                assertTrue(!some.isEmpty() && some.size() <= 64, some.size() + " extents");
                told.addAll(some);
            }
            assertEquals(all, told);
        }
    }

    @Test
    void lengthsOfExtentsAreUnsigned() throws IOException {
        long size = 1L << 40;
        MemoryDisk huge = new MemoryDisk(512, group.next());
        huge.claimedBytes = size;
        huge.extents = List.of(-size);
        server.add(new NbdExport("huge", "", huge));
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            client.option(
                    NbdProtocol.OPT_SET_META_CONTEXT,
                    RawNbdClient.metaData("huge", "base:allocation"));
            assertEquals(NbdProtocol.REP_META_CONTEXT, client.optionReply().type());
            assertEquals(NbdProtocol.REP_ACK, client.optionReply().type());
            client.enter("huge");
            client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, size - (1L << 32), 0xffff_fe00);
            assertEquals(List.of(-0xffff_fe00L), extents(client.chunk(), 1));
        }
    }

    @Test
    void aQuestionThatFailsIsAnErrorAndTheClientGoesOn() throws IOException {
        disk.extents = List.of(-512L, (long) SIZE);
        disk.describeStatus = -1;
        int status = NbdProtocol.CMD_BLOCK_STATUS;
        try (RawNbdClient client = clientThatAsksForAllocation()) {
            client.request(0, status, 1, 0, 1024);
            assertError(client.chunk(), NbdProtocol.EIO, 1, "");
            disk.describeStatus = 0;
            client.request(0, status, 2, 0, 1024); // what the failed one had said is forgotten
            assertEquals(List.of(-512L, 512L), extents(client.chunk(), 2));
        }
    }

    @Test
    void aClientMayLeaveBeforeTheDiskHasSaidWhatItIs() throws IOException {
        disk.extents = List.of(-(long) SIZE);
        disk.holding = true;
        try (RawNbdClient client = clientThatAsksForAllocation()) {
            client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 1024);
            client.askToRead(2, 0, 512);
            await().until(() -> disk.described == 1 && disk.reads == 1);
        }
        await().until(() -> server.metrics().connections() == 0);
        disk.letGo();
        await().until(() -> disk.lentCount == 0);
    }

    @Test
    void theAnswerWaitsForTheDiskAndOthersDoNotWaitForIt() throws IOException {
        disk.extents = List.of(-(long) SIZE);
        disk.holding = true;
        try (RawNbdClient client = clientThatAsksForAllocation()) {
            client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 1024);
            client.request(0, NbdProtocol.CMD_READ, 2, 0, 0);
            assertEquals(2, client.chunk().cookie());
            client.request(0, NbdProtocol.CMD_DISC, 3, 0, 0);
            await().until(() -> disk.described == 1);
            disk.letGo();
            assertEquals(List.of(-1024L), extents(client.chunk(), 1));
            client.awaitClosed(); // only now
        }
    }

    @Test
    void blockStatusIsForWhoHasSelectedItForThisExport() throws IOException {
        server.add(new NbdExport("xvdb", "", new MemoryDisk(1 << 20, group.next())));
        String[][] selections = {{}, {"base:"}, {"base:allocation"}};
        for (String[] selection : selections) {
            try (RawNbdClient client = new RawNbdClient(socket).greet()) {
                client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
                contexts(client, NbdProtocol.OPT_SET_META_CONTEXT, selection);
                client.enter("xvdb"); // what was selected was for xvda
                client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 512);
                assertError(client.chunk(), NbdProtocol.EINVAL, 1, "a command that is not offered");
            }
        }
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            contexts(client, NbdProtocol.OPT_SET_META_CONTEXT, "base:allocation");
            client.option(
                    NbdProtocol.OPT_SET_META_CONTEXT,
                    RawNbdClient.metaData("nosuch", "base:allocation"));
            assertEquals(NbdProtocol.REP_ERR_UNKNOWN, client.optionReply().type());
            client.enter("xvda"); // and the failure has undone it
            client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 512);
            assertError(client.chunk(), NbdProtocol.EINVAL, 1, "a command that is not offered");
        }
    }

    @Test
    void n25_refusedRequestsHaveWordsAndReadsAreNeverAnsweredSimply() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            int eInval = NbdProtocol.EINVAL;
            client.askToRead(1, 1, 512);
            assertError(
                    client.chunk(), eInval, 1, "offset or length is not a whole number of blocks");
            client.askToRead(2, SIZE, 512);
            assertError(client.chunk(), eInval, 2, "reaches behind the end of the disk");
            client.request(1 << 15, NbdProtocol.CMD_READ, 3, 0, 512);
            assertError(client.chunk(), eInval, 3, "a flag that this command does not take here");
            client.request(NbdProtocol.CMD_FLAG_DF, NbdProtocol.CMD_READ, 4, 0, 524800);
            assertError(client.chunk(), NbdProtocol.EOVERFLOW, 4, "too long for one fragment");
            client.request(NbdProtocol.CMD_FLAG_DF, NbdProtocol.CMD_FLUSH, 5, 0, 0);
            assertError(client.chunk(), eInval, 5, "a flag that this command does not take here");
            client.write(0, 6, SIZE - 512, new byte[1024]);
            assertError(
                    client.chunk(), NbdProtocol.ENOSPC, 6, "reaches behind the end of the disk");
            client.request(0, 1234, 7, 0, 0);
            assertError(client.chunk(), eInval, 7, "a command that is not offered");
            client.request(0, NbdProtocol.CMD_WRITE, 8, 0, -512);
            assertError(client.chunk(), eInval, 8, "longer than 32 MiB");
            client.awaitClosed();
            assertEquals(0, disk.reads + disk.writes);
        }
    }

    @Test
    void n24_aSlowReaderOfChunksIsBounded() throws Exception {
        try (RawNbdClient slow = new RawNbdClient(socket).goStructured();
                RawNbdClient other = new RawNbdClient(socket).goStructured()) {
            Thread sender = slow.askWithoutEnd();
            await().until(() -> disk.reads >= 4);
            for (int i = 0; i < 50; i++) {
                other.write(0, i, 0, new byte[256 << 10]);
                assertEquals(new RawNbdClient.Reply(0, i), other.reply());
            }
            // For a client that takes nothing: as much as pieces and the socket hold.
            await().during(300, TimeUnit.MILLISECONDS)
                    .until(() -> disk.reads, reads -> reads <= 40);
            slow.channel.close();
            sender.join();
        }
    }
}
