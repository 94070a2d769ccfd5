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
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.LocalDisk;
import org.splitring.blkback.nbd.NbdProtocol;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// WRITEs that a disk takes from the socket itself, as far as it likes.
@Timeout(60)
class NbdStraightWriteTest {
    private static final int SIZE = 8 << 20;
    private static final int LARGE = 128 << 10;
    private static final int PAGE = 4096;
    private static final byte[] PAYLOAD = new byte[SIZE];

    static {
        new Random(20261128).nextBytes(PAYLOAD);
    }

    @TempDir Path dir;
    private final NettyDeviceLoops loops = new NettyDeviceLoops("nbd", 1);
    private final MemoryDisk disk = new MemoryDisk(SIZE, loops.loop(0));
    private VectoredFile file;
    private NbdServer server;
    private Path socket;
    private int port;
    private volatile long takenBytes;
    private volatile int refuses; // takes to come

    @BeforeEach
    void start() throws IOException {
        file = VectoredFile.open(Files.write(dir.resolve("disk"), new byte[1]));
        disk.cachedFile = file;
        disk.taking = this::take;
        server =
                new NbdServer(
                        loops.loop(0).eventLoop(),
                        List.of(new NbdExport("xvda", "", disk)),
                        NbdLimits.DEFAULT);
        server.lookOut(loops.loop(0));
        socket = dir.resolve("xvda.nbd");
        server.listen(socket);
        port = server.listenOnLoopback(0);
    }

    @AfterEach
    void stop() {
        server.close();
        loops.close();
        assertEquals(0, disk.lentCount, "buffers after close");
        file.close();
    }

    @SuppressWarnings("NonAtomicVolatileUpdate") // only the loop takes
    private long take(SocketPipe from, long offset, long mostBytes) {
        if (refuses > 0) {
            refuses--;
            return LocalDisk.NOT_TAKEN;
        }
        from.receive(Math.min(LARGE, mostBytes) - from.heldBytes());
        long whole = from.heldBytes() & -PAGE;
        for (long done = 0; done < whole; ) {
            done += from.read(disk.content.asSlice(offset + done, whole - done));
        }
        takenBytes += whole;
        return whole;
    }

    private byte[] onDisk(long offset, int length) {
        return disk.content.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    }

    /// Sends a WRITE in pieces, and waits a moment between some.
    private static void sendInPieces(
            RawNbdClient client, long cookie, int offset, int length, Random random)
            throws IOException {
        ByteBuffer all = ByteBuffer.allocate(28 + length);
        all.put(RawNbdClient.header(0, NbdProtocol.CMD_WRITE, cookie, offset, length).flip());
        all.put(PAYLOAD, offset, length).flip();
        int most = random.nextInt(4) == 0 ? 3 * PAGE : 1 << 20;
        int step = random.nextBoolean() ? 28 : 1 + random.nextInt(most);
        while (all.hasRemaining()) {
            byte[] piece = new byte[Math.min(step, all.remaining())];
            all.get(piece);
            client.send(ByteBuffer.allocate(piece.length).put(piece));
            if (random.nextInt(8) == 0) {
                LockSupport.parkNanos(random.nextInt(300_000));
            }
            step = 1 + random.nextInt(most);
        }
    }

    /// Sends a WRITE whose payload follows right behind its header.
    private static void sendAtOnce(RawNbdClient client, int flags, long cookie, int offset)
            throws IOException {
        ByteBuffer header =
                RawNbdClient.header(flags, NbdProtocol.CMD_WRITE, cookie, offset, LARGE).flip();
        client.send(ByteBuffer.allocate(28 + LARGE).put(header).put(PAYLOAD, 0, LARGE));
    }

    /// Whatever comes at once and whatever comes late, and whatever the disk likes to take.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everyByteIsWhereItBelongs(boolean overTcp) throws IOException {
        long seed = 20261128;
        Random random = new Random(seed);
        byte[] expected = new byte[SIZE];
        try (RawNbdClient client =
                (overTcp ? new RawNbdClient(port) : new RawNbdClient(socket)).go()) {
            for (int i = 0; i < 300; i++) {
                boolean pages = random.nextInt(5) > 0;
                int unit = pages ? PAGE : 512;
                int length = unit * (1 + random.nextInt((i % 10 == 0 ? 3 << 20 : LARGE) / unit));
                int offset = unit * random.nextInt((SIZE - length) / unit + 1);
                if (random.nextInt(10) == 0) {
                    refuses = random.nextInt(3);
                }
                sendInPieces(client, i, offset, length, random);
                System.arraycopy(PAYLOAD, offset, expected, offset, length);
                assertEquals(new RawNbdClient.Reply(0, i), client.reply(), "seed " + seed);
            }
        }
        assertArrayEquals(expected, onDisk(0, SIZE), "seed " + seed);
        assertTrue(takenBytes > 1 << 20, "taken: " + takenBytes);
        assertTrue(disk.writes > 20, "the ordinary way: " + disk.writes);
    }

    @Test
    void smallOnesAndThoseThatAreNoPagesAreNotTaken() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.write(0, 1, 0, Arrays.copyOf(PAYLOAD, LARGE)); // so large ones are expected
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            disk.taking =
                    (from, offset, mostBytes) -> {
                        throw new AssertionError("asked at " + offset + " for " + mostBytes);
                    };
            client.write(0, 2, 512, Arrays.copyOf(PAYLOAD, LARGE));
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            client.write(0, 3, 0, Arrays.copyOf(PAYLOAD, LARGE + 512));
            assertEquals(new RawNbdClient.Reply(0, 3), client.reply());
            client.write(0, 4, 0, Arrays.copyOf(PAYLOAD, 16 << 10));
            assertEquals(new RawNbdClient.Reply(0, 4), client.reply());
        }
    }

    /// The client hears of it, and what it sends afterwards is understood.
    @ParameterizedTest
    @ValueSource(ints = {0, 5, LARGE})
    void aWriteThatFailsOnItsWayIsAnsweredAndTheRestOfItIsSkipped(int bytesBefore)
            throws IOException {
        byte[] data = Arrays.copyOf(PAYLOAD, LARGE);
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            sendAtOnce(client, 0, 1, 0);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            disk.taking =
                    (from, offset, mostBytes) -> {
                        long until = from.receivedBytes() + bytesBefore;
                        while (from.receivedBytes() < until) {
                            from.receive(until - from.receivedBytes());
                        }
                        return LocalDisk.TAKE_FAILED;
                    };
            sendAtOnce(client, 0, 2, 1 << 20);
            assertEquals(new RawNbdClient.Reply(NbdProtocol.EIO, 2), client.reply());
            sendAtOnce(client, 0, 3, 2 << 20);
            assertEquals(new RawNbdClient.Reply(0, 3), client.reply(), "the ordinary way");
            client.askToRead(4, 2 << 20, LARGE);
            assertEquals(new RawNbdClient.Reply(0, 4), client.reply());
        }
        assertArrayEquals(data, onDisk(2 << 20, LARGE));
        assertArrayEquals(new byte[LARGE], onDisk(1 << 20, LARGE));
    }

    /// Whoever sends a little at a time has his write end the ordinary way, in turn with others.
    @Test
    void aWriteThatComesInSlowlyDoesNotKeepTheLoop() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            sendAtOnce(client, 0, 1, 0);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            int before = disk.writes;
            disk.taking =
                    (from, offset, mostBytes) -> {
                        long until = from.receivedBytes() + PAGE;
                        while (from.receivedBytes() < until) {
                            from.receive(until - from.receivedBytes());
                        }
                        LockSupport.parkNanos(300_000);
                        return from.read(disk.content.asSlice(offset, PAGE));
                    };
            sendAtOnce(client, 0, 2, 1 << 20);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
            assertTrue(disk.writes > before, "all of it in one go");
        }
        assertArrayEquals(Arrays.copyOf(PAYLOAD, LARGE), onDisk(1 << 20, LARGE));
    }

    @Test
    void withFuaTheAnswerComesAfterAFlush() throws IOException {
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            for (int i = 1; i < 5; i++) {
                sendAtOnce(client, NbdProtocol.CMD_FLAG_FUA, i, i * LARGE);
                assertEquals(new RawNbdClient.Reply(0, i), client.reply());
                assertEquals(
                        -1,
                        MemorySegment.ofArray(Arrays.copyOf(PAYLOAD, LARGE))
                                .mismatch(disk.stable.asSlice((long) i * LARGE, LARGE)));
            }
        }
        assertTrue(takenBytes > 0);
    }

    private static long openFiles() throws IOException {
        try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
            return all.count();
        }
    }

    @Test
    void aClientThatVanishesInTheMiddleLeavesNothing() throws IOException {
        long before = openFiles();
        for (int round = 0; round < 20; round++) {
            try (RawNbdClient client = new RawNbdClient(socket).go()) {
                sendAtOnce(client, 0, 1, 0);
                assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
                sendAtOnce(client, 0, 1, 0);
                assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
                client.request(0, NbdProtocol.CMD_WRITE, 2, 0, 1 << 20);
                client.send(ByteBuffer.allocate(2 * LARGE + 100).put(PAYLOAD, 0, 2 * LARGE + 100));
            }
        }
        assertTrue(takenBytes > 0);
        await().until(() -> server.metrics().connections() == 0);
        await().until(() -> disk.lentCount == 0);
        await().until(() -> openFiles() <= before);
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.write(0, 1, 0, PAYLOAD);
            assertEquals(new RawNbdClient.Reply(0, 1), client.reply());
            assertArrayEquals(PAYLOAD, onDisk(0, SIZE));
        }
    }
}
