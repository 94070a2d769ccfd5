package org.splitring.blkback.image;

import java.nio.ByteBuffer;

/// The header of a dynamic VHD, which follows the copy of the footer. All big-endian.
///
///     byte 0      8             16             24        28            32           36
///          +------+-------------+--------------+---------+-------------+------------+---------
///          |cookie| data_offset | table_offset | version | max_entries | block_size | checksum
///          +------+-------------+--------------+---------+-------------+------------+---------
///
/// The rest of its 1024 bytes is about parents, which differencing disks have.
///
/// @param tableOffset where the block allocation table is: for each block of the disk the sector
///     where it begins in the file, or [#NOWHERE]; there a bitmap of its sectors, then its data
record VhdHeader(long tableOffset, int entries, int blockBytes) {
    static final int BYTES = 1024;
    static final int NOWHERE = -1;
    static final int DEFAULT_BLOCK_BYTES = 2 << 20;
    static final int MAX_ENTRIES = 8 << 20;
    private static final long COOKIE = 0x6378737061727365L; // "cxsparse"
    private static final int VERSION = 0x00010000;
    private static final int CHECKSUM_AT = 36;

    /// Reads a header.
    ///
    /// @throws IllegalArgumentException saying what is wrong with it
    static VhdHeader parse(byte[] header, long diskBytes, long fileBytes) {
        ByteBuffer bytes = ByteBuffer.wrap(header);
        if (bytes.getLong(0) != COOKIE) {
            throw new IllegalArgumentException("its header is missing");
        }
        if (bytes.getInt(CHECKSUM_AT) != VhdFooter.checksum(header, CHECKSUM_AT)) {
            throw new IllegalArgumentException("the checksum of its header is wrong");
        }
        if (bytes.getInt(24) != VERSION) {
            throw new IllegalArgumentException(
                    "the version of its header is 0x%08x".formatted(bytes.getInt(24)));
        }
        long blockBytes = Integer.toUnsignedLong(bytes.getInt(32));
        if (Long.bitCount(blockBytes) != 1 || blockBytes < 4096 || blockBytes > 256 << 20) {
            throw new IllegalArgumentException(
                    "its blocks have " + blockBytes + " bytes, not a power of two up to 256 MiB");
        }
        long entries = Integer.toUnsignedLong(bytes.getInt(28));
        long needed = (diskBytes + blockBytes - 1) / blockBytes;
        if (entries < needed || entries > MAX_ENTRIES) {
            throw new IllegalArgumentException(
                    "its table has " + entries + " entries, not " + needed + " to 8388608");
        }
        long table = bytes.getLong(16);
        if (table < VhdFooter.BYTES + BYTES
                || table % 512 != 0
                || table > fileBytes - entries * 4) {
            throw new IllegalArgumentException(
                    "its table begins at "
                            + Long.toUnsignedString(table)
                            + ", which is not behind the header and within the file");
        }
        return new VhdHeader(table, (int) entries, (int) blockBytes);
    }

    byte[] make() {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES);
        bytes.putLong(0, COOKIE).putLong(8, -1).putLong(16, tableOffset);
        bytes.putInt(24, VERSION).putInt(28, entries).putInt(32, blockBytes);
        bytes.putInt(CHECKSUM_AT, VhdFooter.checksum(bytes.array(), CHECKSUM_AT));
        return bytes.array();
    }

    /// As this, with a table of another length.
    VhdHeader withEntries(int count) {
        return new VhdHeader(tableOffset, count, blockBytes);
    }

    /// The bytes of a header that say what this one does, and otherwise what they said before. Only
    /// the first sector of them is changed.
    byte[] changed(byte[] before) {
        ByteBuffer bytes = ByteBuffer.wrap(before.clone());
        bytes.putLong(16, tableOffset).putInt(28, entries).putInt(32, blockBytes);
        bytes.putInt(CHECKSUM_AT, VhdFooter.checksum(bytes.array(), CHECKSUM_AT));
        return bytes.array();
    }

    /// Where the table ends; blocks are behind it.
    long tableEnd() {
        return (tableOffset + entries * 4L + 511) & -512;
    }

    /// Bytes of the bitmap before each block.
    int bitmapBytes() {
        return (blockBytes / 512 / 8 + 511) & -512;
    }
}
