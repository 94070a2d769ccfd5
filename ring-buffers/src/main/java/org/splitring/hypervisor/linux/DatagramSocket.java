package org.splitring.hypervisor.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;

/// A socket for datagrams, UDP or Unix, that is bound and connected to nobody. Several datagrams
/// are received ([IncomingDatagrams]) or sent ([OutgoingDatagrams]) in one call, which makes no
/// object.
///
/// Non-blocking and close-on-exec. One thread uses it. UDP is over IPv6 and IPv4 at once where the
/// kernel has IPv6, as Java's own sockets are.
public final class DatagramSocket implements AutoCloseable {
    private static final int SOCK_DGRAM = 2;
    private static final int SOCK_NONBLOCK = 0x800;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int MSG_DONTWAIT = 0x40;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int IPPROTO_IPV6 = 41;
    private static final int IPV6_V6ONLY = 26;
    private static final int S_IFMT = 0xF000;
    private static final int S_IFSOCK = 0xC000;

    private static final Native.Function SOCKET = Native.function("socket");
    private static final Native.Function BIND = Native.function("bind");
    private static final Native.Function CONNECT = Native.function("connect");
    private static final Native.Function SETSOCKOPT = Native.function("setsockopt");

    // To learn `errno` makes an object in a JVM whose compiler does not see that nobody needs it:
    // so it is asked for by a second call, which may go well then.
    private static final Native.Plain PLAIN_RECVMMSG = Native.plainFunction("recvmmsg");
    private static final Native.Function RECVMMSG = Native.function("recvmmsg");
    private static final Native.Plain PLAIN_SENDMMSG = Native.plainFunction("sendmmsg");
    private static final Native.Function SENDMMSG = Native.function("sendmmsg");

    private final int fd;
    private final int family;
    private boolean closed;

    private DatagramSocket(int fd, int family) {
        this.fd = fd;
        this.family = family;
    }

    /// Binds a Unix socket. One that a dead process left there is replaced.
    ///
    /// @throws IOException when the path is too long, in use, something else than a socket, or
    ///     cannot be made: the message ends with why, and has the path
    public static DatagramSocket bind(Path path) throws IOException {
        SockAddr address = SockAddr.of(path);
        DatagramSocket socket = new DatagramSocket(newSocket(SockAddr.AF_UNIX), SockAddr.AF_UNIX);
        boolean bound = false;
        try {
            int result = socket.bind(address);
            if (result == -Errno.EADDRINUSE) {
                removeStale(path, address);
                result = socket.bind(address);
            }
            Fd.check("cannot bind " + path, result);
            bound = true;
            return socket;
        } finally {
            if (!bound) {
                socket.close();
            }
        }
    }

    /// Binds a UDP socket.
    ///
    /// @param local resolved; port 0 for any
    /// @throws LinuxException among others with `EADDRINUSE`, and `EADDRNOTAVAIL` when the address
    ///     is not this machine's; the message has the address
    public static DatagramSocket bind(InetSocketAddress local) throws LinuxException {
        int fd = SOCKET.callInt(SockAddr.AF_INET6, type(), 0);
        int family = SockAddr.AF_INET6;
        if (fd == -Errno.EAFNOSUPPORT) {
            family = SockAddr.AF_INET;
            fd = newSocket(family);
        }
        DatagramSocket socket = new DatagramSocket(Fd.check("socket", fd), family);
        boolean bound = false;
        try {
            if (family == SockAddr.AF_INET6) {
                socket.takeIpv4Too();
            }
            Fd.check("cannot bind " + local, socket.bind(socket.peer(local)));
            bound = true;
            return socket;
        } finally {
            if (!bound) {
                socket.close();
            }
        }
    }

    private static int type() {
        return SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    }

    private static int newSocket(int family) throws LinuxException {
        return Fd.check("socket", SOCKET.callInt(family, type(), 0));
    }

    private void takeIpv4Too() throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment off = arena.allocateFrom(ValueLayout.JAVA_INT, 0);
            int result = SETSOCKOPT.callInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, off.address(), 4);
            Fd.check("setsockopt IPV6_V6ONLY", result);
        }
    }

    private int bind(SockAddr address) {
        try {
            return BIND.callInt(fd, address.address(), address.sizeBytes());
        } finally {
            Reference.reachabilityFence(address);
        }
    }

    /// Removes a socket of which no process is left.
    private static void removeStale(Path path, SockAddr address) throws IOException {
        int mode = (int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        if ((mode & S_IFMT) != S_IFSOCK) {
            throw new IOException(path + " is there and is no socket");
        }
        int probe = newSocket(SockAddr.AF_UNIX);
        int result;
        try {
            result = CONNECT.callInt(probe, address.address(), address.sizeBytes());
        } finally {
            Reference.reachabilityFence(address);
            Fd.close(probe);
        }
        if (result != -Errno.ECONNREFUSED) { // also a stream's, which says that it is of that type
            throw new IOException(path + " is in use");
        }
        Files.deleteIfExists(path);
    }

    /// An address to send to and to compare senders with. An IPv6 address that the kernel has none
    /// of is nobody's, and nothing can be sent to it.
    public SockAddr peer(InetSocketAddress address) {
        return family == SockAddr.AF_INET6 ? SockAddr.in6(address) : SockAddr.of(address);
    }

    /// To wait for datagrams, or for room.
    public int fd() {
        return fd;
    }

    /// `recvmmsg`.
    ///
    /// @return how many came; or `-errno`: `-EAGAIN` when there are none, `-EBADF` after [#close]
    int receive(long headers, int count) {
        if (closed) {
            return -Errno.EBADF;
        }
        int plain = (int) PLAIN_RECVMMSG.call(fd, headers, count, MSG_DONTWAIT, 0, 0);
        if (plain >= 0) {
            return plain;
        }
        int result;
        do {
            result = RECVMMSG.callInt(fd, headers, count, MSG_DONTWAIT, 0);
        } while (result == -Errno.EINTR);
        return result;
    }

    /// `sendmmsg`.
    ///
    /// @return how many went; or `-errno` of the first, and then none went
    int send(long headers, int count) {
        if (closed) {
            return -Errno.EBADF;
        }
        int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        int plain = (int) PLAIN_SENDMMSG.call(fd, headers, count, flags, 0, 0);
        if (plain > 0) {
            return plain;
        }
        int result;
        do {
            result = SENDMMSG.callInt(fd, headers, count, flags);
        } while (result == -Errno.EINTR);
        return result;
    }

    /// Closing twice does nothing. The file of a Unix socket stays.
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            Fd.close(fd);
        }
    }
}
