package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// A folder out of which no path leads: names come from somebody who wants to get out.
///
/// Each path is resolved by the kernel from this folder, in one call (`openat2`) that refuses to
/// leave it: `..`, absolute paths, symbolic links anywhere in the path, magic links of `/proc` and
/// mounts of other file systems. It holds at the moment of resolving, so a folder that is replaced
/// by a link, or moved away, between two calls is met by the second one as it then is.
///
/// Paths and names are bytes, one in each `char` (ISO 8859-1): file names of Linux have no
/// encoding. Results are descriptors, close-on-exec, or `-errno`; whoever gets one closes it.
public final class ConfinedFolder implements AutoCloseable {
    private static final long SYS_OPENAT2 = 437; // the same on every machine, as all newer calls
    private static final long RESOLVE =
            0x01 /* NO_XDEV */
                    | 0x02 /* NO_MAGICLINKS */
                    | 0x04 /* NO_SYMLINKS */
                    | 0x08; // BENEATH
    private static final int O_PATH = 0x200000;
    private static final int O_NOCTTY = 0x100;
    private static final int O_NONBLOCK = 0x800;

    private static final Native.Function SYSCALL = Native.function("syscall");
    private static final Native.Function OPEN = Native.function("open");

    private final int root;
    private boolean closed;

    private ConfinedFolder(int root) {
        this.root = root;
    }

    /// Opens the folder that paths start at; links that lead to it are followed.
    ///
    /// @throws LinuxException when there is no such folder, or the kernel has no `openat2` (5.6)
    public static ConfinedFolder open(Path folder) throws LinuxException {
        int fd;
        try (Arena arena = Arena.ofConfined()) {
            fd =
                    open(
                            arena.allocateFrom(folder.toString()),
                            O_PATH | OpenFlag.FOLDER.value() | Fd.O_CLOEXEC);
        }
        ConfinedFolder made = new ConfinedFolder(Fd.check("open " + folder, fd));
        int self = made.reach("");
        if (self < 0) {
            made.close();
            throw new LinuxException("openat2 " + folder, -self);
        }
        Fd.close(self);
        return made;
    }

    /// Finds a file of any kind, a symbolic link itself included; the descriptor is good for asking
    /// about it and for [#reopen], not for reading and writing (`O_PATH`).
    ///
    /// @param path relative, without `.` or `..`; the empty one is the folder itself
    public int reach(String path) {
        return openat2(path, O_PATH | OpenFlag.NO_FOLLOW.value());
    }

    /// As [#reach], for a folder: whatever else is there is `ENOTDIR`.
    public int reachFolder(String path) {
        return openat2(path, O_PATH | OpenFlag.NO_FOLLOW.value() | OpenFlag.FOLDER.value());
    }

    /// Opens the very file that a descriptor of [#reach] stands for, whatever has its name now. It
    /// must be a regular file or a folder: the caller has looked, and opening anything else may
    /// have effects of its own.
    ///
    /// @param flags access mode and further flags of `open`
    public static int reopen(int reached, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            return open(
                    arena.allocateFrom("/proc/self/fd/" + reached),
                    flags | O_NOCTTY | O_NONBLOCK | Fd.O_CLOEXEC);
        }
    }

    /// Closes it; descriptors that it gave stay open. Nobody may use it any more.
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            Fd.close(root);
        }
    }

    private int openat2(String path, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            // struct open_how: flags, mode, resolve, u64 each
            MemorySegment how = arena.allocate(24, 8);
            how.set(ValueLayout.JAVA_LONG, 0, (long) flags | Fd.O_CLOEXEC);
            how.set(ValueLayout.JAVA_LONG, 16, RESOLVE);
            MemorySegment name =
                    arena.allocateFrom(path.isEmpty() ? "." : path, StandardCharsets.ISO_8859_1);
            return Native.retried(
                    () ->
                            (int)
                                    SYSCALL.call(
                                            SYS_OPENAT2,
                                            root,
                                            name.address(),
                                            how.address(),
                                            how.byteSize()));
        }
    }

    private static int open(MemorySegment name, int flags) {
        return Native.retried(() -> OPEN.callInt(name.address(), flags, 0));
    }
}
