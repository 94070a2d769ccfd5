package org.splitring.blkback.image;

import java.io.IOException;
import java.time.Instant;
import java.util.Arrays;
import java.util.UUID;
import org.splitring.blkback.DiskException;

/// Lays out an empty VHD.
final class VhdCreation {
    private static final long EPOCH = 946_684_800; // 2000-01-01, where VHD begins to count

    private VhdCreation() {}

    /// Writes the image into an empty file. It is not stable yet.
    static void write(ImageFile file, long sizeBytes, boolean fixed) throws IOException {
        if (sizeBytes > VhdFooter.MAX_BYTES) {
            throw new DiskException(
                    "image " + file.name() + ": a VHD has at most 2040 GiB, not " + sizeBytes);
        }
        BigEndianFile numbers = new BigEndianFile(file);
        long now = Instant.now().getEpochSecond() - EPOCH;
        if (fixed) {
            byte[] footer = VhdFooter.make(sizeBytes, VhdFooter.FIXED, UUID.randomUUID(), now);
            file.truncate(sizeBytes + VhdFooter.BYTES);
            numbers.writeBytes(sizeBytes, footer);
            return;
        }
        byte[] footer = VhdFooter.make(sizeBytes, VhdFooter.DYNAMIC, UUID.randomUUID(), now);
        int block = VhdHeader.DEFAULT_BLOCK_BYTES;
        int entries = (int) ((sizeBytes + block - 1) / block);
        VhdHeader header = new VhdHeader(VhdFooter.BYTES + VhdHeader.BYTES, entries, block);
        byte[] table = new byte[(entries * 4 + 511) & -512];
        Arrays.fill(table, (byte) 0xff);
        numbers.writeBytes(0, footer);
        numbers.writeBytes(VhdFooter.BYTES, header.make());
        numbers.writeBytes(header.tableOffset(), table);
        numbers.writeBytes(header.tableOffset() + table.length, footer);
    }
}
