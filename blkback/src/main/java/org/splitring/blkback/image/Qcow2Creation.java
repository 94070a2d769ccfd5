package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.splitring.blkback.DiskException;

/// Lays out an empty qcow2 image of version 3, with counts of 16 bits: header, refcount table,
/// refcount blocks, L1 table, in this order.
///
/// @param sizeBytes of the disk
/// @param backingFile as it shall be written, or empty
/// @param backingFormat QEMU's name of its format, or empty
record Qcow2Creation(long sizeBytes, int clusterBits, String backingFile, String backingFormat) {
    static final int DEFAULT_CLUSTER_BITS = 16;

    /// Writes the image into an empty file. It is not stable yet.
    ///
    /// @throws DiskException when no image can be so large
    void write(ImageFile file) throws IOException {
        long l1Size = Qcow2Header.l1SizeFor(sizeBytes, clusterBits);
        if (l1Size * Long.BYTES > Qcow2Header.MAX_L1_BYTES) {
            throw new DiskException(
                    "image "
                            + file.name()
                            + ": a disk of "
                            + sizeBytes
                            + " bytes is too large for clusters of "
                            + (1L << clusterBits)
                            + " bytes");
        }
        long clusterBytes = 1L << clusterBits;
        long l1Clusters = (l1Size * Long.BYTES + clusterBytes - 1) >>> clusterBits;
        long perBlock = clusterBytes / 2;
        long tableClusters = 1;
        long blocks = 1;
        while (true) {
            long all = 1 + tableClusters + blocks + l1Clusters;
            if (blocks * perBlock < all) {
                blocks++;
            } else if (tableClusters * clusterBytes / Long.BYTES < blocks) {
                tableClusters++;
            } else {
                break;
            }
        }
        long all = 1 + tableClusters + blocks + l1Clusters;
        file.truncate(all * clusterBytes);
        BigEndianFile numbers = new BigEndianFile(file);
        long firstBlock = (1 + tableClusters) * clusterBytes;
        long[] table = new long[(int) blocks];
        for (int i = 0; i < blocks; i++) {
            table[i] = firstBlock + i * clusterBytes;
        }
        byte[] counts = new byte[(int) (all * 2)];
        for (int i = 0; i < all; i++) {
            counts[2 * i + 1] = 1;
        }
        numbers.writeBytes(firstBlock, counts);
        numbers.writeLongs(clusterBytes, table, 0, table.length);
        file.sync(); // the header makes an image of it
        numbers.writeBytes(
                0, header(l1Size, (1 + tableClusters + blocks) * clusterBytes, tableClusters));
    }

    private byte[] header(long l1Size, long l1Offset, long tableClusters) throws DiskException {
        byte[] name = backingFile.getBytes(StandardCharsets.UTF_8);
        byte[] format = backingFormat.getBytes(StandardCharsets.US_ASCII);
        int headerBytes = Qcow2Header.VERSION_3_BYTES + 8;
        int extensionBytes = format.length == 0 ? 0 : 8 + (format.length + 7) / 8 * 8;
        int nameAt = headerBytes + extensionBytes + 8;
        if (name.length > Qcow2Header.MAX_BACKING_NAME || nameAt + name.length > 1 << clusterBits) {
            throw new DiskException(
                    "the name of backing file " + backingFile + " is too long for the image");
        }
        ByteBuffer header = ByteBuffer.allocate(nameAt + name.length);
        header.putInt(Qcow2Header.MAGIC).putInt(3);
        header.putLong(name.length == 0 ? 0 : nameAt).putInt(name.length);
        header.putInt(clusterBits).putLong(sizeBytes).putInt(0);
        header.putInt((int) l1Size).putLong(l1Offset);
        header.putLong(1L << clusterBits).putInt((int) tableClusters);
        header.putInt(0).putLong(0);
        header.putLong(0).putLong(0).putLong(0).putInt(4).putInt(headerBytes);
        header.putLong(0); // compression type zlib, and padding
        if (format.length > 0) {
            header.putInt(Qcow2Header.EXTENSION_BACKING_FORMAT).putInt(format.length).put(format);
            header.position(headerBytes + extensionBytes);
        }
        header.putInt(Qcow2Header.EXTENSION_END).putInt(0);
        header.put(name);
        return header.array();
    }
}
