package org.splitring.driverdomain.net;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.hypervisor.linux.DatagramSocket;
import org.splitring.hypervisor.linux.IncomingDatagrams;
import org.splitring.hypervisor.linux.OutgoingDatagrams;
import org.splitring.hypervisor.linux.SockAddr;

/// A frame makes no object on its way through a port over datagrams, in and out. Until it is
/// compiled it does, and on a busy machine that comes late: the least of many rounds counts, and
/// only a port that goes on allocating takes the whole time.
@Timeout(300)
class DatagramAllocationTest {
    private static final int BATCH = 32;
    private static final int ROUND = 64 * BATCH;
    private static final int SIZE = 1400;
    private static final double FEW_BYTES = 1;

    @TempDir Path folder;

    /// What is on the other side of the switch.
    private static final class Inside implements FramePort {
        volatile long arrived;
        private long count;

        @Override
        public boolean offer(Frame frame) {
            count++;
            return true;
        }

        @Override
        public void flush() {
            arrived = count;
        }
    }

    /// What is on the other side of the socket, in this thread.
    private static final class Outside implements AutoCloseable {
        final DatagramSocket socket;
        final SockAddr port;
        final OutgoingDatagrams outgoing = new OutgoingDatagrams(BATCH, BATCH * 2 * SIZE);
        final IncomingDatagrams incoming = new IncomingDatagrams(BATCH, 2 * SIZE);
        final int headerBytes;

        Outside(DatagramSocket socket, SockAddr port, int headerBytes) {
            this.socket = socket;
            this.port = port;
            this.headerBytes = headerBytes;
        }

        void sendBatch() {
            for (int i = 0; i < BATCH; i++) {
                int at = outgoing.reserve(headerBytes + SIZE, 1);
                assertTrue(at >= 0);
                MemorySegment memory = outgoing.memory();
                if (headerBytes > 0) {
                    VxlanHeader.write(memory, at, 7);
                }
                memory.set(ValueLayout.JAVA_BYTE, at + headerBytes + 5L, (byte) 2);
                memory.set(ValueLayout.JAVA_BYTE, at + headerBytes + 11L, (byte) 4);
                outgoing.add(port);
            }
            int result = outgoing.send(socket);
            while (result != 0) {
                Thread.onSpinWait(); // a Unix socket's queue is full
                result = outgoing.send(socket);
            }
        }

        void receiveBatch() {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
            for (int left = BATCH; left > 0; ) {
                left -= Math.max(0, incoming.receive(socket));
                assertTrue(System.nanoTime() < end, left + " frames have not come");
            }
        }

        @Override
        public void close() {
            socket.close();
        }
    }

    @FunctionalInterface
    private interface Opening {
        AutoCloseable open(PortLab lab) throws IOException;
    }

    @Test
    void unixDatagrams() throws Exception {
        DomainSocketAddress here = new DomainSocketAddress(folder.resolve("here").toFile());
        DomainSocketAddress there = new DomainSocketAddress(folder.resolve("there").toFile());
        Outside outside =
                new Outside(
                        DatagramSocket.bind(Path.of(there.path())),
                        SockAddr.of(Path.of(here.path())),
                        0);
        measure(
                "dgram, Unix",
                outside,
                lab ->
                        DatagramPort.open(
                                lab.network, PortSettings.of("x"), 1500, lab.loop, here, there));
    }

    @Test
    void udpDatagrams() throws Exception {
        InetSocketAddress here = PortLab.freePort();
        InetSocketAddress there = PortLab.freePort();
        DatagramSocket socket = DatagramSocket.bind(there);
        measure(
                "dgram, UDP",
                new Outside(socket, socket.peer(here), 0),
                lab ->
                        DatagramPort.open(
                                lab.network, PortSettings.of("x"), 1500, lab.loop, here, there));
    }

    @Test
    void vxlan() throws Exception {
        InetSocketAddress here = PortLab.freePort();
        InetSocketAddress there = PortLab.freePort();
        DatagramSocket socket = DatagramSocket.bind(there);
        measure(
                "vxlan",
                new Outside(socket, socket.peer(here), VxlanHeader.BYTES),
                lab ->
                        VxlanPort.open(
                                lab.network,
                                PortSettings.of("x"),
                                1500,
                                lab.loop,
                                here,
                                7,
                                List.of(there)));
    }

    private static void measure(String name, Outside peer, Opening opening) throws Exception {
        try (PortLab lab = new PortLab();
                Outside outside = peer;
                AutoCloseable _ = opening.open(lab)) {
            Inside inside = new Inside();
            PortLink link =
                    lab.onLoop(
                            () ->
                                    lab.network.attach(
                                            inside,
                                            PortSettings.of("inside"),
                                            PortCapabilities.plain(1500)));
            Runnable sending = sending(link);
            lab.loop.execute(sending); // so that the switch knows both addresses
            outside.receiveBatch();
            double in = perFrame(lab, () -> in(outside, inside));
            double out =
                    perFrame(
                            lab,
                            () -> {
                                lab.loop.eventLoop().execute(sending);
                                outside.receiveBatch();
                            });
            System.out.printf("%s: %.3f bytes for a frame in, %.3f out%n", name, in, out);
            assertTrue(in < FEW_BYTES, name + " in: " + in);
            assertTrue(out < FEW_BYTES, name + " out: " + out);
        }
    }

    private static void in(Outside outside, Inside inside) {
        long expected = inside.arrived + BATCH;
        outside.sendBatch();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (inside.arrived < expected) {
            Thread.onSpinWait();
            assertTrue(System.nanoTime() < end, "frames have not come");
        }
    }

    /// A batch of frames from inside to whoever is outside.
    private static Runnable sending(PortLink link) {
        MemorySegment memory = Arena.ofAuto().allocate(SIZE);
        memory.set(ValueLayout.JAVA_BYTE, 5, (byte) 4);
        memory.set(ValueLayout.JAVA_BYTE, 11, (byte) 2);
        Frame frame = new Frame();
        return () -> {
            for (int i = 0; i < BATCH; i++) {
                frame.reset();
                frame.append(memory, 0, SIZE);
                link.receive(frame);
            }
            link.endBatch();
        };
    }

    /// What the loop's thread allocates.
    private static double perFrame(PortLab lab, Runnable batch) throws Exception {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long loop = lab.onLoop(() -> Thread.currentThread().threadId());
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        double least = Double.MAX_VALUE;
        while (least >= FEW_BYTES && System.nanoTime() < end) {
            long before = threads.getThreadAllocatedBytes(loop);
            for (int i = 0; i < ROUND / BATCH; i++) {
                batch.run();
            }
            least =
                    Math.min(
                            least,
                            (double) (threads.getThreadAllocatedBytes(loop) - before) / ROUND);
        }
        return least;
    }
}
