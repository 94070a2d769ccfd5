package org.splitring.blkback;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
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

    private static final class Entry {
        final DevicePaths vbd;
        DiskSource image;
        final DiskAccess access;
        @Nullable Object file;
        final SwitchedStore store;
        final DiskImage disk;
        int holds = 1;
        boolean closing;

        Entry(
                DevicePaths vbd,
                DiskSource image,
                DiskAccess access,
                @Nullable Object file,
                SwitchedStore store) {
            this.vbd = vbd;
            this.image = image;
            this.access = access;
            this.file = file;
            this.store = store;
            disk = DiskImage.owning(store, DiskMode.WRITEBACK);
        }

        boolean isOf(DevicePaths asked, DiskSource source, DiskAccess wanted) {
            return vbd.equals(asked)
                    && (image.equals(source) || store.isReleased())
                    && access == wanted;
        }

        /// Whether it keeps somebody else from the file: one may write, or several read.
        boolean excludes(@Nullable Object other, DiskAccess wanted) {
            boolean readers = access == DiskAccess.READ_ONLY && wanted == DiskAccess.READ_ONLY;
            return file != null && file.equals(other) && !readers;
        }
    }

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
            entry.disk.makeStable();
            synchronized (DiskImages.this) {
                entry.store.release();
                entry.file = null;
                listener.closed(entry.vbd, entry.image.path());
            }
        }

        /// Goes on with the same image or another after [#release]. The disk has that one's size.
        ///
        /// @throws DiskException when it cannot be used; the disk has none still
        void reopen(DiskSource source) throws DiskException {
            synchronized (DiskImages.this) {
                Object file = file(source.path());
                for (Entry other : entries) {
                    if (other != entry && other.excludes(file, entry.access)) {
                        throw inUse(source, other);
                    }
                }
                entry.store.use(openStore(source, entry.access));
                entry.image = source;
                entry.file = file;
                listener.opened(entry.vbd, source.path());
            }
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
                entry.disk.close(); // may wait for storage: others need not
            } finally {
                forget(entry);
            }
        }
    }

    private synchronized void forget(Entry entry) {
        entries.remove(entry);
        listener.closed(entry.vbd, entry.image.path());
        notifyAll();
    }

    /// Opens and locks the image of a vbd, or finds it open.
    ///
    /// @throws DiskException when it cannot be used, as [DiskImage#open]; the message is one line
    ///     that names file and cause
    public synchronized Hold hold(DevicePaths vbd, DiskSource image, DiskAccess access)
            throws DiskException {
        while (true) {
            Object file = file(image.path());
            Entry own = null;
            Entry other = null;
            for (Entry entry : entries) {
                if (entry.isOf(vbd, image, access) && !entry.closing) {
                    own = entry;
                } else if (entry.excludes(file, access)) {
                    other = entry;
                }
            }
            if (own != null) {
                own.holds++;
                return new Hold(own);
            }
            if (other == null) {
                Entry opened =
                        new Entry(
                                vbd,
                                image,
                                access,
                                file,
                                new SwitchedStore(openStore(image, access)));
                entries.add(opened);
                listener.opened(vbd, image.path());
                return new Hold(opened);
            }
            if (!other.closing) {
                throw inUse(image, other);
            }
            try {
                wait(); // until it is closed
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new DiskException(
                        "image " + image.path() + ": interrupted while it was closed");
            }
        }
    }

    private BlockStore openStore(DiskSource image, DiskAccess access) throws DiskException {
        return OpenImages.open(image, access, false, folders);
    }

    private DiskException inUse(DiskSource image, Entry other) {
        return new DiskException(
                "image " + image.path() + " is in use by " + listener.name(other.vbd));
    }

    private static @Nullable Object file(Path image) {
        try {
            return Files.readAttributes(image, BasicFileAttributes.class).fileKey();
        } catch (IOException e) {
            return null; // opening it says why
        }
    }
}
