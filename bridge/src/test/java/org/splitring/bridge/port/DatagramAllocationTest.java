package org.splitring.bridge.port;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntConsumer;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;

/// What a frame costs on the heap at a port over datagrams. It is not nothing: Netty makes a packet
/// and its addresses for each. The numbers are printed; the bound only says that a frame's bytes
/// are not among them.
@Timeout(60)
class DatagramAllocationTest {
    private static final int BATCH = 32;
    private static final int BATCHES = 300;
    private static final int SIZE = 1400;
    private static final long BOUND = 1000;

    private final AtomicLong arrived = new AtomicLong();

    private final class Counting implements FramePort {
        @Override
        public boolean offer(Frame frame) {
            arrived.incrementAndGet();
            return true;
        }

        @Override
        public void flush() {
            // nobody waits
        }
    }

    @FunctionalInterface
    private interface Opening {
        AutoCloseable open(PortLab lab, InetSocketAddress local, InetSocketAddress peer)
                throws Exception;
    }

    @Test
    void datagrams() throws Exception {
        measure(
                "dgram",
                0,
                (lab, local, peer) ->
                        DatagramPort.open(
                                lab.network, PortSettings.of("x"), 1500, lab.loop, local, peer));
    }

    @Test
    void vxlan() throws Exception {
        measure(
                "vxlan",
                VxlanHeader.BYTES,
                (lab, local, peer) ->
                        VxlanPort.open(
                                lab.network,
                                PortSettings.of("x"),
                                1500,
                                lab.loop,
                                local,
                                7,
                                List.of(peer)));
    }

    private void measure(String name, int headerBytes, Opening opening) throws Exception {
        InetAddress loopback = InetAddress.getLoopbackAddress();
        InetSocketAddress local;
        try (DatagramSocket free = new DatagramSocket(0, loopback)) {
            local = new InetSocketAddress(loopback, free.getLocalPort());
        }
        try (PortLab lab = new PortLab();
                DatagramSocket peer = new DatagramSocket(0, loopback)) {
            SocketAddress there = peer.getLocalSocketAddress();
            Counting counting = new Counting();
            PortLink link =
                    lab.onLoop(
                            () ->
                                    lab.network.attach(
                                            counting,
                                            PortSettings.of("counting"),
                                            PortCapabilities.plain(1500)));
            try (AutoCloseable _ = opening.open(lab, local, (InetSocketAddress) there)) {
                send(lab, link, new Frame(), 1); // so that the switch knows its address
                in(name, headerBytes, lab, peer, local);
                out(name, lab, link);
            }
        }
    }

    private void in(
            String name, int headerBytes, PortLab lab, DatagramSocket peer, InetSocketAddress local)
            throws Exception {
        byte[] bytes = new byte[headerBytes + SIZE];
        if (headerBytes > 0) {
            bytes[0] = 8;
            bytes[6] = 7;
        }
        bytes[headerBytes + 5] = 2;
        bytes[headerBytes + 11] = 4;
        DatagramPacket packet = new DatagramPacket(bytes, bytes.length, local);
        long[] sent = new long[1];
        long perFrame =
                perFrame(
                        lab,
                        count -> {
                            try {
                                for (int i = 0; i < count; i++) {
                                    peer.send(packet);
                                }
                            } catch (IOException e) {
                                throw new AssertionError(e);
                            }
                            sent[0] += count;
                            Awaitility.await()
                                    .pollDelay(Duration.ZERO)
                                    .pollInterval(Duration.ofMillis(1))
                                    .until(() -> arrived.get() >= sent[0]);
                        });
        System.out.println(name + " in: " + perFrame + " bytes on the heap for each frame");
        assertTrue(perFrame < BOUND, name + " in: " + perFrame);
    }

    private static void out(String name, PortLab lab, PortLink link) throws Exception {
        Frame frame = new Frame();
        long perFrame = perFrame(lab, count -> send(lab, link, frame, count));
        System.out.println(name + " out: " + perFrame + " bytes on the heap for each frame");
        assertTrue(perFrame < BOUND, name + " out: " + perFrame);
    }

    /// Frames of the counting port to whoever is outside.
    private static void send(PortLab lab, PortLink link, Frame frame, int count) {
        MemorySegment memory = Arena.ofAuto().allocate(SIZE);
        memory.set(ValueLayout.JAVA_BYTE, 5, (byte) 4);
        memory.set(ValueLayout.JAVA_BYTE, 11, (byte) 2);
        try {
            lab.onLoop(
                    () -> {
                        for (int i = 0; i < count; i++) {
                            frame.reset();
                            frame.append(memory, 0, SIZE);
                            link.receive(frame);
                        }
                        link.endBatch();
                        return count;
                    });
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    /// Of the loop's thread, once it is warm.
    private static long perFrame(PortLab lab, IntConsumer batch) throws Exception {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long loop = lab.onLoop(() -> Thread.currentThread().threadId());
        for (int i = 0; i < BATCHES; i++) {
            batch.accept(BATCH);
        }
        long before = threads.getThreadAllocatedBytes(loop);
        for (int i = 0; i < BATCHES; i++) {
            batch.accept(BATCH);
        }
        return (threads.getThreadAllocatedBytes(loop) - before) / ((long) BATCH * BATCHES);
    }
}
