package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// A guest whose programs put frames on the wire that no honest host sends, and two neighbours of
/// it that talk to each other. `hostile_frames.py` makes the frames (with scapy), and counts at
/// the neighbour, on a raw socket, what has arrived. The numbers are those of the design's
/// catalogue of hostile traffic. `-Dsplitring.seed` plays one seed again.
@Timeout(180)
@Isolated // no queue may be full because somebody else is at work
class HostileNeighbourIT {
    private static final long PID = ProcessHandle.current().pid();
    private static final String HOSTILE = "hh" + PID;
    private static final String PEER = "hp" + PID;
    private static final String VICTIM = "hv" + PID;
    private static final String[] ADDRESS_OF_HOSTILE = {"10.93.0.2", "fd00:93::2"};
    private static final String[] ADDRESS_OF_PEER = {"10.93.0.3", "fd00:93::3"};
    private static final String[] ADDRESS_OF_VICTIM = {"10.93.0.4", "fd00:93::4"};
    private static final String LAB =
            """
            [domains.%s]
            vif = ["bridge=lan, ip=10.93.0.2 fd00:93::2"]

            [domains.%s]
            vif = ["bridge=lan, ip=10.93.0.3 fd00:93::3"]

            [domains.%s]
            vif = ["bridge=lan, ip=10.93.0.4 fd00:93::4"]

            [networks.lan]
            subnet = ["10.93.0.0/24", "fd00:93::/64"]
            """
                    .formatted(HOSTILE, PEER, VICTIM);
    private static final String PYTHON = "/usr/bin/python3";
    private static final int FRAMES = 3000;
    private static final int MARKER_EVERY = 20;
    private static final long SEED = Long.getLong("splitring.seed", 20_261_126L);

    @TempDir private static Path dir;
    private static LabUnderTest lab;
    private static Path script;

    @BeforeAll
    static void up() throws Exception {
        LabUnderTest.requireNetworks();
        ExternalTools.requireFile(
                "/usr/lib/python3/dist-packages/scapy/__init__.py", "python3-scapy");
        script = dir.resolve("hostile_frames.py");
        try (InputStream resource =
                HostileNeighbourIT.class.getResourceAsStream("hostile_frames.py")) {
            Files.copy(Objects.requireNonNull(resource), script);
        }
        lab = new LabUnderTest(dir);
        lab.up(LAB);
        // What a TAP's own queue drops says nothing about the switch.
        for (String domain : List.of(HOSTILE, PEER, VICTIM)) {
            Ended longer = lab.inside(domain, "ip", "link", "set", "eth0", "txqueuelen", "20000");
            assertEquals(0, longer.code(), longer.output());
        }
    }

    @AfterAll
    static void down() throws Exception {
        if (lab == null) {
            return;
        }
        try {
            lab.down();
        } finally {
            lab.cleanUp();
        }
    }

    private static Ended splitring(String... words) throws Exception {
        List<String> all = new ArrayList<>(List.of(words));
        all.addAll(List.of("--run-dir", lab.run().toString()));
        return lab.splitring(all.toArray(String[]::new));
    }

    private static List<String> script(String domain, String... arguments) {
        List<String> all = LabUnderTest.line(domain, PYTHON, script.toString());
        all.addAll(List.of(arguments));
        return all;
    }

    private static String mac(String domain) throws Exception {
        return lab.execute(LabUnderTest.line(domain, "cat", "/sys/class/net/eth0/address"))
                .output()
                .strip();
    }

    private static PeerProcess watch(String domain) throws Exception {
        PeerProcess watch =
                PeerProcess.start(
                        dir,
                        script(
                                domain,
                                "watch",
                                "eth0",
                                mac(HOSTILE),
                                ADDRESS_OF_HOSTILE[0],
                                ADDRESS_OF_HOSTILE[1],
                                mac(PEER)));
        watch.awaitSaid("watching");
        return watch;
    }

    private static int count(String said, String what) {
        for (String word : said.substring(said.lastIndexOf("counts:")).split("\\s+", -1)) {
            if (word.startsWith(what + "=")) {
                return Integer.parseInt(word.substring(what.length() + 1));
            }
        }
        return 0;
    }

    private static void pingsWithoutLoss(String address, int times) throws Exception {
        LabUnderTest.pingsWithoutLoss(
                lab.in(PEER), "-q", "-f", "-c", times + "", "-W", "5", address);
    }

    /// N-40, N-41, N-43, N-44, N-45: what is forged stays at its port, what may pass hurts nobody.
    @Test
    void forgedFramesStayAtTheirPortAndNeighboursLoseNothing() throws Exception {
        PeerProcess watch = watch(VICTIM);
        String seed = Long.toString(SEED);
        try (PeerProcess hostile =
                PeerProcess.start(
                        dir,
                        script(
                                HOSTILE,
                                "send",
                                "eth0",
                                seed,
                                FRAMES + "",
                                ADDRESS_OF_HOSTILE[0],
                                ADDRESS_OF_HOSTILE[1],
                                ADDRESS_OF_PEER[0],
                                ADDRESS_OF_PEER[1],
                                mac(PEER),
                                ADDRESS_OF_VICTIM[0],
                                ADDRESS_OF_VICTIM[1],
                                mac(VICTIM)))) {
            hostile.awaitSaid("sending");
            pingsWithoutLoss(ADDRESS_OF_VICTIM[0], 1000);
            pingsWithoutLoss(ADDRESS_OF_VICTIM[1], 1000);
            hostile.awaitSaid("\nsent ");
            pingsWithoutLoss(ADDRESS_OF_VICTIM[1], 10);
        } finally {
            watch.close();
        }
        String said = "seed " + seed + ": " + watch.said();
        assertEquals(0, count(said, "lost"), said);
        for (String forged : List.of("foreign", "poison", "spoofed", "disguised")) {
            assertEquals(0, count(said, forged), said);
        }
        assertEquals(FRAMES / MARKER_EVERY, count(said, "marker"), said);
        assertTrue(count(said, "own") > FRAMES / 20, said);
        assertTrue(count(said, "peer") > 2000, said);
    }

    /// N-42: a guest that may use any address fills the switch's table with its own only.
    @Test
    void addressesWithoutEndPushNobodyElseOut() throws Exception {
        Files.writeString(lab.lab(), LAB + "antispoof = \"off\"\n");
        Ended reload = splitring("reload");
        assertEquals(0, reload.code(), reload.output());
        try {
            pingsWithoutLoss(ADDRESS_OF_VICTIM[0], 10);
            PeerProcess watch = watch(HOSTILE);
            try (PeerProcess hostile =
                    PeerProcess.start(dir, script(HOSTILE, "macs", "eth0", SEED + "", "10000"))) {
                hostile.awaitSaid("sending");
                pingsWithoutLoss(ADDRESS_OF_VICTIM[0], 1000);
                hostile.awaitSaid("\nsent 10000 ");
                pingsWithoutLoss(ADDRESS_OF_VICTIM[0], 200);
            } finally {
                watch.close();
            }
            String said = watch.said();
            assertTrue(count(said, "peer") < 20, "pings to the neighbour came here: " + said);
            assertFalse(said.contains("Traceback"), said);
        } finally {
            Files.writeString(lab.lab(), LAB);
            splitring("reload");
        }
    }
}
