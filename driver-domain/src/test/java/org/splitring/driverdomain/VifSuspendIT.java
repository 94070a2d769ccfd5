package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A guest with an interface whose devices stand still, or that is saved, and goes on: the other
/// guest has answers again, and the switch knows of it what it did not have to learn.
@Timeout(180)
class VifSuspendIT {
    private static final String ONE = "one" + ProcessHandle.current().pid();
    private static final String TWO = "two" + ProcessHandle.current().pid();

    private static final String LAB =
            """
            [domains.%s]
            memory = 32
            vif = ["ip=10.76.0.1, mac=00:16:3e:4d:00:01, rate=50Mb/s, mtu=1400"]

            [domains.%s]
            memory = 32
            vif = ["ip=10.76.0.2"]

            [networks.lan]
            subnet = "10.76.0.0/24"
            antispoof = "ip"

            [networks.lan.settings."%s.0"]
            addresses = ["00:16:3e:4d:00:99"]
            rules = ["tx drop udp dport 9"]
            """
                    .formatted(ONE, TWO, ONE);

    @TempDir Path dir;
    private LabUnderTest lab;

    @BeforeEach
    void up() throws Exception {
        LabUnderTest.requireNetworks();
        lab = new LabUnderTest(dir);
        lab.up(LAB);
    }

    @AfterEach
    void cleanUp() throws Exception {
        if (lab != null) {
            lab.cleanUp();
        }
    }

    private JsonNode json(String... words) {
        return JsonMapper.shared().readTree(lab.command(0, words)).path(0);
    }

    /// What the lab file says of the guest's interface, as the switch and the store have it.
    private Set<String> told() {
        Set<String> all = new TreeSet<>();
        JsonNode network = json("network", "lan", "--json");
        for (JsonNode address : network.path("addresses")) {
            if (address.path("fixed").asBoolean()) {
                all.add(address.path("mac").asString() + " at " + address.path("port").asString());
            }
        }
        for (JsonNode port : network.path("ports")) {
            all.add(port.path("name").asString() + " to " + port.path("to").asString());
        }
        JsonNode vif = json("list", "--json", ONE).path("devices").path(0).path("backend");
        for (String key : Set.of("mac", "ip", "rate", "mtu", "bridge")) {
            all.add(key + " " + vif.path(key).asString());
        }
        return all;
    }

    private long dropped(String why) {
        for (JsonNode port : json("network", "lan", "--json").path("ports")) {
            if (port.path("name").asString().equals(ONE + ".0")) {
                return port.path("counters").path("in_dropped_" + why).asLong(0);
            }
        }
        return 0;
    }

    /// The interface inside the guest: its address, MTU, cable, and what was set there by hand.
    private String inside() throws Exception {
        return lab.in(ONE)
                .run(
                        "sh",
                        "-c",
                        "cd /sys/class/net/eth0; cat address mtu carrier;"
                                + " ip -4 -o addr show dev eth0 | grep -o 'inet [^ ]*'");
    }

    /// The guest has no cable, and its backend has let go of it; the port stays where it is.
    private void assertItsDevicesAreClosed() throws Exception {
        String carrier = lab.in(ONE).run("cat", "/sys/class/net/eth0/carrier").strip();
        assertEquals("0", carrier, "the guest's programs see a cable");
        assertEquals("closed", backendState());
    }

    private String backendState() {
        JsonNode devices = json("list", "--json", ONE).path("devices");
        return devices.path(0).path("backend_state").asString();
    }

    private void assertTheyReachEachOther() throws Exception {
        // The other end has its cable back before this command can look for it.
        pings(ONE, "10.76.0.2");
        pings(TWO, "10.76.0.1");
    }

    private void pings(String from, String to) throws Exception {
        LabUnderTest.pingsWithoutLoss(lab.in(from), "-c", "3", "-i", "0.3", "-W", "5", to);
    }

    /// A frame against the rule, and one from an address that is not the guest's.
    private void assertItIsKeptToItsRules() throws Exception {
        long rule = dropped("rule");
        lab.inside(ONE, "bash", "-c", "echo never > /dev/udp/10.76.0.2/9");
        await().atMost(PATIENCE).until(() -> dropped("rule") > rule);
        long pinned = dropped("pinned");
        lab.inside(ONE, "ip", "addr", "add", "10.76.0.66/24", "dev", "eth0");
        Ended forged =
                lab.inside(ONE, "ping", "-c", "1", "-W", "1", "-I", "10.76.0.66", "10.76.0.2");
        lab.inside(ONE, "ip", "addr", "del", "10.76.0.66/24", "dev", "eth0");
        assertNotEquals(0, forged.code(), forged::output);
        await().atMost(PATIENCE).until(() -> dropped("pinned") > pinned);
    }

    @Test
    void afterASuspensionTheyReachEachOtherAndItsPortIsWhatItWas() throws Exception {
        assertTheyReachEachOther();
        assertItIsKeptToItsRules();
        Set<String> before = told();
        assertTrue(before.contains("00:16:3e:4d:00:99 at " + ONE + ".0"), before::toString);
        assertTrue(before.contains(ONE + ".0 to " + ONE), before::toString);
        lab.in(ONE).run("ip", "addr", "add", "10.77.0.1/24", "dev", "eth0");
        String insideBefore = inside();
        assertEquals(
                "00:16:3e:4d:00:01\n1400\n1\ninet 10.76.0.1/24\ninet 10.77.0.1/24\n", insideBefore);
        for (int i = 0; i < 2; i++) {
            assertEquals("suspended " + ONE + "\n", lab.command(0, "suspend", ONE));
            assertItsDevicesAreClosed();
            Ended silence = lab.inside(TWO, "ping", "-c", "1", "-W", "1", "10.76.0.1");
            assertNotEquals(0, silence.code(), silence::output);
            assertEquals("resumed " + ONE + "\n", lab.command(0, "resume", ONE));
            assertEquals("connected", backendState());
            assertEquals(insideBefore, inside());
            assertTheyReachEachOther();
            assertEquals(before, told());
        }
        assertItIsKeptToItsRules();
    }

    @Test
    void afterSaveAndRestoreTheyReachEachOtherAndItsPortIsWhatItWas() throws Exception {
        assertTheyReachEachOther();
        Set<String> before = told();
        String file = dir.resolve("one.saved").toString();
        lab.command(0, "save", ONE, file);
        Ended silence = lab.inside(TWO, "ping", "-c", "1", "-W", "1", "10.76.0.1");
        assertNotEquals(0, silence.code(), silence::output);
        lab.command(0, "restore", file);
        assertEquals("00:16:3e:4d:00:01\n1400\n1\ninet 10.76.0.1/24\n", inside());
        assertTheyReachEachOther();
        assertEquals(before, told());
        assertItIsKeptToItsRules();
    }
}
