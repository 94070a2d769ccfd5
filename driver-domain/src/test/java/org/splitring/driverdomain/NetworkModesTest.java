package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.Router;
import org.splitring.bridge.RouterInterface;
import org.splitring.driverdomain.lab.LabFile;
import org.splitring.hypervisor.attached.NettyDeviceLoops;

/// What a router is told of a lab file.
class NetworkModesTest {
    private static final String ROUTER =
            """
            [domains.web]
            [networks.lan]
            mode = "route"
            subnet = "10.1.0.0/24"
            dns = []
            ports = [
              "stream, connect=./a.sock, vifname=a, address=10.2.0.1/24",
              "stream, connect=./b.sock, vifname=b, address=10.3.0.1/24",
            ]
            """;

    @TempDir Path dir;

    @Test
    void aRoutersPortsHaveMacAddressesThatStay() throws Exception {
        List<MacAddress> before = macs(ROUTER);
        assertEquals(3, before.size());
        assertNotEquals(before.get(1), before.get(2));
        assertEquals(
                before, macs("# a line more\n\n" + ROUTER), "what stands above is nothing to it");
    }

    private List<MacAddress> macs(String text) throws Exception {
        Path file = dir.resolve("lab.toml");
        Files.writeString(file, text);
        try (NettyDeviceLoops loops = new NettyDeviceLoops("test", 1)) {
            NetworkModes.Mode mode =
                    NetworkModes.make(
                            LabFile.read(file).networks().getFirst(), List.of(), loops.next());
            Router router = (Router) mode.forwarder();
            return router.settings().interfaces().stream().map(RouterInterface::mac).toList();
        }
    }
}
