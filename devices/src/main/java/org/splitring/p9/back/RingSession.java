package org.splitring.p9.back;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.ClosedChannelException;
import org.splitring.wire.P9Message;
import org.splitring.xenbus.device.StreamRing;

/// One ring of a connection: puts a request together as its bytes come, has it served, and sends
/// the reply. One request is in private memory at a time; the others wait on the ring.
///
/// Called on the connection's thread.
final class RingSession {
    private final StreamRing ring;
    private final P9Session session;
    private final MemorySegment request;
    private final MemorySegment reply;
    private int filled;
    private int size;

    RingSession(StreamRing ring, P9Session session, P9Limits limits, Arena arena) {
        this.ring = ring;
        this.session = session;
        request = arena.allocate(limits.messageBytes(), 8);
        reply = arena.allocate(limits.messageBytes(), 8);
    }

    StreamRing ring() {
        return ring;
    }

    /// Takes the next piece of a request, if there is any.
    ///
    /// @return `false` when there is nothing to take now
    /// @throws P9BrokenException when what comes is no message
    boolean take() throws P9BrokenException, ClosedChannelException {
        int wanted = (size == 0 ? P9Message.HEADER_BYTES : size) - filled;
        int count = ring.readNow(request, filled, wanted);
        if (count == StreamRing.CLOSED) {
            throw new ClosedChannelException();
        }
        if (count == 0) {
            return false;
        }
        filled += count;
        if (size == 0 && filled == P9Message.HEADER_BYTES) {
            size = request.get(MessageReader.U32, P9Message.SIZE);
            if (size < P9Message.HEADER_BYTES || size > session.messageBytes()) {
                throw new P9BrokenException(
                        "message of "
                                + Integer.toUnsignedString(size)
                                + " bytes: expected "
                                + P9Message.HEADER_BYTES
                                + ".."
                                + session.messageBytes());
            }
        }
        return true;
    }

    /// Whether a whole request is there.
    boolean isComplete() {
        return size != 0 && filled == size;
    }

    boolean isFlush() {
        return request.get(ValueLayout.JAVA_BYTE, P9Message.TYPE) == P9Message.TFLUSH;
    }

    /// Serves the request that is complete; waits until the reply has found room.
    void serve() throws ClosedChannelException, InterruptedException {
        int length = session.serve(request, size, reply);
        filled = 0;
        size = 0;
        ring.write(reply, 0, length);
    }
}
