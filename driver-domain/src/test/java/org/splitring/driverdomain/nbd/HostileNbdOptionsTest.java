package org.splitring.driverdomain.nbd;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.IoEventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.nbd.NbdProtocol;

/// Options that no client of good will sends: each has an error or the end of the connection for
/// an answer, and none reaches a disk.
@Timeout(60)
class HostileNbdOptionsTest {
    @TempDir Path dir;
    private final IoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final MemoryDisk disk = new MemoryDisk(1 << 20, group.next());
    private NbdServer server;
    private Path socket;

    @BeforeEach
    void start() throws IOException {
        server =
                new NbdServer(
                        group.next(), List.of(new NbdExport("xvda", "", disk)), NbdLimits.DEFAULT);
        socket = dir.resolve("xvda.nbd");
        server.listen(socket);
    }

    @AfterEach
    void stop() {
        server.close();
        assertEquals(0, server.metrics().connections(), "clients after close");
        assertEquals(0, disk.lentCount, "buffers after close");
        assertEquals(0, disk.reads + disk.writes + disk.discarded, "operations of the disk");
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    }

    private static void assertRefused(RawNbdClient client, int option, byte[] data, int reply)
            throws IOException {
        client.option(option, data);
        RawNbdClient.OptionReply answer = client.optionReply();
        assertEquals(option, answer.option());
        assertEquals(
                Integer.toHexString(reply),
                Integer.toHexString(answer.type()),
                () -> new String(answer.data(), StandardCharsets.US_ASCII));
    }

    @Test
    void n22_metaContextsBeforeStructuredRepliesAreRefused() throws IOException {
        byte[] data = RawNbdClient.metaData("xvda", "base:allocation");
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            int invalid = NbdProtocol.REP_ERR_INVALID;
            assertRefused(client, NbdProtocol.OPT_SET_META_CONTEXT, data, invalid);
            assertRefused(client, NbdProtocol.OPT_LIST_META_CONTEXT, data, invalid);
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            client.enter("xvda");
            client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 512);
            assertEquals(NbdProtocol.CHUNK_ERROR, client.chunk().type());
        }
    }

    @Test
    void n21_lengthsAndCountsOfMetaContextsThatLieAreRefused() throws IOException {
        int invalid = NbdProtocol.REP_ERR_INVALID;
        int tooBig = NbdProtocol.REP_ERR_TOO_BIG;
        try (RawNbdClient client = new RawNbdClient(socket).greet()) {
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            for (int option :
                    new int[] {
                        NbdProtocol.OPT_LIST_META_CONTEXT, NbdProtocol.OPT_SET_META_CONTEXT
                    }) {
                byte[] good = RawNbdClient.metaData("xvda", "base:allocation");
                for (int cut = 0; cut < good.length; cut++) {
                    byte[] part = java.util.Arrays.copyOf(good, cut);
                    assertRefused(client, option, part, invalid);
                }
                byte[] longer = java.util.Arrays.copyOf(good, good.length + 1);
                assertRefused(client, option, longer, invalid);
                for (int lie : new int[] {2, 100, Integer.MAX_VALUE, -1}) {
                    byte[] count = good.clone();
                    ByteBuffer.wrap(count).putInt(8, lie);
                    assertRefused(client, option, count, invalid);
                    byte[] length = good.clone();
                    ByteBuffer.wrap(length).putInt(12, lie + 20);
                    assertRefused(client, option, length, invalid);
                }
                assertRefused(client, option, RawNbdClient.metaData("x".repeat(4097)), tooBig);
                byte[] longQuery = RawNbdClient.metaData("xvda", "base:" + "x".repeat(4092));
                assertRefused(client, option, longQuery, tooBig);
                byte[] manyQueries = new byte[12 + 4 * 5000]; // more than an option may have
                assertRefused(client, option, manyQueries, tooBig);
                byte[] noNamespace = RawNbdClient.metaData("xvda", "allocation");
                assertRefused(client, option, noNamespace, invalid);
                assertRefused(client, option, RawNbdClient.metaData("xvda", ""), invalid);
                assertRefused(client, option, RawNbdClient.metaData("xvda", ":x"), invalid);
            }
            client.enter("xvda"); // still in step
        }
    }

    @Test
    void n21_namesThatAreNoUtf8AreRefused() throws IOException {
        byte[][] names = {
            {(byte) 0xFF}, // never in UTF-8
            {(byte) 0xC0, (byte) 0x80}, // an overlong NUL
            {(byte) 0xED, (byte) 0xA0, (byte) 0x80}, // half a surrogate pair
            {(byte) 0xE2, (byte) 0x82}, // cut short
            {'x', 'v', 0, 'a'},
        };
        int invalid = NbdProtocol.REP_ERR_INVALID;
        for (byte[] name : names) {
            try (RawNbdClient client = new RawNbdClient(socket).greet()) {
                client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
                ByteBuffer go = ByteBuffer.allocate(6 + name.length);
                go.putInt(name.length).put(name);
                assertRefused(client, NbdProtocol.OPT_GO, go.array(), invalid);
                assertRefused(client, NbdProtocol.OPT_INFO, go.array(), invalid);
                ByteBuffer meta = ByteBuffer.allocate(8 + name.length);
                meta.putInt(name.length).put(name);
                assertRefused(client, NbdProtocol.OPT_SET_META_CONTEXT, meta.array(), invalid);
                ByteBuffer query = ByteBuffer.allocate(21 + name.length);
                query.putInt(4).put("xvda".getBytes(StandardCharsets.US_ASCII)).putInt(1);
                query.putInt(5 + name.length);
                query.put("base:".getBytes(StandardCharsets.US_ASCII)).put(name);
                byte[] data = java.util.Arrays.copyOf(query.array(), query.position());
                assertRefused(client, NbdProtocol.OPT_LIST_META_CONTEXT, data, invalid);
                client.option(NbdProtocol.OPT_EXPORT_NAME, name);
                client.awaitClosed();
            }
        }
        await().until(() -> server.metrics().handshakesRefused() == names.length);
    }

    @Test
    void n22_randomOptionsAreAnsweredOrEndTheConnection() throws IOException {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("HostileNbdOptionsTest seed " + seed);
        Random random = new Random(seed);
        int[] known = {3, 5, 6, 8, 9, 10, 11};
        for (int connection = 0; connection < 50; connection++) {
            try (RawNbdClient client = new RawNbdClient(socket).greet()) {
                for (int i = 0; i < 40; i++) {
                    int option = known[random.nextInt(known.length)];
                    byte[] data =
                            random.nextBoolean()
                                    ? RawNbdClient.metaData("xvda", "base:allocation", "base:")
                                    : new byte[random.nextInt(64)];
                    for (int flips = random.nextInt(4); flips > 0 && data.length > 0; flips--) {
                        data[random.nextInt(data.length)] = (byte) random.nextInt();
                    }
                    client.option(option, data);
                    RawNbdClient.OptionReply reply;
                    do {
                        reply = client.optionReply();
                        assertEquals(option, reply.option());
                    } while (reply.type() > 1); // errors are negative
                }
                byte[] garbage = new byte[512];
                random.nextBytes(garbage);
                client.send(ByteBuffer.wrap(garbage).position(garbage.length));
                client.awaitClosed();
            }
        }
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertTrue(client.size > 0, "others are served");
        }
    }
}
