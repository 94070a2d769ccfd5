package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;

/// The beginning of a qcow2 image, checked. All numbers are big-endian.
///
///     byte 0     4        8          16         20            24     32      36     40
///          +-----+--------+----------+----------+-------------+------+-------+------+----------+
///          |magic|version | backing_ | backing_ | cluster_bits| size | crypt | l1_  | l1_table_|
///          |     |        | offset   | size     |             |      |       | size | offset   |
///          +-----+--------+----------+----------+-------------+------+-------+------+----------+
///     byte 48               56                 60             64                72
///          +----------------+------------------+--------------+-----------------+
///          | refcount_table_| refcount_table_  | nb_snapshots | snapshots_      |
///          | offset         | clusters         |              | offset          | end of version 2
///          +----------------+------------------+--------------+-----------------+
///     byte 72             80           88          96               100        104
///          +--------------+------------+-----------+----------------+----------+
///          | incompatible | compatible | autoclear | refcount_order | header_  | version 3;
///          | features     | features   | features  |                | length   | more may follow
///          +--------------+------------+-----------+----------------+----------+
///
/// Then extensions (type u32, length u32, bytes, padded to 8) until type 0, then the name of the
/// backing file, all in the first cluster.
///
/// Source: QEMU `docs/interop/qcow2.txt`. The greatest sizes are those of QEMU.
///
/// @param backingFile as written in the image; empty when there is none
/// @param backingFormat what the image says about it; empty when it does not
/// @param autoclear features that a writer who does not know them must take away
/// @param bitmaps whether there are persistent bitmaps
record Qcow2Header(
        int version,
        int clusterBits,
        long sizeBytes,
        int l1Size,
        long l1Offset,
        long refcountTableOffset,
        int refcountTableClusters,
        int snapshots,
        long snapshotsOffset,
        int refcountOrder,
        long autoclear,
        String backingFile,
        String backingFormat,
        boolean bitmaps) {
    static final int MAGIC = 0x514649fb;
    static final int MIN_CLUSTER_BITS = 9;
    static final int MAX_CLUSTER_BITS = 21;
    static final int MAX_L1_BYTES = 32 << 20;
    static final int MAX_REFCOUNT_TABLE_BYTES = 8 << 20;
    static final int MAX_BACKING_NAME = 1023;
    static final int MAX_SNAPSHOTS = 65536;
    static final int VERSION_2_BYTES = 72;
    static final int VERSION_3_BYTES = 104;

    static final long SIZE_AT = 24;
    static final long L1_SIZE_AT = 36;
    static final long REFCOUNT_TABLE_AT = 48;
    static final long AUTOCLEAR_AT = 88;

    static final int EXTENSION_END = 0;
    static final int EXTENSION_BACKING_FORMAT = 0xe2792aca;
    private static final int EXTENSION_FEATURE_NAMES = 0x6803f857;
    private static final int EXTENSION_BITMAPS = 0x23852875;
    private static final int FEATURE_NAME_BYTES = 48;

    private static final List<String> INCOMPATIBLE =
            List.of(
                    "dirty bit: its refcounts may be wrong, 'qemu-img check -r all' mends them",
                    "corrupt bit: somebody found it damaged",
                    "external data file",
                    "compression type",
                    "extended L2 entries (subclusters)");

    int clusterBytes() {
        return 1 << clusterBits;
    }

    /// How many guest clusters one L2 table maps, as a power of two.
    int l2Bits() {
        return clusterBits - 3;
    }

    /// How many L1 entries a disk of `sizeBytes` needs.
    static long l1SizeFor(long sizeBytes, int clusterBits) {
        int shift = clusterBits + clusterBits - 3;
        return (sizeBytes >>> shift) + ((sizeBytes & ((1L << shift) - 1)) == 0 ? 0 : 1);
    }

    /// Reads and checks a header; nothing that it names is opened.
    ///
    /// @throws DiskException when the image is none, is damaged, or needs what is not supported;
    ///     one line that names the image and the value
    static Qcow2Header read(ImageFile file) throws IOException {
        return new Reader(file).read();
    }

    private static final class Reader {
        private final ImageFile file;
        private final BigEndianFile bytes;

        Reader(ImageFile file) {
            this.file = file;
            this.bytes = new BigEndianFile(file);
        }

        DiskException bad(String what) {
            return new DiskException("image " + file.name() + ": " + what);
        }

        Qcow2Header read() throws IOException {
            long fileBytes = file.sizeBytes();
            if (fileBytes < VERSION_2_BYTES) {
                throw bad("is no qcow2 image: it has only " + fileBytes + " bytes");
            }
            ByteBuffer head = ByteBuffer.wrap(bytes.readBytes(0, VERSION_2_BYTES));
            if (head.getInt(0) != MAGIC) {
                throw bad(
                        "is no qcow2 image: it begins with 0x%08x, not 0x%08x"
                                .formatted(head.getInt(0), MAGIC));
            }
            int version = head.getInt(4);
            if (version != 2 && version != 3) {
                throw bad("qcow2 version " + Integer.toUnsignedString(version) + " is not 2 or 3");
            }
            int clusterBits = head.getInt(20);
            if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
                throw bad(
                        "cluster_bits is "
                                + Integer.toUnsignedString(clusterBits)
                                + ", not 9 to 21 (512 bytes to 2 MiB)");
            }
            int firstBytes = (int) Math.min(1L << clusterBits, fileBytes);
            ByteBuffer first = ByteBuffer.wrap(bytes.readBytes(0, firstBytes));
            return parse(first, version, clusterBits, fileBytes);
        }

        private Qcow2Header parse(ByteBuffer first, int version, int clusterBits, long fileBytes)
                throws DiskException {
            int headerBytes = headerBytes(first, version);
            long incompatible = version == 2 ? 0 : first.getLong(72);
            long autoclear = version == 2 ? 0 : first.getLong(88);
            int order = version == 2 ? 4 : first.getInt(96);
            Extensions extensions = extensions(first, headerBytes);
            refuse(incompatible, first, headerBytes, extensions);
            if (order < 0 || order > 6) {
                throw bad("refcount_order is " + Integer.toUnsignedString(order) + ", not 0 to 6");
            }
            int crypt = first.getInt(32);
            if (crypt != 0) {
                throw bad(
                        "is encrypted ("
                                + (crypt == 1 ? "AES" : crypt == 2 ? "LUKS" : "method " + crypt)
                                + "), which is not supported");
            }
            long size = first.getLong(24);
            if (size <= 0 || size % DiskImage.SECTOR_SIZE != 0) {
                throw bad(
                        "its disk has "
                                + Long.toUnsignedString(size)
                                + " bytes, which is not one or more whole sectors of 512");
            }
            Qcow2Header header =
                    new Qcow2Header(
                            version,
                            clusterBits,
                            size,
                            first.getInt(36),
                            first.getLong(40),
                            first.getLong(48),
                            first.getInt(56),
                            first.getInt(60),
                            first.getLong(64),
                            order,
                            autoclear,
                            backingFile(first),
                            extensions.backingFormat(),
                            extensions.bitmaps());
            checkTables(header, fileBytes);
            return header;
        }

        private int headerBytes(ByteBuffer first, int version) throws DiskException {
            if (version == 2) {
                return VERSION_2_BYTES;
            }
            if (first.capacity() < VERSION_3_BYTES) {
                throw bad("ends within its header");
            }
            int length = first.getInt(100);
            if (length < VERSION_3_BYTES || length % 8 != 0 || length > first.capacity()) {
                throw bad(
                        "header_length is "
                                + Integer.toUnsignedString(length)
                                + ", not a multiple of 8 from 104 to "
                                + first.capacity());
            }
            return length;
        }

        private record Extensions(
                String backingFormat, boolean bitmaps, List<byte[]> featureNames) {}

        private Extensions extensions(ByteBuffer first, int from) throws DiskException {
            String format = "";
            boolean bitmaps = false;
            List<byte[]> names = new ArrayList<>();
            long backing = first.getLong(8);
            int end =
                    (int) (backing > 0 && backing < first.capacity() ? backing : first.capacity());
            int at = from;
            while (at + 8 <= end && first.getInt(at) != EXTENSION_END) {
                int length = first.getInt(at + 4);
                if (length < 0 || length > end - at - 8) {
                    throw bad(
                            "header extension 0x%08x has a length of %s, more than the header"
                                    .formatted(first.getInt(at), Integer.toUnsignedString(length)));
                }
                switch (first.getInt(at)) {
                    case EXTENSION_BACKING_FORMAT ->
                            format = text(first, at + 8, length, "name of the backing format");
                    case EXTENSION_BITMAPS -> bitmaps = true;
                    case EXTENSION_FEATURE_NAMES -> {
                        for (int i = 0; i + FEATURE_NAME_BYTES <= length; i += FEATURE_NAME_BYTES) {
                            byte[] name = new byte[FEATURE_NAME_BYTES];
                            first.get(at + 8 + i, name);
                            names.add(name);
                        }
                    }
                    default -> {
                        // Unknown extensions can be ignored: what must be known has a feature bit.
                    }
                }
                at += 8 + (length + 7) / 8 * 8;
            }
            return new Extensions(format, bitmaps, names);
        }

        private void refuse(
                long incompatible, ByteBuffer first, int headerBytes, Extensions extensions)
                throws DiskException {
            if (incompatible == 0) {
                return;
            }
            int bit = Long.numberOfTrailingZeros(incompatible);
            String name = bit < INCOMPATIBLE.size() ? INCOMPATIBLE.get(bit) : "";
            if (bit == 3) {
                int type = headerBytes > VERSION_3_BYTES ? first.get(VERSION_3_BYTES) : 0;
                name = type == 1 ? "compression with zstd" : "compression type " + type;
            }
            for (byte[] entry : extensions.featureNames()) {
                if (name.isEmpty() && entry[0] == 0 && entry[1] == bit) {
                    name =
                            DiskException.printable(
                                    new String(entry, 2, 46, StandardCharsets.UTF_8).strip());
                }
            }
            throw bad(
                    "needs incompatible feature "
                            + bit
                            + " ("
                            + (name.isEmpty() ? "unknown" : name)
                            + "), which is not supported");
        }

        private String backingFile(ByteBuffer first) throws DiskException {
            long offset = first.getLong(8);
            if (offset == 0) {
                return "";
            }
            int length = first.getInt(16);
            if (length <= 0 || length > MAX_BACKING_NAME) {
                throw bad(
                        "the name of its backing file has a length of "
                                + Integer.toUnsignedString(length)
                                + ", not 1 to 1023");
            }
            if (offset < VERSION_2_BYTES || offset > first.capacity() - length) {
                throw bad(
                        "the name of its backing file at "
                                + Long.toUnsignedString(offset)
                                + " is not within the first cluster");
            }
            return text(first, (int) offset, length, "name of the backing file");
        }

        private String text(ByteBuffer first, int at, int length, String what)
                throws DiskException {
            try {
                return StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(first.slice(at, length))
                        .toString();
            } catch (CharacterCodingException e) {
                throw new DiskException(
                        "image " + file.name() + ": the " + what + " is no text", e);
            }
        }

        private void checkTables(Qcow2Header header, long fileBytes) throws DiskException {
            long l1Size = Integer.toUnsignedLong(header.l1Size);
            if (l1Size > MAX_L1_BYTES / Long.BYTES) {
                throw bad("its L1 table has " + l1Size + " entries, more than 4194304");
            }
            long needed = l1SizeFor(header.sizeBytes, header.clusterBits);
            if (l1Size < needed) {
                throw bad(
                        "its L1 table has "
                                + l1Size
                                + " entries, and a disk of "
                                + header.sizeBytes
                                + " bytes needs "
                                + needed);
            }
            table("L1 table", header, header.l1Offset, l1Size * Long.BYTES, fileBytes);
            long clusters = Integer.toUnsignedLong(header.refcountTableClusters);
            long tableBytes = clusters << header.clusterBits;
            if (clusters == 0 || tableBytes > MAX_REFCOUNT_TABLE_BYTES) {
                throw bad(
                        "its refcount table has " + clusters + " clusters, not 1 to 8 MiB of them");
            }
            table("refcount table", header, header.refcountTableOffset, tableBytes, fileBytes);
            long snapshots = Integer.toUnsignedLong(header.snapshots);
            if (snapshots > MAX_SNAPSHOTS) {
                throw bad("it has " + snapshots + " snapshots, more than " + MAX_SNAPSHOTS);
            }
            if (snapshots > 0) {
                // An entry has at least 40 bytes.
                table("snapshot table", header, header.snapshotsOffset, snapshots * 40, fileBytes);
            }
        }

        private void table(
                String name, Qcow2Header header, long offset, long sizeBytes, long fileBytes)
                throws DiskException {
            if (offset <= 0 || (offset & (header.clusterBytes() - 1)) != 0) {
                throw bad(
                        "its "
                                + name
                                + " begins at "
                                + Long.toUnsignedString(offset)
                                + ", where no cluster can begin");
            }
            if (offset > fileBytes - sizeBytes) {
                throw bad(
                        "its "
                                + name
                                + " at "
                                + offset
                                + " with "
                                + sizeBytes
                                + " bytes goes beyond the end of the file at "
                                + fileBytes);
            }
        }
    }
}
