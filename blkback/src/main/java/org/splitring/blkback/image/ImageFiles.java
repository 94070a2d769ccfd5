package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.nbd.NbdStore;
import org.splitring.hypervisor.linux.IoVector;

/// Work on images that no guest uses: made, looked at, checked, converted, based on one another,
/// made larger and smaller.
///
/// Everything that is made is stable when a method returns; what could not be made is taken away.
/// Exceptions are one line that names the file and the cause.
public final class ImageFiles {
    private static final int CHUNK_BYTES = 1 << 20;
    private static final int GRAIN_BYTES = 64 << 10;

    private ImageFiles() {}

    /// Fills a file that was just made.
    private interface Filling {
        void fill(HostFile file) throws IOException;
    }

    private static void make(Path path, Filling filling) throws DiskException {
        HostFile file = HostFile.create(path);
        boolean done = false;
        try {
            filling.fill(file);
            file.syncWithName();
            done = true;
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + path + ": " + e.getMessage(), e);
        } finally {
            if (!done) {
                try {
                    Files.deleteIfExists(path);
                } catch (IOException e) {
                    // The reason why it was not made says more.
                }
            }
            file.close();
        }
    }

    /// Makes an image of zeros. It takes hardly any storage until it is written to.
    ///
    /// @param sizeBytes whole sectors
    /// @param clusterBytes for qcow2: a power of two from 512 to 2 MiB
    /// @throws DiskException also when there is such a file
    public static void create(FileSource source, long sizeBytes, int clusterBytes)
            throws DiskException {
        checkSize(source, sizeBytes);
        make(source.path(), file -> fill(file, source, sizeBytes, clusterBytes));
    }

    private static void fill(HostFile file, FileSource source, long sizeBytes, int clusterBytes)
            throws IOException {
        switch (source.format()) {
            case RAW -> file.truncate(sizeBytes);
            case QCOW2 ->
                    new Qcow2Creation(sizeBytes, clusterBits(source, clusterBytes), "", "")
                            .write(file);
            case VHD -> VhdCreation.write(file, sizeBytes, false);
            case EXTENTS ->
                    throw new DiskException(
                            "image " + source.path() + ": a list of extents is written by hand");
        }
    }

    /// The size of clusters when nobody says otherwise.
    public static int defaultClusterBytes() {
        return 1 << Qcow2Creation.DEFAULT_CLUSTER_BITS;
    }

    private static int clusterBits(FileSource source, int clusterBytes) throws DiskException {
        int bits = Integer.numberOfTrailingZeros(clusterBytes);
        if (Integer.bitCount(clusterBytes) != 1
                || bits < Qcow2Header.MIN_CLUSTER_BITS
                || bits > Qcow2Header.MAX_CLUSTER_BITS) {
            throw new DiskException(
                    "image "
                            + source.path()
                            + ": clusters of "
                            + clusterBytes
                            + " bytes are not a power of two from 512 to 2097152");
        }
        return bits;
    }

    private static void checkSize(FileSource source, long sizeBytes) throws DiskException {
        if (sizeBytes <= 0 || sizeBytes % DiskImage.SECTOR_SIZE != 0) {
            throw new DiskException(
                    "image "
                            + source.path()
                            + ": "
                            + sizeBytes
                            + " bytes are not one or more whole sectors of "
                            + DiskImage.SECTOR_SIZE);
        }
    }

    /// Reads what an image says about itself, or a server about its export; it may be in use.
    public static ImageInfo info(DiskSource source) throws DiskException {
        return switch (source) {
            case FileSource file -> info(file);
            case NbdSource export -> info(export);
        };
    }

    private static ImageInfo info(NbdSource source) throws DiskException {
        try (NbdStore store = NbdStore.open(source, DiskAccess.READ_ONLY, false)) {
            return new ImageInfo(source, store.sizeBytes(), -1, store.details(), "", "");
        }
    }

    private static ImageInfo info(FileSource source) throws DiskException {
        try (HostFile file = HostFile.openUnlocked(source.path())) {
            return switch (source.format()) {
                case RAW ->
                        new ImageInfo(
                                source,
                                file.sizeBytes(),
                                file.status().allocatedBytes(),
                                "",
                                "",
                                "");
                case QCOW2 -> {
                    Qcow2Header header = Qcow2Header.read(file);
                    yield new ImageInfo(
                            source,
                            header.sizeBytes(),
                            file.status().allocatedBytes(),
                            "version %d, clusters of %d bytes, counts of %d bits%s"
                                    .formatted(
                                            header.version(),
                                            header.clusterBytes(),
                                            1 << header.refcountOrder(),
                                            header.snapshots() == 0
                                                    ? ""
                                                    : ", snapshots: " + header.snapshots()),
                            DiskException.printable(header.backingFile()),
                            DiskException.printable(header.backingFormat()));
                }
                case VHD -> {
                    VhdStore vhd = VhdStore.open(file); // closed with the file
                    yield new ImageInfo(
                            source,
                            vhd.sizeBytes(),
                            file.status().allocatedBytes(),
                            vhd.details(),
                            "",
                            "");
                }
                case EXTENTS -> {
                    ExtentList list = ExtentList.read(source.path());
                    yield new ImageInfo(
                            source,
                            list.parts().stream().mapToLong(ExtentList.Part::sizeBytes).sum(),
                            file.status().allocatedBytes(),
                            list.parts().size() + " extents",
                            "",
                            "");
                }
            };
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + source.path() + ": " + e.getMessage(), e);
        }
    }

    /// Checks the tables of an image.
    ///
    /// @param repairLeaks whether leaked room is given back; never done when something is damaged
    public static CheckReport check(FileSource source, boolean repairLeaks, Progress progress)
            throws DiskException {
        if (source.format() == ImageFormat.RAW || source.format() == ImageFormat.EXTENTS) {
            throw new DiskException(
                    "image "
                            + source.path()
                            + ": "
                            + source.format().label()
                            + " has no tables that could be checked");
        }
        DiskAccess access = repairLeaks ? DiskAccess.READ_WRITE : DiskAccess.READ_ONLY;
        try (HostFile file = HostFile.open(source.path(), access, false)) {
            if (source.format() == ImageFormat.VHD) {
                return VhdStore.open(file).report(); // opening it is the check
            }
            return Qcow2Check.check(file, Qcow2Header.read(file), repairLeaks, progress);
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + source.path() + ": " + e.getMessage(), e);
        }
    }

    /// Copies a disk, with all that it is based on, into a new image that is based on nothing, or
    /// into an export, whose server made it. Zeros take no room in it.
    ///
    /// @param to an image that is not there yet, or an export that is at least as large
    public static void convert(
            DiskSource from,
            DiskSource to,
            int clusterBytes,
            BackingFolders folders,
            Progress progress)
            throws DiskException {
        try (BlockStore source =
                OpenImages.open(from, DiskAccess.READ_ONLY, DiskMode.WRITEBACK, folders)) {
            switch (to) {
                case FileSource file -> convert(source, file, clusterBytes, folders, progress);
                case NbdSource export -> convert(source, export, folders, progress);
            }
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + to.name() + ": " + e.getMessage(), e);
        }
    }

    private static void convert(
            BlockStore source,
            FileSource to,
            int clusterBytes,
            BackingFolders folders,
            Progress progress)
            throws IOException {
        create(to, source.sizeBytes(), clusterBytes);
        boolean done = false;
        try (BlockStore target =
                OpenImages.open(to, DiskAccess.READ_WRITE, DiskMode.WRITEBACK, folders)) {
            copy(source, target, true, progress);
            target.sync();
            done = true;
        } finally {
            if (!done) {
                Files.deleteIfExists(to.path());
            }
        }
    }

    private static void convert(
            BlockStore source, NbdSource to, BackingFolders folders, Progress progress)
            throws IOException {
        try (BlockStore target =
                OpenImages.open(to, DiskAccess.READ_WRITE, DiskMode.WRITEBACK, folders)) {
            if (target.sizeBytes() < source.sizeBytes()) {
                throw new DiskException(
                        "disk "
                                + to.name()
                                + " has "
                                + target.sizeBytes()
                                + " bytes, and "
                                + source.name()
                                + " has "
                                + source.sizeBytes());
            }
            copy(source, target, false, progress);
            target.sync();
        }
    }

    /// @param zeroed whether the target reads as zeros everywhere
    private static void copy(BlockStore from, BlockStore to, boolean zeroed, Progress progress)
            throws IOException {
        long size = from.sizeBytes();
        IoVector vector = new IoVector(1);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment chunk = arena.allocate(CHUNK_BYTES, 4096);
            MemorySegment zeros = arena.allocate(GRAIN_BYTES, 4096);
            for (long at = 0; at < size; at += CHUNK_BYTES) {
                progress.at(at, size);
                long length = Math.min(CHUNK_BYTES, size - at);
                vector.clear();
                vector.add(chunk, 0, length);
                if (from.read(vector, at) < length) {
                    throw new DiskException("image " + from.name() + " has become shorter");
                }
                for (long grain = 0; grain < length; grain += GRAIN_BYTES) {
                    long end = Math.min(grain + GRAIN_BYTES, length);
                    boolean zero =
                            MemorySegment.mismatch(chunk, grain, end, zeros, 0, end - grain) < 0;
                    if (zero && !zeroed && to.discardZeroes()) {
                        to.discard(at + grain, end - grain);
                    } else if (!zero || !zeroed) {
                        vector.clear();
                        vector.add(chunk, grain, end - grain);
                        to.write(vector, at + grain);
                    }
                }
            }
        }
        progress.at(size, size);
    }

    /// Makes a qcow2 image that is based on another, which must not be written to from then on.
    ///
    /// @param overlay is made; a base in its folder or below is named in it by its relative path,
    ///     any other by its whole path
    /// @param folders where the base may be besides
    public static void overlay(
            FileSource base, Path overlay, int clusterBytes, BackingFolders folders)
            throws DiskException {
        if (base.format().qemuName().isEmpty()) {
            throw new DiskException(
                    "image "
                            + overlay
                            + " cannot be based on "
                            + base.path()
                            + ": an image has no name for the format "
                            + base.format().label());
        }
        Path folder = overlay.toAbsolutePath().normalize().resolveSibling("");
        Path place = base.path().normalize();
        if (!place.startsWith(folder) && !folders.hold(place)) {
            throw new DiskException(
                    "image "
                            + overlay
                            + " cannot be based on "
                            + base.path()
                            + ", which is not in its folder or below, and in no other that is"
                            + " allowed");
        }
        FileSource made = new FileSource(ImageFormat.QCOW2, overlay.toAbsolutePath().normalize());
        try (BlockStore held =
                OpenImages.open(base, DiskAccess.READ_ONLY, DiskMode.WRITEBACK, folders)) {
            int bits = clusterBits(made, clusterBytes);
            Path name = place.startsWith(folder) ? folder.relativize(place) : place;
            make(
                    made.path(),
                    file ->
                            new Qcow2Creation(
                                            held.sizeBytes(),
                                            bits,
                                            name.toString(),
                                            base.format().qemuName())
                                    .write(file));
        }
    }

    /// Checks that an image is based on another.
    ///
    /// @throws DiskException when it is no qcow2 image, is based on nothing, or on something else
    public static void checkOverlay(FileSource base, Path overlay, BackingFolders folders)
            throws DiskException {
        try (HostFile file = HostFile.openUnlocked(overlay)) {
            Qcow2Header header = Qcow2Header.read(file);
            String is = "image " + overlay + " is based on ";
            if (header.backingFile().isEmpty()) {
                throw new DiskException(is + "nothing, and not on " + base.path());
            }
            FileSource found = OpenImages.backing(overlay, header, folders);
            if (!Files.isSameFile(found.path(), base.path())) {
                throw new DiskException(is + found.path() + ", and not on " + base.path());
            }
            if (found.format() != base.format()) {
                throw new DiskException(
                        is
                                + found.path()
                                + " as "
                                + found.format().label()
                                + ", and not as "
                                + base.format().label());
            }
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + overlay + ": " + e.getMessage(), e);
        }
    }

    /// Makes a disk larger or smaller. What comes new reads as zeros.
    ///
    /// @param maySmaller whether it may become smaller, which loses what is behind the new end
    public static void resize(
            FileSource source, long sizeBytes, boolean maySmaller, BackingFolders folders)
            throws DiskException {
        checkSize(source, sizeBytes);
        try (BlockStore store =
                OpenImages.open(source, DiskAccess.READ_WRITE, DiskMode.WRITEBACK, folders)) {
            if (sizeBytes < store.sizeBytes() && !maySmaller) {
                throw new DiskException(
                        "image "
                                + source.path()
                                + " has "
                                + store.sizeBytes()
                                + " bytes; what is behind "
                                + sizeBytes
                                + " would be lost");
            }
            try {
                store.resize(sizeBytes);
            } catch (UnsupportedOperationException e) {
                throw new DiskException(
                        "image "
                                + source.path()
                                + ": a "
                                + source.format().label()
                                + " keeps its size; convert it to qcow2 or raw");
            }
            store.sync();
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + source.path() + ": " + e.getMessage(), e);
        }
    }
}
