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
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// What a vbd does at the steps of its life, and what it keeps over all its connections: transfers
/// and buffers.
final class VbdDevice implements FrontendHooks {
    private static final Logger LOG = LoggerFactory.getLogger(VbdDevice.class);

    private final GuestDomain guest;
    private final int ringPageOrder;
    private final int poolGfn;
    private final int poolPages;
    private final TransferQueue transfers;
    private final CompletableFuture<Void> ended = new CompletableFuture<>();

    private volatile VbdGeometry geometry = new VbdGeometry(512, 512, true, false);
    private volatile @Nullable VbdConnection connected;

    private VbdDevice(
            GuestDomain guest, DeviceLoop loop, int ringPageOrder, int poolGfn, int poolPages) {
        this.guest = guest;
        this.ringPageOrder = ringPageOrder;
        this.poolGfn = poolGfn;
        this.poolPages = poolPages;
        BufferPool pool = new BufferPool(guest.memory().pages(poolGfn, poolPages));
        transfers = new TransferQueue(loop, pool, poolGfn);
    }

    /// Sets the buffers aside.
    static VbdDevice create(GuestDomain guest, DeviceLoop loop, VbdFrontendOptions options)
            throws VbdException {
        int pages = options.bufferBytes() / GuestMemory.PAGE_SIZE;
        int gfn = guest.pages().allocate(pages); // zeroed: nothing of ours reaches the backend
        if (gfn < 0) {
            throw new VbdException("no " + pages + " adjacent pages of guest memory for buffers");
        }
        return new VbdDevice(guest, loop, options.ringPageOrder(), gfn, pages);
    }

    TransferQueue transfers() {
        return transfers;
    }

    int poolPages() {
        return poolPages;
    }

    VbdGeometry geometry() {
        return geometry;
    }

    boolean isConnected() {
        return connected != null;
    }

    @Override
    public Connection prepare(
            GuestDomain attached, DevicePaths paths, Keys backend, Consumer<String> broken)
            throws StoreException, HandshakeException, EventChannelException {
        if (!attached.memory().equals(guest.memory())) {
            throw new HandshakeException("attached with another memory than that of the buffers");
        }
        return VbdConnection.open(
                attached,
                paths,
                backend,
                ringPageOrder,
                transfers,
                (connection, seen) -> {
                    geometry = seen;
                    connected = connection;
                },
                reason -> {
                    connected = null;
                    broken.accept(reason);
                });
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

    /// Ends everything with an error, for an owner who knows that the backend is gone. Any thread.
    void abandon(String reason) {
        onLoop(
                () -> {
                    VbdConnection open = connected;
                    if (open != null) {
                        open.abandon(reason);
                    }
                    transfers.endAll(reason);
                });
    }

    /// Gives the buffers back, once every transfer has ended.
    CompletableFuture<Void> release() {
        CompletableFuture<Void> released = new CompletableFuture<>();
        return ended.thenCompose(
                nothing -> {
                    onLoop(
                            () -> {
                                transfers.quarantineHeldPages();
                                freePool();
                                released.complete(null);
                            });
                    return released;
                });
    }

    private void freePool() {
        for (int page = 0; page < poolPages; page++) {
            if (!transfers.pool().isLost(page)) {
                guest.pages().free(poolGfn + page, 1);
            }
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
