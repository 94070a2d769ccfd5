package org.splitring.blkback;

import java.io.IOException;
import java.nio.file.Path;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.FileAttributes;
import org.splitring.hypervisor.linux.FileStatus;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;

/// A raw image in a file: byte n of the disk is byte n of the file.
///
/// The file is locked as long as it is open: by one writer, or by any number of readers. It is
/// read and written at positions and never mapped, so that somebody who shortens it under us
/// causes a failed read and not a fault.
final class FileStore implements BlockStore {
    private static final long TMPFS_MAGIC = 0x0102_1994L; // linux/magic.h

    private final VectoredFile file;
    private final Path path;
    private final boolean readOnly;
    private final boolean syncEachWrite;
    private final int discardGranularityBytes;
    private final boolean inMemory; // tmpfs: nothing to wait for, and RWF_NOWAIT is not known there
    private volatile long sizeBytes;
    private volatile boolean writesMayWait; // set once the file system said it cannot tell

    private FileStore(
            VectoredFile file,
            Path path,
            long sizeBytes,
            boolean readOnly,
            boolean sync,
            int discardGranularityBytes,
            boolean inMemory) {
        this.file = file;
        this.path = path;
        this.sizeBytes = sizeBytes;
        this.readOnly = readOnly;
        this.syncEachWrite = sync;
        this.discardGranularityBytes = discardGranularityBytes;
        this.inMemory = inMemory;
    }

    static FileStore open(Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        boolean readOnly = access == DiskAccess.READ_ONLY;
        VectoredFile file;
        try {
            if (readOnly) {
                file = VectoredFile.open(path, OpenFlag.NON_BLOCKING);
            } else if (syncEachWrite) {
                file =
                        VectoredFile.open(
                                path, OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING, OpenFlag.DSYNC);
            } else {
                file = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING);
            }
        } catch (LinuxException e) {
            throw new DiskException("image " + path + ": " + Errno.describe(e.errno()), e);
        }
        try {
            long size = check(file, path);
            if (!file.tryLock(!readOnly)) {
                throw new DiskException(
                        "image "
                                + path
                                + " is in use by "
                                + file.lockHolder().orElse("another process")
                                + (readOnly ? ", which may write to it" : ""));
            }
            boolean inMemory = FileAttributes.fileSystem(file.fd()).type() == TMPFS_MAGIC;
            int granularity = readOnly ? 0 : discardGranularity(file, size);
            return new FileStore(
                    file, path, size, readOnly, syncEachWrite, granularity, inMemory);
        } catch (DiskException e) {
            file.close();
            throw e;
        } catch (IOException e) {
            file.close();
            throw new DiskException("image " + path + ": " + e.getMessage(), e);
        }
    }

    private static long check(VectoredFile file, Path path) throws IOException {
        FileStatus status = file.status();
        if (!status.isRegular()) {
            throw new DiskException("image " + path + " is " + status.kind() + ", not a file");
        }
        long size = status.sizeBytes();
        if (size == 0) {
            throw new DiskException(
                    "image " + path + " is empty (0 bytes); a disk has at least one sector");
        }
        if (size % DiskImage.SECTOR_SIZE != 0) {
            throw new DiskException(
                    "image "
                            + path
                            + " has "
                            + size
                            + " bytes, which is not a whole number of sectors of "
                            + DiskImage.SECTOR_SIZE);
        }
        return size;
    }

    /// Asks the file system by a hole where there is nothing: behind the end, with the end kept.
    private static int discardGranularity(VectoredFile file, long sizeBytes) throws IOException {
        int block = Math.max(DiskImage.SECTOR_SIZE, file.status().blockSizeBytes());
        try {
            file.punchHole((sizeBytes + block - 1) / block * block, block);
            return Integer.highestOneBit(block);
        } catch (LinuxException e) {
            if (e.errno() == Errno.EOPNOTSUPP || e.errno() == Errno.EFBIG) {
                return 0;
            }
            throw e;
        }
    }

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        return file.read(into, offsetBytes);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return inMemory ? file.read(into, offsetBytes) : file.readNoWait(into, offsetBytes);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        file.write(from, offsetBytes);
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        if (inMemory) {
            long sizeBytes = from.remainingBytes();
            file.write(from, offsetBytes);
            return sizeBytes;
        }
        if (syncEachWrite || writesMayWait) {
            return WOULD_BLOCK; // a synchronous write waits by definition
        }
        long count = file.writeNoWait(from, offsetBytes);
        if (count == VectoredFile.NOT_SUPPORTED) {
            writesMayWait = true;
            return WOULD_BLOCK;
        }
        return count;
    }

    @Override
    public void sync() throws IOException {
        file.dataSync();
    }

    @Override
    public int discardGranularityBytes() {
        return discardGranularityBytes;
    }

    /// A hole reads as zeros, and so do the parts of blocks at its ends.
    @Override
    public boolean discardZeroes() {
        return discardGranularityBytes > 0;
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes) throws IOException {
        if (discardGranularityBytes == 0) {
            throw new UnsupportedOperationException("holes in " + path);
        }
        file.punchHole(offsetBytes, sizeBytes);
        if (syncEachWrite) {
            file.dataSync(); // a hole is no write that O_DSYNC would speak of
        }
    }

    @Override
    public void resize(long newSizeBytes) throws IOException {
        long before = sizeBytes;
        if (newSizeBytes < before) {
            // First, so that a write which comes after the cut sees that it is behind the end.
            sizeBytes = newSizeBytes;
        }
        try {
            file.truncate(newSizeBytes);
        } catch (LinuxException e) {
            sizeBytes = before;
            throw e;
        }
        sizeBytes = newSizeBytes;
    }

    @Override
    public void close() {
        file.close();
    }
}
