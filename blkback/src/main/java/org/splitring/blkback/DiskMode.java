package org.splitring.blkback;

import java.util.Arrays;
import java.util.stream.Collectors;

/// When a write to a disk is safe. The promise of each mode, word for word, is in this module's
/// README.
public enum DiskMode {
    /// An acknowledged write is in the host's kernel; a flush makes it stable. The default.
    WRITEBACK,
    /// An acknowledged write is stable.
    WRITETHROUGH,
    /// A flush does nothing. Data that was flushed is lost with the host's power.
    UNSAFE,
    /// As [#WRITEBACK], past the host's page cache (`O_DIRECT`): for raw images.
    DIRECT;

    /// The name in lab files, in xenstore and in the log.
    public String label() {
        return switch (this) {
            case WRITEBACK -> "writeback";
            case WRITETHROUGH -> "writethrough";
            case UNSAFE -> "unsafe";
            case DIRECT -> "direct";
        };
    }

    /// The mode of that name.
    ///
    /// @throws DiskException when there is none: one line that names those there are
    public static DiskMode parse(String label) throws DiskException {
        return Arrays.stream(values())
                .filter(mode -> mode.label().equals(label))
                .findFirst()
                .orElseThrow(
                        () ->
                                new DiskException(
                                        "cache \""
                                                + DiskException.printable(label)
                                                + "\" is none of "
                                                + Arrays.stream(values())
                                                        .map(DiskMode::label)
                                                        .collect(Collectors.joining(", "))));
    }
}
