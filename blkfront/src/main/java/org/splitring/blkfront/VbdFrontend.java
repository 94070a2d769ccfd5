package org.splitring.blkfront;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
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
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// One virtual block device of a guest: connects to its backend and moves sectors.
///
/// [#connect] and [#close] wait and belong on the control plane; everything else is called on the
/// device's loop, unless it says otherwise.
///
/// A transfer ends exactly once, whatever the backend does: with its answer, or with an error when
/// the backend closes, vanishes or breaks the protocol. Nothing is tried again by itself.
public final class VbdFrontend implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(VbdFrontend.class);
    private static final int SECTOR_SIZE = 512;
    private static final int MAX_SEGMENTS = BlkifLayout.MAX_SEGMENTS_PER_REQUEST;
    private static final int BUDGET = 128;

    private final GuestDomain guest;
    private final Store store;
    private final DevicePaths paths;
    private final DeviceLoop loop;
    private final VbdFrontendOptions options;
    private final BackendState backendState;

    // Made while connecting, given back by cleanUp.
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
            VbdFrontendOptions options)
            throws StoreException {
        this.guest = guest;
        this.store = store;
        this.paths = paths;
        this.loop = loop;
        this.options = options;
        this.backendState = new BackendState(store, paths.backend() + "/state");
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
        String name = "vbd " + virtualDevice;
        try {
            String folder = DevicePaths.domain(guest.id()) + "/device/vbd/" + virtualDevice;
            String backendId =
                    store.read(folder + "/backend-id")
                            .orElseThrow(
                                    () -> new VbdException(name + ": no such device in the store"));
            DomId backend = new DomId((int) number(name, "backend-id", backendId, 0x7FEF));
            DevicePaths paths = DevicePaths.vbd(guest.id(), backend, virtualDevice);
            VbdFrontend frontend = new VbdFrontend(guest, store, paths, loop, options);
            boolean done = false;
            try {
                frontend.connect();
                done = true;
                return frontend;
            } finally {
                if (!done) {
                    frontend.abandon();
                }
            }
        } catch (StoreException e) {
            throw new VbdException(name + ": store: " + e.getMessage(), e);
        } catch (EventChannelException e) {
            throw new VbdException(name + ": event channel: " + e.getMessage(), e);
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
        if (closing.compareAndSet(false, true)) {
            try {
                shutDown();
            } finally {
                closed.complete(null);
            }
        } else {
            closed.join();
        }
    }

    // Connecting.

    private void connect() throws VbdException, StoreException, EventChannelException {
        XenbusState offered = awaitBackend(XenbusState.INIT_WAIT, XenbusState.CONNECTED);
        if (offered != XenbusState.INIT_WAIT) {
            throw new VbdException(this + ": the backend is in state " + offered);
        }
        int maxOrder = (int) optionalNumber("max-ring-page-order", 0, 31);
        int order = Math.min(options.ringPageOrder(), maxOrder);
        boolean flush = optionalNumber("feature-flush-cache", 0, 0xFFFF_FFFFL) != 0;

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

        awaitBackend(XenbusState.CONNECTED, XenbusState.CONNECTED);
        geometry = readGeometry(flush);
        PortPoller answers =
                new PortPoller(channel, loop, work, BUDGET, t -> work.breakDevice("ring: " + t));
        poller = answers;
        connected = true;
        answers.start();
        switchTo(XenbusState.CONNECTED);
        backendState.onChange(this::backendChanged);
    }

    private void publishRing(EventChannel channel) throws StoreException {
        String folder = paths.frontend();
        store.transaction(
                nodes -> {
                    if (ringPages == 1) {
                        nodes.write(folder + "/ring-ref", Integer.toString(ringGrefs[0]));
                        nodes.remove(folder + "/ring-page-order");
                        nodes.remove(folder + "/num-ring-pages");
                    } else {
                        nodes.remove(folder + "/ring-ref");
                        int order = Integer.numberOfTrailingZeros(ringPages);
                        nodes.write(folder + "/ring-page-order", Integer.toString(order));
                        nodes.write(folder + "/num-ring-pages", Integer.toString(ringPages));
                        for (int page = 0; page < ringPages; page++) {
                            nodes.write(
                                    folder + "/ring-ref" + page, Integer.toString(ringGrefs[page]));
                        }
                    }
                    nodes.write(folder + "/event-channel", Integer.toString(channel.port()));
                    nodes.write(folder + "/protocol", BlkifLayout.X86_64.protocol());
                    nodes.write(folder + "/state", number(XenbusState.INITIALISED));
                });
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

    private XenbusState awaitBackend(XenbusState wanted, XenbusState orElse) throws VbdException {
        Optional<XenbusState> reached =
                backendState.await(
                        options.deadline(),
                        state ->
                                state == wanted
                                        || state == orElse
                                        || state == XenbusState.CLOSING
                                        || state == XenbusState.CLOSED);
        if (reached.isEmpty()) {
            throw new VbdException(
                    this
                            + ": the backend did not come to state "
                            + wanted
                            + " within "
                            + options.deadline()
                            + ", it is in "
                            + backendState.current());
        }
        XenbusState state = reached.get();
        if (state != wanted && state != orElse) {
            throw new VbdException(this + ": the backend refused and is in state " + state);
        }
        return state;
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
        switch (state) {
            case CLOSING -> {
                // It asks us to finish: what it has taken it will answer, and then we close.
                if (!closing.get()) {
                    Thread.ofVirtual().name("vbd-close").start(this::closeForBackend);
                }
            }
            case CLOSED, UNKNOWN -> {
                if (!closing.get()) {
                    disconnect("the backend is in state " + state);
                }
            }
            case INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, RECONFIGURING, RECONFIGURED -> {
                // Nothing to do while connected.
            }
        }
    }

    private void closeForBackend() {
        drain();
        disconnect("the backend is closing");
        try {
            switchTo(XenbusState.CLOSED);
        } catch (StoreException e) {
            LOG.debug("{}: {}", this, e.getMessage());
        }
    }

    // Closing.

    private void shutDown() {
        connected = false;
        drain();
        try {
            switchTo(XenbusState.CLOSING);
            backendState.await(options.deadline(), VbdFrontend::hasLetGo);
            switchTo(XenbusState.CLOSED);
            Optional<XenbusState> last =
                    backendState.await(
                            options.deadline(),
                            state -> state != XenbusState.CLOSING && hasLetGo(state));
            if (last.isEmpty()) {
                LOG.warn(
                        "{}: the backend did not close within {}, it is in {}",
                        this,
                        options.deadline(),
                        backendState.current());
            }
        } catch (StoreException e) {
            LOG.debug("{}: closing without the store: {}", this, e.getMessage());
        }
        abandon();
    }

    private static boolean hasLetGo(XenbusState state) {
        return state == XenbusState.CLOSING
                || state == XenbusState.CLOSED
                || state == XenbusState.INIT_WAIT
                || state == XenbusState.UNKNOWN;
    }

    /// Waits until no transfer is under way, within the deadline.
    private void drain() {
        VbdQueue work = queue;
        if (work == null) {
            return;
        }
        CompletableFuture<Void> idle = new CompletableFuture<>();
        await(() -> work.whenIdle(() -> idle.complete(null)), idle, options.deadline());
    }

    /// Ends what is left on the loop and gives everything back.
    private void abandon() {
        connected = false;
        backendState.close();
        VbdQueue work = queue;
        if (work != null) {
            CompletableFuture<Void> stopped = new CompletableFuture<>();
            await(
                    () -> {
                        work.breakDevice("closed");
                        stopped.complete(null);
                    },
                    stopped,
                    options.deadline());
        }
        EventChannel channel = port;
        if (channel != null) {
            channel.close();
        }
        giveBack(work);
    }

    private void giveBack(@Nullable VbdQueue work) {
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

    private void await(Runnable onLoop, CompletableFuture<Void> done, Duration limit) {
        try {
            loop.execute(onLoop);
            done.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            LOG.warn("{}: still busy after {}", this, limit);
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: the loop has ended", this);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // go on without waiting
        } catch (ExecutionException e) {
            throw new IllegalStateException(e); // never completed with one
        }
    }

    private void switchTo(XenbusState state) throws StoreException {
        store.write(paths.frontend() + "/state", number(state));
    }

    private static String number(XenbusState state) {
        return Integer.toString(state.number());
    }

    @Override
    public String toString() {
        return "vbd " + paths.device();
    }
}
