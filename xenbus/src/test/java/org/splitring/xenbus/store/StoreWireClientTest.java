package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.xenbus.store.StoreTreeTest.refused;

import io.netty.channel.Channel;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.XenbusState;

/// Client and server over a real socket pair.
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
    void readsAndWritesWithTheRightsOfItsDomain() throws StoreException {
        client.write("data/x", "hällo");
        assertEquals(Optional.of("hällo"), client.read("/local/domain/7/data/x"));
        assertEquals(Optional.of("hällo"), control.read("/local/domain/7/data/x"));
        assertEquals(Optional.empty(), client.read("data/y"));
        client.makeNode("data/dir/a");
        client.write("data/dir/b", "");
        assertEquals(List.of("a", "b"), client.list("data/dir"));
        assertEquals(List.of(), client.list("data/none"));
        client.remove("data/dir");
        client.remove("data/dir/not/there");
        assertEquals(List.of("x"), client.list("data"));
        refused(StoreError.EACCES, () -> client.write("name", "root"));
        refused(StoreError.EACCES, () -> client.list("/local/domain"));
        refused(StoreError.EINVAL, () -> client.read("a\0b"));
        refused(StoreError.E2BIG, () -> client.write("data/x", "v".repeat(4096)));
        List<Permission> permissions =
                List.of(Permission.none(SEVEN), Permission.read(new DomId(8)));
        client.setPermissions("data/x", permissions);
        assertEquals(permissions, client.permissions("data/x"));
        refused(StoreError.ENOENT, () -> client.permissions("data/none"));
    }

    @Test
    void longListsComeInParts() throws StoreException {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            names.add("name-of-a-child-" + i);
            client.makeNode("data/" + names.getLast());
        }
        assertEquals(names, client.list("data"));
    }

    @Test
    void transactionsRepeatOnConflict() throws Exception {
        client.write("data/n", "0");
        AtomicInteger runs = new AtomicInteger();
        client.transaction(
                t -> {
                    int n = Integer.parseInt(t.read("data/n").orElseThrow());
                    if (runs.getAndIncrement() == 0) {
                        control.write("/local/domain/7/data/n", "10");
                    }
                    t.write("data/n", Integer.toString(n + 1));
                });
        assertEquals(2, runs.get());
        assertEquals(Optional.of("11"), client.read("data/n"));
        StoreException e =
                assertThrows(
                        StoreException.class,
                        () ->
                                client.transaction(
                                        t -> {
                                            t.write("data/n", "99");
                                            t.write("/x", "");
                                        }));
        assertEquals(StoreError.EACCES, e.error());
        assertEquals(Optional.of("11"), client.read("data/n"));
    }

    @Test
    void manyThreadsCountTogether() throws Exception {
        client.write("data/n", "0");
        List<Thread> threads = new ArrayList<>();
        AtomicInteger failures = new AtomicInteger();
        for (int i = 0; i < 12; i++) {
            threads.add(
                    Thread.startVirtualThread(
                            () -> {
                                try {
                                    for (int k = 0; k < 10; k++) {
                                        client.transaction(
                                                t -> {
                                                    int n =
                                                            Integer.parseInt(
                                                                    t.read("data/n").orElseThrow());
                                                    t.write("data/n", Integer.toString(n + 1));
                                                });
                                    }
                                } catch (StoreException | RuntimeException e) {
                                    failures.incrementAndGet();
                                }
                            }));
            if (threads.size() == 6) { // a guest has ten transactions, so six at a time
                for (Thread thread : threads) {
                    thread.join();
                }
                threads.clear();
            }
        }
        assertEquals(0, failures.get());
        assertEquals(Optional.of("120"), client.read("data/n"));
    }

    @Test
    void watchesHearOfChanges() throws Exception {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        Watch watch = client.watch("data", events::add);
        assertEquals("data", events.poll(10, TimeUnit.SECONDS));
        control.write("/local/domain/7/data/a", "1");
        assertEquals("data/a", events.poll(10, TimeUnit.SECONDS));
        watch.close();
        assertEquals(Optional.of("1"), client.read("data/a")); // after UNWATCH, in order
        control.write("/local/domain/7/data/a", "2");
        client.read("data/a");
        assertEquals(0, events.size());
    }

    @Test
    void theDeathOfTheServerIsNoticed() throws Exception {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        client.watch("data", events::add);
        assertEquals("data", events.poll(10, TimeUnit.SECONDS));
        CompletableFuture<Boolean> lost = new CompletableFuture<>();
        client.onLost(() -> lost.complete(true));
        assertTrue(served.close().await(10, TimeUnit.SECONDS));
        assertTrue(lost.get(10, TimeUnit.SECONDS));
        assertEquals("data", events.poll(10, TimeUnit.SECONDS)); // wakes whoever waits
        refused(StoreError.EIO, () -> client.read("data"));
        CompletableFuture<Boolean> late = new CompletableFuture<>();
        client.onLost(() -> late.complete(true));
        assertTrue(late.get(10, TimeUnit.SECONDS));
    }

    @Test
    void aWaitInTheHandshakeEndsWithTheStore() throws Exception {
        DevicePaths paths = DevicePaths.vbd(SEVEN, DomId.ZERO, 51712);
        new Toolstack(control).createVbd(paths, "xvda", false, "/image");
        try (DeviceEnd front = DeviceEnd.open(client, DeviceEnd.Side.FRONTEND, paths)) {
            CompletableFuture<XenbusState> never =
                    front.whenPeer(Set.of(XenbusState.CONNECTED), Duration.ofSeconds(60));
            assertTrue(served.close().await(10, TimeUnit.SECONDS));
            Exception e = assertThrows(Exception.class, () -> never.get(10, TimeUnit.SECONDS));
            assertTrue(e.getCause() instanceof HandshakeException, e.toString());
        }
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
