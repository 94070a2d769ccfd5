package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// A port for Java code: frames as byte arrays, in tests, tools and services. It copies each
/// frame; what is fast uses [FramePort] itself.
///
/// Any thread may send; the handler is called on the network's loop, by a task of its own. Frames
/// out of the network wait in a queue of bounded length, and are refused when it is full.
public final class JavaPort implements FramePort {
    /// Frames that wait in each direction before more are refused.
    public static final int QUEUE_FRAMES = 1024;

    /// What a port has been sent. Called on the network's loop.
    @FunctionalInterface
    public interface Handler {
        /// Takes one frame.
        ///
        /// @param frame the whole frame; the handler's to keep
        /// @param checksum what is known of its checksum
        void frame(byte[] frame, ChecksumState checksum);
    }

    private static final class Waiting {
        final byte[] bytes;
        final ChecksumState checksum;

        Waiting(byte[] bytes, ChecksumState checksum) {
            this.bytes = bytes;
            this.checksum = checksum;
        }
    }

    private final VirtualNetwork network;
    private final Handler handler;
    private final Frame outgoing = new Frame();
    private final ArrayDeque<Waiting> waiting = new ArrayDeque<>();
    private final AtomicInteger outgoingCount = new AtomicInteger();
    private boolean scheduled;
    private @Nullable PortLink link;

    private JavaPort(VirtualNetwork network, Handler handler) {
        this.network = network;
        this.handler = handler;
    }

    /// Attaches a new port. Called on the network's loop.
    public static JavaPort attach(
            VirtualNetwork network,
            PortSettings settings,
            PortCapabilities capabilities,
            Handler handler) {
        JavaPort port = new JavaPort(network, handler);
        port.link = network.attach(port, settings, capabilities);
        return port;
    }

    /// Sends a frame into the network with a complete checksum that nobody vouches for. Any
    /// thread.
    ///
    /// @param frame copied by the loop, so not to be changed any more
    /// @return `false` when [#QUEUE_FRAMES] wait for the loop already
    public boolean send(byte[] frame) {
        if (outgoingCount.incrementAndGet() > QUEUE_FRAMES) {
            outgoingCount.decrementAndGet();
            return false;
        }
        network.loop().execute(() -> sendNow(frame));
        return true;
    }

    private void sendNow(byte[] bytes) {
        outgoingCount.decrementAndGet();
        if (bytes.length > Frame.MAX_BYTES) {
            link().drop(PortCounter.IN_DROPPED_OVERSIZE);
            return;
        }
        // Pieces of a frame lie in native memory, as those of all other ports do.
        MemorySegment copy = Arena.ofAuto().allocate(Math.max(1, bytes.length));
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
        outgoing.reset();
        outgoing.append(copy, 0, bytes.length);
        link().receive(outgoing);
        link().endBatch();
    }

    @Override
    public boolean offer(Frame frame) {
        if (waiting.size() == QUEUE_FRAMES) {
            return false;
        }
        byte[] bytes = new byte[frame.sizeBytes()];
        frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, bytes.length);
        waiting.add(new Waiting(bytes, frame.checksumState()));
        return true;
    }

    @Override
    public void flush() {
        if (!scheduled) {
            scheduled = true;
            network.loop().execute(this::deliver);
        }
    }

    private void deliver() {
        scheduled = false;
        // What the handler causes comes in a later task.
        for (int n = waiting.size(); n > 0; n--) {
            Waiting next = waiting.remove();
            handler.frame(next.bytes, next.checksum);
        }
    }

    /// The port's link, for its counters, settings and end.
    public PortLink link() {
        return Objects.requireNonNull(link);
    }
}
