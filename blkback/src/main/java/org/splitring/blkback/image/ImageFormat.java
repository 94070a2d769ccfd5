package org.splitring.blkback.image;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/// How the bytes of a disk stand in a file. It is always named by whoever configures the disk.
public enum ImageFormat {
    /// Byte n of the disk is byte n of the file.
    RAW("raw", "raw"),
    /// QEMU's format, versions 2 and 3.
    QCOW2("qcow2", "qcow2"),
    /// Virtual PC's format, fixed or dynamic.
    VHD("vhd", "vpc"),
    /// A list of parts of files, one after the other.
    EXTENTS("extents", "");

    private final String label;
    private final String qemuName;

    ImageFormat(String label, String qemuName) {
        this.label = label;
        this.qemuName = qemuName;
    }

    /// The name in `format=` of a disk.
    public String label() {
        return label;
    }

    /// The name that QEMU has for it, which images use to name the format of a backing file; empty
    /// when it has none.
    String qemuName() {
        return qemuName;
    }

    /// The format of that name.
    public static Optional<ImageFormat> of(String label) {
        return Arrays.stream(values()).filter(format -> format.label.equals(label)).findFirst();
    }

    static Optional<ImageFormat> ofQemu(String name) {
        return Arrays.stream(values())
                .filter(format -> format.qemuName.equals(name))
                .filter(format -> !name.isEmpty())
                .findFirst();
    }

    /// All names, for messages: `raw, qcow2, vhd, extents`.
    public static String labels() {
        return Arrays.stream(values()).map(ImageFormat::label).collect(Collectors.joining(", "));
    }
}
