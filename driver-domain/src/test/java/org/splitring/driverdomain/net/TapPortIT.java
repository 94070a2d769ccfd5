package org.splitring.driverdomain.net;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.driverdomain.InNamespace;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.NetworkNamespace;
import org.splitring.hypervisor.linux.TapDevice;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.ExternalTools;

/// Real network stacks on both sides of a switch: Linux interfaces in namespaces of this test, and
/// the kernel's VXLAN device.
class TapPortIT {
    private static final String PREFIX = "splitring-it" + ProcessHandle.current().pid();
    private static final int VNI = 4711;

    @BeforeEach
    void requireRootAndTools() {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: network namespaces and TAPs");
        }
        ExternalTools.require("ip", "iproute2");
        ExternalTools.require("ping", "iputils-ping");
        ExternalTools.require("iperf3", "iperf3");
        ExternalTools.require("ethtool", "ethtool");
    }

    @Test
    void pingAndTcpAndUdpGoThroughWithEveryOffload() throws Exception {
        try (NettyDeviceLoops loops = new NettyDeviceLoops("switch", 1, 0);
                Switch lan = new Switch(loops.loop(0));
                NetworkNamespace one = NetworkNamespace.create(PREFIX + "a");
                NetworkNamespace two = NetworkNamespace.create(PREFIX + "b");
                TapPort first = lan.plugIn(one, "eth0", "10.97.0.1/24");
                TapPort second = lan.plugIn(two, "eth0", "10.97.0.2/24")) {
            run(one, "ping", "-c", "3", "-i", "0.01", "-W", "10", "10.97.0.2");
            run(one, "ping", "-f", "-c", "500", "-s", "1400", "-W", "10", "10.97.0.2");

            long arrived = transfer(one, two, List.of("-n", "64M"));
            assertTrue(transfer(one, two, List.of("-n", "16M", "-R")) > 8 << 20);
            assertTrue(
                    transfer(one, two, List.of("-u", "-b", "50M", "-n", "2M", "-l", "1200")) > 0);

            // 64 MiB are 46,000 segments of 1448 bytes: they have come in far fewer frames.
            long frames = lan.count(PREFIX + "a", PortCounter.IN_FRAMES);
            long bytes = lan.count(PREFIX + "a", PortCounter.IN_BYTES);
            assertTrue(arrived > 32 << 20, arrived + " bytes have arrived");
            assertTrue(bytes > arrived, bytes + " bytes, of which arrived " + arrived);
            assertTrue(bytes / frames > 3000, bytes + " bytes in " + frames + " frames");
            assertEquals(0, lan.count(PREFIX + "b", PortCounter.OUT_GSO_SEGMENTS));
            assertEquals(0, lan.count(PREFIX + "b", PortCounter.OUT_CHECKSUMS));
            assertEquals(0, first.counters().unsent() + second.counters().unsent());
        }
    }

    @Test
    void theKernelsVxlanDeviceIsReachedThroughASwitch() throws Exception {
        List<String> line = new ArrayList<>();
        line.addAll(
                List.of(
                        System.getProperty("java.home") + "/bin/java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-XX:+UseSerialGC",
                        "-cp",
                        System.getProperty("java.class.path"),
                        VxlanSwitch.class.getName(),
                        PREFIX + "g"));
        try (NetworkNamespace here = NetworkNamespace.create(PREFIX + "u");
                NetworkNamespace there = NetworkNamespace.create(PREFIX + "v")) {
            here.ip(
                    "link add u0 type veth peer name v0 netns "
                            + there.entrance().keeper()
                            + "\naddr add 10.96.0.1/24 dev u0\nlink set u0 up\nlink set lo up\n");
            there.ip(
                    "addr add 10.96.0.2/24 dev v0\nlink set v0 up\n"
                            + "link add vx0 mtu 1450 type vxlan id "
                            + VNI
                            + " local 10.96.0.2 remote 10.96.0.1 dstport "
                            + VxlanPort.UDP_PORT
                            + "\naddr add 10.95.0.2/24 dev vx0\nlink set vx0 up\n");
            // A veth passes checksums on unfinished, the inner ones too, and no card finishes them
            // for a socket that the datagram ends at.
            run(there, "ethtool", "-K", "vx0", "tx", "off");
            // Not ip netns exec: in the mount namespace that it makes, names would stay the
            // child's.
            line.addAll(0, List.of("nsenter", "--net=/var/run/netns/" + PREFIX + "u", "--"));
            Process child = new ProcessBuilder(line).redirectErrorStream(true).start();
            try {
                assertEquals("ready", firstLine(child));
                NetworkNamespace.Entrance guest =
                        new NetworkNamespace.Entrance(child.pid(), Optional.of(PREFIX + "g"));
                InNamespace.run(guest, "ping", "-c", "3", "-i", "0.01", "-W", "10", "10.95.0.2");
                InNamespace.run(
                        guest,
                        "ping",
                        "-c",
                        "2",
                        "-i",
                        "0.01",
                        "-s",
                        "1422",
                        "-W",
                        "10",
                        "10.95.0.2");
                long arrived =
                        InNamespace.transfer(
                                guest, there.entrance(), "10.95.0.2", List.of("-n", "8M"));
                assertTrue(arrived > 4 << 20, arrived + " bytes have arrived");
            } finally {
                child.outputWriter().close();
                if (!child.waitFor(20, TimeUnit.SECONDS)) {
                    child.destroyForcibly();
                }
            }
        }
    }

    /// Logging may have something to say before.
    private static String firstLine(Process child) throws IOException {
        String line = child.inputReader().readLine();
        while (line != null && line.startsWith("SLF4J")) {
            line = child.inputReader().readLine();
        }
        return String.valueOf(line);
    }

    /// A switch in a process whose own sockets are in another namespace than ours.
    static final class VxlanSwitch {
        private VxlanSwitch() {}

        public static void main(String[] arguments) throws Exception {
            InetSocketAddress local = new InetSocketAddress("10.96.0.1", VxlanPort.UDP_PORT);
            InetSocketAddress peer = new InetSocketAddress("10.96.0.2", VxlanPort.UDP_PORT);
            try (NettyDeviceLoops loops = new NettyDeviceLoops("switch", 1, 0);
                    Switch lan = new Switch(loops.loop(0));
                    VxlanPort tunnel =
                            VxlanPort.open(
                                    lan.network,
                                    PortSettings.of("vxlan"),
                                    1450,
                                    loops.loop(0),
                                    local,
                                    VNI,
                                    List.of(peer));
                    NetworkNamespace guest = NetworkNamespace.create(arguments[0]);
                    TapPort tap = lan.plugIn(guest, "eth0", "10.95.0.1/24")) {
                guest.ip("link set eth0 mtu 1450\n");
                System.out.println("ready");
                int end = System.in.read();
                System.out.println(tunnel + " " + tap.counters().unsent() + " " + end);
            } catch (IOException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    private static final class Switch implements AutoCloseable {
        final NettyDeviceLoop loop;
        final VirtualNetwork network;

        Switch(NettyDeviceLoop loop) {
            this.loop = loop;
            network =
                    new VirtualNetwork(
                            "lan",
                            loop,
                            System::nanoTime,
                            new LearningSwitch(SwitchSettings.DEFAULT));
        }

        TapPort plugIn(NetworkNamespace namespace, String name, String address) throws IOException {
            TapDevice tap = namespace.openTap(name);
            namespace.ip("addr add " + address + " dev " + name + "\nlink set " + name + " up\n");
            return TapPort.plugIn(
                    network,
                    PortSettings.of(namespace.entrance().name().orElseThrow()),
                    1500,
                    loop,
                    tap);
        }

        long count(String port, PortCounter counter) throws Exception {
            return loop.eventLoop()
                    .submit(
                            () ->
                                    network.ports().stream()
                                            .filter(link -> link.settings().name().equals(port))
                                            .map(PortLink::counters)
                                            .mapToLong(counters -> counters.get(counter))
                                            .sum())
                    .get(10, TimeUnit.SECONDS);
        }

        @Override
        public void close() {
            // The ports have gone, and the loop goes with its group.
        }
    }

    private static long transfer(
            NetworkNamespace client, NetworkNamespace server, List<String> options)
            throws Exception {
        return InNamespace.transfer(client.entrance(), server.entrance(), "10.97.0.2", options);
    }

    private static String run(NetworkNamespace inside, String... command) throws Exception {
        return InNamespace.run(inside.entrance(), command);
    }
}
