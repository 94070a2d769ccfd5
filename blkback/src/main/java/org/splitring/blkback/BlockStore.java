package org.splitring.blkback;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// Where the bytes of a disk are: a file, or in tests something that records, fails or forgets.
///
/// Transfers go straight between the store and the pieces of an [IoVector], which is advanced by
/// what was transferred. Any thread, several at once. Ranges are checked before they come here; but
/// a request may have been checked before a [#resize] that made the store shorter.
public interface BlockStore extends AutoCloseable {
    /// Answer of the two calls that do not wait: ask again with the one that does.
    long WOULD_BLOCK = -1;

    /// What a person calls it: the path of a file.
    String name();

    /// Size when it was opened, or since the last [#resize]. Cheap.
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

    /// Writes what can be taken without waiting for storage, or what hardly ever waits.
    ///
    /// @return bytes written, perhaps fewer than asked, or [#WOULD_BLOCK]
    long writeNoWait(IoVector from, long offsetBytes) throws IOException;

    /// Writes whole pages that a socket has ready, without waiting for storage, and without a copy
    /// on the way. What comes next and is less than a page stays in the pipe.
    ///
    /// @param mostBytes of what the pipe holds already and what is still to come
    /// @return bytes written; [#WOULD_BLOCK] when nothing has been asked of the socket
    default long takeNoWait(SocketPipe from, long offsetBytes, long mostBytes) throws IOException {
        return WOULD_BLOCK;
    }

    /// The open file in which byte n of the store is byte n of the file, when a transfer is better
    /// left to the kernel than done by a thread; [#read] and [#write] do the same with what the
    /// kernel refuses.
    ///
    /// @return `null` when it is no such store, or a thread is better
    default @Nullable VectoredFile plainFile(boolean write) {
        return null;
    }

    /// The open file in which byte n of the store is byte n of the file, and whose page cache has
    /// what is read and written; for sending it without a copy.
    ///
    /// @return `null` when it is no such store
    default @Nullable VectoredFile cachedFile() {
        return null;
    }

    /// Whether writes that wait had better come one at a time, since the storage does them so in
    /// any case, and several threads would only keep each other busy.
    default boolean writesAlone() {
        return false;
    }

    /// Makes everything stable whose write has returned before this call.
    void sync() throws IOException;

    /// Unit in which storage can be given back, in bytes: a power of two, at least a sector. 0 when
    /// the store cannot discard. The same as long as it is open.
    default int discardGranularityBytes() {
        return 0;
    }

    /// Whether a range reads as zeros once its [#discard] has returned, all of it, whatever lies on
    /// whole units. Without this promise any part may read as before.
    default boolean discardZeroes() {
        return false;
    }

    /// Gives back the storage of a range, whole sectors that need not be whole units; bytes beside
    /// it stay as they are. As durable as a write: stable after the next [#sync]. May wait.
    ///
    /// @throws UnsupportedOperationException when the store cannot discard
    /// @throws IOException when it failed; what the range holds then is unknown
    default void discard(long offsetBytes, long sizeBytes) throws IOException {
        throw new UnsupportedOperationException("discard of " + name());
    }

    /// Says what the beginning of a range is, by adding at least one extent to the map. A hole
    /// reads as zeros until somebody writes there; what nobody knows is data. May wait.
    ///
    /// @param sizeBytes whole sectors, at least one; the extents reach no further
    /// @throws IOException when it cannot be found out
    default void describe(long offsetBytes, long sizeBytes, AllocationMap into) throws IOException {
        into.addData(sizeBytes);
    }

    /// Changes the size; new bytes read as zeros. One call at a time; reads and writes may be under
    /// way, also of what is cut off. A smaller size is seen in [#sizeBytes] before anything is cut
    /// off: a write that finds itself behind the end afterwards has it cut again. The same size
    /// cuts off whatever lies behind it. May wait.
    ///
    /// @param newSizeBytes whole sectors, at least one
    /// @throws UnsupportedOperationException when the store cannot
    /// @throws IOException when it failed; the size is as before then
    default void resize(long newSizeBytes) throws IOException {
        throw new UnsupportedOperationException("resize of " + name());
    }

    @Override
    void close();
}
