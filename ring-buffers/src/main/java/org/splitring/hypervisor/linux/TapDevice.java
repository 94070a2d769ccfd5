package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;

/// A Linux TAP: a network interface whose wire is this descriptor. What the kernel sends through
/// the interface is read here, and what is written here the interface has received. Each frame has
/// a [VnetHeader] before it, so that partial checksums and large TCP segments pass as they are.
///
/// The interface lives in the namespace that `/dev/net/tun` was opened in, and goes when the last
/// descriptor is closed, however the process ends. A frame that is read or written is one piece of
/// work for the kernel: it never blocks, and the interface's own queue is what fills up while
/// nobody reads.
///
/// [#read] and [#write]: one thread. [#close] may come from any other.
public final class TapDevice implements AutoCloseable {
    /// Longest name of an interface, in bytes (`IFNAMSIZ` less the terminating zero).
    public static final int MAX_NAME_BYTES = 15;

    /// Largest MTU that the kernel gives a TAP.
    public static final int MAX_MTU = 65_521;

    static final Path TUN = Path.of("/dev/net/tun");

    private static final int IFF_TAP = 0x0002;
    private static final int IFF_NO_PI = 0x1000;
    private static final int IFF_VNET_HDR = 0x4000;
    private static final int TUN_F_CSUM = 1;
    private static final int TUN_F_TSO4 = 2;
    private static final int TUN_F_TSO6 = 4;

    // _IOW('T', n, int), whatever the argument really is
    private static final long TUNSETIFF = 0x400454CAL;
    private static final long TUNSETOFFLOAD = 0x400454D0L;
    private static final long TUNSETVNETHDRSZ = 0x400454D8L;
    private static final long TUNSETCARRIER = 0x400454E2L;

    // struct ifreq of 64-bit machines: name 0, flags 16 (s16)
    private static final int IFREQ_BYTES = 40;
    private static final int IFREQ_FLAGS = 16;

    private static final Native.Function IOCTL = Native.function("ioctl");
    private static final Native.Function READV = Native.function("readv");
    private static final Native.Function WRITEV = Native.function("writev");

    private final SharedFd fd;
    private final String name;

    private TapDevice(int fd, String name) {
        this.fd = new SharedFd(fd);
        this.name = name;
    }

    /// Why an interface cannot have this name; empty when it can.
    public static Optional<String> nameProblem(String name) {
        int bytes = name.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > MAX_NAME_BYTES) {
            return Optional.of(
                    "\""
                            + name
                            + "\" has "
                            + bytes
                            + " bytes, and the name of an interface has at most "
                            + MAX_NAME_BYTES);
        }
        boolean plain = name.chars().allMatch(c -> c > ' ' && c < 127 && "/:%".indexOf(c) < 0);
        if (name.isEmpty() || name.equals(".") || name.equals("..") || !plain) {
            return Optional.of("\"" + name + "\" cannot be the name of an interface");
        }
        return Optional.empty();
    }

    /// Makes an interface in this process's namespace, or opens a persistent one that exists.
    ///
    /// @throws LinuxException `EPERM` without `CAP_NET_ADMIN`, `EBUSY` when somebody has it open
    public static TapDevice open(String name) throws LinuxException {
        VectoredFile tun = VectoredFile.open(TUN, OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING);
        return adopt(tun.fd(), name); // a VectoredFile holds nothing but the number
    }

    /// Makes an interface in the namespace in which `/dev/net/tun` was opened as `tunFd`. The
    /// descriptor is taken over, also when this fails.
    ///
    /// @throws LinuxException `EPERM` without `CAP_NET_ADMIN` in that namespace
    public static TapDevice adopt(int tunFd, String name) throws LinuxException {
        nameProblem(name)
                .ifPresent(
                        problem -> {
                            Fd.close(tunFd);
                            throw new IllegalArgumentException(problem);
                        });
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ifreq = arena.allocate(IFREQ_BYTES, 8);
            ifreq.setString(0, name, StandardCharsets.UTF_8);
            ifreq.set(
                    ValueLayout.JAVA_SHORT,
                    IFREQ_FLAGS,
                    (short) (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
            MemorySegment headerBytes = arena.allocateFrom(ValueLayout.JAVA_INT, VnetHeader.BYTES);
            String what = "interface " + name;
            Fd.check(what, ioctl(tunFd, TUNSETIFF, ifreq.address()));
            Fd.check(what + " header", ioctl(tunFd, TUNSETVNETHDRSZ, headerBytes.address()));
            Fd.setNonBlocking(tunFd, true);
            TapDevice tap = new TapDevice(tunFd, name);
            tap.setOffloads(true, true, true);
            return tap;
        } catch (LinuxException e) {
            Fd.close(tunFd);
            throw e;
        }
    }

    public String name() {
        return name;
    }

    /// To wait for a frame.
    public int fd() {
        return fd.number();
    }

    /// Says what frames that are read may leave to be done; the kernel does the rest itself. All of
    /// it at first. Frames that wait to be read may still be as it was before.
    ///
    /// @param checksums partial ones, of TCP and UDP
    /// @param largeV4 large TCP segments over IPv4; with `checksums` only
    /// @param largeV6 the same over IPv6
    public void setOffloads(boolean checksums, boolean largeV4, boolean largeV6)
            throws LinuxException {
        long flags =
                checksums
                        ? TUN_F_CSUM | (largeV4 ? TUN_F_TSO4 : 0) | (largeV6 ? TUN_F_TSO6 : 0)
                        : 0;
        Fd.check("offloads of " + name, ioctl(fd.number(), TUNSETOFFLOAD, flags));
    }

    /// Plugs the cable in, or pulls it out: the interface's carrier.
    public void setCarrier(boolean on) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocateFrom(ValueLayout.JAVA_INT, on ? 1 : 0);
            Fd.check("carrier of " + name, ioctl(fd.number(), TUNSETCARRIER, value.address()));
        }
    }

    /// Reads one frame, its [VnetHeader] first. A frame that is longer than the memory is cut.
    ///
    /// @param into is not advanced
    /// @return bytes, or `-errno`: `-EAGAIN` when there is none, `-EBADF` after [#close]
    public long read(IoVector into) {
        if (!fd.enter()) {
            return -Errno.EBADF;
        }
        long result;
        try {
            do {
                result = READV.call(fd.number(), into.address(), into.size());
            } while (result == -Errno.EINTR);
        } finally {
            Reference.reachabilityFence(into);
            fd.exit();
        }
        return result;
    }

    /// Writes one frame, its [VnetHeader] first, gathered from where its pieces lie.
    ///
    /// @param from is not advanced
    /// @return bytes, or `-errno`: `-EINVAL` for a header that does not fit the frame, `-EIO` while
    ///     the interface is down, `-EBADF` after [#close]
    public long write(IoVector from) {
        if (!fd.enter()) {
            return -Errno.EBADF;
        }
        long result;
        try {
            do {
                result = WRITEV.call(fd.number(), from.address(), from.size());
            } while (result == -Errno.EINTR);
        } finally {
            Reference.reachabilityFence(from);
            fd.exit();
        }
        return result;
    }

    /// Closes the descriptor; the interface goes with it. Closing twice does nothing.
    @Override
    public void close() {
        fd.close();
    }

    @Override
    public String toString() {
        return name;
    }

    private static int ioctl(int fd, long request, long argument) {
        return IOCTL.callInt(fd, request, argument);
    }
}
