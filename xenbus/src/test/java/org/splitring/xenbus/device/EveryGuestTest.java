package org.splitring.xenbus.device;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// Guests whose devices somebody else's toolstack writes, in folders of any name.
class EveryGuestTest {
    private static final DomId FIRST = new DomId(3);
    private static final DomId SECOND = new DomId(12);

    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final StoreTree tree = new StoreTree();
    private final NettyDeviceLoops loops = new NettyDeviceLoops("every", 1, 0);
    private final Store control = tree.connection(DomId.ZERO, DeviceEnd.VIRTUAL_THREADS);
    private final Toolstack toolstack = new Toolstack(control);
    private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    private final DeviceClasses classes =
            DeviceClasses.of(new EchoDevice.Backend(), new EchoDevice.Frontend());

    @AfterEach
    void close() {
        control.close();
        loops.close();
    }

    private EveryGuest serve(Map<String, String> folders) throws Exception {
        return serve(folders, BackendOptions.DEFAULT);
    }

    private EveryGuest serve(Map<String, String> folders, BackendOptions options) throws Exception {
        return EveryGuest.serve(
                new BackendHost(hypervisor.driverDomain(DomId.ZERO), control, loops::next, meters),
                classes,
                folders,
                options);
    }

    private DevicePaths device(String folder, DomId guest, int number) throws Exception {
        tree.introduce(guest);
        DevicePaths paths = new DevicePaths(EchoDevice.CLASS, folder, guest, DomId.ZERO, number);
        toolstack.createDevice(paths, Map.of(), Map.of());
        return paths;
    }

    private void awaitState(DevicePaths device, String state) {
        await().atMost(10, TimeUnit.SECONDS)
                .until(
                        () ->
                                control.read(device.backend() + "/state")
                                        .orElse("none")
                                        .equals(state));
    }

    private static void awaitGuests(EveryGuest served, Set<DomId> guests) {
        await().atMost(10, TimeUnit.SECONDS).until(() -> served.guests().get().equals(guests));
    }

    @Test
    void guestsBeforeAndAfterTheStartAreOfferedTheirDevices() throws Exception {
        DevicePaths early = device(EchoDevice.CLASS, FIRST, 0);
        try (EveryGuest served = serve(Map.of(EchoDevice.CLASS, EchoDevice.CLASS))) {
            awaitState(early, "2");
            DevicePaths late = device(EchoDevice.CLASS, SECOND, 7);
            DevicePaths another = device(EchoDevice.CLASS, FIRST, 1);
            awaitState(late, "2");
            awaitState(another, "2");
            awaitGuests(served, Set.of(FIRST, SECOND));
        }
        awaitState(early, "6");
    }

    @Test
    void aFolderMayHaveAnotherNameThanItsClass() throws Exception {
        try (EveryGuest served = serve(Map.of("other", EchoDevice.CLASS))) {
            DevicePaths seen = device("other", FIRST, 0);
            DevicePaths unseen = device(EchoDevice.CLASS, FIRST, 1);
            awaitState(seen, "2");
            assertEquals("1", control.read(unseen.backend() + "/state").orElseThrow());
            awaitGuests(served, Set.of(FIRST));
        }
    }

    @Test
    void aGuestWhoseFoldersAreRemovedIsForgottenAndMayComeAgain() throws Exception {
        try (EveryGuest served = serve(Map.of(EchoDevice.CLASS, EchoDevice.CLASS))) {
            DevicePaths first = device(EchoDevice.CLASS, FIRST, 0);
            awaitState(first, "2");
            control.write(first.backendError(), "odd");
            toolstack.removeDevice(first);
            control.remove("/local/domain/0/backend/" + EchoDevice.CLASS + "/" + FIRST);
            awaitGuests(served, Set.of());
            String errors = "/local/domain/0/error/backend/" + EchoDevice.CLASS;
            await().atMost(10, TimeUnit.SECONDS).until(() -> control.list(errors).isEmpty());
            awaitState(device(EchoDevice.CLASS, FIRST, 0), "2");
            awaitGuests(served, Set.of(FIRST));
        }
    }

    /// A domain that died, and whose devices nobody has removed from the store.
    @Test
    void aGuestThatIsGoneIsGivenUpAtOnce() throws Exception {
        try (EveryGuest served = serve(Map.of(EchoDevice.CLASS, EchoDevice.CLASS))) {
            DevicePaths device = device(EchoDevice.CLASS, FIRST, 0);
            awaitState(device, "2");
            served.guestGone(FIRST);
            awaitState(device, "6");
            awaitGuests(served, Set.of());
            assertEquals("6", control.read(device.backend() + "/state").orElseThrow());
        }
    }

    /// As libxl does it: online, then the state, in one transaction.
    private void takeAway(DevicePaths device) throws Exception {
        control.transaction(
                keys -> {
                    keys.write(device.backend() + "/online", "0");
                    keys.write(device.backend() + "/state", "5");
                });
    }

    @Test
    void aDriverDomainRemovesTheFoldersOfDevicesThatWereTakenAway() throws Exception {
        Map<String, String> folders = Map.of(EchoDevice.CLASS, EchoDevice.CLASS);
        try (EveryGuest served = serve(folders, BackendOptions.DEFAULT.withFoldersRemoved())) {
            DevicePaths device = device(EchoDevice.CLASS, FIRST, 0);
            DevicePaths stays = device(EchoDevice.CLASS, FIRST, 1);
            awaitState(device, "2");
            awaitState(stays, "2");
            takeAway(device);
            awaitState(device, "none");
            assertEquals("2", control.read(stays.backend() + "/state").orElseThrow());
            awaitGuests(served, Set.of(FIRST));
        }
    }

    @Test
    void elsewhereTheToolstackRemovesThem() throws Exception {
        try (EveryGuest served = serve(Map.of(EchoDevice.CLASS, EchoDevice.CLASS))) {
            DevicePaths device = device(EchoDevice.CLASS, FIRST, 0);
            awaitState(device, "2");
            takeAway(device);
            awaitState(device, "6");
            DevicePaths other = device(EchoDevice.CLASS, FIRST, 1); // looked at after the first
            awaitState(other, "2");
            assertEquals("6", control.read(device.backend() + "/state").orElseThrow());
            awaitGuests(served, Set.of(FIRST));
        }
    }

    @Test
    void aDriverDomainRemovesTheFolderOfADeviceThatItRefused() throws Exception {
        Map<String, String> folders = Map.of(EchoDevice.CLASS, EchoDevice.CLASS);
        try (EveryGuest served = serve(folders, BackendOptions.DEFAULT.withFoldersRemoved())) {
            tree.introduce(FIRST);
            DevicePaths refused =
                    new DevicePaths(EchoDevice.CLASS, EchoDevice.CLASS, FIRST, DomId.ZERO, 0);
            toolstack.createDevice(refused, Map.of(), Map.of("mood", "bad"));
            awaitState(refused, "6");
            takeAway(refused);
            awaitState(refused, "none");
            awaitGuests(served, Set.of());
        }
    }
}
