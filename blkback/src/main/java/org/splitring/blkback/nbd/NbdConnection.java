package org.splitring.blkback.nbd;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteOrder;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.NbdSource;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.StreamSocket;

/// A connection to a server, and the layout of what goes over it once the handshake is done. All
/// numbers are big-endian.
///
///     byte     0              4            6           8        16       24       28
///     request  25609513       flags (u16)  type (u16)  cookie   offset   length
///     reply    67446698       error (u32)              cookie
///
/// The bytes of a WRITE follow its request, those of a READ its reply. One thread receives; any
/// thread sends, one at a time.
final class NbdConnection implements AutoCloseable {

    private static final int TICK_MILLIS = 500;

    static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    static final ValueLayout.OfLong U64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private final StreamSocket socket;
    private final MemorySegment reply =
            Arena.ofAuto().allocate(NbdProtocol.REPLY_BYTES, 8); // who receives
    private final IoVector replyVector = new IoVector(1);
    private final MemorySegment request =
            Arena.ofAuto().allocate(NbdProtocol.REQUEST_BYTES, 8); // this
    private final IoVector requestVector = new IoVector(2);
    private int error;

    private NbdConnection(StreamSocket socket) {
        this.socket = socket;
    }

    /// Says, while nothing comes or goes, whether there is a point in waiting on.
    interface Patience {
        /// Asks. Whoever waits does so now and then, and whenever something comes.
        ///
        /// @throws IOException when it is at an end
        void check() throws IOException;
    }

    /// Patience until a moment.
    ///
    /// @param what is waited for, for the message
    static Patience until(long endNanos, String what) {
        return () -> {
            if (System.nanoTime() - endNanos >= 0) {
                throw new IOException(what + " takes too long");
            }
        };
    }

    /// Connects; the addresses of a host are tried one after the other.
    static NbdConnection connect(NbdSource.Server server, long endNanos) throws IOException {
        return new NbdConnection(
                switch (server) {
                    case NbdSource.Unix unix ->
                            StreamSocket.connect(unix.path(), remainingMillis(endNanos));
                    case NbdSource.Tcp tcp -> connect(tcp, endNanos);
                });
    }

    private static StreamSocket connect(NbdSource.Tcp tcp, long endNanos) throws IOException {
        InetAddress[] addresses;
        try {
            addresses = InetAddress.getAllByName(tcp.host());
        } catch (UnknownHostException e) {
            throw new IOException("the name " + tcp.host() + " is not known", e);
        }
        IOException first = null;
        for (InetAddress address : addresses) {
            try {
                return StreamSocket.connect(
                        new InetSocketAddress(address, tcp.port()), remainingMillis(endNanos));
            } catch (IOException e) {
                first = first == null ? e : first;
            }
        }
        throw first == null ? new IOException("no address for " + tcp.host()) : first;
    }

    private static int remainingMillis(long endNanos) {
        long millis = TimeUnit.NANOSECONDS.toMillis(endNanos - System.nanoTime());
        return Math.clamp(millis, 1, Integer.MAX_VALUE);
    }

    /// Sends one request.
    ///
    /// @param payload what a WRITE writes, `length` bytes from `at` on
    synchronized void send(
            int flags,
            int type,
            long cookie,
            long offset,
            int length,
            @Nullable MemorySegment payload,
            long at)
            throws IOException {
        request.set(U32, 0, NbdProtocol.REQUEST_MAGIC);
        request.set(U16, 4, (short) flags);
        request.set(U16, 6, (short) type);
        request.set(U64, 8, cookie);
        request.set(U64, 16, offset);
        request.set(U32, 24, length);
        requestVector.clear();
        requestVector.add(request, 0, NbdProtocol.REQUEST_BYTES);
        if (payload != null) {
            requestVector.add(payload, at, length);
        }
        sendAll(requestVector, ENDLESS);
    }

    /// A server that takes nothing is noticed by who waits for its answers, and the connection is
    /// ended under who sends.
    private static final Patience ENDLESS = () -> {};

    /// Sends everything.
    void sendAll(IoVector from, Patience patience) throws IOException {
        while (from.remainingBytes() > 0) {
            long count = socket.send(from);
            if (count > 0) {
                from.advance(count);
            } else if (count == -Errno.EAGAIN) {
                socket.awaitWritable(TICK_MILLIS);
                patience.check();
            } else {
                throw new LinuxException("send", (int) -count);
            }
        }
    }

    /// Receives until the vector is full.
    void receiveAll(IoVector into, Patience patience) throws IOException {
        while (into.remainingBytes() > 0) {
            long count = socket.receive(into);
            if (count > 0) {
                into.advance(count);
                patience.check();
            } else if (count == 0) {
                throw new EOFException("the server has closed the connection");
            } else if (count == -Errno.EAGAIN) {
                socket.awaitReadable(TICK_MILLIS);
                patience.check();
            } else {
                throw new LinuxException("receive", (int) -count);
            }
        }
    }

    /// Receives the head of a reply.
    ///
    /// @return its cookie; [#error] is that of this reply then
    long receiveReply(Patience patience) throws IOException {
        replyVector.clear();
        replyVector.add(reply, 0, NbdProtocol.REPLY_BYTES);
        receiveAll(replyVector, patience);
        int magic = reply.get(U32, 0);
        if (magic != NbdProtocol.REPLY_MAGIC) {
            throw new NbdRefusal("the server sent %08x where a reply begins".formatted(magic));
        }
        error = reply.get(U32, 4);
        return reply.get(U64, 8);
    }

    /// The error number of the last reply, 0 for none. Of who receives.
    int error() {
        return error;
    }

    /// Says goodbye, where that can be said at once.
    synchronized void disconnect() {
        try {
            request.fill((byte) 0);
            request.set(U32, 0, NbdProtocol.REQUEST_MAGIC);
            request.set(U16, 6, (short) NbdProtocol.CMD_DISC);
            requestVector.clear();
            requestVector.add(request, 0, NbdProtocol.REQUEST_BYTES);
            socket.send(requestVector);
        } finally {
            shutDown();
        }
    }

    /// Ends the connection under whoever waits on it. Any thread.
    void shutDown() {
        socket.shutDown();
    }

    @Override
    public void close() {
        socket.shutDown();
        socket.close();
    }
}
