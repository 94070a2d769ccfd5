package org.splitring.blkback;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.XenbusState;

/// A backend that comes in the place of another has another disk: what was asked for meanwhile is
/// done as far as that disk can, and refused otherwise.
@Timeout(60)
class VbdGeometryTest {
    private static final int MIB = 1 << 20;
    private static final int SIZE = 4096;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path folder;

    private DiskImage image(String name, int mib, int fill, DiskAccess access) throws Exception {
        byte[] bytes = new byte[mib * MIB];
        Arrays.fill(bytes, (byte) fill);
        Path file = Files.write(folder.resolve(name), bytes);
        return DiskImage.open(file, access, DiskMode.WRITEBACK);
    }

    private interface Start {
        void start(GuestBuffer buffer, Completion done);
    }

    private static CompletableFuture<Integer> start(ConnectedVbd front, Start transfer) {
        CompletableFuture<Integer> result = new CompletableFuture<>();
        front.loop()
                .execute(
                        () -> {
                            GuestBuffer buffer = Objects.requireNonNull(front.acquire(SIZE));
                            try {
                                transfer.start(
                                        buffer,
                                        status -> {
                                            front.release(buffer);
                                            result.complete(status);
                                        });
                            } catch (IllegalArgumentException e) {
                                front.release(buffer);
                                result.completeExceptionally(e);
                            }
                        });
        return result;
    }

    private static CompletableFuture<Integer> read(ConnectedVbd front, long offset) {
        return start(front, (buffer, done) -> front.read(offset, buffer, SIZE, done));
    }

    private static CompletableFuture<Integer> write(ConnectedVbd front, long offset) {
        return start(front, (buffer, done) -> front.write(offset, buffer, SIZE, done));
    }

    private static int status(CompletableFuture<Integer> transfer) throws Exception {
        return transfer.get(20, TimeUnit.SECONDS);
    }

    @FunctionalInterface
    private interface Meanwhile {
        void run(ConnectedVbd front, Runnable replace) throws Exception;
    }

    /// A disk of 8 MiB is replaced by another while nothing of it is served.
    ///
    /// @param refused requests that the other's backend refuses: what waited for it and does not
    ///     fit is ended by the frontend itself
    private void replaced(DiskImage after, int refused, Meanwhile meanwhile) throws Exception {
        try (VbdLab lab = new VbdLab();
                DiskImage before = image("before.img", 8, 1, DiskAccess.READ_WRITE);
                after;
                ServedVbd first = lab.backend(before);
                ConnectedVbd front = lab.frontend(0)) {
            assertEquals(8 * MIB, front.geometry().sizeBytes());
            assertFalse(front.geometry().readOnly());
            first.closeAsync().join();
            await().until(() -> !front.isConnected());
            ServedVbd[] second = new ServedVbd[1];
            try {
                meanwhile.run(front, () -> second[0] = lab.backend(after));
                assertEquals(refused, second[0].metrics().errors());
            } finally {
                front.closeAsync().join();
                if (second[0] != null) {
                    second[0].close();
                }
            }
            assertEquals(0, lab.hypervisor.mappedTotal());
            assertEquals(0, lab.guest.grants().quarantinedCount());
        }
    }

    @Test
    void aDiskIsResizedWhileItIsUsed() throws Exception {
        try (VbdLab lab = new VbdLab();
                DiskImage disk = image("live.img", 8, 1, DiskAccess.READ_WRITE);
                ServedVbd back = lab.backend(disk);
                ConnectedVbd front = lab.frontend(0)) {
            assertEquals(BlkifStatus.ERROR, status(write(front, 8 * MIB)));
            disk.resize(16 * MIB);
            await().until(() -> front.geometry().sizeBytes() == 16 * MIB);
            assertEquals(XenbusState.CONNECTED, back.state());
            assertEquals(BlkifStatus.OKAY, status(write(front, 16 * MIB - SIZE)));
            assertEquals(16 * MIB, Files.size(folder.resolve("live.img")));
            byte[] data = new byte[SIZE];
            assertEquals(BlkifStatus.OKAY, VbdLab.read(front, 12 * MIB, data));
            assertArrayEquals(new byte[SIZE], data, "new sectors are zeros");
            disk.resize(4 * MIB);
            await().until(() -> front.geometry().sizeBytes() == 4 * MIB);
            assertEquals(BlkifStatus.ERROR, status(read(front, 4 * MIB)));
            assertEquals(BlkifStatus.OKAY, status(write(front, 4 * MIB - SIZE)));
            assertEquals(4 * MIB, Files.size(folder.resolve("live.img")));
            assertTrue(disk.failure().isEmpty());
            assertThrows(DiskException.class, () -> disk.resize(1000));
            assertThrows(DiskException.class, () -> disk.resize(0));
        }
    }

    @Test
    void whatLiesBehindTheEndOfASmallerDiskIsRefused() throws Exception {
        DiskImage smaller = image("smaller.img", 4, 2, DiskAccess.READ_WRITE);
        replaced(
                smaller,
                0,
                (front, replace) -> {
                    CompletableFuture<Integer> inside = read(front, 4 * MIB - SIZE);
                    CompletableFuture<Integer> across = read(front, 4 * MIB - 512);
                    CompletableFuture<Integer> behind = write(front, 6 * MIB);
                    replace.run();
                    assertEquals(BlkifStatus.OKAY, status(inside));
                    assertEquals(BlkifStatus.ERROR, status(across));
                    assertEquals(BlkifStatus.ERROR, status(behind));
                    assertEquals(4 * MIB, front.geometry().sizeBytes());
                    assertEquals(BlkifStatus.ERROR, status(read(front, 4 * MIB)));
                });
        assertEquals(4 * MIB, Files.size(folder.resolve("smaller.img")));
    }

    @Test
    void writesOnADiskThatCannotBeWrittenAnyMoreAreRefused() throws Exception {
        DiskImage readOnly = image("readonly.img", 8, 3, DiskAccess.READ_ONLY);
        byte[] content = Files.readAllBytes(folder.resolve("readonly.img"));
        replaced(
                readOnly,
                1, // the one that comes later
                (front, replace) -> {
                    CompletableFuture<Integer> read = read(front, 0);
                    CompletableFuture<Integer> write = write(front, 0);
                    replace.run();
                    assertEquals(BlkifStatus.OKAY, status(read));
                    assertEquals(BlkifStatus.ERROR, status(write));
                    assertTrue(front.geometry().readOnly());
                    assertEquals(BlkifStatus.ERROR, status(write(front, SIZE)));
                });
        assertArrayEquals(content, Files.readAllBytes(folder.resolve("readonly.img")));
    }

    @Test
    void aLargerDiskIsUsedToItsEnd() throws Exception {
        DiskImage larger = image("larger.img", 16, 4, DiskAccess.READ_WRITE);
        replaced(
                larger,
                0,
                (front, replace) -> {
                    CompletableFuture<Integer> waiting = write(front, 0);
                    assertEquals(BlkifStatus.ERROR, status(read(front, 8 * MIB)));
                    replace.run();
                    assertEquals(BlkifStatus.OKAY, status(waiting));
                    assertEquals(16 * MIB, front.geometry().sizeBytes());
                    byte[] last = new byte[SIZE];
                    assertEquals(BlkifStatus.OKAY, VbdLab.read(front, 16 * MIB - SIZE, last));
                    assertEquals(4, last[SIZE - 1]);
                });
    }
}
