package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.Executor;

/// A network with its loop and its clock in the hands of a test.
final class Lab implements Executor {
    private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
    long nanos = 1_000_000_000_000L;
    final VirtualNetwork network;

    Lab(Forwarder mode) {
        network = new VirtualNetwork("lan", this, () -> nanos, mode);
    }

    @Override
    public void execute(Runnable task) {
        tasks.add(task);
    }

    void run() {
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
    }

    void sleepSeconds(long seconds) {
        sleepMillis(seconds * 1000);
    }

    void sleepMillis(long millis) {
        nanos += millis * 1_000_000L;
    }

    Port port(String name) {
        return port(PortSettings.of(name), PortCapabilities.everything(1500));
    }

    Port port(PortSettings settings, PortCapabilities capabilities) {
        Port port = new Port();
        port.link = network.attach(port, settings, capabilities);
        return port;
    }

    /// One frame that a port was offered, with what was said of it.
    @SuppressWarnings("ArrayRecordComponent") // compared by its parts only
    record Got(
            byte[] bytes,
            ChecksumState checksum,
            int checksumStart,
            int checksumOffset,
            GsoType gso,
            int gsoSize) {
        String hex() {
            return HexFormat.of().formatHex(bytes);
        }
    }

    /// Keeps what it is offered.
    static final class Port implements FramePort {
        final List<Got> got = new ArrayList<>();
        final Frame frame = new Frame();
        int flushes;
        int room = Integer.MAX_VALUE;

        @SuppressWarnings("NullAway.Init")
        PortLink link;

        @Override
        public boolean offer(Frame frame) {
            if (got.size() >= room) {
                return false;
            }
            byte[] bytes = new byte[frame.sizeBytes()];
            frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, bytes.length);
            got.add(
                    new Got(
                            bytes,
                            frame.checksumState(),
                            frame.checksumStart(),
                            frame.checksumOffset(),
                            frame.gsoType(),
                            frame.gsoSizeBytes()));
            return true;
        }

        @Override
        public void flush() {
            flushes++;
        }

        void send(byte[] bytes) {
            fill(frame, bytes);
            sendFrame();
        }

        void sendFrame() {
            link.receive(frame);
            link.endBatch();
        }

        long count(PortCounter counter) {
            return link.counters().get(counter);
        }

        List<Got> take() {
            List<Got> all = List.copyOf(got);
            got.clear();
            return all;
        }
    }

    static MemorySegment copy(byte[] bytes) {
        MemorySegment copy = Arena.ofAuto().allocate(Math.max(1, bytes.length));
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
        return copy;
    }

    /// Describes `bytes` in `frame`, cut at `cuts`.
    static void fill(Frame frame, byte[] bytes, int... cuts) {
        frame.reset();
        MemorySegment memory = copy(bytes);
        int header = Math.min(bytes.length, Frame.HEADER_BYTES);
        int at = 0;
        for (int cut : cuts) {
            if (cut < header) {
                frame.appendHeader(memory, at, cut - at);
                at = cut;
            }
        }
        frame.appendHeader(memory, at, header - at);
        at = header;
        for (int cut : cuts) {
            if (cut > header) {
                frame.appendPiece(memory, at, cut - at);
                at = cut;
            }
        }
        frame.appendPiece(memory, at, bytes.length - at);
    }

    /// `de:ad..`-like MAC of a number: a unicast one.
    static long mac(int n) {
        return 0x0016_3E00_0000L + n;
    }

    /// An Ethernet frame whose payload counts up from `n`.
    static byte[] frame(long to, long from, int size) {
        byte[] bytes = new byte[size];
        for (int i = 0; i < 6; i++) {
            bytes[i] = (byte) (to >>> (40 - 8 * i));
            bytes[6 + i] = (byte) (from >>> (40 - 8 * i));
        }
        bytes[12] = (byte) 0x88;
        bytes[13] = (byte) 0xB5;
        for (int i = 14; i < size; i++) {
            bytes[i] = (byte) (i + from);
        }
        return bytes;
    }

    static final long BROADCAST = 0xFFFF_FFFF_FFFFL;
}
