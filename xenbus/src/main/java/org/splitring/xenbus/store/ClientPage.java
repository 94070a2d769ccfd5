package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.ring.ByteRingEnd;
import org.splitring.ring.XenstoreRing;
import org.splitring.wire.XenstoreRingLayout;

/// A client's end of the xenstore page.
///
/// Requests come from any thread and wait in a queue, which the client bounds; the loop moves them
/// into the ring and takes answers out of the other. The store is not trusted either: an impossible
/// index, or its own word that it has stopped, ends the connection.
final class ClientPage implements ClientTransport {
    private static final Logger LOG = LoggerFactory.getLogger(ClientPage.class);
    private static final int READ_BYTES = XenstoreRingLayout.RING_SIZE_BYTES;
    private static final int BUDGET = 4;
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final StoreWireClient client;
    private final XenstorePage page;
    private final DeviceLoop loop;
    private final ByteRingEnd ring;
    private final PortPoller poller;
    private final Queue<WireMessage> sent = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean taskQueued = new AtomicBoolean();
    private final AtomicBoolean closing = new AtomicBoolean();
    private final CompletableFuture<Void> over = new CompletableFuture<>();

    // The loop's.
    private final RingMessages unwritten;
    private final byte[] readBytes = new byte[READ_BYTES];
    private final MemorySegment readMemory = MemorySegment.ofArray(readBytes);
    private final ByteBuf in = Unpooled.buffer(256, 1 << 20);
    private boolean ended;

    private ClientPage(XenstorePage page, DeviceLoop loop, StoreWireClient client) {
        this.client = client;
        this.page = page;
        this.loop = loop;
        ring = XenstoreRing.domain(page.memory());
        unwritten = new RingMessages(ring.writer());
        poller = new PortPoller(page.channel(), loop, new Answers(), BUDGET, this::broken);
    }

    static ClientPage open(XenstorePage page, DeviceLoop loop, StoreWireClient client) {
        ClientPage opened = new ClientPage(page, loop, client);
        opened.poller.start();
        return opened;
    }

    @Override
    public boolean inLoop() {
        return loop.inLoop();
    }

    @Override
    public void send(WireMessage message) {
        sent.add(message);
        if (taskQueued.compareAndSet(false, true)) {
            try {
                loop.execute(this::sendQueued);
            } catch (RejectedExecutionException e) {
                client.fail("the loop of the connection to the store has ended");
            }
        }
    }

    private void sendQueued() {
        taskQueued.set(false); // before looking: whoever adds after that makes another task
        if (!ended && write()) {
            page.channel().send();
        }
    }

    /// @return whether anything was written
    private boolean write() {
        for (WireMessage next = sent.poll(); next != null; next = sent.poll()) {
            unwritten.add(next);
        }
        return unwritten.write();
    }

    /// {@inheritDoc} Waits, except on the loop, until nobody touches the page any more.
    @Override
    public void close() {
        if (closing.compareAndSet(false, true)) {
            try {
                loop.execute(this::end);
            } catch (RejectedExecutionException e) {
                end(); // the loop has ended: nobody else is here
            }
        }
        if (!loop.inLoop()) {
            over.join();
        }
    }

    private void end() {
        if (!ended) {
            ended = true;
            poller.stop();
            page.close();
            over.complete(null);
        }
    }

    private void fail(String why) {
        end();
        client.fail(why);
    }

    private void broken(Throwable cause) {
        LOG.error("xenstore page of domain {}", client.domain(), cause);
        fail("the connection to the store failed: " + cause);
    }

    private final class Answers implements RingWork {
        @Override
        public int poll(int budget) {
            int taken = 0;
            while (taken < budget && !ended) {
                int count = ring.reader().read(readMemory, 0, READ_BYTES);
                if (count == 0) {
                    break;
                }
                taken++;
                in.writeBytes(readBytes, 0, count);
                if (!client.received(in)) {
                    fail("the store has sent what is no message");
                }
            }
            if (!ended && (write() || taken > 0)) {
                poller.noteWork();
                page.channel().send(); // bytes, or room, or both
            }
            check();
            return taken;
        }

        private void check() {
            if (ended) {
                return;
            }
            boolean noRoom = ring.writer().writableBytes() == 0; // looks, also when idle
            if (ring.reader().isBroken() || (noRoom && ring.writer().isBroken())) {
                fail("the store has put an impossible index into the page");
                return;
            }
            int error = page.memory().get(U32, XenstoreRingLayout.ERROR);
            if (error != XenstoreRingLayout.ERROR_NONE) {
                fail("the store has stopped serving the page, error " + error);
            }
        }

        /// There are no event words: the store sends an event after each change.
        @Override
        public boolean finalCheck() {
            return !ended && ring.reader().readableBytes() > 0;
        }
    }
}
