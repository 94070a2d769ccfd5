package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/// Where each guest cluster of a qcow2 image is: the L1 table, in memory as a whole, and a bounded
/// part of the L2 tables.
///
///     guest offset   | L1 index | L2 index | offset in the cluster |
///     L1 entry       63: owned   55..9: L2 table
///     L2 entry       63: owned   62: compressed   55..9: host cluster   0: reads as zeros
///
/// [#find] is for any thread, and waits for nothing. Everything else is for one thread at a time,
/// the one that has the right to change the image.
final class Qcow2Tables {
    private static final long CACHE_BYTES = 16 << 20;
    private static final int MAX_SLICE_BYTES = 4096;
    private static final long OWNED = 1L << 63;
    private static final long COMPRESSED = 1L << 62;
    private static final long READS_ZERO = 1;
    private static final long OFFSET = ((1L << 56) - 1) & -(1L << 9);
    private static final long L1_RESERVED = ~(OWNED | OFFSET);
    private static final long MISSING = -1; // no valid entry has every bit
    private static final long BAD = -2; // nor nearly every

    private final ImageFile file;
    private final BigEndianFile numbers;
    private final Qcow2Metadata metadata;
    private final int version;
    private final int clusterBits;
    private final int l2Bits;
    private final boolean hasBacking;
    private final long[] loading;

    // Guarded by this.
    private final SliceCache cache;
    private long[] l1;
    private long l1Offset;

    Qcow2Tables(ImageFile file, Qcow2Header header, Qcow2Metadata metadata) throws IOException {
        this.file = file;
        this.numbers = new BigEndianFile(file);
        this.metadata = metadata;
        this.version = header.version();
        this.clusterBits = header.clusterBits();
        this.l2Bits = header.l2Bits();
        this.hasBacking = !header.backingFile().isEmpty();
        this.cache = new SliceCache(Math.min(MAX_SLICE_BYTES, header.clusterBytes()), CACHE_BYTES);
        this.loading = new long[cache.sliceBytes() / Long.BYTES];
        this.l1Offset = header.l1Offset();
        this.l1 = numbers.readLongs(l1Offset, header.l1Size());
        long fileBytes = file.sizeBytes();
        for (int i = 0; i < l1.length; i++) {
            if (l1[i] == 0) {
                continue;
            }
            if ((l1[i] & L1_RESERVED) != 0) {
                throw new IOException(
                        "L1 entry %d is 0x%016x, which has reserved bits".formatted(i, l1[i]));
            }
            long table = l1[i] & OFFSET;
            metadata.checkOffset("L2 table " + i, table, fileBytes);
            metadata.claim("L2 table " + i, table >>> clusterBits, 1);
        }
    }

    /// Finds out what is at `offset`, and how far it goes on in the same way.
    ///
    /// @param out receives it; [Extent#UNKNOWN] when [#load] has to be called before
    /// @throws IOException when the table's entry cannot be
    synchronized void find(long offset, long maxBytes, Extent out) throws IOException {
        long clusterBytes = 1L << clusterBits;
        long inCluster = offset & (clusterBytes - 1);
        long cluster = offset >>> clusterBits;
        long entry = entry(cluster);
        if (entry == MISSING) {
            out.kind = Extent.UNKNOWN;
            return;
        }
        decode(cluster, entry, out);
        out.sizeBytes = Math.min(clusterBytes - inCluster, maxBytes);
        if (out.kind == Extent.COMPRESSED) {
            return;
        }
        long nextPlace = out.place + clusterBytes;
        out.place += inCluster;
        while (out.sizeBytes < maxBytes) {
            cluster++;
            long next = entry(cluster);
            if (next == MISSING || !continues(cluster, next, out, nextPlace)) {
                return;
            }
            nextPlace += clusterBytes;
            out.sizeBytes = Math.min(out.sizeBytes + clusterBytes, maxBytes);
        }
    }

    private boolean continues(long cluster, long entry, Extent before, long nextPlace)
            throws IOException {
        return kind(cluster, entry) == before.kind
                && (before.kind != Extent.DATA
                        || ((entry & OFFSET) == nextPlace
                                && ((entry & OWNED) != 0) == before.owned));
    }

    private long entry(long cluster) {
        int index = (int) (cluster >>> l2Bits);
        long table = index < l1.length ? l1[index] & OFFSET : 0;
        if (table == 0) {
            return 0;
        }
        long at = table + (cluster & ((1L << l2Bits) - 1)) * Long.BYTES;
        long start = cache.sliceOf(at);
        long[] slice = cache.get(start);
        return slice == null ? MISSING : slice[(int) (at - start) / Long.BYTES];
    }

    private void decode(long cluster, long entry, Extent out) throws IOException {
        out.kind = kind(cluster, entry);
        out.place = out.kind == Extent.DATA ? entry & OFFSET : entry;
        out.owned = out.kind == Extent.DATA && (entry & OWNED) != 0 && l1Owned(cluster);
    }

    private boolean l1Owned(long cluster) {
        return (l1[(int) (cluster >>> l2Bits)] & OWNED) != 0;
    }

    private int kind(long cluster, long entry) throws IOException {
        if ((entry & COMPRESSED) != 0) {
            if ((entry & OWNED) != 0) {
                throw badEntry(cluster, entry, "is compressed and marked as owned");
            }
            return Extent.COMPRESSED;
        }
        if ((entry & ~(OWNED | OFFSET | READS_ZERO)) != 0) {
            throw badEntry(cluster, entry, "has reserved bits");
        }
        if ((entry & OFFSET & ((1L << clusterBits) - 1)) != 0) {
            throw badEntry(cluster, entry, "is not where a cluster can begin");
        }
        if ((entry & READS_ZERO) != 0) {
            if (version < 3) {
                throw badEntry(cluster, entry, "reads as zeros, which version 2 does not know");
            }
            return Extent.ZERO;
        }
        if ((entry & OFFSET) == 0) {
            if (entry != 0) {
                throw badEntry(cluster, entry, "is owned and nowhere");
            }
            return hasBacking ? Extent.BACKING : Extent.ZERO;
        }
        return Extent.DATA;
    }

    private IOException badEntry(long cluster, long entry, String what) {
        return new IOException(
                "%s: L2 entry of cluster %d, 0x%016x, %s"
                        .formatted(file.name(), cluster, entry, what));
    }

    /// Reads the part of the L2 table that has the entry for `offset`; does nothing when there is
    /// no such table.
    void load(long offset) throws IOException {
        long cluster = offset >>> clusterBits;
        long start;
        synchronized (this) {
            if (entry(cluster) != MISSING) {
                return;
            }
            long table = l1[(int) (cluster >>> l2Bits)] & OFFSET;
            start = cache.sliceOf(table + (cluster & ((1L << l2Bits) - 1)) * Long.BYTES);
        }
        numbers.readLongs(start, loading, 0, loading.length);
        for (int i = 0; i < loading.length; i++) {
            if (loading[i] == MISSING) {
                loading[i] = BAD; // otherwise it would be looked for again and again
            }
        }
        synchronized (this) {
            cache.insert(start, loading);
        }
    }

    /// The entry for `offset` as it is in the table, read if need be.
    long entryAt(long offset) throws IOException {
        load(offset);
        synchronized (this) {
            return entry(offset >>> clusterBits);
        }
    }

    /// Whether an entry leads to data that may be written in place.
    synchronized boolean isOwnData(long offset, long entry) throws IOException {
        long cluster = offset >>> clusterBits;
        return kind(cluster, entry) == Extent.DATA && (entry & OWNED) != 0 && l1Owned(cluster);
    }

    /// Whether an entry says that there are only zeros.
    boolean isZero(long offset, long entry) throws IOException {
        return kind(offset >>> clusterBits, entry) == Extent.ZERO;
    }

    /// The first place from `offset` on that has an L2 table; `Long.MAX_VALUE` when none has.
    synchronized long firstTableFrom(long offset) {
        int bits = clusterBits + l2Bits;
        for (long i = offset >>> bits; i < l1.length; i++) {
            if ((l1[(int) i] & OFFSET) != 0) {
                return Math.max(offset, i << bits);
            }
        }
        return Long.MAX_VALUE;
    }

    /// How many guest clusters from `offset` on have their entries in the same piece of the same
    /// table: what [#link] takes at once.
    long clustersInSlice(long offset) {
        long perSlice = cache.sliceBytes() / Long.BYTES;
        return perSlice - ((offset >>> clusterBits) & (perSlice - 1));
    }

    /// Whether the L2 table for `offset` is there and nobody else has it.
    synchronized boolean hasOwnTable(long offset) {
        int index = (int) (offset >>> clusterBits >>> l2Bits);
        return l1[index] != 0 && (l1[index] & OWNED) != 0;
    }

    /// The shared L2 table for `offset`, or 0 when there is none.
    synchronized long tableAt(long offset) {
        return l1[(int) (offset >>> clusterBits >>> l2Bits)] & OFFSET;
    }

    /// Uses an empty, stable, reserved cluster as the L2 table for `offset`.
    ///
    /// @param copyOf the place of the table to copy, or 0; the copy is stable before anything leads
    ///     to it
    void setTable(long offset, long cluster, long copyOf) throws IOException {
        int index = (int) (offset >>> clusterBits >>> l2Bits);
        long place = cluster << clusterBits;
        synchronized (this) {
            cache.drop(place, 1L << clusterBits);
        }
        if (copyOf != 0) {
            int count = 1 << l2Bits;
            numbers.writeLongs(place, sharedAll(numbers.readLongs(copyOf, count)), 0, count);
            file.sync(); // before the L1 table leads there
        }
        metadata.claim("L2 table " + index, cluster, 1);
        long entry = place | OWNED;
        numbers.writeLong(l1Offset + (long) index * Long.BYTES, entry);
        synchronized (this) {
            l1[index] = entry;
        }
    }

    /// How many entries the L1 table has.
    synchronized long l1Size() {
        return l1.length;
    }

    /// Puts a longer L1 table where nothing is, and lets the header lead there.
    ///
    /// @param cluster the first of empty, stable, reserved clusters
    /// @return the clusters where it was; nothing stable leads there any more
    LongList moveL1(long cluster, int clusters, int entries) throws IOException {
        long[] longer;
        synchronized (this) {
            longer = Arrays.copyOf(l1, entries);
        }
        long place = cluster << clusterBits;
        numbers.writeLongs(place, longer, 0, entries);
        file.sync(); // before the header leads there
        metadata.claim("L1 table", cluster, clusters);
        numbers.writeBytes(
                Qcow2Header.L1_SIZE_AT,
                ByteBuffer.allocate(12).putInt(entries).putLong(place).array());
        file.sync();
        LongList before = new LongList();
        synchronized (this) {
            long count = ((long) l1.length * Long.BYTES + (1L << clusterBits) - 1) >>> clusterBits;
            for (long i = 0; i < count; i++) {
                before.add((l1Offset >>> clusterBits) + i);
                metadata.disclaim((l1Offset >>> clusterBits) + i);
            }
            l1 = longer;
            l1Offset = place;
        }
        return before;
    }

    /// The clusters of a table that somebody else has too are his as well.
    private static long[] sharedAll(long[] entries) {
        for (int i = 0; i < entries.length; i++) {
            entries[i] &= ~OWNED;
        }
        return entries;
    }

    /// Links guest clusters that follow one another to data, in the file and here.
    ///
    /// @param offset of the first; they are in one slice, see [#clustersInSlice]
    /// @param entries made by [#dataEntry], [#zeroEntry]
    void link(long offset, long[] entries, int count) throws IOException {
        long cluster = offset >>> clusterBits;
        long at;
        synchronized (this) {
            long table = l1[(int) (cluster >>> l2Bits)] & OFFSET;
            at = table + (cluster & ((1L << l2Bits) - 1)) * Long.BYTES;
        }
        numbers.writeLongs(at, entries, 0, count);
        synchronized (this) {
            for (int i = 0; i < count; i++) {
                cache.update(at + (long) i * Long.BYTES, entries[i]);
            }
        }
    }

    /// The entry of a cluster that has its data at the host cluster `cluster` and is nobody else's.
    long dataEntry(long cluster) {
        return (cluster << clusterBits) | OWNED;
    }

    /// The entry of a cluster that reads as zeros whatever is behind it.
    ///
    /// @throws IllegalStateException for an image of version 2 with a backing file, which cannot
    long zeroEntry() {
        if (!hasBacking) {
            return 0;
        }
        if (version < 3) {
            throw new IllegalStateException("version 2 has no entry for zeros");
        }
        return READS_ZERO;
    }

    /// Whether [#zeroEntry] is possible.
    boolean hasZeroEntry() {
        return version >= 3 || !hasBacking;
    }

    /// The first of the [#hostCount] clusters of the file that an entry leads to.
    long hostCluster(long entry) {
        return (entry & COMPRESSED) != 0
                ? compressedOffset(entry) >>> clusterBits
                : (entry & OFFSET) >>> clusterBits;
    }

    /// How many host clusters an entry has an owner's part in.
    long hostCount(long entry) {
        if ((entry & COMPRESSED) == 0) {
            return (entry & OFFSET) == 0 ? 0 : 1;
        }
        long offset = compressedOffset(entry);
        return ((offset + compressedBytes(entry) - 1) >>> clusterBits)
                - (offset >>> clusterBits)
                + 1;
    }

    /// Place in the file of compressed data.
    long compressedOffset(long entry) {
        return entry & ((1L << compressedBits()) - 1) & ((1L << 56) - 1);
    }

    /// Most bytes that compressed data takes: to the end of its last sector.
    int compressedBytes(long entry) {
        int sectors = (int) ((entry & ~(COMPRESSED | OWNED)) >>> compressedBits()) + 1;
        return sectors * 512 - (int) (compressedOffset(entry) & 511);
    }

    private int compressedBits() {
        return 62 - (clusterBits - 8);
    }
}
