package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongFunction;

/// Compares what the tables of a qcow2 image use with what its refcounts say, as `qemu-img check`
/// does. Nothing that the image names is opened.
final class Qcow2Check {
    private static final long OWNED = 1L << 63;
    private static final long COMPRESSED = 1L << 62;
    private static final long OFFSET = ((1L << 56) - 1) & -(1L << 9);
    private static final long READS_ZERO = 1;
    private static final long MAX_SNAPSHOT_ENTRIES = 1L << 26;
    private static final int SNAPSHOT_BYTES = 40;

    private final ImageFile file;
    private final Qcow2Header header;
    private final BigEndianFile numbers;
    private final Progress progress;
    private final int clusterBits;
    private final ClusterCounts counts = new ClusterCounts();
    private final List<String> damages = new ArrayList<>();
    private long damageCount;
    private final long fileClusters;
    private final Qcow2Refcounts refcounts;

    private Qcow2Check(ImageFile file, Qcow2Header header, Progress progress) throws IOException {
        this.file = file;
        this.header = header;
        this.numbers = new BigEndianFile(file);
        this.progress = progress;
        this.clusterBits = header.clusterBits();
        this.fileClusters = (file.sizeBytes() + header.clusterBytes() - 1) >>> clusterBits;
        Qcow2Metadata metadata = new Qcow2Metadata(file.name(), clusterBits);
        this.refcounts = new Qcow2Refcounts(file, header, metadata);
    }

    /// Checks an image.
    ///
    /// @param repairLeaks whether clusters without owners are given back, if nothing is damaged;
    ///     the file is open for writing then
    static CheckReport check(
            ImageFile file, Qcow2Header header, boolean repairLeaks, Progress progress)
            throws IOException {
        return new Qcow2Check(file, header, progress).run(repairLeaks);
    }

    private CheckReport run(boolean repairLeaks) throws IOException {
        counts.add(0);
        range(header.refcountTableOffset(), header.refcountTableClusters());
        for (long block : refcounts.blocks()) {
            counts.add(block >>> clusterBits);
        }
        table(header.l1Offset(), header.l1Size(), true);
        snapshots();
        counts.forEach(this::compare);
        long leaks = leaks(repairLeaks && damageCount == 0);
        return new CheckReport(damages, damageCount, leaks, counts.used(), header.clusterBytes());
    }

    private void damage(String what) {
        if (damages.size() < CheckReport.MAX_LINES) {
            damages.add(what);
        }
        damageCount++;
    }

    private void range(long offset, long clusters) throws IOException {
        for (long i = 0; i < clusters; i++) {
            counts.add((offset >>> clusterBits) + i);
        }
    }

    private long clustersOf(long bytes) {
        return (bytes + header.clusterBytes() - 1) >>> clusterBits;
    }

    private void table(long l1Offset, int l1Size, boolean active) throws IOException {
        range(l1Offset, clustersOf((long) l1Size * Long.BYTES));
        long[] l1 = numbers.readLongs(l1Offset, l1Size);
        long[] l2 = new long[header.clusterBytes() / Long.BYTES];
        for (int i = 0; i < l1.length; i++) {
            progress.at(i, l1.length);
            if (l1[i] == 0) {
                continue;
            }
            long offset = l1[i] & OFFSET;
            if (!isCluster(Qcow2Check::l1Entry, i, offset) || (l1[i] & ~(OWNED | OFFSET)) != 0) {
                damage("%s is 0x%016x".formatted(l1Entry(i), l1[i]));
                continue;
            }
            counts.add(offset >>> clusterBits);
            if (active) {
                owned(Qcow2Check::l1Entry, i, l1[i], offset);
            }
            numbers.readLongs(offset, l2, 0, l2.length);
            for (int j = 0; j < l2.length; j++) {
                if (l2[j] != 0) {
                    entry(((long) i << header.l2Bits()) + j, l2[j], active);
                }
            }
        }
    }

    // What leads to a cluster is named only where something is wrong with it: an image may have
    // millions of entries.

    private static String l1Entry(long index) {
        return "L1 entry " + index;
    }

    private static String l2Entry(long guestCluster) {
        return "L2 entry of cluster " + guestCluster;
    }

    private static String snapshot(long index) {
        return "snapshot " + index;
    }

    private boolean isCluster(LongFunction<String> name, long number, long offset) {
        if ((offset & (header.clusterBytes() - 1)) != 0 || offset == 0) {
            damage(
                    "%s leads to 0x%x, where no cluster can begin"
                            .formatted(name.apply(number), offset));
            return false;
        }
        if (offset >>> clusterBits >= fileClusters) {
            damage(
                    "%s leads to 0x%x, beyond the end of the file"
                            .formatted(name.apply(number), offset));
            return false;
        }
        return true;
    }

    private void owned(LongFunction<String> name, long number, long entry, long offset)
            throws IOException {
        boolean once = refcounts.get(offset >>> clusterBits) == 1;
        if (((entry & OWNED) != 0) != once) {
            damage(
                    name.apply(number)
                            + " says that its cluster is "
                            + ((entry & OWNED) != 0 ? "owned" : "shared")
                            + ", and it counts "
                            + refcounts.get(offset >>> clusterBits));
        }
    }

    private void entry(long guest, long entry, boolean active) throws IOException {
        if ((entry & COMPRESSED) != 0) {
            int bits = 62 - (clusterBits - 8);
            long offset = entry & ((1L << bits) - 1) & ((1L << 56) - 1);
            long sectors = ((entry & ~(COMPRESSED | OWNED)) >>> bits) + 1;
            long last = (offset & -512) + sectors * 512 - 1;
            if ((entry & OWNED) != 0 || offset >>> clusterBits >= fileClusters) {
                damage("%s is 0x%016x".formatted(l2Entry(guest), entry));
                return;
            }
            for (long c = offset >>> clusterBits; c <= last >>> clusterBits; c++) {
                counts.add(c);
            }
            return;
        }
        if ((entry & ~(OWNED | OFFSET | READS_ZERO)) != 0
                || (header.version() < 3 && (entry & READS_ZERO) != 0)) {
            damage("%s is 0x%016x".formatted(l2Entry(guest), entry));
            return;
        }
        long offset = entry & OFFSET;
        if (offset == 0 && entry == READS_ZERO) {
            return;
        }
        if (isCluster(Qcow2Check::l2Entry, guest, offset)) {
            counts.add(offset >>> clusterBits);
            if (active) {
                owned(Qcow2Check::l2Entry, guest, entry, offset);
            }
        }
    }

    private void snapshots() throws IOException {
        long at = header.snapshotsOffset();
        long entries = 0;
        for (int i = 0; i < header.snapshots(); i++) {
            ByteBuffer fixed = ByteBuffer.wrap(numbers.readBytes(at, SNAPSHOT_BYTES));
            long l1Offset = fixed.getLong(0);
            long l1Size = Integer.toUnsignedLong(fixed.getInt(8));
            entries += l1Size;
            if (l1Size * Long.BYTES > Qcow2Header.MAX_L1_BYTES || entries > MAX_SNAPSHOT_ENTRIES) {
                damage(snapshot(i) + " has an L1 table of " + l1Size + " entries");
                return;
            }
            if (isCluster(Qcow2Check::snapshot, i, l1Offset)) {
                table(l1Offset, (int) l1Size, false);
            }
            long extra = Integer.toUnsignedLong(fixed.getInt(36));
            long names =
                    Short.toUnsignedLong(fixed.getShort(12))
                            + Short.toUnsignedLong(fixed.getShort(14));
            at += (SNAPSHOT_BYTES + extra + names + 7) & -8;
        }
        range(header.snapshotsOffset(), clustersOf(at - header.snapshotsOffset()));
    }

    private void compare(long cluster, long owners) throws IOException {
        long count = refcounts.get(cluster);
        if (count < owners) {
            damage("cluster " + cluster + " has " + owners + " owners and counts " + count);
        }
    }

    private long leaks(boolean repair) throws IOException {
        long[] leaks = new long[1];
        refcounts.forEach(
                (cluster, count) -> {
                    long owners = counts.get(cluster);
                    if (count > owners) {
                        leaks[0]++;
                        if (repair) {
                            refcounts.set(cluster, owners);
                        }
                    }
                });
        if (repair && leaks[0] > 0) {
            file.sync();
        }
        return leaks[0];
    }
}
