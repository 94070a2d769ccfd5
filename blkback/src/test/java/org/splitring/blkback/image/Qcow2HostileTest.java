package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.zip.Deflater;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.hypervisor.linux.IoVector;

/// Images that somebody made to do harm: each is refused with one line, or reads and writes fail,
/// and nothing outside of it is touched.
@Timeout(30)
class Qcow2HostileTest {
    private static final int CLUSTER = 4096;
    private static final int SIZE = 4 << 20;

    @TempDir Path folder;
    private Path image;

    @BeforeEach
    void makeImage() throws IOException {
        image = folder.resolve("disk.qcow2");
        RecordingFile file = new RecordingFile(new byte[0], false);
        new Qcow2Creation(SIZE, 12, "", "").write(file);
        try (BlockStore store = Qcow2Store.open(file, Qcow2Header.read(file), null)) {
            IoVector vector = new IoVector(1);
            vector.add(Arena.ofAuto().allocate(64 << 10, 4096).fill((byte) 5), 0, 64 << 10);
            store.write(vector, 0);
            store.sync();
        }
        Files.write(image, file.afterKill());
    }

    private BlockStore open(DiskAccess access) throws DiskException {
        return OpenImages.open(
                new FileSource(ImageFormat.QCOW2, image),
                access,
                DiskMode.WRITEBACK,
                BackingFolders.ownOnly());
    }

    private void change(Consumer<ByteBuffer> how) throws IOException {
        byte[] bytes = Files.readAllBytes(image);
        how.accept(ByteBuffer.wrap(bytes));
        Files.write(image, bytes);
    }

    private String refused() throws IOException {
        byte[] before = Files.readAllBytes(image);
        String message = "";
        for (DiskAccess access : DiskAccess.values()) {
            DiskException e = assertThrows(DiskException.class, () -> open(access).close());
            message = String.valueOf(e.getMessage());
            assertTrue(message.contains(image.toString()), message);
            assertEquals(-1, message.indexOf('\n'), message);
        }
        assertArrayEquals(before, Files.readAllBytes(image), "a refused image was written to");
        return message;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0   | 4 | 0x504b0304         | is no qcow2 image: it begins with 0x504b0304",
                "4   | 4 | 4                  | qcow2 version 4 is not 2 or 3",
                "4   | 4 | 1                  | qcow2 version 1 is not 2 or 3",
                "20  | 4 | 8                  | cluster_bits is 8, not 9 to 21",
                "20  | 4 | 22                 | cluster_bits is 22, not 9 to 21",
                "20  | 4 | 0xffffffff         | cluster_bits is 4294967295",
                "24  | 8 | 0                  | its disk has 0 bytes",
                "24  | 8 | 1000               | its disk has 1000 bytes",
                "24  | 8 | 0xffffffffffffff00 | its disk has 18446744073709551360 bytes",
                "24  | 8 | 0x7ffffffffffffe00 | entries, and a disk of 9223372036854775296 bytes",
                "32  | 4 | 1                  | is encrypted (AES)",
                "32  | 4 | 2                  | is encrypted (LUKS)",
                "36  | 4 | 0                  | its L1 table has 0 entries",
                "36  | 4 | 0xffffffff         | its L1 table has 4294967295 entries, more than",
                "36  | 4 | 4194304            | goes beyond the end of the file",
                "40  | 8 | 0                  | its L1 table begins at 0",
                "40  | 8 | 0x10001            | its L1 table begins at 65537",
                "40  | 8 | 0x7ffffffffffff000 | goes beyond the end of the file",
                "40  | 8 | 0xfffffffffffff000 | its L1 table begins at",
                "40  | 8 | 0x1000             | where another table is",
                "48  | 8 | 0x7ffffffffffff000 | its refcount table at",
                "48  | 8 | 0                  | its refcount table begins at 0",
                "56  | 4 | 0                  | its refcount table has 0 clusters",
                "56  | 4 | 0xffffffff         | its refcount table has 4294967295 clusters",
                "56  | 4 | 2048               | its refcount table at 4096 with 8388608 bytes",
                "60  | 4 | 0xffffffff         | it has 4294967295 snapshots",
                "60  | 4 | 1                  | its snapshot table begins at 0",
                "72  | 8 | 1                  | feature 0 (dirty bit",
                "72  | 8 | 2                  | feature 1 (corrupt bit",
                "72  | 8 | 4                  | feature 2 (external data file)",
                "72  | 8 | 16                 | feature 4 (extended L2 entries",
                "72  | 8 | 32                 | feature 5 (unknown)",
                "72  | 8 | 0x8000000000000000 | feature 63 (unknown)",
                "96  | 4 | 7                  | refcount_order is 7, not 0 to 6",
                "96  | 4 | 0xffffffff         | refcount_order is 4294967295",
                "100 | 4 | 96                 | header_length is 96",
                "100 | 4 | 0xfffffff8         | header_length is 4294967288",
                "100 | 4 | 0x2000             | header_length is 8192",
                "8   | 8 | 0x20               | has a length of 0, not 1 to 1023",
            })
    void n32_valuesOfTheHeaderThatCannotBe(int at, int size, String value, String message)
            throws Exception {
        long number =
                Long.parseUnsignedLong(value.replace("0x", ""), value.startsWith("0x") ? 16 : 10);
        change(
                bytes -> {
                    if (size == 4) {
                        bytes.putInt(at, (int) number);
                    } else {
                        bytes.putLong(at, number);
                    }
                });
        String refusal = at == 40 && number == 0x1000 ? refusedForWriting() : refused();
        assertTrue(refusal.contains(message), refusal);
    }

    private String refusedForWriting() {
        DiskException e =
                assertThrows(DiskException.class, () -> open(DiskAccess.READ_WRITE).close());
        return String.valueOf(e.getMessage());
    }

    @Test
    void n32_aNameOfABackingFileThatIsNowhere() throws Exception {
        change(bytes -> bytes.putLong(8, 4000).putInt(16, 1000));
        assertTrue(refused().contains("at 4000 is not within the first cluster"));
        change(bytes -> bytes.putLong(8, 4000).putInt(16, 2000));
        assertTrue(refused().contains("has a length of 2000, not 1 to 1023"));
        change(bytes -> bytes.putLong(8, 0x7fffffffffffffffL).putInt(16, 1));
        assertTrue(refused().contains("is not within the first cluster"));
        change(
                bytes ->
                        bytes.putLong(8, 500)
                                .putInt(16, 2)
                                .put(500, new byte[] {'a', (byte) 0xff}));
        assertTrue(refused().contains("name of the backing file is no text"));
    }

    @Test
    void n32_extensionsLongerThanTheHeader() throws Exception {
        for (int length : new int[] {-1, Integer.MAX_VALUE, CLUSTER, Integer.MIN_VALUE}) {
            change(bytes -> bytes.putInt(112, 0x12345678).putInt(116, length));
            assertTrue(refused().contains("header extension 0x12345678 has a length of"));
        }
    }

    @Test
    void compressionTypesAreRefusedByName() throws Exception {
        change(bytes -> bytes.putLong(72, 8).put(104, (byte) 1));
        assertTrue(refused().contains("feature 3 (compression with zstd)"));
        change(bytes -> bytes.putLong(72, 8).put(104, (byte) 9));
        assertTrue(refused().contains("feature 3 (compression type 9)"));
    }

    @Test
    void anUnknownFeatureIsCalledWhatTheImageCallsIt() throws Exception {
        change(
                bytes -> {
                    bytes.putLong(72, 1L << 40);
                    bytes.putInt(112, 0x6803f857).putInt(116, 48);
                    bytes.put(120, (byte) 0).put(121, (byte) 40);
                    bytes.put(122, "shiny\nthing".getBytes(StandardCharsets.US_ASCII));
                    bytes.putLong(168, 0);
                });
        assertTrue(refused().contains("feature 40 (shiny?thing)"));
    }

    @Test
    void n32_twoTablesInOnePlaceAreRefused() throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image));
        long l1 = bytes.getLong(40);
        long first = bytes.getLong((int) l1);
        change(b -> b.putLong((int) l1 + 8, first));
        assertTrue(refused().contains("L2 table 1 is at"), refused());
        change(b -> b.putLong((int) l1 + 8, l1 | (1L << 63)));
        assertTrue(refused().contains("where another table is"));
        change(b -> b.putLong((int) l1 + 8, (1L << 63) | 0x7ffffffffff000L));
        assertTrue(refused().contains("beyond the end of the file"));
        change(b -> b.putLong((int) l1 + 8, (1L << 63) | 0x200));
        assertTrue(refused().contains("where no cluster can begin"));
        change(b -> b.putLong((int) l1 + 8, 3L << 62));
        assertTrue(refused().contains("reserved bits"));
    }

    private IoVector page() {
        IoVector vector = new IoVector(1);
        vector.add(Arena.ofAuto().allocate(CLUSTER, 4096).fill((byte) 9), 0, CLUSTER);
        return vector;
    }

    /// Data that are said to be where a table is: the guest would write its own tables.
    @Test
    void n32_aWriteIntoATableIsRefused() throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image));
        long l1 = bytes.getLong(40);
        long l2 = bytes.getLong((int) l1) & 0x00ffffffffffff00L;
        long refcountBlock = bytes.getLong((int) bytes.getLong(48));
        for (long table : List.of(l1, l2, bytes.getLong(48), refcountBlock)) {
            change(b -> b.putLong((int) l2, table | (1L << 63)));
            byte[] before = Files.readAllBytes(image);
            try (BlockStore store = open(DiskAccess.READ_WRITE)) {
                IOException e = assertThrows(IOException.class, () -> store.write(page(), 0));
                assertTrue(
                        String.valueOf(e.getMessage()).contains("where a table of the image is"),
                        e.toString());
                assertThrows(IOException.class, () -> store.writeNoWait(page(), 0));
            }
            assertArrayEquals(before, Files.readAllBytes(image));
        }
    }

    /// It cannot be said what is there: an error, or data, of which a READ tells more.
    private static void assertNoHole(BlockStore store, String what) {
        AllocationMap map = new AllocationMap();
        try {
            store.describe(0, CLUSTER, map);
            assertFalse(map.isHole(0), what);
        } catch (IOException e) {
            assertEquals(0, map.count(), what);
        }
    }

    @Test
    void n32_entriesThatCannotBeFailTheRequest() throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image));
        long l2 = bytes.getLong((int) bytes.getLong(40)) & 0x00ffffffffffff00L;
        long[] entries = {
            -1L, // every bit
            -2L,
            1L << 63, // owned, and nowhere
            (1L << 63) | 0x1234, // within a cluster
            1L << 56, // reserved
            3L << 62, // compressed and owned
            0x00fffffffffff000L, // beyond the end
            (1L << 62) | 0x00ffffffffff0000L, // compressed, beyond the end
            1L << 62 // compressed, and the header is no such data
        };
        for (long entry : entries) {
            change(b -> b.putLong((int) l2, entry));
            try (BlockStore store = open(DiskAccess.READ_WRITE)) {
                String what = Long.toHexString(entry);
                assertThrows(IOException.class, () -> store.read(page(), 0), what);
                assertNoHole(store, what);
                IoVector later = page();
                assertEquals(CLUSTER, store.read(later, CLUSTER), "the next cluster is sound");
            }
        }
    }

    @Test
    void n32_aClusterThatInflatesWithoutEndGivesOneCluster() throws Exception {
        Deflater deflater = new Deflater(9, true);
        byte[] packed = new byte[4096];
        deflater.setInput(new byte[16 << 20]);
        int count = deflater.deflate(packed, 0, packed.length); // goes on behind these
        deflater.end();
        assertTrue(count > 1000);
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image));
        long l2 = bytes.getLong((int) bytes.getLong(40)) & 0x00ffffffffffff00L;
        long data = bytes.getLong((int) l2) & 0x00ffffffffffff00L;
        change(b -> b.put((int) data, packed).putLong((int) l2, (1L << 62) | (7L << 58) | data));
        try (BlockStore store = open(DiskAccess.READ_ONLY)) {
            IoVector vector = page();
            assertEquals(CLUSTER, store.read(vector, 0));
        }
    }

    /// Refcounts that say that everything is free: the tables are not written over.
    @Test
    void n32_refcountsThatLieDoNotCostTheTables() throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image));
        int block = (int) bytes.getLong((int) bytes.getLong(48));
        change(b -> b.put(block, new byte[CLUSTER]));
        byte[] before = Files.readAllBytes(image);
        try (BlockStore store = open(DiskAccess.READ_WRITE)) {
            IOException e = assertThrows(IOException.class, () -> store.write(page(), 512 << 10));
            assertTrue(
                    String.valueOf(e.getMessage())
                            .contains("counts as free, and a table is in it"));
        }
        assertArrayEquals(before, Files.readAllBytes(image));
    }

    /// Any byte of the tables may be anything: what comes out is data or an exception of ours.
    @Test
    void n32_randomBytesInTablesNeverGetOutOfTheImage() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        Random random = new Random(seed);
        byte[] sound = Files.readAllBytes(image);
        int refused = 0;
        for (int round = 0; round < 400; round++) {
            byte[] bytes = sound.clone();
            for (int i = 0; i < 1 + random.nextInt(6); i++) {
                int at = random.nextInt(random.nextBoolean() ? 128 : bytes.length);
                bytes[at] = (byte) random.nextInt();
            }
            RecordingFile file = new RecordingFile(bytes, false);
            try {
                Qcow2Header header = Qcow2Header.read(file);
                if (!header.backingFile().isEmpty()) { // as whoever opens it finds out
                    throw new IOException("no such file: " + header.backingFile());
                }
                Qcow2Check.check(file, header, false, Progress.none());
                BlockStore store = Qcow2Store.open(file, header, null);
                long last = Math.min(store.sizeBytes(), SIZE) - CLUSTER;
                for (int i = 0; i < 20 && last > 0; i++) {
                    long at = random.nextLong(last / 512) * 512;
                    if (random.nextBoolean()) {
                        store.read(page(), at);
                    } else {
                        store.write(page(), at);
                    }
                }
                store.close();
            } catch (IOException e) {
                refused++;
            } catch (RuntimeException e) {
                throw new AssertionError("seed " + seed + ", round " + round, e);
            }
            assertTrue(file.sizeBytes() < 64 << 20, "seed " + seed + ", round " + round);
        }
        assertTrue(refused > 20, "only " + refused + " refused");
    }

    private void makeOverlay(String name, String backing, String format) throws IOException {
        RecordingFile file = new RecordingFile(new byte[0], false);
        new Qcow2Creation(SIZE, 12, backing, format).write(file);
        Files.write(folder.resolve(name), file.afterKill());
    }

    private String refusedOverlay(String backing, String format) throws IOException {
        makeOverlay("disk.qcow2", backing, format);
        return refused();
    }

    @Test
    void n30_backingFilesElsewhereAreRefused() throws Exception {
        Path outside = Files.createTempFile("outside", ".raw");
        try {
            Files.write(outside, new byte[SIZE]);
            String elsewhere = "is outside of the image's folder";
            assertTrue(refusedOverlay(outside.toString(), "raw").contains(elsewhere));
            Path relative = folder.toRealPath().relativize(outside.toRealPath());
            assertTrue(refusedOverlay(relative.toString(), "raw").contains(elsewhere));
            Files.createSymbolicLink(folder.resolve("link.raw"), outside);
            assertTrue(refusedOverlay("link.raw", "raw").contains(elsewhere));
            BackingFolders allowed = new BackingFolders(List.of(outside.getParent()));
            OpenImages.open(
                            new FileSource(ImageFormat.QCOW2, image),
                            DiskAccess.READ_WRITE,
                            DiskMode.WRITEBACK,
                            allowed)
                    .close();
        } finally {
            Files.delete(outside);
        }
        assertTrue(refusedOverlay("/etc/hostname", "raw").contains("/etc/hostname"));
        assertTrue(refusedOverlay("/dev/zero", "raw").contains("is outside"));
    }

    @Test
    void n30_pseudoProtocolsAreNoPaths() throws Exception {
        for (String name :
                List.of(
                        "json:{\"driver\":\"raw\",\"file\":{\"filename\":\"/etc/passwd\"}}",
                        "nbd://127.0.0.1/",
                        "file:base.raw",
                        "fat:rw:.",
                        "https://example.org/x")) {
            assertTrue(refusedOverlay(name, "raw").contains("is not a path"), name);
        }
    }

    @Test
    void n31_theFormatOfABackingFileIsNeverGuessed() throws Exception {
        Files.copy(image, folder.resolve("base"));
        assertTrue(refusedOverlay("base", "").contains("does not say what format"));
        assertTrue(refusedOverlay("base", "vmdk").contains("format \"vmdk\" of its backing file"));
        // A raw disk into which its guest has written a header of qcow2 is a raw disk.
        makeOverlay("disk.qcow2", "base", "raw");
        try (BlockStore store = open(DiskAccess.READ_ONLY)) {
            IoVector vector = page();
            IoVector same = new IoVector(1);
            same.addFrom(vector, 4);
            store.read(vector, 0);
            MemorySegment head = Arena.ofAuto().allocate(4);
            same.take(head, 0, 4);
            assertEquals('Q', head.get(ValueLayout.JAVA_BYTE, 0));
        }
    }

    @Test
    void n32_chainsThatGoRoundOrOnAndOnAreRefused() throws Exception {
        makeOverlay("disk.qcow2", "disk.qcow2", "qcow2");
        assertTrue(refused().contains("is based on"), refused());
        makeOverlay("a.qcow2", "disk.qcow2", "qcow2");
        Files.createLink(folder.resolve("b.qcow2"), folder.resolve("a.qcow2"));
        makeOverlay("disk.qcow2", "b.qcow2", "qcow2");
        assertTrue(refused().contains("twice"), refused());
        for (int i = 0; i < 20; i++) {
            makeOverlay("c" + i + ".qcow2", "c" + (i + 1) + ".qcow2", "qcow2");
        }
        makeOverlay("disk.qcow2", "c0.qcow2", "qcow2");
        assertTrue(refused().contains("is based on more than 15 others"), refused());
        makeOverlay("disk.qcow2", "none.qcow2", "qcow2");
        assertTrue(refused().contains("\"none.qcow2\" cannot be found"), refused());
        makeOverlay("a.qcow2", "", "");
        makeOverlay("disk.qcow2", "a.qcow2", "qcow2");
        open(DiskAccess.READ_WRITE).close();
    }

    @Test
    void aBackingFileIsLockedForReadersAsLongAsItIsUsed() throws Exception {
        Path base = Files.write(folder.resolve("base.raw"), new byte[SIZE]);
        makeOverlay("disk.qcow2", "base.raw", "raw");
        makeOverlay("other.qcow2", "base.raw", "raw");
        DiskSource raw = DiskSource.raw(base);
        try (BlockStore one = open(DiskAccess.READ_WRITE);
                BlockStore two =
                        OpenImages.open(
                                new FileSource(ImageFormat.QCOW2, folder.resolve("other.qcow2")),
                                DiskAccess.READ_WRITE,
                                DiskMode.WRITEBACK,
                                BackingFolders.ownOnly())) {
            assertEquals(one.sizeBytes(), two.sizeBytes());
            DiskException e =
                    assertThrows(
                            DiskException.class,
                            () ->
                                    OpenImages.open(
                                                    raw,
                                                    DiskAccess.READ_WRITE,
                                                    DiskMode.WRITEBACK,
                                                    BackingFolders.ownOnly())
                                            .close());
            assertTrue(String.valueOf(e.getMessage()).contains("is in use by this process"));
        }
        OpenImages.open(raw, DiskAccess.READ_WRITE, DiskMode.WRITEBACK, BackingFolders.ownOnly())
                .close();
    }
}
