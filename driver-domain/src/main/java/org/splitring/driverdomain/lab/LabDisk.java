package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;

/// One disk of a guest.
///
/// @param source the image, or the export of a server
/// @param base what the image has to be based on, and is based on when it is made, because it is an
///     overlay
/// @param discard whether the guest is offered discard, where the image can do it
/// @param cdrom whether the guest is to see a CD-ROM, which is read-only
/// @param mode when a write is safe
/// @param createBytes size with which to make the image when it is missing
/// @param place `file:line: key` for messages
public record LabDisk(
        VirtualDevice device,
        DiskSource source,
        Optional<FileSource> base,
        boolean readOnly,
        boolean discard,
        boolean cdrom,
        DiskMode mode,
        DiskLimits limits,
        OptionalLong createBytes,
        String place) {
    /// The same disk, as if it stood there.
    public LabDisk at(String other) {
        return new LabDisk(
                device, source, base, readOnly, discard, cdrom, mode, limits, createBytes, other);
    }

    /// A disk in xl's syntax, without a lab file. The image is not looked at.
    ///
    /// @param folder what a relative path is relative to
    /// @throws LabException with a message that says what is wrong
    public static LabDisk parse(String text, Path folder) throws LabException {
        return of(DiskSpec.parse(text), folder, OptionalLong.empty(), "disk");
    }

    static LabDisk of(DiskSpec spec, Path folder, OptionalLong createBytes, String place)
            throws LabException {
        DiskSource target = spec.source(folder);
        Optional<FileSource> overlay = spec.overlay(folder);
        Optional<FileSource> base =
                overlay.isPresent() && target instanceof FileSource file
                        ? Optional.of(file)
                        : Optional.empty();
        return new LabDisk(
                spec.device(),
                overlay.isPresent() ? overlay.get() : target,
                base,
                spec.readOnly(),
                spec.discard(),
                spec.cdrom(),
                spec.mode(),
                spec.limits(),
                createBytes,
                place);
    }

    /// As a disk that reads the base.
    LabDisk ofBase(FileSource image) {
        return new LabDisk(
                device,
                image,
                Optional.empty(),
                true,
                discard,
                cdrom,
                mode,
                limits,
                createBytes,
                place);
    }
}
