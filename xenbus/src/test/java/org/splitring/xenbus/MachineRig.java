package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// A device in the store of one thread. One end of it is a machine, the other the test's bare
/// hands.
abstract class MachineRig {
    static final DomId ONE = new DomId(1);
    static final DevicePaths PATHS = new DevicePaths("test", ONE, DomId.ZERO, 3);

    final OneThread sim = new OneThread();
    final StoreTree tree = new StoreTree();
    final Store control = tree.connection(DomId.ZERO, sim);
    final Store guestStore = tree.connection(ONE, sim);
    final Toolstack toolstack = new Toolstack(control);
    final GuestDomain guest = new LocalHypervisor().createGuest(ONE, 1 << 20, DomainLimits.DEFAULT);
    final RecordingBackend back = new RecordingBackend();
    final RecordingFrontend front = new RecordingFrontend();

    @BeforeEach
    void makeDevice() throws StoreException {
        toolstack.createDomain(ONE, "web");
        toolstack.createDevice(PATHS, Map.of(), Map.of());
    }

    @AfterEach
    void close() {
        guest.close();
    }

    void front(String state) throws StoreException {
        guestStore.write(PATHS.frontend() + "/ring-ref", "7");
        guestStore.write(PATHS.frontend() + "/state", state);
        sim.run();
    }

    void back(String key, String value) throws StoreException {
        control.write(PATHS.backend() + "/" + key, value);
        sim.run();
    }

    String backState() throws StoreException {
        return control.read(PATHS.backend() + "/state").orElse("gone");
    }

    String frontState() throws StoreException {
        return control.read(PATHS.frontend() + "/state").orElse("gone");
    }

    /// A frontend in that state, over the guest's own connection to the store.
    FrontendMachine frontendIn(int state) throws StoreException {
        return frontendIn(state, guestStore);
    }

    FrontendMachine frontendIn(int state, Store store) throws StoreException {
        back("feature-test", "1");
        back("size", "2048");
        FrontendMachine machine =
                FrontendMachine.create(
                        guest, store, "test", 3, front, FrontendOptions.DEFAULT, sim, sim);
        CompletableFuture<Void> connected = machine.connectAsync();
        sim.run();
        if (state >= 3) {
            back("state", "2");
        }
        if (state == 4) {
            back("state", "4");
        }
        assertEquals(state == 4, connected.isDone());
        assertEquals(Integer.toString(state), frontState());
        return machine;
    }
}
