package org.splitring.xenbus;

import java.util.ArrayDeque;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.DeviceEnd.Published;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;

/// The state machine of a device's backend half, for every kind of device.
///
///     frontend                                backend
///     -                                       InitWait (2)      hooks.offer
///     Initialised (3) or Connected (4)   ──►  Connected (4)     hooks.connect, hooks.publish
///     Closing (5)                        ──►  Closing (5)       connection closed
///     Closed (6), folder gone            ──►  Closed (6)        connection closed
///     Initialising (1) again             ──►  InitWait (2)      while `online` is 1
///     keys refused, ring broken          ──►  Closing (5)       until the frontend closes
///     Reconfiguring (7), Connected (4)   ──►  Reconfigured (8), Connected (4)
///
/// The toolstack has its say through the backend's own folder: state 5 asks for closing, with
/// `online` 0 for good; state 7 for reconfiguring; a folder that is removed ends the device at
/// once. A frontend that hurries through states is met in the last one, and what the others stood
/// for is done then. What is not a state is counted and ignored.
///
/// A backend that finds the ring of a predecessor in use (its own state is not 1, and the
/// frontend's says that it has a ring) goes on with that ring where both are Connected and the
/// predecessor has noted what it had begun ([BackendHooks#resume]). Otherwise it does not touch the
/// ring: requests on it may have been carried out. It goes to Closed and waits until the frontend
/// starts anew.
///
/// Events only say "look again": one look is pending at most. Everything runs in the tasks of one
/// [DeviceEnd]; nothing waits but through [Timers].
public final class BackendMachine {
    private static final Logger LOG = LoggerFactory.getLogger(BackendMachine.class);

    private static final Set<XenbusState> GONE_FROM_RING =
            EnumSet.of(XenbusState.CLOSING, XenbusState.CLOSED);

    private final DevicePaths paths;
    private final BackendHooks hooks;
    private final BackendOptions options;
    private final DeviceEnd end;
    private final BackendFolder folder;
    private final CompletableFuture<Void> closed = new CompletableFuture<>();
    private volatile XenbusState state = XenbusState.INITIALISING;

    // Of the tasks of the end.
    private BackendHooks.@Nullable Connection connection;
    private int connections;
    private final ArrayDeque<Runnable> afterDisconnect = new ArrayDeque<>();
    private boolean disconnecting;
    private boolean ending; // this connection is the last
    private boolean ended;
    private final Deadline deadline;
    private final HotplugScript script;
    private final FailureLog failures;

    private BackendMachine(
            Store store,
            DevicePaths paths,
            BackendHooks hooks,
            BackendOptions options,
            Executor executor,
            Timers timers)
            throws StoreException {
        this.paths = paths;
        this.hooks = hooks;
        this.options = options;
        this.end = DeviceEnd.open(store, DeviceEnd.Side.BACKEND, paths, executor, timers);
        this.folder = new BackendFolder(store, end);
        this.deadline = new Deadline(timers, end);
        this.script = new HotplugScript(end, options);
        this.failures = new FailureLog(LOG, timers);
    }

    /// Offers the device to its frontend, and serves it whenever it connects, until closed. The
    /// toolstack has made both folders before. The first offer is made before this returns.
    ///
    /// @param store with the rights of the backend's domain; it is not closed with the machine
    /// @param executor runs everything, one task at a time
    /// @param timers the clock of deadlines
    /// @throws StoreException [StoreError#ENOENT] when there is no such device
    public static BackendMachine create(
            Store store,
            DevicePaths paths,
            BackendHooks hooks,
            BackendOptions options,
            Executor executor,
            Timers timers)
            throws StoreException {
        BackendMachine machine = new BackendMachine(store, paths, hooks, options, executor, timers);
        boolean begun = false;
        try {
            begun = machine.begin();
            if (begun) {
                machine.end.alsoWatch("state");
            }
        } finally {
            if (!begun) {
                machine.end.close();
            }
        }
        if (!begun) {
            throw new StoreException(StoreError.ENOENT, paths.backend() + "/state");
        }
        machine.end.onPeerState(machine::look);
        return machine;
    }

    /// Where the handshake stands. Any thread.
    public XenbusState state() {
        return state;
    }

    public DevicePaths paths() {
        return paths;
    }

    /// How often the frontend's state was not one. Any thread.
    public long oddStates() {
        return end.oddStates();
    }

    /// Where the rings of the connection stand, for people who look for a fault. Any thread.
    ///
    /// @return with no rings while nobody is connected; completes late or never where the device's
    ///     loop is stuck
    public CompletableFuture<RingViews> rings() {
        CompletableFuture<RingViews> answer = new CompletableFuture<>();
        end.execute(
                () -> {
                    BackendHooks.Connection open = connection;
                    if (open == null) {
                        answer.complete(RingViews.NONE);
                    } else {
                        var ignored = open.rings(end).thenAccept(answer::complete);
                    }
                });
        return answer;
    }

    /// Live reconfiguration: publishes the properties of a connected device again, with the state
    /// Connected, at which the frontend reads them. Any thread.
    public void republish() {
        end.execute(
                () -> {
                    if (state == XenbusState.CONNECTED && !ending && !disconnecting) {
                        inTask(() -> publish(XenbusState.CONNECTED));
                    }
                });
    }

    /// As [#republish], for a frontend that has to take part: Reconfiguring is shown, the
    /// properties are published when the frontend is in that state too, and Connected follows when
    /// the frontend is back there. A frontend that does not take part within the deadline gets what
    /// [#republish] does. Any thread.
    public void reconfigure() {
        end.execute(
                () -> {
                    if (state == XenbusState.CONNECTED && !ending && !disconnecting) {
                        inTask(this::beginReconfiguring);
                    }
                });
    }

    /// Closes the device: says so to the frontend, waits for it within the deadline, and stops. Any
    /// thread.
    ///
    /// @return completes when every request taken is answered, nothing is mapped, and no work is
    ///     under way
    public CompletableFuture<Void> closeAsync() {
        end.execute(
                () -> {
                    if (ending) {
                        return;
                    }
                    ending = true;
                    if (disconnecting || connection == null || !mayUseRing(frontendState())) {
                        finish(); // nobody is there to wait for
                    } else {
                        askToClose();
                    }
                });
        return closed.copy();
    }

    /// Stops without asking the frontend, whose domain is gone or which is removed by force. Any
    /// thread.
    ///
    /// @return as [#closeAsync]
    public CompletableFuture<Void> removeAsync() {
        end.execute(this::finish);
        return closed.copy();
    }

    /// Completes when the device has ended, for whatever reason: it was closed, unplugged, or its
    /// folder removed.
    public CompletableFuture<Void> whenEnded() {
        return closed.copy();
    }

    // The first step.

    private boolean begin() throws StoreException {
        Optional<XenbusState> before = folder.state();
        if (before.isEmpty()) {
            return false;
        }
        boolean used = before.get() != XenbusState.INITIALISING;
        if (before.get() == XenbusState.CONNECTED && folder.isOnline() && resume()) {
            return true;
        }
        if (!folder.isOnline() || (used && mayUseRing(frontendState()))) {
            switchTo(XenbusState.CLOSED); // the rest is done by looking
            return true;
        }
        return offer();
    }

    /// Goes on where a predecessor was, if that can be; no state changes then.
    private boolean resume() throws StoreException {
        if (frontendState() != XenbusState.CONNECTED) {
            return false;
        }
        int number = ++connections;
        try {
            Optional<BackendHooks.Connection> resumed =
                    hooks.resume(
                            end.ownKeys(),
                            end.peerKeys(),
                            reason -> end.execute(() -> broken(number, reason)));
            if (resumed.isPresent()) {
                connection = resumed.get();
                state = XenbusState.CONNECTED;
                LOG.info("{} goes on with the connection that it found", this);
            }
            return resumed.isPresent();
        } catch (HandshakeException | GrantException | EventChannelException e) {
            logFailure("cannot go on with the connection that it found: " + e.getMessage());
            return false;
        }
    }

    // Looking.

    /// Does what both folders call for. While a connection is being ended nothing is done; the
    /// newest states are looked at when that is over.
    private void look(XenbusState theirs) {
        if (ended || disconnecting) {
            return;
        }
        inTask(
                () -> {
                    if (end.storeFailure().isPresent()) {
                        finish();
                    } else if (ending) {
                        if (folder.isGone() || !mayUseRing(theirs)) {
                            finish();
                        }
                    } else if (!heardToolstack()) {
                        follow(theirs);
                    }
                });
    }

    @FunctionalInterface
    private interface Step {
        void run() throws StoreException;
    }

    private void inTask(Step step) {
        try {
            step.run();
        } catch (StoreException e) {
            logFailure("store: " + e.getMessage());
        } catch (RuntimeException e) { // a bug of ours: this device stops, and others go on
            LOG.error("{}: the handshake failed", this, e);
            disconnect(() -> refuse("internal error"));
        }
    }

    /// Does what the toolstack has written into the backend's own folder.
    ///
    /// @return whether there was such a thing
    private boolean heardToolstack() throws StoreException {
        Optional<XenbusState> own = folder.state();
        if (own.isEmpty()) {
            finish(); // removed by force; the folder is not brought back
            return true;
        }
        XenbusState told = own.get();
        boolean online = folder.isOnline();
        if (told == XenbusState.CLOSING && (state != XenbusState.CLOSING || !online)) {
            ending = !online;
            if (connection == null || !mayUseRing(frontendState())) {
                if (ending) {
                    finish();
                } else {
                    disconnect(() -> switchTo(XenbusState.CLOSED));
                }
            } else {
                askToClose();
            }
            return true;
        }
        if (state == XenbusState.CLOSED && !online) {
            finish();
            return true;
        }
        if (told == XenbusState.RECONFIGURING && state == XenbusState.CONNECTED) {
            beginReconfiguring();
            return true;
        }
        return false;
    }

    private void follow(XenbusState theirs) throws StoreException {
        switch (theirs) {
            case INITIALISING -> {
                if (connection != null) {
                    frontendLeft(XenbusState.CLOSED); // it starts anew without having closed
                } else if (state != XenbusState.INIT_WAIT) {
                    offer();
                }
            }
            case INITIALISED, CONNECTED -> {
                if (state == XenbusState.INIT_WAIT) {
                    connect();
                } else if (state == XenbusState.RECONFIGURED && theirs == XenbusState.CONNECTED) {
                    deadline.stop();
                    switchTo(XenbusState.CONNECTED);
                }
            }
            case RECONFIGURING -> {
                if (state == XenbusState.RECONFIGURING) {
                    publish(XenbusState.RECONFIGURED);
                }
            }
            case CLOSING -> {
                if (connection != null || !GONE_FROM_RING.contains(state)) {
                    frontendLeft(XenbusState.CLOSING);
                }
            }
            case CLOSED -> {
                if (connection != null || state != XenbusState.CLOSED) {
                    frontendLeft(XenbusState.CLOSED);
                }
            }
            case UNKNOWN -> {
                if (connection != null) {
                    frontendLeft(XenbusState.CLOSED); // its folder was removed
                }
            }
            case INIT_WAIT, RECONFIGURED -> {
                // Not a frontend's states: nothing to do.
            }
        }
    }

    private void frontendLeft(XenbusState answer) {
        deadline.stop();
        disconnect(() -> switchTo(answer));
    }

    /// Whether a frontend in this state may still be using a ring.
    private static boolean mayUseRing(XenbusState theirs) {
        return switch (theirs) {
            case INIT_WAIT, INITIALISED, CONNECTED, RECONFIGURING, RECONFIGURED -> true;
            case UNKNOWN, INITIALISING, CLOSING, CLOSED -> false;
        };
    }

    /// The frontend's state as the store says now.
    private XenbusState frontendState() {
        try {
            return XenbusState.parse(end.peerKeys().text("state").orElse(""));
        } catch (StoreException e) {
            return XenbusState.UNKNOWN; // it could not hear us either
        }
    }

    // Connecting.

    private boolean offer() throws StoreException {
        boolean written =
                end.publish(
                        keys -> {
                            keys.remove(paths.backendError());
                            hooks.offer(keys, paths.backend());
                        },
                        XenbusState.INIT_WAIT);
        if (written) {
            state = XenbusState.INIT_WAIT;
        }
        return written;
    }

    /// Connects to the ring at once, as Linux's backends do, so that keys which make no sense are
    /// refused at once; and shows the state Connected when the toolstack's script has done its
    /// part.
    private void connect() throws StoreException {
        if (connection == null) {
            int number = ++connections;
            try {
                connection =
                        hooks.connect(
                                end.peerKeys(),
                                reason -> end.execute(() -> broken(number, reason)));
            } catch (HandshakeException | GrantException | EventChannelException e) {
                refuse(String.valueOf(e.getMessage()));
                return;
            }
        }
        try {
            if (script.isDone()) {
                deadline.stop();
                publish(XenbusState.CONNECTED);
            } else if (!deadline.isRunning()) {
                startDeadline(script.limitNanos(), () -> scriptFailed(script.late()));
            }
        } catch (HandshakeException e) {
            scriptFailed(String.valueOf(e.getMessage()));
        }
    }

    private void scriptFailed(String reason) {
        deadline.stop();
        disconnect(() -> refuse(reason));
    }

    private void publish(XenbusState next) throws StoreException {
        Published done;
        try {
            done = end.publishUnlessToldToClose(keys -> hooks.publish(keys, paths.backend()), next);
        } catch (StoreException e) {
            disconnect(() -> refuse("store: " + e.getMessage()));
            return;
        }
        switch (done) {
            case WRITTEN -> state = next;
            case FOLDER_GONE -> finish();
            case TOLD_TO_CLOSE -> look(end.peerState());
        }
    }

    private void broken(int number, String reason) {
        if (!ended && connection != null && number == connections) {
            disconnect(() -> refuse(reason));
        }
    }

    private void beginReconfiguring() throws StoreException {
        switchTo(XenbusState.RECONFIGURING);
        startDeadline(
                options.deadline().toNanos(),
                () -> {
                    logFailure(
                            end.late(
                                    EnumSet.of(
                                            state == XenbusState.RECONFIGURING
                                                    ? XenbusState.RECONFIGURING
                                                    : XenbusState.CONNECTED),
                                    options.deadline().toNanos()));
                    publish(XenbusState.CONNECTED);
                });
    }

    // Closing.

    /// Tells the frontend, and waits for it no longer than the deadline.
    private void askToClose() {
        switchTo(XenbusState.CLOSING);
        startDeadline(
                options.deadline().toNanos(),
                () -> {
                    logFailure(end.late(GONE_FROM_RING, options.deadline().toNanos()));
                    if (ending) {
                        finish();
                    } else {
                        disconnect(() -> switchTo(XenbusState.CLOSED));
                    }
                });
    }

    /// Stops, whatever the frontend does.
    private void finish() {
        if (ended) {
            return;
        }
        ended = true;
        ending = true;
        deadline.stop();
        disconnect(
                () -> {
                    switchTo(XenbusState.CLOSED);
                    end.close();
                    try {
                        hooks.ended();
                    } finally {
                        closed.complete(null);
                    }
                });
    }

    /// Ends the connection, if there is one, and runs `then` when nothing of it is left.
    private void disconnect(Runnable then) {
        BackendHooks.Connection open = connection;
        if (open == null && !disconnecting) {
            then.run();
            return;
        }
        afterDisconnect.add(then);
        if (open != null) {
            connection = null;
            disconnecting = true;
            open.close(end, this::disconnected);
        }
    }

    private void disconnected() {
        disconnecting = false;
        while (!afterDisconnect.isEmpty()) {
            afterDisconnect.remove().run();
        }
        look(end.peerState());
    }

    // Parts.

    private void startDeadline(long limitNanos, Step late) {
        deadline.start(
                limitNanos,
                () -> {
                    if (!ended) {
                        inTask(late);
                    }
                });
    }

    private void refuse(String reason) {
        logFailure(reason);
        folder.leaveMessage(reason);
        switchTo(XenbusState.CLOSING);
    }

    private void logFailure(String reason) {
        failures.add(this, reason);
    }

    private void switchTo(XenbusState next) {
        state = next;
        try {
            end.switchTo(next);
        } catch (StoreException e) {
            LOG.debug("{}: state {}: {}", this, next, e.getMessage());
        }
    }

    @Override
    public String toString() {
        return "backend of " + paths.type() + " " + paths.frontendDomain() + "/" + paths.device();
    }
}
