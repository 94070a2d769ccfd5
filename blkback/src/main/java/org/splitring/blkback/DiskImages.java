package org.splitring.blkback;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.NbdSource;
import org.splitring.blkback.image.OpenImages;
import org.splitring.xenbus.DevicePaths;

/// The images that are open in this process. A vbd has one [DiskImage], however many hold it: its
/// backend as long as it serves a guest, and whoever wants the image kept locked between guests. It
/// is opened and locked with the first hold, and made stable and closed with the last; so a failed
/// disk stays failed until nobody holds it any more.
///
/// Any thread. A hold may have to wait for storage.
public final class DiskImages {
    private final ImageListener listener;
    private final BackingFolders folders;
    private final List<Entry> entries = new ArrayList<>(); // guarded by this
    private final List<Opening> openings = new ArrayList<>(); // guarded by this

    private static final class Entry {
        final DevicePaths vbd;
        DiskSource image;
        final DiskAccess access;
        final DiskMode mode;
        @Nullable Object file;
        final SwitchedStore store;
        final DiskImage disk;
        int holds = 1;
        boolean closing;

        Entry(
                DevicePaths vbd,
                DiskSource image,
                DiskAccess access,
                DiskMode mode,
                @Nullable Object file,
                SwitchedStore store) {
            this.vbd = vbd;
            this.image = image;
            this.access = access;
            this.mode = mode;
            this.file = file;
            this.store = store;
            disk = DiskImage.owning(store, mode);
        }

        boolean isOf(Opening wanted, DiskSource source) {
            return vbd.equals(wanted.vbd)
                    && (image.equals(source) || store.isReleased())
                    && access == wanted.access
                    && mode == wanted.mode;
        }
    }

    /// An image that somebody is opening.
    ///
    /// @param file what makes two names the same image, if that is known
    private record Opening(
            DevicePaths vbd, @Nullable Object file, DiskAccess access, DiskMode mode) {}

    /// Nobody listens; a vbd is named by its folder.
    public DiskImages() {
        this(new ImageListener() {});
    }

    public DiskImages(ImageListener listener) {
        this(listener, BackingFolders.ownOnly());
    }

    /// Opens images that are based on files in certain folders.
    ///
    /// @param folders where those may be, besides the folders of the images
    public DiskImages(ImageListener listener, BackingFolders folders) {
        this.listener = listener;
        this.folders = folders;
    }

    /// A right to use an open image, until it is closed.
    public final class Hold implements AutoCloseable {
        private final Entry entry;
        private boolean closed; // guarded by DiskImages.this

        private Hold(Entry entry) {
            this.entry = entry;
        }

        public DiskImage disk() {
            return entry.disk;
        }

        /// Makes everything stable and closes the image, until [#reopen]; whoever asks for it gets
        /// it meanwhile. Nothing of the disk is under way: it is paused.
        ///
        /// @throws DiskException when written data may be lost; the image stays open
        void release() throws DiskException {
            makeStable();
            synchronized (DiskImages.this) {
                entry.store.release();
                entry.file = null;
                listener.closed(entry.vbd, entry.image);
            }
        }

        /// Goes on with the same image or another after [#release]. The disk has that one's size.
        ///
        /// @throws DiskException when it cannot be used; the disk has none still
        void reopen(DiskSource source) throws DiskException {
            if (source instanceof NbdSource && entry.image instanceof FileSource) {
                // Its requests run on threads that other disks need, see VbdBackendDriver.
                throw new DiskException(
                        "disk "
                                + source.name()
                                + ": a disk that began with an image cannot go on with a"
                                + " server's export; detach it and attach it anew");
            }
            Opening opening = new Opening(entry.vbd, file(source), entry.access, entry.mode);
            synchronized (DiskImages.this) {
                if (!mayBegin(opening, source)) {
                    throw new DiskException(
                            "image " + source.name() + " is being opened or closed; try again");
                }
                openings.add(opening);
            }
            try {
                BlockStore store = openStore(source, opening);
                synchronized (DiskImages.this) {
                    if (entry.closing) {
                        store.close();
                        throw new DiskException(
                                "image " + source.name() + ": the disk has ended meanwhile");
                    }
                    entry.store.use(store);
                    entry.image = source;
                    entry.file = opening.file();
                    listener.opened(entry.vbd, source);
                }
            } finally {
                ended(opening);
            }
        }

        /// Makes everything stable that was written; others may go on writing.
        ///
        /// @throws DiskException when written data may be lost
        public void makeStable() throws DiskException {
            StorageWait.run(entry.disk::makeStable);
        }

        /// Gives the right back. The last one makes everything stable that was written, and closes
        /// the image.
        ///
        /// @throws DiskException as [DiskImage#close]; the image is closed all the same
        @Override
        public void close() throws DiskException {
            synchronized (DiskImages.this) {
                if (closed) {
                    return;
                }
                closed = true;
                entry.holds--;
                if (entry.holds > 0) {
                    return;
                }
                entry.closing = true;
            }
            try {
                StorageWait.run(entry.disk::close); // others need not wait for it
            } finally {
                forget(entry);
            }
        }
    }

    private synchronized void forget(Entry entry) {
        entries.remove(entry);
        listener.closed(entry.vbd, entry.image);
        notifyAll();
    }

    /// Opens and locks the image of a vbd, or finds it open. Others are not kept waiting meanwhile.
    ///
    /// @throws DiskException when it cannot be used, as [DiskImage#open]; the message is one line
    ///     that names file and cause
    public Hold hold(DevicePaths vbd, DiskSource image, DiskAccess access, DiskMode mode)
            throws DiskException {
        Opening opening;
        synchronized (this) {
            while (true) {
                opening = new Opening(vbd, file(image), access, mode);
                Entry own = open(opening, image);
                if (own != null) {
                    own.holds++;
                    return new Hold(own);
                }
                if (mayBegin(opening, image)) {
                    break;
                }
                try {
                    wait(); // until it is opened or closed
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    throw new DiskException(
                            "image " + image.name() + ": interrupted while it was waited for");
                }
            }
            openings.add(opening);
        }
        try {
            SwitchedStore store = new SwitchedStore(openStore(image, opening));
            synchronized (this) {
                Entry opened = new Entry(vbd, image, access, mode, opening.file(), store);
                entries.add(opened);
                listener.opened(vbd, image);
                return new Hold(opened);
            }
        } finally {
            ended(opening);
        }
    }

    /// The entry of that vbd which can be shared.
    private @Nullable Entry open(Opening wanted, DiskSource image) {
        for (Entry entry : entries) {
            if (entry.isOf(wanted, image) && !entry.closing) {
                return entry;
            }
        }
        return null;
    }

    /// @return `false` when it has to wait for another that is being opened or closed
    private boolean mayBegin(Opening wanted, DiskSource image) throws DiskException {
        Entry other = null;
        for (Entry entry : entries) {
            if (excludes(entry.file, entry.access, wanted)) {
                other = entry;
            }
        }
        if (other != null && !other.closing) {
            throw inUse(image, other);
        }
        return other == null
                && openings.stream()
                        .noneMatch(
                                each ->
                                        each.vbd().equals(wanted.vbd())
                                                || excludes(each.file(), each.access(), wanted));
    }

    private synchronized void ended(Opening opening) {
        openings.remove(opening);
        notifyAll();
    }

    /// Whether whoever has a file keeps another from it: one may write, or several read.
    private static boolean excludes(@Nullable Object file, DiskAccess access, Opening wanted) {
        boolean readers = access == DiskAccess.READ_ONLY && wanted.access() == DiskAccess.READ_ONLY;
        return file != null && file.equals(wanted.file()) && !readers;
    }

    private BlockStore openStore(DiskSource image, Opening as) throws DiskException {
        return StorageWait.call(() -> OpenImages.open(image, as.access(), as.mode(), folders));
    }

    private DiskException inUse(DiskSource image, Entry other) {
        return new DiskException(
                "image " + image.name() + " is in use by " + listener.name(other.vbd));
    }

    /// What makes two names the same image.
    private static @Nullable Object file(DiskSource image) {
        if (!(image instanceof FileSource source)) {
            return image.name();
        }
        try {
            return Files.readAttributes(source.path(), BasicFileAttributes.class).fileKey();
        } catch (IOException e) {
            return null; // opening it says why
        }
    }
}
