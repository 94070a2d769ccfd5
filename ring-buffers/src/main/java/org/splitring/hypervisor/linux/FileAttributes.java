package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/// What is kept about a file besides its contents: read and changed through a descriptor, also one
/// that is good for nothing else (`O_PATH`). A symbolic link is never followed.
public final class FileAttributes {
    /// For [#setTimes]: the time of the call.
    public static final long NOW = 0x3FFFFFFF;

    /// For [#setTimes]: as it is.
    public static final long KEEP = 0x3FFFFFFE;

    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_ALL = 0xFFF; // the basic ones, and the time of birth
    private static final int LINK_BYTES = 4096;

    private static final Native.Function CHMOD = Native.function("chmod");
    private static final Native.Function UTIMENSAT = Native.function("utimensat");
    private static final Native.Function READLINKAT = Native.function("readlinkat");
    private static final Native.Function FSTATFS = Native.function("fstatfs");

    private FileAttributes() {}

    /// A point in time.
    public record Time(long seconds, long nanos) {}

    /// Everything that `statx` tells; times are since 1970.
    ///
    /// @param rdev the device that a device file stands for, as user space encodes it
    /// @param blocks units of 512 bytes that have storage
    public record All(
            int mode,
            int uid,
            int gid,
            int links,
            long rdev,
            long sizeBytes,
            int blockSizeBytes,
            long blocks,
            long inode,
            Time accessed,
            Time modified,
            Time changed,
            Time born) {
        public boolean isRegular() {
            return (mode & 0xF000) == 0x8000;
        }

        public boolean isFolder() {
            return (mode & 0xF000) == 0x4000;
        }

        public boolean isSymbolicLink() {
            return (mode & 0xF000) == 0xA000;
        }
    }

    /// What there is to know about a file system.
    public record FileSystem(
            long type,
            long blockSizeBytes,
            long blocks,
            long freeBlocks,
            long availableBlocks,
            long files,
            long freeFiles,
            long id,
            long longestName) {}

    public static All read(int fd) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment statx = Fd.statx(arena, fd, STATX_ALL);
            long major = Integer.toUnsignedLong(statx.get(ValueLayout.JAVA_INT, 128));
            long minor = Integer.toUnsignedLong(statx.get(ValueLayout.JAVA_INT, 132));
            return new All(
                    Short.toUnsignedInt(statx.get(ValueLayout.JAVA_SHORT, 28)),
                    statx.get(ValueLayout.JAVA_INT, 20),
                    statx.get(ValueLayout.JAVA_INT, 24),
                    statx.get(ValueLayout.JAVA_INT, 16),
                    (minor & 0xFF) | (major << 8) | ((minor & ~0xFFL) << 12),
                    statx.get(ValueLayout.JAVA_LONG, 40),
                    statx.get(ValueLayout.JAVA_INT, 4),
                    statx.get(ValueLayout.JAVA_LONG, 48),
                    statx.get(ValueLayout.JAVA_LONG, 32),
                    time(statx, 64),
                    time(statx, 112),
                    time(statx, 96),
                    time(statx, 80));
        }
    }

    private static Time time(MemorySegment statx, long offset) {
        return new Time(
                statx.get(ValueLayout.JAVA_LONG, offset),
                Integer.toUnsignedLong(statx.get(ValueLayout.JAVA_INT, offset + 8)));
    }

    /// Sets the permission bits of anything but a symbolic link: the caller has looked.
    public static void setPermissions(int fd, int permissions) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            // fchmod does not take an O_PATH descriptor; this way leads to the same file
            MemorySegment path = arena.allocateFrom("/proc/self/fd/" + fd);
            int result = CHMOD.callInt(path.address(), permissions);
            Fd.check("chmod", result);
        }
    }

    /// Sets both times; a part of nanoseconds may be [#NOW] or [#KEEP].
    public static void setTimes(int fd, Time accessed, Time modified) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment times = arena.allocate(32, 8);
            times.set(ValueLayout.JAVA_LONG, 0, accessed.seconds());
            times.set(ValueLayout.JAVA_LONG, 8, accessed.nanos());
            times.set(ValueLayout.JAVA_LONG, 16, modified.seconds());
            times.set(ValueLayout.JAVA_LONG, 24, modified.nanos());
            int result =
                    UTIMENSAT.callInt(
                            fd, arena.allocateFrom("").address(), times.address(), AT_EMPTY_PATH);
            Fd.check("utimensat", result);
        }
    }

    /// What a symbolic link says: bytes, one in each `char`.
    public static String target(int fd) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(LINK_BYTES);
            long result =
                    READLINKAT.call(
                            fd,
                            arena.allocateFrom("").address(),
                            text.address(),
                            (long) LINK_BYTES);
            int length = Fd.check("readlink", (int) result);
            return new String(
                    text.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE),
                    StandardCharsets.ISO_8859_1);
        }
    }

    public static FileSystem fileSystem(int fd) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            // struct statfs of 64-bit machines: longs, but for fsid (two ints at 56)
            MemorySegment statfs = arena.allocate(256, 8);
            int result = FSTATFS.callInt(fd, statfs.address());
            Fd.check("fstatfs", result);
            return new FileSystem(
                    statfs.get(ValueLayout.JAVA_LONG, 0),
                    statfs.get(ValueLayout.JAVA_LONG, 8),
                    statfs.get(ValueLayout.JAVA_LONG, 16),
                    statfs.get(ValueLayout.JAVA_LONG, 24),
                    statfs.get(ValueLayout.JAVA_LONG, 32),
                    statfs.get(ValueLayout.JAVA_LONG, 40),
                    statfs.get(ValueLayout.JAVA_LONG, 48),
                    statfs.get(ValueLayout.JAVA_LONG, 56),
                    statfs.get(ValueLayout.JAVA_LONG, 64));
        }
    }
}
