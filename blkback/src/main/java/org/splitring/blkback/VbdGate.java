package org.splitring.blkback;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;

/// Says when a vbd may begin another request: not while it is paused, and not faster than its
/// limits allow. What is not begun stays on the ring. One for a vbd, whatever its rings and
/// connections.
///
/// On the loop.
final class VbdGate {
    private final DeviceLoop loop;
    private final VbdCounters counters;
    private final DiskPace pace = new DiskPace();
    private final List<Ring> rings = new ArrayList<>();
    private final Runnable openTask = this::paceAllows;

    private boolean restricted; // paused or limited: what is asked for each request
    private boolean paused;
    private @Nullable Runnable whenQuiet;
    private @Nullable Runnable cancelOpen; // while the limits keep it shut

    private record Ring(DiskQueue queue, Runnable wake) {}

    VbdGate(DeviceLoop loop, VbdCounters counters) {
        this.loop = loop;
        this.counters = counters;
    }

    /// @param wake makes the queue look for requests
    void add(DiskQueue queue, Runnable wake) {
        rings.add(new Ring(queue, wake));
    }

    /// @param queue nothing of it is under way
    void remove(DiskQueue queue) {
        rings.removeIf(ring -> ring.queue == queue);
    }

    /// How many rings there are; for tests of what is left of a connection.
    int rings() {
        return rings.size();
    }

    /// Whether no request may begin now; the queues are woken when that changes.
    boolean isShut() {
        return restricted && (paused || owes());
    }

    private boolean owes() {
        if (cancelOpen == null) {
            long waitNanos = pace.waitNanos(loop.nanoTime());
            if (waitNanos == 0) {
                return false;
            }
            VbdCounters.add(counters.limited, 1);
            cancelOpen = loop.schedule(openTask, waitNanos);
        }
        return true;
    }

    private void paceAllows() {
        cancelOpen = null;
        wakeAll();
    }

    /// A request was taken, whatever becomes of it.
    void noteRequest() {
        if (restricted) {
            pace.noteOperation(loop.nanoTime());
        }
    }

    /// Data are read or written.
    void noteData(long sizeBytes) {
        if (restricted) {
            pace.noteData(sizeBytes, loop.nanoTime());
        }
    }

    /// Another limit, from now on.
    void limit(DiskRate rate) {
        pace.limit(rate, loop.nanoTime());
        restricted = paused || pace.isLimited();
        Runnable cancel = cancelOpen;
        if (cancel != null) {
            cancel.run();
            paceAllows();
        }
    }

    /// Begins nothing from now on.
    ///
    /// @param quiet runs when everything that was begun is answered: now, or later
    void pause(Runnable quiet) {
        paused = true;
        restricted = true;
        whenQuiet = quiet;
        noteQuiet();
    }

    void resume() {
        paused = false;
        restricted = pace.isLimited();
        whenQuiet = null;
        wakeAll();
    }

    /// Something was answered.
    void noteQuiet() {
        Runnable quiet = whenQuiet;
        if (quiet == null) {
            return;
        }
        for (Ring ring : rings) {
            if (ring.queue.inFlight() > 0) {
                return;
            }
        }
        whenQuiet = null;
        quiet.run();
    }

    /// The device ends.
    void close() {
        Runnable cancel = cancelOpen;
        cancelOpen = null;
        if (cancel != null) {
            cancel.run();
        }
    }

    private void wakeAll() {
        rings.forEach(ring -> ring.wake.run());
    }
}
