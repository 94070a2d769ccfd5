package org.splitring.blkfront;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.store.StoreException;

/// One virtual block device of a guest: moves sectors. It keeps transfers and buffers over all its
/// connections.
///
/// What there is to do with a disk is called on the device's loop, unless it says otherwise. The
/// states are those of `FrontendMachine`, which calls the methods of [FrontendHooks].
///
/// A transfer ends exactly once, whatever the backend does. When the backend goes away, what it has
/// not answered is sent again to the next one, in order, and callers see only a delay; it ends with
/// an error when no backend comes within `FrontendOptions.backendWait`, when the device is removed,
/// when the next disk is too small or read-only for it, or when the backend breaks the protocol.
public final class VbdFrontend implements FrontendHooks {
    private static final Logger LOG = LoggerFactory.getLogger(VbdFrontend.class);
    private static final int SECTOR_SIZE = 512;

    private final int device;
    private final GuestDomain guest;
    private final VbdUser user;
    private final VbdFrontendOptions options;
    private final int poolGfn;
    private final int poolPages;
    private final TransferQueue transfers;
    private final CompletableFuture<Void> ended = new CompletableFuture<>();

    private volatile String name = "";
    private volatile VbdGeometry geometry =
            new VbdGeometry(512, 512, true, false, false, false, false, 11, VbdDiscard.NONE);
    private volatile @Nullable VbdConnection connected;
    private boolean shown; // to the user; of the control plane
    private boolean released; // of the loop

    private VbdFrontend(
            int device,
            GuestDomain guest,
            DeviceLoop loop,
            VbdUser user,
            VbdFrontendOptions options,
            int poolGfn,
            int poolPages) {
        this.device = device;
        this.user = user;
        this.guest = guest;
        this.options = options;
        this.poolGfn = poolGfn;
        this.poolPages = poolPages;
        BufferPool pool = new BufferPool(guest.memory().pages(poolGfn, poolPages));
        transfers = new TransferQueue(loop, pool, poolGfn);
    }

    /// Sets the buffers aside.
    ///
    /// @param device its number: 51712 is xvda
    /// @param guest its memory is that of every later attachment
    /// @param loop owns the device from now on
    /// @param user says how much memory, and hears of the disk
    /// @throws DeviceException when there is not so much memory
    public static VbdFrontend create(int device, GuestDomain guest, DeviceLoop loop, VbdUser user)
            throws DeviceException {
        VbdFrontendOptions options = user.options(device);
        int pages = options.bufferBytes() / GuestMemory.PAGE_SIZE;
        int gfn = guest.pages().allocate(pages); // zeroed: nothing of ours reaches the backend
        if (gfn < 0) {
            throw new DeviceException(
                    "no " + pages + " adjacent pages of guest memory for buffers");
        }
        return new VbdFrontend(device, guest, loop, user, options, gfn, pages);
    }

    // What there is to do with a disk.

    /// What the toolstack calls the disk (`dev`), such as `xvda`; empty when it does not say so, or
    /// not yet. Nothing is known of this text. Any thread.
    public String name() {
        return name;
    }

    /// What the backend said about the disk when it connected, or since. Any thread.
    public VbdGeometry geometry() {
        return geometry;
    }

    public DeviceLoop loop() {
        return transfers.loop();
    }

    /// Whether a backend serves the device now; without one transfers wait. Any thread.
    public boolean isConnected() {
        return connected != null;
    }

    /// Runs `listener` once, on the loop, when the device has ended and will serve nothing more; at
    /// once when that has happened.
    public void onDisconnect(Runnable listener) {
        transfers.whenEnded(listener);
    }

    /// Most bytes that one buffer can have. Any thread.
    public int maxBufferBytes() {
        return poolPages * GuestMemory.PAGE_SIZE;
    }

    /// Takes a buffer of at least `sizeBytes`; null when not so many adjacent pages are free, or
    /// the device has given its buffers back.
    public @Nullable GuestBuffer acquire(int sizeBytes) {
        return released ? null : transfers.pool().acquire(sizeBytes);
    }

    /// Gives a buffer back; no transfer is using it.
    public void release(GuestBuffer buffer) {
        transfers.release(buffer);
    }

    /// Runs `listener` once, on the loop, after the next [#release].
    public void onBufferFree(Runnable listener) {
        transfers.onBufferFree(listener);
    }

    /// Reads into the beginning of a buffer.
    ///
    /// @param offsetBytes place on the disk, whole sectors of 512 bytes; behind the disk's end,
    ///     which may come nearer at any time, it ends with an error
    /// @param sizeBytes whole sectors, at least one, at most the buffer
    /// @throws IllegalArgumentException when the range is not of whole sectors, or not in the
    ///     buffer
    public void read(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        checkRange(offsetBytes, buffer, sizeBytes);
        start(BlkifOp.READ, offsetBytes, buffer, sizeBytes, done);
    }

    /// Writes the beginning of a buffer. As [#read]. On a read-only disk it ends with an error.
    public void write(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        checkRange(offsetBytes, buffer, sizeBytes);
        start(BlkifOp.WRITE, offsetBytes, buffer, sizeBytes, done);
    }

    /// Makes every write stable that has completed before this call. Ends with
    /// `BLKIF_RSP_EOPNOTSUPP` when the backend does not offer it.
    public void flush(Completion done) {
        if (!geometry().flush()) {
            loop().execute(() -> done.done(BlkifStatus.EOPNOTSUPP));
            return;
        }
        transfers.start(BlkifOp.FLUSH_DISKCACHE, 0, null, 0, done);
    }

    /// Gives the storage of a range back: what it holds is not needed any more. What it reads as
    /// then is in [VbdGeometry#discard]. Ends with `BLKIF_RSP_EOPNOTSUPP` when the backend does not
    /// offer it or cannot do it; with an error, the range may hold anything.
    ///
    /// @param offsetBytes place on the disk, whole sectors of 512 bytes
    /// @param sizeBytes whole sectors, at least one; as many as the disk has are one request
    /// @throws IllegalArgumentException when the range is not of whole sectors
    public void discard(long offsetBytes, long sizeBytes, Completion done) {
        if (offsetBytes % SECTOR_SIZE != 0
                || sizeBytes % SECTOR_SIZE != 0
                || sizeBytes <= 0
                || offsetBytes < 0) {
            throw new IllegalArgumentException(
                    "discard of " + sizeBytes + " bytes at " + offsetBytes);
        }
        if (!geometry().discard().isOffered()) {
            loop().execute(() -> done.done(BlkifStatus.EOPNOTSUPP));
            return;
        }
        start(BlkifOp.DISCARD, offsetBytes, null, sizeBytes, done);
    }

    /// Gives up on the backend, for one who knows that it is gone for good: whatever is outstanding
    /// ends with an error. Any thread.
    public void disconnect(String reason) {
        onLoop(
                () -> {
                    VbdConnection open = connected;
                    if (open != null) {
                        open.abandon(reason);
                    }
                    transfers.endAll(reason);
                });
    }

    /// Runs `task` once, on the loop, when nothing is under way, or when nothing can get on because
    /// there is no backend.
    public void whenIdle(Runnable task) {
        transfers.whenIdle(task);
    }

    // The steps of its life.

    @Override
    public Connection prepare(
            GuestDomain attached, DevicePaths paths, Keys backend, Consumer<String> broken)
            throws StoreException, HandshakeException, EventChannelException {
        if (!attached.memory().equals(guest.memory())) {
            throw new HandshakeException("attached with another memory than that of the buffers");
        }
        name = backend.text("dev").orElse("");
        return VbdConnection.open(
                attached, paths, backend, options, transfers, new Connected(broken));
    }

    /// What connections have to say.
    private final class Connected implements VbdConnection.Owner {
        private final Consumer<String> broken;

        Connected(Consumer<String> broken) {
            this.broken = broken;
        }

        @Override
        public void seen(VbdConnection connection, VbdGeometry disk) {
            boolean changed = shown && !disk.equals(geometry);
            geometry = disk;
            connected = connection;
            if (changed) {
                LOG.info("vbd/{} has {} bytes now", device, disk.sizeBytes());
                user.changed(device, VbdFrontend.this);
            }
        }

        @Override
        public void connected() throws HandshakeException {
            if (!shown) {
                shown = true;
                user.connected(device, VbdFrontend.this);
            }
        }

        @Override
        public void leaving(Runnable done) {
            user.leaving(device, VbdFrontend.this, done);
        }

        @Override
        public void broken(String reason) {
            connected = null;
            broken.accept(reason);
        }
    }

    @Override
    public void lost(String reason) {
        connected = null;
    }

    @Override
    public void ended(String reason) {
        connected = null;
        onLoop(
                () -> {
                    transfers.endAll(reason);
                    ended.complete(null);
                });
    }

    /// Gives the buffers back, once every transfer has ended and the user has let go of them. Any
    /// thread, but not the loop.
    public CompletableFuture<Void> release() {
        user.gone(device, this);
        CompletableFuture<Void> done = new CompletableFuture<>();
        return ended.thenCompose(
                nothing -> {
                    onLoop(
                            () -> {
                                released = true;
                                transfers.quarantineHeldPages();
                                freePool();
                                done.complete(null);
                            });
                    return done;
                });
    }

    private void freePool() {
        for (int page = 0; page < poolPages; page++) {
            if (!transfers.pool().isLost(page)) {
                guest.pages().free(poolGfn + page, 1);
            }
        }
    }

    private void start(
            int operation,
            long offsetBytes,
            @Nullable GuestBuffer buffer,
            long sizeBytes,
            Completion done) {
        if (offsetBytes > geometry().sizeBytes() - sizeBytes) {
            loop().execute(() -> done.done(BlkifStatus.ERROR));
        } else {
            transfers.start(operation, offsetBytes, buffer, sizeBytes, done);
        }
    }

    private void checkRange(long offsetBytes, GuestBuffer buffer, int sizeBytes) {
        if (offsetBytes % SECTOR_SIZE != 0
                || sizeBytes % SECTOR_SIZE != 0
                || sizeBytes <= 0
                || offsetBytes < 0
                || sizeBytes > buffer.capacityBytes()
                || !buffer.isAcquired()) {
            throw new IllegalArgumentException(
                    "transfer of "
                            + sizeBytes
                            + " bytes at "
                            + offsetBytes
                            + ", buffer of "
                            + buffer.capacityBytes());
        }
    }

    /// On the loop, or here when the loop has ended: then nobody else is there.
    private void onLoop(Runnable task) {
        try {
            transfers.loop().execute(task);
        } catch (RejectedExecutionException e) {
            LOG.debug("the loop has ended before its vbd", e);
            task.run();
        }
    }
}
