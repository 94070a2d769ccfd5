package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.bridge.PortLink;
import org.splitring.driverdomain.lab.LabFile;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.NetworkNamespace;

/// Changes of networks that fail when some of what they need has been done already.
class NetworkChangeTest {
    private static final String TAP = "nc" + ProcessHandle.current().pid();
    private static final String BEFORE =
            """
            [domains.web]
            [networks.lan]
            ports = [
              "dgram, local=./a.sock, peer=./x.sock, vifname=one",
              "dgram, local=./b.sock, peer=./x.sock, vifname=two",
            ]
            [networks.lan.settings.one]
            rules = "tx drop icmp"
            """;

    @TempDir Path dir;
    private final NettyDeviceLoops loops = new NettyDeviceLoops("change", 1);

    @AfterEach
    void end() {
        loops.close();
    }

    private List<LabNetwork> plans(String text) throws Exception {
        return LabFile.read(Files.writeString(dir.resolve("lab.toml"), text)).networks();
    }

    /// Networks, and of each port its settings and what it can pass.
    private static List<String> shown(LabNetworks networks) {
        List<String> all = new ArrayList<>();
        for (RunningNetwork running : networks.networks()) {
            all.add(running.plan().toString());
            running.links().stream()
                    .map(link -> link.settings() + " mtu " + link.mtu())
                    .sorted()
                    .forEach(all::add);
            running.ports().stream().map(open -> open.plan().toString()).sorted().forEach(all::add);
        }
        return all;
    }

    private static String refused(LabNetworks networks, List<LabNetwork> plans) {
        return String.valueOf(
                assertThrows(CommandException.class, () -> networks.change(plans, List.of()))
                        .getMessage());
    }

    /// The first port has its successor in its place already when the second one's cannot be had.
    @Test
    void portsThatMadeRoomForOthersAreBackWhenTheChangeFails() throws Exception {
        try (LabNetworks networks = LabNetworks.open(plans(BEFORE), loops)) {
            List<String> before = shown(networks);
            List<LabNetwork> wanted;
            try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                wanted =
                        plans(
                                """
                                [domains.web]
                                [networks.other]
                                [networks.lan]
                                mtu = 1400
                                ports = [
                                  "dgram, local=./a.sock, peer=./y.sock, vifname=uno",
                                  "stream, listen=127.0.0.1:%d, vifname=two",
                                ]
                                """
                                        .formatted(taken.getLocalPort()));
                String said = refused(networks, wanted);
                assertTrue(said.contains("port two: cannot listen on"), said);
                assertTrue(said.endsWith("; nothing has changed"), said);
            }
            assertEquals(before, shown(networks));
            assertTrue(Files.exists(dir.resolve("a.sock")));
            assertTrue(Files.exists(dir.resolve("b.sock")));

            List<String> done = networks.change(wanted, List.of());
            assertTrue(done.contains("network lan: port one taken away"), done::toString);
            assertNotEquals(before, shown(networks));
        }
    }

    /// What made room may find its own place taken.
    @Test
    void whatCannotBeHadAgainIsSaid() throws Exception {
        try (LabNetworks networks = LabNetworks.open(plans(BEFORE), loops);
                ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Files.delete(dir.resolve("b.sock"));
            Files.createFile(Files.createDirectory(dir.resolve("b.sock")).resolve("in-the-way"));
            String said =
                    refused(
                            networks,
                            plans(
                                    """
                                    [domains.web]
                                    [networks.lan]
                                    ports = "stream, listen=127.0.0.1:%d, vifname=two"
                                    """
                                            .formatted(taken.getLocalPort())));
            assertTrue(said.contains("; what was closed for it cannot be had again: "), said);
            assertTrue(said.contains("port two"), said);
        }
    }

    /// Cables have the new MTU already when an interface of this machine cannot have it.
    @Test
    void anMtuIsWhatItWasWhenTheChangeFails() throws Exception {
        LabUnderTest.requireNetworks();
        try (LabNetworks networks = LabNetworks.open(cabled(1500), loops)) {
            List<String> before = shown(networks);
            NetworkNamespace.ipHere("link del dev " + TAP + "\n");
            String said = refused(networks, cabled(1400));
            assertTrue(said.contains("networks.wan.ports: "), said);
            assertTrue(said.endsWith("; nothing has changed"), said);
            assertEquals(before, shown(networks));
            for (PortLink link : networks.network("lan").links()) {
                assertEquals(1500, link.mtu());
            }
        }
    }

    private List<LabNetwork> cabled(int mtu) throws Exception {
        return plans(
                """
                [domains.web]
                [networks.lan]
                mtu = %1$d
                ports = "network, name=wan"
                [networks.wan]
                mtu = %1$d
                ports = "tap, name=%2$s"
                """
                        .formatted(mtu, TAP));
    }
}
