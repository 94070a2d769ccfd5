package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.concurrent.RejectedExecutionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Each request has its answer, also where there is no room and nobody to do it.
@Timeout(60)
class DiskQueueTest {
    private static final int NO_OPERATION = 99;

    @Test
    void withoutWorkersTheAnswerIsAnError() {
        MemoryStore store =
                new MemoryStore(1 << 20) {
                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) {
                        return WOULD_BLOCK;
                    }
                };
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig =
                new QueueRig(
                        disk,
                        BlkifLayout.X86_64,
                        -2,
                        work -> {
                            throw new RejectedExecutionException("closed");
                        },
                        DomainLimits.DEFAULT)) {
            for (int i = 0; i < 3; i++) {
                QueueRig.Response response = rig.ask(BlkifOp.READ, i, 0, rig.grefs[0]);
                assertEquals(new QueueRig.Response(i, BlkifOp.READ, BlkifStatus.ERROR), response);
            }
            assertEquals(0, rig.mappedData());
            assertTrue(disk.failure().isEmpty());
        }
    }

    /// A frontend that puts a request on the ring before it can have seen an answer finds that all
    /// places are taken, and makes room with that.
    @Test
    void answersThatNobodyHasSeenMakeRoom() {
        QueueRig[] made = new QueueRig[1];
        MemoryStore store =
                new MemoryStore(1 << 20) {
                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
                        made[0].write(NO_OPERATION, 77, 0);
                        made[0].publish();
                        return super.readNoWait(into, offsetBytes);
                    }
                };
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig = new QueueRig(disk)) {
            made[0] = rig;
            for (int i = 1; i < rig.entries; i++) {
                rig.write(NO_OPERATION, i, 0);
            }
            rig.write(BlkifOp.READ, rig.entries, 0, rig.grefs[0]);
            rig.serve();
            assertEquals(rig.entries + 1, rig.word(8) - rig.rspCons);
            rig.rspCons += rig.entries;
            assertEquals(77, rig.take().id());
        }
    }

    /// The pass that took it met a broken ring before it came to begin what waits.
    @Test
    void aBarrierOfABrokenRingKeepsNobodyWaiting() {
        QueueRig[] made = new QueueRig[1];
        MemoryStore store =
                new MemoryStore(1 << 20) {
                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
                        made[0].word(0, made[0].reqProd + 1000);
                        return super.readNoWait(into, offsetBytes);
                    }
                };
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig = new QueueRig(disk)) {
            made[0] = rig;
            rig.write(BlkifOp.READ, 1, 0, rig.grefs[0]);
            rig.write(BlkifOp.WRITE_BARRIER, 2, 0, rig.grefs[1]);
            rig.publish();
            assertThrows(RuntimeException.class, () -> rig.queue.poll(1024));
            assertEquals(1, rig.queue.inFlight());
            boolean[] idle = {false};
            rig.queue.whenIdle(() -> idle[0] = true);
            rig.loop.pump();
            assertTrue(idle[0], "idle");
            assertEquals(0, rig.mappedData());
        }
    }
}
