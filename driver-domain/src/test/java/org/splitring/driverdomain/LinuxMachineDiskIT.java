package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.VectoredFile;

/// The kernel of a QEMU machine on two exports: a file system on one, a discard of the other.
@Timeout(180)
class LinuxMachineDiskIT {
    private static final String SCRIPT =
            """
            $b mke2fs -F /dev/vda >/dev/null
            $b mkdir /m
            $b mount -t ext2 /dev/vda /m
            $b dd if=/dev/urandom of=/m/a bs=64k count=100 2>/dev/null
            $b sha256sum /m/a >/m/sum
            $b umount /m
            echo 3 >/proc/sys/vm/drop_caches
            $b mount -t ext2 /dev/vda /m
            $b sha256sum -c /m/sum
            $b sync
            $b umount /m
            $b blkdiscard /dev/vdb && echo discarded
            $b cmp -n 4194304 /dev/vdb /dev/zero && echo zeros
            echo all said
            """;

    @TempDir Path dir;
    private LabUnderTest lab;

    @BeforeEach
    void up() throws Exception {
        lab = new LabUnderTest(dir);
        Path image = lab.image("a.img", 16);
        byte[] full = new byte[4 << 20];
        Arrays.fill(full, (byte) 0xAA);
        Files.write(dir.resolve("b.img"), full);
        Files.writeString(
                lab.lab(),
                "[domains.web]\ndisk = [\"" + image + ",raw,xvda\", \"b.img,raw,xvdb\"]\n");
        lab.up();
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    private List<String> drive(String vdev) {
        return List.of(
                "-blockdev",
                "driver=nbd,node-name="
                        + vdev
                        + ",discard=unmap,server.type=unix,server.path="
                        + lab.run().resolve("web/" + vdev + ".nbd"),
                "-device",
                "virtio-blk-pci,drive=" + vdev);
    }

    @Test
    void aFileSystemOnAnExportIsGoodAndADiscardReachesTheImage() throws Exception {
        List<String> drives = Stream.of("xvda", "xvdb").flatMap(v -> drive(v).stream()).toList();
        try (PeerProcess machine = LinuxMachine.start(dir, drives, SCRIPT)) {
            machine.awaitSaid("all said", Duration.ofSeconds(90));
            String said = machine.said();
            assertTrue(said.contains("/m/a: OK"), said);
            assertTrue(said.contains("discarded"), said);
            assertTrue(said.contains("zeros"), said);
        }
        lab.down();
        Ended checked =
                lab.tool("e2fsck", "e2fsprogs", "-f", "-n", dir.resolve("a.img").toString());
        assertEquals(0, checked.code(), checked.output());
        try (VectoredFile image = VectoredFile.open(dir.resolve("b.img"))) {
            assertEquals(0, image.status().allocatedBytes());
        }
    }
}
