package org.splitring.blkback;

import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.wire.BlkifInfo;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;

/// Serves one vbd of one guest from a disk: lifecycle and handshake.
///
///     frontend                                backend
///     Initialising (1)                        InitWait (2)      features are published
///     Initialised (3) or Connected (4)   ──►  Connected (4)     ring mapped, port bound, size told
///     Closing (5), Closed (6), gone      ──►  Closed (6)        answered, unmapped
///     Initialising (1) again             ──►  InitWait (2)      while `online` is 1
///     a broken ring, a refused handshake ──►  Closing (5)       until the frontend closes
///
/// The lifecycle runs in the tasks of a [DeviceEnd], one at a time: events only say "look again".
/// The ring belongs to the loop; the two meet in [VbdConnection].
public final class VbdBackend implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(VbdBackend.class);

    /// A guest can make its device fail as often as it likes; the log shows one line in this time.
    private static final long LOG_INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final DriverDomain domain;
    private final Store store;
    private final DomId frontend;
    private final DevicePaths paths;
    private final DiskImage disk;
    private final DeviceLoop loop;
    private final VbdBackendOptions options;
    private final VbdCounters counters = new VbdCounters();
    private final Consumer<DiskFailure> diskFailed = this::diskFailed;

    private final Timers timers;
    private final DeviceEnd end;
    private final CompletableFuture<Void> closed = new CompletableFuture<>();
    private volatile XenbusState state = XenbusState.INITIALISING;

    // Of the tasks of the end.
    private @Nullable VbdConnection connection;
    private final ArrayDeque<Runnable> afterDisconnect = new ArrayDeque<>();
    private boolean disconnecting;
    private boolean closing;
    private boolean ended;
    private @Nullable Runnable cancelDeadline;
    private long lastLogNanos;
    private long unloggedFailures;

    private VbdBackend(
            DriverDomain domain,
            Store store,
            DevicePaths paths,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            Executor control,
            Timers timers)
            throws StoreException {
        this.domain = domain;
        this.store = store;
        this.frontend = paths.frontendDomain();
        this.paths = paths;
        this.disk = disk;
        this.loop = loop;
        this.options = options;
        this.timers = timers;
        this.lastLogNanos = timers.nanoTime() - LOG_INTERVAL_NANOS;
        this.end = DeviceEnd.open(store, DeviceEnd.Side.BACKEND, paths, control, timers);
    }

    /// Offers the disk to a frontend and serves it whenever the frontend connects, until closed.
    /// The toolstack has made both folders before.
    ///
    /// @param disk stays the caller's: close it after the backend
    /// @param loop owns the ring
    public static VbdBackend create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options)
            throws StoreException {
        return create(
                domain,
                store,
                frontend,
                virtualDevice,
                disk,
                loop,
                options,
                DeviceEnd.VIRTUAL_THREADS,
                Timers.system());
    }

    /// As above, with everything passed in that runs or waits: nothing here blocks but [#close] and
    /// [#frontendGone], and [#closeAsync] stands for both where nobody may wait.
    ///
    /// @param control runs the lifecycle, one task at a time
    /// @param timers the clock of deadlines
    public static VbdBackend create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            Executor control,
            Timers timers)
            throws StoreException {
        DevicePaths paths = DevicePaths.vbd(frontend, domain.id(), virtualDevice);
        VbdBackend backend =
                new VbdBackend(domain, store, paths, disk, loop, options, control, timers);
        boolean offered = false;
        try {
            offered = backend.offer();
        } finally {
            if (!offered) {
                backend.end.close();
            }
        }
        if (!offered) {
            throw new StoreException(StoreError.ENOENT, paths.backend() + "/state");
        }
        backend.end.onPeerState(backend::look);
        disk.onFailure(backend.diskFailed);
        return backend;
    }

    /// Where the handshake stands. Any thread.
    public XenbusState state() {
        return state;
    }

    /// What the device has done since it was created. Any thread.
    public VbdMetrics metrics() {
        return counters.snapshot();
    }

    /// The disk behind it.
    public DiskImage disk() {
        return disk;
    }

    /// The frontend's domain is gone: stops without asking it. When this returns no page of it is
    /// mapped and no disk operation is under way. Not on the loop.
    public void frontendGone() {
        end.execute(this::finish);
        closed.join(); // without a bound, as VbdConnection says
    }

    /// Closes the device: says so to the frontend, waits for it within the deadline, and stops.
    /// When this returns every request taken is answered, nothing is mapped, and no disk operation
    /// is under way. Not on the loop.
    @Override
    public void close() {
        closeAsync().join();
    }

    /// Begins what [#close] does, and completes when that would return. Any thread.
    public CompletableFuture<Void> closeAsync() {
        end.execute(
                () -> {
                    if (closing) {
                        return;
                    }
                    closing = true;
                    if (disconnecting || connection == null || !isServed()) {
                        finish(); // nobody is there to wait for
                        return;
                    }
                    cancelDeadline =
                            timers.schedule(
                                    () -> end.execute(this::frontendIsLate),
                                    options.deadline().toNanos());
                    switchTo(XenbusState.CLOSING);
                });
        return closed.copy();
    }

    /// Whether the frontend takes part in the connection, as far as the store says now.
    private boolean isServed() {
        try {
            XenbusState theirs =
                    XenbusState.parse(store.read(paths.frontend() + "/state").orElse(""));
            return staysConnected(theirs);
        } catch (StoreException e) {
            return false; // it could not hear us either
        }
    }

    /// Whether a frontend in this state may still be using a ring.
    private static boolean staysConnected(XenbusState theirs) {
        return switch (theirs) {
            case INIT_WAIT, INITIALISED, CONNECTED, RECONFIGURING, RECONFIGURED -> true;
            case UNKNOWN, INITIALISING, CLOSING, CLOSED -> false;
        };
    }

    private void frontendIsLate() {
        if (!ended) {
            LOG.warn("{}: the frontend did not close within {}", this, options.deadline());
            finish();
        }
    }

    /// Stops, whatever the frontend does.
    private void finish() {
        if (ended) {
            return;
        }
        ended = true;
        closing = true;
        Runnable cancel = cancelDeadline;
        if (cancel != null) {
            cancel.run();
        }
        disk.removeFailureListener(diskFailed);
        disconnect(
                () -> {
                    switchTo(XenbusState.CLOSED);
                    end.close();
                    closed.complete(null);
                });
    }

    /// Does what the frontend's state calls for. While a connection is being ended nothing is done;
    /// the newest state is looked at when that is over.
    private void look(XenbusState theirs) {
        if (ended || disconnecting) {
            return;
        }
        if (closing) {
            if (!staysConnected(theirs)) {
                finish();
            }
            return;
        }
        try {
            switch (theirs) {
                case INITIALISING -> {
                    if (connection != null) {
                        frontendCloses(); // it starts anew without having closed
                    } else if (state != XenbusState.INIT_WAIT && isOnline()) {
                        offer();
                    }
                }
                case INITIALISED, CONNECTED -> {
                    if (state == XenbusState.INIT_WAIT) {
                        connect();
                    }
                }
                case CLOSING, CLOSED -> frontendCloses();
                case UNKNOWN -> {
                    if (connection != null) {
                        frontendCloses(); // its folder was removed
                    }
                }
                case INIT_WAIT, RECONFIGURING, RECONFIGURED -> {
                    // Not for a vbd's frontend: nothing to do.
                }
            }
        } catch (StoreException e) {
            logFailure("store: " + e.getMessage());
        } catch (RuntimeException e) { // a bug of ours: this device stops, and others go on
            LOG.error("{}: the handshake failed", this, e);
            disconnect(() -> refuse("internal error"));
        }
    }

    private boolean isOnline() throws StoreException {
        return !store.read(paths.backend() + "/online").orElse("1").startsWith("0");
    }

    private void frontendCloses() {
        disconnect(() -> switchTo(XenbusState.CLOSED));
    }

    /// Publishes what can be negotiated, and waits for the frontend.
    ///
    /// @return `false` when there is no such device in the store
    private boolean offer() throws StoreException {
        String folder = paths.backend();
        boolean written =
                end.publish(
                        nodes -> {
                            nodes.write(folder + "/feature-flush-cache", "1");
                            nodes.write(
                                    folder + "/max-ring-page-order",
                                    Integer.toString(options.maxRingPageOrder()));
                            nodes.write(
                                    folder + "/max-ring-pages",
                                    Integer.toString(1 << options.maxRingPageOrder()));
                        },
                        XenbusState.INIT_WAIT);
        if (written) {
            state = XenbusState.INIT_WAIT;
        }
        return written;
    }

    private void connect() throws StoreException {
        try {
            FrontendNodes nodes =
                    FrontendNodes.read(store, paths.frontend(), options.maxRingPageOrder());
            connection =
                    VbdConnection.open(
                            domain, frontend, nodes, disk, loop, options, counters, this::broken);
        } catch (FrontendNodes.UnusableException | GrantException | EventChannelException e) {
            refuse(String.valueOf(e.getMessage()));
            return;
        }
        boolean published = false;
        try {
            published = publishDisk();
        } finally {
            if (!published) {
                disconnect(() -> switchTo(XenbusState.CLOSED));
            }
        }
        if (published) {
            state = XenbusState.CONNECTED;
        }
    }

    private boolean publishDisk() throws StoreException {
        String folder = paths.backend();
        return end.publish(
                nodes -> {
                    nodes.write(folder + "/sectors", Long.toString(disk.sizeSectors()));
                    nodes.write(folder + "/sector-size", Integer.toString(DiskImage.SECTOR_SIZE));
                    nodes.write(
                            folder + "/physical-sector-size",
                            Integer.toString(DiskImage.SECTOR_SIZE));
                    nodes.write(
                            folder + "/info",
                            Integer.toString(disk.readOnly() ? BlkifInfo.READONLY : 0));
                    nodes.write(folder + "/cache-mode", disk.mode().label());
                },
                XenbusState.CONNECTED);
    }

    /// Ends the connection, if there is one, and runs `then` when nothing of it is left.
    private void disconnect(Runnable then) {
        VbdConnection open = connection;
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

    /// Called on the loop, which must not wait: the lifecycle is told. It hears of this before it
    /// hears that the connection has ended, so never during the next one.
    private void broken(Throwable cause) {
        end.execute(
                () -> {
                    if (!ended && connection != null) {
                        disconnect(() -> refuse("ring: " + cause.getMessage()));
                    }
                });
    }

    private void refuse(String reason) {
        logFailure(reason);
        try {
            store.write(paths.backendError(), reason);
        } catch (StoreException e) {
            LOG.debug("{}: error node: {}", this, e.getMessage());
        }
        switchTo(XenbusState.CLOSING);
    }

    private void logFailure(String reason) {
        long now = timers.nanoTime();
        if (now - lastLogNanos < LOG_INTERVAL_NANOS) {
            unloggedFailures++;
            return;
        }
        lastLogNanos = now;
        if (unloggedFailures > 0) {
            LOG.warn("{}: {} ({} more failures before)", this, reason, unloggedFailures);
            unloggedFailures = 0;
        } else {
            LOG.warn("{}: {}", this, reason);
        }
    }

    private void switchTo(XenbusState next) {
        state = next;
        try {
            end.switchTo(next);
        } catch (StoreException e) {
            LOG.debug("{}: state {}: {}", this, next, e.getMessage());
        }
    }

    private void diskFailed(DiskFailure failure) {
        end.execute(
                () -> {
                    try {
                        store.write(paths.backend() + "/disk-failure", failure.toString());
                    } catch (StoreException e) {
                        LOG.debug("{}: disk-failure: {}", this, e.getMessage());
                    }
                });
    }

    @Override
    public String toString() {
        return "vbd " + frontend + "/" + paths.device();
    }
}
