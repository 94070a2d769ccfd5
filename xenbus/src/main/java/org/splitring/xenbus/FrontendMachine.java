package org.splitring.xenbus;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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

/// The state machine of a device's frontend half, for every kind of device.
///
///     backend                               frontend
///     -                                     Initialising (1)
///     InitWait (2)                     ──►  Initialised (3)    hooks.prepare, publish;
///                                           or Connected (4) at once: hooks.publishedAs
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
/// only then, or when it is unplugged (`online` 0, or its own folder removed). When the store
/// itself is gone it waits for [#resume]; when the guest is to rest it closes in order, and waits
/// for that as long as it takes ([#rest]).
///
/// This class finds backends, one after the other, and outlives them; what is said to one of them
/// is in [BackendTalk].
///
/// Everything runs in tasks, one at a time; events only say "look again". Nothing waits but through
/// [Timers].
public final class FrontendMachine {
    private static final Logger LOG = LoggerFactory.getLogger(FrontendMachine.class);

    private enum Phase {
        /// Nothing has been asked for.
        NEW,
        /// The own folder does not name a backend yet.
        FINDING,
        /// A backend is there: [BackendTalk] has its phases.
        TALKING,
        /// A connection is being closed.
        LETTING_GO,
        /// Nothing is left of a connection, and the next step begins.
        FREE,
        /// Waits a little before the next attempt.
        PAUSING,
        /// Waits for [#resume].
        SUSPENDED,
        ENDED
    }

    /// A piece of the handshake; what it throws ends up with the device, not with the caller.
    @FunctionalInterface
    interface Step {
        void run() throws StoreException, HandshakeException, EventChannelException;
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
    private final Deadline deadline;
    private final BackendLoss loss;
    private GuestDomain guest;
    private FrontendFolder folder;
    private Phase phase = Phase.NEW;
    private @Nullable BackendTalk talk;
    private final ArrayDeque<Runnable> afterLettingGo = new ArrayDeque<>();
    private final List<CompletableFuture<Void>> ready = new ArrayList<>(1);
    private final List<CompletableFuture<Void>> atRest = new ArrayList<>(1);
    private boolean wasConnected;
    private boolean resting; // until resume
    private boolean closing;
    private String endReason = "closed";

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
        this.type = type;
        this.device = device;
        this.hooks = hooks;
        this.options = options;
        this.timers = timers;
        this.folder = new FrontendFolder(store, type, device);
        this.tasks = new SerialTasks("frontend of " + type + " " + device, executor);
        this.deadline = new Deadline(timers, tasks);
        this.loss = new BackendLoss(options, timers, tasks);
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

    /// Lets go of the backend in order: puts nothing more on the rings, waits for what is on them,
    /// says Closing and Closed; and then waits for [#resume], without a bound. What was not on the
    /// rings yet, and what is asked for meanwhile, waits with the device. Any thread.
    ///
    /// @return completes when nothing of the connection is left, or the device has ended
    public CompletableFuture<Void> rest() {
        CompletableFuture<Void> result = new CompletableFuture<>();
        tasks.execute(() -> whenFree(() -> restNow(result)));
        return result;
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

    private void find() throws StoreException, HandshakeException, EventChannelException {
        Optional<DevicePaths> found = folder.find();
        if (found.isEmpty() && !mayWait() && !folder.exists()) {
            throw new HandshakeException(this + ": no such device in the store");
        }
        if (found.isEmpty()) {
            if (phase != Phase.FINDING) {
                enter(Phase.FINDING);
                deadline.start(options.deadline().toNanos(), this::notFound);
                folder.watch(() -> tasks.execute(this::findAgain));
            }
            return;
        }
        folder.stopWatching();
        DeviceEnd end =
                DeviceEnd.open(folder.store(), DeviceEnd.Side.FRONTEND, found.get(), tasks, timers);
        BackendTalk opened = new BackendTalk(this, guest, hooks, options, end, tasks, timers);
        talk = opened;
        enter(Phase.TALKING);
        leaveMessage("");
        opened.start();
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
                        + folder.path());
    }

    /// Whether the toolstack has not removed the device.
    boolean folderExists() throws StoreException {
        return folder.exists();
    }

    // Talking to it.

    /// A backend's state is to be looked at: the one that is talked to, not one before.
    void looked(BackendTalk from, XenbusState backend) {
        if (from != talk) {
            return;
        }
        inTask(
                () -> {
                    if (from.storeIsLost()) {
                        storeLost();
                    } else if (phase == Phase.TALKING) {
                        from.look(backend);
                    }
                });
    }

    /// Runs a step; its failure is this device's.
    void inTask(Step step) {
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

    /// A state is being written.
    void said(XenbusState next) {
        state = next;
    }

    /// The device is connected: whoever waited for that may use it.
    void ready() {
        tell(waiting -> waiting.complete(null));
    }

    private void tell(Consumer<CompletableFuture<Void>> outcome) {
        List<CompletableFuture<Void>> waiting = List.copyOf(ready);
        ready.clear();
        waiting.forEach(outcome);
    }

    // Losing it.

    /// The backend is gone without a goodbye.
    void lost(String reason) {
        if (resting && !closing) {
            suspendNow();
            return;
        }
        if (closing || options.backendWait().isZero()) {
            end(reason);
            return;
        }
        missBackend(reason);
        letGo(this::restart);
    }

    /// From now on another backend is waited for, however many steps that takes.
    void missBackend(String reason) {
        if (loss.isWaiting()) {
            return;
        }
        LOG.warn("{}: {}; waiting for another", this, reason);
        hooks.lost(reason);
        loss.begin(
                () ->
                        whenFree(
                                () -> {
                                    if (loss.isWaiting()) {
                                        end(noBackend());
                                    }
                                }));
    }

    boolean isMissingBackend() {
        return loss.isWaiting();
    }

    private String noBackend() {
        BackendTalk now = talk;
        return now == null
                ? this + " found no backend within " + options.backendWait()
                : now.noOffer(options.backendWait());
    }

    /// The device is in use.
    void foundBackend() {
        wasConnected = true;
        if (loss.isWaiting()) {
            loss.stop();
            LOG.info("{}: connected again", this);
        }
    }

    /// Looks for the backend anew: the toolstack may have named another one.
    private void restart() {
        inTask(
                () -> {
                    if (folder.exists()) {
                        closeTalk();
                        find();
                    } else {
                        removed();
                    }
                });
    }

    /// Whether the device was in use, and may be again.
    private boolean mayWait() {
        return wasConnected || loss.isWaiting();
    }

    private void storeLost() {
        if (phase == Phase.SUSPENDED || phase == Phase.ENDED) {
            return;
        }
        if (!mayWait()) {
            fail(this + ": the store is gone");
        } else {
            whenFree(this::endOrSuspend);
        }
    }

    private void endOrSuspend() {
        if (closing) {
            end(endReason);
        } else {
            suspendNow();
        }
    }

    private void restNow(CompletableFuture<Void> result) {
        if (phase == Phase.ENDED || phase == Phase.SUSPENDED || phase == Phase.NEW || closing) {
            resting = phase == Phase.SUSPENDED;
            loss.stop();
            result.complete(null);
            return;
        }
        atRest.add(result);
        if (resting) {
            return; // under way
        }
        resting = true;
        loss.stop();
        hooks.lost("the guest is to rest");
        BackendTalk now = talk;
        if (phase != Phase.TALKING || now == null || !now.rest()) {
            suspendNow();
        }
    }

    private void isAtRest() {
        List<CompletableFuture<Void>> waiting = List.copyOf(atRest);
        atRest.clear();
        waiting.forEach(each -> each.complete(null));
    }

    private void suspendNow() {
        if (phase == Phase.ENDED || phase == Phase.SUSPENDED || closing) {
            return;
        }
        if (!resting) {
            missBackend("suspended");
        }
        folder.stopWatching();
        BackendTalk last = talk;
        talk = null;
        if (last != null) {
            last.close();
        }
        letGo(
                last,
                () -> {
                    enter(Phase.SUSPENDED);
                    isAtRest();
                });
    }

    private void resumeNow(GuestDomain attached, Store connected, CompletableFuture<Void> result) {
        if (phase != Phase.SUSPENDED) {
            result.completeExceptionally(new HandshakeException(this + " has ended"));
            return;
        }
        resting = false;
        guest = attached;
        folder = new FrontendFolder(connected, type, device);
        ready.add(result);
        inTask(this::find);
    }

    /// Something did not work out. A device that has lost its backend tries again, after a pause.
    private void fail(String reason) {
        if (phase == Phase.ENDED || phase == Phase.LETTING_GO) {
            return;
        }
        leaveMessage(reason);
        if (resting && !closing) {
            suspendNow();
            return;
        }
        if (closing || !mayWait() || options.backendWait().isZero()) {
            end(reason);
            return;
        }
        missBackend(reason);
        LOG.info("{}: {}; trying again", this, reason);
        folder.stopWatching();
        letGo(
                () -> {
                    enter(Phase.PAUSING);
                    deadline.start(loss.nextPauseNanos(), () -> inTask(this::again));
                });
    }

    private void again() throws StoreException, HandshakeException, EventChannelException {
        BackendTalk now = talk;
        if (now == null) {
            find();
        } else if (now.isBackendServing()) {
            enter(Phase.TALKING);
            now.sayClosed(); // one that refused us waits for that
        } else {
            restart();
        }
    }

    /// Leaves a message in the device's error node, or takes it away when it is empty.
    void leaveMessage(String reason) {
        BackendTalk now = talk;
        if (now != null) {
            folder.leaveMessage(now.paths(), reason);
        }
    }

    /// The toolstack has taken the device away.
    void removed() {
        end("the device was removed from the store");
    }

    // Closing.

    private void shutDown() {
        BackendTalk now = talk;
        if (phase != Phase.TALKING || now == null || !now.sayGoodbye()) {
            end(endReason);
        }
    }

    /// What is said now is the last: the backend will not come back.
    void closesForGood(String reason) {
        closing = true;
        endReason = reason;
    }

    /// Both sides have said Closed, or the backend has had its time.
    void goodbyeSaid() {
        if (closing) {
            end(endReason);
        } else if (resting || mayWait()) {
            lost("the backend has closed");
        } else {
            letGo(this::restart);
        }
    }

    /// The last step, from any phase.
    void end(String reason) {
        if (phase == Phase.ENDED) {
            return;
        }
        closing = true;
        folder.stopWatching();
        loss.stop();
        BackendTalk last = talk;
        if (last != null) {
            last.lastWord();
        }
        letGo(
                () -> {
                    enter(Phase.ENDED);
                    closeTalk();
                    hooks.ended(reason);
                    HandshakeException failure = new HandshakeException(reason);
                    tell(waiting -> waiting.completeExceptionally(failure));
                    isAtRest();
                    ended.complete(null);
                });
    }

    private void letGo(Runnable then) {
        letGo(talk, then);
    }

    /// Closes the connection, if there is one, and runs `then` when nothing of it is left.
    private void letGo(@Nullable BackendTalk last, Runnable then) {
        enter(Phase.LETTING_GO);
        Runnable done =
                () -> {
                    enter(Phase.FREE);
                    then.run();
                    while (phase != Phase.LETTING_GO && !afterLettingGo.isEmpty()) {
                        afterLettingGo.remove().run();
                    }
                };
        if (last == null) {
            done.run();
        } else {
            last.letGo(done);
        }
    }

    private void whenFree(Runnable then) {
        if (phase == Phase.LETTING_GO) {
            afterLettingGo.add(then);
        } else {
            then.run();
        }
    }

    private void closeTalk() {
        BackendTalk last = talk;
        talk = null;
        if (last != null) {
            last.close();
        }
    }

    private void enter(Phase next) {
        phase = next;
        deadline.stop();
    }

    @Override
    public String toString() {
        return "frontend " + folder.path();
    }
}
