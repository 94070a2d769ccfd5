package org.splitring.blkback.image;

import java.io.IOException;
import org.splitring.blkback.AllocationMap;
import org.splitring.hypervisor.linux.IoVector;

/// The file that an image is in: bytes at positions, and a way to make them stable. In tests
/// something that records, fails, or loses what was not made stable.
///
/// Any thread, several at once, except [#close].
public interface ImageFile extends AutoCloseable {
    /// Answer of the two calls that do not wait: ask again with the one that does.
    long WOULD_BLOCK = -1;

    /// What a person calls it: its path.
    String name();

    boolean readOnly();

    /// Length now.
    long sizeBytes() throws IOException;

    /// Reads until the vector is full or the file ends.
    ///
    /// @return bytes read, fewer than asked only at the end of the file
    long read(IoVector into, long offset) throws IOException;

    /// Reads what is there without waiting for storage.
    ///
    /// @return bytes read, perhaps fewer than asked, or [#WOULD_BLOCK]
    long readNoWait(IoVector into, long offset) throws IOException;

    /// Writes everything; the file grows when that is needed.
    void write(IoVector from, long offset) throws IOException;

    /// Writes what can be taken without waiting for storage.
    ///
    /// @return bytes written, perhaps fewer than asked, or [#WOULD_BLOCK]
    long writeNoWait(IoVector from, long offset) throws IOException;

    /// Sets the length. What is added reads as zeros.
    void truncate(long sizeBytes) throws IOException;

    /// Makes a range within the file read as zeros, giving its storage back where that is possible.
    void zero(long offset, long sizeBytes) throws IOException;

    /// Says what the beginning of a range is, as [BlockStore#describe]; here that all is data.
    ///
    /// @param offset of a whole sector
    default void describe(long offset, long sizeBytes, AllocationMap into) throws IOException {
        into.addData(sizeBytes);
    }

    /// In which units [#zero] gives storage back, a power of two; 0 when it only writes zeros.
    int holeBytes() throws IOException;

    /// Makes everything stable that returned before this call, the length included.
    void sync() throws IOException;

    @Override
    void close();
}
