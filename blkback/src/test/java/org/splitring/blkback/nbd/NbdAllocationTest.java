package org.splitring.blkback.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkback.DiskAccess;
import org.splitring.hypervisor.linux.IoVector;

/// In steady state no byte is allocated for a request, by the thread that waits for it or by the
/// reader.
@Timeout(60)
class NbdAllocationTest {
    private static final int REQUESTS = 4_000;
    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TempDir Path folder;

    /// This thread and the readers of links. Looked for once: it allocates.
    private static long[] threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(
                        each ->
                                each.equals(Thread.currentThread())
                                        || each.getName().startsWith("nbd "))
                .mapToLong(Thread::threadId)
                .toArray();
    }

    private static long allocatedBytes(long[] threads) {
        long sum = 0;
        for (long id : threads) {
            sum += THREADS.getThreadAllocatedBytes(id);
        }
        return sum;
    }

    private static void transfer(NbdStore store, boolean writes, IoVector vector, MemorySegment at)
            throws IOException {
        for (int i = 0; i < REQUESTS; i++) {
            vector.clear();
            vector.add(at, 0, 4096);
            vector.add(at, 8192, 4096);
            if (writes) {
                store.write(vector, i % 64 * 8192L);
            } else {
                store.read(vector, i % 64 * 8192L);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void requestsAllocateNothing(boolean writes) throws Exception {
        IoVector vector = new IoVector(2);
        MemorySegment memory = Arena.ofAuto().allocate(16_384, 4096);
        try (ServerProcess server = ServerProcess.nbdkit(folder.resolve("s"), "memory", "1M");
                NbdStore store = NbdStore.open(server.source(""), DiskAccess.READ_WRITE, false)) {
            long[] threads = threads();
            assertEquals(2, threads.length);
            long least = Long.MAX_VALUE;
            for (int round = 0; round < 10 && least > REQUESTS; round++) { // the first warm up
                long before = allocatedBytes(threads);
                transfer(store, writes, vector, memory);
                least = Math.min(least, allocatedBytes(threads) - before);
            }
            assertTrue(least <= REQUESTS, least + " bytes for " + REQUESTS + " requests");
        }
    }
}
