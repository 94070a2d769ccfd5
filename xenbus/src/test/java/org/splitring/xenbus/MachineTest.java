package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// Both machines of a device in one thread, with a clock that the test holds.
@Timeout(20)
class MachineTest {
    private static final DomId ONE = new DomId(1);
    private static final DevicePaths PATHS = new DevicePaths("test", ONE, DomId.ZERO, 3);

    private final OneThread sim = new OneThread();
    private final StoreTree tree = new StoreTree();
    private final Store control = tree.connection(DomId.ZERO, sim);
    private final Store guestStore = tree.connection(ONE, sim);
    private final Toolstack toolstack = new Toolstack(control);
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final GuestDomain guest = hypervisor.createGuest(ONE, 1 << 20, DomainLimits.DEFAULT);
    private final RecordingBackend back = new RecordingBackend();
    private final RecordingFrontend front = new RecordingFrontend();

    @BeforeEach
    void makeDevice() throws StoreException {
        toolstack.createDomain(ONE, "web");
        toolstack.createDevice(PATHS, java.util.Map.of(), java.util.Map.of());
    }

    @AfterEach
    void nothingIsLeft() {
        sim.run();
        guest.close();
    }

    private BackendMachine backend() throws StoreException {
        return backend(BackendOptions.DEFAULT);
    }

    private BackendMachine backend(BackendOptions options) throws StoreException {
        return BackendMachine.create(control, PATHS, back, options, sim, sim);
    }

    private FrontendMachine frontend() {
        return FrontendMachine.create(
                guest, guestStore, "test", 3, front, FrontendOptions.DEFAULT, sim, sim);
    }

    private void states(XenbusState frontend, XenbusState backend) throws StoreException {
        assertEquals(Integer.toString(frontend.number()), node(PATHS.frontend() + "/state"));
        assertEquals(Integer.toString(backend.number()), node(PATHS.backend() + "/state"));
    }

    private String node(String path) throws StoreException {
        return control.read(path).orElse("none");
    }

    private String look() {
        try {
            return node(PATHS.frontend() + "/state") + " " + node(PATHS.frontend() + "/ring-ref");
        } catch (StoreException e) {
            throw new AssertionError(e);
        }
    }

    private static String messageOf(CompletableFuture<?> failed) {
        CompletionException e = assertThrows(CompletionException.class, failed::join);
        return Objects.requireNonNull(e.getCause()).getMessage() + "";
    }

    @Test
    void bothConnectAndTheFrontendCloses() throws Exception {
        BackendMachine backend = backend();
        FrontendMachine frontend = frontend();
        CompletableFuture<Void> connected = frontend.connectAsync();
        sim.run();
        connected.join();
        states(XenbusState.CONNECTED, XenbusState.CONNECTED);
        CompletableFuture<Void> closed = frontend.closeAsync();
        sim.run();
        closed.join();
        states(XenbusState.CLOSED, XenbusState.CLOSED);
        assertEquals(List.of("connect 1", "close"), back.story);
        assertEquals(List.of("prepare 1", "connected 2048", "close", "ended: closed"), front.story);
        CompletableFuture<Void> ended = backend.closeAsync();
        sim.run();
        ended.join();
        assertEquals(1, back.ends);
        assertTrue(sim.noTimers());
    }

    /// Linux's netback waits for state 4 and ignores 3; its netfront goes there at once.
    @Test
    void aFrontendOfThatKindGoesToConnectedWithItsRings() throws Exception {
        front.publishedAs = XenbusState.CONNECTED;
        List<String> said = new ArrayList<>();
        control.watch(PATHS.frontend() + "/state", path -> said.add(look()));
        CompletableFuture<Void> connected = frontend().connectAsync();
        control.write(PATHS.backend() + "/feature-test", "1");
        control.write(PATHS.backend() + "/state", "2");
        sim.run();
        states(XenbusState.CONNECTED, XenbusState.INIT_WAIT);
        assertEquals("4 1", said.getLast());
        assertFalse(connected.isDone(), "the backend has no rings yet");
        int before = said.size();
        control.write(PATHS.backend() + "/size", "2048");
        control.write(PATHS.backend() + "/state", "4");
        sim.run();
        connected.join();
        assertEquals(before, said.size(), "4 is said once");
        assertFalse(said.stream().anyMatch(each -> each.startsWith("3")), said::toString);
        assertEquals(List.of("prepare 1", "connected 2048"), front.story);
        control.write(PATHS.backend() + "/state", "5");
        sim.run();
        control.write(PATHS.backend() + "/state", "6");
        sim.run();
        assertEquals(0, front.open, "the connection is closed");
    }

    @Test
    void bothMachinesConnectAlsoWithoutInitialised() throws Exception {
        front.publishedAs = XenbusState.CONNECTED;
        BackendMachine backend = backend();
        CompletableFuture<Void> connected = frontend().connectAsync();
        sim.run();
        connected.join();
        states(XenbusState.CONNECTED, XenbusState.CONNECTED);
        assertEquals(List.of("connect 1"), back.story);
        var ended = backend.closeAsync();
        sim.run();
        assertFalse(ended.isCompletedExceptionally());
    }

    @Test
    void theFrontendMayComeFirstAndTheBackendLate() throws Exception {
        CompletableFuture<Void> connected = frontend().connectAsync();
        sim.pass(Duration.ofSeconds(9));
        assertFalse(connected.isDone());
        backend();
        sim.run();
        connected.join();
        states(XenbusState.CONNECTED, XenbusState.CONNECTED);
    }

    @Test
    void aBackendThatIsMissingIsSaidToBe() throws Exception {
        CompletableFuture<Void> connected = frontend().connectAsync();
        sim.pass(Duration.ofSeconds(10));
        assertEquals(
                "frontend /local/domain/1/device/test/3 waited 10 s for backend state"
                        + " 2 (InitWait), it is 1 (Initialising)",
                messageOf(connected));
        assertEquals(1, front.ends);
        assertEquals(Optional.of("6"), control.read(PATHS.frontend() + "/state"));
    }

    @Test
    void aBackendThatClosesAndComesAgainIsFoundAgain() throws Exception {
        BackendMachine first = backend();
        FrontendMachine frontend = frontend();
        CompletableFuture<Void> connected = frontend.connectAsync();
        sim.run();
        connected.join();
        CompletableFuture<Void> closed = first.closeAsync();
        sim.run();
        closed.join();
        assertEquals(XenbusState.INITIALISING, frontend.state());
        sim.pass(Duration.ofSeconds(30));
        backend();
        sim.run();
        states(XenbusState.CONNECTED, XenbusState.CONNECTED);
        assertEquals(
                List.of(
                        "prepare 1",
                        "connected 2048",
                        "lost",
                        "pause",
                        "close",
                        "prepare 2",
                        "connected 2048"),
                front.story);
        assertTrue(sim.noTimers());
    }

    @Test
    void aBackendThatStaysAwayIsGivenUp() throws Exception {
        BackendMachine first = backend();
        CompletableFuture<Void> connected = frontend().connectAsync();
        sim.run();
        connected.join();
        CompletableFuture<Void> gone = first.removeAsync();
        sim.pass(Duration.ofSeconds(59));
        assertTrue(gone.isDone());
        assertEquals(0, front.ends);
        sim.pass(Duration.ofSeconds(1));
        assertEquals(
                "ended: frontend /local/domain/1/device/test/3 waited 60 s for backend state"
                        + " 2 (InitWait), it is 6 (Closed)",
                front.story.getLast());
        assertTrue(sim.noTimers());
    }

    @Test
    void aSuspendedDeviceIsResumedOverAnotherStore() throws Exception {
        BackendMachine first = backend();
        FrontendMachine frontend = frontend();
        CompletableFuture<Void> connected = frontend.connectAsync();
        sim.run();
        connected.join();
        frontend.suspend();
        sim.run();
        assertEquals(0, front.open);
        CompletableFuture<Void> gone = first.removeAsync();
        sim.run();
        gone.join();
        StoreTree other = new StoreTree();
        Store otherControl = other.connection(DomId.ZERO, sim);
        Toolstack otherTools = new Toolstack(otherControl);
        CompletableFuture<Void> again = frontend.resume(guest, other.connection(ONE, sim));
        sim.pass(Duration.ofSeconds(3));
        assertFalse(again.isDone());
        otherTools.createDomain(ONE, "web");
        otherTools.createDevice(PATHS, java.util.Map.of(), java.util.Map.of());
        BackendMachine.create(otherControl, PATHS, back, BackendOptions.DEFAULT, sim, sim);
        sim.pass(Duration.ofSeconds(1));
        again.join();
        assertEquals(Optional.of("4"), otherControl.read(PATHS.frontend() + "/state"));
    }

    @Test
    void aDeviceAtRestHasClosedInOrderAndWaitsWithoutABound() throws Exception {
        BackendMachine backend = backend();
        FrontendMachine frontend = frontend();
        CompletableFuture<Void> connected = frontend.connectAsync();
        sim.run();
        connected.join();
        CompletableFuture<Void> resting = frontend.rest();
        sim.run();
        resting.join();
        states(XenbusState.CLOSED, XenbusState.CLOSED);
        assertEquals(List.of("prepare 1", "connected 2048", "lost", "pause", "close"), front.story);
        assertTrue(sim.noTimers(), "nothing is waited for");
        sim.pass(Duration.ofDays(7));
        assertEquals(0, front.ends);

        CompletableFuture<Void> again = frontend.resume(guest, guestStore);
        sim.run();
        again.join();
        states(XenbusState.CONNECTED, XenbusState.CONNECTED);
        assertEquals(
                List.of("connect 1", "close", "connect 2", "close", "ended"), closeBoth(backend));
    }

    private List<String> closeBoth(BackendMachine backend) {
        CompletableFuture<Void> closed = backend.closeAsync();
        sim.run();
        sim.pass(Duration.ofMinutes(2));
        closed.join();
        return back.story;
    }

    @Test
    void aDeviceThatNeverConnectedRestsAndConnectsLater() throws Exception {
        FrontendMachine frontend = frontend();
        CompletableFuture<Void> connected = frontend.connectAsync();
        sim.run();
        CompletableFuture<Void> resting = frontend.rest();
        sim.run();
        resting.join();
        assertTrue(sim.noTimers());
        BackendMachine backend = backend();
        CompletableFuture<Void> again = frontend.resume(guest, guestStore);
        sim.run();
        again.join();
        connected.join();
        assertEquals(List.of("connect 1", "close", "ended"), closeBoth(backend));
    }

    @Test
    void aDeviceThatIsTakenAwayWhileItGoesToRestHasEnded() throws Exception {
        backend();
        FrontendMachine frontend = frontend();
        var ignored = frontend.connectAsync();
        sim.run();
        front.closesLate = true;
        CompletableFuture<Void> resting = frontend.rest();
        sim.run();
        assertFalse(resting.isDone());
        var closed = frontend.closeAsync();
        Objects.requireNonNull(front.closeNow).run();
        sim.run();
        resting.join();
        closed.join();
        assertEquals(1, front.ends);
    }

    @Test
    void aFrontendThatSaysNonsenseIsRefusedAndTheKeyIsNamed() throws Exception {
        backend();
        sim.run();
        guestStore.write(PATHS.frontend() + "/ring-ref", "1junk");
        guestStore.write(PATHS.frontend() + "/state", "3");
        sim.run();
        states(XenbusState.INITIALISED, XenbusState.CLOSING);
        assertEquals(
                "key /local/domain/1/device/test/3/ring-ref is \"1junk\": not a whole number",
                node(PATHS.backendError()));
    }
}
