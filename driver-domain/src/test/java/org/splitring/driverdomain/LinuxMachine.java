package org.splitring.driverdomain;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.splitring.testkit.ExternalTools;

/// A machine of QEMU's with Debian's kernel, whose whole system is a script and busybox in an
/// initial RAM disk. Without KVM it is up in some seconds.
///
/// The kernel is the newest one of this machine; `-Dsplitring.kernel.root=DIR` takes that of an
/// unpacked package instead (`dpkg-deb -x linux-image-....deb DIR`).
final class LinuxMachine {
    private static final String PACKAGE = "linux-image-cloud-amd64";

    /// Modes of a file that may be run and of a folder, both for everybody: 0100755 and 040755.
    private static final int REGULAR = 0x81ED;

    private static final int FOLDER = 0x41ED;

    /// In the order in which they need each other; those that a kernel has built in are not there.
    private static final List<String> MODULES =
            List.of(
                    "drivers/virtio/virtio_ring",
                    "drivers/virtio/virtio",
                    "drivers/virtio/virtio_pci_modern_dev",
                    "drivers/virtio/virtio_pci_legacy_dev",
                    "drivers/virtio/virtio_pci",
                    "net/core/failover",
                    "drivers/net/net_failover",
                    "drivers/net/virtio_net",
                    "drivers/block/virtio_blk");

    private static final String LEASE =
            """
            #!/bin/busybox sh
            b=/bin/busybox
            [ "$1" = bound ] || exit 0
            $b ip addr add $ip/$mask dev $interface
            $b ip route add default via $router
            echo "bound to $ip/$mask, router $router, mtu $mtu"
            """;

    private final ByteArrayOutputStream archive = new ByteArrayOutputStream();
    private final List<String> made = new ArrayList<>(List.of("bin", "lib", "lib64"));
    private int inode;

    private LinuxMachine() {}

    /// Starts one with a network interface, `eth0`.
    ///
    /// @param dir for its files
    /// @param netdev QEMU's, with the id `cable`
    /// @param script what it does; then it stops
    static PeerProcess start(Path dir, String netdev, String mac, String script)
            throws IOException {
        return start(
                dir,
                List.of(
                        "-netdev",
                        netdev,
                        "-device",
                        "virtio-net-pci,netdev=cable,romfile=,mac=" + mac),
                "$b ip link set lo up\n$b ip link set eth0 up\n" + script);
    }

    /// Starts one.
    ///
    /// @param dir for its files
    /// @param devices QEMU's options for them
    /// @param script what it does once they are there, with `$b` for busybox; then it stops
    static PeerProcess start(Path dir, List<String> devices, String script) throws IOException {
        String qemu = ExternalTools.require("qemu-system-x86_64", "qemu-system-x86").toString();
        Path busybox = ExternalTools.require("busybox", "busybox");
        Path root = Path.of(System.getProperty("splitring.kernel.root", "/"));
        Path kernel = kernel(root.resolve("boot"));
        String version = kernel.getFileName().toString().substring("vmlinuz-".length());
        Path disk = dir.resolve("initrd");
        Files.write(
                disk,
                new LinuxMachine().system(root.resolve("lib/modules/" + version), busybox, script));
        List<String> command =
                new ArrayList<>(
                        List.of(
                                qemu,
                                "-machine",
                                "pc,accel=tcg",
                                "-cpu",
                                "max",
                                "-m",
                                "192",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-no-reboot",
                                "-serial",
                                "stdio",
                                "-kernel",
                                kernel.toString(),
                                "-initrd",
                                disk.toString(),
                                "-append",
                                "console=ttyS0 quiet panic=-1 mitigations=off"));
        command.addAll(devices);
        return PeerProcess.start(dir, command);
    }

    private static Path kernel(Path boot) throws IOException {
        if (Files.isDirectory(boot)) {
            try (Stream<Path> files = Files.list(boot)) {
                var newest =
                        files.filter(f -> f.getFileName().toString().startsWith("vmlinuz-"))
                                .filter(Files::isReadable)
                                .max(Comparator.comparing(Path::toString));
                if (newest.isPresent()) {
                    return newest.get();
                }
            }
        }
        return ExternalTools.requireFile(boot + "/vmlinuz-*", PACKAGE);
    }

    private byte[] system(Path modules, Path busybox, String script) throws IOException {
        for (String folder : List.of("bin", "lib", "lib64", "proc", "sys", "dev")) {
            add(folder, FOLDER, new byte[0]);
        }
        add("bin/busybox", REGULAR, Files.readAllBytes(busybox));
        for (Path library : libraries(busybox)) {
            folders(library.toString().substring(1));
            add(library.toString().substring(1), REGULAR, Files.readAllBytes(library));
        }
        List<String> names = new ArrayList<>();
        for (String module : MODULES) {
            Path file = modules.resolve("kernel/" + module + ".ko");
            String name = file.getFileName().toString();
            names.add(name.substring(0, name.length() - ".ko".length()));
            if (Files.isReadable(file)) {
                add(name, REGULAR, Files.readAllBytes(file));
            }
        }
        // `$b` is busybox. What udhcpc calls is `/lease`.
        String init =
                """
                #!/bin/busybox sh
                b=/bin/busybox
                $b mount -t proc proc /proc
                $b mount -t sysfs sys /sys
                $b mount -t devtmpfs dev /dev
                for m in %s; do [ ! -e /$m.ko ] || $b insmod /$m.ko; done
                %s
                $b poweroff -f
                """
                        .formatted(String.join(" ", names), script);
        add("init", REGULAR, init.getBytes(StandardCharsets.UTF_8));
        add("lease", REGULAR, LEASE.getBytes(StandardCharsets.UTF_8));
        inode = -1;
        add("TRAILER!!!", 0, new byte[0]);
        return archive.toByteArray();
    }

    private void folders(String file) throws IOException {
        for (int at = file.indexOf('/'); at > 0; at = file.indexOf('/', at + 1)) {
            String folder = file.substring(0, at);
            if (!made.contains(folder)) {
                made.add(folder);
                add(folder, FOLDER, new byte[0]);
            }
        }
    }

    /// What `ldd` says; nothing for a static one.
    private static List<Path> libraries(Path program) throws IOException {
        Process ldd =
                new ProcessBuilder("ldd", program.toString()).redirectErrorStream(true).start();
        List<Path> found = new ArrayList<>();
        try (var lines = ldd.inputReader(StandardCharsets.UTF_8)) {
            for (String word :
                    lines.lines().flatMap(l -> Stream.of(l.split("\\s+", -1))).toList()) {
                if (word.startsWith("/") && !word.endsWith(":")) {
                    found.add(Path.of(word));
                }
            }
        }
        return found;
    }

    /// One file of a cpio archive of the kind that Linux wants: `newc`, its kernel's
    /// `buffer-format.rst`.
    private void add(String name, int mode, byte[] content) throws IOException {
        inode++;
        int[] fields = {inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length() + 1, 0};
        StringBuilder header = new StringBuilder("070701");
        for (int field : fields) {
            header.append(String.format(Locale.ROOT, "%08X", field));
        }
        archive.writeBytes((header + name + "\0").getBytes(StandardCharsets.US_ASCII));
        pad();
        archive.writeBytes(content);
        pad();
    }

    private void pad() {
        while (archive.size() % 4 != 0) {
            archive.write(0);
        }
    }
}
