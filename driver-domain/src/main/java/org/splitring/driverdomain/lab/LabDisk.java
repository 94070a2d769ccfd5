package org.splitring.driverdomain.lab;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.ImageFormat;

/// One disk of a guest.
///
/// @param image path of the image, absolute
/// @param format what the image is
/// @param discard whether the guest is offered discard, where the image can do it
/// @param cdrom whether the guest is to see a CD-ROM, which is read-only
/// @param createBytes size with which to make the image when it is missing
/// @param place `file:line: key` for messages
public record LabDisk(
        VirtualDevice device,
        Path image,
        ImageFormat format,
        boolean readOnly,
        boolean discard,
        boolean cdrom,
        DiskLimits limits,
        OptionalLong createBytes,
        String place) {
    /// The same disk, as if it stood there.
    public LabDisk at(String other) {
        return new LabDisk(
                device, image, format, readOnly, discard, cdrom, limits, createBytes, other);
    }

    public DiskSource source() {
        return new DiskSource(format, image);
    }

    /// A disk in xl's syntax, without a lab file. The image is not looked at.
    ///
    /// @param folder what a relative path is relative to
    /// @throws LabException with a message that says what is wrong
    public static LabDisk parse(String text, Path folder) throws LabException {
        DiskSpec spec = DiskSpec.parse(text);
        try {
            Path image = folder.toAbsolutePath().resolve(spec.target()).normalize();
            return new LabDisk(
                    spec.device(),
                    image,
                    spec.format(),
                    spec.readOnly(),
                    spec.discard(),
                    spec.cdrom(),
                    spec.limits(),
                    OptionalLong.empty(),
                    "disk");
        } catch (InvalidPathException e) {
            throw new LabException(
                    "target \"" + LabFile.printable(spec.target()) + "\" is not a path", e);
        }
    }
}
