package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.Channel;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.Toolstack;

/// Client and server over a real socket pair: what is of the socket alone. The rest is in
/// [StoreClientTest].
@Timeout(30)
class StoreWireClientTest {
    private static final DomId SEVEN = new DomId(7);

    private final MultiThreadIoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());
    private final StoreTree tree = new StoreTree();
    private final Store control = tree.connection(DomId.ZERO, Runnable::run);
    private Channel served;
    private StoreWireClient client;

    @BeforeEach
    void connect() throws Exception {
        new Toolstack(control).createDomain(SEVEN, "web");
        int[] pair = UnixSocket.streamPair();
        served = new StoreWireServer(tree).serve(pair[0], SEVEN, group.next());
        client = StoreWireClient.open(pair[1], SEVEN, group.next(), DeviceEnd.VIRTUAL_THREADS);
    }

    @AfterEach
    void disconnect() throws InterruptedException {
        client.close();
        served.closeFuture().await(10, TimeUnit.SECONDS);
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).await(10, TimeUnit.SECONDS);
        Awaitility.await().until(() -> tree.watchPlaces() == 1);
        tree.checkBooks();
    }

    @Test
    void aCallOnTheReadersOwnLoopIsRefused() throws Exception {
        MultiThreadIoEventLoopGroup one =
                new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
        int[] pair = UnixSocket.streamPair();
        Channel other = new StoreWireServer(tree).serve(pair[0], SEVEN, group.next());
        Store store = StoreWireClient.open(pair[1], SEVEN, one.next(), Runnable::run);
        assertThrows(Exception.class, () -> one.submit(() -> store.read("data")).get());
        store.close();
        other.closeFuture().await(10, TimeUnit.SECONDS);
        one.shutdownGracefully(0, 5, TimeUnit.SECONDS).await(10, TimeUnit.SECONDS);
    }

    @Test
    void h100_aGuestThatNeverReadsIsBoundedAndDisturbsNobody() throws Exception {
        int[] pair = UnixSocket.streamPair();
        Channel slow = new StoreWireServer(tree).serve(pair[0], SEVEN, group.next());
        Fd.setNonBlocking(pair[1], true);
        client.write("data/big", "v".repeat(2000));
        byte[] request =
                concat(header(2, "data/big\0".length()), "data/big\0".getBytes(ISO_8859_1));
        byte[] watch = concat(header(4, "data\0t\0".length()), "data\0t\0".getBytes(ISO_8859_1));
        assertTrue(write(pair[1], watch) == watch.length);
        long sent = 0;
        while (true) { // until the server has stopped reading and the socket is full
            long written = write(pair[1], request);
            if (written > 0 && written != request.length) {
                break; // a piece: the socket is full
            }
            if (written <= 0 && !slow.config().isAutoRead()) {
                break;
            }
            sent += written > 0 ? 1 : 0;
            assertTrue(sent < 2_000_000, "the server never stopped reading");
        }
        for (int i = 0; i < 2000; i++) {
            client.write("data/" + (i % 100), Integer.toString(i));
        }
        Awaitility.await().until(() -> !slow.config().isAutoRead());
        long unsent = slow.unsafe().outboundBuffer().totalPendingWriteBytes();
        assertTrue(unsent < 21 * 4112, "unsent " + unsent);
        assertEquals(Optional.of("1999"), client.read("data/99"));
        Fd.close(pair[1]);
        assertTrue(slow.closeFuture().await(10, TimeUnit.SECONDS));
    }

    private static long write(int fd, byte[] bytes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment segment = arena.allocate(bytes.length);
            segment.copyFrom(MemorySegment.ofArray(bytes));
            return Fd.write(fd, segment.address(), bytes.length);
        }
    }

    private static byte[] header(int type, int length) {
        ByteBuffer header = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
        return header.putInt(type).putInt(1).putInt(0).putInt(length).array();
    }

    private static byte[] concat(byte[] a, byte[] b) {
        byte[] both = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, both, a.length, b.length);
        return both;
    }
}
