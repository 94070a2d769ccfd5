package org.splitring.blkback.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.blkback.image.ImageInfo;
import org.splitring.blkback.image.NbdSource;
import org.splitring.blkback.image.OpenImages;
import org.splitring.blkback.image.Progress;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.testkit.ExternalTools;

/// Servers of others, and one of ours that keeps to the letter.
@Timeout(60)
class NbdStoreTest {
    private static final int SIZE = 4 << 20;
    private static final NbdTimes TIMES = NbdTimes.reconnecting(30);

    @TempDir Path folder;

    private static NbdStore open(NbdSource source) throws DiskException {
        return NbdStore.open(source, DiskAccess.READ_WRITE, false);
    }

    private static String message(Exception e) {
        return String.valueOf(e.getMessage());
    }

    private static byte[] random(int sizeBytes) {
        byte[] data = new byte[sizeBytes];
        new Random(7).nextBytes(data);
        return data;
    }

    private static void writesAndReads(NbdStore store) throws IOException {
        assertEquals(SIZE, store.sizeBytes());
        byte[] large = random(3 << 20); // more than goes with one request
        StoreBytes.write(store, 512, large);
        assertArrayEquals(large, StoreBytes.read(store, 512, large.length));
        StoreBytes.write(store, SIZE - 512, random(512));
        assertArrayEquals(random(512), StoreBytes.read(store, SIZE - 512, 512));
        IOException behind =
                assertThrows(IOException.class, () -> StoreBytes.write(store, SIZE, new byte[512]));
        assertTrue(message(behind).contains("are not on the disk"), message(behind));
        IOException end =
                assertThrows(IOException.class, () -> StoreBytes.read(store, SIZE - 512, 1024));
        assertTrue(message(end).contains("read 512 of 1024"), message(end));
        store.sync();
    }

    @Test
    void nbdkitInMemory() throws Exception {
        try (ServerProcess server = ServerProcess.nbdkit(folder.resolve("s"), "memory", "4M");
                NbdStore store = open(server.source(""))) {
            writesAndReads(store);
            assertEquals(512, store.discardGranularityBytes());
            assertTrue(store.discardZeroes());
            store.discard(1024, 2 << 20);
            assertArrayEquals(random(512), StoreBytes.read(store, 512, 512));
            assertArrayEquals(new byte[2 << 20], StoreBytes.read(store, 1024, 2 << 20));
            assertEquals("an NBD server's export, flush, FUA, trim, write zeroes", store.details());
        }
    }

    @Test
    void qemuNbdWithAFileAndANamedExport() throws Exception {
        Path image = Files.write(folder.resolve("disk.img"), new byte[SIZE]);
        try (ServerProcess server =
                ServerProcess.qemuNbd(
                        folder.resolve("s"),
                        "-f",
                        "raw",
                        "--discard=unmap",
                        "-x",
                        "a b",
                        image.toString())) {
            DiskException missing =
                    assertThrows(DiskException.class, () -> open(server.source("other")));
            assertTrue(message(missing).contains("has no export"), message(missing));
            try (NbdStore store = open(server.source("a%20b"))) {
                writesAndReads(store);
                store.discard(0, 1 << 20);
                store.sync();
            }
            byte[] bytes = Files.readAllBytes(image);
            assertArrayEquals(new byte[1 << 20], Arrays.copyOf(bytes, 1 << 20));
            byte[] expected = random(3 << 20);
            assertArrayEquals(
                    Arrays.copyOfRange(expected, (1 << 20) - 512, 3 << 20),
                    Arrays.copyOfRange(bytes, 1 << 20, (3 << 20) + 512));
        }
    }

    @Test
    void overTcp() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        Path image = Files.write(folder.resolve("disk.img"), new byte[SIZE]);
        // It makes the file when it listens, which is how the test knows.
        Path pid = folder.resolve("pid");
        NbdSource source = NbdSource.parse("nbd:localhost:" + port);
        DiskException nobody = assertThrows(DiskException.class, () -> open(source));
        assertTrue(
                message(nobody).startsWith("disk nbd://localhost:" + port + "/: connect to "),
                message(nobody));
        assertTrue(message(nobody).contains("ECONNREFUSED"), message(nobody));
        ExternalTools.require("nbdkit", "nbdkit");
        Process server =
                new ProcessBuilder(
                                "nbdkit",
                                "-f",
                                "-p",
                                Integer.toString(port),
                                "-P",
                                pid.toString(),
                                "file",
                                image.toString())
                        .redirectErrorStream(true)
                        .redirectOutput(folder.resolve("log").toFile())
                        .start();
        try {
            Awaitility.await().until(() -> Files.exists(pid) || !server.isAlive());
            try (NbdStore store = open(source)) {
                writesAndReads(store);
            }
            assertArrayEquals(
                    random(3 << 20),
                    Arrays.copyOfRange(Files.readAllBytes(image), 512, (3 << 20) + 512));
        } finally {
            server.destroyForcibly().onExit().join();
        }
    }

    @Test
    void oldstyleServersAreRefused() throws Exception {
        try (ServerProcess server =
                ServerProcess.nbdkit(folder.resolve("s"), "-o", "memory", "4M")) {
            DiskException e = assertThrows(DiskException.class, () -> open(server.source("")));
            assertTrue(message(e).contains("oldstyle"), message(e));
        }
    }

    @Test
    void aReadOnlyExportIsForReadersOnly() throws Exception {
        try (ServerProcess server =
                ServerProcess.nbdkit(folder.resolve("s"), "-r", "memory", "4M")) {
            DiskException e = assertThrows(DiskException.class, () -> open(server.source("")));
            assertTrue(message(e).endsWith("the export is read-only, and the disk is not"));
            try (NbdStore store = NbdStore.open(server.source(""), DiskAccess.READ_ONLY, false)) {
                assertTrue(store.readOnly());
                assertArrayEquals(new byte[512], StoreBytes.read(store, 0, 512));
                assertThrows(IOException.class, () -> StoreBytes.write(store, 0, new byte[512]));
                assertEquals(0, store.discardGranularityBytes());
                store.sync();
            }
        }
    }

    @Test
    void errorsOfTheServerReachWhoAsked() throws Exception {
        try (ServerProcess server =
                        ServerProcess.nbdkit(
                                folder.resolve("s"),
                                "--filter=error",
                                "memory",
                                "4M",
                                "error-pwrite=ENOSPC",
                                "error-pwrite-rate=100%");
                NbdStore store = open(server.source(""))) {
            LinuxException e =
                    assertThrows(
                            LinuxException.class,
                            () -> StoreBytes.write(store, 4096, new byte[8192]));
            assertEquals(Errno.ENOSPC, e.errno());
            assertTrue(message(e).contains("write of 8192 bytes at 4096"), message(e));
            assertArrayEquals(new byte[512], StoreBytes.read(store, 0, 512));
        }
    }

    @Test
    void closingSaysGoodbye() throws Exception {
        try (ServerProcess server =
                ServerProcess.nbdkit(folder.resolve("s"), "--filter=exitlast", "memory", "4M")) {
            NbdStore store = open(server.source(""));
            assertArrayEquals(new byte[512], StoreBytes.read(store, 0, 512));
            store.close();
            assertTrue(server.ends(), "its last client has left");
        }
    }

    @Test
    void noAcknowledgedWriteIsLostWhileNbdkitIsKilledAgainAndAgain() throws Exception {
        Path image = Files.write(folder.resolve("disk.img"), new byte[SIZE]);
        byte[][] blocks = new byte[64][];
        try (ServerProcess server =
                        ServerProcess.nbdkit(
                                folder.resolve("s"),
                                "--filter=delay",
                                "file",
                                image.toString(),
                                "wdelay=1ms");
                NbdStore store = open(server.source(""));
                ExecutorService threads = Executors.newCachedThreadPool()) {
            for (int round = 0; round < 6; round++) {
                List<Future<?>> writers = new ArrayList<>();
                for (int i = 0; i < blocks.length; i++) {
                    int index = i;
                    byte[] data = new byte[16_384];
                    Arrays.fill(data, (byte) (round * 64 + i + 1));
                    blocks[i] = data;
                    writers.add(
                            threads.submit(
                                    () -> {
                                        StoreBytes.write(store, index * 32_768L, data);
                                        return null;
                                    }));
                }
                writers.getFirst().get(30, TimeUnit.SECONDS);
                server.kill();
                server.start();
                for (Future<?> writer : writers) {
                    writer.get(30, TimeUnit.SECONDS);
                }
                for (int i = 0; i < blocks.length; i++) {
                    assertArrayEquals(blocks[i], StoreBytes.read(store, i * 32_768L, 16_384));
                }
            }
            store.sync();
        }
        byte[] bytes = Files.readAllBytes(image);
        for (int i = 0; i < blocks.length; i++) {
            assertArrayEquals(
                    blocks[i], Arrays.copyOfRange(bytes, i * 32_768, i * 32_768 + 16_384));
        }
    }

    private ForgetfulNbdServer forgetful() {
        return new ForgetfulNbdServer(folder.resolve("s"), SIZE, 1);
    }

    @Test
    void requestsOfSeveralThreadsAreUnderWayAtOnce() throws Exception {
        try (ForgetfulNbdServer server = forgetful()) {
            server.start();
            try (NbdStore store = open(server.source());
                    ExecutorService threads = Executors.newCachedThreadPool()) {
                server.holdUntil = 16; // answers none before they are all there
                List<Future<byte[]>> reads = new ArrayList<>();
                for (int i = 0; i < 16; i++) {
                    long offset = i * 4096L;
                    reads.add(threads.submit(() -> StoreBytes.read(store, offset, 4096)));
                }
                for (Future<byte[]> read : reads) {
                    assertArrayEquals(new byte[4096], read.get(20, TimeUnit.SECONDS));
                }
                assertEquals(1, server.connections.get());
            }
            Awaitility.await().until(() -> server.disconnects.get() == 1);
        }
    }

    @Test
    void aServerThatDoesNotKnowGoIsAskedByExportName() throws Exception {
        try (ForgetfulNbdServer server = forgetful()) {
            server.knowsGo = false;
            server.start();
            try (NbdStore store = open(server.source())) {
                writesAndReads(store);
            }
            server.export = "other";
            DiskException e = assertThrows(DiskException.class, () -> open(server.source()));
            assertTrue(
                    message(e).contains("closed the connection when it was asked for export"),
                    message(e));
        }
    }

    @Test
    void withoutFlushEachWriteHasFua() throws Exception {
        try (ForgetfulNbdServer server = forgetful()) {
            server.flags = ForgetfulNbdServer.ALL & ~NbdProtocol.SEND_FLUSH;
            server.start();
            try (NbdStore store = open(server.source())) {
                StoreBytes.write(store, 0, random(4096));
                store.discard(8192, 4096);
                store.sync();
                assertEquals(2, server.fuaWrites.get());
                assertEquals(0, server.flushes.get());
                assertArrayEquals(random(4096), Arrays.copyOf(server.stable(), 4096));
            }
        }
    }

    @Test
    void withoutFlushAndFuaWritesGoOn() throws Exception {
        try (ForgetfulNbdServer server = forgetful()) {
            server.flags = NbdProtocol.HAS_FLAGS;
            server.start();
            try (NbdStore store = open(server.source())) {
                assertEquals("an NBD server's export", store.details());
                writesAndReads(store);
                assertEquals(0, server.fuaWrites.get() + server.flushes.get());
                assertThrows(UnsupportedOperationException.class, () -> store.discard(0, 512));
            }
        }
    }

    @Test
    void aDiskThatSyncsEachWriteHasItsWritesStable() throws Exception {
        try (ForgetfulNbdServer server = forgetful()) {
            server.start();
            NbdSource source = server.source();
            try (NbdStore store =
                    NbdStore.open(source, DiskAccess.READ_WRITE, true, TIMES, 1 << 20)) {
                StoreBytes.write(store, 0, random(4096));
                assertEquals(1, server.fuaWrites.get());
            }
            server.flags = ForgetfulNbdServer.ALL & ~NbdProtocol.SEND_FUA;
            try (NbdStore store =
                    NbdStore.open(source, DiskAccess.READ_WRITE, true, TIMES, 1 << 20)) {
                StoreBytes.write(store, 4096, random(4096));
                assertEquals(1, server.flushes.get());
            }
            assertArrayEquals(random(4096), Arrays.copyOf(server.stable(), 4096));
            assertArrayEquals(random(4096), Arrays.copyOfRange(server.stable(), 4096, 8192));
        }
    }

    @Test
    void trimAloneDiscardsAndPromisesNoZeros() throws Exception {
        try (ForgetfulNbdServer server = forgetful()) {
            server.flags = ForgetfulNbdServer.ALL & ~NbdProtocol.SEND_WRITE_ZEROES;
            server.start();
            try (NbdStore store = open(server.source())) {
                assertTrue(store.discardGranularityBytes() > 0);
                assertFalse(store.discardZeroes());
                StoreBytes.write(store, 0, random(4096));
                store.discard(0, 4096);
                assertArrayEquals(new byte[4096], StoreBytes.read(store, 0, 4096));
            }
        }
    }

    @Test
    void disksAreConvertedFromAndToExports() throws Exception {
        byte[] bytes = new byte[SIZE];
        System.arraycopy(random(100_000), 0, bytes, 1 << 20, 100_000);
        FileSource image = DiskSource.raw(Files.write(folder.resolve("disk.img"), bytes));
        FileSource qcow2 = new FileSource(ImageFormat.QCOW2, folder.resolve("disk.qcow2"));
        BackingFolders folders = BackingFolders.ownOnly();
        try (ForgetfulNbdServer server = forgetful()) {
            server.start();
            try (NbdStore store = open(server.source())) {
                StoreBytes.write(store, 0, random(SIZE)); // what was there before
            }
            ImageFiles.convert(image, server.source(), 0, folders, Progress.none());
            assertArrayEquals(bytes, server.stable());
            ImageInfo info = ImageFiles.info(server.source());
            assertEquals(SIZE, info.sizeBytes());
            assertEquals(-1, info.fileBytes());
            ImageFiles.convert(server.source(), qcow2, 65_536, folders, Progress.none());
            try (BlockStore store =
                    OpenImages.open(qcow2, DiskAccess.READ_ONLY, DiskMode.WRITEBACK, folders)) {
                assertArrayEquals(bytes, StoreBytes.read(store, 0, SIZE));
            }
            server.crash();
            server.resize(SIZE - 512);
            server.start();
            DiskException e =
                    assertThrows(
                            DiskException.class,
                            () ->
                                    ImageFiles.convert(
                                            image, server.source(), 0, folders, Progress.none()));
            assertTrue(message(e).contains("has 4193792 bytes"), message(e));
        }
    }
}
