package org.splitring.benchmarks;

import static org.splitring.wire.XsdSockmsgLayout.PAYLOAD_MAX_BYTES;
import static org.splitring.wire.XsdSockmsgLayout.SIZE_BYTES;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.splitring.wire.XsdSockmsgLayout;

/// The client of every contender of `bench store`: a blocking socket, one write for each request,
/// and reads that take what there is. One thread.
final class StoreClient implements AutoCloseable {
    private final SocketChannel channel;
    private final ByteBuffer out = buffer(SIZE_BYTES + PAYLOAD_MAX_BYTES);
    private final ByteBuffer in = buffer(4 * (SIZE_BYTES + PAYLOAD_MAX_BYTES));
    private byte[] payload = {};
    private int transaction;

    private StoreClient(SocketChannel channel) {
        this.channel = channel;
        in.flip();
    }

    static StoreClient connect(Path socket) throws IOException {
        return new StoreClient(SocketChannel.open(UnixDomainSocketAddress.of(socket)));
    }

    /// Strings as a payload, each with a NUL after it.
    static byte[] strings(String... strings) {
        return (String.join("\0", strings) + "\0").getBytes(StandardCharsets.ISO_8859_1);
    }

    void send(int type, byte[] request) throws IOException {
        out.clear().putInt(type).putInt(1).putInt(transaction).putInt(request.length);
        out.put(request).flip();
        while (out.hasRemaining()) {
            channel.write(out);
        }
    }

    /// Waits for the next message.
    ///
    /// @return its type
    int receive() throws IOException {
        await(SIZE_BYTES);
        int type = in.getInt();
        in.position(in.position() + 8);
        int length = in.getInt();
        if (length < 0 || length > PAYLOAD_MAX_BYTES) {
            throw new IOException("message of " + length + " bytes");
        }
        await(length);
        payload = new byte[length];
        in.get(payload);
        return type;
    }

    private void await(int bytes) throws IOException {
        if (in.remaining() < bytes) {
            in.compact();
            while (in.position() < bytes) {
                if (channel.read(in) < 0) {
                    throw new IOException("the store has hung up");
                }
            }
            in.flip();
        }
    }

    /// Payload of the message that was received last.
    byte[] payload() {
        return payload;
    }

    /// A request and its answer, on a connection without watches.
    ///
    /// @throws IOException also when the store refuses it
    void call(int type, byte[] request) throws IOException {
        if (!allowed(type, request)) {
            throw new IOException("request " + type + " refused: " + text());
        }
    }

    /// As [#call], but lets the caller look at an error.
    ///
    /// @return whether it was answered with something else
    boolean allowed(int type, byte[] request) throws IOException {
        send(type, request);
        int answer = receive();
        if (answer != type && answer != XsdSockmsgLayout.ERROR) {
            throw new IOException("answer " + answer + " to request " + type);
        }
        return answer == type;
    }

    /// Begins a transaction: what follows is in it.
    void begin() throws IOException {
        call(XsdSockmsgLayout.TRANSACTION_START, new byte[1]);
        transaction = Integer.parseUnsignedInt(text());
    }

    /// Ends the transaction.
    ///
    /// @return whether it came into force
    boolean commit() throws IOException {
        boolean done = allowed(XsdSockmsgLayout.TRANSACTION_END, new byte[] {'T', 0});
        transaction = 0;
        if (!done && !text().equals("EAGAIN")) {
            throw new IOException("commit refused: " + text());
        }
        return done;
    }

    private String text() {
        String text = new String(payload, StandardCharsets.ISO_8859_1);
        return text.endsWith("\0") ? text.substring(0, text.length() - 1) : text;
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
