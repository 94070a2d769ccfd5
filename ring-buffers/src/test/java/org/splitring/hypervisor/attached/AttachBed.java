package org.splitring.hypervisor.attached;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.Fd;

/// A driver domain in this process: loops, server, and a listener that remembers who came and went.
final class AttachBed implements AutoCloseable {
    static final DomainLimits LIMITS = new DomainLimits(64L << 20, 32, 4096, 32);

    final Path folder;
    final NettyDeviceLoops loops = new NettyDeviceLoops("driver-domain", 2, 0);
    final AttachServer server;
    final Recorder recorder = new Recorder();

    AttachBed(Path folder) throws IOException {
        this(folder, DescriptorBudget.ofProcess(), 10_000_000_000L);
    }

    AttachBed(Path folder, DescriptorBudget budget, long helloTimeoutNanos) {
        this.folder = folder;
        server = new AttachServer(DomId.ZERO, loops.loop(0), budget, helloTimeoutNanos);
    }

    static final class Recorder implements GuestListener {
        final List<AttachedPeer> attached = new CopyOnWriteArrayList<>();
        final List<AttachedPeer> detached = new CopyOnWriteArrayList<>();

        @Override
        public void attached(AttachedPeer peer) {
            attached.add(peer);
            Fd.close(peer.storeFd());
        }

        @Override
        public void detached(AttachedPeer peer) {
            detached.add(peer);
        }
    }

    AttachSocket listen(int domid) throws IOException {
        return listen(domid, LIMITS);
    }

    AttachSocket listen(int domid, DomainLimits limits) throws IOException {
        return server.listen(path(domid), new DomId(domid), limits, recorder);
    }

    Path path(int domid) {
        return folder.resolve("attach" + domid);
    }

    /// The latest attachment, once there are `count`.
    AttachedPeer peer(int count) {
        await(() -> recorder.attached.size() >= count);
        return recorder.attached.get(count - 1);
    }

    static void await(java.util.concurrent.Callable<Boolean> condition) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(2))
                .until(condition);
    }

    static long openDescriptors() {
        try (Stream<Path> fds = Files.list(Path.of("/proc/self/fd"))) {
            return fds.count();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /// Mappings of guest memory in this process.
    static long guestMappings() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.filter(line -> line.contains("memfd:")).count();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    static void awaitDescriptors(long count) {
        await(() -> openDescriptors() <= count);
    }

    /// Those that have ended may need a moment to be gone: somebody's who waited before, say.
    static void awaitThreads(int count) {
        Awaitility.await()
                .pollInSameThread()
                .until(() -> Thread.getAllStackTraces().size() <= count);
    }

    @Override
    public void close() {
        server.close();
        loops.close();
    }
}
