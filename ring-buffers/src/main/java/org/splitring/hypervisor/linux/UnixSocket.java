package org.splitring.hypervisor.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.jspecify.annotations.Nullable;

/// A Unix socket of type `SOCK_SEQPACKET`: messages with bounds, and descriptors travelling with
/// them. Non-blocking and close-on-exec. One thread at a time uses it.
///
/// The offsets of `struct msghdr` (56 bytes: iov 16, iovlen 24, control 32, controllen 40, flags
/// 48) are those of 64-bit Linux, x86-64 and aarch64.
public final class UnixSocket implements AutoCloseable {
    /// Longest path that fits into `struct sockaddr_un` with its terminating zero.
    public static final int MAX_PATH_BYTES = 107;

    private static final int SOCK_STREAM = 1;
    private static final int SOCK_SEQPACKET = 5;
    private static final int SOCK_NONBLOCK = 0x800;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int SHUT_RDWR = 2;
    private static final int SOL_SOCKET = 1;
    private static final int SO_PEERCRED = 17;
    private static final int SCM_RIGHTS = 1;
    private static final int MSG_DONTWAIT = 0x40;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int MSG_CMSG_CLOEXEC = 0x40000000;
    private static final short POLLIN = 1;

    private static final Native.Function SOCKET = Native.function("socket");
    private static final Native.Function BIND = Native.function("bind");
    private static final Native.Function LISTEN = Native.function("listen");
    private static final Native.Function ACCEPT4 = Native.function("accept4");
    private static final Native.Function CONNECT = Native.function("connect");
    private static final Native.Function SOCKETPAIR = Native.function("socketpair");
    private static final Native.Function SENDMSG = Native.function("sendmsg");
    private static final Native.Function RECVMSG = Native.function("recvmsg");
    private static final Native.Function GETSOCKOPT = Native.function("getsockopt");
    private static final Native.Function POLL = Native.function("poll");
    private static final Native.Function SHUTDOWN = Native.function("shutdown");
    private static final Native.Function GETEUID = Native.function("geteuid");

    private final int fd;
    private boolean closed;

    private UnixSocket(int fd) {
        this.fd = fd;
    }

    /// Effective user of this process.
    public static int effectiveUser() {
        return GETEUID.callInt();
    }

    /// Listens on a path that only this user may connect to. A socket that a dead process left
    /// there is replaced.
    ///
    /// @throws IOException when the path is too long (the message says how long it may be), in use
    ///     by a living process, or cannot be made
    public static UnixSocket listen(Path path, int backlog) throws IOException {
        SockAddr address = SockAddr.of(path);
        UnixSocket socket = new UnixSocket(newSocket(SOCK_SEQPACKET));
        try {
            int result = socket.bind(address);
            if (result == -Errno.EADDRINUSE && isStale(path, address)) {
                Files.deleteIfExists(path);
                result = socket.bind(address);
            }
            Fd.check("bind attach socket " + path, result);
            // Between bind and listen nobody can connect: the right moment for permissions.
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
            Fd.check("listen " + path, LISTEN.callInt(socket.fd, backlog));
            return socket;
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    /// Connects to a listening socket.
    ///
    /// @throws LinuxException with `EAGAIN` when too many wait there already
    /// @throws IOException when the path is too long, or nobody listens
    public static UnixSocket connect(Path path) throws IOException {
        SockAddr address = SockAddr.of(path);
        int fd = newSocket(SOCK_SEQPACKET);
        int result = connect(fd, address);
        if (result < 0) {
            Fd.close(fd);
            throw new LinuxException("connect " + path, -result);
        }
        return new UnixSocket(fd);
    }

    /// Two connected sockets.
    public static UnixSocket[] pair() throws LinuxException {
        int[] fds = socketPair(SOCK_SEQPACKET | SOCK_NONBLOCK);
        return new UnixSocket[] {new UnixSocket(fds[0]), new UnixSocket(fds[1])};
    }

    /// Two connected stream sockets, as descriptors.
    public static int[] streamPair() throws LinuxException {
        return socketPair(SOCK_STREAM);
    }

    private static int[] socketPair(int type) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment fds = arena.allocate(8, 4);
            int result =
                    SOCKETPAIR.callInt(SockAddr.AF_UNIX, type | SOCK_CLOEXEC, 0, fds.address());
            Fd.check("socketpair", result);
            return new int[] {fds.get(ValueLayout.JAVA_INT, 0), fds.get(ValueLayout.JAVA_INT, 4)};
        }
    }

    public int fd() {
        return fd;
    }

    /// Takes the next connection.
    ///
    /// @return `null` when nobody waits
    /// @throws LinuxException among others with `EMFILE`: then the connection goes on waiting
    public @Nullable UnixSocket accept() throws LinuxException {
        int result =
                Native.retried(() -> ACCEPT4.callInt(fd, 0L, 0L, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (result == -Errno.EAGAIN) {
            return null;
        }
        return new UnixSocket(Fd.check("accept", result));
    }

    /// Who is at the other end.
    public PeerCredentials credentials() throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ucred = arena.allocate(12, 4); // pid 0, uid 4, gid 8
            MemorySegment length = arena.allocate(4, 4);
            length.set(ValueLayout.JAVA_INT, 0, 12);
            int result =
                    GETSOCKOPT.callInt(
                            fd, SOL_SOCKET, SO_PEERCRED, ucred.address(), length.address());
            Fd.check("getsockopt SO_PEERCRED", result);
            return new PeerCredentials(
                    ucred.get(ValueLayout.JAVA_INT, 0),
                    ucred.get(ValueLayout.JAVA_INT, 4),
                    ucred.get(ValueLayout.JAVA_INT, 8));
        }
    }

    /// Sends one message, all of it or nothing, without waiting. The descriptors stay the caller's.
    ///
    /// @return bytes sent, or `-errno`: `EAGAIN` when the peer does not read
    public long send(MemorySegment message, int sizeBytes, int... descriptors) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment iovec = arena.allocate(16, 8);
            iovec.set(ValueLayout.JAVA_LONG, 0, message.address());
            iovec.set(ValueLayout.JAVA_LONG, 8, sizeBytes);
            MemorySegment msghdr = arena.allocate(56, 8);
            msghdr.set(ValueLayout.JAVA_LONG, 16, iovec.address());
            msghdr.set(ValueLayout.JAVA_LONG, 24, 1);
            if (descriptors.length > 0) {
                int length = Packet.CMSG_HEADER + descriptors.length * 4;
                MemorySegment control = arena.allocate((length + 7) & ~7, 8);
                control.set(ValueLayout.JAVA_LONG, 0, length);
                control.set(ValueLayout.JAVA_INT, 8, SOL_SOCKET);
                control.set(ValueLayout.JAVA_INT, 12, SCM_RIGHTS);
                for (int i = 0; i < descriptors.length; i++) {
                    control.set(ValueLayout.JAVA_INT, Packet.CMSG_HEADER + i * 4L, descriptors[i]);
                }
                msghdr.set(ValueLayout.JAVA_LONG, 32, control.address());
                msghdr.set(ValueLayout.JAVA_LONG, 40, control.byteSize());
            }
            long result;
            do {
                try {
                    result = SENDMSG.call(fd, msghdr.address(), MSG_DONTWAIT | MSG_NOSIGNAL);
                } finally {
                    Reference.reachabilityFence(message);
                }
            } while (result == -Errno.EINTR);
            return result;
        }
    }

    /// Receives one message without waiting. Descriptors in it are close-on-exec and belong to the
    /// packet until they are taken or closed; also those of a message that is refused.
    ///
    /// @return bytes received; 0 when the peer is gone, or sent an empty message, which no protocol
    ///     here has; or `-errno`: `EAGAIN` when there is none
    public long receive(Packet packet) {
        packet.closeDescriptors();
        MemorySegment msghdr = packet.msghdr;
        packet.iovec.set(ValueLayout.JAVA_LONG, 0, packet.data.address());
        packet.iovec.set(ValueLayout.JAVA_LONG, 8, packet.data.byteSize());
        msghdr.fill((byte) 0);
        msghdr.set(ValueLayout.JAVA_LONG, 16, packet.iovec.address());
        msghdr.set(ValueLayout.JAVA_LONG, 24, 1);
        msghdr.set(ValueLayout.JAVA_LONG, 32, packet.control.address());
        msghdr.set(ValueLayout.JAVA_LONG, 40, Packet.CONTROL_BYTES);
        long result;
        do {
            try {
                result = RECVMSG.call(fd, msghdr.address(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
            } finally {
                Reference.reachabilityFence(packet);
            }
        } while (result == -Errno.EINTR);
        if (result >= 0) {
            packet.received((int) result);
        }
        return result;
    }

    /// Waits until a message, the end of the connection or a connection to accept is there. For
    /// programs without an event loop.
    ///
    /// @return `false` when the time is up
    public boolean awaitReadable(int timeoutMillis) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pollfd = arena.allocate(8, 4); // fd 0, events 4 (s16), revents 6
            pollfd.set(ValueLayout.JAVA_INT, 0, fd);
            pollfd.set(ValueLayout.JAVA_SHORT, 4, POLLIN);
            int result = POLL.callInt(pollfd.address(), 1L, timeoutMillis);
            return result != -Errno.EINTR && Fd.check("poll", result) > 0;
        }
    }

    /// Ends the connection now, for both ends: the peer reads its end, and so does whoever waits
    /// on this socket. The descriptor stays open until [#close]. Any thread; nothing happens when
    /// it has ended already.
    public synchronized void shutDown() {
        if (closed) {
            return;
        }
        // The only failure is that there is no connection any more, which is what we want.
        int _ = SHUTDOWN.callInt(fd, SHUT_RDWR);
    }

    /// Closing twice does nothing.
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            Fd.close(fd);
        }
    }

    private static int newSocket(int type) throws LinuxException {
        int result = SOCKET.callInt(SockAddr.AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        return Fd.check("socket", result);
    }

    private int bind(SockAddr address) {
        try {
            return BIND.callInt(fd, address.address(), address.sizeBytes());
        } finally {
            Reference.reachabilityFence(address);
        }
    }

    private static int connect(int fd, SockAddr address) {
        try {
            return CONNECT.callInt(fd, address.address(), address.sizeBytes());
        } finally {
            Reference.reachabilityFence(address);
        }
    }

    /// Whether a path holds a socket of which no process is left.
    private static boolean isStale(Path path, SockAddr address) throws LinuxException {
        int fd = newSocket(SOCK_SEQPACKET);
        int result = connect(fd, address);
        Fd.close(fd);
        return result == -Errno.ECONNREFUSED && !Files.isRegularFile(path);
    }
}
