package org.splitring.hypervisor.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.net.InetSocketAddress;
import java.nio.file.Path;

/// A connected stream socket, TCP or Unix, that receives into and sends from scattered memory
/// (`readv`, `sendmsg`). Unlike a `SocketChannel` it takes memory that is no buffer, and an
/// interrupted thread does not close it.
///
/// The descriptor is non-blocking and close-on-exec. One thread at a time receives, and one at a
/// time sends; [#shutDown] and [#close] come from any thread.
public final class StreamSocket implements AutoCloseable {
    private static final int SOCK_STREAM = 1;
    private static final int SOCK_NONBLOCK = 0x800;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int SOL_SOCKET = 1;
    private static final int SO_ERROR = 4;
    private static final int SO_KEEPALIVE = 9;
    private static final int IPPROTO_TCP = 6;
    private static final int TCP_NODELAY = 1;
    private static final int TCP_KEEPIDLE = 4;
    private static final int TCP_KEEPINTVL = 5;
    private static final int TCP_USER_TIMEOUT = 18;
    private static final int QUIET_SECONDS = 10;
    private static final int GONE_MILLIS = 30_000;
    private static final int SHUT_RDWR = 2;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int EINPROGRESS = 115;
    private static final int IOV_MAX = 1024;
    private static final short POLLIN = 1;
    private static final short POLLOUT = 4;

    private static final Native.Function SOCKET = Native.function("socket");
    private static final Native.Function CONNECT = Native.function("connect");
    private static final Native.Function GETSOCKOPT = Native.function("getsockopt");
    private static final Native.Function SETSOCKOPT = Native.function("setsockopt");
    private static final Native.Function POLL = Native.function("poll");
    private static final Native.Function READV = Native.function("readv");
    private static final Native.Function SENDMSG = Native.function("sendmsg");
    private static final Native.Function SHUTDOWN = Native.function("shutdown");

    private final SharedFd fd;

    // struct pollfd: fd 0, events 4 (s16), revents 6. One for each direction.
    private final MemorySegment pollIn = Arena.ofAuto().allocate(8, 4);
    private final MemorySegment pollOut = Arena.ofAuto().allocate(8, 4);
    private final MemorySegment msghdr = Arena.ofAuto().allocate(56, 8); // as in UnixSocket

    private StreamSocket(int number) {
        fd = new SharedFd(number);
        pollIn.set(ValueLayout.JAVA_INT, 0, number);
        pollIn.set(ValueLayout.JAVA_SHORT, 4, POLLIN);
        pollOut.set(ValueLayout.JAVA_INT, 0, number);
        pollOut.set(ValueLayout.JAVA_SHORT, 4, POLLOUT);
    }

    /// Connects to a Unix socket.
    ///
    /// @throws LinuxException with `EAGAIN` when too many wait there already
    /// @throws IOException when the path is too long, or nobody listens
    public static StreamSocket connect(Path path, int timeoutMillis) throws IOException {
        SockAddr peer = SockAddr.of(path);
        StreamSocket socket = new StreamSocket(newSocket(peer.family()));
        socket.connect(peer, path.toString(), timeoutMillis);
        return socket;
    }

    /// Connects over TCP. Small messages are sent at once (`TCP_NODELAY`), and a machine that is
    /// gone without a word ends the connection after 30 s (`TCP_USER_TIMEOUT`, `SO_KEEPALIVE`).
    ///
    /// @param address resolved
    /// @throws LinuxException among others with `ETIMEDOUT`
    public static StreamSocket connect(InetSocketAddress address, int timeoutMillis)
            throws IOException {
        SockAddr peer = SockAddr.of(address);
        StreamSocket socket = new StreamSocket(newSocket(peer.family()));
        socket.connect(
                peer,
                address.getAddress().getHostAddress() + " port " + address.getPort(),
                timeoutMillis);
        socket.setOption(IPPROTO_TCP, TCP_NODELAY, 1);
        socket.setOption(SOL_SOCKET, SO_KEEPALIVE, 1);
        socket.setOption(IPPROTO_TCP, TCP_KEEPIDLE, QUIET_SECONDS);
        socket.setOption(IPPROTO_TCP, TCP_KEEPINTVL, QUIET_SECONDS);
        socket.setOption(IPPROTO_TCP, TCP_USER_TIMEOUT, GONE_MILLIS);
        return socket;
    }

    private static int newSocket(int family) throws LinuxException {
        int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
        return Fd.check("socket", SOCKET.callInt(family, type, 0));
    }

    private void connect(SockAddr peer, String who, int timeoutMillis) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            int result = CONNECT.callInt(fd.number(), peer.address(), peer.sizeBytes());
            if (result == -EINPROGRESS || result == -Errno.EINTR) {
                result = awaitWritable(timeoutMillis) ? error(arena) : -Errno.ETIMEDOUT;
            }
            Fd.check("connect to " + who, result);
        } catch (LinuxException e) {
            close();
            throw e;
        } finally {
            Reference.reachabilityFence(peer);
        }
    }

    private int error(Arena arena) throws LinuxException {
        MemorySegment value = arena.allocate(4, 4);
        MemorySegment length = arena.allocate(4, 4);
        length.set(ValueLayout.JAVA_INT, 0, 4);
        int result =
                GETSOCKOPT.callInt(
                        fd.number(), SOL_SOCKET, SO_ERROR, value.address(), length.address());
        Fd.check("getsockopt SO_ERROR", result);
        return -value.get(ValueLayout.JAVA_INT, 0);
    }

    private void setOption(int level, int option, int value) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocateFrom(ValueLayout.JAVA_INT, value);
            int result = SETSOCKOPT.callInt(fd.number(), level, option, memory.address(), 4);
            Fd.check("setsockopt " + option, result);
        } catch (LinuxException e) {
            close();
            throw e;
        }
    }

    /// Receives what is there.
    ///
    /// @param into not empty; is not advanced
    /// @return bytes; 0 when the peer has ended the connection; or `-errno`: `-EAGAIN` when there
    ///     is nothing yet, `-EBADF` after [#close]
    public long receive(IoVector into) {
        if (!fd.enter()) {
            return -Errno.EBADF;
        }
        long result;
        try {
            do {
                result = READV.call(fd.number(), into.address(), Math.min(into.size(), IOV_MAX));
            } while (result == -Errno.EINTR);
        } finally {
            Reference.reachabilityFence(into);
            fd.exit();
        }
        return result;
    }

    /// Sends what the socket takes.
    ///
    /// @param from not empty; is not advanced
    /// @return bytes, or `-errno`: `-EAGAIN` when it takes nothing now, `-EPIPE` when the
    ///     connection has ended, `-EBADF` after [#close]
    public long send(IoVector from) {
        if (!fd.enter()) {
            return -Errno.EBADF;
        }
        msghdr.set(ValueLayout.JAVA_LONG, 16, from.address());
        msghdr.set(ValueLayout.JAVA_LONG, 24, Math.min(from.size(), IOV_MAX));
        long result;
        try {
            do {
                result = SENDMSG.call(fd.number(), msghdr.address(), MSG_NOSIGNAL);
            } while (result == -Errno.EINTR);
        } finally {
            Reference.reachabilityFence(from);
            Reference.reachabilityFence(this);
            fd.exit();
        }
        return result;
    }

    /// Waits until there is something to receive, or the connection has ended.
    ///
    /// @return `false` when the time is up, or the socket closed
    public boolean awaitReadable(int timeoutMillis) throws LinuxException {
        return poll(pollIn, timeoutMillis);
    }

    /// Waits until something can be sent, or the connection has ended. As [#awaitReadable].
    public boolean awaitWritable(int timeoutMillis) throws LinuxException {
        return poll(pollOut, timeoutMillis);
    }

    private boolean poll(MemorySegment pollfd, int timeoutMillis) throws LinuxException {
        if (!fd.enter()) {
            return false;
        }
        int result;
        try {
            result = POLL.callInt(pollfd.address(), 1L, timeoutMillis);
        } finally {
            Reference.reachabilityFence(this);
            fd.exit();
        }
        return result != -Errno.EINTR && Fd.check("poll", result) > 0;
    }

    /// Ends the connection now, for both ends, and wakes who waits here. The descriptor stays open
    /// until [#close].
    public void shutDown() {
        if (fd.enter()) {
            try {
                // It fails only when there is no connection any more, which is what we want.
                int _ = SHUTDOWN.callInt(fd.number(), SHUT_RDWR);
            } finally {
                fd.exit();
            }
        }
    }

    /// Closes the descriptor as soon as nobody uses it. Closing twice does nothing.
    @Override
    public void close() {
        fd.close();
    }
}
