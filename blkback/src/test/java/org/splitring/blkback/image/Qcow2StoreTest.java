package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskMode;
import org.splitring.hypervisor.linux.IoVector;

/// Images that QEMU made are read and written here, and read and checked by QEMU, and the other way
/// round.
@Timeout(60)
class Qcow2StoreTest {
    private static final int SIZE = 8 << 20;

    private final long seed = Long.getLong("splitring.seed", 20_261_126L);
    private final Random random = new Random(seed);

    @TempDir Path folder;

    private BlockStore open(Path image, DiskAccess access) throws Exception {
        return OpenImages.open(
                new FileSource(ImageFormat.QCOW2, image),
                access,
                DiskMode.WRITEBACK,
                BackingFolders.ownOnly());
    }

    private void assertSame(DiskModel model, Path image) throws Exception {
        assertArrayEquals(model.bytes, Qemu.contents("qcow2", image), "seed " + seed);
    }

    @ParameterizedTest
    @CsvSource({
        "512, 1.1, 16",
        "512, 0.10, 16",
        "4096, 1.1, 16",
        "65536, 0.10, 16",
        "65536, 1.1, 16",
        "2097152, 1.1, 16",
        "512, 1.1, 1",
        "4096, 1.1, 2",
        "512, 1.1, 4",
        "1024, 1.1, 8",
        "512, 1.1, 32",
        "512, 1.1, 64"
    })
    void imagesOfEveryGeometryAreWrittenAsQemuExpectsThem(int cluster, String compat, int bits)
            throws Exception {
        Path image = folder.resolve("disk.qcow2");
        String options = "cluster_size=" + cluster + ",compat=" + compat;
        if (bits != 16) {
            options += ",refcount_bits=" + bits;
        }
        Qemu.img("create", "-q", "-f", "qcow2", "-o", options, image.toString(), SIZE + "");
        DiskModel model = new DiskModel(new byte[SIZE], random);
        for (int round = 0; round < 2; round++) {
            try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
                assertEquals(SIZE, store.sizeBytes());
                model.run(store, cluster == 512 ? 60 : 150);
                store.sync();
                model.run(store, 10);
                model.readAll(store);
            }
            Qemu.assertClean(image);
        }
        assertSame(model, image);
        Qemu.io("qcow2", image, "write -P 7 1M 300k", "write -z 3M 200k");
        Arrays.fill(model.bytes, 1 << 20, (1 << 20) + (300 << 10), (byte) 7);
        Arrays.fill(model.bytes, 3 << 20, (3 << 20) + (200 << 10), (byte) 0);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            model.readAll(store);
            model.run(store, 50);
            model.readAll(store);
        }
        Qemu.assertClean(image);
        assertSame(model, image);
    }

    @Test
    void snapshotsKeepWhatTheyHad() throws Exception {
        Path image = folder.resolve("disk.qcow2");
        Qemu.img("create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", image.toString(), "4M");
        DiskModel model = new DiskModel(new byte[4 << 20], random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            model.run(store, 100);
        }
        byte[] before = model.bytes.clone();
        Qemu.img("snapshot", "-c", "before", image.toString());
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            model.run(store, 100);
            model.readAll(store);
        }
        Qemu.assertClean(image);
        assertSame(model, image);
        Qemu.img("snapshot", "-a", "before", image.toString());
        assertArrayEquals(before, Qemu.contents("qcow2", image), "seed " + seed);
        Qemu.img("snapshot", "-d", "before", image.toString());
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            DiskModel old = new DiskModel(before, random);
            old.readAll(store);
            old.run(store, 50);
        }
        Qemu.assertClean(image);
    }

    @ParameterizedTest
    @ValueSource(ints = {512, 4096, 65536, 2097152})
    void compressedClustersAreReadAndWrittenOver(int cluster) throws Exception {
        byte[] data = new byte[SIZE];
        for (int i = 0; i < SIZE; i += 16) {
            data[i] = (byte) random.nextInt(); // what compresses well
        }
        Path raw = Files.write(folder.resolve("data.raw"), data);
        Path image = folder.resolve("disk.qcow2");
        String options = "cluster_size=" + cluster;
        Qemu.img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw + "", image + "");
        DiskModel model = new DiskModel(data, random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            model.readAll(store);
            model.run(store, 60);
            model.readAll(store);
        }
        Qemu.assertClean(image);
        assertSame(model, image);
    }

    @Test
    void anOverlayTakesWhatItHasNotFromItsChain() throws Exception {
        byte[] data = new byte[3 << 20]; // shorter than the overlays
        random.nextBytes(data);
        Arrays.fill(data, 1 << 20, 2 << 20, (byte) 0);
        Path raw = Files.write(folder.resolve("base.raw"), data);
        Path middle = folder.resolve("middle.qcow2");
        Path top = folder.resolve("top.qcow2");
        Qemu.img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", middle + "", "4M");
        Qemu.io("qcow2", middle, "write -P 9 512k 100k", "write -z 2M 64k");
        Qemu.img(
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=4096",
                "-b",
                "middle.qcow2",
                "-F",
                "qcow2",
                top + "",
                SIZE + "");
        DiskModel model = new DiskModel(Qemu.contents("qcow2", top), random);
        assertEquals(SIZE, model.bytes.length);
        byte[] middleBefore = Files.readAllBytes(middle);
        try (BlockStore store = open(top, DiskAccess.READ_WRITE)) {
            model.readAll(store);
            model.run(store, 150);
            model.readAll(store);
        }
        Qemu.assertClean(top);
        assertSame(model, top);
        assertArrayEquals(data, Files.readAllBytes(raw), "the base was written to");
        assertArrayEquals(middleBefore, Files.readAllBytes(middle), "the middle was written to");
    }

    @Test
    void aTableThatGrewAndAnotherLifeAreNoTroubleForQemu() throws Exception {
        Path image = folder.resolve("disk.qcow2");
        int size = 24 << 20; // with clusters of 512 bytes the refcount table moves twice
        String options = "cluster_size=512,refcount_bits=64";
        Qemu.img("create", "-q", "-f", "qcow2", "-o", options, image.toString(), size + "");
        DiskModel model = new DiskModel(new byte[size], random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            for (int at = 0; at < size; at += 256 << 10) {
                model.write(store, at, 200 << 10);
            }
            store.sync();
        }
        Qemu.assertClean(image);
        assertSame(model, image);
    }

    @Test
    void requestsOfSeveralThreadsDoNotMix() throws Exception {
        Path image = folder.resolve("disk.qcow2");
        Path base = Files.write(folder.resolve("base.raw"), new byte[SIZE / 2]);
        byte[] data = new byte[SIZE / 2];
        random.nextBytes(data);
        Files.write(base, data);
        Qemu.img(
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=65536",
                "-b",
                "base.raw",
                "-F",
                "raw",
                image + "",
                SIZE + "");
        byte[] all = Arrays.copyOf(data, SIZE);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE);
                var threads = Executors.newFixedThreadPool(5)) {
            List<Future<?>> running = new ArrayList<>();
            for (int t = 0; t < 4; t++) {
                // Each has every fourth sector, so that all of them meet in every cluster.
                int mine = t;
                Random own = new Random(seed + t);
                running.add(
                        threads.submit(
                                () -> {
                                    Sectors sectors = new Sectors(store);
                                    for (int i = 0; i < 600; i++) {
                                        int sector = own.nextInt(SIZE / 2048) * 4 + mine;
                                        byte[] found = sectors.read(sector);
                                        synchronized (all) {
                                            assertArrayEquals(
                                                    Arrays.copyOfRange(
                                                            all, sector * 512, sector * 512 + 512),
                                                    found,
                                                    "sector " + sector + ", seed " + seed);
                                        }
                                        byte[] next = new byte[512];
                                        own.nextBytes(next);
                                        sectors.write(sector, next);
                                        synchronized (all) {
                                            System.arraycopy(next, 0, all, sector * 512, 512);
                                        }
                                    }
                                    return null;
                                }));
            }
            running.add(
                    threads.submit(
                            () -> {
                                for (int i = 0; i < 30; i++) {
                                    store.sync();
                                }
                                return null;
                            }));
            for (var one : running) {
                one.get();
            }
        }
        Qemu.assertClean(image);
        assertArrayEquals(all, Qemu.contents("qcow2", image), "seed " + seed);
    }

    /// One sector at a time, for one thread.
    private static final class Sectors {
        private final BlockStore store;
        private final MemorySegment memory = Arena.ofAuto().allocate(512, 512);
        private final IoVector vector = new IoVector(1);

        Sectors(BlockStore store) {
            this.store = store;
        }

        byte[] read(int sector) throws IOException {
            vector.clear();
            vector.add(memory, 0, 512);
            if (store.readNoWait(vector, sector * 512L) != 512) {
                store.read(vector, sector * 512L);
            }
            return memory.toArray(ValueLayout.JAVA_BYTE);
        }

        void write(int sector, byte[] bytes) throws IOException {
            MemorySegment.copy(bytes, 0, memory, ValueLayout.JAVA_BYTE, 0, 512);
            vector.clear();
            vector.add(memory, 0, 512);
            if (store.writeNoWait(vector, sector * 512L) != 512) {
                store.write(vector, sector * 512L);
            }
        }
    }

    @Test
    void n33_everyFailureOfTheFileFailsAWriteAndDamagesNothing() throws Exception {
        RecordingFile fresh = new RecordingFile(new byte[0], false);
        new Qcow2Creation(1 << 20, 12, "", "").write(fresh);
        byte[] begin = fresh.afterKill();
        int calls = failingLife(begin, 0);
        assertTrue(calls > 40, "calls: " + calls);
        for (int n = 1; n <= calls; n++) {
            assertEquals(n, failingLife(begin, n), "seed " + seed);
        }
    }

    /// Writes and flushes until a call fails, and looks at what is left.
    ///
    /// @return the number of the call that failed, or how many there were
    private int failingLife(byte[] begin, int failAt) throws Exception {
        RecordingFile file = new RecordingFile(begin, false);
        BlockStore store = Qcow2Store.open(file, Qcow2Header.read(file), null);
        SectorHistory history = new SectorHistory(store, new Random(seed));
        file.failAt(failAt == 0 ? -1 : failAt, new IOException("ENOSPC"));
        try {
            for (int i = 0; i < 30; i++) {
                history.write(store);
                if (i % 5 == 4) {
                    history.flush(store);
                }
            }
        } catch (IOException e) {
            assertEquals("ENOSPC", e.getMessage());
        }
        int calls = file.calls();
        assertEquals(failAt == 0 ? calls : failAt, calls, "goes on after a failure");
        store.close();
        if (failAt > 0) {
            assertEquals(failAt, file.calls(), "changes the file after a failure");
        }
        RecordingFile after = new RecordingFile(file.afterKill(), true);
        CheckReport report =
                Qcow2Check.check(after, Qcow2Header.read(after), false, Progress.none());
        assertEquals(List.of(), report.damages());
        history.check(Qcow2Store.open(after, Qcow2Header.read(after), null), false, "n " + failAt);
        return calls;
    }

    @ParameterizedTest
    @CsvSource({"1.1,", "1.1, base.raw", "0.10,", "0.10, base.raw"})
    void aDiskGrowsAndShrinksAndWhatComesNewIsZeros(String compat, @Nullable String base)
            throws Exception {
        Path image = folder.resolve("disk.qcow2");
        byte[] old = new byte[6 << 20];
        random.nextBytes(old);
        Files.write(folder.resolve("base.raw"), old);
        int size = (2 << 20) + 512 * 3;
        List<String> words = new ArrayList<>(List.of("create", "-q", "-f", "qcow2"));
        words.addAll(List.of("-o", "cluster_size=4096,compat=" + compat));
        if (base != null) {
            words.addAll(List.of("-b", base, "-F", "raw"));
        }
        words.addAll(List.of(image.toString(), Integer.toString(size)));
        Qemu.img(words.toArray(String[]::new));
        DiskModel model = new DiskModel(Qemu.contents("qcow2", image), random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            int[] sizes = {5 << 20, 1 << 20, (3 << 20) + 512, (3 << 20) + 1024, 12 << 20};
            for (int next : sizes) {
                model.run(store, 30);
                if (next < model.bytes.length) {
                    // As if it had been checked before the cut, and came after it.
                    DiskModel behind = model;
                    model = model.resize(store, next);
                    behind.write(store, behind.bytes.length - (64 << 10), 64 << 10);
                } else {
                    model = model.resize(store, next);
                }
                assertEquals(next, store.sizeBytes());
                model.readAll(store);
            }
            model.run(store, 50);
        }
        Qemu.assertClean(image);
        assertSame(model, image);
    }

    @ParameterizedTest
    @CsvSource({
        "65536, 1.1,",
        "65536, 1.1, base.raw",
        "4096, 1.1, base.raw",
        "512, 0.10,",
        "65536, 0.10, base.qcow2",
        "4096, 1.1, base.qcow2"
    })
    void holesAreWhereQemuSaysThatTheyAre(int cluster, String compat, @Nullable String base)
            throws Exception {
        Path image = folder.resolve("disk.qcow2");
        List<String> words = new ArrayList<>(List.of("create", "-q", "-f", "qcow2"));
        words.addAll(List.of("-o", "cluster_size=" + cluster + ",compat=" + compat));
        if (base != null) { // shorter than the image
            String format = base.substring(5);
            Path below = folder.resolve(base);
            Qemu.img("create", "-q", "-f", format, below.toString(), 5 * 1024 * 1024 + 512 + "");
            Qemu.io(format, below, "write -P 3 64k 100k", "write -P 4 2M 1M", "write 5M 512");
            words.addAll(List.of("-b", base, "-F", format));
        }
        words.addAll(List.of(image.toString(), SIZE + ""));
        Qemu.img(words.toArray(String[]::new));
        Qemu.io("qcow2", image, "write -P 1 100k 10k", "write -P 2 7M 1M");
        if (!compat.equals("0.10")) {
            Qemu.io("qcow2", image, "write -z 2560k 256k", "write -z -u 7M 128k");
        }
        DiskModel model = new DiskModel(Qemu.contents("qcow2", image), random);
        for (int round = 0; round < 3; round++) {
            List<String> expected = Qemu.map("qcow2", image);
            try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
                assertEquals(expected, AllocationJudge.extents(store), "seed " + seed);
                model.run(store, 15);
                assertTrue(AllocationJudge.judge(store, random) > 0, "seed " + seed);
            }
        }
    }

    /// More of each kind than is looked at under one lock.
    @Test
    void longRunsOfClustersAreOneExtent() throws Exception {
        Path image = folder.resolve("disk.qcow2");
        String options = "cluster_size=512";
        Qemu.img("create", "-q", "-f", "qcow2", "-o", options, image.toString(), SIZE + "");
        Qemu.io("qcow2", image, "write -P 1 1M 3M", "write -z 2M 1M");
        try (BlockStore store = open(image, DiskAccess.READ_ONLY)) {
            assertEquals(
                    List.of("hole 1048576", "data 1048576", "hole 1048576", "data 1048576"),
                    AllocationJudge.extents(store).subList(0, 4));
            assertEquals(SIZE - (2 << 20), AllocationJudge.judge(store, random));
        }
    }

    @Test
    void compressedClustersAreData() throws Exception {
        Path raw = Files.write(folder.resolve("data.raw"), new byte[1 << 20]);
        Files.write(raw, new byte[] {1}, StandardOpenOption.WRITE);
        Path image = folder.resolve("disk.qcow2");
        Qemu.img("convert", "-c", "-f", "raw", "-O", "qcow2", raw + "", image + "");
        try (BlockStore store = open(image, DiskAccess.READ_ONLY)) {
            assertEquals(List.of("data 65536", "hole 983040"), AllocationJudge.extents(store));
        }
    }

    @Test
    void whatIsDiscardedIsUsedAgain() throws Exception {
        Path image = folder.resolve("disk.qcow2");
        Qemu.img("create", "-q", "-f", "qcow2", image.toString(), SIZE + "");
        DiskModel model = new DiskModel(new byte[SIZE], random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            for (int i = 0; i < 40; i++) {
                model.write(store, (i & 1) << 20, 256 << 10);
                store.discard((i & 1) << 20, 1 << 20);
                store.sync();
                store.sync();
            }
        }
        assertTrue(Files.size(image) < 9 << 20, "has grown to " + Files.size(image));
        Qemu.assertClean(image);
    }

    /// The new L1 table takes more clusters in a row than one refcount block counts. Looking for
    /// them the file grew to the end of what the format reaches, a block for each range.
    @Test
    void aDiskOfSmallClustersGrowsBeyondWhatOneRefcountBlockCounts() throws IOException {
        SparseFile file = new SparseFile(new byte[0], 0, 16 << 20);
        new Qcow2Creation(128L << 20, 9, "", "").write(file);
        try (BlockStore store = Qcow2Store.open(file, Qcow2Header.read(file), null)) {
            store.resize(2L << 30);
            store.sync();
            assertEquals(2L << 30, store.sizeBytes());
        }
        CheckReport report = Qcow2Check.check(file, Qcow2Header.read(file), false, Progress.none());
        assertEquals(0, report.damageCount(), report.toString());
        assertTrue(file.sizeBytes() < 4 << 20, "bytes: " + file.sizeBytes());
    }
}
