package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.splitring.blkback.image.FileSource;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDevice;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.driverdomain.lab.MemoryDisks;

/// What `up` would make of a lab file, in lines for people. Nothing is made or opened.
record LabPlan(Lab lab) {
    /// The plan.
    ///
    /// @throws CommandException with the place of an image that this user may not use, or of a
    ///     network that contradicts itself
    List<String> lines() throws CommandException {
        List<String> lines = new ArrayList<>();
        checkNetworks();
        int domid = 1;
        for (LabDomain domain : lab.domains()) {
            String who =
                    domain.guest() == LabDomain.GuestKind.EXTERNAL
                            ? "external: whoever attaches"
                            : domain.program()
                                    .map(program -> "a process that runs " + program.className())
                                    .orElse("a process of its own");
            lines.add(
                    String.format(
                            Locale.ROOT,
                            "domain %s  domid %d  %d MiB  %s",
                            domain.name(),
                            domid++,
                            domain.memoryMib(),
                            who));
            for (LabDisk disk : domain.disks()) {
                lines.add("  " + disk(disk));
            }
            for (LabVif vif : domain.vifs()) {
                lines.add(
                        String.format(
                                Locale.ROOT,
                                "  eth%d  on %s  %s  %s",
                                vif.device(),
                                vif.network(),
                                vif.mac(),
                                String.join("  ", vif.addresses())));
            }
            for (LabDevice device : domain.devices()) {
                lines.add("  " + device.deviceClass() + "  " + device.parameters());
            }
            domain.tcpPort()
                    .ifPresent(
                            port ->
                                    lines.add(
                                            "  disks at "
                                                    + (domain.tls().isPresent() ? "nbds" : "nbd")
                                                    + "://localhost:"
                                                    + port
                                                    + "/"));
        }
        for (LabNetwork network : lab.networks()) {
            lines.add(
                    String.format(
                            Locale.ROOT,
                            "network %s  %s  MTU %d  %s",
                            network.name(),
                            network.mode().text(),
                            network.mtu(),
                            String.join(
                                    "  ",
                                    network.subnets().stream().map(Object::toString).toList())));
            for (LabPort port : network.ports()) {
                lines.add(
                        "  port "
                                + port.plug().name()
                                + "  "
                                + port.getClass().getSimpleName().toLowerCase(Locale.ROOT));
            }
        }
        return lines.stream().map(String::stripTrailing).toList();
    }

    /// What only all of a network shows: a port that is forwarded twice, or to nobody.
    private void checkNetworks() throws CommandException {
        for (LabNetwork network : lab.networks()) {
            try {
                NetworkModes.check(network, List.of());
            } catch (IllegalArgumentException e) {
                throw new CommandException(network.place() + ": " + e.getMessage(), e);
            }
        }
    }

    private static String disk(LabDisk disk) throws CommandException {
        String text =
                disk.device().name()
                        + "  "
                        + (disk.readOnly() ? "ro" : "rw")
                        + "  "
                        + (disk.cdrom() ? "cdrom  " : "");
        if (disk.base().isPresent()) {
            return text
                    + disk.source().name()
                    + "  over "
                    + checked(disk, disk.base().get()).path();
        }
        if (MemoryDisks.isOne(disk.source())) {
            return text + "memory  " + Sizes.text(disk.createBytes().orElseThrow());
        }
        if (!(disk.source() instanceof FileSource image)) {
            return text + disk.source();
        }
        if (disk.createBytes().isPresent() && !Files.exists(image.path())) {
            return text
                    + disk.source()
                    + "  to be made, "
                    + Sizes.text(disk.createBytes().getAsLong());
        }
        return text + checked(disk, image);
    }

    private static FileSource checked(LabDisk disk, FileSource image) throws CommandException {
        Path path = image.path();
        try {
            if (!Files.isReadable(path)
                    || (!disk.readOnly() && disk.base().isEmpty() && !Files.isWritable(path))) {
                throw new CommandException(
                        disk.place()
                                + ": image "
                                + path
                                + " may not be used by this user; it belongs to "
                                + Files.getOwner(path));
            }
            return image;
        } catch (IOException e) {
            throw new CommandException(disk.place() + ": image " + path + ": " + e, e);
        }
    }
}
