package org.splitring.blkback;

import java.io.IOException;
import org.splitring.hypervisor.linux.IoVector;

/// Where the bytes of a disk are: a file, or in tests something that records, fails or forgets.
///
/// Transfers go straight between the store and the pieces of an [IoVector], which is advanced by
/// what was transferred. Any thread, several at once. Ranges are checked before they come here.
public interface BlockStore extends AutoCloseable {
    /// Answer of the two calls that do not wait: ask again with the one that does.
    long WOULD_BLOCK = -1;

    /// What a person calls it: the path of a file.
    String name();

    /// Size when it was opened.
    long sizeBytes();

    boolean readOnly();

    /// Reads until the vector is full or the store ends.
    ///
    /// @return bytes read, fewer than asked only where the store has become shorter
    long read(IoVector into, long offsetBytes) throws IOException;

    /// Reads what is there without waiting for storage.
    ///
    /// @return bytes read, perhaps fewer than asked, or [#WOULD_BLOCK]
    long readNoWait(IoVector into, long offsetBytes) throws IOException;

    /// Writes everything.
    ///
    /// @throws IOException when not everything is written; a part may be
    void write(IoVector from, long offsetBytes) throws IOException;

    /// Writes what can be taken without waiting for storage.
    ///
    /// @return bytes written, perhaps fewer than asked, or [#WOULD_BLOCK]
    long writeNoWait(IoVector from, long offsetBytes) throws IOException;

    /// Makes everything stable whose write has returned before this call.
    void sync() throws IOException;

    @Override
    void close();
}
