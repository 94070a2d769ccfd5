package org.splitring.p9.front;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.splitring.wire.P9Message;
import org.splitring.xenbus.device.StreamRing;

/// One client of the socket, joined to the ring: carries whole messages in both directions.
///
/// When the client leaves, replies that are still to come are waited for and dropped, and a version
/// message ends the session, which closes what the client had open. Then the ring is as if nobody
/// had been there.
final class ClientLink {
    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int NO_TAG = 0xFFFF;
    private static final byte[] VERSION = "9P2000.L".getBytes(StandardCharsets.US_ASCII);

    private final StreamRing ring;
    private final InputStream in;
    private final OutputStream out;
    private final Consumer<String> broken;
    private final int limit;
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private final Object monitor = new Object();

    // Guarded by monitor.
    private final BitSet tags = new BitSet(); // asked, and not answered
    private final Map<Integer, Integer> flushes = new HashMap<>(); // tag of a flush, flushed tag
    private boolean giving; // a reply, which is on its way to the client
    private boolean clientGone;
    private boolean finishing;
    private boolean done; // nothing comes from the ring any more

    /// @param broken is told when the backend sends what is no message
    ClientLink(StreamRing ring, InputStream in, OutputStream out, Consumer<String> broken) {
        this.ring = ring;
        this.in = in;
        this.out = out;
        this.broken = broken;
        limit = ring.readSizeBytes();
    }

    /// Completes when nothing of this client is on the ring any more, or the ring is closed.
    CompletableFuture<Void> whenEnded() {
        return ended;
    }

    /// Takes no further request; what was taken is answered to the client. Any thread.
    void finish() {
        boolean now;
        synchronized (monitor) {
            finishing = true;
            now = !isOwed();
        }
        if (now) {
            abandon();
        }
    }

    /// Ends the client's connection. Any thread.
    void abandon() {
        synchronized (monitor) {
            clientGone = true;
        }
        close(in);
    }

    /// Serves the client until it leaves or the ring is closed.
    void run() throws InterruptedException {
        Thread replies = Thread.ofVirtual().name("9pfs replies").start(this::carryReplies);
        try {
            carryRequests();
            awaitReplies();
            reset();
            awaitReplies();
        } catch (ClosedChannelException e) {
            // the backend is gone, and with it the session
        } finally {
            synchronized (monitor) {
                done = true;
                monitor.notifyAll();
            }
            ended.complete(null);
            replies.interrupt();
            replies.join();
        }
    }

    /// Returns when the client has nothing more to say.
    private void carryRequests() throws ClosedChannelException, InterruptedException {
        byte[] bytes = new byte[limit];
        MemorySegment message = MemorySegment.ofArray(bytes);
        while (true) {
            int size;
            try {
                if (in.readNBytes(bytes, 0, P9Message.HEADER_BYTES) < P9Message.HEADER_BYTES) {
                    return;
                }
                size = message.get(U32, P9Message.SIZE);
                if (size < P9Message.HEADER_BYTES || size > limit) {
                    return; // no client of ours: its connection ends
                }
                int body = size - P9Message.HEADER_BYTES;
                if (in.readNBytes(bytes, P9Message.HEADER_BYTES, body) < body) {
                    return;
                }
            } catch (IOException e) {
                return;
            }
            if (!note(message, size)) {
                return;
            }
            ring.write(message, 0, size);
        }
    }

    /// Remembers that an answer is due.
    ///
    /// @return `false` when the tag is in use, or nothing more is taken
    private boolean note(MemorySegment message, int size) {
        int tag = Short.toUnsignedInt(message.get(U16, P9Message.TAG));
        int type = Byte.toUnsignedInt(message.get(ValueLayout.JAVA_BYTE, P9Message.TYPE));
        int body = P9Message.HEADER_BYTES;
        if (type == P9Message.TVERSION && size >= body + 4) {
            int asked = message.get(U32, body);
            if (Integer.compareUnsigned(asked, limit) > 0) {
                message.set(U32, body, limit); // a message must find room on the ring
            }
        }
        synchronized (monitor) {
            if (tags.get(tag) || finishing) {
                return false;
            }
            tags.set(tag);
            if (type == P9Message.TFLUSH && size >= body + 2) {
                flushes.put(tag, Short.toUnsignedInt(message.get(U16, body)));
            }
            return true;
        }
    }

    private void awaitReplies() throws ClosedChannelException, InterruptedException {
        synchronized (monitor) {
            while (isOwed()) {
                if (done) {
                    throw new ClosedChannelException();
                }
                monitor.wait();
            }
        }
    }

    /// Ends the session in the backend.
    private void reset() throws ClosedChannelException, InterruptedException {
        int size = P9Message.HEADER_BYTES + 4 + 2 + VERSION.length;
        MemorySegment message = MemorySegment.ofArray(new byte[size]);
        message.set(U32, P9Message.SIZE, size);
        message.set(ValueLayout.JAVA_BYTE, P9Message.TYPE, (byte) P9Message.TVERSION);
        message.set(U16, P9Message.TAG, (short) NO_TAG);
        message.set(U32, P9Message.HEADER_BYTES, limit);
        message.set(U16, P9Message.HEADER_BYTES + 4, (short) VERSION.length);
        MemorySegment.copy(
                VERSION,
                0,
                message,
                ValueLayout.JAVA_BYTE,
                P9Message.HEADER_BYTES + 6,
                VERSION.length);
        synchronized (monitor) {
            clientGone = true; // this answer is ours
            tags.set(NO_TAG);
        }
        ring.write(message, 0, size);
    }

    private void carryReplies() {
        try {
            byte[] bytes = new byte[limit];
            MemorySegment message = MemorySegment.ofArray(bytes);
            while (fill(message, 0, P9Message.HEADER_BYTES)) {
                int size = message.get(U32, P9Message.SIZE);
                if (size < P9Message.HEADER_BYTES || size > limit) {
                    broken.accept(
                            "reply of "
                                    + Integer.toUnsignedString(size)
                                    + " bytes: expected "
                                    + P9Message.HEADER_BYTES
                                    + ".."
                                    + limit);
                    break;
                }
                if (!fill(message, P9Message.HEADER_BYTES, size)) {
                    break;
                }
                // First, for the client may use the tag again as soon as it has the reply.
                answered(Short.toUnsignedInt(message.get(U16, P9Message.TAG)));
                give(bytes, size);
                given();
            }
        } catch (InterruptedException e) {
            return; // the end: nothing is due any more
        } finally {
            synchronized (monitor) {
                done = true;
                monitor.notifyAll();
            }
            close(in); // ends carryRequests too
        }
    }

    /// @return `false` at the end of the ring
    private boolean fill(MemorySegment message, int from, int to) throws InterruptedException {
        for (int at = from; at < to; ) {
            int count = ring.read(message, at, to - at);
            if (count == StreamRing.CLOSED) {
                return false;
            }
            at += count;
        }
        return true;
    }

    private void give(byte[] bytes, int size) {
        synchronized (monitor) {
            if (clientGone) {
                return;
            }
        }
        try {
            out.write(bytes, 0, size);
            out.flush();
        } catch (IOException e) {
            abandon();
        }
    }

    private void answered(int tag) {
        synchronized (monitor) {
            giving = true;
            tags.clear(tag);
            Integer flushed = flushes.remove(tag);
            if (flushed != null) {
                tags.clear(flushed); // it may have been dropped unanswered
            }
        }
    }

    private void given() {
        boolean last;
        synchronized (monitor) {
            giving = false;
            last = finishing && !isOwed() && !clientGone;
            monitor.notifyAll();
        }
        if (last) {
            abandon();
        }
    }

    /// Whether the client is still to get something. With the monitor.
    private boolean isOwed() {
        return giving || !tags.isEmpty();
    }

    private static void close(InputStream stream) {
        try {
            stream.close();
        } catch (IOException e) {
            // it was closed already
        }
    }
}
