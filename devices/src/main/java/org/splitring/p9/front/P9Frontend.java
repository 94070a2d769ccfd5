package org.splitring.p9.front;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.ring.FlexRing;
import org.splitring.wire.FlexRingLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.device.StreamRing;
import org.splitring.xenbus.device.StreamServer;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Frontend of one 9pfs device: one ring, and a socket that one client at a time is served on.
///
/// A session of 9P has state in the backend (handles, open files, locks), so it cannot go on with
/// another backend: when a connection ends its client's connection ends too, and the client
/// attaches
/// anew. Nothing that was answered is lost by that, and nothing is sent twice.
final class P9Frontend implements FrontendHooks, StreamServer {
    /// 32 pages and the index page: 64 KiB in each direction, which is also the longest message.
    static final int RING_PAGE_ORDER = 5;

    private static final long PATIENCE_SECONDS = 5;
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final Logger LOG = LoggerFactory.getLogger(P9Frontend.class);

    private final DeviceLoop loop;
    private final Semaphore turn = new Semaphore(1, true);
    private final Object monitor = new Object();

    // Guarded by monitor.
    private @Nullable StreamRing ring;
    private @Nullable ClientLink client;
    private Consumer<String> broken = reason -> {};

    P9Frontend(DeviceLoop loop) {
        this.loop = loop;
    }

    @Override
    public Connection prepare(
            GuestDomain guest, DevicePaths paths, Keys backend, Consumer<String> whenBroken)
            throws StoreException, HandshakeException, EventChannelException {
        backend.oneOf("versions", List.of("1"));
        backend.number("max-rings", 1, Integer.MAX_VALUE);
        int order =
                (int)
                        Math.min(
                                RING_PAGE_ORDER,
                                backend.number("max-ring-page-order", 1, Integer.MAX_VALUE));
        GrantedPages pages =
                GrantedPages.grant(guest, paths.backendDomain(), 1 + (1 << order), false);
        try {
            EventChannel port = guest.eventChannels().allocUnbound(paths.backendDomain());
            return new Rings(pages, port, order, whenBroken);
        } catch (EventChannelException e) {
            pages.close();
            throw e;
        }
    }

    @Override
    public void ended(String reason) {
        // The socket goes with the device, and with it whoever is connected.
    }

    /// One ring, for one connection.
    private final class Rings implements Connection {
        private final GrantedPages pages;
        private final EventChannel port;
        private final int order;
        private final Consumer<String> whenBroken;
        private @Nullable StreamRing stream;

        Rings(GrantedPages pages, EventChannel port, int order, Consumer<String> whenBroken) {
            this.pages = pages;
            this.port = port;
            this.order = order;
            this.whenBroken = whenBroken;
            MemorySegment index = index();
            index.set(U32, FlexRingLayout.RING_ORDER, order);
            for (int page = 1; page < pages.count(); page++) {
                index.set(U32, FlexRingLayout.REF + 4L * (page - 1), pages.gref(page));
            }
        }

        private MemorySegment index() {
            return pages.memory().asSlice(0, 4096);
        }

        @Override
        public void publish(StoreAccess keys, String folder) throws StoreException {
            keys.write(folder + "/version", "1");
            keys.write(folder + "/num-rings", "1");
            keys.write(folder + "/ring-ref0", Integer.toUnsignedString(pages.gref(0)));
            keys.write(folder + "/event-channel-0", Integer.toString(port.port()));
        }

        @Override
        public void connected(Keys backend) {
            StreamRing opened =
                    StreamRing.start(
                            FlexRing.frontend(index(), pages.memory().asSlice(4096), order),
                            port,
                            loop,
                            new Object(),
                            whenBroken);
            stream = opened;
            synchronized (monitor) {
                ring = opened;
                broken = whenBroken;
                monitor.notifyAll();
            }
        }

        @Override
        public void pause(Executor executor, Runnable quiet) {
            leave(executor, quiet, ClientLink::abandon);
        }

        @Override
        public void drain(Executor executor, Runnable quiet) {
            leave(executor, quiet, ClientLink::finish);
        }

        private void leave(Executor executor, Runnable quiet, Consumer<ClientLink> how) {
            ClientLink last;
            synchronized (monitor) {
                ring = null;
                last = client;
            }
            if (last == null) {
                executor.execute(quiet);
                return;
            }
            how.accept(last);
            var ignored = last.whenEnded().thenRunAsync(quiet, executor);
        }

        @Override
        public void close(Executor executor, Runnable closed) {
            synchronized (monitor) {
                ring = null;
            }
            StreamRing started = stream;
            if (started == null) {
                port.close();
            } else {
                started.close();
            }
            executor.execute(
                    () -> {
                        pages.close();
                        closed.run();
                    });
        }
    }

    @Override
    public void serve(InputStream in, OutputStream out) throws IOException, InterruptedException {
        if (!turn.tryAcquire(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            LOG.warn("9pfs: a second client was turned away: the socket serves one at a time");
            return;
        }
        try {
            ClientLink link = connect(in, out);
            if (link != null) {
                link.run();
            }
        } finally {
            synchronized (monitor) {
                client = null;
            }
            turn.release();
        }
    }

    /// Waits for a backend for a while, as a client would.
    private @Nullable ClientLink connect(InputStream in, OutputStream out)
            throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        synchronized (monitor) {
            while (ring == null) {
                long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
                if (left <= 0) {
                    return null;
                }
                monitor.wait(left);
            }
            ClientLink link = new ClientLink(ring, in, out, broken);
            client = link;
            return link;
        }
    }
}
