package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// Networks in route and NAT mode with real programs at both ends: ping, a server behind a port
/// forward, udhcpc, questions to the gateway's DNS. One lab for all tests, whose network changes
/// its mode while the guests run.
@Timeout(180)
class LabRoutingIT {
    private static final String PID = Long.toString(ProcessHandle.current().pid());
    private static final String ONE = "ra" + PID;
    private static final String TWO = "rb" + PID;
    private static final String THREE = "rc" + PID;
    private static final String UPLINK = "ru" + PID;
    private static final String BACKBONE = "rk" + PID;
    private static final String DOMAINS =
            """
            [domains.%s]
            vif = ["bridge=lan, ip=10.97.0.2 fd00:97::2"]
            [domains.%s]
            vif = ["bridge=lan, ip=10.97.0.3 fd00:97::3"]
            [domains.%s]
            vif = ["bridge=lan"]
            [networks.lan]
            subnet = ["10.97.0.0/24", "fd00:97::/64"]
            dhcp = "10.97.0.100-10.97.0.110"
            domain = "lab"
            dns = []
            """
                    .formatted(ONE, TWO, THREE);
    private static final String NAT =
            DOMAINS
                    + """
                    mode = "nat"
                    uplink = "tap, name=%s, ip=10.98.0.1/30, address=10.98.0.2/30, via=10.98.0.1"
                    forward = ["tcp 8097 to 10.97.0.2:80"]
                    """
                            .formatted(UPLINK);
    private static final String ROUTE =
            DOMAINS
                    + """
                    mode = "route"
                    ports = [
                      "tap, name=%s, ip=10.98.0.1/30, address=10.98.0.2/30, via=10.98.0.1",
                      "network, name=backbone, address=10.99.0.1/24 fd00:99::1/64",
                    ]
                    [networks.backbone]
                    ports = ["tap, name=%s, ip=10.99.0.9/24 fd00:99::9/64"]
                    """
                            .formatted(UPLINK, BACKBONE);
    private static final String BRIDGE =
            DOMAINS.replaceAll("(?m)^(dhcp|domain|dns) = .*\\n", "")
                    + """
                    gateway = ["10.97.0.1", "fd00:97::1"]
                    ports = ["tap, name=%s, ip=10.97.0.1/24 fd00:97::1/64"]
                    [networks.backbone]
                    """
                            .formatted(UPLINK);
    private static final String ASK =
            """
            import socket, struct, sys
            name = b''.join(bytes([len(l)]) + l.encode() for l in sys.argv[1].split('.')) + b'\\0'
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(5)
            head = struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0)
            s.sendto(head + name + struct.pack('>HH', 1, 1), ('10.97.0.1', 53))
            a = s.recv(2000)
            print('rcode', a[3] & 15, socket.inet_ntoa(a[-4:]))
            """;

    @TempDir private static Path dir;
    private static LabUnderTest lab;

    @BeforeAll
    static void up() throws Exception {
        LabUnderTest.requireNetworks();
        lab = new LabUnderTest(dir);
        String said = lab.up(NAT + "[networks.backbone]\n");
        assertTrue(said.contains("network lan  nat  10.97.0.0/24"), said);
    }

    @AfterAll
    static void down() throws Exception {
        if (lab == null) {
            return;
        }
        try {
            lab.down();
            assertFalse(Files.exists(Path.of("/sys/class/net/" + UPLINK)));
        } finally {
            lab.cleanUp();
        }
    }

    @BeforeEach
    void asItWas() throws Exception {
        change(NAT + "[networks.backbone]\n");
    }

    private static String change(String text) throws Exception {
        return lab.reload(0, text);
    }

    private static String ping(String domain, String... arguments) throws Exception {
        List<String> all = new ArrayList<>(List.of("ping", "-c", "1", "-W", "3"));
        all.addAll(List.of(arguments));
        return lab.inside(domain, all.toArray(String[]::new)).output();
    }

    private static void assertReached(String output) {
        assertTrue(output.contains("1 received"), output);
    }

    @Test
    void aNatShowsItsGuestsUnderItsOwnAddress() throws Exception {
        assertReached(ping(ONE, "10.97.0.1"));
        assertReached(ping(ONE, "fd00:97::1"));
        assertReached(ping(ONE, "10.97.0.3"));
        assertReached(ping(ONE, "10.98.0.1"));
        // This machine has no way to the guests' subnet: what it answers is the NAT.
        Ended way = lab.execute(List.of("ip", "route", "get", "10.97.0.2"));
        assertFalse(way.output().contains(UPLINK), way.output());
        String far = ping(ONE, "-t", "1", "10.98.0.1");
        assertTrue(far.contains("From 10.97.0.1 icmp_seq=1 Time to live exceeded"), far);
        assertEquals(
                0, lab.inside(ONE, "ping", "-f", "-c", "300", "-s", "1400", "10.98.0.1").code());
    }

    @Test
    void aPortForwardLetsStrangersIn() throws Exception {
        Process server =
                new ProcessBuilder(
                                "ip",
                                "netns",
                                "exec",
                                "splitring-" + ONE,
                                "/usr/bin/python3",
                                "-c",
                                "import socket; s = socket.create_server(('', 80));"
                                        + " print('up', flush=True);"
                                        + " c, peer = s.accept();"
                                        + " c.sendall(('hello ' + peer[0] + '\\n').encode());"
                                        + " c.close()")
                        .redirectErrorStream(true)
                        .start();
        try (BufferedReader said = server.inputReader()) {
            assertEquals("up", said.readLine());
            try (Socket client = new Socket()) {
                client.connect(new InetSocketAddress("10.98.0.2", 8097), 5000);
                client.setSoTimeout(5000);
                assertEquals(
                        "hello 10.98.0.1",
                        new BufferedReader(
                                        new InputStreamReader(
                                                client.getInputStream(), StandardCharsets.UTF_8))
                                .readLine());
            }
        } finally {
            server.destroyForcibly();
            server.waitFor(10, TimeUnit.SECONDS);
        }
    }

    @Test
    void guestsGetAddressesFromDhcpAndNamesFromDns() throws Exception {
        ExternalTools.require("udhcpc", "udhcpc");
        Path script = dir.resolve("lease.sh");
        Files.writeString(
                script,
                """
                #!/bin/sh
                [ "$1" = bound ] || exit 0
                ip addr replace $ip/$mask dev $interface
                ip route replace default via $router
                echo "bound $ip dns $dns domain $domain mtu $mtu"
                """);
        assertTrue(script.toFile().setExecutable(true));
        Ended lease =
                lab.inside(
                        THREE, "udhcpc", "-n", "-q", "-f", "-i", "eth0", "-s", script.toString());
        assertEquals(0, lease.code(), lease.output());
        assertTrue(
                lease.output().contains("bound 10.97.0.100 dns 10.97.0.1 domain lab mtu 1500"),
                lease.output());
        assertReached(ping(THREE, "10.98.0.1"));
        // A guest whose ip= is in the lab file gets that one.
        Ended fixed =
                lab.inside(TWO, "udhcpc", "-n", "-q", "-f", "-i", "eth0", "-s", script.toString());
        assertTrue(fixed.output().contains("bound 10.97.0.3 "), fixed.output());

        ExternalTools.requireFile("/usr/bin/python3", "python3");
        Ended found = lab.inside(ONE, "/usr/bin/python3", "-c", ASK, TWO);
        assertEquals("rcode 0 10.97.0.3", found.output().strip());
        found = lab.inside(ONE, "/usr/bin/python3", "-c", ASK, TWO + ".lab");
        assertEquals("rcode 0 10.97.0.3", found.output().strip());
        Ended unknown = lab.inside(ONE, "/usr/bin/python3", "-c", ASK, "nobody.example");
        assertFalse(unknown.output().contains("rcode 0"), unknown.output());
    }

    @Test
    void aNetworkBecomesARouterAndANatAgainWhileItIsUsed() throws Exception {
        String said = change(ROUTE);
        assertTrue(said.contains("network lan: mode route"), said);
        run("ip", "route", "add", "10.97.0.0/24", "via", "10.99.0.1");
        run("ip", "-6", "route", "add", "fd00:97::/64", "via", "fd00:99::1");
        assertReached(ping(ONE, "10.97.0.3"));
        assertReached(ping(ONE, "10.99.0.9"));
        assertReached(ping(ONE, "fd00:99::9"));
        assertReached(lab.execute(List.of("ping", "-c", "1", "-W", "3", "10.97.0.2")).output());
        String far = ping(ONE, "-t", "1", "10.99.0.9");
        assertTrue(far.contains("From 10.97.0.1 icmp_seq=1 Time to live exceeded"), far);

        // The far end of a cable has settings too.
        said = change(ROUTE + "[networks.backbone.settings.lan]\nrules = \"tx drop icmp\"\n");
        assertTrue(said.contains("network backbone: port lan changed"), said);
        assertFalse(ping(ONE, "-W", "1", "10.99.0.9").contains("1 received"));

        said = change(NAT + "[networks.backbone]\n");
        assertTrue(said.contains("network lan: mode nat"), said);
        assertReached(ping(ONE, "10.98.0.1"));
    }

    @Test
    void aGuestMakesItselfAnAddressFromRouterAdvertisements() throws Exception {
        Ended accepts =
                lab.inside(THREE, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra");
        assertEquals(0, accepts.code(), accepts.output());
        change(NAT.replace("domain = \"lab\"", "advertise = true") + "[networks.backbone]\n");
        await("an address, and an answer through the router")
                .atMost(LabUnderTest.PATIENCE)
                .until(() -> ping(THREE, "-W", "1", "fd00:97::2").contains("1 received"));
        String routes = lab.inside(THREE, "ip", "-6", "route").output();
        assertTrue(routes.contains("default via fe80::fcff:ffff:feff:ffff"), routes);
        String addresses = lab.inside(THREE, "ip", "-6", "addr", "show", "dev", "eth0").output();
        assertTrue(addresses.contains("inet6 fd00:97::"), addresses);
        String fixed = lab.inside(ONE, "ip", "-6", "addr", "show", "dev", "eth0").output();
        assertFalse(fixed.contains("dynamic"), "its address is given: " + fixed);
        change(BRIDGE);
        await("the router is none any more")
                .atMost(LabUnderTest.PATIENCE)
                .until(
                        () ->
                                !lab.inside(THREE, "ip", "-6", "route")
                                        .output()
                                        .contains("default via"));
    }

    /// The guests' ARP and neighbour caches would take half a minute to find out by themselves.
    @Test
    void guestsSeeAChangeOfModeAtOnce() throws Exception {
        everybodyIsReached();
        for (String lab : List.of(BRIDGE, ROUTE, BRIDGE, NAT + "[networks.backbone]\n")) {
            change(lab);
            everybodyIsReached();
        }
    }

    private static void everybodyIsReached() throws Exception {
        for (String there : List.of("10.97.0.3", "fd00:97::3", "10.97.0.1", "fd00:97::1")) {
            // As many as it takes, for five seconds, until one is answered.
            Ended ping = lab.inside(ONE, "ping", "-i", "0.2", "-c", "1", "-w", "5", there);
            assertReached(ping.output());
        }
    }

    @Test
    void whatCannotBeIsNamedAndTheLabGoesOn() throws Exception {
        String said =
                lab.reload(
                        1,
                        NAT.replace("to 10.97.0.2:80", "to 10.97.9.9:80")
                                + "[networks.backbone]\n");
        assertTrue(said.contains("10.97.9.9"), said);
        said =
                lab.reload(
                        1,
                        NAT.replace("address=10.98.0.2/30, via=10.98.0.1", "address=10.97.0.9/25")
                                + "[networks.backbone]\n");
        assertTrue(said.contains("overlaps"), said);
        assertReached(ping(ONE, "10.98.0.1"));
    }

    private static void run(String... command) throws Exception {
        Ended ended = lab.execute(List.of(command));
        assertEquals(0, ended.code(), ended.output());
    }

    /// A server of the host's that only the uplink's address is open to is not reached as a guest.
    @Test
    void aGuestCannotSpeakFromOutside() throws Exception {
        run(
                "ip",
                "netns",
                "exec",
                "splitring-" + ONE,
                "ip",
                "addr",
                "add",
                "10.98.0.1/32",
                "dev",
                "lo");
        try {
            assertNotEquals(
                    0,
                    lab.inside(ONE, "ping", "-c", "1", "-W", "1", "-I", "10.98.0.1", "10.97.0.3")
                            .code());
        } finally {
            run(
                    "ip",
                    "netns",
                    "exec",
                    "splitring-" + ONE,
                    "ip",
                    "addr",
                    "del",
                    "10.98.0.1/32",
                    "dev",
                    "lo");
        }
    }
}
