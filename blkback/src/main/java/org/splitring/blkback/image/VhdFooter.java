package org.splitring.blkback.image;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.UUID;

/// The last sector of a VHD, of which dynamic ones have a copy in the first. All big-endian.
///
///     byte 0      8          12        16            24          28            32
///          +------+----------+---------+-------------+-----------+-------------+--------------
///          |cookie| features | version | data_offset | timestamp | creator_app | ..
///          +------+----------+---------+-------------+-----------+-------------+--------------
///     byte 36           40              48             56         60     64         68     84
///          +------------+---------------+--------------+----------+------+----------+------+-----
///          | creator_os | original_size | current_size | geometry | type | checksum | uuid | zero
///          +------------+---------------+--------------+----------+------+----------+------+-----
///
/// Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, 2006.
///
/// @param sizeBytes of the disk
/// @param headerOffset where the header of a dynamic disk is
/// @param type [#FIXED], [#DYNAMIC] or another
record VhdFooter(long sizeBytes, long headerOffset, int type) {
    static final int BYTES = 512;
    static final int FIXED = 2;
    static final int DYNAMIC = 3;
    static final int DIFFERENCING = 4;

    /// Largest disk that the format has: 2040 GiB.
    static final long MAX_BYTES = 2040L << 30;

    private static final long COOKIE = 0x636f6e6563746978L; // "conectix"

    /// Names the writers whose disks are as large as current_size says.
    private static final byte[] CREATOR = "qem2".getBytes(StandardCharsets.US_ASCII);

    private static final int CREATOR_VERSION = 0x00050003;
    private static final int VERSION = 0x00010000;
    private static final int CHECKSUM_AT = 64;
    private static final long MAX_GEOMETRY_SECTORS = 65535L * 16 * 255;

    /// Whether the sector says that it is a footer, sound or not.
    static boolean isOne(byte[] sector) {
        return ByteBuffer.wrap(sector).getLong(0) == COOKIE;
    }

    /// Reads a footer.
    ///
    /// @throws IllegalArgumentException saying what is wrong with it
    static VhdFooter parse(byte[] sector) {
        ByteBuffer bytes = ByteBuffer.wrap(sector);
        if (bytes.getInt(CHECKSUM_AT) != checksum(sector, CHECKSUM_AT)) {
            throw new IllegalArgumentException("the checksum of its footer is wrong");
        }
        if (bytes.getInt(12) != VERSION) {
            throw new IllegalArgumentException(
                    "its version is 0x%08x, not 0x%08x".formatted(bytes.getInt(12), VERSION));
        }
        int type = bytes.getInt(60);
        return new VhdFooter(size(bytes), bytes.getLong(16), type);
    }

    /// Virtual PC and old versions of QEMU count by cylinders, heads and sectors, and leave what is
    /// beyond them unused; everybody else by bytes.
    private static long size(ByteBuffer bytes) {
        byte[] creator = new byte[4];
        bytes.get(28, creator);
        String app = new String(creator, StandardCharsets.ISO_8859_1);
        long geometry =
                Short.toUnsignedLong(bytes.getShort(56))
                        * Byte.toUnsignedLong(bytes.get(58))
                        * Byte.toUnsignedLong(bytes.get(59));
        boolean byGeometry =
                (app.equals("vpc ") || app.equals("vs  ") || app.equals("qemu"))
                        && geometry < MAX_GEOMETRY_SECTORS;
        return byGeometry ? geometry * 512 : bytes.getLong(48);
    }

    /// The bytes of a new footer.
    static byte[] make(long sizeBytes, int type, UUID id, long timestamp) {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES);
        bytes.putLong(0, COOKIE).putInt(8, 2).putInt(12, VERSION);
        bytes.putLong(16, type == FIXED ? -1 : BYTES).putInt(24, (int) timestamp);
        bytes.put(28, CREATOR).putInt(32, CREATOR_VERSION);
        bytes.put(36, "Wi2k".getBytes(StandardCharsets.US_ASCII));
        bytes.putLong(40, sizeBytes).putLong(48, sizeBytes);
        bytes.putInt(56, geometry(sizeBytes / 512)).putInt(60, type);
        bytes.putLong(68, id.getMostSignificantBits()).putLong(76, id.getLeastSignificantBits());
        bytes.putInt(CHECKSUM_AT, checksum(bytes.array(), CHECKSUM_AT));
        return bytes.array();
    }

    /// The bytes of a footer for the same disk with another size. It is ours from then on, so that
    /// nobody counts the size by cylinders, or looks for what other writers put behind the table.
    static byte[] resized(byte[] footer, long sizeBytes) {
        ByteBuffer bytes = ByteBuffer.wrap(footer.clone());
        bytes.put(28, CREATOR).putInt(32, CREATOR_VERSION);
        bytes.putLong(48, sizeBytes).putInt(56, geometry(sizeBytes / 512));
        bytes.putInt(CHECKSUM_AT, checksum(bytes.array(), CHECKSUM_AT));
        return bytes.array();
    }

    /// Cylinders, heads and sectors for a disk, as the appendix of the specification counts them.
    private static int geometry(long sectors) {
        long total = Math.min(sectors, MAX_GEOMETRY_SECTORS);
        long perTrack;
        long heads;
        long tracks;
        if (total > 65535L * 16 * 63) {
            perTrack = 255;
            heads = 16;
            tracks = total / perTrack;
        } else {
            perTrack = 17;
            tracks = total / perTrack;
            heads = Math.max(4, (tracks + 1023) / 1024);
            if (tracks >= heads * 1024 || heads > 16) {
                perTrack = 31;
                heads = 16;
                tracks = total / perTrack;
            }
            if (tracks >= heads * 1024) {
                perTrack = 63;
                heads = 16;
                tracks = total / perTrack;
            }
        }
        return (int) (((tracks / heads) << 16) | (heads << 8) | perTrack);
    }

    /// The complement of the sum of all bytes but the checksum's own four.
    static int checksum(byte[] bytes, int checksumAt) {
        int sum = 0;
        for (int i = 0; i < bytes.length; i++) {
            if (i < checksumAt || i >= checksumAt + 4) {
                sum += Byte.toUnsignedInt(bytes[i]);
            }
        }
        return ~sum;
    }
}
