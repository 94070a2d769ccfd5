package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.zip.Deflater;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.testkit.FuzzBytes;

/// qcow2 images that were changed anywhere, with more thought in header and tables: see
/// [FuzzedDisk]. What an image names as its backing file is looked for in its own folder, whatever
/// the name is; and the check of an image ends too.
class Qcow2FuzzTest {
    private static final int SIZE = 256 << 10;
    private static final int MOST_BYTES = 64 << 20;

    @SuppressWarnings("ArrayRecordComponent") // compared by nobody
    private record Sample(byte[] image, byte[] contents, int[] hotspots, int clusterBytes) {}

    private static final List<Sample> SAMPLES =
            List.of(sample(9, false), sample(12, true), sample(16, false));

    private static final Path FOLDER = folder();

    @FuzzTest
    void anImageIsServedOrRefusedByName(byte[] data) throws IOException {
        FuzzBytes in = new FuzzBytes(data);
        int kind = in.u8();
        Sample sample = SAMPLES.get(kind % SAMPLES.size());
        // What it claims to be long: then tables may be anywhere.
        long length = (kind & 0x40) == 0 ? 0 : 1L << 30;
        int cut = (kind & 0x20) == 0 ? 0 : in.u16();
        byte[] image = FuzzedDisk.patched(sample.image, in, sample.hotspots);
        if (cut > 0) {
            image = Arrays.copyOf(image, Math.max(0, image.length - cut));
        }
        boolean sound = length == 0 && Arrays.equals(image, sample.image);
        SparseFile file = new SparseFile(image, length, MOST_BYTES);
        new FuzzedDisk(in, file, sample.clusterBytes)
                .run(
                        Qcow2FuzzTest::open,
                        sound ? Optional.of(sample.contents.clone()) : Optional.empty());
        check(file, sound);
    }

    /// As [OpenImages], but that a backing file is not opened when it could be.
    private static BlockStore open(SparseFile file) throws IOException {
        Qcow2Header header = Qcow2Header.read(file);
        if (!header.backingFile().isEmpty()) {
            Path image = FOLDER.resolve("images/disk.qcow2");
            try {
                Path found = BackingFolders.ownOnly().resolve(image, image, header.backingFile());
                assertTrue(found.startsWith(image.resolveSibling("")), () -> "opens " + found);
            } catch (DiskException e) {
                assertEquals(-1, String.valueOf(e.getMessage()).indexOf('\n'), e.toString());
            }
            throw new DiskException("image " + file.name() + " is based on another");
        }
        return Qcow2Store.open(file, header, null);
    }

    private static void check(SparseFile file, boolean sound) throws IOException {
        try {
            Qcow2Header header = Qcow2Header.read(file);
            CheckReport report = Qcow2Check.check(file, header, false, Progress.none());
            if (sound) {
                assertEquals(0, report.damageCount(), () -> "damaged by us: " + report);
            }
        } catch (IOException e) {
            assertTrue(String.valueOf(e.getMessage()).contains(file.name()), e.toString());
            if (sound) {
                throw e;
            }
        }
    }

    private static Path folder() {
        try {
            Path folder = Files.createTempDirectory("fuzzed").toRealPath();
            folder.toFile().deleteOnExit();
            Files.createDirectory(folder.resolve("images")).toFile().deleteOnExit();
            for (String name : new String[] {"images/disk.qcow2", "images/base", "secret"}) {
                Files.write(folder.resolve(name), new byte[512]).toFile().deleteOnExit();
            }
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// An image with data, holes, zeros, and perhaps compressed clusters.
    private static Sample sample(int clusterBits, boolean compressed) {
        try {
            int cluster = 1 << clusterBits;
            SparseFile file = new SparseFile(new byte[0], 0, MOST_BYTES);
            new Qcow2Creation(SIZE, clusterBits, "", "").write(file);
            byte[] contents = new byte[SIZE];
            try (BlockStore store = Qcow2Store.open(file, Qcow2Header.read(file), null)) {
                for (int at = 0; at < SIZE; at += 3 * cluster) {
                    fill(store, contents, at, Math.min(2 * cluster, SIZE - at));
                }
                store.discard(cluster, cluster);
                Arrays.fill(contents, cluster, 2 * cluster, (byte) 0);
                store.sync();
            }
            byte[] image = file.contents();
            ByteBuffer bytes = ByteBuffer.wrap(image);
            int l1 = (int) bytes.getLong(40);
            int l2 = (int) (bytes.getLong(l1) & 0x00ffffffffffff00L);
            if (compressed) {
                compress(bytes, contents, l2, cluster);
            }
            int refcounts = (int) bytes.getLong(48);
            int block = (int) bytes.getLong(refcounts);
            int[] hotspots = {
                l1,
                l1 + 8,
                l2,
                l2 + 8,
                l2 + 16,
                l2 + 24,
                l2 + 32,
                l2 + 40,
                l2 + 48,
                refcounts,
                refcounts + 8,
                block,
                block + 2,
                block + 4,
                block + 6,
                block + 16,
                4,
                8,
                16,
                20,
                24,
                28,
                32,
                36,
                40,
                48,
                56,
                60,
                64,
                72,
                79,
                80,
                88,
                95,
                96,
                99,
                100,
                104,
                112,
                116,
                120
            };
            return new Sample(image, contents, hotspots, cluster);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Packs the first cluster where it lies.
    private static void compress(ByteBuffer bytes, byte[] contents, int l2, int cluster) {
        long data = bytes.getLong(l2) & 0x00ffffffffffff00L;
        Deflater deflater = new Deflater(9, true);
        deflater.setInput(contents, 0, cluster);
        deflater.finish();
        byte[] packed = new byte[cluster];
        int size = deflater.deflate(packed);
        deflater.end();
        bytes.put((int) data, packed);
        long moreSectors = (size + 511L) / 512 - 1;
        bytes.putLong(l2, (1L << 62) | (moreSectors << 58) | data); // 62 - (12 - 8) is 58
    }

    private static void fill(BlockStore store, byte[] contents, int at, int size)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            for (int i = at; i < at + size; i++) {
                contents[i] = (byte) (i / 512 + 1);
            }
            MemorySegment memory = arena.allocate(size, 4096);
            MemorySegment.copy(
                    contents, at, memory, java.lang.foreign.ValueLayout.JAVA_BYTE, 0, size);
            IoVector vector = new IoVector(1);
            vector.add(memory, 0, size);
            store.write(vector, at);
        }
    }
}
