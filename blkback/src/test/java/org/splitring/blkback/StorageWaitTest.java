package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class StorageWaitTest {
    /// What a virtual thread gets from it.
    private static Object inVirtualThread(StorageWait.Work work) throws Exception {
        CompletableFuture<Object> result = new CompletableFuture<>();
        Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                StorageWait.run(work);
                                result.complete("done");
                            } catch (DiskException | RuntimeException e) {
                                result.complete(e);
                            }
                        });
        try {
            return result.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aVirtualThreadLetsAnotherWait() throws Exception {
        boolean[] virtual = {true};
        assertEquals(
                "done", inVirtualThread(() -> virtual[0] = Thread.currentThread().isVirtual()));
        assertEquals(false, virtual[0]);
        DiskException lost = new DiskException("lost");
        assertSame(
                lost,
                inVirtualThread(
                        () -> {
                            throw lost;
                        }));
        assertInstanceOf(
                RuntimeException.class,
                inVirtualThread(
                        () -> {
                            throw new IllegalStateException("ours");
                        }));
    }

    @Test
    void anyOtherThreadWaitsItself() throws Exception {
        Thread[] did = new Thread[1];
        StorageWait.run(() -> did[0] = Thread.currentThread());
        assertSame(Thread.currentThread(), did[0]);
    }
}
