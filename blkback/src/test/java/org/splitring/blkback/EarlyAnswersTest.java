package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;

/// In one pass over a ring the frontend sees answers before the last request is done, once much
/// data has been moved; and where little is moved, all at once.
@Timeout(30)
class EarlyAnswersTest {
    private static final int START = 0xFFFF_FFFE;

    /// Serves requests in one pass.
    ///
    /// @return at each transfer, how many answers the frontend could see
    private static List<Integer> seen(int operation, int requests, int pagesOfEach)
            throws IOException {
        List<Integer> seen = new ArrayList<>();
        AtomicReference<QueueRig> under = new AtomicReference<>();
        MemoryStore store =
                new MemoryStore(1 << 20) {
                    private void look() {
                        seen.add(Objects.requireNonNull(under.get()).word(8) - START);
                    }

                    @Override
                    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
                        look();
                        return super.readNoWait(into, offsetBytes);
                    }

                    @Override
                    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
                        look();
                        return super.writeNoWait(from, offsetBytes);
                    }
                };
        DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        try (QueueRig rig =
                new QueueRig(
                        disk, BlkifLayout.X86_64, START, Runnable::run, DomainLimits.DEFAULT)) {
            under.set(rig);
            int[] grefs = Arrays.copyOf(rig.grefs, pagesOfEach);
            for (int i = 0; i < requests; i++) {
                rig.write(operation, i, i * 88L, grefs);
            }
            rig.publish();
            assertEquals(requests, rig.queue.poll(64));
            assertEquals(requests, rig.word(8) - START, "answers at the end");
            for (int i = 0; i < requests; i++) {
                assertEquals(new QueueRig.Response(i, operation, 0), rig.take());
            }
        }
        return seen;
    }

    @ParameterizedTest
    @ValueSource(ints = {BlkifOp.READ, BlkifOp.WRITE})
    void answersAreSeenAfterEach64KiB(int operation) throws IOException {
        assertEquals(List.of(0, 0, 2, 2, 4, 4, 6), seen(operation, 7, 8));
        // 44 KiB each: not before there are 64, so after two.
        assertEquals(List.of(0, 0, 2, 2, 4), seen(operation, 5, 11));
    }

    @Test
    void answersOfLittleDataAreSeenTogether() throws IOException {
        List<Integer> seen = seen(BlkifOp.READ, 15, 1);
        assertEquals(15, seen.size());
        assertEquals(List.of(0), seen.stream().distinct().toList());
    }
}
