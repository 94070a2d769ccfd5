package org.splitring.xenbus;

import java.time.Duration;
import java.util.Optional;
import org.splitring.xenbus.store.StoreException;

/// What the toolstack's script says of its part of a device, in the backend's own folder, where
/// libxl and Linux's netback look for it: `hotplug-status` and `hotplug-error`.
///
/// A script is expected when the node is there, as libxl writes an empty one for each vif, or when
/// the options say so.
///
/// Source: Linux `drivers/net/xen-netback/xenbus.c`, `hotplug_status_changed`.
///
/// Used in the tasks of one [BackendMachine].
final class HotplugScript {
    /// What libxl gives it.
    private static final Duration LIMIT = Duration.ofSeconds(40);

    private final DeviceEnd end;
    private final BackendOptions options;
    private boolean watched;

    HotplugScript(DeviceEnd end, BackendOptions options) {
        this.end = end;
        this.options = options;
    }

    /// How long it may take.
    long limitNanos() {
        Duration wanted = options.hotplugDeadline();
        return (wanted.isZero() ? LIMIT : wanted).toNanos();
    }

    /// Whether the script has done its part, or there is none. When it has not, the machine looks
    /// again as soon as the script says more.
    ///
    /// @throws HandshakeException when it has failed, with the script's own words
    boolean isDone() throws StoreException, HandshakeException {
        Optional<String> said = end.ownKeys().text("hotplug-status");
        if (said.isEmpty() && options.hotplugDeadline().isZero()) {
            return true;
        }
        String status = said.orElse("");
        if (status.equals("error") || status.equals("busy")) {
            String why = end.ownKeys().text("hotplug-error").orElse("no hotplug-error");
            throw new HandshakeException("hotplug-status is " + status + ": " + why);
        }
        boolean done = status.equals("connected");
        if (!done && !watched) {
            watched = true;
            end.alsoWatch("hotplug-status");
        }
        return done;
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
