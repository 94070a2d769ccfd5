package org.splitring.blkback;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

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
    public static Optional<DiskMode> of(String label) {
        return Arrays.stream(values()).filter(mode -> mode.label().equals(label)).findFirst();
    }

    /// All names, for messages: `writeback, writethrough, unsafe, direct`.
    public static List<String> labels() {
        return Arrays.stream(values()).map(DiskMode::label).toList();
    }
}
