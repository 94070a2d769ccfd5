package org.splitring.blkback;

import java.util.Optional;
import org.splitring.blkback.image.DiskSource;
import org.splitring.xenbus.SerialTasks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.DeviceException;

/// Follows the node `pause` of a vbd: `1` stops it from beginning requests; when those that were
/// begun are answered, everything is made stable, the image is closed, and `pause-status` is
/// `paused`. Whatever else than `1` opens the image that `params` names now, and goes on:
/// `running`. The guest sees nothing of this but slow answers, and another size if the image has
/// one.
/// `failed: ...` says what could not be done; the disk stays paused then, until `pause` is written
/// again.
///
/// On the control plane, one task at a time.
final class VbdPausing {
    private static final String STATUS = "pause-status";

    private final BackendContext context;
    private final VbdBackend backend;
    private final DiskImages.Hold hold;
    private final SerialTasks tasks;
    private boolean paused;
    private int pauses; // so far
    private boolean released;

    VbdPausing(BackendContext context, VbdBackend backend, DiskImages.Hold hold) {
        this.context = context;
        this.backend = backend;
        this.hold = hold;
        tasks = new SerialTasks(context.paths().backend() + ": pause", context.executor());
    }

    /// The node has been written. Any thread.
    void look(Optional<String> text) {
        boolean wanted = text.isPresent() && text.get().equals("1");
        tasks.execute(wanted ? this::pause : this::resume);
    }

    private void pause() {
        if (!paused) {
            paused = true;
            int number = ++pauses;
            backend.pause(() -> tasks.execute(() -> quiet(number)));
        }
    }

    /// @param number of the pause that has become quiet
    private void quiet(int number) {
        if (!paused || number != pauses) {
            return; // it went on meanwhile, and may be at the next pause, which is not quiet yet
        }
        try {
            hold.release();
            released = true;
            context.note(STATUS, "paused");
        } catch (DiskException e) {
            context.note(STATUS, "failed: " + e.getMessage());
        }
    }

    private void resume() {
        if (!paused) {
            return;
        }
        if (released) {
            try {
                hold.reopen(DiskSource.parse(context.parameter("params").orElse("")));
            } catch (DiskException | DeviceException e) {
                context.note(STATUS, "failed: " + e.getMessage());
                return;
            }
            released = false;
            context.republish();
        }
        paused = false;
        backend.resume();
        context.note(STATUS, "running");
    }
}
