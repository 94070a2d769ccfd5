package org.splitring.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// A warmed loop over both ends allocates nothing, by the thread's own counter.
class RingAllocationTest {
    private static final int BATCH = 20;
    private static final BlkifLayout BLKIF = BlkifLayout.X86_64;

    private final MemorySegment page = Arena.ofAuto().allocate(4096, 4096);
    private final MemorySegment request = Arena.ofAuto().allocate(112, 8);
    private final MemorySegment response = Arena.ofAuto().allocate(112, 8);
    private final FrontRing front = FrontRing.init(page, 112);
    private final BackRing back = BackRing.init(page, 112);
    private final RingLook look = new RingLook();
    private long ids;

    @Test
    void steadyStateAllocatesNothing() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        passes(20_000);
        threads.getCurrentThreadAllocatedBytes();
        long before = threads.getCurrentThreadAllocatedBytes();
        passes(50_000);
        long after = threads.getCurrentThreadAllocatedBytes();
        assertEquals(0, after - before, "bytes for a million requests");
        assertEquals(70_000L * BATCH, ids);
    }

    private void passes(int count) {
        for (int i = 0; i < count; i++) {
            pass();
        }
    }

    private void pass() {
        for (int i = 0; i < BATCH; i++) {
            long slot = front.slotOffset(front.takeRequestIndex());
            BLKIF.writeRequest(front.segment(), slot, BlkifOp.READ, 1, 0, ids++, 8);
            BlkifLayout.writeSegment(front.segment(), BLKIF.segmentOffset(slot, 0), 9, 0, 7);
        }
        front.pushRequestsAndCheckNotify();
        for (int n = back.unconsumedRequests(); n > 0; n--) {
            back.copyRequest(request);
            long id = BLKIF.id(request, 0);
            int operation = BLKIF.operation(request, 0);
            long slot = back.slotOffset(back.takeResponseIndex());
            BLKIF.writeResponse(back.segment(), slot, id, operation, BlkifStatus.OKAY);
        }
        back.pushResponsesAndCheckNotify();
        back.finalCheckForRequests();
        for (int n = front.unconsumedResponses(); n > 0; n--) {
            front.copyResponse(response);
            if (BLKIF.responseStatus(response, 0) != BlkifStatus.OKAY) {
                throw new AssertionError("status");
            }
        }
        front.finalCheckForResponses();
        back.look(look);
    }
}
