package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.hypervisor.linux.IoVector;

/// VHDs that become larger, smaller, and that give storage back: as QEMU sees them, while they are
/// used, and after a loss of power at every moment of it.
@Timeout(120)
class VhdResizeTest {
    private static final int MIB = 1 << 20;
    private static final int SIZE = 24 * MIB;

    private final long seed = Long.getLong("splitring.seed", 20_261_126L);
    private final Random random = new Random(seed);
    private final Random crashes = new Random(seed + 1);

    @TempDir Path folder;

    private static FileSource source(Path image) {
        return new FileSource(ImageFormat.VHD, image);
    }

    private static BlockStore open(Path image) throws DiskException {
        return OpenImages.open(
                source(image), DiskAccess.READ_WRITE, DiskMode.WRITEBACK, BackingFolders.ownOnly());
    }

    private Path byQemu(String kind) throws Exception {
        Path image = folder.resolve("disk.vhd");
        String options = "force_size=on,subformat=" + kind;
        Qemu.img("create", "-q", "-f", "vpc", "-o", options, image.toString(), SIZE + "");
        return image;
    }

    /// The same as QEMU reads it, and as large.
    private void assertSame(Path image, Path raw) throws Exception {
        Qemu.img("compare", "-f", "vpc", "-F", "raw", image.toString(), raw.toString());
        String bytes = "(" + Files.size(raw) + " bytes)";
        String info = Qemu.img("info", "-f", "vpc", image.toString());
        assertTrue(info.contains(bytes), info);
    }

    private static void write(BlockStore store, FileChannel raw, long at, int size, int with)
            throws IOException {
        MemorySegment bytes = Arena.ofAuto().allocate(size, 4096).fill((byte) with);
        IoVector vector = new IoVector(1);
        vector.add(bytes, 0, size);
        store.write(vector, at);
        raw.write(bytes.asByteBuffer(), at);
    }

    private static void setSize(BlockStore store, FileChannel raw, long size) throws IOException {
        store.resize(size);
        assertEquals(size, store.sizeBytes());
        if (size > raw.size()) {
            raw.write(ByteBuffer.allocate(1), size - 1);
        } else {
            raw.truncate(size);
        }
    }

    /// The larger sizes need tables that take the place of several blocks, and for a fixed disk
    /// several steps.
    @ParameterizedTest
    @ValueSource(strings = {"fixed", "dynamic"})
    void aDiskBecomesLargerAndSmaller(String kind) throws Exception {
        Path image = byQemu(kind);
        Path rawImage = folder.resolve("disk.raw");
        try (FileChannel raw =
                FileChannel.open(
                        rawImage, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            try (BlockStore store = open(image)) {
                raw.write(ByteBuffer.allocate(1), SIZE - 1);
                write(store, raw, MIB, 5 * MIB, 1);
                write(store, raw, SIZE - MIB, MIB, 2);
                long[] sizes = {
                    SIZE + 512,
                    SIZE + 5 * MIB + 1024,
                    3L << 30,
                    (3L << 30) - 512,
                    2 * MIB + 512,
                    SIZE,
                    40L << 30,
                    1L << 30
                };
                for (long size : sizes) {
                    setSize(store, raw, size);
                    write(store, raw, size - 1536, 1536, 3);
                    write(store, raw, random.nextLong(size / 512 - 4096) * 512, 4096, 4);
                    store.sync();
                }
                assertFalse(
                        Qemu.img("info", "-U", "-f", "vpc", image.toString()).contains("corrupt"));
            }
            assertSame(image, rawImage);
            try (BlockStore store = open(image)) {
                assertEquals(1L << 30, store.sizeBytes());
                write(store, raw, 777L * MIB, MIB, 5);
                setSize(store, raw, 1100L * MIB);
            }
            assertSame(image, rawImage);
            assertEquals(
                    List.of(), ImageFiles.check(source(image), false, Progress.none()).damages());
            Qemu.io("vpc", image, "write -P 9 1000M 1M", "read -P 0 1025M 75M");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"fixed", "dynamic"})
    void discardGivesStorageBackAndReadsAsZeros(String kind) throws Exception {
        Path image = byQemu(kind);
        Path rawImage = folder.resolve("disk.raw");
        try (FileChannel raw =
                FileChannel.open(
                        rawImage, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            try (BlockStore store = open(image)) {
                raw.write(ByteBuffer.allocate(1), SIZE - 1);
                write(store, raw, 0, 16 * MIB, 1);
                store.sync();
                assertTrue(store.discardGranularityBytes() >= 4096);
                assertTrue(store.discardZeroes());
                long before = ImageFiles.info(source(image)).fileBytes();
                store.discard(MIB + 512, 12 * MIB);
                raw.write(ByteBuffer.allocate(12 * MIB), MIB + 512);
                store.discard(20 * MIB, 4 * MIB); // nothing is there
                long after = ImageFiles.info(source(image)).fileBytes();
                assertTrue(after < before - 11 * MIB, before + " bytes before, then " + after);
            }
            assertSame(image, rawImage);
        }
    }

    @Test
    void sizesThatTheFormatDoesNotHaveAreRefused() throws Exception {
        Path image = folder.resolve("disk.vhd");
        ImageFiles.create(source(image), SIZE, 0);
        byte[] before = Files.readAllBytes(image);
        DiskException e =
                assertThrows(
                        DiskException.class,
                        () ->
                                ImageFiles.resize(
                                        source(image),
                                        (2040L << 30) + 512,
                                        false,
                                        BackingFolders.ownOnly()));
        assertTrue(String.valueOf(e.getMessage()).endsWith("a VHD has at most 2040 GiB"));
        assertEquals(-1, Arrays.mismatch(before, Files.readAllBytes(image)));
        ImageFiles.resize(source(image), 2040L << 30, false, BackingFolders.ownOnly());
        String info = Qemu.img("info", "-f", "vpc", image.toString());
        assertTrue(info.contains("(" + (2040L << 30) + " bytes)"), info);
        try (BlockStore store = VhdStore.open(new RecordingFile(dynamic(100), false))) {
            IOException small =
                    assertThrows(IOException.class, () -> store.resize((32L << 30) + 512));
            assertTrue(String.valueOf(small.getMessage()).contains("blocks of 4096 bytes"));
        }
    }

    /// Blocks move while they are read and written.
    @ParameterizedTest
    @ValueSource(strings = {"fixed", "dynamic"})
    void aDiskIsUsedWhileItsSizeChanges(String kind) throws Exception {
        Path image = byQemu(kind);
        AtomicBoolean over = new AtomicBoolean();
        try (ExecutorService threads = Executors.newFixedThreadPool(2);
                BlockStore store = open(image)) {
            List<Future<Integer>> users = new ArrayList<>();
            for (int t = 0; t < 2; t++) {
                int first = t * 12 * MIB;
                Random choice = new Random(seed + t);
                users.add(threads.submit(() -> use(store, first, choice, over)));
            }
            try {
                for (long size = 256L << 20; size <= 64L << 30; size *= 2) {
                    store.resize(size);
                    store.resize(size - 512);
                }
            } finally {
                over.set(true);
            }
            for (Future<Integer> user : users) {
                assertTrue(user.get() > 10);
            }
        } catch (ExecutionException e) {
            throw new AssertionError("seed " + seed, e);
        }
    }

    private static int use(BlockStore store, int first, Random random, AtomicBoolean over)
            throws IOException {
        DiskModel model = new DiskModel(new byte[12 * MIB], random);
        BlockStore part = new PartOfStore(store, first);
        int rounds = 0;
        while (!over.get() || rounds < 20) {
            model.run(part, 10);
            rounds++;
        }
        model.readAll(part);
        return rounds;
    }

    enum Kind {
        FIXED,
        DYNAMIC
    }

    private static byte[] dynamic(int sectors) throws IOException {
        return VhdStoreTest.smallBlocks(sectors);
    }

    private static byte[] fixed(int sectors) {
        byte[] image = new byte[(sectors + 1) * 512];
        byte[] footer = VhdFooter.make(sectors * 512L, VhdFooter.FIXED, new UUID(1, 2), 0);
        System.arraycopy(footer, 0, image, sectors * 512, 512);
        return image;
    }

    @ParameterizedTest
    @EnumSource
    void aLossOfPowerWhileTheSizeChangesLeavesOneOfTheSizes(Kind kind) throws Exception {
        int looked = 0;
        for (int run = 0; run < 6; run++) {
            byte[] begin = kind == Kind.FIXED ? fixed(300) : dynamic(300);
            for (int life = 0; life < 4; life++) {
                looked += live(begin, "seed %d, run %d, life %d".formatted(seed, run, life));
                begin = end;
            }
        }
        assertTrue(looked > 500, "only " + looked);
    }

    private byte[] end = {};

    /// Uses a disk for a while, and looks at each moment at what would be left of it. The next life
    /// begins with what was left at one of them.
    private int live(byte[] begin, String what) throws IOException {
        RecordingFile file = new RecordingFile(begin, false);
        int[] looked = {0};
        try (BlockStore store = VhdStore.open(file)) {
            SectorHistory history = new SectorHistory(store, random);
            file.setWitness(
                    at -> {
                        looked[0]++;
                        check(at.afterKill(), history, true, what + ", kill");
                        for (int i = 0; i < 4; i++) {
                            byte[] left = at.afterPowerLoss(crashes);
                            check(left, history, false, what + ", power");
                            end = crashes.nextInt(looked[0]) == 0 ? left : end;
                        }
                    });
            for (int i = 0; i < 40; i++) {
                switch (random.nextInt(8)) {
                    case 0 -> {
                        // Beyond what a sector of the table has entries for, and back.
                        history.resize(store, 200 + random.nextInt(3000));
                        history.flush(store);
                    }
                    case 1 -> history.discard(store);
                    case 2 -> history.flush(store);
                    default -> history.write(store);
                }
            }
        }
        return looked[0];
    }

    /// As a writer leaves it who only says that the disk is smaller.
    @ParameterizedTest
    @EnumSource
    void whatWasBehindTheEndIsNotSeenWhenItMovesOn(Kind kind) throws Exception {
        byte[] image = kind == Kind.FIXED ? fixed(300) : dynamic(300);
        RecordingFile file = new RecordingFile(image, false);
        try (BlockStore store = VhdStore.open(file)) {
            IoVector vector = new IoVector(1);
            vector.add(Arena.ofAuto().allocate(300 * 512, 4096).fill((byte) 7), 0, 300 * 512);
            store.write(vector, 0);
        }
        byte[] bytes = file.afterKill();
        byte[] footer = Arrays.copyOfRange(bytes, bytes.length - 512, bytes.length);
        byte[] smaller = VhdFooter.resized(footer, 99 * 512);
        System.arraycopy(smaller, 0, bytes, bytes.length - 512, 512);
        if (kind == Kind.DYNAMIC) {
            System.arraycopy(smaller, 0, bytes, 0, 512);
        }
        RecordingFile cut = new RecordingFile(bytes, false);
        for (int sectors : new int[] {200, 400}) {
            try (BlockStore store = VhdStore.open(cut)) {
                store.resize(sectors * 512L);
            }
        }
        byte[] expected = new byte[400 * 512];
        Arrays.fill(expected, 0, 99 * 512, (byte) 7);
        try (BlockStore store = VhdStore.open(new RecordingFile(cut.afterKill(), true))) {
            new DiskModel(expected, random).readAll(store);
        }
    }

    /// Whoever opens it only to read, and whoever opens it to write, finds the same.
    private void check(byte[] left, SectorHistory history, boolean all, String what)
            throws IOException {
        history.check(VhdStore.open(new RecordingFile(left, true)), all, what);
        RecordingFile writable = new RecordingFile(left, false);
        history.check(VhdStore.open(writable), all, what);
        history.check(VhdStore.open(new RecordingFile(writable.afterKill(), true)), all, what);
    }

    /// What growing leaves and what a guest has written can look the same only if the guest has a
    /// part in it; then nothing is believed.
    @Test
    void n31_aGuestIsNotBelievedWhenTheFooterIsLost() throws Exception {
        byte[] forged = dynamic(100);
        byte[] cut = fixed(300);
        byte[] left = Arrays.copyOf(cut, cut.length + 20 * 512);
        try (VhdStore store = VhdStore.open(new RecordingFile(left, true))) {
            assertEquals("fixed", store.details());
            assertEquals(300 * 512, store.sizeBytes());
        }
        System.arraycopy(forged, 0, left, 0, forged.length);
        DiskException e =
                assertThrows(
                        DiskException.class,
                        () -> VhdStore.open(new RecordingFile(left, true)).close());
        assertTrue(
                String.valueOf(e.getMessage()).contains("like a fixed disk and like a dynamic one"),
                e.getMessage());
    }

    /// A part of a disk, for a user of its own.
    private record PartOfStore(BlockStore whole, long first) implements BlockStore {
        @Override
        public String name() {
            return whole.name();
        }

        @Override
        public long sizeBytes() {
            return 12 * MIB;
        }

        @Override
        public boolean readOnly() {
            return false;
        }

        @Override
        public long read(IoVector into, long offsetBytes) throws IOException {
            return whole.read(into, first + offsetBytes);
        }

        @Override
        public long readNoWait(IoVector into, long offsetBytes) throws IOException {
            return whole.readNoWait(into, first + offsetBytes);
        }

        @Override
        public void write(IoVector from, long offsetBytes) throws IOException {
            whole.write(from, first + offsetBytes);
        }

        @Override
        public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
            return whole.writeNoWait(from, first + offsetBytes);
        }

        @Override
        public void sync() throws IOException {
            whole.sync();
        }

        @Override
        public void discard(long offsetBytes, long sizeBytes) throws IOException {
            whole.discard(first + offsetBytes, sizeBytes);
        }

        @Override
        public void close() {
            // it is somebody else's
        }
    }
}
