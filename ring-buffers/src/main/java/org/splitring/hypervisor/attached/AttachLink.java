package org.splitring.hypervisor.attached;

import static org.splitring.hypervisor.attached.AttachMessage.U32;

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
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Packet;
import org.splitring.hypervisor.linux.UnixSocket;

/// One connection of a guest to its attach socket, from the guest's side: requests, their answers,
/// and the ports that were opened over it, which do not outlive it.
///
/// Served by one loop; [#await] waits, so it is not called there.
final class AttachLink {
    private static final long TIMEOUT_NANOS = 10_000_000_000L;
    private static final int MAX_UNSENT = 1024;
    private static final EpollIoOps OPS =
            EpollIoOps.EPOLLIN.with(EpollIoOps.EPOLLOUT).with(EpollIoOps.EPOLLRDHUP);

    private final UnixSocket socket;
    private final NettyDeviceLoop loop;
    private final Consumer<AttachLink> onLost;
    private final Packet packet = new Packet(AttachMessage.MAX_BYTES);

    // Guarded by the monitor of `requests`.
    private final Map<Integer, CompletableFuture<Reply>> requests = new HashMap<>();
    private final ArrayDeque<byte[]> unsent = new ArrayDeque<>();
    private final Set<GuestEventChannel> channels = new HashSet<>();
    private int nextSeq = 1;
    private boolean lost;
    private boolean closed;

    private @Nullable FdWatch watch;

    /// What came back; descriptors belong to whoever waited.
    record Reply(int status, int word0, int word1, int word2, List<Integer> descriptors) {}

    private AttachLink(UnixSocket socket, NettyDeviceLoop loop, Consumer<AttachLink> onLost) {
        this.socket = socket;
        this.loop = loop;
        this.onLost = onLost;
    }

    /// Connects; the first request is for the caller to send.
    ///
    /// @param onLost runs once on the loop when the other side has ended the connection
    /// @throws IOException when nobody listens there; `EAGAIN` when too many wait there already
    static AttachLink connect(Path path, NettyDeviceLoop loop, Consumer<AttachLink> onLost)
            throws IOException {
        AttachLink link = new AttachLink(UnixSocket.connect(path), loop, onLost);
        loop.execute(
                () ->
                        link.watch =
                                FdWatch.start(
                                        loop,
                                        link.socket.fd(),
                                        OPS,
                                        link::turn,
                                        link::disconnected));
        return link;
    }

    boolean isLost() {
        synchronized (requests) {
            return lost;
        }
    }

    /// A port was opened over this connection.
    void opened(GuestEventChannel channel) {
        synchronized (requests) {
            channels.add(channel);
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

    // --- requests ---

    CompletableFuture<Reply> request(int type, int word0, int word1) {
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

    CompletableFuture<Reply> request(int type, MemorySegment message, int... descriptors) {
        CompletableFuture<Reply> answer = new CompletableFuture<>();
        synchronized (requests) {
            if (lost || closed) {
                answer.completeExceptionally(gone());
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

    private static LinuxException gone() {
        return new LinuxException("driver domain is gone", Errno.ENOTCONN);
    }

    /// Waits for an answer; not on the loop.
    Reply await(CompletableFuture<Reply> answer) throws LinuxException {
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
        onLost.accept(this);
    }

    private static void fail(List<CompletableFuture<Reply>> waiting) {
        for (CompletableFuture<Reply> answer : waiting) {
            answer.completeExceptionally(gone());
        }
    }

    static void closeAll(List<Integer> descriptors) {
        for (int fd : descriptors) {
            Fd.close(fd);
        }
    }

    /// Gives everything up that came over this connection; the driver domain sees its end. Closing
    /// twice does nothing.
    void close() {
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
