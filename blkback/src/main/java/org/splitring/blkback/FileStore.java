package org.splitring.blkback;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.HostFile;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// A raw image in a file: byte n of the disk is byte n of the file.
public final class FileStore implements BlockStore {
    private final HostFile file;
    private final int discardGranularityBytes;
    private volatile long sizeBytes;

    private FileStore(HostFile file, long sizeBytes) throws IOException {
        this.file = file;
        this.sizeBytes = sizeBytes;
        this.discardGranularityBytes = file.readOnly() ? 0 : file.holeBytes();
    }

    static FileStore open(Path path, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        return of(HostFile.openRaw(path, access, syncEachWrite));
    }

    /// Uses an open file.
    ///
    /// @param file closed with the store, and also when this fails
    /// @throws DiskException when its size is not a whole number of sectors
    public static FileStore of(HostFile file) throws DiskException {
        try {
            return new FileStore(file, checkedSize(file));
        } catch (DiskException e) {
            file.close();
            throw e;
        } catch (IOException e) {
            file.close();
            throw new DiskException("image " + file.name() + ": " + e.getMessage(), e);
        }
    }

    private static long checkedSize(HostFile file) throws IOException {
        long size = file.sizeBytes();
        if (size == 0) {
            throw new DiskException(
                    "image " + file.name() + " is empty (0 bytes); a disk has at least one sector");
        }
        if (size % DiskImage.SECTOR_SIZE != 0) {
            throw new DiskException(
                    "image "
                            + file.name()
                            + " has "
                            + size
                            + " bytes, which is not a whole number of sectors of "
                            + DiskImage.SECTOR_SIZE);
        }
        return size;
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean readOnly() {
        return file.readOnly();
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        return file.read(into, offsetBytes);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return file.readNoWait(into, offsetBytes);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        file.write(from, offsetBytes);
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        return file.writeNoWait(from, offsetBytes);
    }

    @Override
    public long takeNoWait(SocketPipe from, long offsetBytes, long mostBytes) throws IOException {
        return file.takeNoWait(from, offsetBytes, mostBytes);
    }

    @Override
    public @Nullable VectoredFile plainFile(boolean write) {
        return file.plain(write);
    }

    @Override
    public @Nullable VectoredFile cachedFile() {
        return file.cached();
    }

    @Override
    public boolean writesAlone() {
        return file.writesAlone();
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
            throw new UnsupportedOperationException("holes in " + name());
        }
        file.punchHole(offsetBytes, sizeBytes);
    }

    @Override
    public void describe(long offsetBytes, long sizeBytes, AllocationMap into) throws IOException {
        file.describe(offsetBytes, sizeBytes, into);
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
        } catch (IOException e) {
            sizeBytes = before;
            throw e;
        }
        sizeBytes = newSizeBytes;
    }

    @Override
    public void sync() throws IOException {
        file.sync();
    }

    @Override
    public void close() {
        file.close();
    }
}
