package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.CRC32C;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdDiscard;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.XenbusState;

@Timeout(60)
class VbdEndToEndTest {
    private static final int MIB = 1 << 20;

    @TempDir Path folder;

    private Path image(int sizeBytes) throws IOException {
        Path file = folder.resolve("disk.img");
        Files.write(file, new byte[sizeBytes]);
        return file;
    }

    /// Each sector says where it belongs, how often it was written, and what the rest must be.
    private static byte[] stamped(long offset, int sizeBytes, int sequence) {
        ByteBuffer data = ByteBuffer.allocate(sizeBytes);
        Random random = new Random(offset * 31 + sequence);
        for (int at = 0; at < sizeBytes; at += 512) {
            byte[] rest = new byte[512 - 24];
            random.nextBytes(rest);
            data.putLong((offset + at) / 512).putLong(sequence).put(rest);
            CRC32C crc = new CRC32C();
            crc.update(data.array(), at, 512 - 8);
            data.putLong(crc.getValue());
        }
        return data.array();
    }

    private static void assertStamps(long offset, byte[] data, int sequence) {
        ByteBuffer view = ByteBuffer.wrap(data);
        for (int at = 0; at < data.length; at += 512) {
            CRC32C crc = new CRC32C();
            crc.update(data, at, 512 - 8);
            assertEquals((offset + at) / 512, view.getLong(at), "sector");
            assertEquals(sequence, view.getLong(at + 8), "sequence");
            assertEquals(crc.getValue(), view.getLong(at + 512 - 8), "crc");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4})
    void dataGoesThroughRingsOfEachOrder(int order) throws Exception {
        Path file = image(16 * MIB);
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk)) {
            try (ConnectedVbd front = lab.frontend(order)) {
                assertEquals(16 * MIB, front.geometry().sizeBytes());
                assertEquals(512, front.geometry().sectorSizeBytes());
                assertTrue(front.geometry().flush());
                for (int i = 0; i < 40; i++) {
                    int size = 512 * (1 + random.nextInt(2048));
                    long offset = 512L * random.nextInt((16 * MIB - size) / 512);
                    assertEquals(0, VbdLab.write(front, offset, stamped(offset, size, i)));
                    byte[] data = new byte[size];
                    assertEquals(0, VbdLab.read(front, offset, data));
                    assertStamps(offset, data, i);
                    byte[] onDisk = new byte[size];
                    try (var channel = Files.newByteChannel(file)) {
                        channel.position(offset).read(ByteBuffer.wrap(onDisk));
                    }
                    assertArrayEquals(data, onDisk);
                }
                assertEquals(0, VbdLab.flush(front));
                VbdMetrics metrics = back.metrics();
                assertEquals(1, metrics.fReq());
                assertEquals(0, metrics.errors());
                assertEquals(metrics.rdSect(), metrics.wrSect());
            }
            assertEquals(XenbusState.CLOSED, back.state());
            assertEquals(0, lab.hypervisor.mappedTotal());
            assertEquals(0, lab.guest.grants().quarantinedCount());
        }
    }

    @Test
    void whatIsDiscardedIsAHoleAndReadsAsZeros() throws Exception {
        Path file = image(4 * MIB);
        byte[] ones = new byte[4 * MIB];
        Arrays.fill(ones, (byte) 1);
        Files.write(file, ones);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk);
                ConnectedVbd front = lab.frontend(0)) {
            VbdDiscard offer = front.geometry().discard();
            assertTrue(offer.isOffered());
            assertTrue(offer.zeroes());
            assertEquals(disk.discardGranularityBytes(), offer.granularityBytes());
            String folder = lab.paths.backend();
            assertEquals("0", lab.guestStore.read(folder + "/discard-secure").orElseThrow());
            assertEquals("0", lab.guestStore.read(folder + "/discard-alignment").orElseThrow());
            // More than a request of pages could name, and nothing on whole blocks.
            assertEquals(0, VbdLab.discard(front, 512, 4 * MIB - 1024));
            Arrays.fill(ones, 512, 4 * MIB - 512, (byte) 0);
            assertArrayEquals(ones, Files.readAllBytes(file));
            byte[] data = new byte[MIB];
            assertEquals(0, VbdLab.read(front, 512, data));
            assertArrayEquals(new byte[MIB], data);
            assertEquals(1, back.metrics().dsReq());
            assertEquals(4 * MIB / 512 - 2, back.metrics().dsSect());
        }
    }

    @Test
    void aBackendThatAnnouncesNothingIsUsedWithoutAll() throws Exception {
        Path file = image(MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk, ServedVbd.LIFECYCLE, VbdFeatures.NONE);
                ConnectedVbd front = lab.frontend(0)) {
            assertEquals(VbdDiscard.NONE, front.geometry().discard());
            assertEquals(BlkifStatus.EOPNOTSUPP, VbdLab.discard(front, 0, 512));
            assertEquals(BlkifStatus.EOPNOTSUPP, VbdLab.flush(front));
            assertEquals(0, back.metrics().dsReq() + back.metrics().fReq(), "not even asked");
            byte[] data = stamped(0, MIB, 1);
            assertEquals(0, VbdLab.write(front, 0, data));
            assertArrayEquals(data, Files.readAllBytes(file));
        }
    }

    @Test
    void aBackendThatOnlyHasBarriersIsFlushedByThem() throws Exception {
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(image(MIB), DiskMode.WRITEBACK);
                ServedVbd back =
                        lab.backend(disk, ServedVbd.LIFECYCLE, VbdFeatures.NONE.withBarrier(true));
                ConnectedVbd front = lab.frontend(0)) {
            assertTrue(front.geometry().flush());
            assertEquals(0, VbdLab.write(front, 0, stamped(0, MIB, 1)));
            assertEquals(0, VbdLab.flush(front));
            assertEquals(1, disk.syncsStarted());
            assertEquals(1, back.metrics().fReq());
        }
    }

    @Test
    void aTransferOfOneMebibyteIsOneRequestWhereIndirectOnesAreOffered() throws Exception {
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(image(4 * MIB), DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk);
                ConnectedVbd front = lab.frontend(0)) {
            assertEquals(256, front.geometry().maxRequestPages());
            byte[] data = stamped(MIB, MIB, 1);
            assertEquals(0, VbdLab.write(front, MIB, data));
            assertEquals(1, back.metrics().wrReq());
            byte[] read = new byte[MIB];
            assertEquals(0, VbdLab.read(front, MIB, read));
            assertArrayEquals(data, read);
            assertEquals(1, back.metrics().rdReq());
            assertEquals(0, VbdLab.write(front, 0, stamped(0, 11 * 4096, 1)));
            assertEquals(2, back.metrics().wrReq());
        }
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(image(4 * MIB), DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk, ServedVbd.LIFECYCLE, VbdFeatures.NONE);
                ConnectedVbd front = lab.frontend(0)) {
            assertEquals(11, front.geometry().maxRequestPages());
            assertTrue(
                    lab.guestStore
                            .read(lab.paths.backend() + "/feature-max-indirect-segments")
                            .isEmpty());
            assertEquals(0, VbdLab.write(front, 0, stamped(0, MIB, 2)));
            assertEquals((256 + 10) / 11, back.metrics().wrReq());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 1056})
    void dataGoesThroughPersistentGrants(int kept) throws Exception {
        Path file = image(4 * MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back =
                        lab.backend(
                                disk,
                                ServedVbd.LIFECYCLE,
                                VbdFeatures.ALL.withMaxPersistentGrants(kept))) {
            VbdFrontendOptions options =
                    VbdFrontendOptions.DEFAULT.withBufferBytes(MIB).withPersistentGrants(true);
            try (ConnectedVbd front = lab.frontend(options, FrontendOptions.DEFAULT)) {
                for (int i = 0; i < 8; i++) {
                    long offset = i * 307_200L;
                    int size = 4096 * (i + 1) * 8;
                    assertEquals(0, VbdLab.write(front, offset, stamped(offset, size, i)));
                    byte[] data = new byte[size];
                    assertEquals(0, VbdLab.read(front, offset, data));
                    assertStamps(offset, data, i);
                }
                assertEquals(kept > 0, lab.hypervisor.mappedTotal() > 4, "pages stay mapped");
            }
            assertEquals(0, lab.hypervisor.mappedTotal());
            assertEquals(0, lab.guest.grants().quarantinedCount());
            assertEquals(0, back.metrics().errors());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 4})
    void transfersGoOverAllRingsThatTheBackendTakes(int offered) throws Exception {
        Path file = image(4 * MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back =
                        lab.backend(
                                disk,
                                ServedVbd.LIFECYCLE,
                                VbdFeatures.ALL.withMaxQueues(offered))) {
            VbdFrontendOptions options = VbdFrontendOptions.DEFAULT.withQueues(4);
            try (ConnectedVbd front = lab.frontend(options, FrontendOptions.DEFAULT)) {
                String folder = lab.paths.frontend();
                assertEquals(
                        offered == 1 ? "" : Integer.toString(offered),
                        lab.guestStore.read(folder + "/multi-queue-num-queues").orElse(""));
                assertEquals(offered == 1, lab.guestStore.read(folder + "/ring-ref0").isPresent());
                assertEquals(4 * offered, lab.hypervisor.mappedTotal(), "pages of rings");
                for (int i = 0; i < 12; i++) {
                    long offset = i * 307_200L;
                    assertEquals(0, VbdLab.write(front, offset, stamped(offset, 131_072, i)));
                    byte[] data = new byte[131_072];
                    assertEquals(0, VbdLab.read(front, offset, data));
                    assertStamps(offset, data, i);
                }
                assertEquals(0, VbdLab.flush(front));
            }
            assertEquals(0, lab.hypervisor.mappedTotal());
            assertEquals(0, lab.guest.grants().quarantinedCount());
            assertEquals(0, back.metrics().errors());
        }
    }

    @Test
    void manyTransfersAtOnceWaitForTheRing() throws Exception {
        Path file = image(16 * MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back =
                        lab.backend(
                                disk,
                                ServedVbd.LIFECYCLE,
                                VbdFeatures.ALL.withMaxIndirectSegments(0));
                ConnectedVbd front = lab.frontend(0)) {
            // 64 transfers of 64 KiB are 128 requests: four times the ring of one page.
            CountDownLatch done = new CountDownLatch(64);
            AtomicInteger errors = new AtomicInteger();
            lab.frontLoop.run(
                    () -> {
                        for (int i = 0; i < 64; i++) {
                            GuestBuffer buffer = front.acquire(65536);
                            if (buffer == null) {
                                throw new AssertionError("no buffer for " + i);
                            }
                            long offset = i * 65536L;
                            buffer.bytes().clear().put(stamped(offset, 65536, i));
                            front.write(
                                    offset,
                                    buffer,
                                    65536,
                                    status -> {
                                        if (status != 0) {
                                            errors.incrementAndGet();
                                        }
                                        front.release(buffer);
                                        done.countDown();
                                    });
                        }
                    });
            assertTrue(done.await(20, TimeUnit.SECONDS));
            assertEquals(0, errors.get());
            byte[] all = Files.readAllBytes(file);
            for (int i = 0; i < 64; i++) {
                long offset = i * 65536L;
                assertStamps(offset, Arrays.copyOfRange(all, i * 65536, (i + 1) * 65536), i);
            }
            assertEquals(128, back.metrics().wrReq());
        }
    }

    @Test
    void aReadOnlyDiskIsReadAndNotWritten() throws Exception {
        Path file = image(MIB);
        Files.write(file, stamped(0, MIB, 7));
        byte[] before = Files.readAllBytes(file);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskAccess.READ_ONLY, DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk);
                ConnectedVbd front = lab.frontend(0)) {
            assertTrue(front.geometry().readOnly());
            byte[] data = new byte[MIB];
            assertEquals(0, VbdLab.read(front, 0, data));
            assertStamps(0, data, 7);
            assertEquals(BlkifStatus.ERROR, VbdLab.write(front, 0, new byte[4096]));
            assertEquals(0, VbdLab.flush(front));
            assertEquals(XenbusState.CONNECTED, back.state());
        }
        assertArrayEquals(before, Files.readAllBytes(file));
    }

    @Test
    void transfersThatDoNotFitAreRefused() throws Exception {
        Path file = image(MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk);
                ConnectedVbd front = lab.frontend(0)) {
            lab.frontLoop.run(
                    () -> {
                        GuestBuffer buffer = front.acquire(8192);
                        if (buffer == null) {
                            throw new AssertionError("no buffer");
                        }
                        long[][] wrong = {
                            {1, 512},
                            {0, 511},
                            {0, 0},
                            {-512, 512},
                            {0, 8192 + 512}
                        };
                        for (long[] range : wrong) {
                            assertThrows(
                                    IllegalArgumentException.class,
                                    () ->
                                            front.read(
                                                    range[0],
                                                    buffer,
                                                    (int) range[1],
                                                    status -> {}));
                        }
                        front.release(buffer);
                        assertThrows(
                                IllegalArgumentException.class,
                                () -> front.acquire(front.maxBufferBytes() + 1));
                    });
            // The disk may have become smaller since the caller looked: no mistake of his.
            long[][] behind = {{MIB, 512}, {MIB - 512, 1024}, {Long.MAX_VALUE - 511, 512}};
            for (long[] range : behind) {
                assertEquals(-1, VbdLab.read(front, range[0], new byte[(int) range[1]]));
            }
            assertEquals(0, back.metrics().errors());
        }
    }

    @Test
    void aFrontendConnectsAgainAfterItClosed() throws Exception {
        Path file = image(MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK);
                ServedVbd back = lab.backend(disk)) {
            int free = lab.guest.pages().freeCount();
            for (int round = 0; round < 5; round++) {
                try (ConnectedVbd front = lab.frontend(round)) {
                    assertEquals(0, VbdLab.write(front, 0, stamped(0, 4096, round)));
                }
                assertEquals(0, lab.hypervisor.mappedTotal());
                assertEquals(free, lab.guest.pages().freeCount());
                lab.guestStore.write(lab.paths.frontend() + "/state", "1");
                Awaitility.await().until(() -> back.state() == XenbusState.INIT_WAIT);
            }
            assertEquals(5, back.metrics().wrReq());
        }
    }

    @Test
    void aBackendThatClosesEndsTheFrontend() throws Exception {
        Path file = image(MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK)) {
            ServedVbd back = lab.backend(disk);
            ConnectedVbd front =
                    lab.frontend(
                            VbdFrontendOptions.DEFAULT,
                            FrontendOptions.DEFAULT.withBackendWait(Duration.ZERO));
            CountDownLatch gone = new CountDownLatch(1);
            lab.frontLoop.run(() -> front.onDisconnect(gone::countDown));
            back.close();
            assertTrue(gone.await(10, TimeUnit.SECONDS));
            assertEquals(BlkifStatus.ERROR, VbdLab.write(front, 0, new byte[512]));
            assertEquals(0, lab.hypervisor.mappedTotal());
            front.close();
            assertEquals(0, lab.guest.grants().quarantinedCount());
        }
    }

    @Test
    void aBackendThatIsReplacedUnderLoadIsADelay() throws Exception {
        Path file = image(4 * MIB);
        try (VbdLab lab = new VbdLab();
                DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK)) {
            ServedVbd back = lab.backend(disk);
            ConnectedVbd front = lab.frontend(0);
            AtomicBoolean enough = new AtomicBoolean();
            List<CompletableFuture<Void>> writers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                long offset = i * 256L * 1024;
                writers.add(
                        CompletableFuture.runAsync(
                                () -> {
                                    byte[] got = new byte[128 << 10];
                                    for (int round = 0; !enough.get(); round++) {
                                        byte[] data = stamped(offset, 128 << 10, round);
                                        assertEquals(0, VbdLab.write(front, offset, data));
                                        assertEquals(0, VbdLab.read(front, offset, got));
                                        assertArrayEquals(data, got);
                                    }
                                }));
            }
            try {
                for (int replaced = 0; replaced < 6; replaced++) {
                    if (replaced % 2 == 0) {
                        back.close();
                    } else {
                        back.frontendGone();
                    }
                    back = lab.backend(disk);
                    ServedVbd now = back;
                    Awaitility.await().until(() -> now.state() == XenbusState.CONNECTED);
                }
            } finally {
                enough.set(true);
            }
            for (CompletableFuture<Void> writer : writers) {
                writer.join();
            }
            front.close();
            back.close();
            assertEquals(0, lab.hypervisor.mappedTotal());
            assertEquals(0, lab.guest.grants().quarantinedCount());
        }
    }

    @Test
    void aFrontendWithoutABackendGivesUpAndGivesBack() throws Exception {
        try (VbdLab lab = new VbdLab()) {
            int free = lab.guest.pages().freeCount();
            HandshakeException e =
                    assertThrows(
                            HandshakeException.class,
                            () ->
                                    lab.frontend(
                                            VbdFrontendOptions.DEFAULT,
                                            FrontendOptions.DEFAULT.withDeadline(
                                                    Duration.ofMillis(50))));
            String message = String.valueOf(e.getMessage());
            assertTrue(message.contains("for backend state 2 (InitWait), it is 1"), message);
            assertEquals(free, lab.guest.pages().freeCount());
        }
    }
}
