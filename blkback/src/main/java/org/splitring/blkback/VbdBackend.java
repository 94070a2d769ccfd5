package org.splitring.blkback;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
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
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// Serves one vbd of one guest from a disk: lifecycle and handshake.
///
///     frontend                                backend
///     Initialising (1)                        InitWait (2)      features are published
///     Initialised (3) or Connected (4)   ──►  Connected (4)     ring mapped, port bound, size told
///     Closing (5), Closed (6), gone      ──►  Closed (6)        answered, unmapped
///     Initialising (1) again             ──►  InitWait (2)      while `online` is 1
///     a broken ring, a refused handshake ──►  Closing (5)       until the frontend closes
///
/// One virtual thread at a time runs the lifecycle, straight through: events only say "look again".
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

    private final ExecutorService control =
            Executors.newSingleThreadExecutor(Thread.ofVirtual().name("vbd-backend").factory());
    private final AtomicBoolean lookQueued = new AtomicBoolean();
    private final CompletableFuture<Void> frontendClosed = new CompletableFuture<>();
    private volatile XenbusState state = XenbusState.INITIALISING;

    // Of the control thread.
    private @Nullable Watch watch;
    private @Nullable VbdConnection connection;
    private boolean closing;
    private boolean ended;
    private long lastLogNanos = System.nanoTime() - LOG_INTERVAL_NANOS;
    private long unloggedFailures;

    private VbdBackend(
            DriverDomain domain,
            Store store,
            DevicePaths paths,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options) {
        this.domain = domain;
        this.store = store;
        this.frontend = paths.frontendDomain();
        this.paths = paths;
        this.disk = disk;
        this.loop = loop;
        this.options = options;
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
        DevicePaths paths = DevicePaths.vbd(frontend, domain.id(), virtualDevice);
        VbdBackend backend = new VbdBackend(domain, store, paths, disk, loop, options);
        try {
            backend.offer();
            backend.watch = store.watch(paths.frontend() + "/state", path -> backend.lookSoon());
            disk.onFailure(backend.diskFailed);
            return backend;
        } catch (StoreException e) {
            backend.control.shutdown();
            throw e;
        }
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
        end();
    }

    /// Closes the device: says so to the frontend, waits for it within the deadline, and stops.
    /// When this returns every request taken is answered, nothing is mapped, and no disk operation
    /// is under way. Not on the loop.
    @Override
    public void close() {
        onControl(
                () -> {
                    closing = true;
                    if (connection == null) {
                        frontendClosed.complete(null);
                    } else {
                        switchTo(XenbusState.CLOSING);
                    }
                });
        try {
            frontendClosed.get(options.deadline().toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            LOG.warn("{}: the frontend did not close within {}", this, options.deadline());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // go on without waiting
        } catch (ExecutionException e) {
            throw new IllegalStateException(e); // never completed with one
        }
        end();
    }

    private void end() {
        onControl(
                () -> {
                    if (ended) {
                        return;
                    }
                    ended = true;
                    closing = true;
                    disk.removeFailureListener(diskFailed);
                    Watch open = watch;
                    if (open != null) {
                        open.close();
                    }
                    disconnect();
                    switchTo(XenbusState.CLOSED);
                });
        control.shutdown();
    }

    /// Runs a step of the lifecycle and waits for it.
    private void onControl(Runnable step) {
        try {
            CompletableFuture.runAsync(step, control).join();
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: ended already", this);
        }
    }

    private void lookSoon() {
        if (lookQueued.compareAndSet(false, true)) {
            try {
                control.execute(this::look);
            } catch (RejectedExecutionException e) {
                LOG.trace("{}: ended", this);
            }
        }
    }

    /// Looks at the frontend's state and does what it calls for. However often the frontend
    /// changes it, there is one look queued at most.
    private void look() {
        lookQueued.set(false);
        if (ended) {
            return;
        }
        try {
            XenbusState theirs =
                    XenbusState.parse(store.read(paths.frontend() + "/state").orElse(""));
            switch (theirs) {
                case INITIALISING -> {
                    if (connection != null) {
                        frontendCloses(); // it starts anew without having closed
                    }
                    if (!closing && isOnline() && state != XenbusState.INIT_WAIT) {
                        offer();
                    }
                }
                case INITIALISED, CONNECTED -> {
                    if (state == XenbusState.INIT_WAIT && !closing) {
                        connect();
                    }
                }
                case CLOSING, CLOSED -> frontendCloses();
                case UNKNOWN -> {
                    if (connection != null) {
                        frontendCloses(); // its folder was removed, or its state is nonsense
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
            disconnect();
            refuse("internal error");
        }
    }

    private boolean isOnline() throws StoreException {
        return !store.read(paths.backend() + "/online").orElse("1").startsWith("0");
    }

    private void frontendCloses() {
        disconnect();
        switchTo(XenbusState.CLOSED);
        if (closing) {
            frontendClosed.complete(null);
        }
    }

    /// Publishes what can be negotiated, and waits for the frontend.
    private void offer() throws StoreException {
        String folder = paths.backend();
        store.transaction(
                nodes -> {
                    nodes.write(folder + "/feature-flush-cache", "1");
                    nodes.write(
                            folder + "/max-ring-page-order",
                            Integer.toString(options.maxRingPageOrder()));
                    nodes.write(
                            folder + "/max-ring-pages",
                            Integer.toString(1 << options.maxRingPageOrder()));
                    nodes.write(folder + "/state", number(XenbusState.INIT_WAIT));
                });
        state = XenbusState.INIT_WAIT;
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
        try {
            publishDisk();
        } catch (StoreException e) {
            disconnect();
            throw e;
        }
        state = XenbusState.CONNECTED;
    }

    private void publishDisk() throws StoreException {
        String folder = paths.backend();
        store.transaction(
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
                    nodes.write(folder + "/state", number(XenbusState.CONNECTED));
                });
    }

    /// Ends the connection, if there is one; afterwards nothing of it is left.
    private void disconnect() {
        VbdConnection open = connection;
        if (open != null) {
            connection = null;
            open.close();
        }
    }

    /// Called on the loop, which must not wait: the lifecycle is told.
    private void broken(Throwable cause) {
        try {
            control.execute(
                    () -> {
                        if (!ended && connection != null) {
                            disconnect();
                            refuse("ring: " + cause.getMessage());
                        }
                    });
        } catch (RejectedExecutionException e) {
            LOG.trace("{}: ended", this);
        }
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
        long now = System.nanoTime();
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
            store.write(paths.backend() + "/state", number(next));
        } catch (StoreException e) {
            LOG.debug("{}: state {}: {}", this, next, e.getMessage());
        }
    }

    private void diskFailed(DiskFailure failure) {
        try {
            control.execute(
                    () -> {
                        try {
                            store.write(paths.backend() + "/disk-failure", failure.toString());
                        } catch (StoreException e) {
                            LOG.debug("{}: disk-failure: {}", this, e.getMessage());
                        }
                    });
        } catch (RejectedExecutionException e) {
            LOG.trace("{}: ended", this);
        }
    }

    private static String number(XenbusState state) {
        return Integer.toString(state.number());
    }

    @Override
    public String toString() {
        return "vbd " + frontend + "/" + paths.device();
    }
}
