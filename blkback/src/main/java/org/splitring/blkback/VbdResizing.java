package org.splitring.blkback;

import java.util.Optional;
import org.splitring.xenbus.SerialTasks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.DeviceException;

/// Follows the node `resize` of a vbd, a number of bytes: the disk and its image get this size, and
/// `resize-status` says what has become of it, `done SIZE` or `failed: ...`. A wish that was tried
/// is taken away, so that a successor of this backend does not try it again; one that was written
/// meanwhile stays, and comes next.
///
/// On the control plane, one task at a time.
final class VbdResizing {
    private static final String WISH = "resize";
    private static final String STATUS = "resize-status";

    private final BackendContext context;
    private final DiskImage disk;
    private final SerialTasks tasks;

    VbdResizing(BackendContext context, DiskImage disk) {
        this.context = context;
        this.disk = disk;
        tasks = new SerialTasks(context.paths().backend() + ": resize", context.executor());
    }

    /// The node has been written. Any thread.
    void look(Optional<String> text) {
        String wish = text.orElse("");
        if (!wish.isEmpty()) {
            tasks.execute(() -> resize(wish));
        }
    }

    private void resize(String wish) {
        String status;
        try {
            if (!wish.matches("[0-9]{1,18}")) {
                throw new DiskException("resize: not a number of bytes");
            }
            long sizeBytes = Long.parseLong(wish);
            StorageWait.run(() -> disk.resize(sizeBytes));
            status = "done " + wish;
        } catch (DiskException e) {
            status = "failed: " + e.getMessage();
        }
        context.note(STATUS, status);
        if (wishNow().equals(wish)) {
            context.note(WISH, "");
        }
    }

    private String wishNow() {
        try {
            return context.parameter(WISH).orElse("");
        } catch (DeviceException e) {
            return ""; // the store has gone
        }
    }
}
