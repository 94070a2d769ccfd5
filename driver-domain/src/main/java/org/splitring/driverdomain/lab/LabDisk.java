package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.OptionalLong;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.image.DiskSource;

/// One disk of a guest.
///
/// @param source the image, or the export of a server
/// @param discard whether the guest is offered discard, where the image can do it
/// @param cdrom whether the guest is to see a CD-ROM, which is read-only
/// @param mode when a write is safe
/// @param createBytes size with which to make the image when it is missing
/// @param place `file:line: key` for messages
public record LabDisk(
        VirtualDevice device,
        DiskSource source,
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
                device, source, readOnly, discard, cdrom, mode, limits, createBytes, other);
    }

    /// A disk in xl's syntax, without a lab file. The image is not looked at.
    ///
    /// @param folder what a relative path is relative to
    /// @throws LabException with a message that says what is wrong
    public static LabDisk parse(String text, Path folder) throws LabException {
        DiskSpec spec = DiskSpec.parse(text);
        return new LabDisk(
                spec.device(),
                spec.source(folder),
                spec.readOnly(),
                spec.discard(),
                spec.cdrom(),
                spec.mode(),
                spec.limits(),
                OptionalLong.empty(),
                "disk");
    }
}
