package org.splitring.hypervisor.attached;

import io.netty.channel.epoll.EpollIoOps;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.RateLimitedLog;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.PeerCredentials;
import org.splitring.hypervisor.linux.UnixSocket;

/// The attach socket of one domain: accepts, keeps strangers out, and has room for one guest.
///
/// State belongs to the server's loop. How many connections can be open without being the guest is
/// bounded: at the bound nobody is accepted until one of them ends, which a deadline ensures
/// (hostile catalogue H-128, N-20).
public final class AttachSocket implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(AttachSocket.class);
    private static final int MAX_WAITING = 8;
    private static final long ACCEPT_RETRY_NANOS = 100_000_000L;
    static final int PORTS_PER_SLICE = 16;
    static final long UNMAP_SLICE_BYTES = 4L << 20;
    private static final long RETIRE_RETRY_NANOS = 1_000_000L;
    private static final long CLOSE_TIMEOUT_SECONDS = 10;

    private final AttachServer server;
    private final NettyDeviceLoop loop;
    private final UnixSocket socket;
    private final Path path;
    private final DomId guest;
    private final String label;
    private final DomainLimits limits;
    private final GuestListener listener;
    private final RateLimitedLog log = new RateLimitedLog(LOG);

    private final List<AttachConnection> waiting = new ArrayList<>();
    private @Nullable AttachConnection attached;
    private @Nullable AttachedPeer peer;
    private @Nullable FdWatch watch;
    private boolean accepting = true;
    private boolean retryScheduled;
    private boolean closing;
    private final CompletableFuture<Boolean> closed = new CompletableFuture<>();

    AttachSocket(
            AttachServer server,
            UnixSocket socket,
            Path path,
            DomId guest,
            String label,
            DomainLimits limits,
            GuestListener listener) {
        this.server = server;
        loop = server.loop();
        this.socket = socket;
        this.path = path;
        this.guest = guest;
        this.label = label;
        this.limits = limits;
        this.listener = listener;
    }

    void start() {
        loop.execute(
                () ->
                        watch =
                                FdWatch.start(
                                        loop,
                                        socket.fd(),
                                        EpollIoOps.EPOLLIN,
                                        this::acceptAll,
                                        () -> log.warn(label, "nobody can attach now")));
    }

    public Path path() {
        return path;
    }

    public DomId guest() {
        return guest;
    }

    /// Whether this user may attach: the one that this process is, and root.
    static boolean mayAttach(PeerCredentials peer, int ourUser) {
        return peer.uid() == ourUser || peer.uid() == 0;
    }

    private void acceptAll() {
        while (accepting && !closing && waiting.size() < MAX_WAITING) {
            if (!server.descriptors().take(1)) {
                retryLater("no descriptors left, a connection waits");
                return;
            }
            UnixSocket connection;
            try {
                connection = socket.accept();
            } catch (LinuxException e) {
                server.descriptors().give(1);
                retryLater("accept failed: " + e.getMessage());
                return;
            }
            if (connection == null) {
                server.descriptors().give(1);
                return;
            }
            AttachConnection made = new AttachConnection(this, server, connection);
            waiting.add(made);
            made.start(server.helloTimeoutNanos());
        }
    }

    /// Accepting is put off, not given up: who waits goes on waiting.
    private void retryLater(String why) {
        log.warn(label, why);
        if (!retryScheduled) {
            retryScheduled = true;
            loop.schedule(
                    () -> {
                        retryScheduled = false;
                        acceptAll();
                    },
                    ACCEPT_RETRY_NANOS);
        }
    }

    DomainLimits limits() {
        return limits;
    }

    /// A log line that somebody at the other end of the socket has caused.
    void warn(String what) {
        log.warn(label, what);
    }

    /// Whether a guest is there, or the last one is not quite gone.
    boolean isTaken() {
        return peer != null;
    }

    /// Whether a guest is attached and shows no sign of leaving. Its connection is looked at now:
    /// one that has just ended, and whose event has not had its turn, must not keep the next out.
    boolean hasGuest() {
        AttachConnection now = attached;
        if (now != null) {
            now.turn();
        }
        return attached != null;
    }

    /// A connection has become the guest.
    void becomeGuest(AttachConnection connection, AttachedPeer peer) {
        waiting.remove(connection);
        attached = connection;
        this.peer = peer;
        server.broker().addGuest(peer);
        LOG.info("{}: attached, {} MiB", label, peer.memoryBytes() >> 20);
        try {
            listener.attached(peer);
        } catch (RuntimeException e) {
            LOG.error("{}: the listener failed at attach", label, e);
            connection.end();
        }
        acceptAll();
    }

    /// A connection has ended.
    void ended(AttachConnection connection) {
        waiting.remove(connection);
        if (attached == connection) {
            attached = null;
            AttachedPeer gone = peer;
            if (gone != null) {
                server.broker().removeGuest(gone);
                closePorts(gone);
            }
        }
        acceptAll();
    }

    /// Teardown in slices, so that the other guests of this loop have their turns between (H-064).
    private void closePorts(AttachedPeer gone) {
        if (!server.broker().closeSomePorts(gone, PORTS_PER_SLICE)) {
            later(() -> closePorts(gone));
            return;
        }
        try {
            listener.detached(gone);
        } catch (RuntimeException e) {
            LOG.error("{}: the listener failed at detach", label, e);
        }
        // The last window to close brings us on, perhaps on its own thread.
        gone.pins().retire(() -> later(() -> retire(gone)));
    }

    private void retire(AttachedPeer gone) {
        try {
            gone.mapping().retire();
        } catch (IllegalStateException e) {
            // A call that was given the segment is still running somewhere.
            laterBy(() -> retire(gone), RETIRE_RETRY_NANOS);
            return;
        }
        unmap(gone);
    }

    private void unmap(AttachedPeer gone) {
        if (!gone.mapping().unmapSlice(UNMAP_SLICE_BYTES)) {
            later(() -> unmap(gone));
            return;
        }
        gone.closeMemoryFd();
        server.descriptors().give(AttachConnection.GUEST_DESCRIPTORS);
        LOG.info("{}: gone, its memory is unmapped", label);
        peer = null;
        if (closing) {
            closed.complete(true);
            return;
        }
        for (AttachConnection connection : List.copyOf(waiting)) {
            connection.placeFree();
        }
    }

    private void later(Runnable task) {
        try {
            loop.execute(task);
        } catch (RejectedExecutionException e) {
            task.run(); // the loop has ended: nobody is left to be held up
        }
    }

    private void laterBy(Runnable task, long delayNanos) {
        try {
            loop.schedule(task, delayNanos);
        } catch (RejectedExecutionException e) {
            LOG.warn("{}: memory stays mapped until the process ends", label);
            closed.complete(false);
        }
    }

    /// Stops listening and ends the guest's attachment, as its death would. Waits, except on the
    /// server's loop, until the guest is detached and, when its devices let go of it in time, its
    /// memory is unmapped. Closing twice does nothing.
    @Override
    public void close() {
        try {
            loop.execute(this::closeNow);
        } catch (RejectedExecutionException e) {
            closeNow();
        }
        if (!loop.inLoop()) {
            try {
                closed.get(CLOSE_TIMEOUT_SECONDS, TimeUnit.SECONDS);
            } catch (TimeoutException e) {
                LOG.warn("{}: closed, but devices still hold its memory", label);
            } catch (ExecutionException e) {
                throw new IllegalStateException("close of " + path, e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void closeNow() {
        if (closing) {
            return;
        }
        closing = true;
        accepting = false;
        server.closed(this);
        FdWatch listening = watch;
        if (listening == null) {
            socket.close();
        } else {
            listening.stop(socket::close);
        }
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            LOG.warn("cannot remove {}: {}", path, e.getMessage());
        }
        for (AttachConnection connection : List.copyOf(waiting)) {
            connection.end();
        }
        AttachConnection now = attached;
        if (now != null) {
            now.end();
        }
        if (peer == null) {
            closed.complete(true);
        }
    }
}
