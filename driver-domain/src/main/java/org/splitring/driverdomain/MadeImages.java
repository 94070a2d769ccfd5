package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.MemoryDisks;

/// Images that are made with a disk: those that take the writes of one whose target is to stay as
/// it is, and those in memory.
final class MadeImages {
    private MadeImages() {}

    /// @param isNew whether it was not there before
    record Made(Path image, Path base, boolean isNew) {}

    /// Makes the overlay of a disk that has one, or checks that the one which is there is based on
    /// the target.
    ///
    /// @param folders where the target may be, besides the overlay's folder
    static Made make(LabDisk disk, BackingFolders folders) throws DiskException {
        FileSource base = disk.base().orElseThrow();
        Path image = Path.of(disk.source().name());
        boolean isNew = !Files.exists(image);
        if (isNew) {
            ImageFiles.overlay(base, image, ImageFiles.defaultClusterBytes(), folders);
        } else {
            ImageFiles.checkOverlay(base, image, folders);
        }
        return new Made(image, base.path(), isNew);
    }

    /// Makes the image of a disk in memory.
    ///
    /// @throws DiskException also when there is not so much
    static void makeInMemory(LabDisk disk) throws DiskException {
        long sizeBytes = disk.createBytes().orElseThrow();
        long room;
        try {
            room = MemoryDisks.roomBytes();
        } catch (IOException e) {
            throw new DiskException("a disk in memory: " + e.getMessage(), e);
        }
        if (sizeBytes > room) {
            throw new DiskException(
                    "a disk in memory of "
                            + Sizes.text(sizeBytes)
                            + ": there are "
                            + Sizes.text(room)
                            + " in /dev/shm");
        }
        FileSource image = new FileSource(ImageFormat.RAW, Path.of(disk.source().name()));
        ImageFiles.create(image, sizeBytes, ImageFiles.defaultClusterBytes());
    }

    /// Gives the memory back, if it is there.
    static void delete(LabDisk disk) throws DiskException {
        delete(Path.of(disk.source().name()));
    }

    static void delete(Path image) throws DiskException {
        try {
            Files.deleteIfExists(image);
        } catch (IOException e) {
            throw new DiskException("image " + image + ": " + e.getMessage(), e);
        }
    }
}
