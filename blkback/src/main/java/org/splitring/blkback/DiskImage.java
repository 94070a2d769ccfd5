package org.splitring.blkback;

import java.io.IOException;
import java.io.SyncFailedException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.OpenImages;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.SocketPipe;
import org.splitring.hypervisor.linux.VectoredFile;

/// An open disk: its bytes and what is promised about them. Everybody who exports the disk shares
/// one of these, so that a failure seen by one is a failure for all.
///
/// Data calls come from any thread. Nothing here throws on the data path: a failure is a status,
/// and the first one of a write or flush makes the disk failed ([Durability]).
public final class DiskImage implements AutoCloseable {
    /// Bytes of a sector: the unit of the protocol, whatever the storage prefers.
    public static final int SECTOR_SIZE = 512;

    private static final Logger LOG = LoggerFactory.getLogger(DiskImage.class);

    /// Answer of [#tryRead] and [#tryWrite]: do it again with the call that waits.
    static final int WOULD_BLOCK = 1;

    static final int DONE = 0;
    static final int FAILED = -1;

    /// Answer of [#discard]: this disk cannot, now or ever.
    static final int NOT_SUPPORTED = -2;

    /// Answer of [#tryTake]: not everything is written that was taken.
    static final long TAKE_FAILED = -2;

    /// How often a store is asked for one [#describe]: in an image that is in many pieces one of
    /// them after the other may take long, and whoever asks can go on where the answer ends.
    private static final int MAX_LOOKS = 1024;

    private final BlockStore store;
    private final DiskMode mode;
    private final Durability durability;
    private final Object resizing = new Object();
    private final List<Runnable> resizeListeners = new ArrayList<>(); // guarded by resizing
    private final @Nullable ExecutorService ownedExecutor;

    private DiskImage(
            BlockStore store,
            DiskMode mode,
            Executor syncExecutor,
            @Nullable ExecutorService ownedExecutor) {
        this.store = store;
        this.mode = mode;
        this.durability = new Durability(store, mode == DiskMode.UNSAFE, syncExecutor);
        this.ownedExecutor = ownedExecutor;
        if (mode == DiskMode.UNSAFE) {
            LOG.warn("{} is open in mode unsafe: flushed data may be lost", store.name());
        }
    }

    /// Opens a raw image for reading and writing.
    ///
    /// @throws DiskException when it cannot be used, as [#open(Path, DiskAccess, DiskMode)]
    public static DiskImage open(Path image, DiskMode mode) throws DiskException {
        return open(image, DiskAccess.READ_WRITE, mode);
    }

    /// Opens a raw image and locks it: one writer, or several readers.
    ///
    /// @throws DiskException when there is no such file, it is not a plain file, its size is not
    ///     a whole number of sectors, or somebody else has it; the message is one line that names
    ///     file and cause
    public static DiskImage open(Path image, DiskAccess access, DiskMode mode)
            throws DiskException {
        return open(DiskSource.raw(image.toAbsolutePath()), access, mode, BackingFolders.ownOnly());
    }

    /// Opens an image of any format and locks it: one writer, or several readers. What it is based
    /// on is opened for reading.
    ///
    /// @param folders where that may be
    /// @throws DiskException also when the image is not of the format that was named, is damaged,
    ///     or cannot be used in that mode
    public static DiskImage open(
            DiskSource source, DiskAccess access, DiskMode mode, BackingFolders folders)
            throws DiskException {
        return owning(OpenImages.open(source, access, mode, folders), mode);
    }

    /// Uses an open store, with a thread of its own for synchronisations.
    ///
    /// @param store closed with the image
    static DiskImage owning(BlockStore store, DiskMode mode) {
        ThreadPoolExecutor executor =
                new ThreadPoolExecutor(
                        1,
                        1,
                        10,
                        TimeUnit.SECONDS,
                        new LinkedBlockingQueue<>(),
                        Thread.ofPlatform().daemon().name("sync " + store.name()).factory());
        executor.allowCoreThreadTimeOut(true);
        return new DiskImage(store, mode, executor, executor);
    }

    /// Uses a store of the caller's making.
    ///
    /// @param syncExecutor runs synchronisations, which may wait; one at a time
    public static DiskImage of(BlockStore store, DiskMode mode, Executor syncExecutor) {
        if (store.sizeBytes() <= 0 || store.sizeBytes() % SECTOR_SIZE != 0) {
            throw new IllegalArgumentException(
                    "size of " + store.name() + " is no whole sectors: " + store.sizeBytes());
        }
        return new DiskImage(store, mode, syncExecutor, null);
    }

    public String name() {
        return store.name();
    }

    public DiskMode mode() {
        return mode;
    }

    public boolean readOnly() {
        return store.readOnly();
    }

    public long sizeBytes() {
        return store.sizeBytes();
    }

    public long sizeSectors() {
        return store.sizeBytes() / SECTOR_SIZE;
    }

    /// Unit in which its storage can be given back, in bytes; 0 when it cannot be.
    public int discardGranularityBytes() {
        return store.readOnly() ? 0 : store.discardGranularityBytes();
    }

    /// Whether what was discarded reads as zeros, all of it.
    public boolean discardZeroes() {
        return store.discardZeroes();
    }

    /// Why the disk refuses writes and flushes, if it does.
    public Optional<DiskFailure> failure() {
        return Optional.ofNullable(durability.failure());
    }

    /// Tells `listener` once when the disk has failed, or at once when it has already. Called on
    /// any thread; it hands over and returns.
    public void onFailure(Consumer<DiskFailure> listener) {
        durability.onFailure(listener);
    }

    /// Takes back [#onFailure].
    public void removeFailureListener(Consumer<DiskFailure> listener) {
        durability.removeFailureListener(listener);
    }

    /// How many synchronisations have been started, for all flushes together.
    public long syncsStarted() {
        return durability.syncsStarted();
    }

    /// Makes everything stable that was written; waits for storage.
    ///
    /// @throws DiskException when flushed or unflushed data may be lost
    void makeStable() throws DiskException {
        boolean nothingToDo = store.readOnly() || mode == DiskMode.UNSAFE;
        if (!nothingToDo) {
            var ignored = durability.sync(); // whoever goes on using it finds out as well
        }
        DiskFailure failed = durability.failure();
        if (failed != null) {
            throw new DiskException(failed.toString());
        }
    }

    /// Makes everything stable that was written, and closes the image. Nobody may use it any more.
    ///
    /// @throws DiskException when flushed or unflushed data may be lost
    @Override
    public void close() throws DiskException {
        try {
            makeStable();
        } finally {
            if (ownedExecutor != null) {
                ownedExecutor.close(); // waits for a synchronisation that is under way
            }
            store.close();
        }
    }

    /// Reads without waiting for storage.
    ///
    /// @return [#DONE], [#WOULD_BLOCK] with the vector advanced by `offset` and size of what was
    ///     read, or [#FAILED]
    int tryRead(IoVector into, long offsetBytes) {
        try {
            store.readNoWait(into, offsetBytes);
            // Nothing read is either "not cached" or "the file has become shorter": the call that
            // waits finds out.
            return into.remainingBytes() == 0 ? DONE : WOULD_BLOCK;
        } catch (IOException e) {
            return FAILED;
        } catch (RuntimeException e) {
            return mistaken("read", e);
        }
    }

    /// Reads; waits for storage.
    ///
    /// @return [#DONE], or [#FAILED] when not everything could be read
    int read(IoVector into, long offsetBytes) {
        try {
            store.read(into, offsetBytes);
            return into.remainingBytes() == 0 ? DONE : FAILED;
        } catch (IOException e) {
            return FAILED;
        } catch (RuntimeException e) {
            return mistaken("read", e);
        }
    }

    /// Writes without waiting for storage. As [#tryRead].
    int tryWrite(IoVector from, long offsetBytes) {
        if (!takesWrites() || !isOnDisk(offsetBytes, from.remainingBytes())) {
            return FAILED;
        }
        try {
            long endBytes = offsetBytes + from.remainingBytes();
            store.writeNoWait(from, offsetBytes);
            return from.remainingBytes() == 0 ? checkEnd(endBytes) : WOULD_BLOCK;
        } catch (IOException e) {
            durability.fail("write", Durability.reason(e));
            return FAILED;
        } catch (RuntimeException e) {
            durability.fail("write", e.toString());
            return mistaken("write", e);
        }
    }

    /// As [BlockStore#takeNoWait].
    ///
    /// @return bytes written, [BlockStore#WOULD_BLOCK], or [#TAKE_FAILED]
    long tryTake(SocketPipe from, long offsetBytes, long mostBytes) {
        if (!takesWrites() || !isOnDisk(offsetBytes, mostBytes)) {
            return TAKE_FAILED;
        }
        try {
            long taken = store.takeNoWait(from, offsetBytes, mostBytes);
            return taken <= 0 || checkEnd(offsetBytes + taken) == DONE ? taken : TAKE_FAILED;
        } catch (IOException e) {
            durability.fail("write", Durability.reason(e));
            return TAKE_FAILED;
        } catch (RuntimeException e) {
            durability.fail("write", e.toString());
            mistaken("write", e);
            return TAKE_FAILED;
        }
    }

    /// Writes; waits for storage.
    ///
    /// @return [#DONE], or [#FAILED] when not everything is written; the disk is failed then,
    ///     unless it was never to be written
    int write(IoVector from, long offsetBytes) {
        // It has waited, and the disk may have become smaller meanwhile.
        if (!takesWrites() || !isOnDisk(offsetBytes, from.remainingBytes())) {
            return FAILED;
        }
        try {
            long endBytes = offsetBytes + from.remainingBytes();
            store.write(from, offsetBytes);
            return from.remainingBytes() == 0 ? checkEnd(endBytes) : FAILED;
        } catch (IOException e) {
            durability.fail("write", Durability.reason(e));
            return FAILED;
        } catch (RuntimeException e) {
            durability.fail("write", e.toString());
            return mistaken("write", e);
        }
    }

    /// Whether a range lies on the disk; none may be so long that its end wraps.
    private boolean isOnDisk(long offsetBytes, long sizeBytes) {
        return offsetBytes >= 0 && sizeBytes <= store.sizeBytes() - offsetBytes;
    }

    /// Whatever a store does wrong, the request is answered.
    private int mistaken(String operation, RuntimeException e) {
        LOG.error("{}: {} failed", store.name(), operation, e);
        return FAILED;
    }

    /// The file to which a transfer may be left, see [BlockStore#plainFile].
    @Nullable VectoredFile plainFile(boolean write) {
        return store.plainFile(write);
    }

    /// The file whose page cache has the disk, see [BlockStore#cachedFile].
    @Nullable VectoredFile cachedFile() {
        return store.cachedFile();
    }

    /// Whether writes that wait had better come one at a time.
    boolean writesAlone() {
        return store.writesAlone();
    }

    /// Whether a write may be started that is left to the kernel.
    boolean takesWrites() {
        return !store.readOnly() && !durability.hasFailed();
    }

    /// A write ended that was left to the kernel. As the result of [#write].
    ///
    /// @param errno 0 when all of it is written
    int written(long endBytes, int errno) {
        try {
            if (errno != 0) {
                throw new LinuxException("write " + store.name(), errno);
            }
            return checkEnd(endBytes);
        } catch (IOException e) {
            durability.fail("write", Durability.reason(e));
            return FAILED;
        }
    }

    /// A write was done that had been checked. If the disk has become smaller just then, it may
    /// have made the store longer again: that is undone.
    private int checkEnd(long endBytes) throws IOException {
        if (endBytes <= store.sizeBytes()) {
            return DONE;
        }
        synchronized (resizing) {
            store.resize(store.sizeBytes());
        }
        return FAILED;
    }

    /// Changes the size of the disk, for all who export it; they are told ([#onResize]). New
    /// sectors read as zeros. Requests of what is cut off that are under way end with an error.
    /// Any thread; may wait for storage.
    ///
    /// @param newSizeBytes whole sectors, at least one
    /// @throws DiskException when it cannot be; the size is as before then
    public void resize(long newSizeBytes) throws DiskException {
        String what = "image " + store.name() + ": resize to " + newSizeBytes + " bytes: ";
        if (newSizeBytes <= 0 || newSizeBytes % SECTOR_SIZE != 0) {
            throw new DiskException(what + "not a whole number of sectors of " + SECTOR_SIZE);
        }
        if (store.readOnly()) {
            throw new DiskException(what + "the disk is read-only");
        }
        List<Runnable> told;
        synchronized (resizing) {
            DiskFailure failed = durability.failure();
            if (failed != null) {
                throw new DiskException(what + failed);
            }
            try {
                store.resize(newSizeBytes);
            } catch (UnsupportedOperationException e) {
                throw new DiskException(what + "images of this kind keep their size");
            } catch (IOException e) {
                failIfNotStable(e);
                throw new DiskException(what + e.getMessage(), e);
            }
            told = List.copyOf(resizeListeners);
        }
        told.forEach(Runnable::run);
    }

    /// Tells `listener` after each change of the size. It hands over and returns.
    public void onResize(Runnable listener) {
        synchronized (resizing) {
            resizeListeners.add(listener);
        }
    }

    /// Takes back [#onResize].
    public void removeResizeListener(Runnable listener) {
        synchronized (resizing) {
            resizeListeners.remove(listener);
        }
    }

    /// Gives the storage of a range back; waits for storage. When it fails, what that range holds
    /// is unknown, and the disk is not failed: whoever discards has no use for it any more. But it
    /// is failed, as after a flush, when mode writethrough could not make the range stable.
    ///
    /// @return [#DONE], [#FAILED] or [#NOT_SUPPORTED]
    int discard(long offsetBytes, long sizeBytes) {
        if (!takesWrites() || !isOnDisk(offsetBytes, sizeBytes)) {
            return FAILED;
        }
        try {
            store.discard(offsetBytes, sizeBytes);
            return DONE;
        } catch (UnsupportedOperationException e) {
            return NOT_SUPPORTED;
        } catch (LinuxException e) {
            return e.errno() == Errno.EOPNOTSUPP ? NOT_SUPPORTED : FAILED;
        } catch (IOException e) {
            failIfNotStable(e);
            return FAILED;
        }
    }

    /// Says what a range is, from its beginning on and as far as the map has room and a bounded
    /// number of looks takes it; waits for storage.
    ///
    /// @param into emptied before
    /// @return [#DONE] with at least one extent, or [#FAILED]; then the map says nothing
    int describe(long offsetBytes, long sizeBytes, AllocationMap into) {
        try {
            for (int looks = 0; looks < MAX_LOOKS; looks++) {
                long done = into.coveredBytes();
                if (done == sizeBytes || into.isCut()) {
                    break;
                }
                if (!isOnDisk(offsetBytes, sizeBytes)) {
                    return FAILED; // it has waited, and the disk has become smaller meanwhile
                }
                store.describe(offsetBytes + done, sizeBytes - done, into);
            }
            return into.count() > 0 && into.coveredBytes() <= sizeBytes ? DONE : FAILED;
        } catch (IOException e) {
            return FAILED;
        }
    }

    /// A synchronisation that something else made on its way is none that could be tried again.
    private void failIfNotStable(IOException e) {
        if (e instanceof SyncFailedException) {
            durability.fail("flush", Durability.reason(e));
        }
    }

    /// Makes every write stable that was answered before, then tells `listener`.
    void flush(FlushListener listener) {
        durability.flush(listener);
    }

    @Override
    public String toString() {
        return store.name()
                + " ("
                + mode.label()
                + (store.readOnly() ? ", read-only" : "")
                + (durability.hasFailed() ? ", failed)" : ")");
    }
}
