package org.splitring.bridge.port;

import io.netty.buffer.ByteBuf;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import org.splitring.bridge.Frame;

/// Memory for one frame that is coming in, from however many buffers of a channel. On the loop of
/// the channel.
final class InboundFrame {
    private final MemorySegment memory;
    private final ByteBuffer view;
    private final Frame frame = new Frame();
    private int sizeBytes;

    /// @param maxBytes of the frames that come
    InboundFrame(int maxBytes) {
        memory = Arena.ofAuto().allocate(maxBytes, 64);
        view = memory.asByteBuffer();
    }

    void begin() {
        sizeBytes = 0;
    }

    int sizeBytes() {
        return sizeBytes;
    }

    /// Appends the next bytes of `from`.
    void take(ByteBuf from, int length) {
        view.limit(sizeBytes + length).position(sizeBytes);
        from.readBytes(view);
        sizeBytes += length;
    }

    /// What was taken, with a complete checksum that nobody has looked at.
    Frame frame() {
        frame.reset();
        frame.append(memory, 0, sizeBytes);
        return frame;
    }
}
