package org.splitring.blkback;

/// When a write to a disk is safe. The promise of each mode, word for word, is in this module's
/// README.
public enum DiskMode {
    /// An acknowledged write is in the host's kernel; a flush makes it stable. The default.
    WRITEBACK,
    /// An acknowledged write is stable.
    WRITETHROUGH,
    /// A flush does nothing. Data that was flushed is lost with the host's power.
    UNSAFE;

    /// The name in lab files, in xenstore and in the log.
    public String label() {
        return switch (this) {
            case WRITEBACK -> "writeback";
            case WRITETHROUGH -> "writethrough";
            case UNSAFE -> "unsafe";
        };
    }
}
