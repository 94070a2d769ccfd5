package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.IoVector;

/// A qcow2 image as a disk.
///
/// What is read, and what is written to clusters that this image has for itself, needs a look into
/// the tables in memory, and then goes straight between file and guest, from any thread. All that
/// changes tables goes through [Qcow2Allocation], one at a time.
///
/// **What a loss of power, or of this process, finds.** Tables are written before a write is
/// answered, so an answered write outlives the process. A link to a cluster is written only when
/// the cluster's count is stable, when what it held before reads as before, and when what it
/// replaces is stable in it ([Qcow2Allocation]); so at any moment the file is an image without
/// damage, in which some clusters may be leaked.
final class Qcow2Store implements BlockStore {
    private static final int PIECES = 1024;

    /// How many are looked at with the tables locked, when nobody waits for what is found.
    private static final int CLUSTERS_AT_ONCE = 1024;

    private static final MemorySegment ZEROS = Arena.global().allocate(1 << 20, 4096).asReadOnly();

    private final ImageFile file;
    private final Qcow2Header header;
    private final Qcow2Metadata metadata;
    private final Qcow2Tables tables;
    private final Qcow2Inflater inflater;
    private final @Nullable BlockStore backing;
    private final @Nullable Qcow2Allocation allocation; // nothing when read-only
    private final Object loading; // whoever reads tables holds its monitor
    private final OperationGate gate = new OperationGate();
    private final ArrayDeque<Lookup> idle = new ArrayDeque<>(); // guarded by itself
    private volatile long sizeBytes;

    /// What one operation needs for itself.
    private static final class Lookup {
        final Extent extent = new Extent();
        final IoVector part = new IoVector(PIECES);
        int gateTicket;
    }

    private Qcow2Store(ImageFile file, Qcow2Header header, @Nullable BlockStore backing)
            throws IOException {
        this.file = file;
        this.header = header;
        this.sizeBytes = header.sizeBytes();
        this.backing = backing;
        this.metadata = new Qcow2Metadata(file.name(), header.clusterBits());
        claimFixedTables();
        this.tables = new Qcow2Tables(file, header, metadata);
        this.inflater = new Qcow2Inflater(file, header.clusterBytes());
        this.allocation =
                file.readOnly()
                        ? null
                        : new Qcow2Allocation(
                                file,
                                header,
                                tables,
                                new Qcow2Refcounts(file, header, metadata),
                                metadata,
                                gate,
                                this::readOld);
        this.loading = allocation == null ? new Object() : allocation;
    }

    private void claimFixedTables() throws DiskException {
        int bits = header.clusterBits();
        long clusterBytes = header.clusterBytes();
        metadata.claim("header", 0, 1);
        long l1Bytes = (long) header.l1Size() * Long.BYTES;
        metadata.claim(
                "L1 table", header.l1Offset() >>> bits, (l1Bytes + clusterBytes - 1) >>> bits);
        metadata.claim(
                "refcount table",
                header.refcountTableOffset() >>> bits,
                header.refcountTableClusters());
        if (header.snapshots() > 0) {
            metadata.claim("snapshot table", header.snapshotsOffset() >>> bits, 1);
        }
    }

    /// Opens an image.
    ///
    /// @param file closed with the store, and not when this fails
    /// @param header of that file
    /// @param backing what it is based on, closed with the store, and not when this fails
    /// @throws DiskException when it cannot be used
    static Qcow2Store open(ImageFile file, Qcow2Header header, @Nullable BlockStore backing)
            throws DiskException {
        try {
            if (!file.readOnly() && header.bitmaps()) {
                throw new DiskException(
                        "image "
                                + file.name()
                                + " has persistent bitmaps, which writing would make wrong; open it"
                                + " read-only, or remove them");
            }
            if (!file.readOnly() && header.autoclear() != 0) {
                new BigEndianFile(file).writeLong(Qcow2Header.AUTOCLEAR_AT, 0);
                file.sync();
            }
            return new Qcow2Store(file, header, backing);
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + file.name() + ": " + e.getMessage(), e);
        }
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean readOnly() {
        return file.readOnly();
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        Lookup lookup = begin();
        try {
            long done = 0;
            while (into.remainingBytes() > 0) {
                done += readExtent(lookup, into, offsetBytes + done);
            }
            return done;
        } finally {
            end(lookup);
        }
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        Lookup lookup = begin();
        try {
            long done = 0;
            while (into.remainingBytes() > 0) {
                long count = readExtentNoWait(lookup, into, offsetBytes + done);
                if (count <= 0) {
                    break;
                }
                done += count;
            }
            return done == 0 ? WOULD_BLOCK : done;
        } finally {
            end(lookup);
        }
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        Qcow2Allocation changes = changes();
        Lookup lookup = begin();
        try {
            long at = offsetBytes;
            while (from.remainingBytes() > 0) {
                at += writeExtent(changes, lookup, from, at);
            }
        } catch (IOException e) {
            changes.fail(); // what the file has now is not known
            throw e;
        } finally {
            end(lookup);
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        Lookup lookup = begin();
        try {
            long done = 0;
            while (from.remainingBytes() > 0) {
                long at = offsetBytes + done;
                tables.find(at, from.remainingBytes(), lookup.extent);
                if (lookup.extent.kind != Extent.DATA || !lookup.extent.owned) {
                    break;
                }
                checkNoTable(lookup.extent);
                long size = part(lookup, from, lookup.extent.sizeBytes);
                long count = file.writeNoWait(lookup.part, lookup.extent.place);
                if (count <= 0) {
                    break;
                }
                from.advance(count);
                done += count;
                if (count < size) {
                    break;
                }
            }
            return done == 0 ? WOULD_BLOCK : done;
        } finally {
            end(lookup);
        }
    }

    /// A cluster. Smaller parts are written over with zeros.
    @Override
    public int discardGranularityBytes() {
        return file.readOnly() ? 0 : header.clusterBytes();
    }

    @Override
    public boolean discardZeroes() {
        return !file.readOnly();
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes) throws IOException {
        Qcow2Allocation changes = changes();
        long clusterBytes = header.clusterBytes();
        long end = offsetBytes + sizeBytes;
        long first = (offsetBytes + clusterBytes - 1) & -clusterBytes;
        // The end of the disk is the end of its last cluster.
        long last = (end >= this.sizeBytes ? end + clusterBytes - 1 : end) & -clusterBytes;
        if (first >= last || !tables.hasZeroEntry()) {
            writeZeros(offsetBytes, sizeBytes);
            return;
        }
        writeZeros(offsetBytes, first - offsetBytes);
        try {
            changes.zero(first, (last - first) >>> header.clusterBits());
        } catch (IOException e) {
            changes.fail();
            throw e;
        }
        writeZeros(last, Math.max(0, end - last));
    }

    /// Writes zeros where something else is.
    private void writeZeros(long offset, long bytes) throws IOException {
        IoVector vector = new IoVector(1);
        Extent extent = new Extent();
        long behind = backing == null ? 0 : backing.sizeBytes();
        for (long done = 0; done < bytes; ) {
            long at = offset + done;
            long linked = at < behind ? at : tables.firstTableFrom(at);
            if (linked > at) { // nothing has ever been there
                done = Math.min(bytes, linked - offset);
                continue;
            }
            findSome(at, bytes - done, extent);
            boolean zero =
                    extent.kind == Extent.ZERO || (extent.kind == Extent.BACKING && at >= behind);
            long size = zero ? extent.sizeBytes : Math.min(extent.sizeBytes, ZEROS.byteSize());
            if (!zero) {
                vector.clear();
                vector.add(ZEROS, 0, size);
                write(vector, at);
            }
            done += size;
        }
    }

    /// Clusters that are nowhere, or read as zeros whatever is behind them, are holes. The backing
    /// is asked for what the image leaves to it. Data are data, also where the file has a hole.
    @Override
    public void describe(long offsetBytes, long size, AllocationMap into) throws IOException {
        long behind = backing == null ? 0 : backing.sizeBytes();
        long linked = offsetBytes < behind ? offsetBytes : tables.firstTableFrom(offsetBytes);
        if (linked > offsetBytes) { // nothing has ever been there
            into.addHole(Math.min(size, linked - offsetBytes));
            return;
        }
        Lookup lookup = begin();
        try {
            Extent extent = lookup.extent;
            findSome(offsetBytes, size, extent);
            switch (extent.kind) {
                case Extent.ZERO -> into.addHole(extent.sizeBytes);
                case Extent.BACKING -> describeBacking(offsetBytes, extent.sizeBytes, into);
                default -> into.addData(extent.sizeBytes);
            }
        } finally {
            end(lookup);
        }
    }

    /// Finds out what is at `offset`, and reads its table when that is needed. It goes no further
    /// than others may wait for the tables.
    private void findSome(long offset, long size, Extent extent) throws IOException {
        long most = Math.min(size, (long) header.clusterBytes() * CLUSTERS_AT_ONCE);
        tables.find(offset, most, extent);
        while (extent.kind == Extent.UNKNOWN) {
            synchronized (loading) {
                tables.load(offset);
            }
            tables.find(offset, most, extent);
        }
    }

    private void describeBacking(long offset, long size, AllocationMap into) throws IOException {
        BlockStore below = backing();
        long there = Math.min(size, below.sizeBytes() - offset);
        if (there > 0) {
            below.describe(offset, there, into);
        } else {
            into.addHole(size);
        }
    }

    @Override
    public void resize(long newSizeBytes) throws IOException {
        Qcow2Allocation changes = changes();
        long before = sizeBytes;
        long wholeBefore = (before + header.clusterBytes() - 1) & -header.clusterBytes();
        if (header.snapshots() > 0 && header.version() < 3) {
            throw new IOException(
                    file.name() + ": an image of version 2 that has snapshots keeps its size");
        }
        try {
            if (newSizeBytes > before) {
                long entries = Qcow2Header.l1SizeFor(newSizeBytes, header.clusterBits());
                if (entries > tables.l1Size()) {
                    changes.growL1(entries);
                }
                // What is behind the old end was never to be seen: the rest of the last cluster,
                // the backing file, and what was cut off or was written during a cut.
                long behind = backing == null ? 0 : backing.sizeBytes();
                if (behind > wholeBefore) {
                    discard(wholeBefore, Math.min(behind, newSizeBytes) - wholeBefore);
                }
                writeZeros(before, newSizeBytes - before);
                changes.setSize(newSizeBytes);
                sizeBytes = newSizeBytes;
            } else if (newSizeBytes < before) {
                changes.setSize(newSizeBytes);
                sizeBytes = newSizeBytes;
                long first = (newSizeBytes + header.clusterBytes() - 1) & -header.clusterBytes();
                if (tables.hasZeroEntry()) {
                    changes.zero(first, (wholeBefore - first) >>> header.clusterBits());
                }
            }
        } catch (IOException e) {
            changes.fail();
            throw e;
        }
    }

    @Override
    public void sync() throws IOException {
        Qcow2Allocation changes = allocation;
        if (changes == null) {
            return;
        }
        changes.sync();
    }

    @Override
    public void close() {
        try {
            if (allocation != null) {
                allocation.close();
            }
        } finally {
            inflater.close();
            if (backing != null) {
                backing.close();
            }
            file.close();
        }
    }

    private Qcow2Allocation changes() throws IOException {
        if (allocation == null) {
            throw new IOException(file.name() + " is open for reading");
        }
        return allocation;
    }

    private Lookup begin() {
        Lookup lookup;
        synchronized (idle) {
            lookup = idle.poll();
        }
        if (lookup == null) {
            lookup = new Lookup();
        }
        lookup.gateTicket = gate.enter();
        return lookup;
    }

    private void end(Lookup lookup) {
        gate.leave(lookup.gateTicket);
        lookup.part.clear();
        synchronized (idle) {
            idle.push(lookup);
        }
    }

    /// Puts the first bytes of a vector into the lookup's own.
    private static long part(Lookup lookup, IoVector all, long sizeBytes) {
        lookup.part.clear();
        return lookup.part.addFrom(all, sizeBytes);
    }

    private long readExtent(Lookup lookup, IoVector into, long offset) throws IOException {
        Extent extent = lookup.extent;
        tables.find(offset, into.remainingBytes(), extent);
        if (extent.kind == Extent.UNKNOWN) {
            synchronized (loading) {
                tables.load(offset);
            }
            return 0;
        }
        return switch (extent.kind) {
            case Extent.ZERO -> {
                into.putZeros(extent.sizeBytes);
                yield extent.sizeBytes;
            }
            case Extent.BACKING -> readBacking(lookup, into, offset);
            case Extent.COMPRESSED -> {
                inflater.read(
                        extent.place,
                        tables.compressedOffset(extent.place),
                        tables.compressedBytes(extent.place),
                        offset & (header.clusterBytes() - 1),
                        into,
                        extent.sizeBytes);
                yield extent.sizeBytes;
            }
            default -> readData(lookup, into);
        };
    }

    private long readBacking(Lookup lookup, IoVector into, long offset) throws IOException {
        BlockStore behind = backing();
        long there = Math.max(0, Math.min(lookup.extent.sizeBytes, behind.sizeBytes() - offset));
        if (there == 0) {
            into.putZeros(lookup.extent.sizeBytes);
            return lookup.extent.sizeBytes;
        }
        long size = part(lookup, into, there);
        if (behind.read(lookup.part, offset) < size) {
            throw new IOException(behind.name() + " has become shorter");
        }
        into.advance(size);
        return size;
    }

    private BlockStore backing() {
        if (backing == null) {
            throw new IllegalStateException("no backing file of " + file.name());
        }
        return backing;
    }

    private long readData(Lookup lookup, IoVector into) throws IOException {
        long size = part(lookup, into, lookup.extent.sizeBytes);
        long count = file.read(lookup.part, lookup.extent.place);
        into.advance(count);
        if (count == size) {
            return size;
        }
        // The last cluster of a file may end early; the rest of it is zeros.
        long end = lookup.extent.place + count;
        long missing = -end & (header.clusterBytes() - 1);
        if (missing == 0) {
            throw new IOException(file.name() + " ends at " + end + ", where data have to be");
        }
        long zeros = Math.min(missing, size - count);
        into.putZeros(zeros);
        return count + zeros;
    }

    private long readExtentNoWait(Lookup lookup, IoVector into, long offset) throws IOException {
        Extent extent = lookup.extent;
        tables.find(offset, into.remainingBytes(), extent);
        return switch (extent.kind) {
            case Extent.ZERO -> {
                into.putZeros(extent.sizeBytes);
                yield extent.sizeBytes;
            }
            case Extent.DATA -> {
                part(lookup, into, extent.sizeBytes);
                long count = file.readNoWait(lookup.part, extent.place);
                into.advance(Math.max(0, count));
                yield count;
            }
            case Extent.BACKING -> {
                BlockStore behind = backing();
                if (offset >= behind.sizeBytes()) {
                    into.putZeros(extent.sizeBytes);
                    yield extent.sizeBytes;
                }
                part(lookup, into, Math.min(extent.sizeBytes, behind.sizeBytes() - offset));
                long count = behind.readNoWait(lookup.part, offset);
                into.advance(Math.max(0, count));
                yield count;
            }
            default -> WOULD_BLOCK;
        };
    }

    private long writeExtent(Qcow2Allocation changes, Lookup lookup, IoVector from, long offset)
            throws IOException {
        Extent extent = lookup.extent;
        tables.find(offset, from.remainingBytes(), extent);
        if (extent.kind == Extent.DATA && extent.owned) {
            checkNoTable(extent);
            long size = part(lookup, from, extent.sizeBytes);
            file.write(lookup.part, extent.place);
            from.advance(size);
            return size;
        }
        return changes.write(from, offset, lookup.part);
    }

    private void checkNoTable(Extent extent) throws IOException {
        int bits = header.clusterBits();
        long first = extent.place >>> bits;
        long last = (extent.place + extent.sizeBytes - 1) >>> bits;
        if (metadata.holds(first, last - first + 1)) {
            throw new IOException(
                    file.name() + ": data at " + extent.place + ", where a table of the image is");
        }
    }

    /// Reads a whole cluster as it is now; what is behind the end of the disk is zeros.
    private void readOld(long offset, MemorySegment into) throws IOException {
        Lookup lookup = begin();
        try {
            IoVector whole = new IoVector(1);
            long size = Math.clamp(sizeBytes - offset, 0, header.clusterBytes());
            if (size > 0) {
                whole.add(into, 0, size);
            }
            for (long done = 0; done < size; ) {
                done += readExtent(lookup, whole, offset + done);
            }
            into.asSlice(size).fill((byte) 0);
        } finally {
            end(lookup);
        }
    }

    /// Memory of one cluster.
    static MemorySegment clusterBuffer(int clusterBytes) {
        return Arena.ofAuto().allocate(clusterBytes, 4096);
    }
}
