package org.splitring.xenbus.store;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import org.splitring.ring.ByteRingWriter;
import org.splitring.wire.XsdSockmsgLayout;

/// Messages on their way into a ring of 1024 bytes, in order: one may be larger than the ring, and
/// goes in pieces as the other end makes room. One thread; who adds them bounds them.
final class RingMessages {
    private final ByteRingWriter writer;
    private final Deque<WireMessage> waiting = new ArrayDeque<>();
    private final MemorySegment first =
            MemorySegment.ofArray(
                    new byte[XsdSockmsgLayout.SIZE_BYTES + XsdSockmsgLayout.PAYLOAD_MAX_BYTES]);
    private int firstBytes; // of the first message; 0 when it has not been laid out yet
    private int firstWritten;

    RingMessages(ByteRingWriter writer) {
        this.writer = writer;
    }

    void add(WireMessage message) {
        if (message.payload().length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            throw new IllegalArgumentException("payload of " + message.payload().length);
        }
        waiting.add(message);
    }

    /// Messages that are not written to their end.
    int size() {
        return waiting.size();
    }

    boolean isEmpty() {
        return waiting.isEmpty();
    }

    void clear() {
        waiting.clear();
        firstBytes = 0;
        firstWritten = 0;
    }

    /// Writes as much as there is room for.
    ///
    /// @return whether anything was written
    boolean write() {
        boolean any = false;
        for (WireMessage next = waiting.peek(); next != null; next = waiting.peek()) {
            if (firstBytes == 0) {
                firstBytes = next.encode(first);
            }
            int written = writer.write(first, firstWritten, firstBytes - firstWritten);
            if (written == 0) {
                return any;
            }
            any = true;
            firstWritten += written;
            if (firstWritten == firstBytes) {
                waiting.remove();
                firstBytes = 0;
                firstWritten = 0;
            }
        }
        return any;
    }
}
