package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PortPoller;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifInfo;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// One virtual block device of a guest: connects to its backend and moves sectors.
///
/// [#connect] and [#close] wait and belong on the control plane; [#connectAsync] and [#closeAsync]
/// are the same without waiting. Everything else is called on the device's loop, unless it says
/// otherwise. The handshake runs in the tasks of a [DeviceEnd], one at a time.
///
/// A transfer ends exactly once, whatever the backend does: with its answer, or with an error when
/// the backend closes, vanishes or breaks the protocol. Nothing is tried again by itself.
public final class VbdFrontend implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(VbdFrontend.class);
    private static final int SECTOR_SIZE = 512;
    private static final int MAX_SEGMENTS = BlkifLayout.MAX_SEGMENTS_PER_REQUEST;
    private static final int BUDGET = 128;

    /// In these states a backend that we told of our closing has stopped using the ring, or will.
    private static final Set<XenbusState> LETTING_GO =
            EnumSet.of(
                    XenbusState.CLOSING,
                    XenbusState.CLOSED,
                    XenbusState.INIT_WAIT,
                    XenbusState.UNKNOWN);

    private static final Set<XenbusState> LET_GO =
            EnumSet.of(XenbusState.CLOSED, XenbusState.INIT_WAIT, XenbusState.UNKNOWN);

    private final GuestDomain guest;
    private final Store store;
    private final DevicePaths paths;
    private final DeviceLoop loop;
    private final VbdFrontendOptions options;
    private final Timers timers;
    private final DeviceEnd end;

    // Of the tasks of the end: made while connecting, given back at the end.
    private int ringGfn = -1;
    private int ringPages;
    private int[] ringGrefs = {};
    private int[] dataGrefs = {};
    private int poolGfn = -1;
    private int poolPages;
    private @Nullable EventChannel port;
    private @Nullable PortPoller poller;
    private @Nullable VbdQueue queue;
    private VbdGeometry geometry = new VbdGeometry(SECTOR_SIZE, SECTOR_SIZE, true, false);

    private boolean flushOffered;
    private boolean closingForBackend;

    private volatile boolean connected;
    private final AtomicBoolean closing = new AtomicBoolean();
    private final CompletableFuture<Void> closed = new CompletableFuture<>();

    // Of the loop.
    private final ArrayDeque<Runnable> disconnectListeners = new ArrayDeque<>();

    private VbdFrontend(
            GuestDomain guest,
            Store store,
            DevicePaths paths,
            DeviceLoop loop,
            VbdFrontendOptions options,
            Executor control,
            Timers timers)
            throws StoreException {
        this.guest = guest;
        this.store = store;
        this.paths = paths;
        this.loop = loop;
        this.options = options;
        this.timers = timers;
        this.end = DeviceEnd.open(store, DeviceEnd.Side.FRONTEND, paths, control, timers);
    }

    /// Connects the device that the toolstack has made, and waits until it can be used.
    ///
    /// @param loop owns the device from now on
    /// @throws VbdException when the backend refuses, offers nothing usable, or does not answer
    public static VbdFrontend connect(
            GuestDomain guest,
            Store store,
            int virtualDevice,
            DeviceLoop loop,
            VbdFrontendOptions options)
            throws VbdException {
        try {
            return connectAsync(
                            guest,
                            store,
                            virtualDevice,
                            loop,
                            options,
                            DeviceEnd.VIRTUAL_THREADS,
                            Timers.system())
                    .join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof VbdException failure) {
                throw new VbdException(String.valueOf(failure.getMessage()), failure);
            }
            throw e;
        }
    }

    /// Begins what [#connect] does. Any thread.
    ///
    /// @param control runs the handshake, one task at a time
    /// @param timers the clock of deadlines
    /// @return completes on `control`; with a [VbdException] when the device cannot be used, after
    ///     everything that was taken for it has been given back
    public static CompletableFuture<VbdFrontend> connectAsync(
            GuestDomain guest,
            Store store,
            int virtualDevice,
            DeviceLoop loop,
            VbdFrontendOptions options,
            Executor control,
            Timers timers) {
        String name = "vbd " + virtualDevice;
        try {
            String folder = DevicePaths.domain(guest.id()) + "/device/vbd/" + virtualDevice;
            String backendId =
                    store.read(folder + "/backend-id")
                            .orElseThrow(
                                    () -> new VbdException(name + ": no such device in the store"));
            DomId backend = new DomId((int) number(name, "backend-id", backendId, 0x7FEF));
            DevicePaths paths = DevicePaths.vbd(guest.id(), backend, virtualDevice);
            return new VbdFrontend(guest, store, paths, loop, options, control, timers).start();
        } catch (VbdException e) {
            return CompletableFuture.failedFuture(e);
        } catch (StoreException e) {
            return CompletableFuture.failedFuture(
                    new VbdException(name + ": store: " + e.getMessage(), e));
        }
    }

    /// What the backend said about the disk when it connected. Any thread.
    public VbdGeometry geometry() {
        return geometry;
    }

    public DeviceLoop loop() {
        return loop;
    }

    /// Whether requests are served; once `false` it stays so. Any thread.
    public boolean isConnected() {
        return connected;
    }

    /// Runs `listener` once, on the loop, when the backend has gone or the device is broken; at
    /// once when that has happened. Not for a close that we started.
    public void onDisconnect(Runnable listener) {
        if (queue().isBroken()) {
            listener.run();
        } else {
            disconnectListeners.add(listener);
        }
    }

    /// Most bytes that one buffer can have. Any thread.
    public int maxBufferBytes() {
        return poolPages * GuestMemory.PAGE_SIZE;
    }

    /// Takes a buffer of at least `sizeBytes`; null when not so many adjacent pages are free.
    public @Nullable GuestBuffer acquire(int sizeBytes) {
        return queue().pool().acquire(sizeBytes);
    }

    /// Gives a buffer back; no transfer is using it.
    public void release(GuestBuffer buffer) {
        queue().release(buffer);
    }

    /// Runs `listener` once, on the loop, after the next [#release].
    public void onBufferFree(Runnable listener) {
        queue().onBufferFree(listener);
    }

    /// Reads into the beginning of a buffer.
    ///
    /// @param offsetBytes place on the disk, whole sectors of 512 bytes
    /// @param sizeBytes whole sectors, at least one, at most the buffer
    /// @throws IllegalArgumentException when the range is not of whole sectors, on the disk and in
    ///     the buffer
    public void read(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        checkRange(offsetBytes, buffer, sizeBytes);
        queue().start(BlkifOp.READ, offsetBytes, buffer, sizeBytes, done);
    }

    /// Writes the beginning of a buffer. As [#read]. On a read-only disk it ends with an error.
    public void write(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        checkRange(offsetBytes, buffer, sizeBytes);
        queue().start(BlkifOp.WRITE, offsetBytes, buffer, sizeBytes, done);
    }

    /// Makes every write stable that has completed before this call. Ends with
    /// `BLKIF_RSP_EOPNOTSUPP` when the backend does not offer it.
    public void flush(Completion done) {
        if (!geometry.flush()) {
            loop.execute(() -> done.done(BlkifStatus.EOPNOTSUPP));
            return;
        }
        queue().start(BlkifOp.FLUSH_DISKCACHE, 0, null, 0, done);
    }

    /// Gives up on the backend, for one who knows that it is gone: whatever is outstanding ends
    /// with an error. Any thread.
    public void disconnect(String reason) {
        try {
            loop.execute(() -> queue().breakDevice(reason));
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: the loop has ended", this);
        }
    }

    /// Waits for what is outstanding, says goodbye to the backend, and gives pages, grants and port
    /// back. Takes no longer than the deadline for each of these. Not on the loop.
    @Override
    public void close() {
        closeAsync().join();
    }

    /// Begins what [#close] does, and completes when that would return. Any thread.
    public CompletableFuture<Void> closeAsync() {
        if (closing.compareAndSet(false, true)) {
            shutDown();
        }
        return closed.copy();
    }

    // Connecting.

    /// A step of the handshake, as a task of the end.
    @FunctionalInterface
    private interface Step<T> {
        T run() throws VbdException, StoreException, EventChannelException;
    }

    private CompletableFuture<VbdFrontend> start() {
        CompletableFuture<VbdFrontend> result = new CompletableFuture<>();
        CompletableFuture<?> connecting =
                awaitBackend(XenbusState.INIT_WAIT, EnumSet.of(XenbusState.CONNECTED))
                        .thenComposeAsync(offered -> step(() -> offerRing(offered)), end)
                        .thenComposeAsync(reached -> step(() -> begin(reached)), end);
        whenDone(
                connecting,
                failure -> {
                    if (failure == null) {
                        result.complete(this);
                    } else {
                        abandon(() -> result.completeExceptionally(failure));
                    }
                });
        return result;
    }

    /// Runs `then` as a task of the end, with the reason when there is no result.
    private void whenDone(CompletionStage<?> stage, Consumer<@Nullable Throwable> then) {
        stage.whenCompleteAsync(
                (result, failure) -> {
                    try {
                        then.accept(failure == null ? null : cause(failure));
                    } catch (RuntimeException e) { // a bug of ours; nobody would hear of it
                        LOG.error("{}: the handshake failed", this, e);
                    }
                },
                end);
    }

    private <T> CompletableFuture<T> step(Step<CompletableFuture<T>> step) {
        try {
            return step.run();
        } catch (VbdException e) {
            return CompletableFuture.failedFuture(e);
        } catch (StoreException e) {
            return CompletableFuture.failedFuture(
                    new VbdException(this + ": store: " + e.getMessage(), e));
        } catch (EventChannelException e) {
            return CompletableFuture.failedFuture(
                    new VbdException(this + ": event channel: " + e.getMessage(), e));
        }
    }

    private static Throwable cause(Throwable failure) {
        Throwable cause = failure.getCause();
        return failure instanceof CompletionException && cause != null ? cause : failure;
    }

    private CompletableFuture<XenbusState> offerRing(XenbusState offered)
            throws VbdException, StoreException, EventChannelException {
        checkReached(offered, XenbusState.INIT_WAIT);
        int maxOrder = (int) optionalNumber("max-ring-page-order", 0, 31);
        int order = Math.min(options.ringPageOrder(), maxOrder);
        flushOffered = optionalNumber("feature-flush-cache", 0, 0xFFFF_FFFFL) != 0;

        ringPages = 1 << order;
        ringGfn = allocate(ringPages, "the ring");
        MemorySegment ringMemory = guest.memory().pages(ringGfn, ringPages);
        FrontRing ring = FrontRing.init(ringMemory, BlkifLayout.X86_64.entrySizeBytes());
        poolPages = options.bufferBytes() / GuestMemory.PAGE_SIZE;
        poolGfn = allocate(poolPages, "buffers");

        GrantTable grants = guest.grants();
        ringGrefs = claim(ringPages);
        if (ringGrefs.length < ringPages) {
            throw new VbdException(this + ": no grant references left for the ring");
        }
        dataGrefs = claim(ring.entries() * MAX_SEGMENTS);
        if (dataGrefs.length < MAX_SEGMENTS) {
            throw new VbdException(this + ": no grant references left for requests");
        }
        EventChannel channel = guest.eventChannels().allocUnbound(paths.backendDomain());
        port = channel;
        for (int page = 0; page < ringPages; page++) {
            grants.grant(ringGrefs[page], paths.backendDomain(), ringGfn + page, false);
        }
        VbdQueue work =
                new VbdQueue(
                        ring,
                        channel,
                        grants,
                        dataGrefs,
                        paths.backendDomain(),
                        paths.device(),
                        poolGfn,
                        new BufferPool(guest.memory().pages(poolGfn, poolPages)),
                        loop);
        work.onBroken(this::broken);
        queue = work;
        publishRing(channel);
        return awaitBackend(XenbusState.CONNECTED, EnumSet.noneOf(XenbusState.class));
    }

    private CompletableFuture<VbdFrontend> begin(XenbusState reached)
            throws VbdException, StoreException {
        checkReached(reached, XenbusState.CONNECTED);
        geometry = readGeometry(flushOffered);
        EventChannel channel = port;
        VbdQueue work = queue();
        if (channel == null) {
            throw new IllegalStateException(this + " has no port");
        }
        PortPoller answers =
                new PortPoller(channel, loop, work, BUDGET, t -> work.breakDevice("ring: " + t));
        poller = answers;
        connected = true;
        answers.start();
        end.switchTo(XenbusState.CONNECTED);
        end.onPeerState(this::backendChanged);
        return CompletableFuture.completedFuture(this);
    }

    private void publishRing(EventChannel channel) throws StoreException, VbdException {
        String folder = paths.frontend();
        boolean written =
                end.publish(
                        nodes -> {
                            if (ringPages == 1) {
                                nodes.write(folder + "/ring-ref", Integer.toString(ringGrefs[0]));
                                nodes.remove(folder + "/ring-page-order");
                                nodes.remove(folder + "/num-ring-pages");
                            } else {
                                nodes.remove(folder + "/ring-ref");
                                int order = Integer.numberOfTrailingZeros(ringPages);
                                nodes.write(folder + "/ring-page-order", Integer.toString(order));
                                nodes.write(
                                        folder + "/num-ring-pages", Integer.toString(ringPages));
                                for (int page = 0; page < ringPages; page++) {
                                    nodes.write(
                                            folder + "/ring-ref" + page,
                                            Integer.toString(ringGrefs[page]));
                                }
                            }
                            nodes.write(
                                    folder + "/event-channel", Integer.toString(channel.port()));
                            nodes.write(folder + "/protocol", BlkifLayout.X86_64.protocol());
                        },
                        XenbusState.INITIALISED);
        if (!written) {
            throw new VbdException(this + ": the device was removed from the store");
        }
    }

    private VbdGeometry readGeometry(boolean flush) throws VbdException, StoreException {
        long sectors = requiredNumber("sectors", Long.MAX_VALUE / SECTOR_SIZE);
        long sectorSize = requiredNumber("sector-size", 1 << 20);
        long info = optionalNumber("info", 0, 0xFFFF_FFFFL);
        if (sectors == 0
                || sectorSize < SECTOR_SIZE
                || Long.bitCount(sectorSize) != 1
                || sectors * SECTOR_SIZE % sectorSize != 0) {
            throw new VbdException(
                    this + ": a disk of " + sectors + " sectors, block size " + sectorSize);
        }
        return new VbdGeometry(
                sectors * SECTOR_SIZE, (int) sectorSize, (info & BlkifInfo.READONLY) != 0, flush);
    }

    private int allocate(int pages, String what) throws VbdException {
        int gfn = guest.pages().allocate(pages); // zeroed: nothing of ours reaches the backend
        if (gfn < 0) {
            throw new VbdException(
                    this + ": no " + pages + " adjacent pages of guest memory for " + what);
        }
        return gfn;
    }

    private int[] claim(int count) {
        int[] grefs = new int[count];
        for (int i = 0; i < count; i++) {
            grefs[i] = guest.grants().claim();
            if (grefs[i] < 0) {
                return Arrays.copyOf(grefs, i); // fewer requests at a time then
            }
        }
        return grefs;
    }

    /// Completes when the backend is in the wanted state, in one of the others, or on its way out.
    private CompletableFuture<XenbusState> awaitBackend(
            XenbusState wanted, Set<XenbusState> others) {
        EnumSet<XenbusState> states = EnumSet.of(wanted, XenbusState.CLOSING, XenbusState.CLOSED);
        states.addAll(others);
        return end.whenPeer(states, options.deadline())
                .exceptionallyCompose(
                        failure ->
                                CompletableFuture.failedFuture(
                                        new VbdException(
                                                this
                                                        + ": the backend did not come to state "
                                                        + wanted
                                                        + " within "
                                                        + options.deadline()
                                                        + ", it is in "
                                                        + end.peerState(),
                                                cause(failure))));
    }

    private void checkReached(XenbusState reached, XenbusState wanted) throws VbdException {
        if (reached != wanted) {
            boolean left = reached == XenbusState.CLOSING || reached == XenbusState.CLOSED;
            throw new VbdException(
                    this
                            + ": the backend "
                            + (left ? "refused and " : "")
                            + "is in state "
                            + reached);
        }
    }

    private long requiredNumber(String node, long max) throws VbdException, StoreException {
        String path = paths.backend() + "/" + node;
        String text =
                store.read(path)
                        .orElseThrow(
                                () -> new VbdException(this + ": the backend wrote no " + node));
        return number(toString(), node, text, max);
    }

    private long optionalNumber(String node, long byDefault, long max)
            throws VbdException, StoreException {
        Optional<String> text = store.read(paths.backend() + "/" + node);
        return text.isEmpty() ? byDefault : number(toString(), node, text.get(), max);
    }

    private static long number(String device, String node, String text, long max)
            throws VbdException {
        String digits = text.endsWith("\0") ? text.substring(0, text.length() - 1) : text;
        if (digits.matches("[0-9]{1,18}")) {
            long value = Long.parseLong(digits);
            if (value <= max) {
                return value;
            }
        }
        throw new VbdException(
                device + ": " + node + " is not a number up to " + max + ": " + shown(text));
    }

    private static String shown(String text) {
        String cut = text.length() > 64 ? text.substring(0, 64) + "..." : text;
        return "\"" + cut.replaceAll("[^ -~]", ".") + "\"";
    }

    // While connected.

    private VbdQueue queue() {
        VbdQueue work = queue;
        if (work == null) {
            throw new IllegalStateException(this + " is not connected");
        }
        return work;
    }

    private void checkRange(long offsetBytes, GuestBuffer buffer, int sizeBytes) {
        if (offsetBytes % SECTOR_SIZE != 0
                || sizeBytes % SECTOR_SIZE != 0
                || sizeBytes <= 0
                || offsetBytes < 0
                || offsetBytes > geometry.sizeBytes() - sizeBytes
                || sizeBytes > buffer.capacityBytes()
                || !buffer.isAcquired()) {
            throw new IllegalArgumentException(
                    "transfer of "
                            + sizeBytes
                            + " bytes at "
                            + offsetBytes
                            + ", disk of "
                            + geometry.sizeBytes()
                            + ", buffer of "
                            + buffer.capacityBytes());
        }
    }

    /// Called on the loop when the queue has ended itself.
    private void broken(String reason) {
        connected = false;
        PortPoller answers = poller;
        if (answers != null) {
            answers.stop();
        }
        if (!closing.get()) {
            LOG.warn("{}: disconnected: {}", this, reason);
        }
        while (!disconnectListeners.isEmpty()) {
            disconnectListeners.remove().run();
        }
    }

    private void backendChanged(XenbusState state) {
        if (closing.get()) {
            return;
        }
        switch (state) {
            case CLOSING -> {
                // It asks us to finish: what it has taken it will answer, and then we close.
                if (!closingForBackend) {
                    closingForBackend = true;
                    drain(
                            () -> {
                                disconnect("the backend is closing");
                                switchTo(XenbusState.CLOSED);
                            });
                }
            }
            case CLOSED, UNKNOWN -> disconnect("the backend is in state " + state);
            case INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, RECONFIGURING, RECONFIGURED -> {
                // Nothing to do while connected.
            }
        }
    }

    // Closing.

    private void shutDown() {
        connected = false;
        drain(
                () -> {
                    switchTo(XenbusState.CLOSING);
                    whenDone(end.whenPeer(LETTING_GO, options.deadline()), failure -> sayClosed());
                });
    }

    private void sayClosed() {
        switchTo(XenbusState.CLOSED);
        whenDone(
                end.whenPeer(LET_GO, options.deadline()),
                failure -> {
                    if (failure != null) {
                        LOG.warn("{}: {}", this, failure.getMessage());
                    }
                    abandon(() -> closed.complete(null));
                });
    }

    /// Runs `then` as a task of the end when no transfer is under way, at the deadline at latest.
    private void drain(Runnable then) {
        VbdQueue work = queue;
        if (work == null) {
            end.execute(then);
            return;
        }
        CompletableFuture<Boolean> idle = new CompletableFuture<>();
        onLoop(() -> work.whenIdle(() -> idle.complete(true)), idle, then);
    }

    /// Ends what is left on the loop, gives everything back, and runs `then`.
    private void abandon(Runnable then) {
        connected = false;
        end.close();
        VbdQueue work = queue;
        if (work == null) {
            giveBack(null);
            then.run();
            return;
        }
        CompletableFuture<Boolean> stopped = new CompletableFuture<>();
        onLoop(
                () -> {
                    work.breakDevice("closed");
                    stopped.complete(true);
                },
                stopped,
                () -> {
                    try {
                        giveBack(work);
                    } finally {
                        then.run();
                    }
                });
    }

    /// Has something done on the loop and runs `then` as a task of the end: when `done` is complete
    /// or the deadline over.
    private void onLoop(Runnable work, CompletableFuture<Boolean> done, Runnable then) {
        Runnable cancel = timers.schedule(() -> done.complete(false), options.deadline().toNanos());
        whenDone(
                done,
                failure -> {
                    cancel.run();
                    if (!done.join()) {
                        LOG.warn("{}: still busy after {}", this, options.deadline());
                    }
                    then.run();
                });
        try {
            loop.execute(work);
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: the loop has ended", this);
            done.complete(true);
        }
    }

    private void giveBack(@Nullable VbdQueue work) {
        EventChannel channel = port;
        if (channel != null) {
            channel.close();
        }
        GrantTable grants = guest.grants();
        for (int page = 0; page < ringPages && ringGfn >= 0; page++) {
            int gfn = ringGfn + page;
            if (page < ringGrefs.length && !grants.tryRevoke(ringGrefs[page])) {
                grants.quarantine(ringGrefs[page], gfn);
                continue;
            }
            if (page < ringGrefs.length) {
                grants.unclaim(ringGrefs[page]);
            }
            guest.pages().free(gfn, 1);
        }
        ringGfn = -1;
        if (work != null) {
            work.unclaimGrefs();
        } else {
            for (int gref : dataGrefs) {
                grants.unclaim(gref);
            }
        }
        for (int page = 0; page < poolPages && poolGfn >= 0; page++) {
            if (work == null || !work.pool().isLost(page)) {
                guest.pages().free(poolGfn + page, 1);
            }
        }
        poolGfn = -1;
    }

    private void switchTo(XenbusState state) {
        try {
            end.switchTo(state);
        } catch (StoreException e) {
            LOG.debug("{}: state {}: {}", this, state, e.getMessage());
        }
    }

    @Override
    public String toString() {
        return "vbd " + paths.device();
    }
}
