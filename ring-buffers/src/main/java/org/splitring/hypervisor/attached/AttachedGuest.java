package org.splitring.hypervisor.attached;

import static org.splitring.hypervisor.attached.AttachMessage.U32;
import static org.splitring.hypervisor.attached.AttachMessage.U64;

import io.netty.channel.epoll.EpollIoOps;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestGrantTable;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Mapping;
import org.splitring.hypervisor.linux.Memfd;
import org.splitring.hypervisor.linux.Packet;
import org.splitring.hypervisor.linux.Pipe;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.wire.XenstoreRingLayout;

/// A guest that is this process, attached to a driver domain that is another one.
///
/// Its memory is a sealed memfd of which every page exists before the driver domain sees it. The
/// attach socket is served by one loop; calls that need an answer wait for it, so they must not
/// come from that loop.
public final class AttachedGuest implements GuestDomain {
    private static final Logger LOG = LoggerFactory.getLogger(AttachedGuest.class);
    private static final int SEALS = Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL;
    private static final int MAX_TABLE_FRAMES = 32;
    private static final long TIMEOUT_NANOS = 10_000_000_000L;
    private static final long RETRY_NANOS = 10_000_000L;
    private static final int MAX_UNSENT = 1024;
    private static final EpollIoOps OPS =
            EpollIoOps.EPOLLIN.with(EpollIoOps.EPOLLOUT).with(EpollIoOps.EPOLLRDHUP);

    private final UnixSocket socket;
    private final NettyDeviceLoop loop;
    private final Runnable onLost;
    private final Mapping mapping;
    private final GuestMemory memory;
    private final PageAllocator pages;
    private final GuestGrantTable grants;
    private final int xenstoreGfn;
    private final Ports ports = new Ports();
    private final Packet packet = new Packet(AttachMessage.MAX_BYTES);

    // Guarded by the monitor of `requests`.
    private final Map<Integer, CompletableFuture<Reply>> requests = new HashMap<>();
    private final ArrayDeque<byte[]> unsent = new ArrayDeque<>();
    private final Set<GuestEventChannel> channels = new HashSet<>();
    private int nextSeq = 1;
    private boolean lost;
    private boolean closed;

    private @Nullable FdWatch watch;
    private DomId id = DomId.ZERO;
    private DomId backend = DomId.ZERO;
    private int storeFd = -1;

    /// What came back; descriptors belong to whoever waited.
    private record Reply(int status, int word0, int word1, int word2, List<Integer> descriptors) {}

    private AttachedGuest(
            UnixSocket socket,
            NettyDeviceLoop loop,
            Runnable onLost,
            Mapping mapping,
            int tableFrames) {
        this.socket = socket;
        this.loop = loop;
        this.onLost = onLost;
        this.mapping = mapping;
        memory = new GuestMemory(mapping.segment());
        pages = new PageAllocator(memory, tableFrames);
        grants = new GuestGrantTable(memory, 0, tableFrames, pages);
        xenstoreGfn = pages.allocate(1);
    }

    /// Attaches as the guest whose socket this is. Waits for the driver domain; when its socket is
    /// crowded or the last guest is not quite gone, for up to ten seconds.
    ///
    /// @param memoryBytes size of the memory, a multiple of 4096
    /// @param loop serves the attach socket; devices may use others
    /// @param onLost runs once on the loop when the driver domain is gone; not after [#close]
    /// @throws IOException when nobody listens there, or we are refused: the message says why
    public static AttachedGuest attach(
            Path path, long memoryBytes, NettyDeviceLoop loop, Runnable onLost) throws IOException {
        if (memoryBytes < 2L * GuestMemory.PAGE_SIZE || memoryBytes % GuestMemory.PAGE_SIZE != 0) {
            throw new IllegalArgumentException("guest memory of " + memoryBytes + " bytes");
        }
        if (loop.inLoop()) {
            throw new IllegalStateException("attach waits for the loop that it is called on");
        }
        UnixSocket socket = connect(path);
        Mapping mapping = null;
        int fd = -1;
        AttachedGuest guest;
        long memoryPages = memoryBytes / GuestMemory.PAGE_SIZE;
        int frames = Math.clamp(memoryPages / 64, 1, MAX_TABLE_FRAMES);
        try {
            fd = Memfd.create("splitring-guest", memoryBytes);
            Memfd.addSeals(fd, SEALS);
            // Every page now, and on our account: a page that the driver domain touched first
            // would be charged to it.
            mapping = Mapping.populated(fd, memoryBytes);
            guest = new AttachedGuest(socket, loop, onLost, mapping, frames);
            guest.start();
        } catch (LinuxException e) {
            if (mapping != null) {
                mapping.close();
            }
            if (fd >= 0) {
                Fd.close(fd);
            }
            socket.close();
            throw e;
        }
        try {
            guest.hello(fd, memoryBytes, frames);
            return guest;
        } catch (IOException e) {
            guest.close();
            throw new IOException("attach to " + path + ": " + e.getMessage(), e);
        } finally {
            Fd.close(fd); // mapped here, and passed on: nobody needs the number
        }
    }

    private static UnixSocket connect(Path path) throws IOException {
        long start = System.nanoTime();
        while (true) {
            try {
                return UnixSocket.connect(path);
            } catch (LinuxException e) {
                if (e.errno() != Errno.EAGAIN || System.nanoTime() - start > TIMEOUT_NANOS) {
                    throw e;
                }
                LockSupport.parkNanos(RETRY_NANOS);
            }
        }
    }

    private void start() {
        loop.execute(
                () ->
                        watch =
                                FdWatch.start(
                                        loop, socket.fd(), OPS, this::turn, this::disconnected));
    }

    private void hello(int memoryFd, long memoryBytes, int tableFrames) throws IOException {
        Reply reply;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment hello = arena.allocate(AttachMessage.HELLO_REQUEST);
            hello.set(U32, AttachMessage.MAGIC_AT, AttachMessage.MAGIC);
            hello.set(U32, AttachMessage.VERSION_AT, AttachMessage.VERSION);
            hello.set(U64, AttachMessage.MEMORY_BYTES_AT, memoryBytes);
            hello.set(U32, AttachMessage.TABLE_GFN_AT, 0);
            hello.set(U32, AttachMessage.TABLE_FRAMES_AT, tableFrames);
            hello.set(U32, AttachMessage.XENSTORE_GFN_AT, xenstoreGfn);
            reply = await(request(AttachMessage.HELLO, hello, memoryFd));
        }
        if (reply.status() != 0) {
            throw new LinuxException(
                    switch (-reply.status()) {
                        case Errno.EBUSY -> "refused, another guest is attached";
                        case Errno.EACCES -> "refused, this user may not attach";
                        case Errno.EFBIG ->
                                "refused, " + memoryBytes + " bytes are more than allowed";
                        case Errno.EPROTONOSUPPORT ->
                                "refused, the driver domain speaks version " + reply.word0();
                        default -> "refused";
                    },
                    -reply.status());
        }
        if (reply.descriptors().size() != 1) {
            closeAll(reply.descriptors());
            throw new LinuxException("hello answered without a store", Errno.EPROTO);
        }
        storeFd = reply.descriptors().getFirst();
        id = new DomId(reply.word1());
        backend = new DomId(reply.word2());
    }

    @Override
    public DomId id() {
        return id;
    }

    /// Domain of the backends.
    public DomId backendDomain() {
        return backend;
    }

    /// Our half of the xenstore connection: a blocking stream socket that carries `xs_wire`
    /// messages. It belongs to the caller, who closes it before or after this.
    public int storeFd() {
        return storeFd;
    }

    /// Our end of the xenstore page, with the port that the driver domain made for it. Waits for
    /// the
    /// driver domain, so not from the loop of the attach socket; once for each attachment.
    ///
    /// @throws EventChannelException when the driver domain serves no such page: `ENOTSUP`; or when
    ///     the port was taken or closed before
    public XenstorePage openXenstorePage() throws EventChannelException {
        MemorySegment page = memory.pages(xenstoreGfn, 1);
        int port = page.get(U32, XenstoreRingLayout.EVTCHN_PORT);
        if (port == 0) {
            throw new EventChannelException(
                    Errno.EOPNOTSUPP, "the driver domain serves no xenstore page");
        }
        return new XenstorePage(page, ports.bindStatic(port), () -> {});
    }

    @Override
    public GuestMemory memory() {
        return memory;
    }

    @Override
    public PageAllocator pages() {
        return pages;
    }

    @Override
    public GrantTable grants() {
        return grants;
    }

    @Override
    public EventChannels eventChannels() {
        return ports;
    }

    /// Whether the driver domain is gone.
    public boolean isLost() {
        synchronized (requests) {
            return lost;
        }
    }

    private final class Ports implements EventChannels {
        @Override
        public EventChannel allocUnbound(DomId remote) throws EventChannelException {
            return open(AttachMessage.ALLOC_UNBOUND, remote.value(), 0);
        }

        @Override
        public EventChannel bindInterdomain(DomId remote, int remotePort)
                throws EventChannelException {
            return open(AttachMessage.BIND_INTERDOMAIN, remote.value(), remotePort);
        }

        EventChannel bindStatic(int port) throws EventChannelException {
            return open(AttachMessage.BIND_STATIC, port, 0);
        }

        private EventChannel open(int type, int remote, int remotePort)
                throws EventChannelException {
            String what =
                    switch (type) {
                        case AttachMessage.ALLOC_UNBOUND -> "port for domain " + remote;
                        case AttachMessage.BIND_STATIC ->
                                "port " + remote + " of the xenstore page";
                        default -> "bind to port " + remotePort + " of domain " + remote;
                    };
            Reply reply;
            try {
                reply = await(request(type, remote, remotePort));
            } catch (LinuxException e) {
                throw new EventChannelException(e.errno(), what + ": " + e.getMessage());
            }
            if (reply.status() != 0) {
                throw new EventChannelException(
                        -reply.status(), what + ": " + Errno.describe(-reply.status()));
            }
            if (reply.descriptors().size() != 2) {
                closeAll(reply.descriptors());
                throw new EventChannelException(Errno.EPROTO, what + " came without descriptors");
            }
            EventFd kick = EventFd.adopt(reply.descriptors().get(0));
            Pipe.Reader wake;
            try {
                wake = Pipe.Reader.adopt(reply.descriptors().get(1));
            } catch (LinuxException e) {
                closeAll(reply.descriptors());
                throw new EventChannelException(e.errno(), what + ": " + e.getMessage());
            }
            GuestEventChannel channel =
                    new GuestEventChannel(AttachedGuest.this, reply.word0(), kick, wake);
            synchronized (requests) {
                channels.add(channel);
            }
            return channel;
        }
    }

    EventChannelStatus status(int port) {
        try {
            return switch (await(request(AttachMessage.STATUS, port, 0)).word0()) {
                case 1 -> EventChannelStatus.UNBOUND;
                case 2 -> EventChannelStatus.INTERDOMAIN;
                default -> EventChannelStatus.CLOSED;
            };
        } catch (LinuxException e) {
            return EventChannelStatus.CLOSED; // without a driver domain there is no port
        }
    }

    /// A channel was closed here: tells the driver domain, and does not wait for its answer.
    void closed(GuestEventChannel channel) {
        synchronized (requests) {
            channels.remove(channel);
            if (!lost && !closed) {
                var ignored = request(AttachMessage.CLOSE, channel.port(), 0);
            }
        }
    }

    // --- requests ---

    private CompletableFuture<Reply> request(int type, int word0, int word1) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment message =
                    arena.allocate(
                            AttachMessage.HEADER_BYTES + AttachMessage.requestBodyBytes(type), 8);
            message.set(U32, AttachMessage.WORD0_AT, word0);
            if (type == AttachMessage.BIND_INTERDOMAIN) {
                message.set(U32, AttachMessage.WORD1_AT, word1);
            }
            return request(type, message);
        }
    }

    private CompletableFuture<Reply> request(int type, MemorySegment message, int... descriptors) {
        CompletableFuture<Reply> answer = new CompletableFuture<>();
        synchronized (requests) {
            if (lost || closed) {
                answer.completeExceptionally(
                        new LinuxException("driver domain is gone", Errno.ENOTCONN));
                return answer;
            }
            int seq = nextSeq++;
            message.set(U32, AttachMessage.TYPE_AT, type);
            message.set(U32, AttachMessage.SEQ_AT, seq);
            message.set(
                    U32,
                    AttachMessage.LENGTH_AT,
                    (int) message.byteSize() - AttachMessage.HEADER_BYTES);
            long sent =
                    unsent.isEmpty()
                            ? socket.send(message, (int) message.byteSize(), descriptors)
                            : -Errno.EAGAIN;
            if (sent == -Errno.EAGAIN && descriptors.length == 0 && unsent.size() < MAX_UNSENT) {
                unsent.add(message.toArray(ValueLayout.JAVA_BYTE));
            } else if (sent < 0) {
                answer.completeExceptionally(new LinuxException("request", (int) -sent));
                return answer;
            }
            requests.put(seq, answer);
        }
        return answer;
    }

    private Reply await(CompletableFuture<Reply> answer) throws LinuxException {
        if (loop.inLoop()) {
            throw new IllegalStateException("this waits for the loop that it is called on");
        }
        try {
            return answer.get(TIMEOUT_NANOS, TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof LinuxException cause
                    ? cause
                    : new LinuxException("request failed: " + e.getCause(), Errno.EIO);
        } catch (TimeoutException e) {
            return giveUp(answer, new LinuxException("no answer", Errno.ETIMEDOUT));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return giveUp(answer, new LinuxException("waiting for an answer", Errno.EINTR));
        }
    }

    /// Nobody waits for the answer any more: descriptors in a late one are closed. When it has come
    /// just now, it is taken.
    private static Reply giveUp(CompletableFuture<Reply> answer, LinuxException why)
            throws LinuxException {
        if (answer.completeExceptionally(why) || answer.isCompletedExceptionally()) {
            throw why;
        }
        return answer.join();
    }

    // --- the attach socket, on the loop ---

    private void turn() {
        sendUnsent();
        while (true) {
            long received;
            synchronized (requests) {
                if (lost || closed) {
                    return;
                }
                received = socket.receive(packet);
            }
            if (received == -Errno.EAGAIN) {
                return;
            }
            if (received < AttachMessage.HEADER_BYTES || packet.truncated()) {
                packet.closeDescriptors();
                disconnected();
                return;
            }
            answered();
        }
    }

    private void sendUnsent() {
        synchronized (requests) {
            while (!unsent.isEmpty() && !lost && !closed) {
                byte[] message = unsent.getFirst();
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, message);
                    if (socket.send(bytes, message.length) == -Errno.EAGAIN) {
                        return;
                    }
                }
                unsent.removeFirst();
            }
        }
    }

    private void answered() {
        MemorySegment data = packet.data();
        int size = packet.sizeBytes();
        List<Integer> descriptors = new ArrayList<>();
        while (packet.descriptorCount() > 0) {
            descriptors.add(packet.takeDescriptor());
        }
        Reply reply =
                new Reply(
                        data.get(U32, AttachMessage.STATUS_AT),
                        wordOrZero(data, size, AttachMessage.WORD0_AT),
                        wordOrZero(data, size, AttachMessage.WORD1_AT),
                        wordOrZero(data, size, AttachMessage.WORD2_AT),
                        descriptors);
        CompletableFuture<Reply> answer;
        synchronized (requests) {
            answer = requests.remove(data.get(U32, AttachMessage.SEQ_AT));
        }
        if (answer == null || !answer.complete(reply)) {
            closeAll(descriptors);
        }
    }

    private static int wordOrZero(MemorySegment data, int size, long offset) {
        return offset + 4 <= size ? data.get(U32, offset) : 0;
    }

    private void disconnected() {
        List<CompletableFuture<Reply>> waiting;
        synchronized (requests) {
            if (lost || closed) {
                return;
            }
            lost = true;
            waiting = List.copyOf(requests.values());
            requests.clear();
            unsent.clear();
        }
        fail(waiting);
        LOG.warn("domain {}: the driver domain is gone", id);
        onLost.run();
    }

    private static void fail(List<CompletableFuture<Reply>> waiting) {
        for (CompletableFuture<Reply> answer : waiting) {
            answer.completeExceptionally(
                    new LinuxException("driver domain is gone", Errno.ENOTCONN));
        }
    }

    private static void closeAll(List<Integer> descriptors) {
        for (int fd : descriptors) {
            Fd.close(fd);
        }
    }

    /// Gives everything up; the driver domain sees the end of the connection. The descriptor of the
    /// store stays its user's. Closing twice does nothing.
    @Override
    public void close() {
        List<GuestEventChannel> open;
        List<CompletableFuture<Reply>> waiting;
        synchronized (requests) {
            if (closed) {
                return;
            }
            closed = true;
            open = List.copyOf(channels);
            channels.clear();
            waiting = List.copyOf(requests.values());
            requests.clear();
        }
        fail(waiting);
        for (GuestEventChannel channel : open) {
            channel.release();
        }
        // At once, so that who attaches next finds the place free; the descriptor follows on the
        // loop, which may be waiting for it.
        socket.shutDown();
        try {
            loop.execute(this::closeSocket);
        } catch (RejectedExecutionException e) {
            socket.close();
        }
        mapping.close();
    }

    private void closeSocket() {
        FdWatch watching = watch;
        if (watching == null) {
            socket.close();
        } else {
            watching.stop(socket::close);
        }
    }
}
