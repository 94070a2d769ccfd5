package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.locks.StampedLock;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.hypervisor.linux.IoVector;

/// A VHD as a disk: fixed, whose data are followed by a footer ([VhdTail]), or dynamic, whose
/// blocks are where a table says ([VhdBlocks]).
///
/// The footer at the end, which no guest can reach, says what the image is; the first sector, which
/// is the guest's in a fixed one, is asked only when there is none.
///
/// Transfers hold a lock for reading. A change of size that moves blocks, or lets the file end
/// where data were, holds it for writing.
final class VhdStore implements BlockStore {
    private final ImageFile file;
    private final @Nullable VhdBlocks blocks; // of a dynamic one
    private final BigEndianFile numbers; // of a fixed one, used by resize
    private final int holeBytes;
    private final StampedLock moving = new StampedLock();
    private final VectorPool vectors = new VectorPool();
    private final Transfer reading;
    private final Transfer readingNoWait;
    private byte[] footer; // of a fixed one, used by resize
    private volatile long sizeBytes;
    private volatile boolean failed;

    private VhdStore(ImageFile file, long sizeBytes, byte[] footer, @Nullable VhdBlocks blocks)
            throws IOException {
        this.file = file;
        this.sizeBytes = sizeBytes;
        this.footer = footer;
        this.blocks = blocks;
        this.numbers = new BigEndianFile(file);
        this.holeBytes = file.readOnly() ? 0 : file.holeBytes();
        this.reading = file::read;
        this.readingNoWait = file::readNoWait;
    }

    /// Opens an image.
    ///
    /// @param file closed with the store, and not when this fails
    /// @throws DiskException when it is none, is damaged, or based on another
    static VhdStore open(ImageFile file) throws DiskException {
        try {
            return read(file);
        } catch (IllegalArgumentException e) {
            throw new DiskException("image " + file.name() + ": " + e.getMessage());
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + file.name() + ": " + e.getMessage(), e);
        }
    }

    private static VhdStore read(ImageFile file) throws IOException {
        long fileBytes = file.sizeBytes();
        BigEndianFile numbers = new BigEndianFile(file);
        if (fileBytes < VhdFooter.BYTES) {
            throw new IllegalArgumentException("is no VHD: it has only " + fileBytes + " bytes");
        }
        byte[] sector = numbers.readBytes(fileBytes - VhdFooter.BYTES, VhdFooter.BYTES);
        if (VhdFooter.isOne(sector)) {
            return read(file, numbers, sector, true);
        }
        byte[] first = numbers.readBytes(0, VhdFooter.BYTES);
        long tail = VhdTail.find(file);
        if (tail < 0) {
            if (!VhdFooter.isOne(first)) {
                throw new IllegalArgumentException("is no VHD: it has no footer");
            }
            return read(file, numbers, first, false);
        }
        VhdFooter other = VhdTail.parsed(first);
        if (other != null && other.type() == VhdFooter.DYNAMIC) {
            // One of the two was written by a guest.
            throw new IllegalArgumentException(
                    "has no footer at its end, and looks like a fixed disk and like a dynamic one");
        }
        sector = numbers.readBytes(tail, VhdFooter.BYTES);
        if (!file.readOnly()) {
            VhdTail.cutBehind(file, tail);
        }
        return read(file, numbers, sector, true);
    }

    private static VhdStore read(
            ImageFile file, BigEndianFile numbers, byte[] sector, boolean atEnd)
            throws IOException {
        long fileBytes = file.sizeBytes();
        VhdFooter footer = VhdFooter.parse(sector);
        long size = footer.sizeBytes();
        if (size <= 0 || size % DiskImage.SECTOR_SIZE != 0 || size > VhdFooter.MAX_BYTES) {
            throw new IllegalArgumentException(
                    "its disk has "
                            + Long.toUnsignedString(size)
                            + " bytes, which is not one or more whole sectors, up to 2040 GiB");
        }
        return switch (footer.type()) {
            case VhdFooter.FIXED -> {
                if (!atEnd || size > fileBytes - VhdFooter.BYTES) {
                    throw new IllegalArgumentException(
                            "a fixed disk of " + size + " bytes is not in its " + fileBytes);
                }
                yield new VhdStore(file, size, sector, null);
            }
            case VhdFooter.DYNAMIC -> {
                long at = footer.headerOffset();
                if (at < VhdFooter.BYTES || at > fileBytes - VhdHeader.BYTES) {
                    throw new IllegalArgumentException(
                            "its header begins at " + Long.toUnsignedString(at));
                }
                byte[] bytes = numbers.readBytes(at, VhdHeader.BYTES);
                VhdHeader header = VhdHeader.parse(bytes, size, fileBytes);
                int[] table = new int[header.entries()];
                ByteBuffer.wrap(numbers.readBytes(header.tableOffset(), table.length * 4))
                        .asIntBuffer()
                        .get(table);
                yield new VhdStore(
                        file, size, sector, new VhdBlocks(file, at, header, table, sector, atEnd));
            }
            case VhdFooter.DIFFERENCING ->
                    throw new IllegalArgumentException(
                            "is a differencing disk, based on another, which is not supported");
            default ->
                    throw new IllegalArgumentException(
                            "type " + footer.type() + " is neither fixed (2) nor dynamic (3)");
        };
    }

    /// How many blocks there are, and of which size; for a fixed one it is one.
    CheckReport report() {
        VhdBlocks dynamic = blocks;
        return dynamic == null
                ? new CheckReport(List.of(), 0, 0, sizeBytes / 512, 512)
                : new CheckReport(List.of(), 0, 0, dynamic.used(), dynamic.blockBytes());
    }

    /// `fixed` or `dynamic, blocks of N bytes`.
    String details() {
        return blocks == null ? "fixed" : "dynamic, blocks of " + blocks.blockBytes() + " bytes";
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

    /// One transfer with the file.
    private interface Transfer {
        long run(IoVector part, long place) throws IOException;
    }

    /// Whether a range is within the disk, which may have become smaller since it was checked.
    private boolean reaches(long offset, long length) {
        return offset <= sizeBytes - length;
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        long stamp = moving.readLock();
        try {
            return reaches(offsetBytes, into.remainingBytes())
                    ? readBlocks(into, offsetBytes, reading, false)
                    : 0;
        } finally {
            moving.unlockRead(stamp);
        }
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        long stamp = moving.tryReadLock();
        if (stamp == 0) {
            return WOULD_BLOCK;
        }
        try {
            return reaches(offsetBytes, into.remainingBytes())
                    ? readBlocks(into, offsetBytes, readingNoWait, true)
                    : WOULD_BLOCK;
        } finally {
            moving.unlockRead(stamp);
        }
    }

    private long readBlocks(IoVector into, long offset, Transfer transfer, boolean noWait)
            throws IOException {
        VhdBlocks dynamic = blocks;
        if (dynamic == null) {
            return transfer.run(into, offset);
        }
        IoVector part = vectors.take();
        try {
            long done = 0;
            while (into.remainingBytes() > 0) {
                long at = offset + done;
                long size = Math.min(into.remainingBytes(), dynamic.toEndOfBlock(at));
                long place = dynamic.place(at);
                if (place < 0) {
                    into.putZeros(size);
                    done += size;
                    continue;
                }
                part.clear();
                size = part.addFrom(into, size);
                long count = transfer.run(part, place);
                into.advance(Math.max(0, count));
                done += Math.max(0, count);
                if (count < size) {
                    return noWait && done == 0 ? WOULD_BLOCK : done;
                }
            }
            return done;
        } finally {
            vectors.give(part);
        }
    }

    /// What reaches behind an end that has come nearer since is not written: a footer may be there.
    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        long stamp = moving.readLock();
        try {
            if (reaches(offsetBytes, from.remainingBytes())) {
                writeBlocks(from, offsetBytes);
            } else {
                from.advance(from.remainingBytes());
            }
        } catch (IOException e) {
            fail();
            throw e;
        } finally {
            moving.unlockRead(stamp);
        }
    }

    private void fail() {
        failed = true;
        if (blocks != null) {
            blocks.fail();
        }
    }

    private void writeBlocks(IoVector from, long offset) throws IOException {
        VhdBlocks dynamic = blocks;
        if (dynamic == null) {
            file.write(from, offset);
            return;
        }
        IoVector part = vectors.take();
        try {
            long at = offset;
            while (from.remainingBytes() > 0) {
                long place = dynamic.placeToWrite(at);
                part.clear();
                long most = Math.min(from.remainingBytes(), dynamic.toEndOfBlock(at));
                long size = part.addFrom(from, most);
                file.write(part, place);
                from.advance(size);
                at += size;
            }
        } finally {
            vectors.give(part);
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        if (blocks != null) {
            return WOULD_BLOCK; // the bitmaps may have to be looked at
        }
        long stamp = moving.tryReadLock();
        if (stamp == 0) {
            return WOULD_BLOCK;
        }
        try {
            return reaches(offsetBytes, from.remainingBytes())
                    ? file.writeNoWait(from, offsetBytes)
                    : WOULD_BLOCK;
        } finally {
            moving.unlockRead(stamp);
        }
    }

    @Override
    public int discardGranularityBytes() {
        return holeBytes;
    }

    @Override
    public boolean discardZeroes() {
        return holeBytes > 0;
    }

    /// Makes holes in the file. The format has no word for a block that is given back, which could
    /// be left out only by leaving a gap in the file.
    @Override
    public void discard(long offsetBytes, long size) throws IOException {
        if (holeBytes == 0) {
            throw new UnsupportedOperationException("holes in " + name());
        }
        long stamp = moving.readLock();
        try {
            long end = Math.min(offsetBytes + size, sizeBytes);
            if (end <= offsetBytes) {
                return;
            }
            if (blocks == null) {
                file.zero(offsetBytes, end - offsetBytes);
            } else {
                blocks.zero(offsetBytes, end);
            }
        } finally {
            moving.unlockRead(stamp);
        }
    }

    /// Blocks that are nowhere are holes, and so are those of the file, where something was
    /// discarded.
    @Override
    public void describe(long offsetBytes, long size, AllocationMap into) throws IOException {
        long stamp = moving.readLock();
        try {
            if (!reaches(offsetBytes, size)) {
                throw new IOException(name() + " has become shorter");
            }
            VhdBlocks dynamic = blocks;
            if (dynamic == null) {
                file.describe(offsetBytes, size, into);
                return;
            }
            long nowhere = dynamic.bytesNowhere(offsetBytes, size);
            if (nowhere > 0) {
                into.addHole(nowhere);
            } else {
                long most = Math.min(size, dynamic.toEndOfBlock(offsetBytes));
                file.describe(dynamic.place(offsetBytes), most, into);
            }
        } finally {
            moving.unlockRead(stamp);
        }
    }

    @Override
    public void resize(long newSizeBytes) throws IOException {
        if (newSizeBytes > VhdFooter.MAX_BYTES) {
            throw new IOException("a VHD has at most 2040 GiB");
        }
        long most = blocks == null ? 0 : (long) VhdHeader.MAX_ENTRIES * blocks.blockBytes();
        if (blocks != null && newSizeBytes > most) {
            throw new IOException(
                    "a table of blocks of %d bytes reaches to %d bytes; convert the image"
                            .formatted(blocks.blockBytes(), most));
        }
        if (failed) {
            throw new IOException("it has failed before, and has to be opened again");
        }
        long before = sizeBytes;
        if (newSizeBytes == before) {
            return; // nothing is ever written behind it
        }
        boolean exclusive =
                newSizeBytes < before || (blocks != null && blocks.needsEntries(newSizeBytes));
        long stamp = exclusive ? moving.writeLock() : moving.readLock();
        try {
            if (blocks == null) {
                footer = VhdTail.resize(file, numbers, footer, before, newSizeBytes);
            } else {
                resize(blocks, before, newSizeBytes);
            }
            sizeBytes = newSizeBytes;
        } catch (IOException e) {
            fail(); // what the file has now is not known
            throw e;
        } finally {
            moving.unlock(stamp);
        }
    }

    private static void resize(VhdBlocks dynamic, long before, long size) throws IOException {
        if (size < before) {
            dynamic.setSize(size);
            dynamic.zero(size, before);
            return;
        }
        if (dynamic.needsEntries(size)) {
            dynamic.addEntries(size);
        }
        // What is behind the old end was never to be seen.
        dynamic.zero(before, size);
        dynamic.setSize(size);
    }

    @Override
    public void sync() throws IOException {
        try {
            file.sync();
        } catch (IOException e) {
            fail();
            throw e;
        }
    }

    @Override
    public void close() {
        try {
            if (blocks != null) {
                blocks.close();
            }
        } finally {
            file.close();
        }
    }
}
