package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.nbd.StoreBytes;

/// VHDs between QEMU (whose name for them is vpc) and us, in both directions, damaged, forged, and
/// after a loss of power.
@Timeout(60)
class VhdStoreTest {
    private static final int SIZE = 24 << 20;

    private final long seed = Long.getLong("splitring.seed", 20_261_126L);
    private final Random random = new Random(seed);
    private final Random crashes = new Random(seed + 1);
    private int looked;

    @TempDir Path folder;

    private static BlockStore open(Path image, DiskAccess access) throws DiskException {
        return OpenImages.open(
                new FileSource(ImageFormat.VHD, image),
                access,
                DiskMode.WRITEBACK,
                BackingFolders.ownOnly());
    }

    private static byte[] contents(Path image, int size) throws Exception {
        return Arrays.copyOf(Qemu.contents("vpc", image), size);
    }

    @ParameterizedTest
    @ValueSource(strings = {"fixed", "dynamic"})
    void imagesOfQemuAreReadAndWritten(String kind) throws Exception {
        Path image = folder.resolve("disk.vhd");
        String options = "force_size=on,subformat=" + kind;
        Qemu.img("create", "-q", "-f", "vpc", "-o", options, image.toString(), SIZE + "");
        Qemu.io("vpc", image, "write -P 7 1M 3M", "write -P 8 23M 1M");
        DiskModel model = new DiskModel(contents(image, SIZE), random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            assertEquals(SIZE, store.sizeBytes());
            model.readAll(store);
            model.run(store, 200);
            model.readAll(store);
        }
        assertArrayEquals(model.bytes, contents(image, SIZE), "seed " + seed);
        Qemu.io("vpc", image, "write -P 9 11M 1M");
        Arrays.fill(model.bytes, 11 << 20, 12 << 20, (byte) 9);
        try (BlockStore store = open(image, DiskAccess.READ_ONLY)) {
            model.readAll(store);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void imagesOfOursAreReadByQemu(boolean fixed) throws Exception {
        Path image = folder.resolve("disk.vhd");
        RecordingFile made = new RecordingFile(new byte[0], false);
        VhdCreation.write(made, SIZE, fixed);
        Files.write(image, made.afterKill());
        DiskModel model = new DiskModel(new byte[SIZE], random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            model.run(store, 200);
            store.sync();
        }
        assertTrue(
                Qemu.img("info", "-f", "vpc", image.toString()).contains("(" + SIZE + " bytes)"));
        assertArrayEquals(model.bytes, contents(image, SIZE), "seed " + seed);
    }

    private RecordingFile made(boolean fixed, Consumer<ByteBuffer> change) throws IOException {
        RecordingFile file = new RecordingFile(new byte[0], false);
        VhdCreation.write(file, SIZE, fixed);
        byte[] bytes = file.afterKill();
        change.accept(ByteBuffer.wrap(bytes));
        return new RecordingFile(bytes, false);
    }

    private static void sign(ByteBuffer bytes, int at, int length, int checksumAt) {
        byte[] part = new byte[length];
        bytes.get(at, part);
        bytes.putInt(at + checksumAt, VhdFooter.checksum(part, checksumAt));
    }

    private void refused(Consumer<ByteBuffer> change, boolean fixed, String reason)
            throws IOException {
        RecordingFile file = made(fixed, change);
        DiskException e = assertThrows(DiskException.class, () -> VhdStore.open(file).close());
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains(reason), message);
        assertEquals(-1, message.indexOf('\n'));
    }

    private void refusedHeader(int at, int value, String reason) throws IOException {
        refused(
                b -> {
                    b.putInt(512 + at, value);
                    sign(b, 512, 1024, 36);
                },
                false,
                reason);
    }

    private void refusedFooter(int at, long value, int size, String reason) throws IOException {
        refused(
                b -> {
                    int end = b.capacity() - 512;
                    if (size == 4) {
                        b.putInt(end + at, (int) value);
                    } else {
                        b.putLong(end + at, value);
                    }
                    sign(b, end, 512, 64);
                },
                false,
                reason);
    }

    @Test
    void n32_headersThatCannotBeAreRefused() throws Exception {
        refused(b -> b.put(b.capacity() - 400, (byte) 1), false, "checksum of its footer");
        refused(b -> b.put(700, (byte) 1), false, "checksum of its header");
        refused(b -> b.putLong(0, 0).putLong(b.capacity() - 512, 0), false, "it has no footer");
        refused(b -> b.putLong(b.capacity() - 512, 0), true, "it has no footer");
        refusedFooter(12, 0x20000, 4, "its version is 0x00020000");
        refusedFooter(60, 4, 4, "is a differencing disk");
        refusedFooter(60, 9, 4, "type 9 is neither");
        refusedFooter(60, 2, 4, "a fixed disk of 25165824 bytes is not in its");
        refusedFooter(16, -1, 8, "its header begins at 18446744073709551615");
        refusedFooter(16, Long.MAX_VALUE, 8, "its header begins at 9223372036854775807");
        refusedFooter(16, 0, 8, "its header begins at 0");
        refusedFooter(48, 0, 8, "its disk has 0 bytes");
        refusedFooter(48, -512, 8, "its disk has 18446744073709551104 bytes");
        refusedFooter(48, 1L << 42, 8, "its disk has 4398046511104 bytes");
        refusedFooter(48, 1001, 8, "its disk has 1001 bytes");
        refusedHeader(32, 0, "its blocks have 0 bytes");
        refusedHeader(32, 3 << 20, "its blocks have 3145728 bytes");
        refusedHeader(32, 1 << 31, "its blocks have 2147483648 bytes");
        refusedHeader(28, 1, "its table has 1 entries, not 12 to");
        refusedHeader(28, -1, "its table has 4294967295 entries");
        refusedHeader(28, 8 << 20, "its table begins at 1536, which is not");
        refusedHeader(16, 0x7fffffff, "its table begins at");
        refusedHeader(20, 512, "its table begins at 512");
        refusedHeader(24, 2, "the version of its header");
    }

    @Test
    void n32_blocksThatOverlapAreRefused() throws Exception {
        refused(b -> b.putInt(1536, 0), false, "a block is at 0, where the table");
        refused(b -> b.putInt(1536, 3), false, "a block is at 1536, where the table");
        refused(b -> b.putInt(1536, 0x7fffffff), false, "beyond the end of the file");
        RecordingFile file = made(false, b -> {});
        file.truncate(8 << 20);
        new BigEndianFile(file).writeLong(1536, (100L << 32) | 200);
        DiskException e = assertThrows(DiskException.class, () -> VhdStore.open(file).close());
        assertTrue(String.valueOf(e.getMessage()).contains("where the table or another block is"));
    }

    /// The guest of a fixed disk owns the first sector: what it writes there is data.
    @Test
    void n31_aGuestCannotMakeAFixedDiskDynamic() throws Exception {
        RecordingFile dynamic = made(false, b -> {});
        byte[] forged = dynamic.afterKill();
        RecordingFile file = made(true, b -> b.put(0, forged));
        try (VhdStore store = VhdStore.open(file)) {
            assertEquals("fixed", store.details());
            assertEquals(SIZE, store.sizeBytes());
        }
    }

    /// A dynamic disk with blocks that are small, so that there are many of them.
    static byte[] smallBlocks(int sectors) throws IOException {
        RecordingFile made = new RecordingFile(new byte[0], false);
        int size = sectors * 512;
        VhdHeader header = new VhdHeader(1536, (size + 4095) / 4096, 4096);
        BigEndianFile numbers = new BigEndianFile(made);
        byte[] footer = VhdFooter.make(size, VhdFooter.DYNAMIC, new UUID(1, 2), 0);
        byte[] table = new byte[(int) (header.tableEnd() - header.tableOffset())];
        Arrays.fill(table, (byte) 0xff);
        numbers.writeBytes(0, footer);
        numbers.writeBytes(512, header.make());
        numbers.writeBytes(1536, table);
        numbers.writeBytes(header.tableEnd(), footer);
        return made.afterKill();
    }

    @Test
    void n33_everyFailureOfTheFileFailsARequestAndDamagesNothing() throws Exception {
        byte[] begin = smallBlocks(1200);
        int calls = failingLife(begin, 0);
        assertTrue(calls > 40, "calls: " + calls);
        for (int n = 1; n <= calls; n++) {
            assertEquals(n, failingLife(begin, n), "seed " + seed);
        }
    }

    /// Writes, discards and flushes until a call fails, and looks at what is left.
    ///
    /// @return the number of the call that failed, or how many there were
    private int failingLife(byte[] begin, int failAt) throws Exception {
        RecordingFile file = new RecordingFile(begin, false);
        BlockStore store = VhdStore.open(file);
        SectorHistory history = new SectorHistory(store, new Random(seed));
        file.failAt(failAt == 0 ? -1 : failAt, new IOException("ENOSPC"));
        try {
            for (int i = 0; i < 30; i++) {
                if (i % 7 == 6) {
                    history.discard(store);
                } else {
                    history.write(store);
                }
                if (i % 5 == 4) {
                    history.flush(store);
                }
            }
        } catch (IOException e) {
            assertEquals("ENOSPC", e.getMessage());
        }
        int calls = file.calls();
        store.close();
        RecordingFile after = new RecordingFile(file.afterKill(), true);
        history.check(VhdStore.open(after), false, "seed " + seed + ", n " + failAt);
        return calls;
    }

    @Test
    void nothingThatWasFlushedIsLostWithThePower() throws Exception {
        byte[] begin = smallBlocks(1200);
        for (int life = 0; life < 6; life++) {
            RecordingFile file = new RecordingFile(begin, false);
            BlockStore store = VhdStore.open(file);
            SectorHistory history = new SectorHistory(store, random);
            String what = "seed " + seed + ", life " + life;
            file.setWitness(
                    at -> {
                        looked++;
                        RecordingFile killed = new RecordingFile(at.afterKill(), true);
                        history.check(VhdStore.open(killed), true, what + ", kill");
                        for (int i = 0; i < 4; i++) {
                            RecordingFile left =
                                    new RecordingFile(at.afterPowerLoss(crashes), true);
                            history.check(VhdStore.open(left), false, what + ", power");
                        }
                    });
            for (int i = 0; i < 60; i++) {
                if (random.nextInt(6) == 0) {
                    history.discard(store);
                } else {
                    history.write(store);
                }
                if (random.nextInt(6) == 0) {
                    history.flush(store);
                }
            }
            if (life % 2 == 0) {
                begin = file.afterPowerLoss(crashes);
            } else {
                history.flush(store);
                store.close();
                begin = file.afterKill();
                history.check(VhdStore.open(new RecordingFile(begin, true)), true, what);
            }
        }
        assertTrue(looked > 60, "only " + looked);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void holesAreBlocksThatAreNowhereAndHolesOfTheFile(boolean fixed) throws Exception {
        Path image = folder.resolve("disk.vhd");
        FileSource source = new FileSource(ImageFormat.VHD, image);
        if (fixed) {
            String options = "force_size=on,subformat=fixed";
            Qemu.img("create", "-q", "-f", "vpc", "-o", options, image.toString(), SIZE + "");
        } else {
            ImageFiles.create(source, SIZE, 0);
        }
        DiskModel model = new DiskModel(new byte[SIZE], random);
        try (BlockStore store = open(image, DiskAccess.READ_WRITE)) {
            // QEMU has written something at the beginning of a fixed one.
            int begin = fixed ? 4096 : 0;
            assertTrue(AllocationJudge.judge(store, random) >= SIZE - begin);
            model.write(store, 5 << 20, 512);
            model.write(store, 23 << 20, 256 << 10);
            long holes = AllocationJudge.judge(store, random);
            assertTrue(
                    holes >= SIZE - (512 << 10) - begin && holes < SIZE - (256 << 10), holes + "");
            for (int round = 0; round < 5; round++) {
                model.run(store, 20);
                assertTrue(AllocationJudge.judge(store, random) > 0);
                model.readAll(store);
            }
            store.discard(0, SIZE);
            // Of a dynamic one some pages have a bitmap or another block's end in them.
            assertTrue(AllocationJudge.judge(store, random) > SIZE - (128 << 10));
            for (int at = 0; at < SIZE; at += 256 << 10) {
                StoreBytes.write(store, at, new byte[256 << 10]);
            }
            assertEquals(List.of("data " + SIZE), AllocationJudge.extents(store));
            int half = SIZE / 2;
            store.resize(half);
            AllocationMap map = new AllocationMap();
            assertThrows(IOException.class, () -> store.describe(half - 512, 1024, map));
        }
    }

    @Test
    void aVhdMayBeTheBaseOfAnOverlay() throws Exception {
        Path base = folder.resolve("base.vhd");
        FileSource source = new FileSource(ImageFormat.VHD, base);
        ImageFiles.create(source, SIZE, 0);
        DiskModel model = new DiskModel(new byte[SIZE], random);
        try (BlockStore store = open(base, DiskAccess.READ_WRITE)) {
            model.write(store, 5 << 20, 100 << 10);
        }
        Path top = folder.resolve("top.qcow2");
        ImageFiles.overlay(source, top, 65536, BackingFolders.ownOnly());
        try (BlockStore store =
                OpenImages.open(
                        new FileSource(ImageFormat.QCOW2, top),
                        DiskAccess.READ_WRITE,
                        DiskMode.WRITEBACK,
                        BackingFolders.ownOnly())) {
            model.run(store, 50);
            model.readAll(store);
        }
        Qemu.assertClean(top);
        assertArrayEquals(model.bytes, Qemu.contents("qcow2", top));
        assertEquals(List.of(), ImageFiles.check(source, false, Progress.none()).damages());
    }
}
