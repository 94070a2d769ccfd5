package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.linux.IoVector;

/// The blocks of a dynamic VHD: where they are, and how there come to be more.
///
/// Blocks are made for several at once: the file grows by empty ones, with their bitmaps full and
/// the footer behind them, and that is stable before the table leads to any. So a loss of power
/// leaves a table that leads to whole blocks, and perhaps no footer at the end, of which there is a
/// copy in the first sector.
///
/// A longer table takes the place of the blocks behind it: they are copied to the end first, and
/// the table leads to the copies. Each step is stable before the next.
///
/// Any thread, except where a method says otherwise.
final class VhdBlocks {
    private static final Logger LOG = LoggerFactory.getLogger(VhdBlocks.class);
    private static final int BLOCKS_AT_ONCE = 8;
    private static final int CHUNK_BYTES = 1 << 20;

    private final ImageFile file;
    private final long headerAt;
    private final int blockBytes;
    private final int bitmapBytes;

    private final Object growing = new Object(); // held over waits for storage
    // Guarded by growing.
    private final BigEndianFile numbers;
    private VhdHeader header;
    private byte[] footer;
    private boolean footerAtEnd;
    private boolean copySound; // the first sector is as the footer
    private boolean[] fullBitmaps;
    private long nextBlock; // where the next block begins
    private int emptyBlocks; // so many of them are in the file already

    private int[] table; // guarded by this
    private volatile boolean failed;

    /// @param footer of which the first sector is perhaps a copy
    /// @param footerAtEnd whether the last sector of the file is that
    /// @throws IllegalArgumentException saying what is wrong with the table
    VhdBlocks(
            ImageFile file,
            long headerAt,
            VhdHeader header,
            int[] table,
            byte[] footer,
            boolean footerAtEnd)
            throws IOException {
        this.file = file;
        this.headerAt = headerAt;
        this.header = header;
        this.blockBytes = header.blockBytes();
        this.bitmapBytes = header.bitmapBytes();
        this.table = table;
        this.footer = footer;
        this.footerAtEnd = footerAtEnd;
        this.numbers = new BigEndianFile(file);
        this.copySound = Arrays.equals(footer, numbers.readBytes(0, VhdFooter.BYTES));
        this.fullBitmaps = new boolean[table.length];
        this.nextBlock = checkBlocks(header, table, file.sizeBytes());
    }

    /// Checks that every block has its place in the file for itself.
    ///
    /// @return where the next one can be
    private static long checkBlocks(VhdHeader header, int[] table, long fileBytes) {
        long placeBytes = header.bitmapBytes() + (long) header.blockBytes();
        long end = header.tableEnd();
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
            end = place + placeBytes;
        }
        if (end > fileBytes) {
            throw new IllegalArgumentException(
                    "a block ends at " + end + ", beyond the end of the file at " + fileBytes);
        }
        return end;
    }

    int blockBytes() {
        return blockBytes;
    }

    /// How many blocks are in the file.
    synchronized long used() {
        return Arrays.stream(table).filter(entry -> entry != VhdHeader.NOWHERE).count();
    }

    long toEndOfBlock(long offset) {
        return blockBytes - (offset & (blockBytes - 1));
    }

    /// Place in the file of a byte of the disk; negative when it is in no block.
    synchronized long place(long offset) {
        int entry = table[(int) (offset / blockBytes)];
        return entry == VhdHeader.NOWHERE
                ? -1
                : placeOf(entry) + bitmapBytes + (offset & (blockBytes - 1));
    }

    /// How many bytes of the disk from a place on are in no block, `maxBytes` at most.
    synchronized long bytesNowhere(long offset, long maxBytes) {
        long end = offset + maxBytes;
        long at = offset;
        while (at < end && table[(int) (at / blockBytes)] == VhdHeader.NOWHERE) {
            at += toEndOfBlock(at);
        }
        return Math.min(at, end) - offset;
    }

    private static long placeOf(int entry) {
        return Integer.toUnsignedLong(entry) * 512;
    }

    private synchronized int entry(int index) {
        return table[index];
    }

    private synchronized void setEntry(int index, int entry) {
        table[index] = entry;
    }

    /// As [#place], of a byte that is to be written: its block is there, and its bitmap is full.
    long placeToWrite(long offset) throws IOException {
        int index = (int) (offset / blockBytes);
        synchronized (growing) {
            if (entry(index) == VhdHeader.NOWHERE) {
                makeBlock(index);
            }
            fillBitmap(index);
        }
        return place(offset);
    }

    /// Makes no more blocks: what the file has now is not known.
    void fail() {
        failed = true;
    }

    private void checkNotFailed() throws IOException {
        if (failed) {
            throw new IOException(file.name() + " has failed before");
        }
    }

    private void makeBlock(int index) throws IOException {
        checkNotFailed();
        int entry = takeEmpty();
        writeEntry(index, entry);
        fullBitmaps[index] = true;
        setEntry(index, entry);
    }

    /// Takes the next of the empty blocks, of which there will be some then.
    private int takeEmpty() throws IOException {
        if (emptyBlocks == 0) {
            addEmpty();
        }
        int entry = (int) (nextBlock / 512);
        nextBlock += bitmapBytes + (long) blockBytes;
        emptyBlocks--;
        return entry;
    }

    private void writeEntry(int index, int entry) throws IOException {
        byte[] bytes = ByteBuffer.allocate(4).putInt(entry).array();
        numbers.writeBytes(header.tableOffset() + index * 4L, bytes);
    }

    private void addEmpty() throws IOException {
        long placeBytes = bitmapBytes + (long) blockBytes;
        int count = (int) Math.max(1, Math.min(BLOCKS_AT_ONCE, (16L << 20) / placeBytes));
        long end = nextBlock + count * placeBytes;
        if (end / 512 >= 0xffffffffL) {
            throw new IOException(file.name() + " is full: the format reaches no further");
        }
        if (!copySound) { // a loss of power may leave nothing else
            numbers.writeBytes(0, footer);
            file.sync();
            copySound = true;
        }
        // What is behind is no block: a footer, or what a crash left. It is not cut off before
        // there is more behind it: then the last sector would be a guest's, and could look like a
        // footer.
        long before = file.sizeBytes();
        if (before > nextBlock) {
            file.zero(nextBlock, Math.min(before, end) - nextBlock);
        }
        file.truncate(end + VhdFooter.BYTES);
        byte[] bitmap = new byte[bitmapBytes];
        Arrays.fill(bitmap, (byte) 0xff);
        for (int i = 0; i < count; i++) {
            numbers.writeBytes(nextBlock + i * placeBytes, bitmap);
        }
        numbers.writeBytes(end, footer);
        file.sync();
        footerAtEnd = true;
        emptyBlocks = count;
    }

    /// A writer who knows bitmaps leaves the bits of sectors away that he has not written.
    private void fillBitmap(int index) throws IOException {
        if (fullBitmaps[index]) {
            return;
        }
        long at = placeOf(entry(index));
        byte[] bitmap = numbers.readBytes(at, bitmapBytes);
        byte[] full = new byte[bitmap.length];
        Arrays.fill(full, (byte) 0xff);
        if (!Arrays.equals(bitmap, full)) {
            numbers.writeBytes(at, full);
        }
        fullBitmaps[index] = true;
    }

    /// Makes a range read as zeros, and gives its storage back. The blocks stay where they are:
    /// readers that look at bitmaps and those that do not find zeros.
    void zero(long from, long to) throws IOException {
        for (long at = from; at < to; ) {
            long size = Math.min(to - at, toEndOfBlock(at));
            long place = place(at);
            if (place >= 0) {
                file.zero(place, size);
            }
            at += size;
        }
    }

    /// Whether a size needs a longer table.
    boolean needsEntries(long sizeBytes) {
        synchronized (this) {
            return entriesFor(sizeBytes) > table.length;
        }
    }

    private long entriesFor(long sizeBytes) {
        return (sizeBytes + blockBytes - 1) / blockBytes;
    }

    /// Makes the table long enough for a size. No transfer is under way: blocks may be moved.
    void addEntries(long sizeBytes) throws IOException {
        synchronized (growing) {
            checkNotFailed();
            VhdHeader longer = header.withEntries((int) entriesFor(sizeBytes));
            // From now on nobody looks for a map of full blocks behind the table, where XenServer's
            // tools have one.
            writeFooters(VhdFooter.resized(footer, VhdFooter.parse(footer).sizeBytes()));
            long tableEnd = longer.tableEnd();
            if (nextBlock < tableEnd) {
                nextBlock = tableEnd;
                emptyBlocks = 0;
                addEmpty(); // also so that the footer is behind it
            }
            moveBlocks(tableEnd);
            byte[] unused = new byte[Math.toIntExact(tableEnd - tableEntry(header.entries()))];
            Arrays.fill(unused, (byte) 0xff);
            numbers.writeBytes(tableEntry(header.entries()), unused);
            file.sync();
            byte[] bytes = longer.changed(numbers.readBytes(headerAt, VhdHeader.BYTES));
            numbers.writeBytes(headerAt, Arrays.copyOf(bytes, 512)); // stable before the new size
            header = longer;
            fullBitmaps = Arrays.copyOf(fullBitmaps, longer.entries());
            synchronized (this) {
                int before = table.length;
                table = Arrays.copyOf(table, longer.entries());
                Arrays.fill(table, before, table.length, VhdHeader.NOWHERE);
            }
        }
    }

    private long tableEntry(int index) {
        return header.tableOffset() + index * 4L;
    }

    /// Moves the blocks that begin before `end` behind all others.
    private void moveBlocks(long end) throws IOException {
        int[] moved;
        synchronized (this) {
            moved = table.clone();
        }
        boolean any = false;
        for (int i = 0; i < moved.length; i++) {
            if (moved[i] != VhdHeader.NOWHERE && placeOf(moved[i]) < end) {
                int to = takeEmpty();
                copyBlock(placeOf(moved[i]), placeOf(to));
                moved[i] = to;
                any = true;
            }
        }
        if (!any) {
            return;
        }
        file.sync();
        for (int i = 0; i < moved.length; i++) {
            if (moved[i] != entry(i)) {
                writeEntry(i, moved[i]);
                setEntry(i, moved[i]);
            }
        }
        file.sync();
    }

    private void copyBlock(long from, long to) throws IOException {
        IoVector vector = new IoVector(1);
        long size = bitmapBytes + (long) blockBytes;
        try (Arena arena = Arena.ofConfined()) {
            var chunk = arena.allocate(Math.min(size, CHUNK_BYTES), 4096);
            for (long done = 0; done < size; done += chunk.byteSize()) {
                long length = Math.min(size - done, chunk.byteSize());
                vector.clear();
                vector.add(chunk, 0, length);
                if (file.read(vector, from + done) < length) {
                    throw new IOException(file.name() + " has become shorter");
                }
                vector.clear();
                vector.add(chunk, 0, length);
                file.write(vector, to + done);
            }
        }
    }

    /// Says another size, for which the table is long enough. Stable when this returns.
    void setSize(long sizeBytes) throws IOException {
        synchronized (growing) {
            checkNotFailed();
            writeFooters(VhdFooter.resized(footer, sizeBytes));
        }
    }

    /// One after the other: at any moment one of them is whole, and what each says is true.
    private void writeFooters(byte[] changed) throws IOException {
        if (!footerAtEnd) {
            addEmpty(); // makes one
        }
        long end = file.sizeBytes() - VhdFooter.BYTES;
        file.sync();
        copySound = false;
        numbers.writeBytes(0, changed);
        file.sync();
        numbers.writeBytes(end, changed);
        file.sync();
        footer = changed;
        copySound = true;
    }

    /// Gives back the empty blocks at the end. Everything is stable, nobody else is here; a loss of
    /// power meanwhile leaves the copy of the footer.
    void close() {
        try {
            synchronized (growing) {
                if (emptyBlocks > 0 && !failed) {
                    file.truncate(nextBlock + VhdFooter.BYTES);
                    numbers.writeBytes(nextBlock, footer);
                }
            }
        } catch (IOException e) {
            LOG.warn("{}: its end cannot be written: {}", file.name(), e.getMessage());
        }
    }
}
