package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.IoVector;

/// A disk that consists of parts of files or block devices ([ExtentList]). Only the parts are
/// locked, so that others may have the rest of a file.
final class ExtentStore implements BlockStore {
    private final Path list;
    private final boolean readOnly;
    private final List<HostFile> files; // each once
    private final long[] starts; // where each part begins on the disk; one more: the size
    private final HostFile[] partFiles;
    private final long[] places;
    private final VectorPool vectors = new VectorPool();

    private ExtentStore(
            Path list,
            boolean readOnly,
            List<HostFile> files,
            long[] starts,
            HostFile[] partFiles,
            long[] places) {
        this.list = list;
        this.readOnly = readOnly;
        this.files = files;
        this.starts = starts;
        this.partFiles = partFiles;
        this.places = places;
    }

    /// Opens and locks all parts.
    ///
    /// @throws DiskException when a file is missing, elsewhere, too short, or in use there
    static ExtentStore open(
            Path list, DiskAccess access, boolean syncEachWrite, BackingFolders folders)
            throws DiskException {
        List<ExtentList.Part> parts = ExtentList.read(list).parts();
        Map<Path, HostFile> files = new LinkedHashMap<>();
        boolean done = false;
        try {
            long[] starts = new long[parts.size() + 1];
            HostFile[] partFiles = new HostFile[parts.size()];
            long[] places = new long[parts.size()];
            for (int i = 0; i < parts.size(); i++) {
                ExtentList.Part part = parts.get(i);
                Path path = folders.resolve(list, list, part.name());
                HostFile file = files.get(path);
                if (file == null) {
                    file = HostFile.openUnlockedParts(path, access, syncEachWrite);
                    files.put(path, file);
                }
                if (part.offset() > file.sizeBytes() - part.sizeBytes()) {
                    throw new DiskException(
                            "image "
                                    + list
                                    + ": extent "
                                    + (i + 1)
                                    + " ends beyond the end of "
                                    + path);
                }
                for (int j = 0; j < i; j++) {
                    ExtentList.Part other = parts.get(j);
                    if (partFiles[j] == file
                            && part.offset() < other.offset() + other.sizeBytes()
                            && other.offset() < part.offset() + part.sizeBytes()) {
                        throw new DiskException(
                                "image %s: extents %d and %d overlap"
                                        .formatted(list, j + 1, i + 1));
                    }
                }
                file.lockPart(part.offset(), part.sizeBytes());
                partFiles[i] = file;
                places[i] = part.offset();
                starts[i + 1] = Math.addExact(starts[i], part.sizeBytes());
            }
            done = true;
            return new ExtentStore(
                    list,
                    access == DiskAccess.READ_ONLY,
                    List.copyOf(files.values()),
                    starts,
                    partFiles,
                    places);
        } catch (DiskException e) {
            throw e;
        } catch (ArithmeticException | IOException e) {
            throw new DiskException("image " + list + ": " + e.getMessage());
        } finally {
            if (!done) {
                new ArrayList<>(files.values()).forEach(HostFile::close);
            }
        }
    }

    @Override
    public String name() {
        return list.toString();
    }

    @Override
    public long sizeBytes() {
        return starts[starts.length - 1];
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    private int partAt(long offset) {
        int found = Arrays.binarySearch(starts, offset);
        return found >= 0 ? found : -found - 2;
    }

    /// One transfer with one of the files.
    private interface Transfer {
        long run(HostFile file, IoVector part, long place) throws IOException;
    }

    private static final Transfer WRITE =
            (file, part, place) -> {
                long size = part.remainingBytes();
                file.write(part, place);
                return size;
            };

    /// Transfers part by part.
    ///
    /// @return bytes transferred, or what the first transfer answered when that is less than one
    private long run(IoVector vector, long offset, Transfer transfer) throws IOException {
        IoVector part = vectors.take();
        try {
            long done = 0;
            while (vector.remainingBytes() > 0) {
                long at = offset + done;
                int index = partAt(at);
                part.clear();
                long size = part.addFrom(vector, starts[index + 1] - at);
                long count =
                        transfer.run(partFiles[index], part, places[index] + at - starts[index]);
                if (count <= 0) {
                    return done == 0 ? count : done;
                }
                vector.advance(count);
                done += count;
                if (count < size) {
                    return done;
                }
            }
            return done;
        } finally {
            vectors.give(part);
        }
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        return run(into, offsetBytes, HostFile::read);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return run(into, offsetBytes, HostFile::readNoWait);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        run(from, offsetBytes, WRITE);
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        return run(from, offsetBytes, HostFile::writeNoWait);
    }

    /// To the end of a part at most.
    @Override
    public void describe(long offsetBytes, long sizeBytes, AllocationMap into) throws IOException {
        int part = partAt(offsetBytes);
        long size = Math.min(sizeBytes, starts[part + 1] - offsetBytes);
        partFiles[part].describe(places[part] + offsetBytes - starts[part], size, into);
    }

    @Override
    public void sync() throws IOException {
        for (HostFile file : files) {
            file.sync();
        }
    }

    @Override
    public void close() {
        files.forEach(HostFile::close);
    }
}
