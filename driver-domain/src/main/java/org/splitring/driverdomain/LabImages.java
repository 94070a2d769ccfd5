package org.splitring.driverdomain;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.MemoryDisks;

/// Makes the images of a lab's disks that are not there yet.
final class LabImages {
    private final Consumer<Path> made;
    private final Consumer<String> news;

    /// @param made is told of each image that was not there; before it is made if it may be left
    ///     half made
    /// @param news takes lines for people
    LabImages(Consumer<Path> made, Consumer<String> news) {
        this.made = made;
        this.news = news;
    }

    /// @param folders where targets of overlays may be, besides the overlay's folder
    /// @param goesOn whether a guest may be using the disks already
    void make(LabDomain domain, BackingFolders folders, boolean goesOn) throws CommandException {
        for (LabDisk disk : domain.disks()) {
            try {
                make(disk, folders, goesOn);
            } catch (DiskException e) {
                throw new CommandException(disk.place() + ": " + e.getMessage(), e);
            }
        }
    }

    private void make(LabDisk disk, BackingFolders folders, boolean goesOn) throws DiskException {
        if (disk.base().isPresent()) {
            makeOverlay(disk, folders);
        } else if (MemoryDisks.isOne(disk.source())) {
            makeInMemory(disk, goesOn);
        } else if (disk.source() instanceof FileSource image
                && disk.createBytes().isPresent()
                && !Files.exists(image.path())) {
            makeImage(image, disk.createBytes().getAsLong());
        }
    }

    private void makeOverlay(LabDisk disk, BackingFolders folders) throws DiskException {
        MadeImages.Made overlay = MadeImages.make(disk, folders);
        if (overlay.isNew()) {
            made.accept(overlay.image());
            news.accept("made image " + overlay.image() + ", based on " + overlay.base());
        }
    }

    private void makeInMemory(LabDisk disk, boolean goesOn) throws DiskException {
        Path image = Path.of(disk.source().name());
        if (goesOn && Files.exists(image)) {
            return;
        }
        MadeImages.delete(disk); // a lab that was not stopped in order has left it
        MadeImages.makeInMemory(disk);
        made.accept(image);
    }

    private void makeImage(FileSource image, long sizeBytes) throws DiskException {
        made.accept(image.path());
        ImageFiles.create(image, sizeBytes, ImageFiles.defaultClusterBytes());
        news.accept("made image " + image.path() + " of " + Sizes.text(sizeBytes));
    }
}
