package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;

/// In steady state no byte is allocated for a frame, on its whole way from one frontend through
/// backend, switch and backend to the other: all of it runs in this thread.
@Timeout(120)
class AllocationTest {
    private static final int FRAMES = 20_000;

    private static final class Sink implements VifUser {
        long frames;

        @Override
        public void received(ReceivedFrame frame) {
            frames++;
        }
    }

    private final SpinLoop loop = new SpinLoop(0);
    private final Sink sink = new Sink();
    private final Sink back = new Sink();

    private static long allocatedBytes() {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        return threads.getThreadAllocatedBytes(Thread.currentThread().threadId());
    }

    private void run(VifFrontend vif, MemorySegment bytes, int size, boolean large, int count) {
        long wanted = sink.frames + count;
        int sent = 0;
        while (sink.frames < wanted) {
            for (int i = 0; i < 16 && sent < count; i++) {
                TxFrame frame = vif.acquire(0, size);
                if (frame == null) {
                    break;
                }
                frame.append(bytes, 0, size);
                if (large) {
                    frame.checksum(FrameChecksum.PARTIAL);
                    frame.segmentation(FrameSegmentation.TCPV4, 1400);
                }
                frame.send();
                sent++;
            }
            vif.flush();
            loop.round();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {60, 1514, 60_000})
    void j07_framesAllocateNothing(int size) throws Exception {
        try (SpinLab lab = new SpinLab(loop, loop)) {
            VifFrontend sender = lab.guest(1, back, VifFrontendOptions.DEFAULT);
            VifFrontend receiver = lab.guest(2, sink, VifFrontendOptions.DEFAULT);
            loop.until(() -> sender.hasCarrier() && receiver.hasCarrier());
            boolean large = size > 1514;
            byte[] frame =
                    large
                            ? Packets.ip4(Packets.mac(2), Packets.mac(1), 6, size - 54, true)
                            : Packets.frame(Packets.mac(2), Packets.mac(1), size);
            MemorySegment bytes = MemorySegment.ofArray(frame);
            run(sender, bytes, size, large, large ? 20_000 : 60_000); // compiled by now
            long least = Long.MAX_VALUE;
            for (int round = 0; round < 5; round++) {
                long before = allocatedBytes();
                run(sender, bytes, size, large, FRAMES);
                least = Math.min(least, allocatedBytes() - before);
            }
            assertEquals(0, sender.metrics().txErrors());
            // Asking for the counter may allocate a little itself; 20,000 frames may not.
            assertTrue(least < 1024, "bytes for " + FRAMES + " frames: " + least);
        }
    }
}
