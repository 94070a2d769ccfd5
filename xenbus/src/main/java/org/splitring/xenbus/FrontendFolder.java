package org.splitring.xenbus;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// A frontend's own folder, in which the toolstack names the backend: at once, late, or anew.
///
/// Used in the tasks of one [FrontendMachine].
final class FrontendFolder {
    private static final Logger LOG = LoggerFactory.getLogger(FrontendFolder.class);

    private final Store store;
    private final String type;
    private final int device;
    private @Nullable Watch watch; // while the backend is looked for

    FrontendFolder(Store store, String type, int device) {
        this.store = store;
        this.type = type;
        this.device = device;
    }

    Store store() {
        return store;
    }

    String path() {
        return DevicePaths.domain(store.domain()) + "/device/" + type + "/" + device;
    }

    /// Where the backend is, once the folder says so.
    Optional<DevicePaths> find() throws StoreException, KeyException {
        return DevicePaths.find(store, type, device);
    }

    boolean exists() throws StoreException {
        return new Keys(store, path()).text("state").isPresent();
    }

    /// Has changes told until [#stopWatching].
    void watch(Runnable changed) throws StoreException {
        watch = store.watch(path(), node -> changed.run());
    }

    void stopWatching() {
        Watch open = watch;
        watch = null;
        if (open != null) {
            open.close();
        }
    }

    /// Leaves a message where tools look for it, or takes away what was there when it is empty. Not
    /// every guest may write there.
    void leaveMessage(DevicePaths paths, String reason) {
        try {
            if (!exists()) {
                return;
            }
            if (reason.isEmpty()) {
                store.remove(paths.frontendError());
            } else {
                store.write(paths.frontendError(), reason);
            }
        } catch (StoreException e) {
            LOG.debug("frontend {}: error node: {}", path(), e.getMessage());
        }
    }
}
