package org.splitring.driverdomain.lab;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.bridge.FrameRule;
import org.splitring.bridge.InterfaceAddress;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.PortForward;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.PortVlans;
import org.splitring.bridge.StaticRoute;
import org.splitring.bridge.StormLimits;
import org.splitring.bridge.SwitchSettings;
import org.splitring.driverdomain.lab.LabNetwork.Antispoof;
import org.splitring.driverdomain.lab.LabNetwork.Mode;

/// `[networks]` and `vif=` of a lab file.
class NetworkTablesTest {
    private static final String LAN =
            """
            [networks.lan]
            subnet = ["10.0.0.0/24", "fd00:1::/64"]
            gateway = ["10.0.0.254", "fd00:1::fe"]
            """;

    @TempDir Path dir;
    private Path file;

    @BeforeEach
    void place() {
        file = dir.resolve("lab.toml");
    }

    private Lab read(String toml) throws IOException, LabException {
        Files.writeString(file, toml);
        return LabFile.read(file);
    }

    private void refused(String toml, int line, String... parts) {
        LabException e = assertThrows(LabException.class, () -> read(toml));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.startsWith(file + ":" + line + ": "), message);
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "\"" + part + "\" is not in: " + message);
        }
        assertEquals(1, message.lines().count(), message);
    }

    private static String vif(String spec) {
        return "[domains.web]\nvif = [\"" + spec + "\"]\n" + LAN;
    }

    private LabVif theVif(String spec) throws Exception {
        return read(vif(spec)).domains().getFirst().vifs().getFirst();
    }

    @Test
    void everyKeyOfAVifIsRead() throws Exception {
        LabVif vif =
                theVif(
                        "mac=00:16:3E:00:00:0A, bridge=lan, ip=10.0.0.2 fd00:1::2, rate=10Mb/s,"
                                + " vifname=first, mtu=1400, script=vif-bridge, devid=3, type=vif,"
                                + " backend=0");
        assertEquals(
                new LabVif(
                        3,
                        "web",
                        MacAddress.parse("00:16:3e:00:00:0a"),
                        "lan",
                        "first",
                        List.of("10.0.0.2/24", "fd00:1:0:0:0:0:0:2/64"),
                        List.of("10.0.0.254", "fd00:1:0:0:0:0:0:fe"),
                        Optional.of("62500,50000"),
                        1400,
                        Optional.empty(),
                        vif.place()),
                vif);
        assertEquals(
                Map.of(
                        "domain", "web",
                        "handle", "3",
                        "mac", "00:16:3e:00:00:0a",
                        "mtu", "1400",
                        "bridge", "lan",
                        "vifname", "first",
                        "type", "vif",
                        "ip", "10.0.0.2 fd00:1:0:0:0:0:0:2",
                        "rate", "62500,50000"),
                vif.backendKeys());
    }

    @Test
    void aVifWithNothingHasAnAddressOfXensThatStays() throws Exception {
        Lab first = read("[domains.web]\nvif = [\"\", \"\"]\n[domains.db]\nvif = \"\"\n" + LAN);
        List<LabVif> vifs = first.domains().getFirst().vifs();
        assertTrue(vifs.getFirst().mac().toString().startsWith("00:16:3e:"));
        assertNotEquals(vifs.getFirst().mac(), vifs.getLast().mac());
        assertEquals(List.of("web.0", "web.1"), vifs.stream().map(LabVif::portName).toList());
        assertEquals(
                vifs.getFirst().mac(),
                LabFile.read(file).domains().getFirst().vifs().getFirst().mac());
        assertEquals("lan", vifs.getFirst().network());
        assertEquals(List.of(), vifs.getFirst().gateways());
        assertEquals(1, first.domains().getLast().vifs().size());
    }

    @Test
    void everyKeyOfANetworkIsRead() throws Exception {
        Lab lab =
                read(
                        """
                        [domains.web]
                        vif = ["vlan=10p/20"]
                        [networks.lan]
                        mode = "bridge"
                        mtu = 9000
                        antispoof = "mac"
                        vlan_filtering = true
                        snooping = false
                        ageing = 60
                        max_addresses = 32
                        ports = [
                          "tap, name=lan0, ip=10.0.0.254/24, vlan=20",
                          "stream, listen=./vm.sock",
                          "stream, connect=127.0.0.1:5555, vifname=up",
                          "dgram, local=./a.sock, peer=./b.sock",
                          "vxlan, vni=42, local=10.9.0.1, peers=10.9.0.2 [fd00::2]:4790",
                        ]
                        [networks.lan.settings."web.0"]
                        rules = ["tx drop udp dport 53", "rx limit 100f icmp"]
                        isolated = true
                        loop_guard = true
                        sticky = true
                        storm = { broadcast = 1, multicast = 2, unknown = 3 }
                        addresses = ["00:16:3e:00:00:01"]
                        mirror = "lan0"
                        """);
        LabNetwork lan = lab.networks().getFirst();
        assertEquals(Mode.BRIDGE, lan.mode());
        assertEquals(9000, lan.mtu());
        assertEquals(9000, lab.domains().getFirst().vifs().getFirst().mtu());
        assertEquals(Antispoof.MAC, lan.antispoof());
        assertEquals(new SwitchSettings(32, 32, 60, false), lan.bridge());
        assertEquals(
                List.of("lan0", "port1", "up", "port3", "port4"),
                lan.ports().stream().map(port -> port.plug().name()).toList());
        LabPort.Tap tap = (LabPort.Tap) lan.ports().getFirst();
        assertEquals(Optional.of(PortVlans.access(20)), tap.plug().vlans());
        assertEquals(List.of("10.0.0.254/24"), tap.addresses().stream().map(a -> a + "").toList());
        LabPort.Stream listening = (LabPort.Stream) lan.ports().get(1);
        assertEquals(new LabPort.UnixAddress(dir.resolve("vm.sock")), listening.address());
        assertTrue(listening.listens());
        LabPort.Stream connecting = (LabPort.Stream) lan.ports().get(2);
        InetSocketAddress loopback =
                new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 5555);
        assertEquals(new LabPort.LoopbackAddress(loopback), connecting.address());
        assertFalse(connecting.listens());
        LabPort.Vxlan vxlan = (LabPort.Vxlan) lan.ports().getLast();
        assertEquals(List.of(4789, 4790), vxlan.peers().stream().map(p -> p.getPort()).toList());
        assertEquals(42, vxlan.vni());
        assertEquals(
                PortSettings.of("web.0")
                        .withRules(
                                List.of(
                                        FrameRule.parse("tx drop udp dport 53"),
                                        FrameRule.parse("rx limit 100f icmp")))
                        .withIsolated(true)
                        .withLoopGuard(true)
                        .withSticky(true)
                        .withStorm(new StormLimits(1, 2, 3))
                        .withAddresses(List.of(MacAddress.parse("00:16:3e:00:00:01")))
                        .withMirror("lan0"),
                lan.settingsOf("web.0"));
        assertEquals(PortVlans.DEFAULT, lan.settingsOf("other").vlans());
    }

    @Test
    void everyKeyOfARouterIsRead() throws Exception {
        Lab lab =
                read(
                        """
                        [domains.web]
                        vif = ["ip=10.1.0.2 fd00:1::2, bridge=lan, script=vif-nat"]
                        [networks.lan]
                        mode = "nat"
                        subnet = ["10.1.0.0/24", "fd00:1::/64"]
                        dhcp = true
                        dns = ["192.0.2.53", "127.0.0.1:5353"]
                        domain = "lab"
                        routes = ["10.9.0.0/16 via 10.1.0.3"]
                        uplink = "network, name=out, address=10.2.0.2/24, via=10.2.0.1"
                        forward = ["tcp 8080 to 10.1.0.2:80", "udp 53 to 10.1.0.2:5353"]
                        [networks.out]
                        """);
        LabNetwork lan = lab.networks().getFirst();
        assertEquals(Mode.NAT, lan.mode());
        LabRouting routing = lan.routing().orElseThrow();
        assertEquals(
                List.of("10.1.0.1/24", "fd00:1:0:0:0:0:0:1/64"),
                routing.gateways().stream().map(LabPrefix::toString).toList());
        LabRouting.Range range = routing.dhcp().orElseThrow();
        assertEquals(InetAddress.ofLiteral("10.1.0.128"), range.first());
        assertEquals(InetAddress.ofLiteral("10.1.0.254"), range.last());
        assertEquals(
                List.of(
                        new InetSocketAddress(InetAddress.ofLiteral("192.0.2.53"), 53),
                        new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 5353)),
                routing.resolvers());
        assertEquals(Optional.of("lab"), routing.domain());
        assertEquals(List.of(StaticRoute.of("10.9.0.0/16", "10.1.0.3")), routing.routes());
        assertEquals(
                List.of(
                        PortForward.tcp(8080, "10.1.0.2", 80),
                        PortForward.udp(53, "10.1.0.2", 5353)),
                routing.forwards());
        assertEquals(Optional.of("out"), routing.uplink());
        LabPort.Plug uplink = lan.ports().getFirst().plug();
        assertEquals(List.of(InterfaceAddress.parse("10.2.0.2/24")), uplink.addresses());
        assertEquals(Optional.of(InetAddress.ofLiteral("10.2.0.1")), uplink.via());
        assertEquals(
                List.of("10.1.0.1", "fd00:1:0:0:0:0:0:1"),
                lab.domains().getFirst().vifs().getFirst().gateways());
    }

    @Test
    void aRoutedGuestMayHaveAnyAddress() throws Exception {
        LabVif vif =
                read("""
                        [domains.web]
                        vif = "ip=192.0.2.7"
                        [networks.lan]
                        mode = "route"
                        subnet = ["10.1.0.0/24", "10.2.0.0/24"]
                        """)
                        .domains()
                        .getFirst()
                        .vifs()
                        .getFirst();
        assertEquals(List.of("192.0.2.7/32"), vif.addresses());
        assertEquals(List.of("10.1.0.1"), vif.gateways());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "nat | | needs uplink=",
                "nat | uplink = 'tap, name=a' | needs address=",
                "nat | uplink = 'stream, listen=./a, address=10.2.0.2/24' | connect=",
                "nat | uplink = 'tap, name=a, address=10.2.0.0/24' | 10.2.0.0/24",
                "nat | uplink = 'network, name=nowhere, address=10.2.0.2/24' | nowhere",
                "route | uplink = 'tap, name=a, address=10.2.0.2/24' | mode nat",
                "route | forward = 'tcp 80 to 10.1.0.2:80' | mode nat only",
                "route | routes = '10.9.0.0/16' | is not PREFIX via ADDRESS",
                "route | routes = '10.9.0.1/16 via 10.1.0.3' | 10.9.0.1/16",
                "route | dhcp = '10.1.0.9' | FIRST-LAST",
                "route | dhcp = '10.1.0.9-10.3.0.9' | 10.3.0.9 is in no IPv4 subnet",
                "route | dns = 'resolver.example' | resolver.example",
                "route | domain = 'a b' | a b",
                "route | vlan_filtering = true | mode bridge only",
                "bridge | dhcp = true | mode route or nat only",
                "bridge | ports = 'tap, name=a, address=10.2.0.2/24' | a router's",
            })
    void aRouterThatMakesNoSenseIsNamed(String mode, String line, String part) {
        String text =
                "[domains.web]\n[networks.lan]\nmode = '%s'\nsubnet = '10.1.0.0/24'\n%s\n"
                        .formatted(mode, line == null ? "" : line);
        LabException e = assertThrows(LabException.class, () -> read(text));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.startsWith(file + ":"), message);
        assertTrue(message.contains(part), message);
    }

    @Test
    void theGatewaysAddressIsNoGuests() {
        refused(
                """
                [domains.web]
                vif = "ip=10.1.0.1"
                [networks.lan]
                mode = "route"
                subnet = "10.1.0.0/24"
                """,
                2,
                "the gateway's own");
    }

    @Test
    void withoutFilteringTagsAreNotLookedAt() throws Exception {
        assertEquals(PortVlans.ALL, read(vif("")).networks().getFirst().settingsOf("x").vlans());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "mac=00:16:3e:00:00 | 00:16:3e:00:00",
                "mac=01:16:3e:00:00:01 | a group's address",
                "mac=00:00:00:00:00:00 | nobody's",
                "bridge=lam | did you mean lan?",
                "ip=10.0.1.2 | 10.0.1.2 is not in network lan, 10.0.0.0/24",
                "ip=10.0.0.0 | is no host's",
                "ip=10.0.0.255 | is no host's",
                "ip=host.example | host.example",
                "rate=fast | fast",
                "rate=1b/s | less than one byte",
                "vifname=a-name-of-16-by- | 16 bytes",
                "mtu=1501 | mtu 1501 is more than network lan has, 1500",
                "mtu=67 | 67",
                "script=vif-openvswitch | vif-openvswitch",
                "vlan=10 | vlan_filtering = true in [networks.lan]",
                "vlan=4095 | 4095",
                "model=e1000 | model",
                "type=ioemu | ioemu",
                "backend=storage | storage",
                "gatewaydev=eth0 | gatewaydev",
                "brige=lan | did you mean bridge?",
                "bridge | bridge",
                "mtu=1400, mtu=1400 | given twice",
                "devid=64 | 64",
            })
    void aVifThatMakesNoSenseIsNamed(String spec, String part) {
        refused(vif(spec), 2, "domains.web.vif", part);
    }

    @Test
    void nothingIsThereTwice() {
        String two = "[domains.web]\nvif = [\"%s\"]\n[domains.db]\nvif = [\"%s\"]\n" + LAN;
        String place = file + ":2: domains.web.vif";
        refused(two.formatted("ip=10.0.0.2", "ip=10.0.0.2"), 4, "10.0.0.2 is taken by", place);
        String mac = "mac=00:16:3e:00:00:01";
        refused(two.formatted(mac, mac), 4, "00:16:3e:00:00:01 is taken by", place);
        refused(two.formatted("vifname=a", "vifname=a"), 4, "vifname a is taken by", place);
        refused(
                "[domains.web]\nvif = [\"devid=1\", \"devid=1, mtu=99\"]\n" + LAN,
                2,
                "devid 1 is taken by");
        refused(vif("") + "[networks.b]\nsubnet = \"10.0.0.128/25\"\n", 7, "10.0.0.0/24", "lan");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "mode = 'bridg' | did you mean bridge?",
                "mode = 7 | 7",
                "subnet = '10.0.0.1/24' | bits beyond its prefix",
                "subnet = '10.0.0.0/33' | 10.0.0.0/33",
                "gateway = '10.0.0.1' | not in a subnet",
                "mtu = 65522 | 65522",
                "antispoof = 'on' | none of ip, mac and off",
                "vlan_filtering = 'yes' | yes",
                "ageing = 0 | 0 is not between 1",
                "max_addresses = -1 | -1",
                "ports = 'tap' | needs name=",
                "ports = 'tap, name=an-interface-too-long' | 21 bytes",
                "ports = 'tap, name=a, ip=10.0.0.1' | 10.0.0.1",
                "ports = 'tab, name=a' | did you mean tap?",
                "ports = 'stream' | listen= or connect=",
                "ports = 'stream, listen=10.0.0.1:5' | not on loopback",
                "ports = 'stream, listen=127.0.0.1:70000' | 127.0.0.1:70000",
                "ports = 'vxlan, vni=16777216, local=10.0.0.1, peers=10.0.0.2' | 16777216",
                "ports = 'vxlan, vni=1, local=host, peers=10.0.0.2' | host",
                "ports = 'dgram, local=./a' | needs peer=",
                "ports = 'stream, listen=./a, vlan=10' | vlan_filtering",
                "settings.none = {} | \"none\" is no port of the network; it has none",
                "settings.x.rules = 'tx dorp' | dorp",
                "settings.x.mirror = 7 | 7",
                "settings.x.isolated = 1 | neither true nor false",
                "settings.x.storm = { all = 3 } | all",
                "settings.x.addresses = 'ff:ff:ff:ff:ff:ff' | group",
                "modes = 1 | did you mean mode?",
            })
    void aNetworkThatMakesNoSenseIsNamed(String line, String part) {
        refused("[domains.web]\n[networks.lan]\n" + line + "\n", 3, part);
    }

    @Test
    void aPortIsMirroredToAPortThatThereIs() {
        refused(
                vif("") + "settings.\"web.0\".mirror = \"web.1\"\n",
                6,
                "web.1",
                "did you mean web.0?");
    }

    @Test
    void aVifNeedsANetwork() {
        refused("[domains.web]\nvif = [\"\"]\n", 2, "[networks.NAME] makes one");
        refused(vif("") + "[networks.b]\n", 2, "bridge= is missing", "lan, b");
    }

    @Test
    void aLabThatRunsTakesNoAddressTwice() throws Exception {
        Lab lab = read(vif("ip=10.0.0.2"));
        VifTables running = VifTables.of(lab);
        running.take("vif/0", lab.domains().getFirst().vifs().getFirst().backendKeys());
        for (String spec : List.of("ip=10.0.0.2", "vifname=web.0")) {
            LabException e =
                    assertThrows(LabException.class, () -> running.plan(spec, "web", 1, "new"));
            assertTrue(String.valueOf(e.getMessage()).contains("is taken by vif/0"), e::toString);
        }
        LabVif vif = running.plan("ip=10.0.0.3", "web", 1, "new");
        assertEquals(1, vif.device());
        assertEquals("web.1", vif.portName());
    }
}
