package org.splitring.bridge.port;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.lang.foreign.MemorySegment;
import org.splitring.bridge.Frame;

/// Copies frames into the buffers of datagrams.
final class OutboundFrames {
    private OutboundFrames() {}

    /// A new buffer with the frame in it.
    ///
    /// @param headroom bytes before it, for the caller to write
    static ByteBuf copy(ByteBufAllocator allocator, int headroom, Frame frame) {
        int sizeBytes = headroom + frame.sizeBytes();
        ByteBuf bytes = allocator.directBuffer(sizeBytes, sizeBytes);
        frame.copyTo(
                MemorySegment.ofBuffer(bytes.internalNioBuffer(0, sizeBytes)),
                headroom,
                0,
                frame.sizeBytes());
        return bytes.writerIndex(sizeBytes);
    }
}
