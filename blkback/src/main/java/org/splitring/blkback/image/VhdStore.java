package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.hypervisor.linux.IoVector;

/// A VHD as a disk: fixed, whose data are followed by a footer, or dynamic, whose blocks are where
/// a table says.
///
/// Blocks are made for several at once: the file grows by empty ones, with their bitmaps full and
/// the footer behind them, and that is stable before the table leads to any. So a loss of power
/// leaves a table that leads to whole blocks, and perhaps no footer, of which there is a copy.
///
/// The footer at the end, which no guest can reach, says what the image is; the first sector, which
/// is the guest's in a fixed one, is asked only when there is none.
final class VhdStore implements BlockStore {
    private static final Logger LOG = LoggerFactory.getLogger(VhdStore.class);
    private static final int BLOCKS_AT_ONCE = 8;

    private final ImageFile file;
    private final long sizeBytes;
    private final @Nullable VhdHeader header; // of a dynamic one
    private final byte[] footer;
    private final BigEndianFile numbers; // guarded by growing
    private final Object growing = new Object(); // held over waits for storage
    private boolean[] fullBitmaps = {}; // guarded by growing

    private final int[] table; // guarded by this
    private long nextBlock; // guarded by growing: where the next block begins
    private int emptyBlocks; // guarded by growing: so many of them are in the file already
    private final VectorPool vectors = new VectorPool();
    private final Transfer reading;
    private final Transfer readingNoWait;
    private volatile boolean failed;

    private VhdStore(
            ImageFile file,
            VhdFooter parsed,
            byte[] footer,
            @Nullable VhdHeader header,
            int[] table)
            throws IOException {
        this.file = file;
        this.sizeBytes = parsed.sizeBytes();
        this.footer = footer;
        this.header = header;
        this.table = table;
        this.numbers = new BigEndianFile(file);
        this.reading = file::read;
        this.readingNoWait = file::readNoWait;
        if (header != null) {
            this.fullBitmaps = new boolean[table.length];
            this.nextBlock = checkBlocks(header, table, file.sizeBytes());
        }
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
        boolean atEnd = VhdFooter.isOne(sector);
        if (!atEnd) {
            sector = numbers.readBytes(0, VhdFooter.BYTES);
            if (!VhdFooter.isOne(sector)) {
                throw new IllegalArgumentException("is no VHD: it has no footer");
            }
        }
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
                yield new VhdStore(file, footer, sector, null, new int[0]);
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
                yield new VhdStore(file, footer, sector, header, table);
            }
            case VhdFooter.DIFFERENCING ->
                    throw new IllegalArgumentException(
                            "is a differencing disk, based on another, which is not supported");
            default ->
                    throw new IllegalArgumentException(
                            "type " + footer.type() + " is neither fixed (2) nor dynamic (3)");
        };
    }

    /// Checks that every block has its place in the file for itself.
    ///
    /// @return where the next one can be
    private static long checkBlocks(VhdHeader header, int[] table, long fileBytes) {
        long blockBytes = header.bitmapBytes() + (long) header.blockBytes();
        long end = (header.tableOffset() + header.entries() * 4L + 511) & -512;
        // A table may have millions of entries: one array of them, sorted as unsigned numbers.
        int[] sorted = new int[table.length];
        int used = 0;
        for (int entry : table) {
            if (entry != VhdHeader.NOWHERE) {
                sorted[used++] = entry ^ Integer.MIN_VALUE;
            }
        }
        Arrays.sort(sorted, 0, used);
        for (int i = 0; i < used; i++) {
            long place = Integer.toUnsignedLong(sorted[i] ^ Integer.MIN_VALUE) * 512;
            if (place < end) {
                throw new IllegalArgumentException(
                        "a block is at " + place + ", where the table or another block is");
            }
            end = place + blockBytes;
        }
        if (end > fileBytes) {
            throw new IllegalArgumentException(
                    "a block ends at " + end + ", beyond the end of the file at " + fileBytes);
        }
        return end;
    }

    /// How many blocks there are, and of which size; for a fixed one it is one.
    CheckReport report() {
        VhdHeader dynamic = header;
        if (dynamic == null) {
            return new CheckReport(List.of(), 0, 0, sizeBytes / 512, 512);
        }
        long used = Arrays.stream(table).filter(entry -> entry != VhdHeader.NOWHERE).count();
        return new CheckReport(List.of(), 0, 0, used, dynamic.blockBytes());
    }

    /// `fixed` or `dynamic, blocks of N bytes`.
    String details() {
        return header == null ? "fixed" : "dynamic, blocks of " + header.blockBytes() + " bytes";
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

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        return readBlocks(into, offsetBytes, reading, false);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return readBlocks(into, offsetBytes, readingNoWait, true);
    }

    private long readBlocks(IoVector into, long offset, Transfer transfer, boolean noWait)
            throws IOException {
        if (header == null) {
            return transfer.run(into, offset);
        }
        IoVector part = vectors.take();
        try {
            long done = 0;
            while (into.remainingBytes() > 0) {
                long at = offset + done;
                long size = Math.min(into.remainingBytes(), toEndOfBlock(header, at));
                long place = place(header, at);
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

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        try {
            writeBlocks(from, offsetBytes);
        } catch (IOException e) {
            failed = true;
            throw e;
        }
    }

    private void writeBlocks(IoVector from, long offset) throws IOException {
        VhdHeader dynamic = header;
        if (dynamic == null) {
            file.write(from, offset);
            return;
        }
        IoVector part = vectors.take();
        try {
            writeBlocks(dynamic, from, offset, part);
        } finally {
            vectors.give(part);
        }
    }

    private void writeBlocks(VhdHeader dynamic, IoVector from, long offset, IoVector part)
            throws IOException {
        long at = offset;
        while (from.remainingBytes() > 0) {
            long place = place(dynamic, at);
            synchronized (growing) {
                if (place < 0) {
                    makeBlock(dynamic, (int) (at / dynamic.blockBytes()));
                    place = place(dynamic, at);
                }
                fillBitmap(dynamic, (int) (at / dynamic.blockBytes()));
            }
            part.clear();
            long size =
                    part.addFrom(from, Math.min(from.remainingBytes(), toEndOfBlock(dynamic, at)));
            file.write(part, place);
            from.advance(size);
            at += size;
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        VhdHeader dynamic = header;
        if (dynamic == null) {
            return file.writeNoWait(from, offsetBytes);
        }
        return WOULD_BLOCK; // the bitmaps may have to be looked at
    }

    @Override
    public void sync() throws IOException {
        try {
            file.sync();
        } catch (IOException e) {
            failed = true;
            throw e;
        }
    }

    private static long toEndOfBlock(VhdHeader header, long offset) {
        return header.blockBytes() - (offset & (header.blockBytes() - 1));
    }

    /// Place in the file of a byte of the disk; negative when it is in no block.
    private synchronized long place(VhdHeader dynamic, long offset) {
        int entry = table[(int) (offset / dynamic.blockBytes())];
        return entry == VhdHeader.NOWHERE
                ? -1
                : Integer.toUnsignedLong(entry) * 512
                        + dynamic.bitmapBytes()
                        + (offset & (dynamic.blockBytes() - 1));
    }

    private void makeBlock(VhdHeader dynamic, int index) throws IOException {
        synchronized (this) {
            if (table[index] != VhdHeader.NOWHERE) {
                return; // somebody else has made it
            }
        }
        if (failed) {
            throw new IOException(file.name() + " has failed before");
        }
        long blockBytes = dynamic.bitmapBytes() + (long) dynamic.blockBytes();
        if (emptyBlocks == 0) {
            grow(dynamic, blockBytes);
        }
        int entry = (int) (nextBlock / 512);
        byte[] bytes = ByteBuffer.allocate(4).putInt(entry).array();
        numbers.writeBytes(dynamic.tableOffset() + index * 4L, bytes);
        fullBitmaps[index] = true;
        nextBlock += blockBytes;
        emptyBlocks--;
        synchronized (this) {
            table[index] = entry;
        }
    }

    private void grow(VhdHeader dynamic, long blockBytes) throws IOException {
        int count = (int) Math.max(1, Math.min(BLOCKS_AT_ONCE, (16L << 20) / blockBytes));
        long end = nextBlock + count * blockBytes;
        if (end / 512 >= 0xffffffffL) {
            throw new IOException(file.name() + " is full: the format reaches no further");
        }
        // What is behind is no block: a footer, or what a crash left. It is not cut off before
        // there
        // is more behind it: then the last sector would be a guest's, and could look like a footer.
        long before = file.sizeBytes();
        if (before > nextBlock) {
            file.zero(nextBlock, Math.min(before, end) - nextBlock);
        }
        file.truncate(end + VhdFooter.BYTES);
        byte[] bitmap = new byte[dynamic.bitmapBytes()];
        Arrays.fill(bitmap, (byte) 0xff);
        for (int i = 0; i < count; i++) {
            numbers.writeBytes(nextBlock + i * blockBytes, bitmap);
        }
        numbers.writeBytes(end, footer);
        file.sync();
        emptyBlocks = count;
    }

    /// A writer who knows bitmaps leaves the bits of sectors away that he has not written.
    private void fillBitmap(VhdHeader dynamic, int index) throws IOException {
        if (fullBitmaps[index]) {
            return;
        }
        long at;
        synchronized (this) {
            at = Integer.toUnsignedLong(table[index]) * 512;
        }
        byte[] bitmap = numbers.readBytes(at, dynamic.bitmapBytes());
        byte[] full = new byte[bitmap.length];
        Arrays.fill(full, (byte) 0xff);
        if (!Arrays.equals(bitmap, full)) {
            numbers.writeBytes(at, full);
        }
        fullBitmaps[index] = true;
    }

    /// Gives back the empty blocks at the end. Everything is stable; a loss of power meanwhile
    /// leaves the copy of the footer.
    @Override
    public void close() {
        try {
            synchronized (growing) {
                if (emptyBlocks > 0 && !failed) {
                    file.truncate(nextBlock + VhdFooter.BYTES);
                    numbers.writeBytes(nextBlock, footer);
                }
            }
        } catch (IOException e) {
            LOG.warn("{}: its end cannot be written: {}", file.name(), e.getMessage());
        } finally {
            file.close();
        }
    }
}
