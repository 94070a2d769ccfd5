package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.xenbus.store.StoreException;

/// Every pair of a machine's state and what the peer, or the toolstack, may write then. The peer is
/// the test's bare hands.
@Timeout(20)
class MachineTableTest extends MachineRig {
    private static final List<String> NO_STATES =
            List.of("0", "9", "-1", "", "4 ", " 4", "4294967300", "04", "junk", "\0");

    /// A backend in that state.
    private BackendMachine backendIn(int state) throws StoreException {
        BackendMachine machine =
                BackendMachine.create(control, PATHS, back, BackendOptions.DEFAULT, sim, sim);
        sim.run();
        if (state == 6) {
            front("6");
        } else if (state != 2) {
            front("4");
            if (state == 5) {
                back.breakNow("index");
            } else if (state >= 7) {
                machine.reconfigure();
            }
            sim.run();
            if (state == 8) {
                front("7");
            }
        }
        assertEquals(Integer.toString(state), backState());
        return machine;
    }

    private void assertBackendSound(BackendMachine machine) throws StoreException {
        boolean serving = List.of("4", "7", "8").contains(backState());
        assertEquals(serving ? 1 : 0, back.open, "connections in state " + backState());
        assertEquals(backState(), Integer.toString(machine.state().number()));
        front("6");
        assertEquals("6", backState());
        assertEquals(0, back.open);
        front("1");
        assertEquals("2", backState());
        front("3");
        assertEquals("4", backState());
    }

    /// Own state, and what it is after the frontend has written 1 to 8.
    @ParameterizedTest
    @CsvSource({
        "2, 22445622",
        "4, 24445644",
        "5, 25555655",
        "6, 26666666",
        "7, 27775687",
        "8, 28845688"
    })
    void h126_whateverTheFrontendWrites(int state, String after) throws Exception {
        for (int input = 1; input <= 8; input++) {
            BackendMachine machine = backendIn(state);
            front(Integer.toString(input));
            String wanted = after.substring(input - 1, input);
            assertEquals(wanted, backState(), "state " + state + ", frontend " + input);
            assertBackendSound(machine);
            anew(machine);
        }
    }

    private void anew(BackendMachine machine) throws StoreException {
        CompletableFuture<Void> gone = machine.removeAsync();
        sim.run();
        assertTrue(gone.isDone());
        assertEquals(0, back.open);
        toolstack.removeDevice(PATHS);
        toolstack.createDevice(PATHS, Map.of(), Map.of());
        sim.run();
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4, 5, 6, 7, 8})
    void h126_whatIsNotAStateChangesNothing(int state) throws Exception {
        BackendMachine machine = backendIn(state);
        long odd = machine.oddStates();
        int connections = back.open;
        for (String nonsense : NO_STATES) {
            front(nonsense);
            assertEquals(Integer.toString(state), backState(), "\"" + nonsense + "\"");
            assertEquals(connections, back.open);
        }
        assertTrue(machine.oddStates() >= odd + NO_STATES.size());
        assertBackendSound(machine);
    }

    @ParameterizedTest
    @CsvSource({"2, 2", "4, 6", "5, 5", "6, 6", "7, 6", "8, 6"})
    void h126_theFrontendsFolderIsDeletedInEveryState(int state, String after) throws Exception {
        BackendMachine machine = backendIn(state);
        control.remove(PATHS.frontend());
        sim.run();
        assertEquals(after, backState());
        assertEquals(0, back.open);
        assertFalse(machine.whenEnded().isDone());
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4, 5, 6, 7, 8})
    void h126_theBackendsFolderIsDeletedInEveryState(int state) throws Exception {
        BackendMachine machine = backendIn(state);
        toolstack.removeDevice(PATHS);
        sim.run();
        assertTrue(machine.whenEnded().isDone());
        assertEquals(0, back.open);
        assertEquals("gone", backState());
        assertEquals(1, back.ends);
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4, 5, 6, 7, 8})
    void unpluggedInEveryState(int state) throws Exception {
        BackendMachine machine = backendIn(state);
        boolean serving = back.open == 1;
        toolstack.unplug(PATHS);
        sim.run();
        assertEquals(serving ? "5" : "6", backState());
        assertEquals(!serving, machine.whenEnded().isDone());
        front("6");
        assertEquals("6", backState());
        assertTrue(machine.whenEnded().isDone());
        assertEquals(0, back.open);
        assertEquals(1, back.ends);
    }

    @Test
    void aFrontendThatIgnoresTheUnplugIsCutOff() throws Exception {
        BackendMachine machine = backendIn(4);
        toolstack.unplug(PATHS);
        sim.pass(Duration.ofMillis(9_999));
        assertFalse(machine.whenEnded().isDone());
        sim.pass(Duration.ofMillis(1));
        assertTrue(machine.whenEnded().isDone());
        assertEquals("6", backState());
        assertEquals(0, back.open);
    }

    @Test
    void aWindowsGuestClosesBeforeItConnects() throws Exception {
        backendIn(2);
        front("5");
        assertEquals("5", backState());
        front("6");
        assertEquals("6", backState());
        front("1");
        assertEquals("2", backState());
        front("4");
        assertEquals("4", backState());
    }

    @Test
    void h103_aStormOfStatesIsOneLook() throws Exception {
        backendIn(4);
        for (int i = 0; i < 10_000; i++) {
            guestStore.write(PATHS.frontend() + "/state", i % 2 == 0 ? "5" : "4");
            assertTrue(sim.tasks.size() < 10, "tasks " + sim.tasks.size());
        }
        sim.run();
        assertEquals("4", backState());
    }

    @Test
    void aRingOfAPredecessorIsNotTouched() throws Exception {
        control.write(PATHS.backend() + "/state", "4"); // its process has died
        front("4");
        BackendMachine.create(control, PATHS, back, BackendOptions.DEFAULT, sim, sim);
        sim.run();
        assertEquals("6", backState());
        assertEquals(List.of(), back.story);
        front("1");
        front("3");
        assertEquals("4", backState());
    }

    @Test
    void aDeviceThatHasChangedIsPublishedAgain() throws Exception {
        BackendMachine machine = backendIn(4);
        back.size = "4096";
        machine.republish();
        sim.run();
        assertEquals(Optional.of("4096"), control.read(PATHS.backend() + "/size"));
        back.size = "8192";
        machine.reconfigure();
        sim.pass(Duration.ofSeconds(10)); // this frontend knows nothing of it
        assertEquals("4", backState());
        assertEquals(Optional.of("8192"), control.read(PATHS.backend() + "/size"));
    }

    // The frontend.

    /// Own state, and what it is after the backend has written 1 to 8.
    @ParameterizedTest
    @CsvSource({"1, 13111111", "3, 33346633", "4, 13146174"})
    void h126_whateverTheBackendWrites(int state, String after) throws Exception {
        for (int input = 1; input <= 8; input++) {
            FrontendMachine machine = frontendIn(state);
            back("state", Integer.toString(input));
            String wanted = after.substring(input - 1, input);
            assertEquals(wanted, frontState(), "state " + state + ", backend " + input);
            CompletableFuture<Void> closed = machine.closeAsync();
            sim.pass(Duration.ofMinutes(2));
            assertTrue(closed.isDone());
            assertEquals(0, front.open);
            assertTrue(sim.noTimers());
            toolstack.removeDevice(PATHS);
            toolstack.createDevice(PATHS, Map.of(), Map.of());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 4})
    void h126_nonsenseOfTheBackendChangesNothing(int state) throws Exception {
        frontendIn(state);
        for (String nonsense : NO_STATES) {
            back("state", nonsense);
            assertEquals(Integer.toString(state), frontState(), "\"" + nonsense + "\"");
        }
        assertEquals(0, front.ends);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 4})
    void aDeviceThatIsRemovedByForceEndsAtOnce(int state) throws Exception {
        FrontendMachine machine = frontendIn(state);
        toolstack.removeDevice(PATHS);
        sim.run();
        assertTrue(machine.whenEnded().isDone());
        assertEquals(0, front.open);
        assertEquals(1, front.ends);
        assertTrue(sim.noTimers());
        assertEquals("gone", frontState());
    }

    @Test
    void anUnplugDrainsAndEnds() throws Exception {
        FrontendMachine machine = frontendIn(4);
        toolstack.unplug(PATHS);
        sim.run();
        assertEquals("6", frontState());
        back("state", "6");
        assertTrue(machine.whenEnded().isDone());
        assertTrue(front.story.contains("drain"), front.story.toString());
    }

    @Test
    void aBackendIdMayBeWrittenLate() throws Exception {
        control.remove(PATHS.frontend() + "/backend-id");
        FrontendMachine machine =
                FrontendMachine.create(
                        guest, guestStore, "test", 3, front, FrontendOptions.DEFAULT, sim, sim);
        CompletableFuture<Void> connected = machine.connectAsync();
        sim.pass(Duration.ofSeconds(9));
        assertFalse(connected.isDone());
        control.write(PATHS.frontend() + "/backend-id", "0");
        back("feature-test", "1");
        back("size", "1");
        back("state", "2");
        back("state", "4");
        assertTrue(connected.isDone());
        assertEquals("4", frontState());
    }

    @Test
    void aBackendThatStillServesSomebodyIsClosedFirst() throws Exception {
        back("state", "4"); // and does not react to state 1
        FrontendMachine machine =
                FrontendMachine.create(
                        guest, guestStore, "test", 3, front, FrontendOptions.DEFAULT, sim, sim);
        CompletableFuture<Void> connected = machine.connectAsync();
        sim.pass(Duration.ofSeconds(2));
        assertEquals("5", frontState());
        back("state", "5");
        assertEquals("6", frontState());
        back("state", "6");
        assertEquals("1", frontState());
        back("feature-test", "1");
        back("size", "1");
        back("state", "2");
        back("state", "4");
        assertTrue(connected.isDone());
    }
}
