package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.NetworkNamespace;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.netback.VifBackendDriver;
import org.splitring.netback.VifBackendOptions;
import org.splitring.netback.VifPlace;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.testkit.ExternalTools;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// Unmodified programs in the namespaces of two guests: each frame goes from a TAP through
/// netfront, ring, netback and the switch, and the same way up again. Guests and backends have a
/// loop each, on the local platform.
class GuestNetworkIT {
    private static final String PREFIX = "it" + ProcessHandle.current().pid();
    private static final String OTHER = "10.94.0.2";

    @TempDir Path folder;

    @BeforeEach
    void requireRootAndTools() {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: network namespaces and TAPs");
        }
        ExternalTools.require("ip", "iproute2");
        ExternalTools.require("ping", "iputils-ping");
        ExternalTools.require("iperf3", "iperf3");
    }

    @Test
    void programsOfTwoGuestsTalkThroughTheirRings() throws Exception {
        try (Bed bed = new Bed();
                Guest one = bed.guest(1, "10.94.0.1/24", "10.94.0.254");
                Guest two = bed.guest(2, OTHER + "/24 fd00:94::2/64", "")) {
            assertTrue(one.run("ip", "addr", "show", "dev", "eth0").contains("00:16:3e:00:00:01"));
            assertTrue(one.run("ip", "route").contains("default via 10.94.0.254 dev eth0"));
            assertTrue(two.run("ip", "-6", "addr").contains("fd00:94::2/64"));
            one.run("ping", "-c", "1", "-W", "10", "127.0.0.1");

            one.run("ping", "-c", "3", "-i", "0.01", "-W", "10", OTHER);
            LabUnderTest.pingsWithoutLoss(
                    one::run, "-f", "-c", "1000", "-s", "1400", "-W", "10", OTHER);
            long arrived = two.transferFrom(one, List.of("-n", "32M"));
            assertTrue(arrived > 16 << 20, arrived + " bytes have arrived");
            assertTrue(two.transferFrom(one, List.of("-n", "8M", "-R")) > 4 << 20);
            assertTrue(
                    two.transferFrom(one, List.of("-u", "-b", "20M", "-n", "1M", "-l", "1200"))
                            > 0);

            long frames = bed.count("vif1", PortCounter.IN_FRAMES);
            long bytes = bed.count("vif1", PortCounter.IN_BYTES);
            assertTrue(bytes > arrived, bytes + " bytes, of which arrived " + arrived);
            assertTrue(bytes / frames > 3000, bytes + " bytes in " + frames + ": large segments");
            assertEquals(0, bed.count("vif2", PortCounter.OUT_GSO_SEGMENTS));
            assertEquals(0, bed.count("vif2", PortCounter.OUT_CHECKSUMS));
        }
        for (int domid = 1; domid <= 2; domid++) {
            assertFalse(Files.exists(Path.of("/var/run/netns/splitring-" + PREFIX + domid)));
        }
    }

    /// The driver domain: a store, a switch, backends.
    private final class Bed implements AutoCloseable {
        final NettyDeviceLoops backends = new NettyDeviceLoops("backend", 1, 0);
        final NettyDeviceLoops guests = new NettyDeviceLoops("guest", 1, 0);
        final NettyDeviceLoop netLoop = backends.loop(0);
        final LocalHypervisor hypervisor = new LocalHypervisor();
        final StoreTree tree = new StoreTree();
        final Store store = tree.connection(DomId.ZERO, Runnable::run);
        final Toolstack toolstack = new Toolstack(store);
        final VirtualNetwork network =
                new VirtualNetwork(
                        "lan",
                        netLoop,
                        System::nanoTime,
                        new LearningSwitch(SwitchSettings.DEFAULT));

        Guest guest(int domid, String addresses, String gateway) throws Exception {
            return new Guest(this, domid, addresses, gateway);
        }

        long count(String port, PortCounter counter) throws Exception {
            return netLoop.eventLoop()
                    .submit(
                            () ->
                                    network.ports().stream()
                                            .filter(it -> it.settings().name().equals(port))
                                            .mapToLong(it -> it.counters().get(counter))
                                            .sum())
                    .get(10, TimeUnit.SECONDS);
        }

        @Override
        public void close() {
            store.close();
            guests.close();
            backends.close();
        }
    }

    private final class Guest implements AutoCloseable {
        private final GuestNetwork users;
        private final FrontendBus frontends;
        private final BackendBus backends;
        private final Store guestStore;
        private final LocalGuestDomain domain;
        private final Path own;

        Guest(Bed bed, int domid, String addresses, String gateway) throws Exception {
            DomId id = new DomId(domid);
            own = Files.createDirectory(folder.resolve("guest" + domid));
            users = new GuestNetwork(bed.guests.loop(0), PREFIX + domid, own);
            bed.tree.introduce(id);
            bed.toolstack.createDomain(id, "guest" + domid);
            domain = bed.hypervisor.createGuest(id, 16 << 20, DomainLimits.DEFAULT);
            guestStore = bed.tree.connection(id, Runnable::run);
            VifPlace place =
                    new VifPlace(bed.network, bed.netLoop, PortSettings.of("vif" + domid), 1500);
            DeviceClasses classes =
                    DeviceClasses.of(
                            new VifBackendDriver(context -> place, VifBackendOptions.DEFAULT),
                            new VifFrontendDriver(users, VifFrontendOptions.DEFAULT));
            backends =
                    BackendBus.open(
                            new BackendHost(
                                    bed.hypervisor.driverDomain(DomId.ZERO),
                                    bed.store,
                                    () -> bed.netLoop,
                                    new SimpleMeterRegistry()),
                            id,
                            classes,
                            BackendOptions.DEFAULT);
            String mac = "00:16:3e:00:00:0" + domid;
            bed.toolstack.createDevice(
                    new DevicePaths("vif", id, DomId.ZERO, 0),
                    Map.of("mac", mac, "mtu", "1500", "ip", addresses, "gateway", gateway),
                    Map.of("mac", mac));
            frontends =
                    FrontendBus.open(
                                    new FrontendHost(
                                            () -> bed.guests.loop(0),
                                            own,
                                            new SimpleMeterRegistry()),
                                    domain,
                                    guestStore,
                                    classes,
                                    FrontendOptions.DEFAULT)
                            .get(20, TimeUnit.SECONDS);
            for (FrontendBus.Frontend frontend : frontends.frontends().get(20, TimeUnit.SECONDS)) {
                frontend.connected().get(20, TimeUnit.SECONDS);
            }
        }

        NetworkNamespace.Entrance entrance() throws IOException {
            return NamespaceRecord.living(own).orElseThrow().entrance();
        }

        String run(String... command) throws Exception {
            return InNamespace.run(entrance(), command);
        }

        long transferFrom(Guest client, List<String> options) throws Exception {
            return InNamespace.transfer(client.entrance(), entrance(), OTHER, options);
        }

        @Override
        public void close() {
            frontends.close();
            backends.guestGone().join();
            guestStore.close();
            users.close();
        }
    }
}
