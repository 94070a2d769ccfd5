package org.splitring.xenbus.store;

import static org.splitring.wire.XenstoreRingLayout.CONNECTED;
import static org.splitring.wire.XenstoreRingLayout.CONNECTION;
import static org.splitring.wire.XenstoreRingLayout.ERROR;
import static org.splitring.wire.XenstoreRingLayout.ERROR_COMM;
import static org.splitring.wire.XenstoreRingLayout.ERROR_NONE;
import static org.splitring.wire.XenstoreRingLayout.ERROR_PROTO;
import static org.splitring.wire.XenstoreRingLayout.ERROR_RINGIDX;
import static org.splitring.wire.XenstoreRingLayout.RECONNECT;
import static org.splitring.wire.XenstoreRingLayout.SERVER_FEATURES;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RateLimitedLog;
import org.splitring.hypervisor.RingWork;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.ring.ByteRingEnd;
import org.splitring.ring.XenstoreRing;

/// Serves the store to one guest over the page and the event channel that the guest has from its
/// start, with the rights of its domain.
///
///     event ──► reconnection asked for? ── yes ─► drop everything, indices and error to 0
///                │ no
///                ▼
///               answers left over ─► rsp ring, as far as there is room
///               req ring ─► private copy ─► session ─► rsp ring ─► event
///
/// The page is the guest's to scribble on. Indices are checked where they are read, and ours are
/// never read back; of the other words only `connection` is looked at, so what the guest writes
/// into `server_features` or `error` means nothing (hostile catalogue H-127). An impossible index
/// or a message that is too long stops the page, not the guest: its watches and transactions end,
/// `error` says why, and both rings are left alone until the guest asks for reconnection.
///
/// The guest pays for what it leaves undone. Answers that it does not take fill the ring and then a
/// bounded queue, and its requests stay where they are; half a message is kept in at most 4 KiB,
/// and nobody waits for the rest with a timer.
///
/// Everything runs on one device loop, with a budget for each pass.
public final class StorePageServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(StorePageServer.class);

    /// Bytes of requests that are copied at once: 32 of the shortest.
    private static final int READ_BYTES = 512;

    /// Such reads in a pass.
    private static final int BUDGET = 2;

    private static final VarHandle WORD =
            ValueLayout.JAVA_INT
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();

    private final StoreTree tree;
    private final DomId domain;
    private final XenstorePage page;
    private final MemorySegment memory;
    private final DeviceLoop loop;
    private final PortPoller poller;
    private final RateLimitedLog log = new RateLimitedLog(LOG);
    private final Transport transport = new Transport();
    private final CompletableFuture<Void> closed = new CompletableFuture<>();

    private final byte[] readBytes = new byte[READ_BYTES];
    private final MemorySegment readMemory = MemorySegment.ofArray(readBytes);
    private final ByteBuf readBuffer = Unpooled.wrappedBuffer(readBytes);

    // The loop's, from the first task on.
    private ByteRingEnd ring;
    private RingMessages unsent;
    private @Nullable WireSession session; // null after an error and after the end
    private boolean wanted = true;
    private int lastRoom;
    private boolean polling;
    private boolean kick;

    private StorePageServer(StoreTree tree, DomId domain, XenstorePage page, DeviceLoop loop) {
        this.tree = tree;
        this.domain = domain;
        this.page = page;
        this.memory = page.memory();
        this.loop = loop;
        ring = XenstoreRing.store(memory);
        unsent = new RingMessages(ring.writer());
        poller = new PortPoller(page.channel(), loop, new Requests(), BUDGET, this::broken);
    }

    /// Serves a guest until [#close]. Any thread.
    ///
    /// @param domain whose rights the connection has
    /// @param page the store's end; belongs to the server from here on
    /// @param loop on which everything happens
    public static StorePageServer serve(
            StoreTree tree, DomId domain, XenstorePage page, DeviceLoop loop) {
        StorePageServer server = new StorePageServer(tree, domain, page, loop);
        loop.execute(server::start);
        return server;
    }

    private void start() {
        if (closed.isDone()) {
            return;
        }
        connect();
        poller.start();
    }

    private void connect() {
        unsent = new RingMessages(ring.writer());
        wanted = true;
        lastRoom = 0;
        WORD.setOpaque(memory, SERVER_FEATURES, tree.domains().pageFeatures(domain));
        WORD.setOpaque(memory, ERROR, ERROR_NONE);
        session = new WireSession(tree, domain, transport);
    }

    /// Ends the connection and lets go of the page.
    public CompletableFuture<Void> closeAsync() {
        try {
            loop.execute(this::closeNow);
        } catch (RejectedExecutionException e) {
            closeNow(); // the loop has ended: nobody else is here
        }
        return closed.copy();
    }

    /// As [#closeAsync]; waits for it, except on the loop. Closing twice does nothing.
    @Override
    public void close() {
        CompletableFuture<Void> done = closeAsync();
        if (!loop.inLoop()) {
            done.join();
        }
    }

    private void closeNow() {
        if (!closed.isDone()) {
            poller.stop();
            disconnect();
            WORD.setOpaque(memory, ERROR, ERROR_COMM); // nobody will answer any more
            page.channel().send();
            page.close();
            closed.complete(null);
        }
    }

    /// Watches, transactions and what is queued end; the nodes stay.
    private void disconnect() {
        WireSession ending = session;
        session = null;
        unsent.clear();
        if (ending != null) {
            ending.end();
        }
    }

    /// Stops serving until the guest asks for reconnection.
    private void fail(int error, String why) {
        log.warn("domain " + domain, "its xenstore page is not served any more: " + why);
        disconnect();
        WORD.setOpaque(memory, ERROR, error);
        kick();
    }

    private void failWhenBroken() {
        if (session == null) {
            return;
        }
        if (ring.reader().isBroken()) {
            fail(ERROR_RINGIDX, "req_prod is more than the ring's length away from req_cons");
        } else if (ring.writer().isBroken()) {
            fail(ERROR_RINGIDX, "rsp_cons is more than the ring's length away from rsp_prod");
        }
    }

    /// The poller has stopped itself: a bug of ours.
    private void broken(Throwable cause) {
        LOG.error("xenstore page of domain {}", domain, cause);
        fail(ERROR_COMM, "the store failed");
    }

    private boolean reconnectionAsked() {
        // Acquire: what the guest wrote before it asked. Pairs with its release.
        return (int) WORD.getAcquire(memory, CONNECTION) == RECONNECT;
    }

    private void reconnect() {
        disconnect();
        ring = XenstoreRing.storeReset(memory);
        connect();
        // Release: indices and error before the word that lets the guest use them.
        WORD.setRelease(memory, CONNECTION, CONNECTED);
        kick();
    }

    /// Wakes the guest: it may be waiting for bytes, or for room. Once for each pass.
    private void kick() {
        if (polling) {
            kick = true;
        } else {
            page.channel().send();
        }
    }

    /// The guest's bytes, as the poller asks for them.
    private final class Requests implements RingWork {
        @Override
        public int poll(int budget) {
            polling = true;
            try {
                return take(budget);
            } finally {
                polling = false;
                if (kick) {
                    kick = false;
                    page.channel().send();
                }
            }
        }

        private int take(int budget) {
            int taken = 0;
            if (reconnectionAsked()) {
                reconnect();
                taken++;
            }
            int room = ring.writer().writableBytes();
            if (room != lastRoom) {
                poller.noteWork(); // the guest has read, and that is what the event was for
            }
            WireSession serving = session;
            if (serving != null && !unsent.isEmpty()) {
                serving.work();
            }
            while (taken < budget && wanted && session != null) {
                int count = ring.reader().read(readMemory, 0, READ_BYTES);
                if (count == 0) {
                    break;
                }
                taken++;
                kick = true;
                session.receive(readBuffer.setIndex(0, count));
            }
            failWhenBroken();
            lastRoom = ring.writer().writableBytes();
            return taken;
        }

        /// There are no event words: the guest sends an event after each change.
        @Override
        public boolean finalCheck() {
            boolean more =
                    reconnectionAsked()
                            || (session != null && wanted && ring.reader().readableBytes() > 0);
            failWhenBroken();
            return more;
        }
    }

    private final class Transport implements WireTransport {
        @Override
        public void send(WireMessage message) {
            if (session != null) {
                unsent.add(message);
            }
        }

        @Override
        public int flush() {
            if (session != null && unsent.write()) {
                kick();
            }
            failWhenBroken();
            return unsent.size();
        }

        @Override
        public void wantBytes(boolean now) {
            wanted = now;
            if (now) {
                poller.wake();
            }
        }

        @Override
        public void execute(Runnable task) {
            try {
                loop.execute(task);
            } catch (RejectedExecutionException e) {
                LOG.debug("xenstore page of domain {}: loop has ended", domain);
            }
        }

        @Override
        public void schedule(Runnable task, long delayNanos) {
            loop.schedule(task, delayNanos);
        }

        @Override
        public void end(Ending why, String detail) {
            switch (why) {
                case ASKED -> {}
                case PROTOCOL -> fail(ERROR_PROTO, detail);
                case FAILURE -> fail(ERROR_COMM, detail);
            }
        }
    }
}
