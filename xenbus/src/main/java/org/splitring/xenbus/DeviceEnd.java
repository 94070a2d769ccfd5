package org.splitring.xenbus;

import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// One end of a device's handshake: it publishes its own state and hears of the peer's.
///
/// It watches one node, the peer's `state`; however often the peer writes, one look is pending at
/// most, and a look reads the newest state (a peer that hurries through states is seen in the
/// last). What is not a state is counted and ignored.
///
/// Nothing here blocks but [#await] and the store itself: with a store of the same JVM, an executor
/// of a simulation and its [Timers] it runs in one thread. Otherwise give it virtual threads
/// ([#VIRTUAL_THREADS]); its own work is done one task at a time in any case.
public final class DeviceEnd implements Executor, AutoCloseable {
    /// Which half of the device this is.
    public enum Side {
        FRONTEND,
        BACKEND;

        @Override
        public String toString() {
            return this == FRONTEND ? "frontend" : "backend";
        }
    }

    /// Hears of the peer's state, on the executor, one call at a time.
    @FunctionalInterface
    public interface PeerListener {
        /// Also called when the peer wrote the state it had (a backend that was resized does so),
        /// and now and then without a reason.
        ///
        /// @param state [XenbusState#UNKNOWN] when the peer's folder, or the store itself, is gone
        void peerState(XenbusState state);
    }

    /// What became of [#publishUnlessToldToClose].
    public enum Published {
        WRITTEN,
        FOLDER_GONE,
        TOLD_TO_CLOSE
    }

    /// A virtual thread for each piece of work.
    public static final Executor VIRTUAL_THREADS = task -> Thread.ofVirtual().start(task);

    private record Wait(
            Set<XenbusState> wanted,
            long timeoutNanos,
            CompletableFuture<XenbusState> result,
            List<Runnable> cancelTimer) {}

    private final Store store;
    private final Side side;
    private final DevicePaths paths;
    private final SerialTasks tasks;
    private final Timers timers;
    private final Object lock = new Object();
    // Guarded by lock.
    private final List<Wait> waits = new ArrayList<>();
    private final List<Watch> watches = new ArrayList<>();
    private boolean watchesOwn;
    private boolean lookPending;
    private boolean closed;
    private boolean looked;
    private long oddStates;
    private XenbusState ownState = XenbusState.UNKNOWN;
    private XenbusState peerState = XenbusState.UNKNOWN;
    private @Nullable StoreException storeFailure;
    private @Nullable PeerListener listener;

    private DeviceEnd(Store store, Side side, DevicePaths paths, Executor executor, Timers timers) {
        this.store = store;
        this.side = side;
        this.paths = paths;
        this.tasks = new SerialTasks(side + " " + folder(), executor);
        this.timers = timers;
    }

    /// Opens an end and starts watching the peer.
    ///
    /// @param store with the rights of the side's domain; it is not closed with the end
    /// @param executor runs looks and listeners
    public static DeviceEnd open(
            Store store, Side side, DevicePaths paths, Executor executor, Timers timers)
            throws StoreException {
        DeviceEnd end = new DeviceEnd(store, side, paths, executor, timers);
        end.watch(end.otherFolder() + "/state");
        return end;
    }

    private void watch(String path) throws StoreException {
        Watch watch = store.watch(path, changed -> lookLater());
        synchronized (lock) {
            if (!closed) {
                watches.add(watch);
                return;
            }
        }
        watch.close();
    }

    /// Looks also when a key of this end's own folder changes: the toolstack writes there too.
    /// Listeners then hear of the peer's state once more.
    public void alsoWatch(String ownKey) throws StoreException {
        synchronized (lock) {
            watchesOwn = true;
        }
        watch(folder() + "/" + ownKey);
    }

    /// An end on virtual threads and real time.
    public static DeviceEnd open(Store store, Side side, DevicePaths paths) throws StoreException {
        return open(store, side, paths, VIRTUAL_THREADS, Timers.system());
    }

    public Side side() {
        return side;
    }

    public DevicePaths paths() {
        return paths;
    }

    public String folder() {
        return side == Side.FRONTEND ? paths.frontend() : paths.backend();
    }

    public String otherFolder() {
        return side == Side.FRONTEND ? paths.backend() : paths.frontend();
    }

    /// Keys of the peer.
    public Keys peerKeys() {
        return new Keys(store, otherFolder());
    }

    /// Keys of this end's own folder. A guest's own folder was written by the toolstack and the
    /// guest.
    public Keys ownKeys() {
        return new Keys(store, folder());
    }

    /// The state that this end wrote last.
    public XenbusState state() {
        synchronized (lock) {
            return ownState;
        }
    }

    /// The peer's state at the last look.
    public XenbusState peerState() {
        synchronized (lock) {
            return peerState;
        }
    }

    /// Why the store did not answer at the last look: its connection is lost.
    public Optional<StoreException> storeFailure() {
        synchronized (lock) {
            return Optional.ofNullable(storeFailure);
        }
    }

    /// How often the peer's state was not one.
    public long oddStates() {
        synchronized (lock) {
            return oddStates;
        }
    }

    /// Sets who hears of the peer's state; it hears of the present one at once (on the executor).
    public void onPeerState(PeerListener peerListener) {
        synchronized (lock) {
            listener = peerListener;
        }
        lookLater();
    }

    /// Publishes a state, also the one that this end is in already (that is how a resize is told).
    ///
    /// @return `false` when this end's folder is gone; it is not brought back
    public boolean switchTo(XenbusState state) throws StoreException {
        return publish(transaction -> {}, state);
    }

    /// Writes keys and a state in one transaction, so that the peer never sees one without the
    /// others.
    ///
    /// @param keys writes into [#folder]; may run several times
    /// @return `false` when this end's folder is gone; it is not brought back
    public boolean publish(Store.TransactionBody keys, XenbusState state) throws StoreException {
        boolean written =
                store.transactionReturning(
                        transaction -> {
                            if (!exists(new Keys(transaction, folder()))) {
                                return Boolean.FALSE;
                            }
                            keys.run(transaction);
                            transaction.write(
                                    folder() + "/state", Integer.toString(state.number()));
                            return Boolean.TRUE;
                        });
        if (written) {
            synchronized (lock) {
                ownState = state;
            }
        }
        return written;
    }

    /// As [#publish], unless the toolstack has written Closing into this end's `state` meanwhile:
    /// then nothing is written, and the toolstack has its way.
    public Published publishUnlessToldToClose(Store.TransactionBody keys, XenbusState state)
            throws StoreException {
        XenbusState last = state();
        Published done =
                store.transactionReturning(
                        transaction -> {
                            Optional<String> text = new Keys(transaction, folder()).text("state");
                            if (text.isEmpty()) {
                                return Published.FOLDER_GONE;
                            }
                            if (last != XenbusState.CLOSING
                                    && XenbusState.parse(text.get()) == XenbusState.CLOSING) {
                                return Published.TOLD_TO_CLOSE;
                            }
                            keys.run(transaction);
                            transaction.write(
                                    folder() + "/state", Integer.toString(state.number()));
                            return Published.WRITTEN;
                        });
        if (done == Published.WRITTEN) {
            synchronized (lock) {
                ownState = state;
            }
        }
        return done;
    }

    private static boolean exists(Keys keys) throws StoreException {
        return keys.text("state").isPresent();
    }

    /// Completes when the peer is in one of the states, or with a [HandshakeException] when it is
    /// not in time, when the store is lost, or when this end is closed. Continuations run on the
    /// executor or on the timer's thread.
    public CompletableFuture<XenbusState> whenPeer(Set<XenbusState> wanted, Duration timeout) {
        CompletableFuture<XenbusState> result = new CompletableFuture<>();
        long timeoutNanos = timeout.toNanos();
        Wait wait = new Wait(EnumSet.copyOf(wanted), timeoutNanos, result, new ArrayList<>(1));
        synchronized (lock) {
            waits.add(wait);
        }
        Runnable cancel = timers.schedule(() -> timeOut(wait), timeoutNanos);
        synchronized (lock) {
            wait.cancelTimer().add(cancel);
        }
        lookLater();
        return result;
    }

    /// Waits for [#whenPeer]. For virtual threads; not from a listener of this end, which would
    /// wait for itself.
    public XenbusState await(Set<XenbusState> wanted, Duration timeout)
            throws HandshakeException, InterruptedException {
        try {
            return whenPeer(wanted, timeout).get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof HandshakeException failure) {
                throw new HandshakeException(String.valueOf(failure.getMessage()), failure);
            }
            throw new IllegalStateException(e.getCause());
        }
    }

    /// Stops watching; waits end with an error. States and folders stay as they are.
    @Override
    public void close() {
        List<Watch> ended;
        synchronized (lock) {
            closed = true;
            ended = List.copyOf(watches);
            watches.clear();
            listener = null;
        }
        ended.forEach(Watch::close);
        lookLater();
    }

    private void timeOut(Wait wait) {
        synchronized (lock) {
            if (!waits.remove(wait)) {
                return;
            }
        }
        String message = late(wait.wanted(), wait.timeoutNanos());
        wait.result().completeExceptionally(new HandshakeException(message));
    }

    /// Which side waited how long for what, and what it found instead.
    String late(Set<XenbusState> wanted, long timeoutNanos) {
        Side peer = side == Side.FRONTEND ? Side.BACKEND : Side.FRONTEND;
        String states =
                wanted.stream().map(XenbusState::toString).collect(Collectors.joining(" or "));
        return late(timeoutNanos, peer + " state " + states, peerState().toString());
    }

    /// The same for something that is not a state.
    String late(long timeoutNanos, String wanted, String found) {
        return side
                + " "
                + folder()
                + " waited "
                + seconds(timeoutNanos)
                + " s for "
                + wanted
                + ", it is "
                + found;
    }

    private static String seconds(long nanos) {
        return nanos % 1_000_000_000 == 0
                ? Long.toString(nanos / 1_000_000_000)
                : Double.toString(nanos / 1e9);
    }

    /// One look at most is pending, however many events come.
    private void lookLater() {
        synchronized (lock) {
            if (lookPending) {
                return;
            }
            lookPending = true;
        }
        tasks.execute(this::look);
    }

    /// Runs a task of the driver's own on the executor: never together with a look or a listener of
    /// this end, and after what was given before. Also when the end is closed. Any thread.
    @Override
    public void execute(Runnable task) {
        tasks.execute(task);
    }

    private void look() {
        synchronized (lock) {
            lookPending = false; // before the reading: what is written from here on is a new look
        }
        @Nullable XenbusState seen = null;
        boolean odd = false;
        StoreException failure = null;
        try {
            String text = store.read(otherFolder() + "/state").orElse(null);
            XenbusState parsed = text == null ? XenbusState.UNKNOWN : XenbusState.parse(text);
            odd = text != null && parsed == XenbusState.UNKNOWN;
            seen = odd ? null : parsed;
        } catch (StoreException e) {
            seen = XenbusState.UNKNOWN;
            failure = e.error() == StoreError.EACCES ? null : e; // no access: the folder is gone
        }
        PeerListener told;
        List<Wait> done = new ArrayList<>();
        XenbusState now;
        boolean ended;
        synchronized (lock) {
            if (odd) {
                oddStates++;
            }
            if (seen != null) {
                peerState = seen;
                looked = true;
            }
            storeFailure = failure;
            now = peerState;
            ended = closed;
            told = seen == null && !watchesOwn ? null : listener;
            for (Wait wait : waits) {
                if (ended || failure != null || (looked && wait.wanted().contains(now))) {
                    done.add(wait);
                }
            }
            waits.removeAll(done);
        }
        for (Wait wait : done) {
            finish(wait, now, ended);
        }
        if (told != null) {
            told.peerState(now);
        }
    }

    private void finish(Wait wait, XenbusState now, boolean ended) {
        StoreException failure;
        synchronized (lock) {
            wait.cancelTimer().forEach(Runnable::run);
            failure = storeFailure;
        }
        if (ended) {
            wait.result()
                    .completeExceptionally(
                            new HandshakeException(side + " " + folder() + " was closed"));
        } else if (failure != null) {
            wait.result()
                    .completeExceptionally(
                            new HandshakeException(
                                    side + " " + folder() + ": " + failure.getMessage(), failure));
        } else {
            wait.result().complete(now);
        }
    }
}
