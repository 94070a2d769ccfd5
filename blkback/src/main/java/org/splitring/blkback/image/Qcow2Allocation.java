package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.linux.IoVector;

/// Changes what a qcow2 image consists of: gives clusters to what is written for the first time,
/// and takes back what is not used any more.
///
/// A write to a cluster that the image does not have for itself:
///
/// 1. An empty cluster is taken from those that are reserved: counted, and read as zeros, both
///    stable ([Qcow2Refcounts#reserve] for many at once).
/// 2. If the guest's cluster held data elsewhere (in the backing file, compressed, or shared with a
///    snapshot) these are copied; then the guest's new bytes are written over them.
/// 3. If it held anything but zeros, the new cluster is made stable. Otherwise a loss of
///    power could keep the link and lose the copy, and with it data that had been flushed.
/// 4. The link is written. Only now the write is answered.
/// 5. What the link led to before is let go after the next [#sync]: until then the stable link may
///    still lead there. And not before the operations have ended that may be reading it.
///
/// Its monitor is for whoever changes or loads tables; it may be held over a wait for storage.
final class Qcow2Allocation {
    /// Reads a whole cluster of the disk as it is.
    interface OldData {
        void read(long offset, MemorySegment into) throws IOException;
    }

    private static final Logger LOG = LoggerFactory.getLogger(Qcow2Allocation.class);
    private static final long FIRST_RESERVE_BYTES = 1 << 20;
    private static final long MAX_RESERVE_BYTES = 32 << 20;
    private static final int MAX_BATCH_BYTES = 4 << 20;
    private static final int MAX_LET_GO = 65536;

    private final ImageFile file;
    private final int clusterBits;
    private final Qcow2Tables tables;
    private final Qcow2Refcounts refcounts;
    private final Qcow2Metadata metadata;
    private final OperationGate gate;
    private final OldData oldData;

    // Guarded by this.
    private final MemorySegment old;
    private final IoVector oldVector = new IoVector(1);
    private final MemorySegment zeros;
    private long[] reserved = {};
    private int reservedUsed;
    private long reserveBytes = FIRST_RESERVE_BYTES;
    private long[] links = new long[64];
    private LongList letGoBefore = new LongList(); // unlinked before the last turn of the gate
    private LongList letGo = new LongList();

    private volatile boolean failed;

    Qcow2Allocation(
            ImageFile file,
            Qcow2Header header,
            Qcow2Tables tables,
            Qcow2Refcounts refcounts,
            Qcow2Metadata metadata,
            OperationGate gate,
            OldData oldData) {
        this.file = file;
        this.clusterBits = header.clusterBits();
        this.tables = tables;
        this.refcounts = refcounts;
        this.metadata = metadata;
        this.gate = gate;
        this.oldData = oldData;
        this.old = Qcow2Store.clusterBuffer(header.clusterBytes());
        this.zeros = Qcow2Store.clusterBuffer(header.clusterBytes());
    }

    /// The file may not have what was written: nothing of it is changed any more.
    void fail() {
        failed = true;
    }

    private void checkSound() throws IOException {
        if (failed) {
            throw new IOException(file.name() + " has failed before");
        }
    }

    /// Writes the beginning of `from` to clusters that are not there yet.
    ///
    /// @param part scratch of the caller's
    /// @return bytes written; 0 when somebody else has made the first cluster meanwhile
    synchronized long write(IoVector from, long offset, IoVector part) throws IOException {
        checkSound();
        if (letGo.size() > MAX_LET_GO) {
            sync(); // a guest that never flushes does not make the list longer and longer
        }
        long clusterBytes = 1L << clusterBits;
        long end = offset + from.remainingBytes();
        long first = offset & -clusterBytes;
        long wanted = (end - first + clusterBytes - 1) >>> clusterBits;
        long atOnce = Math.min(tables.clustersInSlice(first), MAX_BATCH_BYTES >>> clusterBits);
        long clusters = Math.min(wanted, atOnce);
        makeTable(offset);
        if (links.length < clusters) {
            links = new long[(int) clusters];
        }
        LongList replaced = new LongList();
        boolean stable = true;
        int count = 0;
        long done = 0;
        while (count < clusters && from.remainingBytes() > 0) {
            long at = first + ((long) count << clusterBits);
            long entry = tables.entryAt(at);
            if (tables.isOwnData(at, entry)) {
                break;
            }
            long cluster = take();
            long place = cluster << clusterBits;
            long inCluster = offset + done - at;
            part.clear();
            long size = part.addFrom(from, clusterBytes - inCluster);
            if (!tables.isZero(at, entry)) {
                stable &= copyOld(at, place, size < clusterBytes);
            }
            file.write(part, place + inCluster);
            from.advance(size);
            done += size;
            links[count++] = tables.dataEntry(cluster);
            for (long i = 0; i < tables.hostCount(entry); i++) {
                replaced.add(tables.hostCluster(entry) + i);
            }
            if (inCluster + size < clusterBytes) {
                break; // more pieces than fit into one call: go on in the cluster that is there now
            }
        }
        if (count == 0) {
            return 0;
        }
        if (!stable) {
            file.sync();
        }
        tables.link(first, links, count);
        letGo.addAll(replaced);
        return done;
    }

    /// Copies what a cluster held before.
    ///
    /// @param needed whether any of it stays
    /// @return whether it was only zeros, as the new cluster is
    private boolean copyOld(long offset, long place, boolean needed) throws IOException {
        oldData.read(offset, old);
        if (old.mismatch(zeros) < 0) {
            return true;
        }
        if (needed) {
            oldVector.clear();
            oldVector.add(old, 0, old.byteSize());
            file.write(oldVector, place);
        }
        return false;
    }

    /// Sees to it that the L2 table for `offset` is there and nobody else's.
    private void makeTable(long offset) throws IOException {
        if (tables.hasOwnTable(offset)) {
            return;
        }
        long shared = tables.tableAt(offset);
        tables.setTable(offset, take(), shared);
        if (shared != 0) {
            metadata.disclaim(shared >>> clusterBits);
            letGo.add(shared >>> clusterBits);
        }
    }

    /// Makes whole clusters read as zeros, and lets go what they had. What it comes to is in the
    /// file and not stable; any part of it is no harm. Others may have their turn in between.
    ///
    /// @param first guest offset, on a cluster
    void zero(long first, long clusterCount) throws IOException {
        long done = 0;
        while (done < clusterCount) {
            long at = first + (done << clusterBits);
            int count = (int) Math.min(clusterCount - done, tables.clustersInSlice(at));
            zeroInSlice(at, count);
            done += count;
        }
    }

    private synchronized void zeroInSlice(long first, int count) throws IOException {
        checkSound();
        if (letGo.size() > MAX_LET_GO) {
            sync(); // what one large range had does not make the list longer and longer
        }
        if (tables.tableAt(first) == 0 && tables.zeroEntry() == 0) {
            return;
        }
        makeTable(first);
        if (links.length < count) {
            links = new long[count];
        }
        LongList replaced = new LongList();
        for (int i = 0; i < count; i++) {
            long at = first + ((long) i << clusterBits);
            long entry = tables.entryAt(at);
            tables.isZero(at, entry); // throws for an entry that cannot be
            links[i] = tables.zeroEntry();
            for (long j = 0; j < tables.hostCount(entry); j++) {
                replaced.add(tables.hostCluster(entry) + j);
            }
        }
        tables.link(first, links, count);
        letGo.addAll(replaced);
    }

    /// Makes the L1 table long enough for a larger disk.
    synchronized void growL1(long entries) throws IOException {
        checkSound();
        long bytes = entries * Long.BYTES;
        if (bytes > Qcow2Header.MAX_L1_BYTES) {
            throw new IOException(
                    file.name() + ": its clusters are too small for a disk of such a size");
        }
        int clusters = (int) ((bytes + (1L << clusterBits) - 1) >>> clusterBits);
        long[] place = refcounts.reserve(clusters, true);
        LongList before = tables.moveL1(place[0], clusters, (int) entries);
        for (int i = 0; i < before.size(); i++) {
            refcounts.release(before.get(i)); // the header that leads elsewhere is stable
        }
    }

    /// Writes another size of the disk into the header. Everything before is stable by then.
    synchronized void setSize(long sizeBytes) throws IOException {
        checkSound();
        file.sync();
        new BigEndianFile(file).writeLong(Qcow2Header.SIZE_AT, sizeBytes);
        file.sync();
    }

    private long take() throws IOException {
        if (reservedUsed == reserved.length) {
            int count = (int) Math.max(4, reserveBytes >>> clusterBits);
            reserved = refcounts.reserve(count, false);
            reservedUsed = 0;
            reserveBytes = Math.min(MAX_RESERVE_BYTES, reserveBytes * 2);
        }
        return reserved[reservedUsed++];
    }

    /// Makes everything stable that has been answered, and lets go what is not linked to any more.
    void sync() throws IOException {
        LongList unlinked;
        synchronized (this) {
            checkSound();
            unlinked = letGo;
            letGo = new LongList();
        }
        try {
            file.sync(); // nobody has to wait for it who only looks something up
            synchronized (this) {
                if (gate.turn()) {
                    for (int i = 0; i < letGoBefore.size(); i++) {
                        release(letGoBefore.get(i));
                    }
                    letGoBefore = unlinked;
                } else {
                    letGo.addAll(unlinked); // with their own turn, after the one that is due
                }
            }
        } catch (IOException e) {
            fail();
            throw e;
        }
    }

    private void release(long cluster) throws IOException {
        if (metadata.holds(cluster, 1)) {
            throw new IOException(
                    file.name() + ": cluster " + cluster + " was data, and a table is in it");
        }
        refcounts.release(cluster);
    }

    /// Gives back what was reserved and not used, and what was let go. Nobody uses the image any
    /// more, and everything is stable; what cannot be given back is leaked, and nothing worse.
    synchronized void close() {
        if (failed) {
            return;
        }
        try {
            if (letGo.size() + letGoBefore.size() > 0) {
                file.sync();
            }
            letGoBefore.addAll(letGo);
            for (int i = 0; i < letGoBefore.size(); i++) {
                release(letGoBefore.get(i));
            }
            while (reservedUsed < reserved.length) {
                refcounts.release(reserved[reservedUsed++]);
            }
        } catch (IOException e) {
            LOG.warn("{}: some clusters are leaked: {}", file.name(), e.getMessage());
        }
    }
}
