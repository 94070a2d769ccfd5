package org.splitring.xenbus;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// The state machine of a device's frontend half, for every kind of device.
///
///     backend                               frontend
///     -                                     Initialising (1)
///     InitWait (2)                     ──►  Initialised (3)    hooks.prepare, publish
///     Connected (4)                    ──►  Connected (4)      connected
///     Connected (4) again              ──►  -                  changed
///     Closing (5), `online` 1          ──►  Closed (6)         pause, close; then from 1 again
///     Closing (5), `online` 0          ──►  Closed (6)         drain, close, ended
///     Closed (6), InitWait (2), gone   ──►  Initialising (1)   close; waits for a backend
///     Reconfiguring, Reconfigured      ──►  Reconfiguring, Connected      changed
///
/// A backend that still serves a predecessor of this frontend, and does not react to its new start,
/// is led through a close first: Closing, Closed, and only then Initialising.
///
/// A device that was connected once survives its backend: it waits for another for
/// [FrontendOptions#backendWait], however often it is refused meanwhile, and ends with an error
/// only
/// then, or when it is unplugged (`online` 0, or its own folder removed). When the store itself is
/// gone it waits for [#resume].
///
/// Everything runs in tasks, one at a time; events only say "look again". Nothing waits but through
/// [Timers].
public final class FrontendMachine {
    private static final Logger LOG = LoggerFactory.getLogger(FrontendMachine.class);
    private static final long FIRST_PAUSE_NANOS = 10_000_000;
    private static final long LONGEST_PAUSE_NANOS = 1_000_000_000;

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
        /// Nothing has been asked for.
        NEW,
        /// The own folder does not name a backend yet.
        FINDING,
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
        /// A connection is being closed.
        LETTING_GO,
        /// Nothing is left of a connection, and the next step begins.
        FREE,
        /// Waits a little before the next attempt.
        PAUSING,
        /// Waits for [#resume].
        SUSPENDED,
        /// The backend broke the protocol.
        BROKEN,
        ENDED
    }

    private final String type;
    private final int device;
    private final FrontendHooks hooks;
    private final FrontendOptions options;
    private final Timers timers;
    private final SerialTasks tasks;
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private volatile XenbusState state = XenbusState.INITIALISING;

    // Of the tasks.
    private GuestDomain guest;
    private Store store;
    private Phase phase = Phase.NEW;
    private int phases;
    private @Nullable Runnable cancelDeadline;
    private @Nullable Runnable cancelGrace;
    private @Nullable DeviceEnd end;
    private @Nullable Watch folderWatch;
    private FrontendHooks.@Nullable Connection connection;
    private int connections;
    private final ArrayDeque<Runnable> afterLettingGo = new ArrayDeque<>();
    private final List<CompletableFuture<Void>> ready = new ArrayList<>(1);
    private boolean wasConnected;
    private boolean closing;
    private String endReason = "closed";
    private @Nullable Runnable cancelLoss; // set while a backend is missing
    private long pauseNanos;

    private FrontendMachine(
            GuestDomain guest,
            Store store,
            String type,
            int device,
            FrontendHooks hooks,
            FrontendOptions options,
            Executor executor,
            Timers timers) {
        this.guest = guest;
        this.store = store;
        this.type = type;
        this.device = device;
        this.hooks = hooks;
        this.options = options;
        this.timers = timers;
        this.tasks = new SerialTasks("frontend of " + type + " " + device, executor);
    }

    /// Makes a machine for the device that the toolstack has made, or is about to make; nothing
    /// happens before [#connectAsync].
    ///
    /// @param store with the rights of the guest; it is not closed with the machine
    /// @param executor runs everything, one task at a time
    /// @param timers the clock of deadlines
    public static FrontendMachine create(
            GuestDomain guest,
            Store store,
            String type,
            int device,
            FrontendHooks hooks,
            FrontendOptions options,
            Executor executor,
            Timers timers) {
        return new FrontendMachine(guest, store, type, device, hooks, options, executor, timers);
    }

    /// The state that this end is in. Any thread.
    public XenbusState state() {
        return state;
    }

    /// Connects. Any thread, once.
    ///
    /// @return completes on the executor when the device can be used; with a [HandshakeException],
    ///     which says who waited for what, when it cannot, after everything has been given back
    public CompletableFuture<Void> connectAsync() {
        CompletableFuture<Void> result = new CompletableFuture<>();
        tasks.execute(
                () -> {
                    if (phase != Phase.NEW) {
                        throw new IllegalStateException(this + " was connected before");
                    }
                    ready.add(result);
                    inTask(this::find);
                });
        return result;
    }

    /// Says goodbye to the backend and gives everything back; each step takes no longer than the
    /// deadline. What is outstanding then ends with an error: the device waits for it before. Any
    /// thread.
    public CompletableFuture<Void> closeAsync() {
        tasks.execute(
                () -> {
                    if (!closing) {
                        closing = true;
                        whenFree(this::shutDown);
                    }
                });
        return ended.copy();
    }

    /// Lets go of the backend and of the store without a word to either, because they are gone, and
    /// waits for [#resume]. Any thread.
    public void suspend() {
        tasks.execute(() -> whenFree(this::suspendNow));
    }

    /// Starts anew with another backend's domain and store behind the same guest memory. Any
    /// thread; a device that has not noticed the loss yet is suspended first.
    ///
    /// @return completes when the device is connected again
    public CompletableFuture<Void> resume(GuestDomain attached, Store connected) {
        CompletableFuture<Void> result = new CompletableFuture<>();
        tasks.execute(
                () ->
                        whenFree(
                                () -> {
                                    suspendNow();
                                    whenFree(() -> resumeNow(attached, connected, result));
                                }));
        return result;
    }

    /// Completes when there will be no further connection.
    public CompletableFuture<Void> whenEnded() {
        return ended.copy();
    }

    // Finding the backend.

    private void find() throws StoreException, HandshakeException {
        Optional<DevicePaths> found = DevicePaths.find(store, type, device);
        if (found.isEmpty() && !mayWait() && !ownFolderExists()) {
            throw new HandshakeException(this + ": no such device in the store");
        }
        if (found.isEmpty()) {
            if (phase != Phase.FINDING) {
                enter(Phase.FINDING);
                startDeadline(this::notFound);
                folderWatch =
                        store.watch(
                                folder(),
                                changed -> tasks.execute(this::findAgain)); // narrow, and ours
            }
            return;
        }
        stopFinding();
        DeviceEnd opened =
                DeviceEnd.open(store, DeviceEnd.Side.FRONTEND, found.get(), tasks, timers);
        end = opened;
        start();
        opened.onPeerState(seen -> looked(opened, seen));
    }

    private void findAgain() {
        if (phase == Phase.FINDING) {
            inTask(this::find);
        }
    }

    private void notFound() {
        fail(
                this
                        + " waited "
                        + options.deadline().toMillis() / 1000.0
                        + " s for the toolstack to write backend and backend-id into "
                        + folder());
    }

    private void stopFinding() {
        Watch watch = folderWatch;
        folderWatch = null;
        if (watch != null) {
            watch.close();
        }
    }

    private boolean ownFolderExists() throws StoreException {
        return new Keys(store, folder()).text("state").isPresent();
    }

    private String folder() {
        return DevicePaths.domain(guest.id()) + "/device/" + type + "/" + device;
    }

    // Looking.

    private void looked(DeviceEnd from, XenbusState backend) {
        if (from == end) {
            look(backend);
        }
    }

    private void lookAgain() {
        DeviceEnd now = end;
        if (now != null) {
            look(now.peerState());
        }
    }

    private void look(XenbusState backend) {
        inTask(
                () -> {
                    if (end().storeFailure().isPresent()) {
                        storeLost();
                        return;
                    }
                    switch (phase) {
                        case STARTING -> starting(backend);
                        case PUBLISHED -> published(backend);
                        case CONNECTED -> connected(backend);
                        case RECONFIGURING -> reconfiguring(backend);
                        case LEAVING -> {
                            if (LET_GO.contains(backend)) {
                                lost("the backend is in state " + backend);
                            }
                        }
                        case SAID_CLOSING -> {
                            if (LETTING_GO.contains(backend)) {
                                sayClosed();
                            }
                        }
                        case SAID_CLOSED -> {
                            if (LET_GO.contains(backend)) {
                                goodbyeSaid();
                            }
                        }
                        case NEW, FREE, FINDING, LETTING_GO, PAUSING, SUSPENDED, BROKEN, ENDED -> {
                            // Not waiting for the backend.
                        }
                    }
                });
    }

    @FunctionalInterface
    private interface Step {
        void run() throws StoreException, HandshakeException, EventChannelException;
    }

    private void inTask(Step step) {
        try {
            step.run();
        } catch (StoreException e) {
            if (mayWait() && e.error() == StoreError.EIO) {
                storeLost();
            } else {
                fail(this + ": store: " + e.getMessage());
            }
        } catch (HandshakeException e) {
            fail(String.valueOf(e.getMessage()));
        } catch (EventChannelException e) {
            fail(this + ": event channel: " + e.getMessage());
        } catch (RuntimeException e) { // a bug of ours: this device ends, and others go on
            LOG.error("{}: the handshake failed", this, e);
            fail(this + ": internal error");
        }
    }

    // Connecting.

    private void start() throws StoreException {
        enter(Phase.STARTING);
        leaveMessage("");
        if (!switchTo(XenbusState.INITIALISING)) {
            removed();
            return;
        }
        if (cancelLoss == null) { // otherwise that is the bound
            startDeadline(() -> late(EnumSet.of(XenbusState.INIT_WAIT)));
        }
    }

    private void starting(XenbusState backend)
            throws StoreException, HandshakeException, EventChannelException {
        if (backend == XenbusState.INIT_WAIT) {
            offered();
        } else if (SERVING.contains(backend) && cancelGrace == null) {
            // Ours reacts to state 1; one that does not is led through a close.
            int number = phases;
            cancelGrace =
                    timers.schedule(
                            () -> tasks.execute(() -> closeBefore(number)),
                            options.deadline().toNanos() / 8);
        }
        if (backend == XenbusState.CLOSING || backend == XenbusState.CLOSED) {
            if (!isOnline()) {
                end("the device is being unplugged");
            }
        } else if (backend == XenbusState.UNKNOWN && !ownFolderExists()) {
            removed();
        }
    }

    private void closeBefore(int number) {
        DeviceEnd now = end;
        if (number == phases && now != null && SERVING.contains(now.peerState())) {
            LOG.info("{}: the backend is in state {}: closing it first", this, now.peerState());
            sayClosing();
        }
    }

    private void offered() throws StoreException, HandshakeException, EventChannelException {
        DeviceEnd now = end();
        int number = ++connections;
        FrontendHooks.Connection made =
                hooks.prepare(
                        guest,
                        now.paths(),
                        now.peerKeys(),
                        reason -> tasks.execute(() -> broken(number, reason)));
        connection = made;
        enter(Phase.PUBLISHED);
        startDeadline(() -> late(EnumSet.of(XenbusState.CONNECTED)));
        if (!now.publish(keys -> made.publish(keys, now.folder()), XenbusState.INITIALISED)) {
            removed();
            return;
        }
        state = XenbusState.INITIALISED;
    }

    private void published(XenbusState backend) throws StoreException, HandshakeException {
        switch (backend) {
            case CONNECTED -> {
                connection().connected(end().peerKeys());
                enter(Phase.CONNECTED);
                wasConnected = true;
                foundBackend();
                if (!switchTo(XenbusState.CONNECTED)) {
                    removed();
                    return;
                }
                tell(waiting -> waiting.complete(null));
            }
            case CLOSING, CLOSED ->
                    throw new HandshakeException(
                            this + ": the backend refused and is in state " + backend);
            case UNKNOWN -> {
                if (!ownFolderExists()) {
                    removed();
                } else {
                    throw new HandshakeException(this + ": the backend is gone");
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
            case CONNECTED, RECONFIGURED -> connection().changed(end().peerKeys());
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
                    lost("the backend is in state " + backend);
        }
    }

    private void reconfiguring(XenbusState backend) throws StoreException, HandshakeException {
        switch (backend) {
            case RECONFIGURED, CONNECTED -> {
                connection().changed(end().peerKeys());
                reconfigured();
            }
            case RECONFIGURING -> {
                // Not done yet.
            }
            case CLOSING -> leave();
            case CLOSED, UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED ->
                    lost("the backend is in state " + backend);
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
                            closing = true;
                            endReason = "the backend has closed for good";
                        }
                        inTask(this::sayClosed);
                    }
                };
        startDeadline(
                () -> {
                    LOG.warn("{}: still busy after {}", this, options.deadline());
                    quiet.run();
                });
        if (forGood) {
            connection().drain(tasks, quiet);
        } else {
            missBackend("the backend is closing");
            connection().pause(tasks, quiet);
        }
    }

    private void broken(int number, String reason) {
        if (number != connections || connection == null || phase == Phase.BROKEN) {
            return;
        }
        if (phase == Phase.CONNECTED || phase == Phase.RECONFIGURING || phase == Phase.LEAVING) {
            enter(Phase.BROKEN);
            LOG.warn("{}: {}", this, reason);
            DeviceEnd now = end;
            if (now != null) {
                now.fail(reason);
                state = XenbusState.CLOSING;
            }
        }
    }

    private void tell(Consumer<CompletableFuture<Void>> outcome) {
        List<CompletableFuture<Void>> waiting = List.copyOf(ready);
        ready.clear();
        waiting.forEach(outcome);
    }

    // Losing the backend.

    private void lost(String reason) {
        if (closing || options.backendWait().isZero()) {
            end(reason);
            return;
        }
        missBackend(reason);
        letGo(this::restart);
    }

    /// From now on another backend is waited for, however many steps that takes.
    private void missBackend(String reason) {
        if (cancelLoss != null) {
            return;
        }
        LOG.warn("{}: {}; waiting for another", this, reason);
        hooks.lost(reason);
        pauseNanos = FIRST_PAUSE_NANOS;
        Runnable tooLate =
                () -> {
                    if (cancelLoss != null) {
                        whenFree(
                                () -> {
                                    if (cancelLoss != null) {
                                        end(noBackend());
                                    }
                                });
                    }
                };
        cancelLoss = timers.schedule(() -> tasks.execute(tooLate), options.backendWait().toNanos());
    }

    private String noBackend() {
        DeviceEnd now = end;
        return now == null
                ? this + " found no backend within " + options.backendWait()
                : waitedSince(EnumSet.of(XenbusState.INIT_WAIT), options.backendWait());
    }

    private void foundBackend() {
        Runnable cancel = cancelLoss;
        cancelLoss = null;
        if (cancel != null) {
            cancel.run();
            LOG.info("{}: connected again", this);
        }
    }

    /// Looks for the backend anew: the toolstack may have named another one.
    private void restart() {
        inTask(
                () -> {
                    if (ownFolderExists()) {
                        closeEnd();
                        find();
                    } else {
                        removed();
                    }
                });
    }

    /// Whether the device was in use, and may be again.
    private boolean mayWait() {
        return wasConnected || cancelLoss != null;
    }

    private void storeLost() {
        if (phase == Phase.SUSPENDED || phase == Phase.ENDED) {
            return;
        }
        if (!mayWait()) {
            fail(this + ": the store is gone");
        } else if (closing) {
            end(endReason);
        } else {
            whenFree(this::suspendNow);
        }
    }

    private void suspendNow() {
        if (phase == Phase.ENDED || phase == Phase.SUSPENDED || closing) {
            return;
        }
        missBackend("suspended");
        stopFinding();
        closeEnd();
        letGo(() -> enter(Phase.SUSPENDED));
    }

    private void resumeNow(GuestDomain attached, Store connected, CompletableFuture<Void> result) {
        if (phase != Phase.SUSPENDED) {
            result.completeExceptionally(new HandshakeException(this + " has ended"));
            return;
        }
        guest = attached;
        store = connected;
        ready.add(result);
        inTask(this::find);
    }

    /// Something did not work out. A device that has lost its backend tries again, after a pause.
    private void fail(String reason) {
        if (phase == Phase.ENDED || phase == Phase.LETTING_GO) {
            return;
        }
        leaveMessage(reason);
        if (closing || !mayWait() || options.backendWait().isZero()) {
            end(reason);
            return;
        }
        missBackend(reason);
        LOG.info("{}: {}; trying again", this, reason);
        stopFinding();
        letGo(
                () -> {
                    enter(Phase.PAUSING);
                    startTimer(pauseNanos, this::again);
                    pauseNanos = Math.min(2 * pauseNanos, LONGEST_PAUSE_NANOS);
                });
    }

    private void again() throws StoreException, HandshakeException {
        DeviceEnd now = end;
        if (now == null) {
            find();
        } else if (SERVING.contains(now.peerState())) {
            sayClosed(); // one that refused us waits for that
        } else {
            restart();
        }
    }

    /// Where tools look for it; nothing takes away what was there. Not every guest may write there.
    private void leaveMessage(String reason) {
        DeviceEnd now = end;
        try {
            if (now == null || !ownFolderExists()) {
                return;
            }
            if (reason.isEmpty()) {
                store.remove(now.paths().frontendError());
            } else {
                store.write(now.paths().frontendError(), reason);
            }
        } catch (StoreException e) {
            LOG.debug("{}: error node: {}", this, e.getMessage());
        }
    }

    private void removed() {
        end("the device was removed from the store");
    }

    // Closing.

    private void shutDown() {
        switch (phase) {
            case CONNECTED, RECONFIGURING, LEAVING, PUBLISHED, BROKEN -> sayClosing();
            case SAID_CLOSING, SAID_CLOSED -> {
                // Under way.
            }
            case NEW, FREE, FINDING, STARTING, PAUSING, SUSPENDED, LETTING_GO -> end(endReason);
            case ENDED -> {
                // Done.
            }
        }
    }

    private void sayClosing() {
        inTask(
                () -> {
                    enter(Phase.SAID_CLOSING);
                    switchTo(XenbusState.CLOSING);
                    startDeadline(this::sayClosed);
                    lookAgain();
                });
    }

    private void sayClosed() throws StoreException {
        enter(Phase.SAID_CLOSED);
        switchTo(XenbusState.CLOSED);
        startDeadline(
                () -> {
                    LOG.warn("{}", waited(LET_GO));
                    goodbyeSaid();
                });
        lookAgain();
    }

    private void goodbyeSaid() {
        if (closing) {
            end(endReason);
        } else if (mayWait()) {
            lost("the backend has closed");
        } else {
            letGo(this::restart);
        }
    }

    /// The last step, from any phase.
    private void end(String reason) {
        if (phase == Phase.ENDED) {
            return;
        }
        closing = true;
        stopFinding();
        Runnable cancel = cancelLoss;
        cancelLoss = null;
        if (cancel != null) {
            cancel.run();
        }
        DeviceEnd last = end;
        if (last != null && phase != Phase.SUSPENDED) {
            try {
                switchTo(XenbusState.CLOSED);
            } catch (StoreException e) {
                LOG.debug("{}: state Closed: {}", this, e.getMessage());
            }
        }
        letGo(
                () -> {
                    enter(Phase.ENDED);
                    closeEnd();
                    hooks.ended(reason);
                    HandshakeException failure = new HandshakeException(reason);
                    tell(waiting -> waiting.completeExceptionally(failure));
                    ended.complete(null);
                });
    }

    /// Closes the connection, if there is one, and runs `then` when nothing of it is left.
    private void letGo(Runnable then) {
        FrontendHooks.Connection open = connection;
        connection = null;
        enter(Phase.LETTING_GO);
        Runnable done =
                () -> {
                    enter(Phase.FREE);
                    then.run();
                    while (phase != Phase.LETTING_GO && !afterLettingGo.isEmpty()) {
                        afterLettingGo.remove().run();
                    }
                };
        if (open == null) {
            done.run();
        } else {
            open.close(tasks, done);
        }
    }

    private void whenFree(Runnable then) {
        if (phase == Phase.LETTING_GO) {
            afterLettingGo.add(then);
        } else {
            then.run();
        }
    }

    private void closeEnd() {
        DeviceEnd last = end;
        end = null;
        if (last != null) {
            last.close();
        }
    }

    // Parts.

    private void enter(Phase next) {
        phase = next;
        phases++;
        stopTimer();
    }

    private void startDeadline(Step late) {
        startTimer(options.deadline().toNanos(), late);
    }

    private void startTimer(long delayNanos, Step task) {
        stopTimer();
        int number = phases;
        Runnable fire =
                () -> {
                    if (number == phases) {
                        inTask(task);
                    }
                };
        cancelDeadline = timers.schedule(() -> tasks.execute(fire), delayNanos);
    }

    private void stopTimer() {
        Runnable cancel = cancelDeadline;
        cancelDeadline = null;
        if (cancel != null) {
            cancel.run();
        }
        Runnable grace = cancelGrace;
        cancelGrace = null;
        if (grace != null) {
            grace.run();
        }
    }

    private void late(Set<XenbusState> wanted) throws HandshakeException {
        throw new HandshakeException(waited(wanted));
    }

    private String waited(Set<XenbusState> wanted) {
        return waitedSince(wanted, options.deadline());
    }

    private String waitedSince(Set<XenbusState> wanted, Duration time) {
        DeviceEnd now = end;
        return now == null ? this + " has no backend" : now.late(wanted, time.toNanos());
    }

    private boolean isOnline() throws StoreException {
        return !end().peerKeys().text("online").orElse("1").startsWith("0");
    }

    private boolean switchTo(XenbusState next) throws StoreException {
        state = next;
        return end().switchTo(next);
    }

    private DeviceEnd end() {
        DeviceEnd now = end;
        if (now == null) {
            throw new IllegalStateException(this + " is not in the store");
        }
        return now;
    }

    private FrontendHooks.Connection connection() {
        FrontendHooks.Connection now = connection;
        if (now == null) {
            throw new IllegalStateException(this + " is not connected");
        }
        return now;
    }

    @Override
    public String toString() {
        return "frontend " + folder();
    }
}
