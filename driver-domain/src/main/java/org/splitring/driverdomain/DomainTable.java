package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskRate;
import org.splitring.blkback.WorkShares;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabProgram;
import org.splitring.driverdomain.lab.MemoryDisks;
import org.splitring.driverdomain.lab.XlRate;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The table of a domain as a lab file would have it, with the devices of now: those that were
/// attached, without those that were detached, and with the limits that were set since.
final class DomainTable {
    private final LabDomain domain;

    private DomainTable(LabDomain domain) {
        this.domain = domain;
    }

    /// @param devices as they are remembered
    /// @throws CommandException when what is remembered of a disk is none, or a disk in memory
    ///     is gone
    static ObjectNode of(LabDomain domain, List<DeviceNodes.Attached> devices)
            throws CommandException {
        return new DomainTable(domain).table(devices);
    }

    private ObjectNode table(List<DeviceNodes.Attached> devices) throws CommandException {
        ObjectNode table = JsonNodeFactory.instance.objectNode();
        table.put("memory", domain.memoryMib());
        domain.tcpPort().ifPresent(port -> table.put("export", "tcp:" + port));
        domain.program().ifPresent(program -> program(table, program));
        ArrayNode disks = table.putArray("disk");
        ArrayNode vifs = table.putArray("vif");
        ArrayNode others = table.putArray("devices");
        for (DeviceNodes.Attached device : devices) {
            switch (device.paths().type()) {
                case "vbd" -> disks.add(disk(device));
                case "vif" -> vifs.add(vif(device));
                case "console" -> {
                    // Every domain has one, whose files are where the lab runs.
                }
                default -> others.add(other(device));
            }
        }
        return table;
    }

    private static void program(ObjectNode table, LabProgram program) {
        table.put("class", program.className());
        table.put("jar", program.jar().toString());
        ArrayNode arguments = table.putArray("args");
        program.arguments().forEach(arguments::add);
    }

    private String disk(DeviceNodes.Attached device) throws CommandException {
        Map<String, String> keys = device.backend();
        String name = keys.getOrDefault("dev", "");
        DiskSource image;
        try {
            image = DiskSource.parse(keys.getOrDefault("params", ""));
        } catch (DiskException e) {
            throw new CommandException("disk " + name + ": " + e.getMessage(), e);
        }
        List<String> words = new ArrayList<>();
        words.add("vdev=" + name);
        words.add("access=" + (keys.getOrDefault("mode", "").equals("r") ? "ro" : "rw"));
        words.add(keys.getOrDefault("discard-enable", "1").equals("1") ? "discard" : "no-discard");
        words.add("cache=" + keys.getOrDefault("cache", "writeback"));
        if (keys.getOrDefault("device-type", "").equals("cdrom")) {
            words.add("devtype=cdrom");
        }
        words.addAll(limits(keys));
        FileSource base = base(device.paths().device(), image);
        if (base != null) {
            words.add("overlay=" + image.name());
        }
        DiskSource target = base == null ? image : base;
        if (MemoryDisks.isOne(target)) {
            words.add("target=" + memory(name, Path.of(target.name())));
        } else if (target instanceof FileSource file) {
            words.add("format=" + file.format().label());
            words.add("target=" + file.path());
        } else {
            words.add("target=" + target); // with what it says of reconnecting
        }
        return String.join(", ", words);
    }

    /// As large as it is now.
    private static String memory(String disk, Path image) throws CommandException {
        try {
            return MemoryDisks.target(Files.size(image));
        } catch (IOException e) {
            throw new CommandException("disk " + disk + " in memory: " + e, e);
        }
    }

    /// What the lab says that a disk's image is based on.
    private @Nullable FileSource base(int device, DiskSource image) {
        return domain.disks().stream()
                .filter(disk -> disk.device().number() == device && disk.source().equals(image))
                .findFirst()
                .flatMap(LabDisk::base)
                .orElse(null);
    }

    private static List<String> limits(Map<String, String> keys) {
        List<String> words = new ArrayList<>();
        DiskRate rate = DiskRate.parse(keys.getOrDefault("rate", DiskRate.UNLIMITED.toString()));
        if (rate.bytesPerSecond() != 0) {
            words.add("bps=" + rate.bytesPerSecond());
        }
        if (rate.operationsPerSecond() != 0) {
            words.add("iops=" + rate.operationsPerSecond());
        }
        if (rate.isLimited()) {
            words.add("burst=" + rate.burstMillis());
        }
        words.add("weight=" + keys.getOrDefault("weight", WorkShares.DEFAULT_WEIGHT + ""));
        return words;
    }

    private static String vif(DeviceNodes.Attached device) {
        Map<String, String> keys = device.backend();
        List<String> words = new ArrayList<>();
        words.add("devid=" + device.paths().device());
        for (String key : List.of("bridge", "mac", "vifname", "mtu", "vlan")) {
            if (keys.containsKey(key)) {
                words.add(key + "=" + keys.get(key));
            }
        }
        String ips = device.frontend().getOrDefault("ip", "");
        if (!ips.isEmpty()) {
            words.add("ip=" + ips);
        }
        if (keys.containsKey("rate")) {
            words.add("rate=" + XlRate.ofNode(keys.getOrDefault("rate", "")).text());
        }
        return String.join(", ", words);
    }

    private static String other(DeviceNodes.Attached device) {
        Map<String, String> keys = new TreeMap<>(device.frontend());
        keys.putAll(device.backend());
        StringBuilder text = new StringBuilder(device.paths().type());
        keys.forEach((key, value) -> text.append(", ").append(key).append('=').append(value));
        return text.toString();
    }
}
