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

    /// A disk in xl's syntax that does not stand in the lab file. The image is not looked at.
    ///
    /// @param folder what a relative path is relative to
    /// @param labFile of the lab that gets it
    /// @param domain that gets it
    /// @throws LabException with a message that says what is wrong
    public static LabDisk parse(String text, Path folder, Path labFile, String domain)
            throws LabException {
        DiskSpec spec = DiskSpec.parse(text);
        return of(spec, target(spec, folder, labFile, domain), folder, created(spec), "disk");
    }

    /// What the target names.
    static DiskSource target(DiskSpec spec, Path folder, Path labFile, String domain)
            throws LabException {
        return MemoryDisks.isOne(spec.target())
                ? MemoryDisks.image(labFile, domain, spec.device())
                : spec.source(folder);
    }

    /// The size of a disk that is made because it is in memory.
    static OptionalLong created(DiskSpec spec) throws LabException {
        return MemoryDisks.isOne(spec.target())
                ? OptionalLong.of(MemoryDisks.sizeBytes(spec.target()))
                : OptionalLong.empty();
    }

    /// @param target what the target names
    /// @param folder what the path of an overlay is relative to
    static LabDisk of(
            DiskSpec spec, DiskSource target, Path folder, OptionalLong createBytes, String place)
            throws LabException {
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
