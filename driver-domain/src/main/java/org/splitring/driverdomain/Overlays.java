package org.splitring.driverdomain;

import java.nio.file.Files;
import java.nio.file.Path;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.driverdomain.lab.LabDisk;

/// Images that take the writes of a disk whose target is to stay as it is.
final class Overlays {
    private Overlays() {}

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
}
