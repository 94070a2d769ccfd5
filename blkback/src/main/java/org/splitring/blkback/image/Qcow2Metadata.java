package org.splitring.blkback.image;

import java.io.IOException;
import org.splitring.blkback.DiskException;

/// Which clusters of a qcow2 image hold its tables, so that no damaged or forged entry makes a
/// guest's write go there.
///
/// Any thread.
final class Qcow2Metadata {
    private final String name;
    private final int clusterBits;
    private final LongSet clusters = new LongSet(); // guarded by this

    Qcow2Metadata(String name, int clusterBits) {
        this.name = name;
        this.clusterBits = clusterBits;
    }

    /// Notes that a table is there.
    ///
    /// @throws DiskException when another table is
    synchronized void claim(String what, long first, long count) throws DiskException {
        for (long i = 0; i < count; i++) {
            if (!clusters.add(first + i)) {
                throw new DiskException(
                        "image "
                                + name
                                + ": "
                                + what
                                + " is at "
                                + ((first + i) << clusterBits)
                                + ", where another table is");
            }
        }
    }

    synchronized void disclaim(long cluster) {
        clusters.remove(cluster);
    }

    /// Whether a table is in one of `count` clusters.
    synchronized boolean holds(long first, long count) {
        for (long i = 0; i < count; i++) {
            if (clusters.contains(first + i)) {
                return true;
            }
        }
        return false;
    }

    /// Checks a cluster that is to be used for something new.
    ///
    /// @throws IOException when a table is in a cluster that counts as free
    void checkFree(long cluster) throws IOException {
        if (holds(cluster, 1)) {
            throw new IOException(
                    name + ": cluster " + cluster + " counts as free, and a table is in it");
        }
    }

    /// Checks the place of a table of one cluster.
    void checkOffset(String what, long offset, long fileBytes) throws DiskException {
        long clusterBytes = 1L << clusterBits;
        if (offset < 0 || (offset & (clusterBytes - 1)) != 0) {
            throw new DiskException(
                    "image %s: %s is at 0x%x, where no cluster can begin"
                            .formatted(name, what, offset));
        }
        if (offset > fileBytes - clusterBytes) {
            throw new DiskException(
                    "image %s: %s is at %d, beyond the end of the file at %d"
                            .formatted(name, what, offset, fileBytes));
        }
    }
}
