package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.splitring.hypervisor.linux.IoVector;

/// Reads compressed clusters. What comes out of one is at most a cluster, whatever its data say;
/// the last one is kept, since a guest reads on from where it has been.
///
/// Any thread, one after the other.
final class Qcow2Inflater implements AutoCloseable {
    private final ImageFile file;
    private final MemorySegment packed; // two clusters: the most that the format can say
    private final byte[] packedBytes;
    private final byte[] plainBytes;
    private final MemorySegment plain;
    private final IoVector vector = new IoVector(1);
    private final Inflater inflater = new Inflater(true);
    private long kept; // the entry whose data are in `plain`; 0: none

    Qcow2Inflater(ImageFile file, int clusterBytes) {
        this.file = file;
        this.packed = Arena.ofAuto().allocate(2L * clusterBytes + 512, 8);
        this.packedBytes = new byte[(int) packed.byteSize()];
        this.plainBytes = new byte[clusterBytes];
        this.plain = MemorySegment.ofArray(plainBytes);
    }

    /// Copies a part of a cluster.
    ///
    /// @param entry names the cluster: its entry in the L2 table
    /// @param place where its data are in the file
    /// @param packedSize how many bytes they have at most
    synchronized void read(
            long entry, long place, int packedSize, long from, IoVector into, long sizeBytes)
            throws IOException {
        inflate(entry, place, packedSize);
        into.put(plain, from, sizeBytes);
    }

    /// Copies a whole cluster to the beginning of `into`.
    synchronized void read(long entry, long place, int packedSize, MemorySegment into)
            throws IOException {
        inflate(entry, place, packedSize);
        MemorySegment.copy(plain, 0, into, 0, plainBytes.length);
    }

    private void inflate(long entry, long place, int packedSize) throws IOException {
        if (kept == entry) {
            return;
        }
        kept = 0;
        vector.clear();
        vector.add(packed, 0, packedSize);
        // The last sector need not be there as a whole.
        int count = (int) file.read(vector, place);
        MemorySegment.copy(packed, ValueLayout.JAVA_BYTE, 0, packedBytes, 0, count);
        inflater.reset();
        inflater.setInput(packedBytes, 0, count);
        try {
            int done = 0;
            while (done < plainBytes.length) {
                int now = inflater.inflate(plainBytes, done, plainBytes.length - done);
                if (now == 0) {
                    throw new IOException(
                            "%s: the compressed cluster at %d gives %d bytes, not %d"
                                    .formatted(file.name(), place, done, plainBytes.length));
                }
                done += now;
            }
        } catch (DataFormatException e) {
            throw new IOException(
                    file.name() + ": the compressed cluster at " + place + " is damaged", e);
        }
        kept = entry;
    }

    @Override
    public synchronized void close() {
        inflater.end();
    }
}
