package org.splitring.blkback.image;

import java.io.IOException;
import java.io.SyncFailedException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.FileAttributes;
import org.splitring.hypervisor.linux.FileCalls;
import org.splitring.hypervisor.linux.FileStatus;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// A file of this machine, locked as long as it is open: by one writer, or by any number of
/// readers. It is read and written at positions and never mapped, so that somebody who shortens it
/// under us causes a failed read and not a fault.
public final class HostFile implements ImageFile {
    private static final long TMPFS_MAGIC = 0x0102_1994L; // linux/magic.h
    private static final long EXT4_MAGIC = 0xEF53; // of ext2 and ext3, too
    private static final int ZERO_CHUNK = 1 << 20;
    private static final long PAGE_BYTES = 4096;
    private static final long MOST_ALIGNMENT = 4096; // more is wanted by nobody

    private final VectoredFile file;
    private final @Nullable VectoredFile direct; // the same file, past the page cache
    private final Path path;
    private final FileStatus status; // when it was opened
    private final boolean readOnly;
    private final boolean syncEachWrite;
    private final boolean inMemory; // tmpfs: nothing to wait for, and RWF_NOWAIT is not known there
    private final @Nullable WriteTrial trial; // where the file system is local, and cannot tell
    private volatile long directAlignment = 1; // transfers need it, as far as is known
    private volatile boolean writesMayWait; // set once the file system said it cannot tell

    private HostFile(
            VectoredFile file,
            @Nullable VectoredFile direct,
            Path path,
            boolean readOnly,
            boolean syncEachWrite)
            throws LinuxException {
        this.file = file;
        this.direct = direct;
        this.path = path;
        this.status = file.status();
        this.readOnly = readOnly;
        this.syncEachWrite = syncEachWrite;
        // The files of block devices are on a tmpfs, and their contents are not.
        long fileSystem = status.isRegular() ? FileAttributes.fileSystem(file.fd()).type() : 0;
        this.inMemory = fileSystem == TMPFS_MAGIC;
        this.trial = fileSystem == EXT4_MAGIC ? new WriteTrial() : null;
    }

    /// Opens and locks a plain file.
    ///
    /// @param syncEachWrite every write is stable when it returns
    /// @throws DiskException when there is none, it is not a plain file, or somebody else has it
    public static HostFile open(Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        HostFile opened = openRaw(path, access, syncEachWrite);
        if (!opened.status.isRegular()) {
            opened.close();
            throw notAFile(opened);
        }
        return opened;
    }

    /// As [#open], for a file or a block device. A device that is to be written is refused when it
    /// is mounted, or somebody else has it for himself.
    public static HostFile openRaw(Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        return openRaw(FileCalls.KERNEL, path, access, syncEachWrite);
    }

    /// As [#openRaw(Path, DiskAccess, boolean)], with calls of a test's making.
    static HostFile openRaw(FileCalls calls, Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        HostFile opened = openAny(calls, path, access, syncEachWrite);
        try {
            opened.lock();
            return opened;
        } catch (DiskException e) {
            opened.close();
            throw e;
        }
    }

    /// As [#openRaw]; what is read and written goes past the page cache, where it lies as the
    /// storage wants it.
    ///
    /// @throws DiskException also when the file system cannot do that
    public static HostFile openDirect(Path path, DiskAccess access) throws DiskException {
        return openDirect(FileCalls.KERNEL, path, access);
    }

    /// As [#openDirect(Path, DiskAccess)], with calls of a test's making.
    static HostFile openDirect(FileCalls calls, Path path, DiskAccess access) throws DiskException {
        HostFile opened = openRaw(calls, path, access, false);
        List<OpenFlag> flags = new ArrayList<>(List.of(OpenFlag.NON_BLOCKING, OpenFlag.DIRECT));
        if (!opened.readOnly) {
            flags.add(OpenFlag.READ_WRITE);
        }
        try {
            // By its descriptor: the file that is locked, whatever has the name now.
            VectoredFile direct =
                    VectoredFile.open(
                            calls,
                            Path.of("/proc/self/fd/" + opened.file.fd()),
                            flags.toArray(OpenFlag[]::new));
            try {
                return new HostFile(opened.file, direct, path, opened.readOnly, false);
            } catch (LinuxException e) {
                direct.close();
                throw e;
            }
        } catch (LinuxException e) {
            opened.close();
            throw new DiskException(
                    "image "
                            + path
                            + ": mode direct: "
                            + (e.errno() == Errno.EINVAL
                                    ? "its file system has no direct access"
                                    : Errno.describe(e.errno())),
                    e);
        }
    }

    /// As [#openRaw], with nothing locked yet: see [#lockPart].
    static HostFile openUnlockedParts(Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        return openAny(FileCalls.KERNEL, path, access, syncEachWrite);
    }

    private static HostFile openAny(
            FileCalls calls, Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        List<OpenFlag> flags = new ArrayList<>(List.of(OpenFlag.NON_BLOCKING));
        boolean readOnly = access == DiskAccess.READ_ONLY;
        if (!readOnly) {
            flags.add(OpenFlag.READ_WRITE);
            if (syncEachWrite) {
                flags.add(OpenFlag.DSYNC);
            }
            if (isBlockDevice(path)) {
                flags.add(OpenFlag.EXCLUSIVE);
            }
        }
        HostFile opened = opened(calls, path, readOnly, syncEachWrite, flags);
        if (!opened.status.isRegular() && !opened.status.isBlockDevice()) {
            opened.close();
            throw notAFile(opened);
        }
        return opened;
    }

    private static boolean isBlockDevice(Path path) {
        try {
            return ((int) Files.getAttribute(path, "unix:mode") & 0xF000) == 0x6000;
        } catch (IOException e) {
            return false; // opening it says why
        }
    }

    /// Makes a file that is not there yet, and locks it.
    ///
    /// @throws DiskException also when it exists
    static HostFile create(Path path) throws DiskException {
        HostFile made =
                opened(
                        FileCalls.KERNEL,
                        path,
                        false,
                        false,
                        List.of(OpenFlag.READ_WRITE, OpenFlag.CREATE, OpenFlag.EXCLUSIVE));
        made.lock();
        return made;
    }

    /// Opens a plain file or a device for reading, whoever may be using it.
    static HostFile openUnlocked(Path path) throws DiskException {
        return openAny(FileCalls.KERNEL, path, DiskAccess.READ_ONLY, false);
    }

    private static DiskException notAFile(HostFile opened) {
        return new DiskException(
                "image " + opened.path + " is " + opened.status.kind() + ", not a file");
    }

    private static HostFile opened(
            FileCalls calls,
            Path path,
            boolean readOnly,
            boolean syncEachWrite,
            List<OpenFlag> flags)
            throws DiskException {
        try {
            VectoredFile file = VectoredFile.open(calls, path, flags.toArray(OpenFlag[]::new));
            try {
                return new HostFile(file, null, path, readOnly, syncEachWrite);
            } catch (LinuxException e) {
                file.close();
                throw e;
            }
        } catch (LinuxException e) {
            throw new DiskException("image " + path + ": " + Errno.describe(e.errno()), e);
        }
    }

    private void lock() throws DiskException {
        lockPart(0, 0);
    }

    /// Locks a part of the file: for this one, which writes, or for all who read.
    ///
    /// @param sizeBytes 0 for everything from `offset` on
    void lockPart(long offset, long sizeBytes) throws DiskException {
        VectoredFile.RangeLock kind =
                readOnly ? VectoredFile.RangeLock.READ : VectoredFile.RangeLock.WRITE;
        try {
            if (!file.tryLock(kind, offset, sizeBytes)) {
                throw new DiskException(
                        "image "
                                + path
                                + " is in use by "
                                + file.lockHolder().orElse("another process")
                                + (readOnly ? ", which may write to it" : ""));
            }
        } catch (LinuxException e) {
            throw new DiskException("image " + path + ": " + e.getMessage(), e);
        }
    }

    /// What the kernel said about the file when it was opened.
    public FileStatus status() {
        return status;
    }

    Path path() {
        return path;
    }

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public long sizeBytes() throws IOException {
        return file.sizeBytes();
    }

    @Override
    public long read(IoVector into, long offset) throws IOException {
        VectoredFile past = direct;
        if (past == null || isUnaligned(into, offset)) {
            return file.read(into, offset);
        }
        long before = into.remainingBytes();
        try {
            past.read(into, offset);
        } catch (LinuxException e) {
            // Or the end of the file in the middle of a block.
            long at = offset + (before - into.remainingBytes());
            checkUnaligned(e, into, at);
            file.read(into, at);
        }
        return before - into.remainingBytes();
    }

    /// Sectors that are no whole blocks of the storage go through the page cache; the kernel keeps
    /// the two ways coherent.
    private boolean isUnaligned(IoVector vector, long offset) {
        long needed = directAlignment;
        return needed > 1
                && vector.size() > 0
                && ((offset | vector.alignment()) & (needed - 1)) != 0;
    }

    /// Remembers that more is needed than a transfer had that was refused: each refusal is an
    /// exception, and a guest may send thousands of such transfers.
    private void checkUnaligned(LinuxException failed, IoVector vector, long offset)
            throws LinuxException {
        if (failed.errno() != Errno.EINVAL) {
            throw failed;
        }
        long had = Long.lowestOneBit(offset | vector.alignment());
        if (had < MOST_ALIGNMENT) {
            directAlignment = Math.max(directAlignment, 2 * had);
        }
    }

    /// The file as the kernel has it, for transfers that are left to it.
    ///
    /// @return `null` when its bytes are moved by something else, nothing ever waits for it, or for
    ///     writes that go to the page cache: the kernel lets a thread of its own wait for those
    public @Nullable VectoredFile plain(boolean write) {
        VectoredFile used = direct == null ? file : direct;
        boolean waits = direct != null || !write;
        return waits && !inMemory && used.isPlain() ? used : null;
    }

    /// The file as the kernel has it in its page cache.
    ///
    /// @return `null` when its bytes are moved by something else, or past that cache
    public @Nullable VectoredFile cached() {
        return direct == null && file.isPlain() ? file : null;
    }

    /// Whether the kernel does writes one at a time anyway: those to the page cache of a plain
    /// file hold its lock. Threads that want it spin, as long as its holder runs.
    public boolean writesAlone() {
        return direct == null && !inMemory && !syncEachWrite && status.isRegular();
    }

    @Override
    public long readNoWait(IoVector into, long offset) throws IOException {
        if (direct != null) {
            return WOULD_BLOCK;
        }
        return inMemory ? file.read(into, offset) : file.readNoWait(into, offset);
    }

    @Override
    public void write(IoVector from, long offset) throws IOException {
        VectoredFile past = direct;
        if (past == null || isUnaligned(from, offset)) {
            file.write(from, offset);
            return;
        }
        long before = from.remainingBytes();
        try {
            past.write(from, offset);
        } catch (LinuxException e) {
            long at = offset + (before - from.remainingBytes());
            checkUnaligned(e, from, at);
            file.write(from, at);
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offset) throws IOException {
        if (direct != null) {
            return WOULD_BLOCK;
        }
        if (inMemory) {
            long sizeBytes = from.remainingBytes();
            file.write(from, offset);
            return sizeBytes;
        }
        if (syncEachWrite) {
            return WOULD_BLOCK; // a synchronous write waits by definition
        }
        if (!writesMayWait) {
            long count = file.writeNoWait(from, offset);
            if (count != VectoredFile.NOT_SUPPORTED) {
                return count;
            }
            writesMayWait = true;
        }
        long sizeBytes = from.remainingBytes();
        long begin = System.nanoTime();
        WriteTrial tries = trial;
        if (tries == null || !tries.mayTry(offset, sizeBytes, begin)) {
            return WOULD_BLOCK;
        }
        file.write(from, offset);
        tries.tried(begin, System.nanoTime());
        return sizeBytes;
    }

    /// As [org.splitring.blkback.BlockStore#takeNoWait].
    public long takeNoWait(SocketPipe from, long offset, long mostBytes) throws IOException {
        if (direct != null || syncEachWrite || !file.isPlain()) {
            return WOULD_BLOCK;
        }
        long size = Math.min(mostBytes, WriteTrial.MOST_BYTES);
        long begin = System.nanoTime();
        WriteTrial tries = trial;
        if (!inMemory && (tries == null || !tries.mayTry(offset, size, begin))) {
            return WOULD_BLOCK;
        }
        from.receive(size - from.heldBytes());
        long whole = from.heldBytes() & -PAGE_BYTES;
        if (whole > 0) {
            from.write(file, offset, whole);
            if (tries != null) {
                tries.tried(begin, System.nanoTime());
            }
        }
        return whole;
    }

    @Override
    public void truncate(long sizeBytes) throws IOException {
        file.truncate(sizeBytes);
    }

    /// In which units the file system gives storage back, 0 when it does not, or for a device.
    /// Asked by a hole where there is nothing: behind the end, with the end kept.
    @Override
    public int holeBytes() throws IOException {
        if (!status.isRegular()) {
            return 0;
        }
        int block = Math.max(512, status.blockSizeBytes());
        try {
            file.punchHole((file.sizeBytes() + block - 1) / block * block, block);
            return Integer.highestOneBit(block);
        } catch (LinuxException e) {
            if (e.errno() == Errno.EOPNOTSUPP || e.errno() == Errno.EFBIG) {
                return 0;
            }
            throw e;
        }
    }

    /// Gives the storage of a range back; it reads as zeros then.
    public void punchHole(long offset, long sizeBytes) throws IOException {
        file.punchHole(offset, sizeBytes);
        if (syncEachWrite) {
            sync(); // a hole is no write that O_DSYNC would speak of
        }
    }

    @Override
    public void zero(long offset, long sizeBytes) throws IOException {
        try {
            punchHole(offset, sizeBytes);
        } catch (LinuxException e) {
            if (e.errno() != Errno.EOPNOTSUPP) {
                throw e;
            }
            writeZeros(offset, sizeBytes);
        }
    }

    /// Where a hole and data share a sector, that is data.
    @Override
    public void describe(long offset, long sizeBytes, AllocationMap into) throws IOException {
        long hole = file.holeBytes(offset, sizeBytes) & -DiskImage.SECTOR_SIZE;
        if (hole > 0) {
            into.addHole(hole);
            return;
        }
        long data = Math.max(1, file.dataBytes(offset, sizeBytes));
        into.addData((data + DiskImage.SECTOR_SIZE - 1) & -DiskImage.SECTOR_SIZE);
    }

    private void writeZeros(long offset, long sizeBytes) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            var zeros = arena.allocate(Math.min(sizeBytes, ZERO_CHUNK), 4096);
            IoVector vector = new IoVector(1);
            for (long done = 0; done < sizeBytes; ) {
                long length = Math.min(zeros.byteSize(), sizeBytes - done);
                vector.clear();
                vector.add(zeros, 0, length);
                file.write(vector, offset + done);
                done += length;
            }
        }
    }

    /// @throws SyncFailedException whatever the reason is
    @Override
    public void sync() throws IOException {
        try {
            file.dataSync();
        } catch (LinuxException e) {
            SyncFailedException failed = new SyncFailedException(e.getMessage());
            failed.initCause(e);
            throw failed;
        }
    }

    /// Makes the file stable with all its metadata, and the name that it was made under.
    void syncWithName() throws IOException {
        file.sync();
        try (VectoredFile folder =
                VectoredFile.open(path.toAbsolutePath().resolveSibling(""), OpenFlag.FOLDER)) {
            folder.sync();
        }
    }

    @Override
    public void close() {
        if (direct != null) {
            direct.close();
        }
        file.close();
    }
}
