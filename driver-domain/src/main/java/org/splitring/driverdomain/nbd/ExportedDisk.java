package org.splitring.driverdomain.nbd;

import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.LocalDisk;
import org.splitring.blkfront.Completion;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.wire.BlkifStatus;

/// What the NBD server needs of a disk. Everything is called on the loop that the server runs on,
/// and each operation ends with one completion there, perhaps before the call has returned.
public interface ExportedDisk {
    /// Size in bytes, a multiple of [#blockSizeBytes].
    long sizeBytes();

    /// Requests are multiples of this; a power of two of at least 512.
    int blockSizeBytes();

    boolean readOnly();

    /// Whether [#flush] means something. Without it neither flush nor FUA is offered to clients.
    boolean flushes();

    /// Whether [#discard] may be tried. Without it TRIM is not offered to clients.
    boolean discards();

    /// Whether what was discarded reads as zeros, all of it. Without it WRITE_ZEROES writes zeros.
    boolean discardZeroes();

    /// The open file whose page cache has the disk, byte for byte: what is there can be sent
    /// without a copy. Asked once for each client.
    ///
    /// @return `null` when there is none such
    default @Nullable VectoredFile cachedFile() {
        return null;
    }

    /// Takes memory that the disk can read into and write from.
    ///
    /// @return `null` when there is none left
    @Nullable DiskBuffer acquire(int sizeBytes);

    void release(DiskBuffer buffer);

    /// Reads `sizeBytes` into the start of `buffer`.
    void read(long offsetBytes, DiskBuffer buffer, int sizeBytes, Completion done);

    /// Writes the first `sizeBytes` of `buffer`, which must stay as they are until `done`.
    void write(long offsetBytes, DiskBuffer buffer, int sizeBytes, Completion done);

    /// Writes what a socket has ready, as [LocalDisk#take]. Only of disks that have a
    /// [#cachedFile].
    default long take(SocketPipe from, long offsetBytes, long mostBytes) {
        return LocalDisk.NOT_TAKEN;
    }

    /// Gives the storage of a range back, of any number of blocks. `BLKIF_RSP_EOPNOTSUPP` may come
    /// back at any time.
    void discard(long offsetBytes, long sizeBytes, Completion done);

    /// Says what a range of whole blocks is: data and holes from its beginning on, at least one
    /// extent, and none that reaches further. Here it is data, which is true of any disk: a vbd
    /// cannot ask its backend.
    ///
    /// @param into emptied before; it is the disk's until `done`, and says nothing after an error
    default void describe(long offsetBytes, long sizeBytes, AllocationMap into, Completion done) {
        into.addData(sizeBytes);
        done.done(BlkifStatus.OKAY);
    }

    /// Makes stable every write that was completed before, whichever client made it.
    void flush(Completion done);
}
