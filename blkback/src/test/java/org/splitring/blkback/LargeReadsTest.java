package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.HandshakeException;

/// Large reads from a page cache: where a processor is free, the loop and the workers share them.
@Timeout(60)
class LargeReadsTest {
    private final PumpedLoop loop = new PumpedLoop();
    private final List<Runnable> given = new ArrayList<>(); // to the workers
    private final List<Integer> ended = new ArrayList<>();

    @ParameterizedTest
    @CsvSource({
        "30000, 1048576, 4, 2", // every other one
        "30000, 1048576, 3, 1", // the loop has nothing else to do when the last comes
        "30000, 1048576, 1, 0",
        "30000, 524288, 4, 0", // what is smaller is moved sooner than a worker has woken
        "0, 1048576, 4, 0",
    })
    void everyOtherOneIsDoneBesideTheLoop(long spinNanos, int size, int count, int shared)
            throws Exception {
        loop.spinNanos = spinNanos;
        MemoryStore store = new MemoryStore(4 << 20);
        new Random(20261128).nextBytes(store.bytes);
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        try (VbdLab lab = new VbdLab()) {
            ServedVbd back =
                    ServedVbd.create(
                            lab.driver,
                            lab.toolstack,
                            VbdLab.GUEST,
                            VbdLab.XVDA,
                            disk,
                            loop,
                            VbdBackendOptions.of(weight -> given::add),
                            ServedVbd.LIFECYCLE);
            CompletableFuture<ConnectedVbd> connecting =
                    CompletableFuture.supplyAsync(() -> connect(lab));
            loop.pumpUntil(connecting::isDone);
            ConnectedVbd front = connecting.join();
            List<GuestBuffer> buffers = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                buffers.add(front.acquire(size));
                front.read((long) i * size, buffers.get(i), size, ended::add);
            }
            loop.pumpUntil(() -> ended.size() + given.size() == count);
            assertEquals(shared, given.size());
            given.forEach(Runnable::run);
            loop.pumpUntil(() -> ended.size() == count);
            for (int i = 0; i < count; i++) {
                assertEquals(0, ended.get(i), "status");
                MemorySegment expected =
                        MemorySegment.ofArray(store.bytes).asSlice((long) i * size, size);
                assertEquals(-1, expected.mismatch(bytesOf(buffers.get(i), size)));
            }
            assertEquals(count - shared, back.metrics().inline());
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

    private static MemorySegment bytesOf(GuestBuffer buffer, int size) {
        return MemorySegment.ofBuffer(buffer.bytes().slice(0, size));
    }

    private ConnectedVbd connect(VbdLab lab) {
        try {
            return ConnectedVbd.connect(
                    lab.guest,
                    lab.guestStore,
                    VbdLab.XVDA,
                    loop,
                    VbdFrontendOptions.DEFAULT,
                    FrontendOptions.DEFAULT);
        } catch (HandshakeException e) {
            throw new IllegalStateException(e);
        }
    }
}
