package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;

/// How many owners each cluster of a qcow2 image has, and which are free.
///
/// **Order.** A cluster may be linked to by a table only after its count is stable: otherwise a
/// loss of power leaves a link to a cluster that counts as free, and the next one to allocate it
/// damages its data. So counts are raised for many clusters at once, and made stable once
/// ([#reserve]). What a loss of power leaves of them is leaked, never shared.
///
/// A reserved cluster reads as zeros, and that is stable too.
///
/// One thread at a time; the owner sees to that.
final class Qcow2Refcounts {
    private static final long CACHE_BYTES = 2 << 20;
    private static final int MAX_SLICE_BYTES = 4096;
    private static final long OFFSET_MASK = -(1L << 9);
    private static final long MAX_OFFSET = 1L << 56; // L2 entries reach no further

    private final ImageFile file;
    private final BigEndianFile numbers;
    private final Qcow2Metadata metadata;
    private final int clusterBits;
    private final int order;
    private final SliceCache cache;
    private final long[] loading;
    private long tableOffset;
    private long[] table;
    private long cursor; // no cluster below it is free

    Qcow2Refcounts(ImageFile file, Qcow2Header header, Qcow2Metadata metadata) throws IOException {
        this.file = file;
        this.numbers = new BigEndianFile(file);
        this.metadata = metadata;
        this.clusterBits = header.clusterBits();
        this.order = header.refcountOrder();
        this.cache = new SliceCache(Math.min(MAX_SLICE_BYTES, header.clusterBytes()), CACHE_BYTES);
        this.loading = new long[cache.sliceBytes() / Long.BYTES];
        this.tableOffset = header.refcountTableOffset();
        this.table =
                numbers.readLongs(
                        tableOffset,
                        (int) ((long) header.refcountTableClusters() << clusterBits) / Long.BYTES);
        long fileBytes = file.sizeBytes();
        for (int i = 0; i < table.length; i++) {
            long block = table[i];
            if (block != 0) {
                metadata.checkOffset("refcount block " + i, block, fileBytes);
                metadata.claim("refcount block " + i, block >>> clusterBits, 1);
            }
        }
    }

    /// How many clusters one refcount block counts, as a power of two.
    private int blockBits() {
        return clusterBits + 3 - order;
    }

    /// The greatest count that fits.
    long maxCount() {
        return order == 6 ? Long.MAX_VALUE : (1L << (1 << order)) - 1;
    }

    /// The count of a cluster; 0 is free.
    long get(long cluster) throws IOException {
        long block = block(cluster);
        return block == 0 ? 0 : countIn(word(wordOffset(block, cluster)), cluster);
    }

    private long block(long cluster) {
        long index = cluster >>> blockBits();
        return index < table.length ? table[(int) index] & OFFSET_MASK : 0;
    }

    private long wordOffset(long block, long cluster) {
        long inBlock = cluster & ((1L << blockBits()) - 1);
        return block + ((inBlock << order) >>> 6) * Long.BYTES;
    }

    /// How far the count of a cluster is from the low end of its number of 64 bits. Counts of whole
    /// bytes are big-endian; smaller ones fill their byte from its low end.
    private int shift(long cluster) {
        int bits = 1 << order;
        int inWord = (int) (cluster & ((64 >> order) - 1));
        if (order >= 3) {
            return 64 - bits * (inWord + 1);
        }
        int bit = inWord * bits;
        return 56 - bit / 8 * 8 + bit % 8;
    }

    private long mask() {
        return order == 6 ? -1 : (1L << (1 << order)) - 1;
    }

    private long countIn(long word, long cluster) {
        return (word >>> shift(cluster)) & mask();
    }

    private long word(long offset) throws IOException {
        long start = cache.sliceOf(offset);
        long[] slice = cache.get(start);
        if (slice == null) {
            numbers.readLongs(start, loading, 0, loading.length);
            slice = cache.insert(start, loading);
        }
        return slice[(int) (offset - start) / Long.BYTES];
    }

    /// Changes the count of a cluster that a block counts.
    void set(long cluster, long count) throws IOException {
        long offset = wordOffset(block(cluster), cluster);
        long old = word(offset);
        long value = (old & ~(mask() << shift(cluster))) | ((count & mask()) << shift(cluster));
        numbers.writeLong(offset, value);
        cache.update(offset, value);
    }

    /// Places of the refcount blocks that there are.
    List<Long> blocks() {
        return Arrays.stream(table).filter(block -> block != 0).boxed().toList();
    }

    /// Does something for every cluster that is not free.
    void forEach(ClusterCounts.Visitor visitor) throws IOException {
        for (int i = 0; i < table.length; i++) {
            if (table[i] == 0) {
                continue;
            }
            for (long c = (long) i << blockBits(); c < (i + 1L) << blockBits(); c++) {
                long count = get(c);
                if (count != 0) {
                    visitor.visit(c, count);
                }
            }
        }
    }

    /// Takes one owner from a cluster. Its link must be gone from stable storage: with the last
    /// owner gone it may be given to somebody else.
    void release(long cluster) throws IOException {
        long count = get(cluster);
        if (count == 0) {
            throw new IOException(
                    file.name() + ": cluster " + cluster + " is in use and counted 0 times");
        }
        set(cluster, count - 1);
        if (count == 1) {
            cursor = Math.min(cursor, cluster);
        }
    }

    /// Counts clusters once that were free, empties them, and makes both stable.
    ///
    /// @param contiguous whether they must follow one another
    /// @return their numbers, in rising order
    long[] reserve(int count, boolean contiguous) throws IOException {
        long[] found = new long[count];
        int have = 0;
        long before = cursor;
        long at = before;
        ArrayDeque<Long> spare = new ArrayDeque<>(); // counted clusters that can become blocks
        while (have < count) {
            if (at >>> blockBits() >= table.length) {
                growTable(at);
            }
            if (block(at) == 0 && contiguous) {
                // A block in the first cluster of each range would leave no run longer than one.
                if (spare.isEmpty()) {
                    for (long cluster : reserve((count >>> blockBits()) + 2, false)) {
                        spare.add(cluster);
                    }
                    have = 0; // some of these may be among the ones that were found
                } else {
                    useAsBlock(spare.remove(), at);
                }
                continue;
            }
            if (block(at) == 0) {
                makeBlock(at);
                continue; // the block may be in this cluster
            }
            if (get(at) == 0) {
                metadata.checkFree(at);
                found[have++] = at;
            } else if (contiguous) {
                have = 0;
            }
            at++;
        }
        // Where a run was looked for, free clusters were passed; a table that moved left some too.
        if (!contiguous && cursor == before) {
            cursor = at;
        }
        checkEnd(at);
        file.truncate(Math.max(file.sizeBytes(), at << clusterBits));
        for (int i = 0; i < count; ) {
            int run = 1;
            while (i + run < count && found[i + run] == found[i] + run) {
                run++;
            }
            file.zero(found[i] << clusterBits, (long) run << clusterBits);
            i += run;
        }
        for (long cluster : found) {
            set(cluster, 1);
        }
        file.sync();
        for (long cluster : spare) {
            release(cluster);
        }
        return found;
    }

    private void checkEnd(long end) throws IOException {
        if (end > MAX_OFFSET >>> clusterBits) {
            throw new IOException(file.name() + " is full: the format reaches no further");
        }
    }

    /// Makes the refcount block that counts `cluster`. It is the first cluster of its own range,
    /// which is free since nothing has counted it.
    private void makeBlock(long cluster) throws IOException {
        int index = (int) (cluster >>> blockBits());
        long own = (long) index << blockBits();
        metadata.checkFree(own);
        checkEnd(own + 1);
        emptyCluster(own);
        long offset = own << clusterBits;
        cache.drop(offset, 1L << clusterBits);
        numbers.writeLong(wordOffset(offset, own), 1L << shift(own));
        file.sync(); // before anything says that it is a refcount block
        numbers.writeLong(tableOffset + (long) index * Long.BYTES, offset);
        table[index] = offset;
        metadata.claim("refcount block " + index, own, 1);
    }

    /// Makes a reserved cluster the refcount block that counts `cluster`.
    private void useAsBlock(long reserved, long cluster) throws IOException {
        int index = (int) (cluster >>> blockBits());
        long offset = reserved << clusterBits;
        cache.drop(offset, 1L << clusterBits);
        numbers.writeLong(tableOffset + (long) index * Long.BYTES, offset);
        table[index] = offset;
        metadata.claim("refcount block " + index, reserved, 1);
    }

    private void emptyCluster(long cluster) throws IOException {
        long end = (cluster + 1) << clusterBits;
        if (file.sizeBytes() < end) {
            file.truncate(end);
        }
        file.zero(cluster << clusterBits, 1L << clusterBits);
    }

    /// Makes a longer table, so that `cluster` can be counted. It stands behind everything that the
    /// old one counts, with the blocks that count it and themselves; the header then changes from
    /// the old one to the new in one sector.
    private void growTable(long cluster) throws IOException {
        long clusterBytes = 1L << clusterBits;
        long start = (long) table.length << blockBits();
        long tableBytes = (long) table.length * Long.BYTES;
        long tableClusters = Math.max(2, (tableBytes >>> clusterBits) * 3 / 2);
        long blocks;
        while (true) {
            blocks = 1;
            while (blocks << blockBits() < tableClusters + blocks) {
                blocks++;
            }
            long entries = (tableClusters << clusterBits) / Long.BYTES;
            if (entries >= table.length + blocks && entries > cluster >>> blockBits()) {
                break;
            }
            tableClusters++;
        }
        if (tableClusters << clusterBits > Qcow2Header.MAX_REFCOUNT_TABLE_BYTES) {
            throw new IOException(
                    file.name() + " is full: a longer refcount table would have more than 8 MiB");
        }
        long newClusters = blocks + tableClusters;
        checkEnd(start + newClusters);
        long[] grown = Arrays.copyOf(table, (int) ((tableClusters << clusterBits) / Long.BYTES));
        for (long i = 0; i < newClusters; i++) {
            metadata.checkFree(start + i);
            emptyCluster(start + i);
        }
        cache.drop(start << clusterBits, newClusters << clusterBits);
        for (int i = 0; i < blocks; i++) {
            grown[table.length + i] = (start + i) << clusterBits;
        }
        for (long i = 0; i < newClusters; i++) {
            long counted = start + i;
            long block = grown[(int) (counted >>> blockBits())];
            long offset = wordOffset(block, counted);
            long value = word(offset) | (1L << shift(counted));
            numbers.writeLong(offset, value);
            cache.update(offset, value);
        }
        long newOffset = (start + blocks) * clusterBytes;
        numbers.writeLongs(newOffset, grown, 0, grown.length);
        file.sync();
        byte[] fields =
                ByteBuffer.allocate(12).putLong(newOffset).putInt((int) tableClusters).array();
        numbers.writeBytes(Qcow2Header.REFCOUNT_TABLE_AT, fields);
        file.sync();
        metadata.claim("refcount block", start, blocks);
        metadata.claim("refcount table", start + blocks, tableClusters);
        long oldFirst = tableOffset >>> clusterBits;
        long oldClusters = tableBytes >>> clusterBits;
        table = grown;
        tableOffset = newOffset;
        for (long i = 0; i < oldClusters; i++) {
            metadata.disclaim(oldFirst + i);
            release(oldFirst + i);
        }
    }
}
