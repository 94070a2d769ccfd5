package org.splitring.xenbus;

import org.splitring.xenbus.store.StoreException;

/// What the toolstack's script says of its part of a device, in the backend's own folder.
///
/// Used in the tasks of one [BackendMachine].
final class HotplugScript {
    private final DeviceEnd end;
    private final BackendOptions options;

    HotplugScript(DeviceEnd end, BackendOptions options) {
        this.end = end;
        this.options = options;
    }

    /// How long it may take.
    long limitNanos() {
        return options.hotplugDeadline().toNanos();
    }

    /// Whether the script has done its part, or there is none.
    ///
    /// @throws HandshakeException when it has failed, with the script's own words
    boolean isDone() throws StoreException, HandshakeException {
        if (options.hotplugDeadline().isZero()) {
            return true;
        }
        String status = end.ownKeys().text("hotplug-status").orElse("");
        if (status.equals("error") || status.equals("busy")) {
            String why = end.ownKeys().text("hotplug-error").orElse("no hotplug-error");
            throw new HandshakeException("hotplug-status is " + status + ": " + why);
        }
        return status.equals("connected");
    }

    /// That it has not done its part in time.
    String late() throws StoreException {
        String status = end.ownKeys().text("hotplug-status").orElse("missing");
        return end.late(
                limitNanos(),
                "the toolstack's hotplug-status \"connected\"",
                status.isEmpty() ? "empty" : status);
    }
}
