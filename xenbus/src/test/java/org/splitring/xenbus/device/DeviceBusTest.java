package org.splitring.xenbus.device;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// Both buses over a store and the local platform: devices come, work, and go by what a toolstack
/// writes.
class DeviceBusTest {
    private static final DomId GUEST = new DomId(3);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path sockets;

    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final StoreTree tree = new StoreTree();
    private final NettyDeviceLoops loops = new NettyDeviceLoops("bus", 2, 0);
    private final MeterRegistry meters = new SimpleMeterRegistry();
    private final GuestDomain guest = hypervisor.createGuest(GUEST, 8 << 20, DomainLimits.DEFAULT);
    private final Store control = tree.connection(DomId.ZERO, DeviceEnd.VIRTUAL_THREADS);
    private final Toolstack toolstack = new Toolstack(control);
    private final DeviceClasses classes =
            DeviceClasses.of(new EchoDevice.Backend(), new EchoDevice.Frontend());

    @SuppressWarnings("NullAway.Init")
    private Store guestStore;

    @SuppressWarnings("NullAway.Init")
    private BackendBus backends;

    @SuppressWarnings("NullAway.Init")
    private FrontendBus frontends;

    private int freePages;

    @BeforeEach
    void open() throws Exception {
        tree.introduce(GUEST);
        toolstack.createDomain(GUEST, "guest");
        guestStore = tree.connection(GUEST, DeviceEnd.VIRTUAL_THREADS);
        freePages = guest.pages().freeCount();
        backends =
                BackendBus.open(
                        new BackendHost(
                                hypervisor.driverDomain(DomId.ZERO), control, loops::next, meters),
                        GUEST,
                        classes,
                        BackendOptions.DEFAULT);
        frontends =
                FrontendBus.open(
                                new FrontendHost(loops::next, sockets, meters),
                                guest,
                                guestStore,
                                classes,
                                FrontendOptions.DEFAULT)
                        .get(10, TimeUnit.SECONDS);
    }

    @AfterEach
    void close() {
        frontends.close();
        backends.close();
        guestStore.close();
        control.close();
        assertEquals(freePages, guest.pages().freeCount());
        assertEquals(0, hypervisor.mappedTotal());
        assertEquals(List.of(), meters.getMeters());
        guest.close();
        loops.close();
    }

    private static DevicePaths paths(int device) {
        return new DevicePaths(EchoDevice.CLASS, GUEST, DomId.ZERO, device);
    }

    private FrontendBus.Frontend attach(int device) throws Exception {
        toolstack.createDevice(paths(device), Map.of(), Map.of());
        return connected(device);
    }

    private FrontendBus.Frontend connected(int device) throws Exception {
        String name = EchoDevice.CLASS + "/" + device;
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> list().stream().anyMatch(f -> f.name().equals(name)));
        FrontendBus.Frontend found =
                list().stream().filter(f -> f.name().equals(name)).findFirst().orElseThrow();
        found.connected().get(10, TimeUnit.SECONDS);
        return found;
    }

    private List<FrontendBus.Frontend> list() throws Exception {
        return frontends.frontends().get(10, TimeUnit.SECONDS);
    }

    private void detach(int device) throws Exception {
        toolstack.unplug(paths(device));
        awaitState(paths(device), "6");
        toolstack.removeDevice(paths(device));
        await().atMost(10, TimeUnit.SECONDS).until(() -> list().isEmpty());
    }

    /// On threads of their own the first note could be the last.
    @Test
    void whatIsNotedLastIsWhatStandsThere() throws Exception {
        ArrayDeque<Runnable> tasks = new ArrayDeque<>();
        BackendHost host =
                new BackendHost(
                        hypervisor.driverDomain(DomId.ZERO),
                        control,
                        loops::next,
                        tasks::addFirst,
                        Timers.system(),
                        meters,
                        HostServices.NONE);
        BackendContext context = new BackendContext(host, paths(0));
        control.write(paths(0).backend() + "/state", "1");
        context.note("mood", "good");
        context.note("mood", "better");
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
        assertEquals("better", control.read(paths(0).backend() + "/mood").orElse(""));
        context.end();
    }

    @Test
    void aDeviceThatIsWrittenIsConnectedAndWorks() throws Exception {
        FrontendBus.Frontend echo = attach(0);
        List<CompletableFuture<Long>> answers = new ArrayList<>();
        for (long i = 0; i < 2000; i++) { // more than the ring and the queue hold at once
            answers.add(EchoDevice.ask(echo, i));
            if (i % 500 == 499) {
                answers.getLast().get(10, TimeUnit.SECONDS);
            }
        }
        for (int i = 0; i < answers.size(); i++) {
            assertEquals(i + 1, answers.get(i).get(10, TimeUnit.SECONDS));
        }
        double requests =
                meters.get("splitring.echo.requests").tag("side", "backend").counter().count();
        assertEquals(2000, requests);
    }

    @Test
    void aDeviceIsPluggedUnpluggedAndPluggedAgainUnderTheSameNumber() throws Exception {
        for (int round = 0; round < 3; round++) {
            FrontendBus.Frontend echo = attach(7);
            assertEquals(round + 1, EchoDevice.ask(echo, round).get());
            detach(7);
            ExecutionException failed =
                    org.junit.jupiter.api.Assertions.assertThrows(
                            ExecutionException.class, () -> EchoDevice.ask(echo, 1).get());
            assertTrue(failed.getCause() instanceof DeviceException, failed::toString);
        }
    }

    @Test
    void aDeviceThatTheDriverRefusesSaysWhyAndOthersGoOn() throws Exception {
        FrontendBus.Frontend good = attach(0);
        toolstack.createDevice(paths(1), Map.of(), Map.of("mood", "bad"));
        toolstack.createDevice(paths(2), Map.of(), Map.of("mood", "broken"));
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> control.read(paths(2).backendError()).isPresent());
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> control.read(paths(1).backendError()).isPresent());
        assertEquals(
                "mood \"bad\" is not to be had: leave it out",
                control.read(paths(1).backendError()).orElseThrow());
        assertEquals(
                "the driver failed: java.lang.IllegalStateException: a bug",
                control.read(paths(2).backendError()).orElseThrow());
        assertEquals(42, EchoDevice.ask(good, 41).get());
    }

    @Test
    void senselessKeysCloseTheirOwnDeviceWithAnErrorThatNamesThem() throws Exception {
        FrontendBus.Frontend good = attach(0);
        DomId other = new DomId(4); // a guest with software of its own
        GuestDomain otherGuest = hypervisor.createGuest(other, 1 << 20, DomainLimits.DEFAULT);
        tree.introduce(other);
        toolstack.createDomain(other, "other");
        DevicePaths bad = new DevicePaths(EchoDevice.CLASS, other, DomId.ZERO, 0);
        try (Store store = tree.connection(other, DeviceEnd.VIRTUAL_THREADS);
                BackendBus bus =
                        BackendBus.open(
                                new BackendHost(
                                        hypervisor.driverDomain(DomId.ZERO),
                                        control,
                                        loops::next,
                                        meters),
                                other,
                                classes,
                                BackendOptions.DEFAULT)) {
            for (Map<String, String> keys :
                    List.of(
                            Map.of("ring-page-order", "31", "event-channel", "1"),
                            Map.of("ring-ref", "1junk", "event-channel", "1"),
                            Map.of("multi-queue-num-queues", "2147483648", "event-channel", "1"),
                            Map.of("ring-ref", "8", "event-channel", "2147483648"))) {
                senseless(store, bad, keys);
                assertEquals(2, EchoDevice.ask(good, 1).get());
            }
            bus.guestGone().get(10, TimeUnit.SECONDS);
        }
        otherGuest.close();
        assertEquals("4", control.read(paths(0).backend() + "/state").orElseThrow());
    }

    /// A device whose frontend writes these keys is closed, and its error node names one of them.
    private void senseless(Store store, DevicePaths bad, Map<String, String> keys)
            throws Exception {
        toolstack.createDevice(bad, Map.of(), Map.of());
        awaitState(bad, "2");
        store.transaction(
                transaction -> {
                    for (Map.Entry<String, String> key : keys.entrySet()) {
                        transaction.write(bad.frontend() + "/" + key.getKey(), key.getValue());
                    }
                    transaction.write(bad.frontend() + "/state", "3");
                });
        awaitState(bad, "5");
        String message = control.read(bad.backendError()).orElseThrow();
        assertTrue(
                keys.keySet().stream().anyMatch(key -> message.contains("/" + key + " is \"")),
                message);
        toolstack.removeDevice(bad);
        await().atMost(10, TimeUnit.SECONDS)
                .until(
                        () ->
                                meters.find("splitring.echo.requests").tag("guest", "4").counter()
                                        == null);
    }

    private void awaitState(DevicePaths paths, String state) {
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> control.read(paths.backend() + "/state").orElse("").equals(state));
    }
}
