package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;

/// A network of a lab file as users meet it: `up`, programs inside the guests, `reload`,
/// interfaces that come and go, driver domains that do. One lab for all tests.
@Timeout(180)
class LabNetworkIT {
    private static final String ONE = "na" + ProcessHandle.current().pid();
    private static final String TWO = "nb" + ProcessHandle.current().pid();
    private static final String LAB =
            """
            [domains.%s]
            vif = ["bridge=lan, ip=10.95.0.2"]

            [domains.%s]
            vif = ["bridge=lan, ip=10.95.0.3"]

            [networks.lan]
            subnet = "10.95.0.0/24"
            """
                    .formatted(ONE, TWO);

    @TempDir private static Path dir;
    private static LabUnderTest lab;

    @BeforeAll
    static void up() throws Exception {
        LabUnderTest.requireNetworks();
        lab = new LabUnderTest(dir);
        String said = lab.up(LAB);
        assertTrue(said.contains("network lan  bridge  10.95.0.0/24"), said);
        assertTrue(said.contains("10.95.0.3/24"), said);
    }

    @AfterAll
    static void down() throws Exception {
        if (lab == null) {
            return;
        }
        try {
            lab.down();
            assertFalse(Files.exists(Path.of("/var/run/netns/splitring-" + ONE)));
        } finally {
            lab.cleanUp();
        }
    }

    @BeforeEach
    void asItWas() throws Exception {
        lab.reload(0, LAB);
    }

    private static Ended exec(String domain, String... program) throws Exception {
        List<String> all =
                new ArrayList<>(List.of("exec", "--run-dir", lab.run().toString(), domain, "--"));
        all.addAll(List.of(program));
        return lab.splitring(all.toArray(String[]::new));
    }

    private static void replace() throws Exception {
        Ended replaced = lab.splitring("replace", "--run-dir", lab.run().toString());
        assertEquals(0, replaced.code(), replaced.output());
    }

    /// An answer has time, as it takes none when it is there at once.
    private static boolean reaches(String domain, String address) throws Exception {
        return lab.inside(domain, "ping", "-c", "1", "-W", "10", address).code() == 0;
    }

    private static boolean isCutOff(String domain, String address) throws Exception {
        return lab.inside(domain, "ping", "-c", "1", "-W", "1", address).code() != 0;
    }

    @Test
    void programsInsideReachEachOther() throws Exception {
        LabUnderTest.pingsWithoutLoss(lab.in(ONE), "-f", "-c", "200", "-W", "5", "10.95.0.3");
    }

    @Test
    void execEndsAsItsProgramDoes() throws Exception {
        Ended address = exec(TWO, "ip", "-br", "addr", "show", "dev", "eth0");
        assertTrue(address.output().contains("10.95.0.3/24"), address.output());
        assertEquals(7, exec(ONE, "sh", "-c", "exit 7").code());
        Ended unknown = exec("nobody", "true");
        assertNotEquals(0, unknown.code());
        assertTrue(unknown.output().contains("no domain nobody"), unknown.output());
        Ended missing = exec(ONE, "no-such-program");
        assertNotEquals(0, missing.code());
        assertTrue(missing.output().contains("no-such-program"), missing.output());
    }

    @Test
    void aGuestSpeaksForNobodyElse() throws Exception {
        assertEquals(0, lab.inside(ONE, "ip", "addr", "add", "10.95.0.9/24", "dev", "eth0").code());
        assertNotEquals(
                0,
                lab.inside(ONE, "ping", "-c", "1", "-W", "1", "-I", "10.95.0.9", "10.95.0.3")
                        .code());
        lab.reload(0, LAB + "antispoof = \"mac\"\n");
        assertEquals(
                0,
                lab.inside(ONE, "ping", "-c", "1", "-W", "5", "-I", "10.95.0.9", "10.95.0.3")
                        .code());
        assertEquals(0, lab.inside(ONE, "ip", "addr", "del", "10.95.0.9/24", "dev", "eth0").code());
    }

    @Test
    void reloadChangesRulesVlansAndPortsWhileTrafficFlows() throws Exception {
        String rule = "[networks.lan.settings.\"%s.0\"]\nrules = \"tx drop icmp\"\n".formatted(ONE);
        Files.writeString(lab.lab(), LAB + rule);
        assertTrue(lab.command(0, "reload").contains("network lan: port " + ONE + ".0 changed"));
        assertTrue(isCutOff(ONE, "10.95.0.3"));
        assertTrue(isCutOff(TWO, "10.95.0.2"), "its answers are dropped");

        String vlan = LAB.replace("ip=10.95.0.3", "ip=10.95.0.3, vlan=10, rate=1Mb/s");
        String said = lab.reload(0, vlan + "vlan_filtering = true\n");
        assertTrue(said.contains(TWO + " vif/0: rate 6250,50000"), said);
        assertTrue(isCutOff(ONE, "10.95.0.3"));

        String uplink = "it" + ProcessHandle.current().pid();
        String tap = "ports = [\"tap, name=" + uplink + ", ip=10.95.0.254/24, vlan=10\"]\n";
        said = lab.reload(0, vlan + "vlan_filtering = true\n" + tap);
        assertTrue(said.contains("port " + uplink + " plugged in"), said);
        assertTrue(reaches(TWO, "10.95.0.254"));
        assertTrue(isCutOff(ONE, "10.95.0.254"));

        said = lab.reload(0, LAB);
        assertTrue(said.contains("port " + uplink + " taken away"), said);
        assertTrue(said.contains(TWO + " vif/0: rate unlimited"), said);
        assertFalse(Files.exists(Path.of("/sys/class/net/" + uplink)));
        assertTrue(reaches(ONE, "10.95.0.3"));
        assertEquals("nothing has changed", lab.command(0, "reload").strip());
    }

    @Test
    void reloadNamesWhatIsWrongAndWhatMustWait() throws Exception {
        String said = lab.reload(1, LAB + "mode = \"bus\"\n");
        assertTrue(said.contains("lab.toml:9: networks.lan.mode: \"bus\" is no mode"), said);
        try (ServerSocket taken = new ServerSocket(0, 1, null)) {
            Files.writeString(
                    lab.lab(),
                    LAB + "ports = \"stream, listen=127.0.0.1:" + taken.getLocalPort() + "\"\n");
            said = lab.command(1, "reload");
            assertTrue(said.contains("networks.lan.ports: port port0: cannot listen on"), said);
        }
        said = lab.reload(0, LAB + "\n[domains.third]\n");
        assertTrue(said.contains("domain third: new, waits for replace"), said);
        assertTrue(reaches(ONE, "10.95.0.3"), "what runs goes on");
    }

    /// Of five changes in one file the last cannot be.
    @Test
    void aReloadThatFailsChangesNothing() throws Exception {
        String uplink = "it" + ProcessHandle.current().pid();
        String tap = "\"tap, name=" + uplink + ", ip=10.95.0.%d/24\"";
        lab.reload(0, LAB + "ports = [" + tap.formatted(254) + "]\n");
        assertTrue(reaches(ONE, "10.95.0.254"));
        Path socket = dir.resolve("new.sock");
        try (ServerSocket taken = new ServerSocket(0, 1, null)) {
            String ports =
                    """
                    ports = [
                      %s,
                      "stream, listen=./new.sock",
                      "network, name=other",
                      "stream, vifname=taken, listen=127.0.0.1:%d",
                    ]
                    mtu = 1400
                    [networks.lan.settings."%s.0"]
                    rules = "tx drop icmp"
                    [networks.other]
                    """
                            .formatted(tap.formatted(253), taken.getLocalPort(), ONE);
            String said = lab.reload(1, LAB + ports).strip();
            assertEquals(1, said.lines().count(), said);
            assertTrue(said.contains("lab.toml:13: networks.lan.ports: port taken"), said);
            assertTrue(said.endsWith("; nothing has changed"), said);
            assertTrue(reaches(ONE, "10.95.0.254"), "the interface is as it was");
            assertFalse(Files.exists(socket));
            said = lab.command(1, "network-attach", ONE, "bridge=other");
            assertTrue(said.contains("other"), said);
            String link = lab.inside(ONE, "ip", "link", "show", "dev", "eth0").output();
            assertTrue(link.contains("mtu 1500"), link);
        }
        String said = lab.command(0, "reload");
        assertTrue(said.contains("network other: made"), said);
        assertTrue(said.contains("port " + uplink + " plugged in"), said);
        assertTrue(Files.exists(socket));
        assertTrue(isCutOff(ONE, "10.95.0.253"), "the rule applies now");
        assertTrue(reaches(TWO, "10.95.0.253"));
    }

    @Test
    void networksComeAndGo() throws Exception {
        String other = "[networks.other]\nsubnet = \"10.96.0.0/24\"\n";
        Files.writeString(lab.lab(), LAB + other);
        assertTrue(lab.command(0, "reload").contains("network other: made"));
        lab.command(0, "network-attach", ONE, "bridge=other,ip=10.96.0.2");
        lab.command(0, "network-attach", TWO, "bridge=other,ip=10.96.0.3");
        assertTrue(reaches(ONE, "10.96.0.3"));
        String said = lab.reload(1, LAB);
        assertTrue(
                said.contains(
                        "network other cannot be taken away: vif/1 of domain " + ONE + " is on it"),
                said);
        assertTrue(reaches(ONE, "10.96.0.3"), "it is still there");
        lab.command(0, "network-detach", ONE, "1");
        lab.command(0, "network-detach", TWO, "1");
        assertEquals("network other: taken away", lab.command(0, "reload").strip());
        said = lab.command(1, "network-attach", ONE, "bridge=other,ip=10.96.0.2");
        assertTrue(said.contains("other"), said);
    }

    @Test
    void theMtuOfANetworkAndItsGuestsChanges() throws Exception {
        String uplink = "it" + ProcessHandle.current().pid();
        String ports = "ports = [\"tap, name=" + uplink + ", ip=10.95.0.254/24\"]\n";
        lab.reload(0, LAB + ports);
        assertFalse(passes(ONE, 8000, "10.95.0.3"));
        String said = lab.reload(0, LAB + ports + "mtu = 9000\n");
        assertTrue(said.contains("network lan: mtu 9000"), said);
        assertTrue(said.contains(ONE + " vif/0: mtu 9000"), said);
        assertTrue(passes(ONE, 8000, "10.95.0.3"));
        assertTrue(passes(ONE, 8000, "10.95.0.254"));
        replace();
        assertTrue(passes(TWO, 8000, "10.95.0.2"), "a successor has read it too");
        lab.reload(0, LAB + ports);
        assertFalse(passes(ONE, 8000, "10.95.0.3"));
        assertTrue(passes(ONE, 1400, "10.95.0.254"));
    }

    private static boolean passes(String domain, int bytes, String address) throws Exception {
        return lab.inside(
                                domain,
                                "ping",
                                "-c",
                                "1",
                                "-W",
                                "10",
                                "-M",
                                "do",
                                "-s",
                                bytes + "",
                                address)
                        .code()
                == 0;
    }

    @Test
    void framesAreCapturedForTshark() throws Exception {
        Path file = dir.resolve("lan.pcapng");
        Files.writeString(file, "of yesterday");
        Process ping =
                new ProcessBuilder(
                                "ip",
                                "netns",
                                "exec",
                                "splitring-" + ONE,
                                "ping",
                                "-i",
                                "0.2",
                                "-c",
                                "100",
                                "10.95.0.3")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
        try {
            lab.command(1, "capture", "lam", file.toString());
            String said = lab.command(1, "capture", "lan", file.toString(), "--port", "none");
            assertTrue(said.contains("there is no port \"none\" now; ports are"), said);
            assertEquals("of yesterday", Files.readString(file), "nothing was begun");
            String port = ONE + ".0";
            CompletableFuture<String> first =
                    CompletableFuture.supplyAsync(
                            () ->
                                    lab.command(
                                            0,
                                            "capture",
                                            "lan",
                                            file + "",
                                            "--port",
                                            port,
                                            "--seconds",
                                            "3"));
            await("frames are in the file")
                    .atMost(LabUnderTest.PATIENCE)
                    .until(() -> Files.size(file) > 500);
            said = lab.command(1, "capture", "lan", file.toString());
            assertTrue(said.contains(file + " is being written already"), said);
            said = first.join();
            assertTrue(said.contains(" frames in " + file + ", 0 missing"), said);
        } finally {
            ping.destroy();
            ping.waitFor(10, TimeUnit.SECONDS);
        }
        Ended read =
                lab.tool(
                        "tshark", "tshark", "-r", file + "", "-Y", "icmp", "-T", "fields", "-e",
                        "ip.src");
        assertEquals(0, read.code(), read.output());
        assertTrue(read.output().contains("10.95.0.2\n10.95.0.3\n"), read.output());
    }

    @Test
    void interfacesComeAndGo() throws Exception {
        String said = lab.command(0, "network-attach", ONE, "bridge=lan,ip=10.95.0.77");
        assertTrue(said.contains("attached vif/1 to " + ONE), said);
        Ended ping = lab.inside(ONE, "ping", "-c", "1", "-W", "5", "-I", "eth1", "10.95.0.3");
        assertEquals(0, ping.code(), ping.output());
        said = lab.command(1, "attach", TWO, "vif", "ip=10.95.0.77");
        assertTrue(said.contains("ip 10.95.0.77 is taken by vif/1 of domain " + ONE), said);
        said = lab.command(1, "attach", TWO, "vif", "bridge=lam");
        assertTrue(said.contains("did you mean lan?"), said);
        lab.command(0, "network-detach", ONE, "1");
        // The guest has said Closed by now; taking its interface away comes after that.
        await("the interface is gone")
                .atMost(LabUnderTest.PATIENCE)
                .until(() -> !lab.inside(ONE, "ip", "addr").output().contains("10.95.0.77"));
    }

    @Test
    void trafficGoesOnWhenTheDriverDomainIsReplacedOrKilled() throws Exception {
        Process ping =
                new ProcessBuilder(
                                "ip",
                                "netns",
                                "exec",
                                "splitring-" + ONE,
                                "ping",
                                "-i",
                                "0.1",
                                "-c",
                                "600",
                                "-O",
                                "10.95.0.3")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
        try {
            replace();
            assertTrue(reaches(ONE, "10.95.0.3"));
            lab.driverDomain().destroyForcibly();
            replace();
            await("the guests reach each other again")
                    .atMost(LabUnderTest.PATIENCE)
                    .until(() -> !isCutOff(ONE, "10.95.0.3"));
            assertTrue(ping.isAlive(), "the guest's own programs have seen a delay, no end");
        } finally {
            ping.destroy();
            ping.waitFor(10, TimeUnit.SECONDS);
        }
    }

    /// Another lab cannot have the namespace of a domain that is there, and says so.
    @Test
    void aNamespaceThatIsTakenIsNamed() throws Exception {
        Path other = dir.resolve("other.toml");
        Files.writeString(other, "[domains.%s]\nvif = \"\"\n[networks.lan]\n".formatted(ONE));
        Ended up =
                lab.splitring(
                        "up", other.toString(), "--run-dir", dir.resolve("r2") + "", "--detach");
        assertEquals(1, up.code(), up.output());
        assertTrue(up.output().contains("another lab has a domain of this name"), up.output());
        assertTrue(reaches(TWO, "10.95.0.2"), "what runs goes on");
    }
}
