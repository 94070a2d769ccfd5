package org.splitring.blkback.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;

/// Servers that go and come back, and what they may have forgotten meanwhile.
@Timeout(60)
class NbdReconnectTest {
    private static final int SIZE = 4 << 20;
    private static final int WRITERS = 6;

    @TempDir Path folder;
    private ForgetfulNbdServer server;
    private long seed;

    @BeforeEach
    void startServer() throws IOException {
        seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        server = new ForgetfulNbdServer(folder.resolve("s"), SIZE, seed);
        server.start();
    }

    @AfterEach
    void stopServer() throws IOException {
        server.close();
    }

    private static NbdTimes times(int reconnectMillis) {
        return new NbdTimes(
                TimeUnit.SECONDS.toNanos(5),
                TimeUnit.SECONDS.toNanos(30),
                TimeUnit.MILLISECONDS.toNanos(reconnectMillis));
    }

    private NbdStore open(int reconnectMillis) throws DiskException {
        return NbdStore.open(
                server.source(),
                DiskAccess.READ_WRITE,
                false,
                times(reconnectMillis),
                NbdExport.LARGEST_PAYLOAD);
    }

    private static byte[] filled(int sizeBytes, int value) {
        byte[] data = new byte[sizeBytes];
        Arrays.fill(data, (byte) value);
        return data;
    }

    @Test
    void whatWasAcknowledgedAndForgottenIsSentAgainInOrder() throws Exception {
        try (NbdStore store = open(30_000)) {
            for (int i = 1; i <= 50; i++) { // each over half of the one before
                StoreBytes.write(store, i * 2048L, filled(4096, i));
            }
            store.discard(100 * 2048, 4096);
            server.crash();
            server.start();
            for (int i = 1; i < 50; i++) {
                assertArrayEquals(filled(2048, i), StoreBytes.read(store, i * 2048L, 2048));
            }
            assertArrayEquals(filled(4096, 0), StoreBytes.read(store, 100 * 2048, 4096));
            assertEquals(0, server.flushes.get());
            store.sync();
            server.crash();
            server.start();
            int writes = server.writes.get();
            assertArrayEquals(filled(2048, 49), StoreBytes.read(store, 49 * 2048L, 2048));
            assertEquals(writes, server.writes.get(), "what was flushed is not sent again");
        }
    }

    /// One region of the disk, written and read by one thread.
    private static final class Writer {
        private static final int SECTORS = 256;
        final long start;
        final long[] sequences = new long[SECTORS];
        private final Random random;

        Writer(int index, long seed) {
            start = (long) index * SECTORS * 512;
            random = new Random(seed + index);
        }

        void step(BlockStore store) throws IOException {
            int first = random.nextInt(SECTORS);
            int count = 1 + random.nextInt(Math.min(64, SECTORS - first));
            switch (random.nextInt(8)) {
                case 0 -> store.sync();
                case 1 -> {
                    store.discard(start + first * 512L, count * 512L);
                    Arrays.fill(sequences, first, first + count, 0);
                }
                case 2, 3 -> check(store, first, count);
                default -> {
                    ByteBuffer data = ByteBuffer.allocate(count * 512);
                    for (int i = 0; i < count; i++) {
                        long sequence = random.nextLong() | 1;
                        sequences[first + i] = sequence;
                        for (int word = 0; word < 64; word++) {
                            data.putLong(sequence * (word + 1));
                        }
                    }
                    StoreBytes.write(store, start + first * 512L, data.array());
                }
            }
        }

        void check(BlockStore store, int first, int count) throws IOException {
            check(StoreBytes.read(store, start + first * 512L, count * 512), first);
        }

        void check(byte[] data, int first) {
            ByteBuffer view = ByteBuffer.wrap(data);
            while (view.hasRemaining()) {
                int sector = first + view.position() / 512;
                for (int word = 0; word < 64; word++) {
                    assertEquals(
                            sequences[sector] * (word + 1),
                            view.getLong(),
                            "sector " + sector + " of " + start + " word " + word);
                }
            }
        }
    }

    @Test
    void noAcknowledgedWriteIsLostWhileTheServerCrashesAgainAndAgain() throws Exception {
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger steps = new AtomicInteger();
        List<Writer> writers = new ArrayList<>();
        List<Future<?>> running = new ArrayList<>();
        try (NbdStore store = open(30_000);
                ExecutorService threads = Executors.newCachedThreadPool()) {
            try {
                for (int i = 0; i < WRITERS; i++) {
                    Writer writer = new Writer(i, seed);
                    writers.add(writer);
                    running.add(
                            threads.submit(
                                    () -> {
                                        while (!stop.get()) {
                                            writer.step(store);
                                            steps.incrementAndGet();
                                        }
                                        return null;
                                    }));
                }
                for (int i = 0; i < 20; i++) {
                    int seen = steps.get();
                    Awaitility.await()
                            .pollInterval(Duration.ofMillis(5))
                            .until(
                                    () ->
                                            steps.get() > seen + 100
                                                    || running.stream().anyMatch(Future::isDone));
                    server.crash();
                    server.start();
                }
            } finally {
                stop.set(true);
            }
            for (Future<?> each : running) {
                each.get();
            }
            for (Writer writer : writers) {
                writer.check(store, 0, Writer.SECTORS);
            }
            store.sync();
        }
        byte[] stable = server.stable();
        for (Writer writer : writers) {
            int at = (int) writer.start;
            writer.check(Arrays.copyOfRange(stable, at, at + Writer.SECTORS * 512), 0);
        }
        assertTrue(server.connections.get() > 20);
    }

    @Test
    void aFullLogIsFlushedAndWritesGoOn() throws Exception {
        try (NbdStore store = open(30_000)) {
            for (int i = 0; i < 40; i++) {
                StoreBytes.write(store, i * 100_352L, filled(100_352, i));
            }
            assertTrue(server.flushes.get() >= 3, "flushes " + server.flushes.get());
            server.crash();
            server.start();
            for (int i = 0; i < 40; i++) {
                assertArrayEquals(
                        filled(100_352, i), StoreBytes.read(store, i * 100_352L, 100_352));
            }
        }
    }

    @Test
    void requestsWaitForAServerThatIsGone() throws Exception {
        try (NbdStore store = open(30_000)) {
            server.crash();
            CompletableFuture<byte[]> read = inBackground(() -> StoreBytes.read(store, 0, 4096));
            CompletableFuture<byte[]> write =
                    inBackground(
                            () -> {
                                StoreBytes.write(store, 8192, filled(4096, 3));
                                return new byte[0];
                            });
            assertTrue(!read.isDone() && !write.isDone());
            server.start();
            assertArrayEquals(new byte[4096], read.get(20, TimeUnit.SECONDS));
            write.get(20, TimeUnit.SECONDS);
            assertArrayEquals(filled(4096, 3), Arrays.copyOfRange(server.contents(), 8192, 12288));
        }
    }

    private interface Work {
        byte[] run() throws IOException;
    }

    private static CompletableFuture<byte[]> inBackground(Work work) {
        CompletableFuture<byte[]> done = new CompletableFuture<>();
        Thread.ofPlatform()
                .daemon()
                .start(
                        () -> {
                            try {
                                done.complete(work.run());
                            } catch (IOException | RuntimeException e) {
                                done.completeExceptionally(e);
                            }
                        });
        return done;
    }

    private String failure(NbdStore store) {
        IOException e = assertThrows(IOException.class, () -> StoreBytes.read(store, 0, 512));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.startsWith(server.source().name() + ": "), message);
        assertTrue(message.indexOf('\n') < 0, message);
        return message;
    }

    @Test
    void aServerThatIsGoneForTooLongEndsTheDisk() throws Exception {
        try (NbdStore store = open(300)) {
            server.crash();
            String message = failure(store);
            assertTrue(message.contains("no server for "), message);
            server.start();
            assertEquals(message, failure(store), "nothing makes it work again");
            assertThrows(IOException.class, () -> StoreBytes.write(store, 0, new byte[512]));
            assertThrows(IOException.class, store::sync);
        }
        try (NbdStore again = open(300)) {
            assertArrayEquals(new byte[512], StoreBytes.read(again, 0, 512));
        }
    }

    @Test
    void n23_aServerThatComesBackWithAnotherSizeEndsTheDisk() throws Exception {
        try (NbdStore store = open(30_000)) {
            server.crash();
            server.resize(SIZE / 2);
            server.start();
            String message = failure(store);
            assertTrue(message.contains("came back with 2097152 bytes instead of"), message);
            server.crash();
            server.resize(SIZE);
            server.start();
            assertEquals(message, failure(store));
        }
    }

    @Test
    void aServerThatComesBackReadOnlyEndsADiskThatIsWritten() throws Exception {
        try (NbdStore store = open(30_000)) {
            StoreBytes.write(store, 0, new byte[512]);
            server.crash();
            server.flags = ForgetfulNbdServer.ALL | NbdProtocol.READ_ONLY;
            server.start();
            assertTrue(failure(store).contains("came back read-only"), failure(store));
            assertEquals(1, server.writes.get(), "nothing was sent again");
        }
    }

    @Test
    void aServerThatComesBackWithoutFlushEndsTheDisk() throws Exception {
        try (NbdStore store = open(30_000)) {
            server.crash();
            server.flags = ForgetfulNbdServer.ALL & ~NbdProtocol.SEND_FLUSH;
            server.start();
            assertTrue(failure(store).contains("came back without flush"), failure(store));
        }
    }

    @Test
    void aServerThatComesBackWithoutTheExportEndsTheDisk() throws Exception {
        try (NbdStore store = open(30_000)) {
            server.crash();
            server.export = "other";
            server.start();
            String message = failure(store);
            assertTrue(
                    message.endsWith("the server has no export \"disk\" (\"nothing here\")"),
                    message);
        }
    }

    @Test
    void aWriteThatIsRefusedWhenItIsSentAgainEndsTheDisk() throws Exception {
        try (NbdStore store = open(30_000)) {
            StoreBytes.write(store, 512, new byte[512]);
            server.crash();
            server.nextError = 28;
            server.start();
            String message = failure(store);
            assertTrue(message.contains("512 bytes at 512 had been acknowledged"), message);
            assertTrue(message.contains("ENOSPC"), message);
        }
    }

    @Test
    void aServerThatEndsAtEachRequestIsLeft() throws Exception {
        try (NbdStore store = open(300)) {
            server.endsOnRequest = true;
            assertTrue(failure(store).contains("no server for "), failure(store));
            assertTrue(server.connections.get() > 1);
        }
    }

    @Test
    void closingDoesNotWaitForAServerThatIsGone() throws Exception {
        NbdStore store = open(3_600_000);
        server.crash();
        store.close();
        assertThrows(IOException.class, () -> StoreBytes.read(store, 0, 512));
    }
}
