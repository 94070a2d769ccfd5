package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.lab.GuestTable;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabFile;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.driverdomain.lab.SavedDomain;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import tools.jackson.databind.node.ObjectNode;

/// What is saved of a domain is what a lab file would have said of it.
class DomainTableTest {
    private static final DomId ONE = new DomId(1);

    @TempDir Path dir;

    private Path lab(String web) throws Exception {
        for (String image : List.of("a, b.img", "c.iso", "base.img", "d.qcow2")) {
            Files.write(dir.resolve(image), new byte[4096]);
        }
        return Files.writeString(
                dir.resolve("lab.toml"),
                "[domains.web]\n"
                        + web
                        + """

                        [networks.lan]
                        subnet = ["10.1.0.0/24", "fd00:1::/64"]
                        vlan_filtering = true
                        mtu = 1400
                        """);
    }

    private static List<DeviceNodes.Attached> devices(LabDomain domain) {
        List<DeviceNodes.Attached> devices = new ArrayList<>();
        domain.disks().forEach(disk -> devices.add(DeviceNodes.disk(ONE, disk)));
        domain.vifs().forEach(vif -> devices.add(DeviceNodes.vif(ONE, vif)));
        domain.devices()
                .forEach(
                        device ->
                                devices.add(
                                        new DeviceNodes.Attached(
                                                new DevicePaths(
                                                        device.deviceClass(), ONE, DomId.ZERO, 0),
                                                device.parameters(),
                                                device.parameters())));
        return devices;
    }

    /// What comes back from a file that has the table.
    private LabDomain again(Path lab, ObjectNode table) throws Exception {
        Path file = dir.resolve("web.saved");
        new SavedDomain("web", 1, "0.1.0", "2026-11-27T10:00:00Z", table, Map.of()).write(file);
        GuestTable guest = GuestTable.read(file);
        return LabFile.read(lab, List.of(guest), Set.of("web")).domains().getLast();
    }

    @Test
    void aDomainWithEverythingIsTheSameAgain() throws Exception {
        Path lab =
                lab(
                        """
                        memory = 48
                        export = "tcp:10810"
                        disk = [
                          "format=raw, vdev=xvda, bps=20MiB, iops=500, burst=50ms, weight=7, target=a, b.img",
                          "c.iso,raw,xvdb,ro,devtype=cdrom",
                          "format=raw, vdev=xvdc, no-discard, cache=writethrough, overlay=new.qcow2, target=base.img",
                          "format=qcow2, vdev=xvdd, access=ro, target=d.qcow2",
                          "vdev=xvde, target=nbd+unix:///x%20y?socket=/run/s.sock&x-reconnect=9",
                        ]
                        vif = [
                          "ip=10.1.0.2 fd00:1::2, rate=10Mb/s@20ms, vlan=10p/20, mtu=1300",
                          "mac=00:16:3e:00:00:07, vifname=other, devid=5, rate=3B/s@700ms",
                        ]
                        devices = ["vrng", "9pfs, tag=share, path=./dir"]
                        """);
        LabDomain domain = LabFile.read(lab).domains().getFirst();
        LabDomain back = again(lab, DomainTable.of(domain, devices(domain)));
        assertEquals(domain.memoryMib(), back.memoryMib());
        assertEquals(domain.tcpPort(), back.tcpPort());
        assertEquals(
                domain.disks().stream().map(disk -> disk.at("")).toList(),
                back.disks().stream().map(disk -> disk.at("")).toList());
        assertEquals(
                domain.vifs().stream().map(DomainTableTest::keys).toList(),
                back.vifs().stream().map(DomainTableTest::keys).toList());
        assertEquals(
                domain.devices().stream().map(device -> device.at("")).toList(),
                back.devices().stream().map(device -> device.at("")).toList());
    }

    @Test
    void theClassOfAGuestIsTheSameAgain() throws Exception {
        Path classes = Files.createDirectories(dir.resolve("classes/a"));
        Files.write(classes.resolve("B.class"), new byte[] {1}); // looked for, and not loaded
        TestJars.jar(dir.resolve("b.jar"), dir.resolve("classes"), file -> true);
        Path lab = lab("class = \"a.B\"\njar = \"b.jar\"\nargs = [\"x y\", \"\"]\n");
        LabDomain domain = LabFile.read(lab).domains().getFirst();
        LabDomain back = again(lab, DomainTable.of(domain, devices(domain)));
        assertEquals(List.of("x y", ""), back.program().orElseThrow().arguments());
        assertEquals(domain.program(), back.program());
    }

    private static List<Map<String, String>> keys(LabVif vif) {
        return List.of(vif.frontendKeys(), vif.backendKeys());
    }

    @Test
    void whatWasChangedSinceCounts() throws Exception {
        Path lab = lab("disk = [\"c.iso,raw,xvda,rw\"]\nvif = [\"ip=10.1.0.2\"]\n");
        LabDomain domain = LabFile.read(lab).domains().getFirst();
        List<DeviceNodes.Attached> devices = new ArrayList<>();
        for (DeviceNodes.Attached device : devices(domain)) {
            Map<String, String> backend = new TreeMap<>(device.backend());
            backend.put("rate", device.paths().type().equals("vbd") ? "0,30,100" : "5000,50000");
            devices.add(new DeviceNodes.Attached(device.paths(), device.frontend(), backend));
        }
        LabDomain back = again(lab, DomainTable.of(domain, devices));
        assertEquals(30, back.disks().getFirst().limits().rate().operationsPerSecond());
        assertEquals("5000,50000", back.vifs().getFirst().rate().orElse(""));
        assertEquals(domain.vifs().getFirst().mac(), back.vifs().getFirst().mac());
        // One that was detached is not saved.
        assertEquals(
                List.of(),
                again(lab, DomainTable.of(domain, devices.subList(1, 2))).disks().stream()
                        .map(LabDisk::place)
                        .toList());
    }

    @Test
    void aDiskInMemoryIsAsLargeAsItIsNow() throws Exception {
        Path lab = lab("disk = [\"memory:1MiB,,xvda\"]\n");
        LabDomain domain = LabFile.read(lab).domains().getFirst();
        Path image = Path.of(domain.disks().getFirst().source().name());
        CommandException gone =
                assertThrows(CommandException.class, () -> DomainTable.of(domain, devices(domain)));
        assertTrue((gone.getMessage() + "").contains("disk xvda in memory"), gone.getMessage());
        try {
            Files.write(image, new byte[3 << 20]);
            LabDomain back = again(lab, DomainTable.of(domain, devices(domain)));
            assertEquals(3 << 20, back.disks().getFirst().createBytes().orElse(0));
            assertEquals(image.toString(), back.disks().getFirst().source().name());
        } finally {
            Files.deleteIfExists(image);
        }
    }
}
