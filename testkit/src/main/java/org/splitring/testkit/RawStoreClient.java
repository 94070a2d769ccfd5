package org.splitring.testkit;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.splitring.wire.XsdSockmsgLayout;

/// One connection to a store daemon, with no opinion of its own: any type, any payload, one request
/// at a time. One thread.
public final class RawStoreClient implements AutoCloseable {
    /// What the bytes travel on.
    public interface Carrier extends AutoCloseable {
        /// Sends all bytes.
        void send(ByteBuffer bytes) throws IOException;

        /// Fills the buffer.
        ///
        /// @throws IOException when the daemon has hung up, or does not answer
        void receive(ByteBuffer into) throws IOException;

        @Override
        void close();
    }

    /// An answer or an event.
    ///
    /// @param type of [XsdSockmsgLayout]
    @SuppressWarnings("ArrayRecordComponent") // compared as text
    public record Message(int type, byte[] payload) {
        public boolean isError() {
            return type == XsdSockmsgLayout.ERROR;
        }

        /// The payload, one character for each byte.
        public String text() {
            return new String(payload, StandardCharsets.ISO_8859_1);
        }
    }

    private final Carrier carrier;
    private final ByteBuffer header = buffer(XsdSockmsgLayout.SIZE_BYTES);
    private final ByteBuffer request =
            buffer(XsdSockmsgLayout.SIZE_BYTES + XsdSockmsgLayout.PAYLOAD_MAX_BYTES);
    private final List<Message> events = new ArrayList<>();
    private int lastRequestId;
    private int lastTransactionId;

    public RawStoreClient(Carrier carrier) {
        this.carrier = carrier;
    }

    /// Connects to the Unix socket of a daemon, as domain 0.
    public static RawStoreClient socket(Path path) throws IOException {
        return new RawStoreClient(new SocketCarrier(path));
    }

    /// Sends a request and waits for its answer. Events that come before it are kept.
    ///
    /// @param payload at most 4096 bytes
    public Message call(int type, int transactionId, byte[] payload) throws IOException {
        send(type, transactionId, payload);
        return answer();
    }

    /// Sends a request, whose answer [#answer] waits for.
    ///
    /// @param payload at most 4096 bytes
    public void send(int type, int transactionId, byte[] payload) throws IOException {
        lastTransactionId = transactionId;
        request.clear()
                .putInt(type)
                .putInt(++lastRequestId)
                .putInt(transactionId)
                .putInt(payload.length);
        carrier.send(request.put(payload).flip());
    }

    /// Waits for the answer to the request sent last. Events that come before it are kept.
    public Message answer() throws IOException {
        while (true) {
            carrier.receive(header.clear());
            header.flip();
            int answerType = header.getInt();
            int answerId = header.getInt();
            int answerTransaction = header.getInt();
            byte[] answer = new byte[header.getInt()];
            carrier.receive(ByteBuffer.wrap(answer));
            Message message = new Message(answerType, answer);
            if (answerType == XsdSockmsgLayout.WATCH_EVENT) {
                events.add(message);
                continue;
            }
            if (answerId != lastRequestId || answerTransaction != lastTransactionId) {
                throw new IOException("answer to " + answerId + " of " + answerTransaction);
            }
            return message;
        }
    }

    /// As the other, with a payload of one character for each byte.
    public Message call(int type, int transactionId, String payload) throws IOException {
        return call(type, transactionId, payload.getBytes(StandardCharsets.ISO_8859_1));
    }

    /// All events that have come since the last call.
    public List<Message> takeEvents() {
        List<Message> taken = List.copyOf(events);
        events.clear();
        return taken;
    }

    @Override
    public void close() {
        carrier.close();
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private record SocketCarrier(SocketChannel channel) implements Carrier {
        SocketCarrier(Path path) throws IOException {
            this(SocketChannel.open(UnixDomainSocketAddress.of(path)));
        }

        @Override
        public void send(ByteBuffer bytes) throws IOException {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        }

        @Override
        public void receive(ByteBuffer into) throws IOException {
            while (into.hasRemaining()) {
                if (channel.read(into) < 0) {
                    throw new IOException("the daemon has hung up");
                }
            }
        }

        @Override
        public void close() {
            try {
                channel.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
