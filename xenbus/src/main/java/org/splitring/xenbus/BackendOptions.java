package org.splitring.xenbus;

import java.time.Duration;

/// Choices of a backend's machine.
///
/// @param deadline how long a frontend may take for each step that it was asked for
/// @param hotplugDeadline how long Connected is withheld until the toolstack's script has written
///     `hotplug-status` = `connected`; zero for a device that has such a script only when there is
///     a node of that name, which is then waited for as long as libxl does
/// @param removesFolders whether the folder of a device that was taken away is removed by who
///     serves it, as libxl expects it of a domain that is not its own
public record BackendOptions(Duration deadline, Duration hotplugDeadline, boolean removesFolders) {
    /// Xen's 10 seconds, no script, a toolstack that removes folders.
    public static final BackendOptions DEFAULT =
            new BackendOptions(Duration.ofSeconds(10), Duration.ZERO, false);

    public BackendOptions {
        if (deadline.isNegative() || deadline.isZero()) {
            throw new IllegalArgumentException("deadline " + deadline);
        }
        if (hotplugDeadline.isNegative()) {
            throw new IllegalArgumentException("hotplugDeadline " + hotplugDeadline);
        }
    }

    public BackendOptions withDeadline(Duration limit) {
        return new BackendOptions(limit, hotplugDeadline, removesFolders);
    }

    /// A device that is connected only when its script has said so, whether the node is there yet
    /// or not.
    public BackendOptions withHotplugDeadline(Duration limit) {
        return new BackendOptions(deadline, limit, removesFolders);
    }

    /// For a driver domain: the toolstack in another one waits until a folder has gone.
    public BackendOptions withFoldersRemoved() {
        return new BackendOptions(deadline, hotplugDeadline, true);
    }
}
