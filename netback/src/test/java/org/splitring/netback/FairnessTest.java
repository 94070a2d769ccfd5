package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;

/// Guests that send all that goes, and one more that floods: what each of the others gets through
/// drops by no more than a fifth, whether the flood is of small frames or of the largest. What
/// counts is the processor time of the network's loop, so that a busy machine does not matter.
@Timeout(120)
class FairnessTest {
    private static final int GUESTS = 8;
    private static final int WARM_UP = 100;
    private static final int SLICES = 200;
    private static final int ROUNDS = 5;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    private final SpinLoop net = new SpinLoop(0);
    private final SpinLoop fronts = new SpinLoop(0);

    /// Takes everything, and costs little.
    private static final class Sink implements FramePort {
        @Override
        public boolean offer(Frame frame) {
            return true;
        }

        @Override
        public void flush() {}
    }

    private static final class Nobody implements VifUser {
        @Override
        public void received(ReceivedFrame frame) {}
    }

    private static void fill(VifFrontend vif, MemorySegment bytes, int size, boolean large) {
        for (int i = 0; i < 256; i++) {
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
        }
        vif.flush();
    }

    @ParameterizedTest
    @ValueSource(ints = {60, 60_000})
    void aFloodByOneCostsTheOthersAtMostAFifth(int floodSize) throws Exception {
        try (SpinLab lab = new SpinLab(net, fronts)) {
            List<VifFrontend> guests = new ArrayList<>();
            for (int i = 0; i <= GUESTS; i++) {
                guests.add(lab.guest(1 + i, new Nobody(), VifFrontendOptions.DEFAULT));
            }
            fronts.until(
                    () -> {
                        net.round();
                        return guests.stream().allMatch(VifFrontend::hasCarrier);
                    });
            learnSink(lab);
            VifFrontend flooder = guests.removeLast();
            byte[] to = Packets.mac(99);
            MemorySegment small = MemorySegment.ofArray(Packets.frame(to, Packets.mac(1), 60));
            boolean large = floodSize > 1514;
            MemorySegment flood =
                    MemorySegment.ofArray(
                            large
                                    ? Packets.ip4(to, Packets.mac(50), 6, floodSize - 54, true)
                                    : Packets.frame(to, Packets.mac(50), floodSize));
            long[] nanos = new long[2];
            long[][] sent = new long[2][GUESTS];
            long flooded = 0;
            for (int slice = -WARM_UP; slice < SLICES; slice++) {
                int with = slice & 1;
                long[] before = sentBy(guests);
                long floodedBefore = flooder.metrics().txPackets();
                long took = 0;
                for (int round = 0; round < ROUNDS; round++) {
                    for (VifFrontend guest : guests) {
                        fill(guest, small, 60, false);
                    }
                    if (with == 1) {
                        fill(flooder, flood, floodSize, large);
                    }
                    fronts.round();
                    long begin = THREADS.getCurrentThreadCpuTime();
                    net.round();
                    took += THREADS.getCurrentThreadCpuTime() - begin;
                }
                if (slice >= 0) {
                    nanos[with] += took;
                    long[] after = sentBy(guests);
                    for (int i = 0; i < GUESTS; i++) {
                        sent[with][i] += after[i] - before[i];
                    }
                    flooded += flooder.metrics().txPackets() - floodedBefore;
                }
            }
            String figures =
                    "without %s in %d ns, with %s in %d ns, flood %d"
                            .formatted(
                                    Arrays.toString(sent[0]),
                                    nanos[0],
                                    Arrays.toString(sent[1]),
                                    nanos[1],
                                    flooded);
            assertTrue(flooded >= SLICES / 2 * ROUNDS, figures);
            for (int i = 0; i < GUESTS; i++) {
                double without = (double) sent[0][i] / nanos[0];
                double with = (double) sent[1][i] / nanos[1];
                assertTrue(with >= 0.8 * without, "guest " + i + ": " + figures);
            }
        }
    }

    private static void learnSink(SpinLab lab) {
        PortLink sink =
                lab.network.attach(
                        new Sink(), PortSettings.of("sink"), PortCapabilities.everything(65535));
        MemorySegment hello = Arena.ofAuto().allocate(60);
        hello.copyFrom(MemorySegment.ofArray(Packets.frame(Packets.mac(98), Packets.mac(99), 60)));
        Frame frame = new Frame();
        frame.reset();
        frame.append(hello, 0, 60);
        sink.receive(frame);
        sink.endBatch();
    }

    private static long[] sentBy(List<VifFrontend> guests) {
        return guests.stream().mapToLong(guest -> guest.metrics().txPackets()).toArray();
    }
}
