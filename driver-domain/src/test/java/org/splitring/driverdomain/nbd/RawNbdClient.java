package org.splitring.driverdomain.nbd;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Objects;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.nbd.NbdProtocol;

/// A client that sends any bytes it likes: for hostile tests.
public final class RawNbdClient implements AutoCloseable {
    private static final int PATIENCE_MILLIS = 40_000;

    public record Reply(int error, long cookie) {}

    @SuppressWarnings("ArrayRecordComponent") // never compared
    record OptionReply(int option, int type, byte[] data) {}

    /// A chunk of a structured reply.
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Chunk(boolean last, int type, long cookie, byte[] payload) {
        ByteBuffer bytes() {
            return ByteBuffer.wrap(payload);
        }
    }

    ByteChannel channel;
    private @Nullable Socket socket;
    long size;
    int flags;

    public RawNbdClient(Path socket) throws IOException {
        channel = SocketChannel.open(UnixDomainSocketAddress.of(socket));
    }

    /// A client of a port of the loopback address.
    RawNbdClient(int port) throws IOException {
        Socket connected = new Socket(InetAddress.getLoopbackAddress(), port);
        connected.setSoTimeout(PATIENCE_MILLIS); // no interrupt ends its waiting
        socket = connected;
        channel = new StreamChannel(connected);
    }

    /// A socket's streams; the JDK's TLS has no channels.
    private record StreamChannel(Socket socket) implements ByteChannel {
        @Override
        public int read(ByteBuffer target) throws IOException {
            int at = target.position();
            int count =
                    socket.getInputStream()
                            .read(target.array(), target.arrayOffset() + at, target.remaining());
            target.position(at + Math.max(count, 0));
            return count;
        }

        @Override
        public int write(ByteBuffer source) throws IOException {
            int count = source.remaining();
            int from = source.arrayOffset() + source.position();
            socket.getOutputStream().write(source.array(), from, count);
            source.position(source.limit());
            return count;
        }

        @Override
        public boolean isOpen() {
            return !socket.isClosed();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    /// Starts TLS, after [#greet].
    SSLSocket startTls(SSLContext context, String... protocols) throws IOException {
        optionAcknowledged(NbdProtocol.OPT_STARTTLS, new byte[0]);
        Socket plain = Objects.requireNonNull(socket);
        SSLSocket tls =
                (SSLSocket)
                        context.getSocketFactory()
                                .createSocket(plain, "localhost", plain.getPort(), true);
        if (protocols.length > 0) {
            tls.setEnabledProtocols(protocols);
        }
        tls.startHandshake();
        channel = new StreamChannel(tls);
        return tls;
    }

    /// Greets and sends the client flags.
    RawNbdClient greet() throws IOException {
        ByteBuffer greeting = read(18);
        if (greeting.getLong() != NbdProtocol.NBDMAGIC) {
            throw new IOException("no NBD server");
        }
        send(ByteBuffer.allocate(4).putInt(NbdProtocol.FLAG_FIXED_NEWSTYLE | 2));
        return this;
    }

    /// Greets and enters the transmission phase.
    public RawNbdClient go() throws IOException {
        return go("");
    }

    RawNbdClient go(String export) throws IOException {
        return greet().enter(export);
    }

    RawNbdClient enter(String export) throws IOException {
        option(NbdProtocol.OPT_GO, goData(export, 0));
        for (; ; ) {
            OptionReply reply = optionReply();
            if (reply.type() == NbdProtocol.REP_ACK) {
                return this;
            }
            if (reply.type() != NbdProtocol.REP_INFO) {
                throw new IOException(
                        "GO was refused: "
                                + Integer.toHexString(reply.type())
                                + " "
                                + new String(reply.data(), StandardCharsets.US_ASCII));
            }
            ByteBuffer info = ByteBuffer.wrap(reply.data());
            if (info.getShort() == NbdProtocol.INFO_EXPORT) {
                size = info.getLong();
                flags = info.getShort();
            }
        }
    }

    /// Asks for structured replies, and enters the transmission phase.
    RawNbdClient goStructured() throws IOException {
        greet();
        optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
        return enter("");
    }

    void optionAcknowledged(int option, byte[] data) throws IOException {
        option(option, data);
        OptionReply reply = optionReply();
        if (reply.type() != NbdProtocol.REP_ACK) {
            throw new IOException("refused: " + Integer.toHexString(reply.type()));
        }
    }

    /// The data of LIST_META_CONTEXT and SET_META_CONTEXT.
    static byte[] metaData(String export, String... queries) {
        byte[] name = export.getBytes(StandardCharsets.UTF_8);
        int size = 8 + name.length;
        for (String query : queries) {
            size += 4 + query.getBytes(StandardCharsets.UTF_8).length;
        }
        ByteBuffer data = ByteBuffer.allocate(size);
        data.putInt(name.length).put(name).putInt(queries.length);
        for (String query : queries) {
            byte[] bytes = query.getBytes(StandardCharsets.UTF_8);
            data.putInt(bytes.length).put(bytes);
        }
        return data.array();
    }

    static byte[] goData(String name, int... infos) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        ByteBuffer data = ByteBuffer.allocate(6 + bytes.length + 2 * infos.length);
        data.putInt(bytes.length).put(bytes).putShort((short) infos.length);
        for (int info : infos) {
            data.putShort((short) info);
        }
        return data.array();
    }

    void option(int option, byte[] data) throws IOException {
        optionHeader(option, data.length);
        send(ByteBuffer.allocate(data.length).put(data));
    }

    void optionHeader(int option, int length) throws IOException {
        send(ByteBuffer.allocate(16).putLong(NbdProtocol.IHAVEOPT).putInt(option).putInt(length));
    }

    OptionReply optionReply() throws IOException {
        ByteBuffer header = read(20);
        if (header.getLong() != NbdProtocol.OPTION_REPLY_MAGIC) {
            throw new IOException("not an option reply");
        }
        int option = header.getInt();
        int type = header.getInt();
        return new OptionReply(option, type, read(header.getInt()).array());
    }

    void request(int flags, int type, long cookie, long offset, int length) throws IOException {
        send(header(flags, type, cookie, offset, length));
    }

    static ByteBuffer header(int flags, int type, long cookie, long offset, int length) {
        return ByteBuffer.allocate(28)
                .putInt(NbdProtocol.REQUEST_MAGIC)
                .putShort((short) flags)
                .putShort((short) type)
                .putLong(cookie)
                .putLong(offset)
                .putInt(length);
    }

    public void write(int flags, long cookie, long offset, byte[] data) throws IOException {
        request(flags, NbdProtocol.CMD_WRITE, cookie, offset, data.length);
        send(ByteBuffer.allocate(data.length).put(data));
    }

    /// Asks for MiB after MiB and takes nothing, until the connection ends or has been asked for
    /// more than any server would hold.
    Thread askWithoutEnd() {
        return Thread.ofPlatform()
                .start(
                        () -> {
                            try {
                                for (int i = 0; i < 100_000; i++) {
                                    askToRead(i, 0, 1 << 20);
                                }
                            } catch (IOException e) {
                                // cut off at the end: as wanted
                            }
                        });
    }

    /// Asks for bytes, which follow the reply.
    public void askToRead(long cookie, long offset, int length) throws IOException {
        request(0, NbdProtocol.CMD_READ, cookie, offset, length);
    }

    public void flush(long cookie) throws IOException {
        request(0, NbdProtocol.CMD_FLUSH, cookie, 0, 0);
    }

    public Reply reply() throws IOException {
        ByteBuffer reply = read(16);
        int magic = reply.getInt();
        if (magic != NbdProtocol.REPLY_MAGIC) {
            throw new IOException("not a reply: " + Integer.toHexString(magic));
        }
        return new Reply(reply.getInt(), reply.getLong());
    }

    Chunk chunk() throws IOException {
        ByteBuffer header = read(20);
        int magic = header.getInt();
        if (magic != NbdProtocol.CHUNK_MAGIC) {
            throw new IOException("not a chunk: " + Integer.toHexString(magic));
        }
        boolean last = header.getShort() == NbdProtocol.CHUNK_DONE;
        int type = Short.toUnsignedInt(header.getShort());
        long cookie = header.getLong();
        return new Chunk(last, type, cookie, read(header.getInt()).array());
    }

    void send(ByteBuffer bytes) throws IOException {
        bytes.flip();
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    public ByteBuffer read(int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes) < 0) {
                throw new EOFException("closed after " + bytes.position() + " of " + count);
            }
        }
        return bytes.flip();
    }

    /// Waits for the server to hang up, whatever it says before.
    void awaitClosed() throws IOException {
        ByteBuffer scrap = ByteBuffer.allocate(4096);
        try {
            while (channel.read(scrap) >= 0) {
                scrap.clear();
            }
        } catch (IOException e) {
            return; // reset: closed with our bytes unread
        }
    }

    /// Closes the port's connection, whatever is under way.
    void cut() throws IOException {
        Objects.requireNonNull(socket).close();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
