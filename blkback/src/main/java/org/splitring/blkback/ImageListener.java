package org.splitring.blkback;

import org.splitring.blkback.image.DiskSource;
import org.splitring.xenbus.DevicePaths;

/// Hears which images are open in a process. Called one at a time; it hands over and returns.
public interface ImageListener {
    /// What people call a vbd: in the message that its image is in use.
    default String name(DevicePaths vbd) {
        return vbd.backend();
    }

    /// An image was opened and locked.
    default void opened(DevicePaths vbd, DiskSource image) {}

    /// An image is closed and unlocked, and everything in it is stable.
    default void closed(DevicePaths vbd, DiskSource image) {}
}
