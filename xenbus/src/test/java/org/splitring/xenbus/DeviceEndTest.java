package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DeviceEnd.Side;
import org.splitring.xenbus.store.Permission;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// Both ends in one thread, with a clock that the test holds.
@Timeout(20)
class DeviceEndTest {
    private static final DomId ONE = new DomId(1);
    private static final DevicePaths PATHS = DevicePaths.vbd(ONE, DomId.ZERO, 51712);

    private final OneThread simulation = new OneThread();
    private final StoreTree tree = new StoreTree();
    private final Store control = tree.connection(DomId.ZERO, simulation.tasks::add);
    private final Store guest = tree.connection(ONE, simulation.tasks::add);
    private final Toolstack toolstack = new Toolstack(control);

    @BeforeEach
    void makeDevice() throws StoreException {
        toolstack.createDomain(ONE, "web");
        toolstack.createVbd(PATHS, "xvda", false, "/tmp/image");
    }

    private DeviceEnd frontend() throws StoreException {
        return DeviceEnd.open(guest, Side.FRONTEND, PATHS, simulation.tasks::add, simulation);
    }

    private DeviceEnd backend() throws StoreException {
        return DeviceEnd.open(control, Side.BACKEND, PATHS, simulation.tasks::add, simulation);
    }

    @Test
    void theHandshakeOfABlockDevice() throws Exception {
        List<String> story = new ArrayList<>();
        DeviceEnd back = backend();
        DeviceEnd front = frontend();
        back.onPeerState(
                state -> {
                    story.add("back sees " + state);
                    if (state == XenbusState.INITIALISED && back.state() != XenbusState.CONNECTED) {
                        unchecked(
                                () -> {
                                    RingKeys ring = RingKeys.read(back.peerKeys(), 4);
                                    assertEquals(List.of(8, 9), ring.grefs());
                                    back.publish(
                                            t -> t.write(back.folder() + "/sectors", "2048"),
                                            XenbusState.CONNECTED);
                                });
                    }
                });
        assertTrue(back.switchTo(XenbusState.INIT_WAIT));
        front.onPeerState(
                state -> {
                    story.add("front sees " + state);
                    unchecked(
                            () -> {
                                if (state == XenbusState.INIT_WAIT) {
                                    RingKeys ring = new RingKeys(List.of(8, 9), 3, RingKeys.X86_64);
                                    front.publish(
                                            t -> ring.write(t, front.folder()),
                                            XenbusState.INITIALISED);
                                } else if (state == XenbusState.CONNECTED
                                        && front.state() != XenbusState.CONNECTED) {
                                    assertEquals(
                                            2048, front.peerKeys().number("sectors", 1, 1 << 20));
                                    front.switchTo(XenbusState.CONNECTED);
                                }
                            });
                });
        simulation.run();
        assertEquals(XenbusState.CONNECTED, front.peerState());
        assertEquals(XenbusState.CONNECTED, back.peerState());
        assertEquals("back sees 4 (Connected)", story.getLast());
        assertEquals(
                List.of(
                        new Toolstack.DeviceStatus(
                                PATHS, XenbusState.CONNECTED, XenbusState.CONNECTED)),
                toolstack.devices(DomId.ZERO));
        front.close();
        back.close();
    }

    @Test
    void timeOutSaysWhichSideWaitsForWhat() throws Exception {
        DeviceEnd back = backend();
        CompletableFuture<XenbusState> connected =
                back.whenPeer(
                        EnumSet.of(XenbusState.INITIALISED, XenbusState.CONNECTED),
                        Duration.ofSeconds(10));
        simulation.run();
        simulation.pass(Duration.ofMillis(9_999));
        assertFalse(connected.isDone());
        simulation.pass(Duration.ofMillis(1));
        assertEquals(
                "backend /local/domain/0/backend/vbd/1/51712 waited 10 s for frontend state"
                        + " 3 (Initialised) or 4 (Connected), it is 1 (Initialising)",
                messageOf(connected));
        back.close();
    }

    @Test
    void aWaitEndsWhenTheStateIsThereAlready() throws Exception {
        DeviceEnd front = frontend();
        control.write(PATHS.backend() + "/state", "2");
        CompletableFuture<XenbusState> ready =
                front.whenPeer(Set.of(XenbusState.INIT_WAIT), Duration.ofSeconds(1));
        simulation.run();
        assertEquals(XenbusState.INIT_WAIT, ready.join());
        assertTrue(simulation.noTimers());
        front.close();
    }

    @Test
    void closingEndsWaits() throws Exception {
        DeviceEnd front = frontend();
        CompletableFuture<XenbusState> ready =
                front.whenPeer(Set.of(XenbusState.INIT_WAIT), Duration.ofSeconds(1));
        front.close();
        simulation.run();
        assertEquals("frontend /local/domain/1/device/vbd/51712 was closed", messageOf(ready));
    }

    @Test
    void aStateWrittenAgainIsToldAgain() throws Exception {
        DeviceEnd front = frontend();
        DeviceEnd back = backend();
        back.switchTo(XenbusState.CONNECTED);
        simulation.run();
        List<XenbusState> seen = new ArrayList<>();
        front.onPeerState(seen::add);
        simulation.run();
        back.switchTo(XenbusState.CONNECTED);
        simulation.run();
        assertEquals(List.of(XenbusState.CONNECTED, XenbusState.CONNECTED), seen);
        front.close();
        back.close();
    }

    @Test
    void aFolderThatIsGoneIsUnknownAndNotBroughtBack() throws Exception {
        DeviceEnd front = frontend();
        DeviceEnd back = backend();
        simulation.run();
        toolstack.removeDevice(PATHS);
        simulation.run();
        assertEquals(XenbusState.UNKNOWN, front.peerState());
        assertEquals(XenbusState.UNKNOWN, back.peerState());
        assertFalse(front.switchTo(XenbusState.CLOSED));
        assertFalse(back.switchTo(XenbusState.CLOSED));
        assertEquals(Optional.empty(), control.read(PATHS.frontend()));
        assertEquals(Optional.empty(), control.read(PATHS.backend()));
        front.close();
        back.close();
    }

    @Test
    void unplugIsOneTransaction() throws Exception {
        List<String> seen = new ArrayList<>();
        control.watch(
                PATHS.backend() + "/state",
                path -> {
                    try {
                        seen.add(
                                control.read(PATHS.backend() + "/online").orElse("")
                                        + control.read(PATHS.backend() + "/state").orElse(""));
                    } catch (StoreException e) {
                        throw new AssertionError(e);
                    }
                });
        simulation.run();
        toolstack.unplug(PATHS);
        simulation.run();
        assertEquals(List.of("11", "05"), seen);
    }

    @Test
    void aDeviceIsNotMadeTwice() {
        StoreException e =
                assertThrows(
                        StoreException.class,
                        () -> toolstack.createVbd(PATHS, "xvda", false, "/other"));
        assertEquals(StoreError.EEXIST, e.error());
    }

    @Test
    void rightsKeepGuestsApart() throws Exception {
        Store other = tree.connection(new DomId(2), simulation.tasks::add);
        toolstack.createDomain(new DomId(2), "db");
        assertEquals(Optional.of("1"), guest.read(PATHS.backend() + "/state"));
        assertThrows(StoreException.class, () -> guest.write(PATHS.backend() + "/state", "4"));
        assertThrows(StoreException.class, () -> guest.write("/local/domain/1/name", "root"));
        assertThrows(StoreException.class, () -> other.read(PATHS.frontend() + "/state"));
        assertThrows(StoreException.class, () -> other.read(PATHS.backend() + "/state"));
        assertEquals(
                List.of(Permission.none(ONE), Permission.read(DomId.ZERO)),
                control.permissions(PATHS.frontend() + "/state"));
    }

    @Test
    void theFrontendFindsItsBackendByItsFolder() throws Exception {
        assertEquals(Optional.of(PATHS), DevicePaths.find(guest, "vbd", 51712));
        assertEquals(Optional.empty(), DevicePaths.find(guest, "vbd", 51728));
        control.write(PATHS.frontend() + "/backend", "/local/domain/0/backend/qdisk/1/51712");
        assertEquals("qdisk", DevicePaths.find(guest, "vbd", 51712).orElseThrow().backendType());
        control.write(PATHS.frontend() + "/backend", "/local/domain/0/backend/vbd/2/51712");
        assertThrows(KeyException.class, () -> DevicePaths.find(guest, "vbd", 51712));
        control.remove(PATHS.frontend() + "/backend-id");
        assertEquals(Optional.empty(), DevicePaths.find(guest, "vbd", 51712));
    }

    @Test
    void awaitBlocksAVirtualThreadOnly() throws Exception {
        Store front = tree.connection(ONE, Runnable::run);
        Store back = tree.connection(DomId.ZERO, Runnable::run);
        try (DeviceEnd frontEnd = DeviceEnd.open(front, Side.FRONTEND, PATHS);
                DeviceEnd backEnd = DeviceEnd.open(back, Side.BACKEND, PATHS)) {
            CompletableFuture<XenbusState> seen = new CompletableFuture<>();
            Thread waiter =
                    Thread.startVirtualThread(
                            () ->
                                    unchecked(
                                            () ->
                                                    seen.complete(
                                                            frontEnd.await(
                                                                    Set.of(XenbusState.INIT_WAIT),
                                                                    Duration.ofSeconds(10)))));
            backEnd.switchTo(XenbusState.INIT_WAIT);
            assertEquals(XenbusState.INIT_WAIT, seen.get(10, TimeUnit.SECONDS));
            waiter.join();
            assertThrows(
                    HandshakeException.class,
                    () -> frontEnd.await(Set.of(XenbusState.CONNECTED), Duration.ofMillis(20)));
        }
    }

    private static String messageOf(CompletableFuture<?> failed) {
        CompletionException e = assertThrows(CompletionException.class, failed::join);
        return Objects.requireNonNull(e.getCause()).getMessage() + "";
    }

    private interface Step {
        void run() throws Exception;
    }

    private static void unchecked(Step step) {
        try {
            step.run();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }
}
