package org.splitring.hypervisor.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// An address of a socket as the kernel has it, made once and used for every call.
///
///     byte  0        2         4           8                    24        28
///           +--------+---------+-----------+
///           | family | port BE | address   | zeros to 16               struct sockaddr_in
///           +--------+---------+-----------+--------------------+---------+
///           | family | port BE | flow      | address            | scope   |  struct sockaddr_in6
///           +--------+---------+-----------+--------------------+---------+
///           | family | path, terminating zero                                struct sockaddr_un
///           +--------+-------- - -
///
/// Source: Linux `in.h`, `in6.h`, `un.h` (`uapi`).
public final class SockAddr {
    static final int AF_UNIX = 1;
    static final int AF_INET = 2;
    static final int AF_INET6 = 10;

    /// Room for any of them.
    static final int MAX_BYTES = 112;

    private static final int IN_BYTES = 16;
    private static final int IN_ADDRESS = 4;
    private static final int IN6_BYTES = 28;
    private static final int IN6_ADDRESS = 8;
    private static final int IN6_SCOPE = 24;
    private static final int UN_PATH = 2;
    private static final int MAPPED_PREFIX = 10; // zeros before ff:ff and the four bytes

    private static final ValueLayout.OfShort FAMILY = ValueLayout.JAVA_SHORT;
    private static final ValueLayout.OfShort PORT =
            ValueLayout.JAVA_SHORT.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfShort U16 = ValueLayout.JAVA_SHORT;
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG;

    private final MemorySegment memory;
    private final int sizeBytes;
    private final short family;

    private SockAddr(MemorySegment memory, int sizeBytes) {
        this.memory = memory;
        this.sizeBytes = sizeBytes;
        family = memory.get(FAMILY, 0);
    }

    /// Of a Unix socket.
    ///
    /// @throws IOException when the path is too long; the message says how long it may be
    public static SockAddr of(Path path) throws IOException {
        byte[] name = path.toString().getBytes(StandardCharsets.UTF_8);
        if (name.length > UnixSocket.MAX_PATH_BYTES) {
            throw new IOException(
                    "socket path is "
                            + name.length
                            + " bytes long, at most "
                            + UnixSocket.MAX_PATH_BYTES
                            + " are possible: "
                            + path);
        }
        MemorySegment memory = empty(AF_UNIX);
        MemorySegment.copy(name, 0, memory, ValueLayout.JAVA_BYTE, UN_PATH, name.length);
        return new SockAddr(memory, UN_PATH + name.length + 1);
    }

    /// Of TCP or UDP, in the family of the address.
    ///
    /// @param address resolved
    public static SockAddr of(InetSocketAddress address) {
        return resolved(address).getAddress().length == 4 ? in(address) : in6(address);
    }

    private static SockAddr in(InetSocketAddress address) {
        MemorySegment memory = empty(AF_INET);
        memory.set(PORT, 2, (short) address.getPort());
        byte[] bytes = resolved(address).getAddress();
        MemorySegment.copy(bytes, 0, memory, ValueLayout.JAVA_BYTE, IN_ADDRESS, 4);
        return new SockAddr(memory, IN_BYTES);
    }

    /// For a socket of IPv6, which knows IPv4 addresses as `::ffff:a.b.c.d`, and that of all
    /// interfaces as `::`.
    static SockAddr in6(InetSocketAddress address) {
        InetAddress host = resolved(address);
        byte[] bytes = host.getAddress();
        MemorySegment memory = empty(AF_INET6);
        memory.set(PORT, 2, (short) address.getPort());
        int at = IN6_ADDRESS + 16 - bytes.length;
        if (bytes.length == 4 && !host.isAnyLocalAddress()) {
            memory.set(U16, IN6_ADDRESS + MAPPED_PREFIX, (short) 0xFFFF);
        }
        MemorySegment.copy(bytes, 0, memory, ValueLayout.JAVA_BYTE, at, bytes.length);
        if (host instanceof Inet6Address v6) {
            memory.set(I32, IN6_SCOPE, v6.getScopeId());
        }
        return new SockAddr(memory, IN6_BYTES);
    }

    private static InetAddress resolved(InetSocketAddress address) {
        InetAddress host = address.getAddress();
        if (host == null) {
            throw new IllegalArgumentException("not resolved: " + address);
        }
        return host;
    }

    private static MemorySegment empty(int family) {
        MemorySegment memory = Arena.ofAuto().allocate(MAX_BYTES, 8);
        memory.set(FAMILY, 0, (short) family);
        return memory;
    }

    /// The address in memory stays valid as long as this is reachable.
    long address() {
        return memory.address();
    }

    int sizeBytes() {
        return sizeBytes;
    }

    int family() {
        return family;
    }

    /// Whether the kernel has written this address; the interface of a link-local one and the flow
    /// of IPv6 are not looked at.
    boolean isAt(MemorySegment other, long offset, int otherBytes) {
        if (family != AF_UNIX) {
            return isHostAt(other, offset, otherBytes)
                    && other.get(U16, offset + 2) == memory.get(U16, 2);
        }
        return otherBytes == sizeBytes
                && MemorySegment.mismatch(memory, 0, sizeBytes, other, offset, offset + otherBytes)
                        < 0;
    }

    /// As [#isAt] whatever the port is; not of Unix sockets.
    boolean isHostAt(MemorySegment other, long offset, int otherBytes) {
        if (otherBytes != sizeBytes || other.get(FAMILY, offset) != family) {
            return false;
        }
        if (family == AF_INET) {
            return other.get(I32, offset + IN_ADDRESS) == memory.get(I32, IN_ADDRESS);
        }
        return family == AF_INET6
                && other.get(I64, offset + IN6_ADDRESS) == memory.get(I64, IN6_ADDRESS)
                && other.get(I64, offset + IN6_ADDRESS + 8) == memory.get(I64, IN6_ADDRESS + 8);
    }
}
