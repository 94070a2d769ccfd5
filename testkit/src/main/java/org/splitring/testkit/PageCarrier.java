package org.splitring.testkit;

import static org.splitring.wire.XenstoreRingLayout.REQ;
import static org.splitring.wire.XenstoreRingLayout.REQ_CONS;
import static org.splitring.wire.XenstoreRingLayout.REQ_PROD;
import static org.splitring.wire.XenstoreRingLayout.RING_SIZE_BYTES;
import static org.splitring.wire.XenstoreRingLayout.RSP;
import static org.splitring.wire.XenstoreRingLayout.RSP_CONS;
import static org.splitring.wire.XenstoreRingLayout.RSP_PROD;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/// The guest's end of a xenstore page with its two byte rings, whoever serves the other:
/// `xs_wire.h`,
/// `struct xenstore_domain_interface`. One thread.
public final class PageCarrier implements RawStoreClient.Carrier {
    private static final VarHandle INDEX =
            ValueLayout.JAVA_INT
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(20);

    /// Who serves the page.
    public interface Daemon {
        /// Tells it that indices have changed.
        void kick() throws IOException;

        boolean isAlive();

        /// Lets go of the guest's page.
        void close();
    }

    private final MemorySegment page;
    private final Daemon daemon;

    /// @param page 4096 bytes
    public PageCarrier(MemorySegment page, Daemon daemon) {
        this.page = page;
        this.daemon = daemon;
    }

    @Override
    public void send(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            awaitOther(REQ_CONS, index(REQ_PROD) - RING_SIZE_BYTES);
            offer(bytes);
        }
    }

    /// Puts as many bytes into the ring as there is room for.
    ///
    /// @return whether that were all
    public boolean offer(ByteBuffer bytes) throws IOException {
        int prod = index(REQ_PROD);
        int room = RING_SIZE_BYTES - (prod - index(REQ_CONS));
        for (; room > 0 && bytes.hasRemaining(); room--) {
            page.set(ValueLayout.JAVA_BYTE, REQ + (prod++ & (RING_SIZE_BYTES - 1)), bytes.get());
        }
        INDEX.setRelease(page, REQ_PROD, prod);
        daemon.kick();
        return !bytes.hasRemaining();
    }

    @Override
    public void receive(ByteBuffer into) throws IOException {
        while (into.hasRemaining()) {
            int cons = index(RSP_CONS);
            awaitOther(RSP_PROD, cons);
            int ready = index(RSP_PROD) - cons;
            for (; ready > 0 && into.hasRemaining(); ready--) {
                long at = RSP + (cons++ & (RING_SIZE_BYTES - 1));
                into.put(page.get(ValueLayout.JAVA_BYTE, at));
            }
            INDEX.setRelease(page, RSP_CONS, cons);
            daemon.kick();
        }
    }

    private int index(long offset) {
        return (int) INDEX.getAcquire(page, offset);
    }

    private void awaitOther(long index, int not) throws IOException {
        long start = System.nanoTime();
        while (index(index) == not) {
            if (!daemon.isAlive() || System.nanoTime() - start > PATIENCE_NANOS) {
                throw new IOException("the daemon does not serve the page");
            }
            LockSupport.parkNanos(10_000);
        }
    }

    @Override
    public void close() {
        daemon.close();
    }
}
