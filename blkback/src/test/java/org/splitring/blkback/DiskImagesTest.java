package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.image.DiskSource;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;

@Timeout(30)
class DiskImagesTest {
    private static final DevicePaths WEB = DevicePaths.vbd(new DomId(1), DomId.ZERO, 51712);
    private static final DevicePaths DB = DevicePaths.vbd(new DomId(2), DomId.ZERO, 51712);

    @TempDir Path folder;
    private Path image;
    private final List<String> heard = new ArrayList<>();

    private final DiskImages images =
            new DiskImages(
                    new ImageListener() {
                        @Override
                        public String name(DevicePaths vbd) {
                            return "disk of domain " + vbd.frontendDomain();
                        }

                        @Override
                        public void opened(DevicePaths vbd, DiskSource opened) {
                            heard.add("opened " + vbd.frontendDomain());
                        }

                        @Override
                        public void closed(DevicePaths vbd, DiskSource closed) {
                            heard.add("closed " + vbd.frontendDomain());
                        }
                    });

    /// Handshakes run on virtual threads, which the calls of the kernel must not use up.
    @Test
    void imagesThatAreOpenedSlowlyLeaveVirtualThreadsToOthers() throws Exception {
        Path socket = folder.resolve("s");
        int slow = 2 * Runtime.getRuntime().availableProcessors() + 2;
        List<Thread> waiting = new ArrayList<>();
        try (ServerSocketChannel silent = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            silent.bind(UnixDomainSocketAddress.of(socket));
            for (int i = 0; i < slow; i++) {
                DevicePaths vbd = DevicePaths.vbd(new DomId(10 + i), DomId.ZERO, 51712);
                String export = "nbd:unix:" + socket + ":exportname=" + i;
                waiting.add(Thread.ofVirtual().start(() -> hold(vbd, export)));
            }
            List<SocketChannel> clients = new ArrayList<>();
            try {
                clients.add(silent.accept()); // the first is waiting now
                assertAnotherRunsBeside(waiting);
                while (clients.size() < slow) {
                    clients.add(silent.accept());
                }
                assertAnotherRunsBeside(waiting);
            } finally {
                for (SocketChannel client : clients) {
                    client.close();
                }
            }
        }
        for (Thread thread : waiting) {
            thread.join();
        }
    }

    /// It does not wait for its turn until some of them have given up, in five seconds.
    private static void assertAnotherRunsBeside(List<Thread> waiting) throws Exception {
        CompletableFuture<Long> other = new CompletableFuture<>();
        Thread.ofVirtual()
                .start(() -> other.complete(waiting.stream().filter(Thread::isAlive).count()));
        long beside = other.get(20, TimeUnit.SECONDS);
        assertTrue(beside > Runtime.getRuntime().availableProcessors(), "beside " + beside);
    }

    private void hold(DevicePaths vbd, String export) {
        assertThrows(
                DiskException.class,
                () ->
                        images.hold(
                                vbd,
                                DiskSource.parse(export),
                                DiskAccess.READ_WRITE,
                                DiskMode.WRITEBACK));
    }

    @Test
    void aServerThatDoesNotAnswerKeepsNoOtherDiskWaiting() throws Exception {
        Path socket = folder.resolve("s");
        try (ServerSocketChannel silent = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            silent.bind(UnixDomainSocketAddress.of(socket));
            CompletableFuture<String> first = new CompletableFuture<>();
            Thread.ofPlatform()
                    .daemon()
                    .start(
                            () -> {
                                try {
                                    DiskSource source = DiskSource.parse("nbd:unix:" + socket);
                                    images.hold(
                                                    DB,
                                                    source,
                                                    DiskAccess.READ_WRITE,
                                                    DiskMode.WRITEBACK)
                                            .close();
                                    first.complete("opened");
                                } catch (DiskException e) {
                                    first.complete(e.getMessage());
                                }
                            });
            try (SocketChannel client = silent.accept()) {
                images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK).close();
                assertFalse(first.isDone(), "it waits for the handshake");
                client.shutdownOutput();
                assertTrue(first.get(20, TimeUnit.SECONDS).contains("closed the connection"));
            }
        }
    }

    @BeforeEach
    void makeImage() throws IOException {
        image = Files.write(folder.resolve("disk.img"), new byte[4096]);
    }

    private DiskSource source() {
        return DiskSource.raw(image);
    }

    private String refusedBeside(DevicePaths vbd, Path path, DiskAccess access) {
        DiskException e =
                assertThrows(
                        DiskException.class,
                        () ->
                                images.hold(vbd, DiskSource.raw(path), access, DiskMode.WRITEBACK)
                                        .close());
        return String.valueOf(e.getMessage());
    }

    @Test
    void anImageIsOpenOnceAndLockedUntilTheLastHoldEnds() throws Exception {
        DiskImages.Hold lab = images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK);
        DiskImages.Hold backend =
                images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK);
        assertSame(lab.disk(), backend.disk());
        backend.close();
        backend.close(); // a hold ends once
        assertThrows(DiskException.class, () -> DiskImage.open(image, DiskMode.WRITEBACK).close());
        DiskImages.Hold again =
                images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK);
        assertSame(lab.disk(), again.disk());
        lab.close();
        assertThrows(DiskException.class, () -> DiskImage.open(image, DiskMode.WRITEBACK).close());
        again.close();
        DiskImage.open(image, DiskMode.WRITEBACK).close();
        assertEquals(List.of("opened 1", "closed 1"), heard);
    }

    @Test
    void n26_aSecondWriterIsRefusedByNameAlsoThroughALink() throws Exception {
        Path link = Files.createSymbolicLink(folder.resolve("link.img"), image);
        try (DiskImages.Hold web =
                images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK)) {
            for (DiskAccess access : DiskAccess.values()) {
                assertEquals(
                        "image " + link + " is in use by disk of domain 1",
                        refusedBeside(DB, link, access));
            }
            assertTrue(
                    refusedBeside(WEB, link, DiskAccess.READ_WRITE).contains("is in use"),
                    "the same vbd, opened otherwise");
            assertEquals(4096, web.disk().sizeBytes());
        }
        images.hold(DB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK).close();
    }

    @Test
    void aReleasedImageIsFreeAndAnotherTakesItsPlace() throws Exception {
        Path other = Files.write(folder.resolve("other.img"), new byte[8192]);
        DiskImages.Hold lab = images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK);
        DiskImages.Hold backend =
                images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK);
        backend.release();
        DiskImage.open(image, DiskMode.WRITEBACK).close();
        images.hold(DB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK).close();
        assertEquals(4096, lab.disk().sizeBytes(), "what was published still stands");
        assertThrows(DiskException.class, () -> lab.disk().resize(8192));
        DiskSource missing = DiskSource.raw(folder.resolve("missing.img"));
        assertThrows(DiskException.class, () -> backend.reopen(missing));
        try (DiskImages.Hold db =
                images.hold(DB, DiskSource.raw(other), DiskAccess.READ_WRITE, DiskMode.WRITEBACK)) {
            DiskException e =
                    assertThrows(DiskException.class, () -> backend.reopen(DiskSource.raw(other)));
            assertEquals("image " + other + " is in use by disk of domain 2", e.getMessage());
            try (DiskImages.Hold third =
                    images.hold(
                            WEB,
                            DiskSource.raw(other),
                            DiskAccess.READ_WRITE,
                            DiskMode.WRITEBACK)) {
                // A disk that is paused has no image that it could be told by.
                assertSame(lab.disk(), third.disk());
            }
            assertEquals(8192, db.disk().sizeBytes());
        }
        backend.reopen(DiskSource.raw(other));
        assertEquals(8192, lab.disk().sizeBytes());
        assertTrue(refusedBeside(DB, other, DiskAccess.READ_WRITE).contains("domain 1"));
        lab.disk().resize(4096);
        assertEquals(4096, Files.size(other));
        backend.close();
        lab.close();
        images.hold(WEB, DiskSource.raw(other), DiskAccess.READ_WRITE, DiskMode.WRITEBACK).close();
    }

    @Test
    void readersShareAFileAndKeepWritersOut() throws Exception {
        try (DiskImages.Hold web =
                        images.hold(WEB, source(), DiskAccess.READ_ONLY, DiskMode.WRITEBACK);
                DiskImages.Hold db =
                        images.hold(DB, source(), DiskAccess.READ_ONLY, DiskMode.WRITEBACK)) {
            assertNotSame(web.disk(), db.disk());
            assertTrue(refusedBeside(DB, image, DiskAccess.READ_WRITE).contains("is in use by"));
        }
    }

    @Test
    void anImageThatCannotBeOpenedLeavesNothing() throws Exception {
        assertTrue(
                refusedBeside(WEB, folder.resolve("none.img"), DiskAccess.READ_WRITE)
                        .contains("none.img: no such file"));
        assertTrue(refusedBeside(WEB, folder, DiskAccess.READ_WRITE).contains("is a folder"));
        assertEquals(List.of(), heard);
        images.hold(WEB, source(), DiskAccess.READ_WRITE, DiskMode.WRITEBACK).close();
    }
}
