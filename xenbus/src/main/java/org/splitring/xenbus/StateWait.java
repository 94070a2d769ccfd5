package org.splitring.xenbus;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// Waits, as a toolstack does, for both ends of a device: it watches their states and error nodes,
/// and looks when one has changed.
final class StateWait implements AutoCloseable {
    private final Store store;
    private final DevicePaths paths;
    private final Semaphore changes = new Semaphore(0);
    private final List<Watch> watches = new ArrayList<>();

    private StateWait(Store store, DevicePaths paths) {
        this.store = store;
        this.paths = paths;
    }

    static StateWait open(Store store, DevicePaths paths) throws StoreException {
        StateWait wait = new StateWait(store, paths);
        boolean opened = false;
        try {
            for (String folder : List.of(paths.frontend(), paths.backend())) {
                wait.watches.add(store.watch(folder + "/state", changed -> wait.changes.release()));
            }
            opened = true;
            return wait;
        } finally {
            if (!opened) {
                wait.close();
            }
        }
    }

    private interface Goal {
        boolean isReached() throws StoreException, HandshakeException;
    }

    void untilConnected(Duration deadline)
            throws StoreException, HandshakeException, InterruptedException {
        await(
                deadline,
                () -> {
                    XenbusState front = state(paths.frontend());
                    XenbusState back = state(paths.backend());
                    if (isLeaving(back) || isLeaving(front)) {
                        throw refused(back, front);
                    }
                    return front == XenbusState.CONNECTED && back == XenbusState.CONNECTED;
                });
    }

    void untilClosed(Duration deadline)
            throws StoreException, HandshakeException, InterruptedException {
        await(
                deadline,
                () -> isClosed(state(paths.frontend())) && isClosed(state(paths.backend())));
    }

    private void await(Duration deadline, Goal goal)
            throws StoreException, HandshakeException, InterruptedException {
        long end = System.nanoTime() + deadline.toNanos();
        while (!goal.isReached()) {
            changes.drainPermits();
            if (goal.isReached()) { // what changed before the draining
                return;
            }
            if (!changes.tryAcquire(end - System.nanoTime(), TimeUnit.NANOSECONDS)) {
                throw late(deadline);
            }
        }
    }

    private static boolean isLeaving(XenbusState state) {
        return state == XenbusState.CLOSING || state == XenbusState.CLOSED;
    }

    private static boolean isClosed(XenbusState state) {
        return state == XenbusState.CLOSED || state == XenbusState.UNKNOWN;
    }

    private XenbusState state(String folder) throws StoreException {
        return XenbusState.parse(store.read(folder + "/state").orElse(""));
    }

    /// Who left a message is who refused: the other end only follows.
    private HandshakeException refused(XenbusState back, XenbusState front) throws StoreException {
        Optional<String> ofBackend = store.read(paths.backendError());
        Optional<String> ofFrontend = store.read(paths.frontendError());
        boolean backend = ofBackend.isPresent() || (ofFrontend.isEmpty() && isLeaving(back));
        String reason =
                (backend ? ofBackend : ofFrontend)
                        .orElseGet(
                                () ->
                                        "it went to state "
                                                + (backend ? back : front)
                                                + " and left no message");
        return new HandshakeException(
                (backend ? "backend " + paths.backend() : "frontend " + paths.frontend())
                        + " refused: "
                        + reason);
    }

    /// Names the step that is under way: who waits for whom.
    private HandshakeException late(Duration deadline) throws StoreException {
        XenbusState front = state(paths.frontend());
        XenbusState back = state(paths.backend());
        String step =
                switch (back) {
                    case UNKNOWN, INITIALISING, RECONFIGURING, RECONFIGURED ->
                            "the backend " + paths.backend() + " to offer the device";
                    case INIT_WAIT ->
                            front == XenbusState.INITIALISED || front == XenbusState.CONNECTED
                                    ? "the backend " + paths.backend() + " to connect"
                                    : "the frontend " + paths.frontend() + " to publish its rings";
                    case INITIALISED, CONNECTED ->
                            "the frontend "
                                    + paths.frontend()
                                    + (front == XenbusState.CONNECTED
                                            ? " to close"
                                            : " to connect");
                    case CLOSING -> "the frontend " + paths.frontend() + " to close";
                    case CLOSED ->
                            isClosed(front)
                                    ? "nobody"
                                    : "the frontend " + paths.frontend() + " to close";
                };
        return new HandshakeException(
                String.format(
                        Locale.ROOT,
                        "waited %.1f s for %s: the backend is in state %s, the frontend in %s",
                        deadline.toMillis() / 1000.0,
                        step,
                        back,
                        front));
    }

    @Override
    public void close() {
        watches.forEach(Watch::close);
    }
}
