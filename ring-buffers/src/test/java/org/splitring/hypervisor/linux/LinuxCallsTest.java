package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinuxCallsTest {
    @TempDir Path folder;

    @Test
    void sealedMemoryKeepsItsSizeAndTwoMappingsSeeOneContent() throws Exception {
        int fd = Memfd.create("test", 8192);
        try (Mapping mapping = Mapping.populated(fd, 8192);
                Mapping other = Mapping.of(fd, 8192)) {
            assertEquals(0, Memfd.seals(fd));
            Memfd.addSeals(fd, Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL);
            assertEquals(7, Memfd.seals(fd));
            assertEquals(
                    Errno.EPERM,
                    assertThrows(LinuxException.class, () -> Memfd.resize(fd, 4096)).errno());
            assertEquals(
                    Errno.EPERM,
                    assertThrows(LinuxException.class, () -> Memfd.resize(fd, 12288)).errno());
            mapping.segment().set(ValueLayout.JAVA_LONG, 4096, 42);
            assertEquals(42, other.segment().get(ValueLayout.JAVA_LONG, 4096));
            assertEquals(8192, Fd.status(fd).sizeBytes());
            assertTrue(Fd.status(fd).isRegular());
            assertEquals(8192, Fd.status(fd).allocatedBytes());
            assertEquals(Memfd.TMPFS_MAGIC, FileAttributes.fileSystem(fd).type());
        } finally {
            Fd.close(fd);
        }
    }

    @Test
    void theClockOfAProcessCountsThreadsThatHaveEnded() throws Exception {
        long own = ProcessHandle.current().pid();
        long before = ProcessClock.nanos(own);
        AtomicLong spent = new AtomicLong();
        Thread thread =
                new Thread(
                        () -> {
                            ThreadMXBean threads = ManagementFactory.getThreadMXBean();
                            while (threads.getCurrentThreadCpuTime() < 30_000_000) {
                                Thread.onSpinWait();
                            }
                            spent.set(threads.getCurrentThreadCpuTime());
                        });
        thread.start();
        thread.join();
        assertTrue(ProcessClock.nanos(own) - before >= spent.get(), spent::toString);
        Process ended = new ProcessBuilder("true").start();
        ended.waitFor();
        assertEquals(
                Errno.ESRCH,
                assertThrows(LinuxException.class, () -> ProcessClock.nanos(ended.pid())).errno());
    }

    @Test
    void memoryThatCannotBeSealedSaysSo() throws Exception {
        int fd = Memfd.createUnsealable("test", 4096);
        assertEquals(Memfd.F_SEAL_SEAL, Memfd.seals(fd));
        Fd.close(fd);
        assertEquals(-Errno.EBADF, Memfd.seals(fd));
    }

    @Test
    void windowShowsScatteredPagesInOrder() throws Exception {
        int fd = Memfd.create("test", 16 * 4096);
        try (Mapping whole = Mapping.of(fd, 16 * 4096);
                Mapping window =
                        Mapping.window(fd, new long[] {9 * 4096, 2 * 4096, 5 * 4096}, 4096)) {
            whole.segment().set(ValueLayout.JAVA_INT, 9 * 4096, 9);
            whole.segment().set(ValueLayout.JAVA_INT, 2 * 4096, 2);
            window.segment().set(ValueLayout.JAVA_INT, 2 * 4096, 5);
            assertEquals(9, window.segment().get(ValueLayout.JAVA_INT, 0));
            assertEquals(2, window.segment().get(ValueLayout.JAVA_INT, 4096));
            assertEquals(5, whole.segment().get(ValueLayout.JAVA_INT, 5 * 4096));
            assertEquals(3 * 4096, window.segment().byteSize());
        } finally {
            Fd.close(fd);
        }
        LinuxException e =
                assertThrows(LinuxException.class, () -> Mapping.window(fd, new long[] {0}, 4096));
        assertEquals(Errno.EBADF, e.errno());
    }

    @Test
    void retiredMappingThrowsInsteadOfFaulting() throws Exception {
        int fd = Memfd.create("test", 1 << 20);
        Mapping mapping = Mapping.of(fd, 1 << 20);
        Fd.close(fd);
        MemorySegment segment = mapping.segment();
        assertThrows(IllegalStateException.class, () -> mapping.unmapSlice(4096));
        mapping.retire();
        assertThrows(IllegalStateException.class, () -> segment.get(ValueLayout.JAVA_BYTE, 0));
        assertFalse(mapping.unmapSlice(1 << 19));
        assertTrue(mapping.unmapSlice(1 << 20));
        assertTrue(mapping.unmapSlice(1 << 20));
        mapping.close();
    }

    @Test
    void packetsKeepTheirBoundsAndCarryDescriptors() throws Exception {
        UnixSocket[] pair = UnixSocket.pair();
        MemorySegment message = Arena.ofAuto().allocateFrom("hello");
        Pipe pipe = Pipe.create();
        Packet packet = new Packet(64);
        UnixSocket left = pair[0];
        try (UnixSocket right = pair[1]) {
            assertEquals(-Errno.EAGAIN, right.receive(packet));
            assertEquals(3, left.send(message, 3, pipe.reader().fd(), pipe.writer().fd()));
            assertEquals(2, left.send(message.asSlice(3), 2));
            assertTrue(right.awaitReadable(1000));
            assertEquals(3, right.receive(packet));
            assertFalse(packet.truncated());
            assertEquals(2, packet.descriptorCount());
            Pipe.Reader reader = Pipe.Reader.adopt(packet.takeDescriptor());
            assertTrue(reader.fd() != pipe.reader().fd());
            pipe.writer().signal();
            assertEquals(1, packet.descriptorCount());
            assertTrue(reader.drain());
            assertEquals(2, right.receive(packet));
            assertEquals('l', packet.data().get(ValueLayout.JAVA_BYTE, 0));
            assertEquals(0, packet.descriptorCount());
            reader.close();
            left.close();
            assertEquals(0, right.receive(packet));
        } finally {
            pipe.reader().close();
            pipe.writer().close();
        }
    }

    @Test
    void tooLongPacketIsMarkedAndSurplusDescriptorsAreClosed() throws Exception {
        UnixSocket[] pair = UnixSocket.pair();
        MemorySegment message = Arena.ofAuto().allocate(100);
        int fd = Memfd.create("test", 4096);
        Packet packet = new Packet(64);
        try (UnixSocket left = pair[0];
                UnixSocket right = pair[1]) {
            long before = openDescriptors();
            int[] many = new int[253];
            java.util.Arrays.fill(many, fd);
            assertEquals(100, left.send(message, 100, many));
            right.receive(packet);
            assertTrue(packet.truncated());
            assertEquals(253, packet.descriptorCount());
            assertEquals(before + 253, openDescriptors());
            right.receive(packet); // whatever comes next, what nobody took is closed
            assertEquals(before, openDescriptors());
            assertEquals(0, left.send(message, 0, fd), "an empty message can carry descriptors");
            assertEquals(0, right.receive(packet));
            assertEquals(1, packet.descriptorCount());
            packet.closeDescriptors();
            assertEquals(before, openDescriptors());
        } finally {
            Fd.close(fd);
        }
    }

    @Test
    void listenerAcceptsKnowsItsPeerAndReplacesAStaleSocket() throws Exception {
        Path path = folder.resolve("attach");
        UnixSocket dead = UnixSocket.listen(path, 4);
        LinuxException busy = assertThrows(LinuxException.class, () -> UnixSocket.listen(path, 4));
        assertEquals(Errno.EADDRINUSE, busy.errno());
        dead.close(); // the path stays, as after a kill -9
        assertEquals(
                Errno.ECONNREFUSED,
                assertThrows(LinuxException.class, () -> UnixSocket.connect(path)).errno());
        try (UnixSocket listener = UnixSocket.listen(path, 4)) {
            assertNull(listener.accept());
            try (UnixSocket client = UnixSocket.connect(path);
                    UnixSocket server = listener.accept()) {
                assertNotNull(server);
                PeerCredentials peer = server.credentials();
                assertEquals(ProcessHandle.current().pid(), peer.pid());
                assertEquals(UnixSocket.effectiveUser(), peer.uid());
                assertTrue(client.fd() > 0);
            }
        }
        assertEquals(
                "rw-------",
                java.nio.file.attribute.PosixFilePermissions.toString(
                        Files.getPosixFilePermissions(path)));
    }

    @Test
    void somethingElseAtThePathIsNotReplaced() throws Exception {
        Path path = Files.writeString(folder.resolve("precious"), "content");
        assertThrows(LinuxException.class, () -> UnixSocket.listen(path, 4));
        assertEquals("content", Files.readString(path));
    }

    @Test
    void tooLongSocketPathIsNamedWithTheLimit() {
        Path path = folder.resolve("x".repeat(120));
        IOException e = assertThrows(IOException.class, () -> UnixSocket.listen(path, 4));
        assertTrue(e.toString().contains("at most 107"), e.toString());
        assertTrue(e.toString().contains(path.toString()), e.toString());
        assertThrows(IOException.class, () -> UnixSocket.connect(path));
    }

    @Test
    void fullPipeAndFullCounterNeverBlockTheSender() throws Exception {
        Pipe pipe = Pipe.create();
        for (int i = 0; i < 70_000; i++) {
            pipe.writer().signal();
        }
        assertTrue(pipe.reader().drain());
        pipe.reader().close();
        pipe.writer().signal(); // nobody reads: no SIGPIPE either
        pipe.writer().close();
        pipe.writer().signal();
        assertFalse(pipe.reader().drain());

        EventFd event = EventFd.create();
        MemorySegment almostFull = Arena.ofAuto().allocate(8, 8);
        almostFull.set(ValueLayout.JAVA_LONG, 0, -2L);
        assertEquals(8, Fd.write(event.fd(), almostFull.address(), 8));
        event.signal();
        event.close();
        event.signal();
    }

    @Test
    void lateSignalNeverReachesTheNextFileWithThatNumber() throws Exception {
        // A writer that signals all the time, while the descriptor is closed and its number taken
        // by a file: the file must stay empty.
        for (int round = 0; round < 200; round++) {
            EventFd event = EventFd.create();
            AtomicBoolean stop = new AtomicBoolean();
            Thread signaller =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        while (!stop.get()) {
                                            event.signal();
                                        }
                                    });
            event.close();
            Path path = folder.resolve("victim" + round);
            try (VectoredFile victim =
                    VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.CREATE)) {
                for (int i = 0; i < 100; i++) {
                    event.signal();
                }
                stop.set(true);
                signaller.join();
                assertEquals(0, victim.sizeBytes());
            }
        }
    }

    @Test
    void flagsOfAReceivedDescriptorAreKept() throws Exception {
        EventFd event = EventFd.create();
        Fd.setNonBlocking(event.fd(), false);
        int copy = Fd.duplicate(event.fd());
        assertEquals(0, Fd.flags(copy) & 0x800, "one open file, one set of flags");
        Fd.close(copy);
        event.close();
        assertArrayEquals(new int[] {2}, new int[] {streamPairCount()});
        assertTrue(Fd.limit() > 0);
    }

    private static int streamPairCount() throws LinuxException {
        int[] fds = UnixSocket.streamPair();
        for (int fd : fds) {
            Fd.close(fd);
        }
        return fds.length;
    }

    private static long openDescriptors() throws IOException {
        try (Stream<Path> fds = Files.list(Path.of("/proc/self/fd"))) {
            return fds.count();
        }
    }

    @Test
    void pinnedThreadHasOneProcessor() throws Exception {
        Integer last = Affinity.processors().getLast();
        AtomicReference<Object> seen = new AtomicReference<>();
        Thread thread =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        Affinity.pin(last);
                                        seen.set(Affinity.processors());
                                    } catch (LinuxException e) {
                                        seen.set(e);
                                    }
                                });
        thread.join();
        assertEquals(List.of(last), seen.get());
        assertThrows(LinuxException.class, () -> Affinity.pin(1023));
    }
}
