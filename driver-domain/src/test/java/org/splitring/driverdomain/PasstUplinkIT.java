package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.NetworkNamespace;
import org.splitring.testkit.ExternalTools;

/// A NAT network whose uplink is a passt of an ordinary user's, and behind the NAT a guest of the
/// lab and a Linux machine of QEMU's. What they reach outside is in a namespace of this test. One
/// lab for all tests.
@Timeout(180)
class PasstUplinkIT {
    private static final long PID = ProcessHandle.current().pid();
    private static final String GUEST = "pg" + PID;
    private static final String OUTSIDE = "10.90.9.1";
    private static final int PORT = 8090;
    private static final String LAB =
            """
            [domains.%s]
            vif = ["bridge=lan, ip=10.90.1.2"]

            [networks.lan]
            mode = "nat"
            subnet = "10.90.1.0/24"
            dhcp = "10.90.1.100-10.90.1.110"
            dns = []
            uplink = "stream, connect=./passt/passt.sock, address=10.90.7.2/24, via=10.90.7.1"
            ports = ["stream, listen=./machine.sock"]
            """
                    .formatted(GUEST);

    /// Greets whoever connects.
    private static final String SERVER =
            """
            import socket
            s = socket.create_server(('', %d))
            print('serving', flush=True)
            while True:
                c, peer = s.accept()
                c.sendall(b'a word from outside\\n')
                c.close()
            """
                    .formatted(PORT);

    /// What the machine does.
    private static final String SCRIPT =
            """
            echo "this is Linux $($b uname -r)"
            $b udhcpc -f -n -q -t 10 -T 2 -i eth0 -s /lease
            $b ping -c 5 -i 0.2 10.90.1.1
            $b ping -c 5 -i 0.2 -s 4000 10.90.1.2
            $b ping -c 5 -i 0.2 %s
            $b nc %s %d
            echo all said
            $b sleep 60
            """
                    .formatted(OUTSIDE, OUTSIDE, PORT);

    @TempDir private static Path dir;
    private static LabUnderTest lab;
    private static NetworkNamespace outside;
    private static PeerProcess passt;
    private static PeerProcess server;

    @BeforeAll
    static void up() throws Exception {
        LabUnderTest.requireNetworks();
        ExternalTools.require("busybox", "busybox");
        ExternalTools.requireFile("/usr/bin/python3", "python3");
        String program = ExternalTools.require("passt", "passt").toString();
        String runuser = ExternalTools.require("runuser", "util-linux").toString();
        outside = NetworkNamespace.create("po" + PID);
        outside.ip(
                """
                link set lo up
                link add v0 type veth peer name v1
                addr add %s/24 dev v0
                link set v0 up
                link set v1 up
                route add default via 10.90.9.254
                """
                        .formatted(OUTSIDE));
        // Pings of an ordinary user, which passt's are.
        Ended range =
                new LabUnderTest(dir)
                        .execute(
                                inOutside(
                                        "sh",
                                        "-c",
                                        "echo 0 2147483647"
                                                + " >/proc/sys/net/ipv4/ping_group_range"));
        assertEquals(0, range.code(), range.output());

        Files.setPosixFilePermissions(dir, PosixFilePermissions.fromString("rwx--x--x"));
        Path folder = Files.createDirectory(dir.resolve("passt"));
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
        passt =
                PeerProcess.start(
                        dir,
                        inOutside(
                                runuser,
                                "-u",
                                "nobody",
                                "--",
                                program,
                                "--foreground",
                                "--stderr",
                                "--ipv4-only",
                                "--socket",
                                folder.resolve("passt.sock").toString(),
                                "--address",
                                "10.90.7.2",
                                "--netmask",
                                "24",
                                "--gateway",
                                "10.90.7.1"));
        passt.awaitSaid("You can now start qemu");
        server = PeerProcess.start(dir, inOutside("/usr/bin/python3", "-c", SERVER));
        server.awaitSaid("serving");

        lab = new LabUnderTest(dir);
        lab.up(LAB);
    }

    @AfterAll
    static void down() throws Exception {
        if (server != null) {
            server.close();
        }
        if (passt != null) {
            passt.close();
        }
        try {
            if (lab != null) {
                lab.down();
            }
        } finally {
            if (lab != null) {
                lab.cleanUp();
            }
            if (outside != null) {
                outside.close();
            }
        }
    }

    private static List<String> inOutside(String... program) {
        return outside.entrance().commandLine(List.of(program));
    }

    private static Ended inside(String... program) throws Exception {
        return lab.inside(GUEST, program);
    }

    @Test
    void aGuestReachesOutThroughPasstOfAnOrdinaryUser() throws Exception {
        LabUnderTest.pingsWithoutLoss(lab.in(GUEST), "-c", "5", "-i", "0.2", "-W", "5", OUTSIDE);
        Ended word = inside("timeout", "10", "busybox", "nc", OUTSIDE, PORT + "");
        assertEquals("a word from outside", word.output().strip());
    }

    @Test
    void aLinuxMachineGetsItsAddressFromTheNatAndReachesGuestsAndOutside() throws Exception {
        String netdev =
                "stream,id=cable,server=off,addr.type=unix,addr.path="
                        + dir.resolve("machine.sock");
        try (PeerProcess machine = LinuxMachine.start(dir, netdev, "52:54:00:90:00:01", SCRIPT)) {
            machine.awaitSaid("all said", Duration.ofSeconds(60));
            String said = machine.said();
            assertTrue(said.contains("bound to 10.90.1.100/24, router 10.90.1.1, mtu 1500"), said);
            assertEquals(3, said.split("5 packets received, 0% packet loss", -1).length - 1, said);
            assertTrue(said.contains("a word from outside"), said);
            LabUnderTest.pingsWithoutLoss(
                    lab.in(GUEST), "-c", "5", "-i", "0.1", "-W", "5", "10.90.1.100");
        }
    }
}
