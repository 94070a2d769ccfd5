package org.splitring.xenbus;

import java.time.Duration;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.store.StoreException;

/// What a frontend says to one backend and hears from it, from Initialising to Closed, with one
/// connection at most. The [FrontendMachine] has found the backend before, and decides what comes
/// after.
///
/// Used in the tasks of the machine.
final class BackendTalk {
    private static final Logger LOG = LoggerFactory.getLogger(BackendTalk.class);

    /// A backend of these states serves somebody else, or somebody we were.
    private static final Set<XenbusState> SERVING =
            EnumSet.of(
                    XenbusState.INITIALISED,
                    XenbusState.CONNECTED,
                    XenbusState.CLOSING,
                    XenbusState.RECONFIGURING,
                    XenbusState.RECONFIGURED);

    /// In these states a backend that we told of our closing has stopped using the ring, or will.
    private static final Set<XenbusState> LETTING_GO =
            EnumSet.of(
                    XenbusState.CLOSING,
                    XenbusState.CLOSED,
                    XenbusState.INIT_WAIT,
                    XenbusState.UNKNOWN);

    private static final Set<XenbusState> LET_GO =
            EnumSet.of(XenbusState.CLOSED, XenbusState.INIT_WAIT, XenbusState.UNKNOWN);

    private enum Phase {
        /// Waits for InitWait.
        STARTING,
        /// Waits for Connected.
        PUBLISHED,
        CONNECTED,
        /// The backend reconfigures the device.
        RECONFIGURING,
        /// Finishes what is on the ring, since the backend wants to go.
        LEAVING,
        /// Has said Closing and waits for the backend's.
        SAID_CLOSING,
        /// Has said Closed and waits for the backend's.
        SAID_CLOSED,
        /// Nothing more is said, unless the machine wants to say goodbye later.
        SILENT
    }

    private final FrontendMachine machine;
    private final GuestDomain guest;
    private final FrontendHooks hooks;
    private final FrontendOptions options;
    private final DeviceEnd end;
    private final Executor tasks;
    private final Deadline deadline;
    private final Deadline grace;
    private Phase phase = Phase.STARTING;
    private int phases;
    private FrontendHooks.@Nullable Connection connection;

    BackendTalk(
            FrontendMachine machine,
            GuestDomain guest,
            FrontendHooks hooks,
            FrontendOptions options,
            DeviceEnd end,
            Executor tasks,
            Timers timers) {
        this.machine = machine;
        this.guest = guest;
        this.hooks = hooks;
        this.options = options;
        this.end = end;
        this.tasks = tasks;
        this.deadline = new Deadline(timers, tasks);
        this.grace = new Deadline(timers, tasks);
    }

    DevicePaths paths() {
        return end.paths();
    }

    boolean storeIsLost() {
        return end.storeFailure().isPresent();
    }

    // Connecting.

    /// Says Initialising, and hears of the backend's states from then on.
    void start() throws StoreException {
        enter(Phase.STARTING);
        if (!switchTo(XenbusState.INITIALISING)) {
            machine.removed();
        } else if (!machine.isMissingBackend()) { // otherwise that is the bound
            startDeadline(() -> late(EnumSet.of(XenbusState.INIT_WAIT)));
        }
        end.onPeerState(seen -> machine.looked(this, seen));
    }

    /// Does what the backend's state calls for.
    void look(XenbusState backend)
            throws StoreException, HandshakeException, EventChannelException {
        switch (phase) {
            case STARTING -> starting(backend);
            case PUBLISHED -> published(backend);
            case CONNECTED -> connected(backend);
            case RECONFIGURING -> reconfiguring(backend);
            case LEAVING -> {
                if (LET_GO.contains(backend)) {
                    machine.lost("the backend is in state " + backend);
                }
            }
            case SAID_CLOSING -> {
                if (LETTING_GO.contains(backend)) {
                    sayClosed();
                }
            }
            case SAID_CLOSED -> {
                if (LET_GO.contains(backend)) {
                    machine.goodbyeSaid();
                }
            }
            case SILENT -> {
                // Not waiting for the backend.
            }
        }
    }

    private void starting(XenbusState backend)
            throws StoreException, HandshakeException, EventChannelException {
        if (backend == XenbusState.INIT_WAIT) {
            offered();
        } else if (SERVING.contains(backend) && !grace.isRunning()) {
            // Ours reacts to state 1; one that does not is led through a close.
            grace.start(options.deadline().toNanos() / 8, this::closeBefore);
        }
        if (backend == XenbusState.CLOSING || backend == XenbusState.CLOSED) {
            if (!isOnline()) {
                machine.end("the device is being unplugged");
            }
        } else if (backend == XenbusState.UNKNOWN && !machine.folderExists()) {
            machine.removed();
        }
    }

    private void closeBefore() {
        if (isBackendServing()) {
            LOG.info("{}: the backend is in state {}: closing it first", machine, end.peerState());
            sayClosing();
        }
    }

    /// Whether the backend serves somebody, who cannot be this connection.
    boolean isBackendServing() {
        return SERVING.contains(end.peerState());
    }

    private void offered() throws StoreException, HandshakeException, EventChannelException {
        FrontendHooks.Connection made =
                hooks.prepare(
                        guest,
                        end.paths(),
                        end.peerKeys(),
                        reason -> tasks.execute(() -> broken(reason)));
        connection = made;
        enter(Phase.PUBLISHED);
        startDeadline(() -> late(EnumSet.of(XenbusState.CONNECTED)));
        XenbusState state = hooks.publishedAs();
        if (!end.publish(keys -> made.publish(keys, end.folder()), state)) {
            machine.removed();
            return;
        }
        machine.said(state);
    }

    private void published(XenbusState backend) throws StoreException, HandshakeException {
        switch (backend) {
            case CONNECTED -> {
                connection().connected(end.peerKeys());
                enter(Phase.CONNECTED);
                machine.foundBackend();
                boolean saidBefore = hooks.publishedAs() == XenbusState.CONNECTED;
                if (!saidBefore && !switchTo(XenbusState.CONNECTED)) {
                    machine.removed();
                    return;
                }
                machine.ready();
            }
            case CLOSING, CLOSED ->
                    throw new HandshakeException(
                            machine + ": the backend refused and is in state " + backend);
            case UNKNOWN -> {
                if (!machine.folderExists()) {
                    machine.removed();
                } else {
                    throw new HandshakeException(machine + ": the backend is gone");
                }
            }
            case INITIALISING, INIT_WAIT, INITIALISED, RECONFIGURING, RECONFIGURED -> {
                // Not there yet.
            }
        }
    }

    // Connected.

    private void connected(XenbusState backend) throws StoreException, HandshakeException {
        switch (backend) {
            case CONNECTED, RECONFIGURED -> connection().changed(end.peerKeys());
            case RECONFIGURING -> {
                enter(Phase.RECONFIGURING);
                switchTo(XenbusState.RECONFIGURING);
                startDeadline(
                        () -> {
                            LOG.warn("{}", waited(EnumSet.of(XenbusState.RECONFIGURED)));
                            reconfigured();
                        });
            }
            case CLOSING -> leave();
            case CLOSED, UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED ->
                    machine.lost("the backend is in state " + backend);
        }
    }

    private void reconfiguring(XenbusState backend) throws StoreException, HandshakeException {
        switch (backend) {
            case RECONFIGURED, CONNECTED -> {
                connection().changed(end.peerKeys());
                reconfigured();
            }
            case RECONFIGURING -> {
                // Not done yet.
            }
            case CLOSING -> leave();
            case CLOSED, UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED ->
                    machine.lost("the backend is in state " + backend);
        }
    }

    private void reconfigured() throws StoreException {
        enter(Phase.CONNECTED);
        switchTo(XenbusState.CONNECTED);
    }

    /// The backend asks us to leave: what it has taken it will answer. Whether it comes back says
    /// the toolstack's `online`.
    private void leave() throws StoreException {
        boolean forGood = !isOnline() || options.backendWait().isZero();
        enter(Phase.LEAVING);
        int number = phases;
        Runnable quiet =
                () -> {
                    if (number == phases) {
                        if (forGood) {
                            machine.closesForGood("the backend has closed for good");
                        }
                        machine.inTask(this::sayClosed);
                    }
                };
        startDeadline(
                () -> {
                    LOG.warn("{}: still busy after {}", machine, options.deadline());
                    quiet.run();
                });
        if (forGood) {
            connection().drain(tasks, quiet);
        } else {
            machine.missBackend("the backend is closing");
            connection().pause(tasks, quiet);
        }
    }

    /// Leaves the backend because the guest is to rest: what it has taken it will answer first.
    ///
    /// @return `false` when the backend has not been given anything
    boolean rest() {
        return switch (phase) {
            case CONNECTED, RECONFIGURING -> {
                enter(Phase.LEAVING);
                int number = phases;
                Runnable quiet =
                        () -> {
                            if (number == phases) {
                                sayClosing();
                            }
                        };
                startDeadline(
                        () -> {
                            LOG.warn("{}: still busy after {}", machine, options.deadline());
                            quiet.run();
                        });
                connection().pause(tasks, quiet);
                yield true;
            }
            case PUBLISHED, LEAVING, SAID_CLOSING, SAID_CLOSED, STARTING, SILENT -> sayGoodbye();
        };
    }

    /// The backend broke the protocol. It is told so, and given the time of a goodbye in which it
    /// may stop using the pages; there is no other one after it.
    private void broken(String reason) {
        if (phase == Phase.CONNECTED || phase == Phase.RECONFIGURING || phase == Phase.LEAVING) {
            LOG.warn("{}: {}", machine, reason);
            machine.closesForGood(reason);
            machine.leaveMessage(reason);
            sayClosing();
        }
    }

    // Closing.

    /// Says goodbye when there is anything to say goodbye to.
    ///
    /// @return `false` when the backend has not been given anything
    boolean sayGoodbye() {
        return switch (phase) {
            case CONNECTED, RECONFIGURING, LEAVING, PUBLISHED -> {
                sayClosing();
                yield true;
            }
            case SAID_CLOSING, SAID_CLOSED -> true; // under way
            case STARTING, SILENT -> false;
        };
    }

    private void sayClosing() {
        machine.inTask(
                () -> {
                    enter(Phase.SAID_CLOSING);
                    switchTo(XenbusState.CLOSING);
                    startDeadline(this::sayClosed);
                    machine.looked(this, end.peerState());
                });
    }

    /// Says Closed, as a backend that has refused us waits for.
    void sayClosed() throws StoreException {
        enter(Phase.SAID_CLOSED);
        switchTo(XenbusState.CLOSED);
        startDeadline(
                () -> {
                    LOG.warn("{}", waited(LET_GO));
                    machine.goodbyeSaid();
                });
        machine.looked(this, end.peerState());
    }

    /// Writes Closed, and waits for nobody.
    void lastWord() {
        try {
            switchTo(XenbusState.CLOSED);
        } catch (StoreException e) {
            LOG.debug("{}: state Closed: {}", machine, e.getMessage());
        }
    }

    /// Falls silent: closes the connection, if there is one, and runs `closed` when nothing of it
    /// is left.
    void letGo(Runnable closed) {
        enter(Phase.SILENT);
        FrontendHooks.Connection open = connection;
        connection = null;
        if (open == null) {
            closed.run();
        } else {
            open.close(tasks, closed);
        }
    }

    /// Hears nothing any more.
    void close() {
        end.close();
    }

    // Parts.

    private void enter(Phase next) {
        phase = next;
        phases++;
        deadline.stop();
        grace.stop();
    }

    private void startDeadline(FrontendMachine.Step late) {
        deadline.start(options.deadline().toNanos(), () -> machine.inTask(late));
    }

    private void late(Set<XenbusState> wanted) throws HandshakeException {
        throw new HandshakeException(waited(wanted));
    }

    private String waited(Set<XenbusState> wanted) {
        return end.late(wanted, options.deadline().toNanos());
    }

    /// That no backend has offered the device for so long.
    String noOffer(Duration time) {
        return end.late(EnumSet.of(XenbusState.INIT_WAIT), time.toNanos());
    }

    private boolean isOnline() throws StoreException {
        return !end.peerKeys().text("online").orElse("1").startsWith("0");
    }

    private boolean switchTo(XenbusState next) throws StoreException {
        machine.said(next);
        return end.switchTo(next);
    }

    private FrontendHooks.Connection connection() {
        FrontendHooks.Connection now = connection;
        if (now == null) {
            throw new IllegalStateException(machine + " is not connected");
        }
        return now;
    }
}
