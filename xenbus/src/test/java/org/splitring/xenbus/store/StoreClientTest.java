package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.xenbus.store.StoreTreeTest.refused;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
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
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.XenbusState;

/// A guest's client, over each way that leads to the store.
@Timeout(30)
@ParameterizedClass
@EnumSource(StoreLink.Way.class)
class StoreClientTest {
    private static final DomId SEVEN = new DomId(7);

    @TempDir Path folder;

    private final StoreLink.Way way;

    private final StoreTree tree = new StoreTree();
    private final Store control = tree.connection(DomId.ZERO, Runnable::run);
    private StoreLink link;
    private StoreWireClient client;

    StoreClientTest(StoreLink.Way way) {
        this.way = way;
    }

    @BeforeEach
    void connect() throws Exception {
        new Toolstack(control).createDomain(SEVEN, "web");
        link = StoreLink.open(way, tree, SEVEN, folder);
        client = link.client();
    }

    @AfterEach
    void disconnect() throws Exception {
        link.close();
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
            control.makeNode("/local/domain/7/data/" + names.getLast()); // more than 7 may
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
        link.endServer();
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
            link.endServer();
            Exception e = assertThrows(Exception.class, () -> never.get(10, TimeUnit.SECONDS));
            assertTrue(e.getCause() instanceof HandshakeException, e.toString());
        }
    }
}
