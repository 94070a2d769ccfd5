package org.splitring.driverdomain.nbd;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.nbd.NbdProtocol;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.CachedFile;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;

/// READs that are answered from the page cache of a file. The file holds other bytes than the disk
/// says that it has, so that it can be told where an answer comes from.
@Timeout(60)
class NbdCachedReadTest {
    private static final int SIZE = 8 << 20;
    private static final int LARGE = 128 << 10;

    @TempDir Path dir;
    private final NettyDeviceLoops loops = new NettyDeviceLoops("nbd", 1);
    private final MemoryDisk disk = new MemoryDisk(SIZE, loops.loop(0));
    private final byte[] inFile = new byte[SIZE];
    private VectoredFile file;
    private NbdServer server;
    private Path socket;

    @BeforeEach
    void start() throws IOException {
        Random random = new Random(20261128);
        random.nextBytes(inFile);
        byte[] onDisk = new byte[SIZE];
        random.nextBytes(onDisk);
        MemorySegment.copy(onDisk, 0, disk.content, ValueLayout.JAVA_BYTE, 0, SIZE);
        file = VectoredFile.open(Files.write(dir.resolve("disk"), inFile), OpenFlag.READ_WRITE);
        Assumptions.assumeTrue(
                new CachedFile(file).isCached(0, SIZE), "needs Linux 6.5 (cachestat)");
        disk.cachedFile = file;
        server =
                new NbdServer(
                        loops.loop(0).eventLoop(),
                        List.of(new NbdExport("xvda", "", disk)),
                        NbdLimits.DEFAULT);
        server.lookOut(loops.loop(0));
        socket = dir.resolve("xvda.nbd");
        server.listen(socket);
    }

    @AfterEach
    void stop() {
        if (server != null) {
            server.close();
        }
        loops.close();
        assertEquals(0, disk.lentCount, "buffers after close");
        file.close();
    }

    private byte[] fromFile(long offset, int length) {
        return Arrays.copyOfRange(inFile, (int) offset, (int) offset + length);
    }

    private byte[] fromDisk(long offset, int length) {
        return disk.content.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    }

    private static void takeSimple(RawNbdClient client, long cookie, byte[] expected)
            throws IOException {
        assertEquals(new RawNbdClient.Reply(0, cookie), client.reply());
        assertArrayEquals(expected, client.read(expected.length).array(), "cookie " + cookie);
    }

    @Test
    void largeReadsComeFromTheFileAndSmallOnesFromTheDisk() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int length : new int[] {16 << 10, LARGE, 1 << 20, 5 << 20, SIZE}) {
                client.askToRead(length, SIZE - length, length);
                takeSimple(client, length, fromFile(SIZE - length, length));
            }
            for (int i = 0; i < 40; i++) { // more than may be under way at once
                client.askToRead(i, i * 512L, LARGE);
                takeSimple(client, i, fromFile(i * 512L, LARGE));
            }
            assertEquals(0, disk.reads);
            client.askToRead(1, 512, (16 << 10) - 512);
            takeSimple(client, 1, fromDisk(512, (16 << 10) - 512));
            client.askToRead(2, 512, 16 << 10);
            takeSimple(client, 2, fromFile(512, 16 << 10));
        }
    }

    @Test
    void withStructuredRepliesItIsOneChunk() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).goStructured()) {
            for (int flags : new int[] {0, NbdProtocol.CMD_FLAG_DF}) {
                client.request(flags, NbdProtocol.CMD_READ, 7, 1 << 20, LARGE);
                RawNbdClient.Chunk chunk = client.chunk();
                assertTrue(chunk.last());
                assertEquals(NbdProtocol.CHUNK_OFFSET_DATA, chunk.type());
                assertEquals(7, chunk.cookie());
                ByteBuffer bytes = chunk.bytes();
                assertEquals(1 << 20, bytes.getLong());
                byte[] data = new byte[bytes.remaining()];
                bytes.get(data);
                assertArrayEquals(fromFile(1 << 20, LARGE), data);
            }
        }
    }

    /// The file's hole was never read, so nothing of it is in the page cache.
    @Test
    void whatIsNotAllCachedComesFromTheDisk() throws IOException {
        file.punchHole(1 << 20, 64 << 10);
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.askToRead(1, 1 << 20, LARGE);
            takeSimple(client, 1, fromDisk(1 << 20, LARGE));
            client.askToRead(2, 2 << 20, LARGE);
            takeSimple(client, 2, fromFile(2 << 20, LARGE));
        }
    }

    /// More than may be under way from the file, small ones and writes between them, and nobody who
    /// takes the answers: they are all right, and what does not fit is read from the disk.
    @Test
    void aClientThatAsksForMuchAtOnceGetsAllOfIt() throws IOException {
        byte[] written = new byte[4096];
        new Random(3).nextBytes(written);
        int asked = 100;
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int i = 0; i < asked; i++) {
                client.askToRead(i, i * 4096L, i % 3 == 0 ? 4096 : LARGE);
            }
            client.write(0, asked, 7 << 20, written);
            boolean[] answered = new boolean[asked + 1];
            int copied = 0;
            for (int i = 0; i <= asked; i++) {
                RawNbdClient.Reply reply = client.reply();
                int cookie = (int) reply.cookie();
                assertEquals(0, reply.error());
                assertTrue(!answered[cookie], "twice: " + cookie);
                answered[cookie] = true;
                if (cookie == asked) {
                    continue;
                }
                int length = cookie % 3 == 0 ? 4096 : LARGE;
                byte[] data = client.read(length).array();
                boolean copy = Arrays.equals(fromDisk(cookie * 4096L, length), data);
                if (!copy) {
                    assertArrayEquals(fromFile(cookie * 4096L, length), data, "read " + cookie);
                    assertEquals(LARGE, length, "a small one");
                } else if (length == LARGE) {
                    copied++;
                }
            }
            assertTrue(copied > 0, "all at once from the file");
            assertArrayEquals(written, fromDisk(7 << 20, 4096));
        }
    }

    /// It was all there when the answer began, so there is nothing left but to end.
    @Test
    void aFileThatBecomesShorterEndsTheClientThatWaitsForItAndNobodyElse() throws IOException {
        try (RawNbdClient other = new RawNbdClient(socket).go();
                RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int i = 0; i < 16; i++) {
                client.askToRead(i, 1 << 20, 1 << 20);
            }
            other.askToRead(1, 0, LARGE); // the server has been past those
            takeSimple(other, 1, fromFile(0, LARGE));
            file.truncate(1 << 20);
            int whole = 0;
            IOException ended = null;
            while (ended == null) {
                try {
                    takeSimple(client, whole, fromFile(1 << 20, 1 << 20));
                    whole++;
                } catch (IOException e) {
                    ended = e;
                }
                assertTrue(whole < 16, "all of a file that is not there");
            }
            other.askToRead(2, 0, LARGE);
            takeSimple(other, 2, fromFile(0, LARGE));
        }
    }

    @Test
    void aClientThatVanishesLeavesNothing() throws IOException {
        int port = server.listenOnLoopback(0);
        for (int round = 0; round < 20; round++) {
            RawNbdClient client = new RawNbdClient(port).go();
            for (int i = 0; i < 20; i++) {
                client.askToRead(i, 0, 1 << 20);
            }
            client.cut();
        }
        await().until(() -> server.metrics().connections() == 0);
        await().until(() -> disk.lentCount == 0);
        try (RawNbdClient client = new RawNbdClient(port).go()) {
            client.askToRead(1, 0, SIZE);
            takeSimple(client, 1, fromFile(0, SIZE));
        }
    }
}
