package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.function.IntConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// In steady state no byte is allocated for a frame: found, flooded, tagged, checked against pins
/// and rules, completed or cut.
@Timeout(120)
class SwitchAllocationTest {
    private static final int FRAMES = 20_000;

    /// Copies what it is offered to the same place, as a ring would.
    static final class Copying implements FramePort {
        final MemorySegment memory = Arena.ofAuto().allocate(Frame.MAX_BYTES);
        long frames;

        @Override
        public boolean offer(Frame frame) {
            frame.copyTo(memory, 0, 0, frame.sizeBytes());
            frames++;
            return true;
        }

        @Override
        public void flush() {}
    }

    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Frame frame = new Frame();

    private PortLink port(Copying port, PortSettings settings, PortCapabilities capabilities) {
        return lab.network.attach(port, settings, capabilities);
    }

    private void fill(MemorySegment from, int size) {
        frame.reset();
        frame.append(from, 0, size);
    }

    static void allocatesNothing(IntConsumer batch) {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long self = Thread.currentThread().threadId();
        for (int i = 0; i < 10; i++) {
            batch.accept(FRAMES);
        }
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 10; i++) {
            long before = threads.getThreadAllocatedBytes(self);
            batch.accept(FRAMES);
            least = Math.min(least, threads.getThreadAllocatedBytes(self) - before);
        }
        // Asking for the counter may allocate a little itself; 20,000 frames may not.
        assertTrue(least < 1024, "bytes for " + FRAMES + " frames: " + least);
    }

    @Test
    void knownDestinationsThroughVlansPinsAndRules() {
        Copying a = new Copying();
        Copying b = new Copying();
        PortLink from =
                port(
                        a,
                        PortSettings.of("a")
                                .withPins(
                                        AddressPins.of(
                                                new MacAddress(Lab.mac(1)), List.of("10.0.0.1")))
                                .withRules(
                                        List.of(
                                                FrameRule.parse("tx drop tcp dport 22"),
                                                FrameRule.parse("tx limit 1000000000 udp"))),
                        PortCapabilities.everything(1500));
        PortLink to =
                port(
                        b,
                        PortSettings.of("b").withVlans(PortVlans.parse("2p/1")),
                        PortCapabilities.plain(1500));
        byte[] udp =
                Packets.join(
                        Packets.ethernet(Lab.mac(2), Lab.mac(1), 0x800),
                        Packets.ipv4(
                                "10.0.0.1",
                                "10.0.0.2",
                                17,
                                Packets.udp(5, 6, 0, new byte[400]),
                                0));
        MemorySegment bytes = Lab.copy(udp);
        MemorySegment back =
                Lab.copy(
                        Packets.join(
                                Packets.ethernet(Lab.mac(1), Lab.mac(2), 0x88B5, 0x8100, 1),
                                new byte[60]));
        fill(back, 78);
        to.receive(frame);
        allocatesNothing(
                n -> {
                    for (int i = 0; i < n; i++) {
                        fill(bytes, udp.length);
                        frame.partialChecksumFromHeaders();
                        from.receive(frame);
                        if (i % 32 == 0) {
                            lab.nanos += 1_000_000;
                            from.endBatch();
                        }
                    }
                });
        assertEquals(b.frames, to.counters().get(PortCounter.OUT_CHECKSUMS));
        assertEquals(20L * FRAMES, b.frames);
    }

    @Test
    void floodsAndCutSegments() {
        Copying sink = new Copying();
        PortLink from =
                port(new Copying(), PortSettings.of("a"), PortCapabilities.everything(1500));
        for (int i = 0; i < 3; i++) {
            port(sink, PortSettings.of("s" + i), PortCapabilities.plain(1500));
        }
        byte[] tcp =
                Packets.join(
                        Packets.ethernet(Lab.mac(2), Lab.mac(1), 0x800),
                        Packets.ipv4(
                                "10.0.0.1",
                                "10.0.0.2",
                                6,
                                Packets.tcp(5, 6, 0x10, 0, new byte[4000], 0),
                                0));
        MemorySegment bytes = Lab.copy(tcp);
        allocatesNothing(
                n -> {
                    for (int i = 0; i < n / 10; i++) {
                        fill(bytes, tcp.length);
                        frame.partialChecksumFromHeaders();
                        frame.gso(GsoType.TCPV4, 1448);
                        from.receive(frame);
                        from.endBatch();
                    }
                });
        assertEquals(3L * 3 * 20 * (FRAMES / 10), sink.frames);
    }

    @Test
    void n42_randomSourceAddresses() {
        Copying sink = new Copying();
        PortLink from =
                port(new Copying(), PortSettings.of("a"), PortCapabilities.everything(1500));
        port(sink, PortSettings.of("b"), PortCapabilities.plain(1500));
        MemorySegment bytes = Lab.copy(Lab.frame(Lab.BROADCAST, Lab.mac(1), 64));
        int[] next = {0};
        allocatesNothing(
                n -> {
                    for (int i = 0; i < n; i++) {
                        bytes.set(java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED, 8, next[0]);
                        next[0] += 0x1234567;
                        fill(bytes, 64);
                        from.receive(frame);
                    }
                    from.endBatch();
                });
        assertEquals(20L * FRAMES, sink.frames);
    }
}
