package org.splitring.blkfront;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;

/// What the frontend's table of requests lets through: each rule is seen by the reason it gives,
/// so that another rule that happens to catch the same answer does not count.
class VbdQueueTest {
    private static final int PAGES = 16;
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;

    private final LocalGuestDomain guest =
            new LocalHypervisor().createGuest(new DomId(1), 1 << 20, DomainLimits.DEFAULT);
    private final MemorySegment ringPage = guest.memory().pages(guest.pages().allocate(1), 1);
    private final int poolGfn = guest.pages().allocate(PAGES);
    private final QueuedLoop loop = new QueuedLoop();
    private final List<String> reasons = new ArrayList<>();
    private final List<Integer> ends = new ArrayList<>();
    private final TransferQueue transfers;
    private final VbdQueue queue;
    private int rspProd;

    VbdQueueTest() throws EventChannelException {
        int[] grefs = new int[8 * BlkifLayout.MAX_SEGMENTS_PER_REQUEST];
        for (int i = 0; i < grefs.length; i++) {
            grefs[i] = guest.grants().claim();
        }
        BufferPool pool = new BufferPool(guest.memory().pages(poolGfn, PAGES));
        transfers = new TransferQueue(loop, pool, poolGfn);
        queue =
                new VbdQueue(
                        FrontRing.init(ringPage, LAYOUT.entrySizeBytes()),
                        guest.eventChannels().allocUnbound(DomId.ZERO),
                        PageGrants.forEachRequest(guest.grants(), DomId.ZERO, transfers, grefs),
                        IndirectPages.take(guest, DomId.ZERO),
                        51712,
                        transfers);
        queue.onBroken(reasons::add);
        transfers.attach(
                List.of(queue),
                new VbdGeometry(
                        1 << 20, 512, false, false, false, true, false, 11, VbdDiscard.NONE));
    }

    @AfterEach
    void close() {
        guest.close();
    }

    private void write(int count) {
        for (int i = 0; i < count; i++) {
            GuestBuffer buffer = transfers.pool().acquire(GuestMemory.PAGE_SIZE);
            if (buffer == null) {
                throw new AssertionError("no buffer");
            }
            transfers.start(
                    BlkifOp.WRITE,
                    0,
                    buffer,
                    GuestMemory.PAGE_SIZE,
                    status -> {
                        ends.add(status);
                        transfers.release(buffer);
                    });
        }
    }

    private void respond(long id, int operation) {
        long slot = 64 + (long) (rspProd++ & 31) * LAYOUT.entrySizeBytes();
        LAYOUT.writeResponse(ringPage, slot, id, operation, 0);
        ringPage.set(ValueLayout.JAVA_INT, 8, rspProd); // rsp_prod
    }

    private void assertBroken(String reason) {
        assertEquals(1, reasons.size(), reasons.toString());
        assertTrue(reasons.getFirst().contains(reason), reasons.toString());
        assertEquals(0, transfers.liveTransfers());
        respond(0, BlkifOp.WRITE);
        assertEquals(1, reasons.size());
    }

    @Test
    void h007_anIdAnsweredTwiceIsSeenAsOne() {
        write(3);
        respond(1, BlkifOp.WRITE);
        respond(1, BlkifOp.WRITE);
        queue.poll(10);
        assertBroken("not outstanding: id 1");
        assertEquals(List.of(0, -1, -1), ends);
    }

    @Test
    void h007_anIdAnsweredTwiceInTwoPollsIsSeenAsOne() {
        write(3);
        respond(2, BlkifOp.WRITE);
        assertEquals(1, queue.poll(10));
        assertEquals(List.of(0), ends);
        respond(2, BlkifOp.WRITE);
        queue.poll(10);
        assertBroken("not outstanding: id 2");
        assertEquals(List.of(0, -1, -1), ends);
    }

    /// 255 is what an empty place of the table would be, read as an unsigned operation.
    @ParameterizedTest
    @ValueSource(ints = {1, 255})
    void h007_anIdThatWasNeverUsedIsSeenAsOne(int operation) {
        write(3);
        respond(5, operation);
        queue.poll(10);
        assertBroken("not outstanding: id 5");
    }

    @ParameterizedTest
    @ValueSource(longs = {32, 33, 1L << 32, -1, Long.MIN_VALUE})
    void h007_anIdBeyondTheTableIsSeenAsOne(long id) {
        write(3);
        respond(id, BlkifOp.WRITE);
        queue.poll(10);
        assertBroken("out of range: " + Long.toUnsignedString(id));
    }

    @Test
    void h007_anotherOperationIsSeenAsOne() {
        write(3);
        respond(0, BlkifOp.READ);
        queue.poll(10);
        assertBroken("response of operation 0 to a request of 1");
    }

    /// Runs nothing: no transfer here is refused.
    private static final class QueuedLoop implements DeviceLoop {
        final ArrayDeque<Runnable> tasks = new ArrayDeque<>();

        @Override
        public void execute(Runnable task) {
            tasks.add(task);
        }

        @Override
        public Runnable schedule(Runnable task, long delayNanos) {
            tasks.add(task);
            return () -> tasks.remove(task);
        }

        @Override
        public boolean inLoop() {
            return true;
        }

        @Override
        public long nanoTime() {
            return 0;
        }

        @Override
        public long spinNanos() {
            return 0;
        }
    }
}
