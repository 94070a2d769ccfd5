package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// What can be done with any file descriptor. Descriptors are plain `int` here; whoever made one
/// closes it.
public final class Fd {
    static final int F_GETFL = 3;
    static final int F_SETFL = 4;
    static final int F_DUPFD_CLOEXEC = 1030;
    static final int O_NONBLOCK = 0x800;
    static final int O_CLOEXEC = 0x80000;

    /// Access mode of a descriptor, in [#flags].
    public static final int O_ACCMODE = 3;

    /// Value of [#O_ACCMODE] for a descriptor that reads and writes.
    public static final int O_RDWR = 2;

    private static final Native.Function CLOSE = Native.function("close");
    private static final Native.Function FCNTL = Native.function("fcntl");
    private static final Native.Function READ = Native.function("read");
    private static final Native.Function WRITE = Native.function("write");
    private static final Native.Function STATX = Native.function("statx");
    private static final Native.Function GETRLIMIT = Native.function("getrlimit");

    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_BASIC_STATS = 0x7FF;
    private static final int RLIMIT_NOFILE = 7;

    private Fd() {}

    /// Closes a descriptor. Errors are of no use to anybody: Linux has let go of the number anyway.
    public static void close(int fd) {
        int ignored = CLOSE.callInt(fd);
    }

    /// A second descriptor of the same open file, close-on-exec.
    public static int duplicate(int fd) throws LinuxException {
        return check("fcntl F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 0));
    }

    /// Status flags and access mode of the open file (`F_GETFL`).
    public static int flags(int fd) throws LinuxException {
        return check("fcntl F_GETFL", fcntl(fd, F_GETFL, 0));
    }

    /// Switches `O_NONBLOCK` of the open file, which everybody sees who shares it.
    public static void setNonBlocking(int fd, boolean on) throws LinuxException {
        int flags = flags(fd);
        check("fcntl F_SETFL", fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
    }

    /// Status of the open file.
    public static FileStatus status(int fd) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment statx = statx(arena, fd, STATX_BASIC_STATS);
            return new FileStatus(
                    Short.toUnsignedInt(statx.get(ValueLayout.JAVA_SHORT, 28)),
                    statx.get(ValueLayout.JAVA_LONG, 40),
                    statx.get(ValueLayout.JAVA_LONG, 48) * 512,
                    statx.get(ValueLayout.JAVA_INT, 4),
                    statx.get(ValueLayout.JAVA_INT, 136),
                    statx.get(ValueLayout.JAVA_INT, 140),
                    statx.get(ValueLayout.JAVA_LONG, 32));
        }
    }

    /// `struct statx` of the open file. It has the same layout on every machine, as `struct stat`
    /// has not: blksize 4, nlink 16, uid 20, gid 24 (u32), mode 28 (u16), ino 32, size 40,
    /// blocks 48, times 64 atime, 80 btime, 96 ctime, 112 mtime (s64 and u32), rdev 128 and 132,
    /// dev 136 and 140 (major and minor, u32).
    static MemorySegment statx(Arena arena, int fd, int mask) throws LinuxException {
        MemorySegment statx = arena.allocate(256, 8);
        MemorySegment noPath = arena.allocateFrom("");
        int result = STATX.callInt(fd, noPath.address(), AT_EMPTY_PATH, mask, statx.address());
        check("statx", result);
        return statx;
    }

    /// How many descriptors this process may have (`RLIMIT_NOFILE`, the soft limit).
    public static long limit() throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment rlimit = arena.allocate(16, 8);
            int result = GETRLIMIT.callInt(RLIMIT_NOFILE, rlimit.address());
            check("getrlimit", result);
            long limit = rlimit.get(ValueLayout.JAVA_LONG, 0);
            return limit < 0 ? Long.MAX_VALUE : limit;
        }
    }

    /// `read`.
    ///
    /// @return bytes read, 0 at the end, or `-errno`; retried after `EINTR`
    public static long read(int fd, long address, long sizeBytes) {
        long result;
        do {
            result = READ.call(fd, address, sizeBytes);
        } while (result == -Errno.EINTR);
        return result;
    }

    /// `write`.
    ///
    /// @return bytes written, or `-errno`; retried after `EINTR`
    public static long write(int fd, long address, long sizeBytes) {
        long result;
        do {
            result = WRITE.call(fd, address, sizeBytes);
        } while (result == -Errno.EINTR);
        return result;
    }

    static int fcntl(int fd, int command, long argument) {
        return FCNTL.callInt(fd, command, argument);
    }

    /// Turns a negative result into an exception.
    static int check(String what, int result) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(what, -result);
        }
        return result;
    }
}
