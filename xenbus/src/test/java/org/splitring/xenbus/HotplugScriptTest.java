package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.xenbus.store.StoreException;

/// What a backend shows of itself while the toolstack's script is at work.
@Timeout(20)
class HotplugScriptTest extends MachineRig {
    private BackendMachine backend() throws StoreException {
        BackendMachine machine =
                BackendMachine.create(control, PATHS, back, BackendOptions.DEFAULT, sim, sim);
        sim.run();
        return machine;
    }

    @Test
    void connectedIsWithheldUntilTheHotplugScriptIsDone() throws Exception {
        BackendOptions hotplug = BackendOptions.DEFAULT.withHotplugDeadline(Duration.ofSeconds(40));
        BackendMachine.create(control, PATHS, back, hotplug, sim, sim);
        front("4");
        assertEquals("2", backState());
        sim.pass(Duration.ofSeconds(39));
        assertEquals("2", backState());
        back("hotplug-status", "connected");
        assertEquals("4", backState());
        assertTrue(sim.noTimers());
    }

    @ParameterizedTest
    @CsvSource({
        "busy, hotplug-status is busy: image in use",
        "error, hotplug-status is error: image in use",
        "started, 'backend /local/domain/0/backend/test/1/3 waited 40 s for the toolstack''s"
                + " hotplug-status \"connected\", it is started'"
    })
    void aHotplugScriptThatFailsIsNamed(String status, String message) throws Exception {
        BackendOptions hotplug = BackendOptions.DEFAULT.withHotplugDeadline(Duration.ofSeconds(40));
        BackendMachine.create(control, PATHS, back, hotplug, sim, sim);
        front("4");
        back("hotplug-error", "image in use");
        back("hotplug-status", status);
        sim.pass(Duration.ofSeconds(40));
        assertEquals("5", backState());
        assertEquals(Optional.of(message), control.read(PATHS.backendError()));
        assertEquals(0, back.open);
    }

    @Test
    void theNodeOfTheToolstackIsEnoughToWaitForItsScript() throws Exception {
        back("hotplug-status", ""); // as libxl writes it for each vif
        backend();
        front("4");
        assertEquals("2", backState());
        back("hotplug-status", "connected");
        assertEquals("4", backState());
        assertTrue(sim.noTimers());
    }

    @Test
    void aScriptThatNeverComesIsWaitedForAsLongAsLibxlDoes() throws Exception {
        back("hotplug-status", "");
        backend();
        front("4");
        sim.pass(Duration.ofMillis(39_999));
        assertEquals("2", backState());
        sim.pass(Duration.ofMillis(1));
        assertEquals("5", backState());
        assertEquals(0, back.open);
        assertEquals(
                Optional.of(
                        "backend /local/domain/0/backend/test/1/3 waited 40 s for the toolstack's"
                                + " hotplug-status \"connected\", it is empty"),
                control.read(PATHS.backendError()));
    }

    @Test
    void onlyTheStateIsWithheld() throws Exception {
        back("hotplug-status", "");
        backend();
        front("4");
        assertEquals(List.of("connect 7"), back.story); // the ring, as Linux's backends do
        assertEquals(Optional.empty(), control.read(PATHS.backend() + "/size"));
        back("hotplug-status", "connected");
        assertEquals(List.of("connect 7"), back.story);
        assertEquals(Optional.of("2048"), control.read(PATHS.backend() + "/size"));
    }

    @Test
    void aSecondFrontendDoesNotWaitForAScriptThatIsDone() throws Exception {
        back("hotplug-status", "connected");
        backend();
        for (int round = 0; round < 2; round++) {
            front("4");
            assertEquals("4", backState());
            front("6");
            front("1");
            assertEquals("2", backState());
        }
    }

    @Test
    void senselessKeysAreRefusedWhileTheScriptIsAtWork() throws Exception {
        back("hotplug-status", "");
        backend();
        guestStore.write(PATHS.frontend() + "/ring-ref", "1junk");
        guestStore.write(PATHS.frontend() + "/state", "4");
        sim.run();
        assertEquals("5", backState());
        assertTrue(control.read(PATHS.backendError()).orElse("").contains("/ring-ref is"));
    }

    /// What the frontend writes while the script is at work, and what becomes of the backend.
    @ParameterizedTest
    @CsvSource({"1, 2", "5, 5", "6, 6", "gone, 6"})
    void aFrontendMayLeaveMeanwhile(String state, String after) throws Exception {
        back("hotplug-status", "");
        backend();
        front("4");
        assertEquals(1, back.open);
        if (state.equals("gone")) {
            control.remove(PATHS.frontend());
            sim.run();
        } else {
            front(state);
        }
        assertEquals(after, backState());
        assertEquals(0, back.open);
        assertTrue(sim.noTimers());
    }

    @Test
    void closingIsNotWithheld() throws Exception {
        back("hotplug-status", "");
        BackendMachine machine = backend();
        front("4");
        toolstack.unplug(PATHS); // netback withholds this too, until libxl gives up
        sim.run();
        assertEquals("5", backState());
        assertFalse(machine.whenEnded().isDone());
        front("6");
        assertEquals("6", backState());
        assertTrue(machine.whenEnded().isDone());
        assertEquals(0, back.open);
        assertTrue(sim.noTimers());
    }
}
