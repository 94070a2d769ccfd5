package org.splitring.xenbus;

import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// A backend's own folder, through which the toolstack has its say, and the place of its errors.
///
/// Used in the tasks of one [BackendMachine].
final class BackendFolder {
    private static final Logger LOG = LoggerFactory.getLogger(BackendFolder.class);

    private final Store store;
    private final DeviceEnd end;

    BackendFolder(Store store, DeviceEnd end) {
        this.store = store;
        this.end = end;
    }

    /// The state that stands there, ours or the toolstack's; empty when the folder is gone.
    Optional<XenbusState> state() throws StoreException {
        return end.ownKeys().text("state").map(XenbusState::parse);
    }

    boolean isGone() throws StoreException {
        return state().isEmpty();
    }

    /// Whether the toolstack wants the device to go on.
    boolean isOnline() throws StoreException {
        return !end.ownKeys().text("online").orElse("1").startsWith("0");
    }

    /// Leaves a message where tools look for it.
    void leaveMessage(String reason) {
        try {
            store.write(end.paths().backendError(), reason);
        } catch (StoreException e) {
            LOG.debug("{}: error node: {}", end.folder(), e.getMessage());
        }
    }
}
