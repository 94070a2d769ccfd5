package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.HashSet;
import java.util.Set;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.FileStore;
import org.splitring.blkback.nbd.NbdStore;

/// Opens images with everything that they are based on.
public final class OpenImages {
    /// Most images that one disk may consist of, its own included.
    static final int MAX_CHAIN = 16;

    private final FileSource top;
    private final BackingFolders folders;
    private final Set<Object> seen = new HashSet<>();

    private OpenImages(FileSource top, BackingFolders folders) {
        this.top = top;
        this.folders = folders;
    }

    /// Opens and locks an image: for one writer, or for several readers. What it is based on is
    /// opened and locked for reading.
    ///
    /// @throws DiskException when the image is not of the format that was named, is damaged, or in
    ///     use, or one that it is based on is, or it cannot be used in that mode; one line that
    ///     names the file and the cause
    public static BlockStore open(
            DiskSource source, DiskAccess access, DiskMode mode, BackingFolders folders)
            throws DiskException {
        return switch (source) {
            case FileSource file -> new OpenImages(file, folders).open(file, access, mode);
            case NbdSource nbd -> {
                if (mode == DiskMode.DIRECT) {
                    throw notDirect("disk " + nbd.name(), "the export of an NBD server");
                }
                yield NbdStore.open(nbd, access, mode == DiskMode.WRITETHROUGH);
            }
        };
    }

    private static DiskException notDirect(String what, String kind) {
        return new DiskException(
                what + ": mode direct is for raw images in files, and this is " + kind);
    }

    private BlockStore open(FileSource source, DiskAccess access, DiskMode mode)
            throws DiskException {
        noteFile(source.path());
        Path path = source.path();
        boolean syncEachWrite = mode == DiskMode.WRITETHROUGH;
        if (mode == DiskMode.DIRECT && source.format() != ImageFormat.RAW) {
            throw notDirect("image " + path, source.format().label());
        }
        return switch (source.format()) {
            case RAW ->
                    FileStore.of(
                            mode == DiskMode.DIRECT
                                    ? HostFile.openDirect(path, access)
                                    : HostFile.openRaw(path, access, syncEachWrite));
            case QCOW2 -> qcow2(HostFile.open(path, access, syncEachWrite));
            case VHD -> vhd(HostFile.open(path, access, syncEachWrite));
            case EXTENTS -> ExtentStore.open(path, access, syncEachWrite, folders);
        };
    }

    private static BlockStore vhd(HostFile file) throws DiskException {
        try {
            return VhdStore.open(file);
        } catch (DiskException e) {
            file.close();
            throw e;
        }
    }

    /// A file that is met again would be its own backing file.
    private void noteFile(Path path) throws DiskException {
        Object key;
        try {
            key = Files.readAttributes(path, BasicFileAttributes.class).fileKey();
        } catch (IOException e) {
            return; // opening it says why
        }
        if (key != null && !seen.add(key)) {
            throw new DiskException("image " + top.path() + " is based on " + path + " twice");
        }
        if (seen.size() > MAX_CHAIN) {
            throw new DiskException(
                    "image "
                            + top.path()
                            + " is based on more than "
                            + (MAX_CHAIN - 1)
                            + " others");
        }
    }

    private BlockStore qcow2(HostFile file) throws DiskException {
        BlockStore backing = null;
        try {
            Qcow2Header header = Qcow2Header.read(file);
            if (!header.backingFile().isEmpty()) {
                FileSource source = backing(file.path(), header);
                backing = open(source, DiskAccess.READ_ONLY, DiskMode.WRITEBACK);
            }
            return Qcow2Store.open(file, header, backing);
        } catch (IOException e) {
            if (backing != null) {
                backing.close();
            }
            file.close();
            throw e instanceof DiskException known
                    ? known
                    : new DiskException("image " + file.name() + ": " + e.getMessage(), e);
        }
    }

    /// What an image says that it is based on; it says something.
    static FileSource backing(Path image, Qcow2Header header, BackingFolders folders)
            throws DiskException {
        FileSource top = new FileSource(ImageFormat.QCOW2, image.toAbsolutePath());
        return new OpenImages(top, folders).backing(image, header);
    }

    private FileSource backing(Path image, Qcow2Header header) throws DiskException {
        String name = header.backingFile();
        String format = header.backingFormat();
        if (format.isEmpty()) {
            throw new DiskException(
                    "image "
                            + image
                            + " does not say what format its backing file \""
                            + DiskException.printable(name)
                            + "\" has, and a guess would be the guest's to make; qemu-img rebase -u"
                            + " -F FORMAT -b FILE IMAGE says it");
        }
        ImageFormat known =
                ImageFormat.ofQemu(format)
                        .orElseThrow(
                                () ->
                                        new DiskException(
                                                "image "
                                                        + image
                                                        + ": format \""
                                                        + DiskException.printable(format)
                                                        + "\" of its backing file is none of "
                                                        + ImageFormat.labels()));
        return new FileSource(known, folders.resolve(top.path(), image, name));
    }
}
