package org.splitring.p9.back;

import java.lang.foreign.Arena;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.KeyException;
import org.splitring.xenbus.RingViews;
import org.splitring.xenbus.StreamView;
import org.splitring.xenbus.device.StreamRing;

/// A frontend that is connected: its rings, one session for all of them, and the thread that serves
/// it. File operations wait, so the thread is a real one and belongs to this guest alone: whoever
/// makes a disk busy waits for himself.
final class P9Connection implements BackendHooks.Connection {
    private static final Logger LOG = LoggerFactory.getLogger(P9Connection.class);

    private final Object monitor = new Object();
    private final ForeignPages pages;
    private final P9Session session;
    private final P9Meters meters;
    private final Consumer<String> broken;
    private final List<MappedFlexRing> mapped = new ArrayList<>();
    private final List<RingSession> rings = new ArrayList<>();
    private final CompletableFuture<Void> ended = new CompletableFuture<>();

    private P9Connection(
            ForeignPages pages, P9Session session, P9Meters meters, Consumer<String> broken) {
        this.pages = pages;
        this.session = session;
        this.meters = meters;
        this.broken = broken;
    }

    /// Maps the rings, binds the ports, and serves.
    static P9Connection open(
            DriverDomain domain,
            DomId frontend,
            DeviceLoop loop,
            SharedFolder folder,
            P9Limits limits,
            P9Meters meters,
            P9RingKeys keys,
            Consumer<String> broken)
            throws GrantException, EventChannelException, KeyException {
        int perRing = 1 + (1 << P9Backend.MAX_RING_PAGE_ORDER);
        ForeignPages pages = domain.foreignPages(frontend, keys.rings().size() * perRing);
        P9Connection connection =
                new P9Connection(pages, new P9Session(folder, limits), meters, broken);
        Arena arena = Arena.ofAuto();
        boolean opened = false;
        try {
            for (P9RingKeys.Ring ring : keys.rings()) {
                String where = "ring-ref" + connection.rings.size();
                MappedFlexRing flex =
                        MappedFlexRing.map(
                                pages, ring.gref(), P9Backend.MAX_RING_PAGE_ORDER, where);
                connection.mapped.add(flex);
                EventChannel port =
                        domain.eventChannels().bindInterdomain(frontend, ring.eventChannel());
                StreamRing stream =
                        StreamRing.start(flex.backend(), port, loop, connection.monitor, broken);
                connection.rings.add(new RingSession(stream, connection.session, limits, arena));
            }
            opened = true;
        } finally {
            if (!opened) {
                connection.giveBack();
            }
        }
        Thread.ofPlatform().daemon().name("9pfs of " + frontend).start(connection::run);
        return connection;
    }

    private void run() {
        try {
            while (true) {
                boolean any = false;
                for (RingSession ring : rings) {
                    any |= step(ring);
                }
                if (!any) {
                    sleep();
                }
            }
        } catch (P9BrokenException e) {
            broken.accept(e.getMessage());
        } catch (ClosedChannelException e) {
            LOG.debug("closed while a reply was sent");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) { // a bug of ours: this device ends, and others go on
            LOG.error("9pfs failed", e);
            broken.accept("internal error");
        } finally {
            meters.openFiles().addAndGet(-session.openFiles());
            session.close();
            ended.complete(null);
        }
    }

    /// Takes and serves what one ring has.
    private boolean step(RingSession ring)
            throws P9BrokenException, ClosedChannelException, InterruptedException {
        if (!ring.take()) {
            return false;
        }
        if (ring.isComplete()) {
            if (ring.isFlush()) {
                finishOthers(ring);
            }
            serve(ring);
        }
        return true;
    }

    private void serve(RingSession ring) throws ClosedChannelException, InterruptedException {
        int before = session.openFiles();
        ring.serve();
        meters.requests().increment();
        meters.openFiles().addAndGet(session.openFiles() - before);
    }

    /// What came on other rings before a flush is answered before it: the flushed request may be
    /// there, and its tag is free for another one afterwards.
    private void finishOthers(RingSession flushed)
            throws P9BrokenException, ClosedChannelException, InterruptedException {
        for (RingSession ring : rings) {
            // as often as there can be messages on a full ring
            int left = ring.ring().readSizeBytes();
            while (ring != flushed && left-- > 0 && ring.take()) {
                if (ring.isComplete()) {
                    serve(ring);
                }
            }
        }
    }

    /// Waits until any ring has something, or an end.
    private void sleep() throws InterruptedException {
        synchronized (monitor) {
            for (RingSession ring : rings) {
                if (ring.ring().isReadable()) {
                    return;
                }
            }
            rings.getFirst().ring().await();
        }
    }

    @Override
    public CompletableFuture<RingViews> rings(Executor executor) {
        List<StreamView> views = new ArrayList<>();
        for (RingSession ring : rings) {
            ring.ring().view("ring-" + views.size()).ifPresent(views::add);
        }
        return CompletableFuture.completedFuture(new RingViews(List.of(), views));
    }

    /// Ends the thread, after the file operation that it is in; then everything is given back.
    @Override
    public void close(Executor executor, Runnable closed) {
        rings.forEach(ring -> ring.ring().close());
        var ignored =
                ended.thenRunAsync(
                        () -> {
                            giveBack();
                            closed.run();
                        },
                        executor);
    }

    private void giveBack() {
        rings.forEach(ring -> ring.ring().close());
        session.close();
        mapped.forEach(ring -> ring.unmap(pages));
        pages.close();
    }
}
