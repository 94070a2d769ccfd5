package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdException;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;

/// In steady state no byte is allocated for a request that the page cache serves, in either half:
/// both run on one loop here, in this thread.
@Timeout(120)
class AllocationTest {
    private static final int DEPTH = 16;
    private static final int SIZE = 16384;

    /// Keeps `DEPTH` transfers going for ever; each end starts the next one.
    private static final class Load implements Completion {
        private final VbdFrontend front;
        private final boolean writes;
        private final GuestBuffer[] buffers = new GuestBuffer[DEPTH];
        long started;
        long ended;
        long errors;
        long limit;

        Load(VbdFrontend front, boolean writes) {
            this.front = front;
            this.writes = writes;
            for (int i = 0; i < DEPTH; i++) {
                GuestBuffer buffer = front.acquire(SIZE);
                if (buffer == null) {
                    throw new AssertionError("no buffer");
                }
                buffers[i] = buffer;
            }
        }

        void start() {
            GuestBuffer buffer = buffers[(int) (started % DEPTH)];
            long offset = started % 60 * SIZE;
            started++;
            if (writes) {
                front.write(offset, buffer, SIZE, this);
            } else {
                front.read(offset, buffer, SIZE, this);
            }
        }

        @Override
        public void done(int blkifStatus) {
            ended++;
            errors += blkifStatus == 0 ? 0 : 1;
            if (started < limit) {
                start();
            }
        }

        void run(PumpedLoop loop, int transfers) {
            limit = started + transfers;
            for (int i = 0; i < DEPTH; i++) {
                start();
            }
            while (ended < started || started < limit) {
                loop.pump();
            }
        }
    }

    private static void measure(DiskImage disk, boolean writes) throws Exception {
        PumpedLoop loop = new PumpedLoop();
        try (VbdLab lab = new VbdLab()) {
            VbdBackend back =
                    VbdBackend.create(
                            lab.driver,
                            lab.toolstack,
                            VbdLab.GUEST,
                            VbdLab.XVDA,
                            disk,
                            loop,
                            VbdBackendOptions.of(lab.workers));
            CompletableFuture<VbdFrontend> connecting =
                    CompletableFuture.supplyAsync(
                            () -> {
                                try {
                                    return VbdFrontend.connect(
                                            lab.guest,
                                            lab.guestStore,
                                            VbdLab.XVDA,
                                            loop,
                                            VbdFrontendOptions.DEFAULT.withRingPageOrder(1));
                                } catch (VbdException e) {
                                    throw new IllegalStateException(e);
                                }
                            });
            loop.pumpUntil(connecting::isDone);
            VbdFrontend front = connecting.join();
            Load load = new Load(front, writes);
            load.run(loop, 40_000); // compiled by now
            var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
            long id = Thread.currentThread().threadId();
            long least = Long.MAX_VALUE;
            for (int round = 0; round < 5; round++) {
                long before = threads.getThreadAllocatedBytes(id);
                load.run(loop, 20_000);
                least = Math.min(least, threads.getThreadAllocatedBytes(id) - before);
            }
            assertEquals(0, load.errors);
            VbdMetrics metrics = back.metrics();
            assertEquals(load.ended, writes ? metrics.wrReq() : metrics.rdReq());
            assertEquals(load.ended, metrics.inline(), "all of it on the loop");
            // Asking for the counter may allocate a little itself; 20,000 requests may not.
            assertTrue(least < 1024, "bytes for 20,000 requests: " + least);
            CompletableFuture<Void> closing =
                    CompletableFuture.runAsync(
                            () -> {
                                front.close();
                                back.close();
                            });
            loop.pumpUntil(closing::isDone);
            closing.join();
        }
    }

    @Test
    void readsOfAFileInTheCacheAllocateNothing() throws Exception {
        Path folder = Path.of("/dev/shm");
        Assumptions.assumeTrue(Files.isWritable(folder), "needs /dev/shm");
        Path file = Files.createTempFile(folder, "splitring", ".img");
        try {
            Files.write(file, new byte[1 << 20]);
            try (DiskImage disk = DiskImage.open(file, DiskMode.WRITEBACK)) {
                measure(disk, false);
            }
        } finally {
            Files.delete(file);
        }
    }

    @Test
    void writesAllocateNothing() throws Exception {
        MemoryStore store = new MemoryStore(1 << 20);
        measure(DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run), true);
    }
}
