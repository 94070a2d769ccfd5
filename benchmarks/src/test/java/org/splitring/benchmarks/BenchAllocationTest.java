package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What `bench ring` does per request allocates nothing once it is warm, sleeping and waking
/// included.
final class BenchAllocationTest {
    private static final int BATCHES_PER_WINDOW = 20_000;
    private static final int WINDOWS = 40;

    @ParameterizedTest
    @ValueSource(ints = {112, 12})
    void noByteIsAllocatedPerRequest(int entrySizeBytes) throws IOException {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        MemorySegment page = Arena.global().allocate(4096, 4096);
        EntryWork work = EntryWork.of(entrySizeBytes);
        RingFront front = new SplitringFront(page, work);
        RingBack back = new SplitringBack(page, work);
        try (Doorbell doorbell = Doorbell.create()) {
            long allocated = -1;
            for (int window = 0; window < WINDOWS && allocated != 0; window++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                exchange(front, back, doorbell);
                allocated = threads.getCurrentThreadAllocatedBytes() - before;
            }
            assertEquals(0, allocated, "bytes in the last " + BATCHES_PER_WINDOW + " batches");
        }
    }

    /// Batches of 8 through the ring and back; each end goes to sleep after each and is woken.
    private static void exchange(RingFront front, RingBack back, Doorbell doorbell) {
        for (int i = 0; i < BATCHES_PER_WINDOW; i++) {
            if (back.finalCheck() || front.finalCheck()) {
                throw new IllegalStateException("work on an empty ring");
            }
            if (!front.send(8)) {
                throw new IllegalStateException("the back sleeps and is not woken");
            }
            doorbell.ring();
            doorbell.await();
            int served = back.serve(8);
            if (served != (8 | RingBack.KICK) || front.receive() != 8) {
                throw new IllegalStateException("served " + served);
            }
        }
    }
}
