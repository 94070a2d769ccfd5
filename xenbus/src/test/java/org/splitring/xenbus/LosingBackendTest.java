package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;

/// A frontend whose backend breaks the protocol, or whose store goes.
@Timeout(20)
class LosingBackendTest extends MachineRig {
    private void broken() {
        front.breakNow("ring: index");
        sim.run();
    }

    @Test
    void h007_aBackendThatBreaksTheProtocolIsLeftForGood() throws Exception {
        FrontendMachine machine = frontendIn(4);
        broken();
        assertEquals("5", frontState());
        assertEquals(Optional.of("ring: index"), control.read(PATHS.frontendError()));
        back("state", "5");
        assertEquals("6", frontState());
        back("state", "6");
        assertTrue(machine.whenEnded().isDone());
        assertEquals("ended: ring: index", front.story.getLast());
        assertEquals(0, front.open);
        assertTrue(sim.noTimers());
        back("state", "2"); // what it does after that is nothing to us
        assertEquals("6", frontState());
    }

    @Test
    void h007_aBackendThatBreaksTheProtocolAndIsSilentHasTwoDeadlines() throws Exception {
        FrontendMachine machine = frontendIn(4);
        broken();
        sim.pass(Duration.ofMillis(19_999));
        assertFalse(machine.whenEnded().isDone());
        sim.pass(Duration.ofMillis(1));
        assertTrue(machine.whenEnded().isDone());
        assertEquals(1, front.ends);
        assertEquals(0, front.open);
        assertTrue(sim.noTimers());
    }

    @Test
    void h007_aDeviceWhoseBackendBrokeTheProtocolCanBeRemoved() throws Exception {
        FrontendMachine machine = frontendIn(4);
        broken();
        toolstack.removeDevice(PATHS);
        sim.run();
        assertTrue(machine.whenEnded().isDone());
        assertEquals(0, front.open);
        assertEquals("gone", frontState());
    }

    @Test
    void aDeviceThatIsClosingWhenItsStoreGoesEndsOnce() throws Exception {
        AtomicBoolean gone = new AtomicBoolean();
        FrontendMachine machine = frontendIn(4, untilItIs(gone));
        front.closesLate = true;
        CompletableFuture<Void> closed = machine.closeAsync();
        sim.run();
        back("state", "6");
        assertEquals(1, front.open); // its rings are being given back
        gone.set(true);
        back("state", "4");
        assertEquals(0, front.ends);
        assertFalse(closed.isDone());
        Objects.requireNonNull(front.closeNow).run();
        sim.run();
        assertTrue(closed.isDone());
        assertEquals(1, front.ends);
        assertEquals(0, front.open);
    }

    /// The guest's store, until it is gone: then every call fails.
    private Store untilItIs(AtomicBoolean gone) {
        return (Store)
                Proxy.newProxyInstance(
                        Store.class.getClassLoader(),
                        new Class<?>[] {Store.class},
                        (proxy, method, arguments) -> {
                            if (gone.get() && !method.getName().equals("domain")) {
                                throw new StoreException(StoreError.EIO, "gone");
                            }
                            try {
                                return method.invoke(guestStore, arguments);
                            } catch (InvocationTargetException e) {
                                throw e.getCause();
                            }
                        });
    }
}
