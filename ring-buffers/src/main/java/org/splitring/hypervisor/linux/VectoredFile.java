package org.splitring.hypervisor.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/// A file or block device that is read and written at a position, straight from and to scattered
/// memory (`preadv2`, `pwritev2`). Unlike a `FileChannel` it takes many pieces in one call, can be
/// asked to answer only from the cache, and an interrupted thread does not close it.
///
/// Any thread, except [#close]: nobody may use the file any more then.
public final class VectoredFile implements AutoCloseable {
    /// Answer of [#readNoWait] when nothing can be read without waiting.
    public static final long WOULD_BLOCK = -1;

    /// Answer of [#writeNoWait] when asking again is of no use.
    public static final long NOT_SUPPORTED = -2;

    static final int RWF_NOWAIT = 8;
    private static final int SEEK_END = 2;
    private static final int SEEK_DATA = 3;
    private static final int SEEK_HOLE = 4;
    private static final int FALLOC_FL_KEEP_SIZE = 1;
    private static final int FALLOC_FL_PUNCH_HOLE = 2;
    private static final int FALLOC_FL_ZERO_RANGE = 16;
    private static final int F_OFD_SETLK = 37;
    private static final int F_OFD_GETLK = 36;

    private static final Native.Function OPEN = Native.function("open");
    private static final Native.Function LSEEK = Native.function("lseek");

    private final Path path;
    private final int fd;
    private final FileCalls calls;
    private boolean closed;

    private VectoredFile(Path path, int fd, FileCalls calls) {
        this.path = path;
        this.fd = fd;
        this.calls = calls;
    }

    /// Opens a file; a new one may be read and written by its owner only.
    public static VectoredFile open(Path path, OpenFlag... flags) throws LinuxException {
        return open(FileCalls.KERNEL, path, flags);
    }

    /// As [#open(Path, OpenFlag...)], with other calls for what is done to its bytes.
    public static VectoredFile open(FileCalls calls, Path path, OpenFlag... flags)
            throws LinuxException {
        int value =
                Arrays.stream(flags)
                        .mapToInt(OpenFlag::value)
                        .reduce(Fd.O_CLOEXEC, (all, flag) -> all | flag);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocateFrom(path.toString());
            int result = Native.retried(() -> OPEN.callInt(name.address(), value, 0600));
            boolean synchronous = Arrays.asList(flags).contains(OpenFlag.DSYNC);
            return new VectoredFile(
                    path,
                    Fd.check("open " + path, result),
                    synchronous && calls.equals(FileCalls.KERNEL)
                            ? KernelFileCalls.SYNCHRONOUS
                            : calls);
        }
    }

    /// Takes over a descriptor of an open file.
    ///
    /// @param path for messages
    public static VectoredFile adopt(Path path, int fd) {
        return new VectoredFile(path, fd, KernelFileCalls.SYNCHRONOUS); // it may be synchronous
    }

    public int fd() {
        return fd;
    }

    /// Whether the kernel itself moves its bytes, so that others may ask it to by the descriptor.
    public boolean isPlain() {
        return calls instanceof KernelFileCalls;
    }

    public Path path() {
        return path;
    }

    public FileStatus status() throws LinuxException {
        return Fd.status(fd);
    }

    /// Length in bytes, of a block device too.
    public long sizeBytes() throws LinuxException {
        long result = LSEEK.call(fd, 0L, SEEK_END);
        return check("lseek", result);
    }

    /// How far the hole goes in which `offset` is: bytes that read as zeros and have never been
    /// written, or not since the storage was given back. What was written is no hole, whether it is
    /// on the storage already or not.
    ///
    /// @return 0 when there may be data, at most `maxBytes`, and no further than the file
    public long holeBytes(long offset, long maxBytes) throws LinuxException {
        if (!isPlain()) {
            return 0;
        }
        long end = sizeBytes(); // first: if it grows, data may come behind this
        long data = LSEEK.call(fd, offset, SEEK_DATA);
        if (data == -Errno.ENXIO) { // from there on is none
            data = end;
        } else if (cannotTell(data)) {
            return 0;
        }
        return Math.clamp(check("look for data in", data) - offset, 0, maxBytes);
    }

    /// How far the data go in which `offset` is, as the other side of [#holeBytes].
    ///
    /// @return at most `maxBytes`, also of what nobody knows; 0 when there is a hole meanwhile
    public long dataBytes(long offset, long maxBytes) throws LinuxException {
        if (!isPlain()) {
            return maxBytes;
        }
        long hole = LSEEK.call(fd, offset, SEEK_HOLE);
        if (hole == -Errno.ENXIO || cannotTell(hole)) { // behind the end: whoever reads finds out
            return maxBytes;
        }
        return Math.clamp(check("look for a hole in", hole) - offset, 0, maxBytes);
    }

    /// Block devices, and file systems that know no holes.
    private static boolean cannotTell(long result) {
        return result == -Errno.EINVAL || result == -Errno.EOPNOTSUPP;
    }

    /// Reads until the vector is full or the file ends; the vector is advanced by what was read.
    ///
    /// @return bytes read, fewer than asked only at the end of the file
    /// @throws LinuxException when the kernel reports an error; what was read before it is in place
    public long read(IoVector into, long fileOffset) throws LinuxException {
        long done = 0;
        while (into.remainingBytes() > 0) {
            long count = check("read", calls.preadv2(fd, into, fileOffset + done, 0));
            if (count == 0) {
                break;
            }
            into.advance(count);
            done += count;
        }
        return done;
    }

    /// Reads what can be had without waiting for storage; the vector is advanced by what was read.
    ///
    /// @return bytes read, perhaps fewer than asked; 0 at the end of the file; [#WOULD_BLOCK] when
    ///     nothing is in the cache or the file system cannot say
    public long readNoWait(IoVector into, long fileOffset) throws LinuxException {
        long count = calls.preadv2(fd, into, fileOffset, RWF_NOWAIT);
        if (count == -Errno.EAGAIN || count == -Errno.EOPNOTSUPP || count == -Errno.EINVAL) {
            return WOULD_BLOCK; // EINVAL: kernels that do not know the flag for this file
        }
        check("read", count);
        into.advance(count);
        return count;
    }

    /// Writes everything; the vector is advanced by what was written.
    ///
    /// @throws LinuxException when the kernel reports an error (`ENOSPC`, `EIO`); a part may have
    ///     been written then
    public void write(IoVector from, long fileOffset) throws LinuxException {
        long done = 0;
        while (from.remainingBytes() > 0) {
            long count = check("write", calls.pwritev2(fd, from, fileOffset + done, 0));
            if (count == 0) {
                throw new LinuxException("write " + path, Errno.EIO);
            }
            from.advance(count);
            done += count;
        }
    }

    /// Writes what the page cache takes without waiting for storage; the vector is advanced by what
    /// was written.
    ///
    /// @return bytes written, perhaps fewer than asked; [#WOULD_BLOCK] when nothing could be, or
    ///     [#NOT_SUPPORTED] when the file system never can say
    public long writeNoWait(IoVector from, long fileOffset) throws LinuxException {
        long count = calls.pwritev2(fd, from, fileOffset, RWF_NOWAIT);
        if (count == -Errno.EAGAIN) {
            return WOULD_BLOCK;
        }
        if (count == -Errno.EOPNOTSUPP || count == -Errno.EINVAL) {
            return NOT_SUPPORTED;
        }
        check("write", count);
        from.advance(count);
        return count;
    }

    /// Makes what was written stable, with the metadata needed to find it.
    public void dataSync() throws LinuxException {
        Fd.check("fdatasync " + path, calls.fdatasync(fd));
    }

    /// Makes the file stable with all its metadata.
    public void sync() throws LinuxException {
        Fd.check("fsync " + path, calls.fsync(fd));
    }

    /// Sets the length.
    public void truncate(long sizeBytes) throws LinuxException {
        Fd.check("ftruncate " + path, calls.ftruncate(fd, sizeBytes));
    }

    /// Reserves storage for a range, so that later writes there cannot meet `ENOSPC`. The file
    /// grows when the range ends past it.
    public void allocate(long offset, long sizeBytes) throws LinuxException {
        fallocate("fallocate", 0, offset, sizeBytes);
    }

    /// Gives the storage of a range back; it reads as zeros then. The length stays.
    ///
    /// @throws LinuxException with `EOPNOTSUPP` when the file system cannot
    public void punchHole(long offset, long sizeBytes) throws LinuxException {
        fallocate("punch hole", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, sizeBytes);
    }

    /// Makes a range read as zeros and keeps its storage. The length stays.
    ///
    /// @throws LinuxException with `EOPNOTSUPP` when the file system cannot
    public void zeroRange(long offset, long sizeBytes) throws LinuxException {
        fallocate("zero range", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, sizeBytes);
    }

    /// Locks the whole file for one writer, or for many readers, without waiting. The lock belongs
    /// to this open file, so a second open in the same process is refused too, and it goes with the
    /// process however that ends.
    ///
    /// @param exclusive for a writer; the file must be open for writing then
    /// @return `false` when another has it, see [#lockHolder]
    public boolean tryLock(boolean exclusive) throws LinuxException {
        return tryLock(exclusive ? RangeLock.WRITE : RangeLock.READ, 0, 0);
    }

    /// As [#tryLock(boolean)], for a range; or ends the locks there.
    ///
    /// @param length bytes, 0 for everything from `start` on
    public boolean tryLock(RangeLock kind, long start, long length) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            int result = Fd.fcntl(fd, F_OFD_SETLK, flock(arena, kind, start, length).address());
            if (result == -Errno.EAGAIN || result == -Errno.EACCES) {
                return false;
            }
            Fd.check("lock " + path, result);
            return true;
        }
    }

    /// The first lock of another that would keep this one from being had.
    public Optional<HeldLock> lockInTheWay(RangeLock kind, long start, long length)
            throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment flock = flock(arena, kind, start, length);
            Fd.check("look for locks on " + path, Fd.fcntl(fd, F_OFD_GETLK, flock.address()));
            return RangeLock.of(flock.get(ValueLayout.JAVA_SHORT, 0))
                    .filter(type -> type != RangeLock.NONE)
                    .map(
                            type ->
                                    new HeldLock(
                                            type,
                                            flock.get(ValueLayout.JAVA_LONG, 8),
                                            flock.get(ValueLayout.JAVA_LONG, 16)));
        }
    }

    /// What kind of lock, with the kernel's number.
    public enum RangeLock {
        /// `F_RDLCK`
        READ(0),
        /// `F_WRLCK`
        WRITE(1),
        /// `F_UNLCK`
        NONE(2);

        private final int number;

        RangeLock(int number) {
            this.number = number;
        }

        /// The number that Linux has for it.
        public int number() {
            return number;
        }

        /// The kind of that number, if there is one.
        public static Optional<RangeLock> of(int number) {
            return Arrays.stream(values()).filter(kind -> kind.number == number).findFirst();
        }
    }

    /// A lock of somebody else.
    ///
    /// @param length bytes, 0 for everything from `start` on
    public record HeldLock(RangeLock kind, long start, long length) {}

    private static MemorySegment flock(Arena arena, RangeLock kind, long start, long length) {
        // struct flock on 64-bit machines: type 0 (s16), whence 2 (s16), start 8, len 16, pid 24.
        // Start 0 and length 0 are the whole file; for an OFD lock pid must be 0.
        MemorySegment flock = arena.allocate(32, 8);
        flock.set(ValueLayout.JAVA_SHORT, 0, (short) kind.number());
        flock.set(ValueLayout.JAVA_LONG, 8, start);
        flock.set(ValueLayout.JAVA_LONG, 16, length);
        return flock;
    }

    /// Looks for the process that has a lock on this file: `"process 4711 (qemu-img)"`. Processes
    /// of other users cannot be looked into, so it may not be found.
    public Optional<String> lockHolder() {
        long inode;
        int minor;
        int major;
        try {
            FileStatus status = status();
            inode = status.inode();
            major = status.deviceMajor();
            minor = status.deviceMinor();
        } catch (LinuxException e) {
            return Optional.empty();
        }
        // A line of fdinfo: "lock:  1: OFDLCK ADVISORY  WRITE -1 08:01:1234 0 EOF"
        String file = String.format(" %02x:%02x:%d ", major, minor, inode);
        String ours = Long.toString(ProcessHandle.current().pid());
        try (DirectoryStream<Path> processes =
                Files.newDirectoryStream(Path.of("/proc"), "[1-9]*")) {
            for (Path process : processes) {
                String pid = process.getFileName().toString();
                if (holdsLock(process, file, pid.equals(ours) ? Integer.toString(fd) : "")) {
                    String name = Files.readString(process.resolve("comm")).strip();
                    return Optional.of(
                            pid.equals(ours)
                                    ? "this process"
                                    : "process " + pid + " (" + name + ")");
                }
            }
        } catch (IOException e) {
            return Optional.empty();
        }
        return Optional.empty();
    }

    private static boolean holdsLock(Path process, String file, String exceptFd) {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(process.resolve("fdinfo"))) {
            for (Path entry : entries) {
                if (!entry.getFileName().toString().equals(exceptFd) && hasLock(entry, file)) {
                    return true;
                }
            }
        } catch (IOException e) {
            return false; // gone meanwhile, or another user's
        }
        return false;
    }

    private static boolean hasLock(Path fdinfo, String file) {
        try {
            for (String line : Files.readAllLines(fdinfo)) {
                if (line.startsWith("lock:") && line.contains(file)) {
                    return true;
                }
            }
        } catch (IOException e) {
            return false; // closed meanwhile
        }
        return false;
    }

    /// Closes the file and ends its lock. Closing twice does nothing.
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            Fd.close(fd);
        }
    }

    private void fallocate(String what, int mode, long offset, long sizeBytes)
            throws LinuxException {
        Fd.check(what + " " + path, calls.fallocate(fd, mode, offset, sizeBytes));
    }

    private long check(String what, long result) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(what + " " + path, (int) -result);
        }
        return result;
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
