package org.splitring.blkback.nbd;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.NbdSource;

/// A server that keeps the protocol and no more: it handles requests in any order, and when it
/// crashes it forgets of each sector what it was not asked to make stable, or does not.
///
/// The knobs are set before a client comes.
final class ForgetfulNbdServer implements AutoCloseable {
    static final int ALL =
            NbdProtocol.HAS_FLAGS
                    | NbdProtocol.SEND_FLUSH
                    | NbdProtocol.SEND_FUA
                    | NbdProtocol.SEND_TRIM
                    | NbdProtocol.SEND_WRITE_ZEROES;

    final Path socket;
    volatile int flags = ALL;
    volatile boolean knowsGo = true;
    volatile String export = "disk";

    /// Requests that have to be there before any is handled.
    volatile int holdUntil = 1;

    /// What the next write or flush is answered with, once.
    volatile int nextError;

    /// Whether a connection ends instead of an answer to a request.
    volatile boolean endsOnRequest;

    final AtomicInteger connections = new AtomicInteger();
    final AtomicInteger flushes = new AtomicInteger();
    final AtomicInteger writes = new AtomicInteger();
    final AtomicInteger fuaWrites = new AtomicInteger();
    final AtomicInteger disconnects = new AtomicInteger();

    private final Random random;
    private final Set<SocketChannel> clients = ConcurrentHashMap.newKeySet();
    private @Nullable ServerSocketChannel listening;

    // Guarded by this.
    private byte[] cache;
    private byte[] stable;
    private final BitSet unstable = new BitSet();
    private int life;

    ForgetfulNbdServer(Path socket, int sizeBytes, long seed) {
        this.socket = socket;
        this.cache = new byte[sizeBytes];
        this.stable = new byte[sizeBytes];
        this.random = new Random(seed);
    }

    NbdSource source() {
        return source("");
    }

    NbdSource source(String query) {
        try {
            return NbdSource.parse("nbd+unix:///disk?socket=" + socket + query);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    void start() throws IOException {
        Files.deleteIfExists(socket);
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        listening = server;
        Thread.ofVirtual().start(() -> accept(server));
    }

    /// The process dies: connections end, and of each sector what was not flushed is lost or not.
    void crash() throws IOException {
        ServerSocketChannel server = listening;
        if (server != null) {
            server.close();
        }
        synchronized (this) {
            life++;
            for (int sector = unstable.nextSetBit(0);
                    sector >= 0;
                    sector = unstable.nextSetBit(sector + 1)) {
                if (random.nextBoolean()) {
                    System.arraycopy(cache, sector * 512, stable, sector * 512, 512);
                }
            }
            unstable.clear();
            cache = stable.clone();
        }
        for (SocketChannel client : clients) {
            client.close();
        }
        clients.clear();
    }

    synchronized void resize(int sizeBytes) {
        cache = new byte[sizeBytes];
        stable = new byte[sizeBytes];
        unstable.clear();
    }

    /// What would be there after a crash, at worst.
    synchronized byte[] stable() {
        return stable.clone();
    }

    synchronized byte[] contents() {
        return cache.clone();
    }

    private void accept(ServerSocketChannel server) {
        try {
            while (true) {
                SocketChannel client = server.accept();
                clients.add(client);
                connections.incrementAndGet();
                int now;
                synchronized (this) {
                    now = life;
                }
                Thread.ofVirtual().start(() -> serve(client, now));
            }
        } catch (IOException e) {
            // closed
        }
    }

    @SuppressWarnings("ArrayRecordComponent") // nobody compares them
    private record Request(
            int flags, int type, long cookie, long offset, int length, byte[] data) {}

    private void serve(SocketChannel client, int now) {
        try (client) {
            DataInputStream in = new DataInputStream(Channels.newInputStream(client));
            DataOutputStream out = new DataOutputStream(Channels.newOutputStream(client));
            greet(in, out);
            List<Request> held = new ArrayList<>();
            while (true) {
                if (in.readInt() != 0x25609513) {
                    throw new IOException("no request");
                }
                int requestFlags = in.readUnsignedShort();
                int type = in.readUnsignedShort();
                long cookie = in.readLong();
                long offset = in.readLong();
                int length = in.readInt();
                byte[] data = new byte[type == NbdProtocol.CMD_WRITE ? length : 0];
                in.readFully(data);
                if (type == NbdProtocol.CMD_DISC) {
                    disconnects.incrementAndGet();
                    return;
                }
                if (endsOnRequest) {
                    return;
                }
                held.add(new Request(requestFlags, type, cookie, offset, length, data));
                if (held.size() >= holdUntil) {
                    for (Request request : held) {
                        Thread.ofVirtual().start(() -> handle(request, out, now));
                    }
                    held.clear();
                }
            }
        } catch (IOException e) {
            // the client is gone, or this server
        }
    }

    private void greet(DataInputStream in, DataOutputStream out) throws IOException {
        out.writeLong(0x4E42444D41474943L);
        out.writeLong(0x49484156454F5054L);
        out.writeShort(3);
        in.readInt();
        while (true) {
            in.readLong();
            int option = in.readInt();
            byte[] data = new byte[in.readInt()];
            in.readFully(data);
            long size;
            synchronized (this) {
                size = cache.length;
            }
            if (option == 1) { // EXPORT_NAME
                if (!new String(data, StandardCharsets.UTF_8).equals(export)) {
                    throw new EOFException("no such export");
                }
                out.writeLong(size);
                out.writeShort(flags);
                return;
            }
            if (option != 7 || !knowsGo) {
                reply(out, option, 0x80000001, new byte[0]);
                continue;
            }
            int nameBytes = ((data[2] & 0xFF) << 8) | (data[3] & 0xFF);
            if (!new String(data, 4, nameBytes, StandardCharsets.UTF_8).equals(export)) {
                reply(out, option, 0x80000006, "nothing here".getBytes(StandardCharsets.UTF_8));
                continue;
            }
            out.writeLong(0x0003E889045565A9L);
            out.writeInt(option);
            out.writeInt(3);
            out.writeInt(12);
            out.writeShort(0);
            out.writeLong(size);
            out.writeShort(flags);
            reply(out, option, 1, new byte[0]);
            return;
        }
    }

    private static void reply(DataOutputStream out, int option, int type, byte[] data)
            throws IOException {
        out.writeLong(0x0003E889045565A9L);
        out.writeInt(option);
        out.writeInt(type);
        out.writeInt(data.length);
        out.write(data);
    }

    private void handle(Request request, DataOutputStream out, int now) {
        boolean slow;
        synchronized (random) {
            slow = random.nextInt(4) == 0;
        }
        if (slow) { // others overtake it
            Thread.ofVirtual().start(() -> handleNow(request, out, now));
        } else {
            handleNow(request, out, now);
        }
    }

    private void handleNow(Request request, DataOutputStream out, int now) {
        byte[] read = new byte[0];
        int error = 0;
        synchronized (this) {
            if (life != now) {
                return; // it died before it came to this
            }
            if (request.type() != NbdProtocol.CMD_READ && nextError != 0) {
                error = nextError;
                nextError = 0;
            } else {
                read = apply(request);
            }
        }
        try {
            synchronized (out) {
                out.writeInt(0x67446698);
                out.writeInt(error);
                out.writeLong(request.cookie());
                out.write(read);
            }
        } catch (IOException e) {
            // the client is gone
        }
    }

    private byte[] apply(Request request) {
        int at = (int) request.offset();
        int end = at + request.length();
        switch (request.type()) {
            case NbdProtocol.CMD_READ -> {
                byte[] data = new byte[request.length()];
                System.arraycopy(cache, at, data, 0, data.length);
                return data;
            }
            case NbdProtocol.CMD_WRITE -> {
                System.arraycopy(request.data(), 0, cache, at, request.length());
                writes.incrementAndGet();
                changed(request, at, end);
            }
            case NbdProtocol.CMD_WRITE_ZEROES, NbdProtocol.CMD_TRIM -> {
                Arrays.fill(cache, at, end, (byte) 0);
                changed(request, at, end);
            }
            case NbdProtocol.CMD_FLUSH -> {
                flushes.incrementAndGet();
                stable = cache.clone();
                unstable.clear();
            }
            default -> throw new IllegalStateException("request " + request.type());
        }
        return new byte[0];
    }

    private void changed(Request request, int at, int end) {
        if ((request.flags() & NbdProtocol.CMD_FLAG_FUA) != 0) {
            fuaWrites.incrementAndGet();
            System.arraycopy(cache, at, stable, at, end - at);
        } else {
            unstable.set(at / 512, end / 512);
        }
    }

    @Override
    public void close() throws IOException {
        crash();
        Files.deleteIfExists(socket);
    }
}
