package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.testkit.ExternalTools;

/// A port that cannot be opened: `up` says where it is written and what is in its way, in one
/// line, and leaves nothing.
@Timeout(120)
class PortProblemsIT {
    @TempDir private Path dir;

    private String upFails(LabUnderTest lab, List<String> as, String port) throws Exception {
        Files.writeString(
                lab.lab(),
                """
                [networks.lan]
                subnet = "10.92.0.0/24"
                ports = [
                  "%s",
                ]

                [domains.web]
                """
                        .formatted(port));
        List<String> command = new ArrayList<>(as);
        command.addAll(
                LabUnderTest.java("up", lab.lab().toString(), "--run-dir", lab.run().toString()));
        Ended up = lab.execute(command);
        assertEquals(1, up.code(), up.output());
        List<String> lines = up.output().strip().lines().toList();
        assertEquals(1, lines.size(), up.output());
        assertFalse(Files.exists(lab.run().resolve("lab")), "the run directory is left");
        return lines.getFirst();
    }

    @Test
    void anOrdinaryUsersTapSaysWhatIsMissingAndTheWayWithout() throws Exception {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: it becomes another user");
        }
        ExternalTools.require("setpriv", "util-linux");
        Files.setPosixFilePermissions(dir, PosixFilePermissions.fromString("rwx--x--x"));
        Path home = Files.createDirectory(dir.resolve("home"));
        Files.setPosixFilePermissions(home, PosixFilePermissions.fromString("rwxrwxrwx"));
        // The classes may lie in a folder of root's: this user may read everything, no more.
        List<String> nobody =
                List.of(
                        "setpriv",
                        "--reuid=65534",
                        "--regid=65534",
                        "--clear-groups",
                        "--bounding-set=-all,+dac_read_search",
                        "--inh-caps=-all,+dac_read_search",
                        "--ambient-caps=-all,+dac_read_search",
                        "--");
        String said = upFails(new LabUnderTest(home), nobody, "tap, name=nobodys0");
        assertTrue(said.contains("lab.toml:4: networks.lan.ports"), said);
        assertTrue(said.contains("nobodys0"), said);
        assertTrue(said.contains("CAP_NET_ADMIN"), said);
        assertTrue(said.contains("without it a stream port reaches the outside, through passt"));
    }

    @Test
    void aPortInUseIsNamedWithItsPlaceInTheLabFile() throws Exception {
        LabUnderTest lab = new LabUnderTest(dir);
        InetAddress loopback = InetAddress.getLoopbackAddress();
        try (ServerSocket taken = new ServerSocket(0, 1, loopback)) {
            String address = "127.0.0.1:" + taken.getLocalPort();
            String said = upFails(lab, List.of(), "stream, listen=" + address);
            assertTrue(said.contains("lab.toml:4: networks.lan.ports"), said);
            assertTrue(said.contains(address) && said.contains("in use"), said);
        }
        try (DatagramSocket taken = new DatagramSocket(new InetSocketAddress(loopback, 0))) {
            String address = "127.0.0.1:" + taken.getLocalPort();
            String said =
                    upFails(lab, List.of(), "vxlan, vni=1, local=" + address + ", peers=127.0.0.1");
            assertTrue(said.contains("lab.toml:4: networks.lan.ports"), said);
            assertTrue(said.contains(address) && said.contains("in use"), said);
        }
    }
}
