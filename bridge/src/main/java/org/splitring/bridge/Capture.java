package org.splitring.bridge;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Frames of one network, on their way to a pcapng file.
///
/// The loop copies frames into a buffer and hands it over at the end of each batch; a thread of
/// the capture writes it. Only whole blocks are handed over, so the file can be read at any
/// moment (`tshark -r`, `tail -c +1 -f FILE | tshark -i -`). When the thread does not keep up,
/// frames are missing in the file, and counted; the network does not wait. The file has a largest
/// size, and ends there.
///
/// Each port is an interface of the file, with its name; the flags of a packet say whether it
/// came in from the
/// port or went out to it. A frame that passes two captured ports is there twice. Frames with a
/// partial
/// checksum are there as they are, so a reader may call it wrong, as with any offload.
///
/// Source: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3.
public final class Capture implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Capture.class);

    private static final int SECTION_HEADER = 0x0A0D0D0A;
    private static final int INTERFACE_DESCRIPTION = 1;
    private static final int ENHANCED_PACKET = 6;
    private static final int LINKTYPE_ETHERNET = 1;
    private static final int OPTION_IF_NAME = 2;
    private static final int OPTION_IF_TSRESOL = 9;
    private static final int OPTION_EPB_FLAGS = 2;
    private static final int INBOUND = 1;
    private static final int OUTBOUND = 2;

    /// Block header, five fields, flags with the end of options, trailing length.
    private static final int PACKET_OVERHEAD = 8 + 20 + 12 + 4;

    private static final int BUFFERS = 8;
    private static final int BUFFER_BYTES = 512 * 1024;
    private static final ByteBuffer END = ByteBuffer.allocate(0);

    private final FileChannel file;
    private final int snapBytes;
    private final long maxBytes;
    private final BlockingQueue<ByteBuffer> free = new ArrayBlockingQueue<>(BUFFERS);
    private final BlockingQueue<ByteBuffer> full = new ArrayBlockingQueue<>(BUFFERS + 1);
    private final Thread writer;
    private final AtomicLong frames = new AtomicLong();
    private final AtomicLong missing = new AtomicLong();
    private final AtomicInteger inFlight = new AtomicInteger();
    private volatile boolean wanted;
    private volatile @Nullable Executor loop;
    private volatile @Nullable IOException failure;

    // The loop's.
    private @Nullable ByteBuffer buffer;
    private long handedOver;
    private final @Nullable PortLink[] interfaces = new PortLink[VirtualNetwork.MAX_PORTS];
    private final int[] interfaceId = new int[VirtualNetwork.MAX_PORTS];
    private int interfaceCount;
    private long wallMinusMono;
    private boolean timed;

    private Capture(FileChannel file, int snapBytes, long maxBytes) {
        this.file = file;
        this.snapBytes = snapBytes;
        this.maxBytes = maxBytes;
        for (int i = 0; i < BUFFERS; i++) {
            free.add(ByteBuffer.allocateDirect(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN));
        }
        buffer = free.poll();
        putSectionHeader();
        writer = Thread.ofPlatform().daemon().name("capture").unstarted(this::writeAll);
        writer.start();
    }

    /// Makes the file, or empties it.
    ///
    /// @param snapBytes how much of each frame is kept, 14 to [Frame#MAX_BYTES]
    /// @param maxBytes where the file ends, at least 4096
    public static Capture open(Path path, int snapBytes, long maxBytes) throws IOException {
        if (snapBytes < Frame.ETHERNET_BYTES || snapBytes > Frame.MAX_BYTES || maxBytes < 4096) {
            throw new IllegalArgumentException(
                    "capture of " + snapBytes + " bytes a frame, " + maxBytes + " in all");
        }
        return new Capture(
                FileChannel.open(
                        path,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE),
                snapBytes,
                maxBytes);
    }

    /// Says which loop it is filled by.
    void started(Executor by) {
        loop = by;
    }

    /// Notes a frame that came in at a port. The network's loop.
    void in(PortLink link, Frame frame) {
        packet(link, frame, INBOUND);
    }

    /// Notes a frame that goes out to a port. The network's loop.
    void out(PortLink link, Frame frame) {
        packet(link, frame, OUTBOUND);
    }

    private void packet(PortLink link, Frame frame, int direction) {
        int kept = Math.min(frame.sizeBytes(), snapBytes);
        ByteBuffer to = room(PACKET_OVERHEAD + padded(kept));
        if (to == null) {
            missing.incrementAndGet();
            return;
        }
        if (interfaces[link.index] != link) {
            to = describe(link);
            if (to == null || to.remaining() < PACKET_OVERHEAD + padded(kept)) {
                missing.incrementAndGet();
                return;
            }
        }
        long nanos = link.network().batchNanos();
        if (!timed) {
            timed = true;
            wallMinusMono = System.currentTimeMillis() * 1_000_000L - nanos;
        }
        long wall = nanos + wallMinusMono;
        int total = PACKET_OVERHEAD + padded(kept);
        to.putInt(ENHANCED_PACKET).putInt(total).putInt(interfaceId[link.index]);
        to.putInt((int) (wall >>> 32)).putInt((int) wall);
        to.putInt(kept).putInt(frame.sizeBytes());
        int at = to.position();
        frame.copyTo(MemorySegment.ofBuffer(to), 0, 0, kept);
        to.position(at + kept);
        pad(to, kept);
        to.putShort((short) OPTION_EPB_FLAGS).putShort((short) 4).putInt(direction).putInt(0);
        to.putInt(total);
        frames.incrementAndGet();
    }

    /// A buffer with that much room, or nothing when the writer has not given one back or the
    /// file has its size.
    private @Nullable ByteBuffer room(int bytes) {
        ByteBuffer current = buffer;
        if (current != null && current.remaining() < bytes) {
            handOver();
            current = buffer;
        }
        if (current == null) {
            current = free.poll();
            buffer = current;
        }
        if (current == null || handedOver + current.position() + bytes > maxBytes) {
            return null;
        }
        return current.remaining() < bytes ? null : current;
    }

    private @Nullable ByteBuffer describe(PortLink link) {
        byte[] name = link.settings().name().getBytes(StandardCharsets.UTF_8);
        int total = 8 + 8 + 4 + padded(name.length) + 8 + 4 + 4;
        ByteBuffer to = room(total);
        if (to == null) {
            return null;
        }
        to.putInt(INTERFACE_DESCRIPTION).putInt(total);
        to.putShort((short) LINKTYPE_ETHERNET).putShort((short) 0).putInt(snapBytes);
        to.putShort((short) OPTION_IF_NAME).putShort((short) name.length).put(name);
        pad(to, name.length);
        to.putShort((short) OPTION_IF_TSRESOL).putShort((short) 1).put((byte) 9);
        pad(to, 1);
        to.putInt(0).putInt(total);
        interfaces[link.index] = link;
        interfaceId[link.index] = interfaceCount++;
        return to;
    }

    private void putSectionHeader() {
        ByteBuffer to = buffer;
        if (to != null) {
            to.putInt(SECTION_HEADER).putInt(28).putInt(0x1A2B3C4D);
            to.putShort((short) 1).putShort((short) 0).putLong(-1).putInt(28);
        }
    }

    private static int padded(int bytes) {
        return bytes + 3 & ~3;
    }

    private static void pad(ByteBuffer to, int bytes) {
        for (int i = bytes; i < padded(bytes); i++) {
            to.put((byte) 0);
        }
    }

    /// Hands over what is complete, when the writer has nothing to do; otherwise it asks for it
    /// when it has. So small batches share a buffer. The network's loop, at the end of a batch.
    void flush() {
        if (inFlight.get() == 0) {
            handOver();
            return;
        }
        wanted = true;
        // Again: the writer may have looked at `wanted` just before.
        if (inFlight.get() == 0) {
            handOver();
        }
    }

    /// Hands over what there is, so that it is written even if nothing follows.
    void handOver() {
        ByteBuffer current = buffer;
        if (current != null && current.position() > 0) {
            handedOver += current.position();
            inFlight.incrementAndGet();
            full.add(current.flip());
            buffer = free.poll();
        }
    }

    private void writeAll() {
        try {
            while (true) {
                ByteBuffer next = full.take();
                if (!next.hasRemaining()) {
                    return;
                }
                write(next);
                free.add(next.clear());
                Executor asked = loop;
                if (inFlight.decrementAndGet() == 0 && wanted && asked != null) {
                    wanted = false;
                    try {
                        asked.execute(this::flush);
                    } catch (RejectedExecutionException e) {
                        // The loop has ended; close() writes the rest.
                        LOG.debug("capture: {}", e.toString());
                    }
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// After the first error the file is left as it is; frames go on being taken, and are lost.
    private void write(ByteBuffer next) {
        if (failure != null) {
            return;
        }
        try {
            while (next.hasRemaining()) {
                file.write(next);
            }
        } catch (IOException e) {
            failure = e;
            LOG.error("capture stopped: {}", e.toString());
        }
    }

    /// Frames in the file, or on their way there. Any thread.
    public long frames() {
        return frames.get();
    }

    /// Frames that are not in the file, because it was full or slow. Any thread.
    public long missing() {
        return missing.get();
    }

    /// Writes what was handed over and closes the file. After the network was told to stop, on its
    /// loop; waits for the writer.
    ///
    /// @throws IOException when writing failed at any time
    @Override
    public void close() throws IOException {
        handOver();
        full.add(END);
        boolean interrupted = false;
        while (writer.isAlive()) {
            try {
                writer.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        file.close();
        if (failure != null) {
            throw failure;
        }
    }
}
