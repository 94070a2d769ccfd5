package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.nbd.StoreBytes;

/// Disks that are put together from parts of files, and block devices.
@Timeout(30)
class ExtentStoreTest {
    private static final int MIB = 1 << 20;

    private final long seed = Long.getLong("splitring.seed", 20_261_126L);
    private final Random random = new Random(seed);

    @TempDir Path folder;

    private BlockStore open(String name, ImageFormat format, DiskAccess access)
            throws DiskException {
        FileSource source = new FileSource(format, folder.resolve(name));
        return OpenImages.open(source, access, DiskMode.WRITEBACK, BackingFolders.ownOnly());
    }

    private BlockStore open(String name) throws DiskException {
        return open(name, ImageFormat.EXTENTS, DiskAccess.READ_WRITE);
    }

    private String refused(String name, String... lines) throws Exception {
        Files.writeString(folder.resolve(name), String.join("\n", lines));
        DiskException e = assertThrows(DiskException.class, () -> open(name).close());
        String message = String.valueOf(e.getMessage());
        assertEquals(-1, message.indexOf('\n'), message);
        return message;
    }

    @Test
    void partsFollowOneAnother() throws Exception {
        byte[] a = new byte[2 * MIB];
        byte[] b = new byte[MIB];
        random.nextBytes(a);
        random.nextBytes(b);
        Files.write(folder.resolve("a.img"), a);
        Files.write(folder.resolve("b file.img"), b);
        Files.writeString(
                folder.resolve("disk"),
                """
                # half of a file, another, and a part of the first half
                1048576 1048576 a.img
                0 1048576 b file.img

                512 1024 a.img
                """);
        byte[] disk = new byte[2 * MIB + 1024];
        System.arraycopy(a, MIB, disk, 0, MIB);
        System.arraycopy(b, 0, disk, MIB, MIB);
        System.arraycopy(a, 512, disk, 2 * MIB, 1024);
        DiskModel model = new DiskModel(disk, random);
        try (BlockStore store = open("disk")) {
            assertEquals(disk.length, store.sizeBytes());
            model.readAll(store);
            for (int i = 0; i < 100; i++) {
                model.write(store);
                model.read(store);
            }
            store.sync();
            model.readAll(store);
        }
        byte[] after = Files.readAllBytes(folder.resolve("a.img"));
        assertArrayEquals(Arrays.copyOf(disk, MIB), Arrays.copyOfRange(after, MIB, 2 * MIB));
        assertArrayEquals(
                Arrays.copyOfRange(a, 1536, MIB), Arrays.copyOfRange(after, 1536, MIB), "others'");
        assertArrayEquals(
                Arrays.copyOfRange(disk, MIB, 2 * MIB),
                Files.readAllBytes(folder.resolve("b file.img")));
    }

    @Test
    void holesOfTheFilesAreHolesOfTheParts() throws Exception {
        byte[] ones = new byte[MIB];
        Arrays.fill(ones, (byte) 1);
        Path a = Files.write(folder.resolve("a.img"), ones);
        try (HostFile file = HostFile.open(a, DiskAccess.READ_WRITE, false)) {
            file.punchHole(256 << 10, 512 << 10);
        }
        Files.write(folder.resolve("b.img"), ones);
        Files.writeString(
                folder.resolve("disk"), "524288 524288 a.img\n0 4096 b.img\n0 524288 a.img");
        try (BlockStore store = open("disk")) {
            assertEquals(
                    List.of("hole 262144", "data 528384", "hole 262144"),
                    AllocationJudge.extents(store));
            AllocationJudge.judge(store, random);
            StoreBytes.write(store, 0, new byte[256 << 10]);
            StoreBytes.write(store, MIB + 4096 - (256 << 10), new byte[256 << 10]);
            assertEquals(List.of("data " + (MIB + 4096)), AllocationJudge.extents(store));
        }
    }

    @Test
    void onlyThePartsAreLocked() throws Exception {
        Files.write(folder.resolve("a.img"), new byte[MIB]);
        Files.writeString(folder.resolve("low"), "0 4096 a.img");
        Files.writeString(folder.resolve("high"), "4096 4096 a.img");
        Files.writeString(folder.resolve("both"), "2048 4096 a.img");
        try (BlockStore low = open("low");
                BlockStore high = open("high")) {
            assertEquals(low.sizeBytes(), high.sizeBytes());
            DiskException e = assertThrows(DiskException.class, () -> open("both").close());
            assertTrue(String.valueOf(e.getMessage()).contains("is in use by this process"));
            assertThrows(
                    DiskException.class,
                    () -> open("a.img", ImageFormat.RAW, DiskAccess.READ_ONLY).close());
        }
        open("both").close();
    }

    @Test
    void n32_listsThatAreWrongAreOneLine() throws Exception {
        Files.write(folder.resolve("a.img"), new byte[MIB]);
        assertTrue(refused("l", "0 512").contains("l:1: \"0 512\" is not OFFSET SIZE PATH"));
        assertTrue(refused("l", "# x", "0 100 a.img").contains("l:2: offset and size"));
        assertTrue(refused("l", "0 0 a.img").contains("l:1: offset and size"));
        assertTrue(refused("l", "").contains("lists no extents"));
        assertTrue(refused("l", "512 1048576 a.img").contains("extent 1 ends beyond the end"));
        assertTrue(refused("l", "0 1024 a.img", "512 512 a.img").contains("1 and 2 overlap"));
        assertTrue(refused("l", "0 512 none").contains("\"none\" cannot be found"));
        assertTrue(refused("l", "0 512 /etc/hostname").contains("outside"));
        String huge = "999999999999999488 999999999999999488 a.img";
        assertTrue(refused("l", huge).contains("ends beyond the end"));
        Files.write(folder.resolve("l"), new byte[] {'1', ' ', (byte) 0xff});
        assertThrows(DiskException.class, () -> open("l").close());
    }

    /// Needs root, and a kernel that has a loop device free.
    @Test
    void aBlockDeviceIsADisk() throws Exception {
        Path file = Files.write(folder.resolve("device.img"), new byte[2 * MIB]);
        Qemu.Result made = losetup("-f", "--show", file.toString());
        Assumptions.assumeTrue(made.code() == 0, "no loop device: " + made.output());
        String device = made.output().strip();
        try {
            DiskSource source = DiskSource.raw(Path.of(device));
            DiskModel model = new DiskModel(new byte[2 * MIB], random);
            try (BlockStore store =
                    OpenImages.open(
                            source,
                            DiskAccess.READ_WRITE,
                            DiskMode.WRITEBACK,
                            BackingFolders.ownOnly())) {
                assertEquals(2 * MIB, store.sizeBytes());
                assertEquals(0, store.discardGranularityBytes());
                assertEquals(List.of("data " + 2 * MIB), AllocationJudge.extents(store));
                for (int i = 0; i < 50; i++) {
                    model.write(store);
                    model.read(store);
                }
                store.sync();
                DiskException e =
                        assertThrows(
                                DiskException.class,
                                () ->
                                        OpenImages.open(
                                                        source,
                                                        DiskAccess.READ_WRITE,
                                                        DiskMode.WRITEBACK,
                                                        BackingFolders.ownOnly())
                                                .close());
                assertTrue(String.valueOf(e.getMessage()).contains("in use"), e.toString());
            }
            assertArrayEquals(model.bytes, Files.readAllBytes(file), "seed " + seed);
            DiskException e =
                    assertThrows(
                            DiskException.class,
                            () ->
                                    OpenImages.open(
                                                    new FileSource(
                                                            ImageFormat.QCOW2, Path.of(device)),
                                                    DiskAccess.READ_ONLY,
                                                    DiskMode.WRITEBACK,
                                                    BackingFolders.ownOnly())
                                            .close());
            assertTrue(String.valueOf(e.getMessage()).contains("is a block device, not a file"));
        } finally {
            losetup("-d", device);
        }
    }

    private static Qemu.Result losetup(String... words) throws Exception {
        Path tool = Path.of("/usr/sbin/losetup");
        Assumptions.assumeTrue(Files.isExecutable(tool), "needs losetup");
        String[] all = new String[words.length + 1];
        all[0] = tool.toString();
        System.arraycopy(words, 0, all, 1, words.length);
        return Qemu.execute(all);
    }
}
