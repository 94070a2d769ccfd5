package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/// What lies between the interfaces `eth0` of two network namespaces. Namespaces, interfaces and
/// processes have names of this run, and are gone when this is closed.
///
/// The switches of others get their TAPs in a namespace of their own; then these are moved into
/// those of the guests, with the switch still at the other end. So nothing of a run is ever seen
/// in the namespace of this machine.
final class TapBed extends Bed {
    private static final String SUBNET = "10.97.0.";

    /// Where programs run: `ip netns exec` takes these.
    private final List<String> namespaces = new ArrayList<>();

    private final List<Long> processes = new ArrayList<>();

    private final String name;

    /// @param open gets this before anything is made that must be taken away
    private TapBed(String kind, Deque<? super TapBed> open) throws IOException {
        name = "sb" + ProcessHandle.current().pid() + kind;
        open.push(this);
    }

    /// Two guests of a lab of ours.
    ///
    /// @param program main class with the commands `up` and `down`
    static TapBed splitring(String program, Deque<TapBed> open)
            throws IOException, InterruptedException {
        return splitring(program, "", open);
    }

    /// The same, with a disk for guest 2.
    ///
    /// @param image of its disk `xvda`; empty for none
    static TapBed splitring(String program, String image, Deque<? super TapBed> open)
            throws IOException, InterruptedException {
        TapBed bed = new TapBed("l", open);
        return bed.build(
                () -> {
                    StringBuilder lab = new StringBuilder("[networks.lan]\n");
                    lab.append("subnet = \"").append(SUBNET).append("0/24\"\n");
                    for (int guest = 1; guest <= 2; guest++) {
                        lab.append("[domains.%s%d]%n".formatted(bed.name, guest));
                        if (guest == 2 && !image.isEmpty()) {
                            lab.append("disk = [\"vdev=xvda, target=%s\"]%n".formatted(image));
                        }
                        lab.append("vif = [\"bridge=lan, ip=%s\"]%n".formatted(address(guest)));
                        bed.namespaces.add("splitring-" + bed.name + guest);
                    }
                    var ignored = bed.up(program, lab.toString());
                });
    }

    /// Two ports of a switch of ours that are TAPs, as those of the others are.
    static TapBed ports(String program, Deque<TapBed> open)
            throws IOException, InterruptedException {
        TapBed bed = new TapBed("p", open);
        return bed.build(
                () -> {
                    String between = bed.makeNamespaces();
                    ToolProgram.run(ip(between, "link", "set", "lo", "up"));
                    String lab =
                            """
                            [networks.lan]
                            ports = ["tap, name=t1", "tap, name=t2"]
                            [domains.nobody]
                            guest = "external"
                            """;
                    var ignored = bed.up(program, lab, "ip", "netns", "exec", between);
                    bed.moveBothIn(between);
                });
    }

    /// Many guests of a lab of ours that do nothing.
    static TapBed idleGuests(String program, int guests, Deque<TapBed> open)
            throws IOException, InterruptedException {
        TapBed bed = new TapBed("i", open);
        return bed.build(
                () -> {
                    StringBuilder lab = new StringBuilder("[networks.lan]\n");
                    for (int guest = 0; guest < guests; guest++) {
                        lab.append("[domains.%s%d]%n".formatted(bed.name, guest));
                        lab.append("vif = [\"bridge=lan\"]\n");
                        bed.namespaces.add("splitring-" + bed.name + guest);
                    }
                    bed.processes.addAll(bed.up(program, lab.toString()));
                });
    }

    /// Of a lab with idle guests: the driver domain and the guests.
    List<Long> processes() {
        return processes;
    }

    /// Nobody sends anything any more of itself, as IPv6 does for minutes to look for routers.
    void turnIpv6Off() throws IOException, InterruptedException {
        for (String namespace : namespaces) {
            ToolProgram.run(
                    List.of(
                            "ip",
                            "netns",
                            "exec",
                            namespace,
                            "sh",
                            "-c",
                            "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"));
        }
    }

    /// Ports of the kernel's bridge.
    ///
    /// @param offloads whether checksums and large segments pass as they are
    static TapBed bridge(boolean offloads, Deque<? super TapBed> open)
            throws IOException, InterruptedException {
        TapBed bed = new TapBed(offloads ? "b" : "n", open);
        return bed.build(
                () -> {
                    String between = bed.makeNamespaces();
                    ToolProgram.run(ip(between, "link", "add", "br0", "type", "bridge"));
                    ToolProgram.run(ip(between, "link", "set", "br0", "up"));
                    for (int guest = 1; guest <= 2; guest++) {
                        String port = "p" + guest;
                        ToolProgram.run(
                                ip(
                                        between,
                                        "link",
                                        "add",
                                        "t" + guest,
                                        "type",
                                        "veth",
                                        "peer",
                                        "name",
                                        port));
                        ToolProgram.run(ip(between, "link", "set", port, "master", "br0", "up"));
                        bed.moveIn(between, guest);
                        if (!offloads) {
                            withoutOffloads(between, port);
                            withoutOffloads(bed.namespaces.get(guest - 1), "eth0");
                        }
                    }
                });
    }

    private static void withoutOffloads(String namespace, String device)
            throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of("ip", "netns", "exec", namespace, "ethtool", "-K", device));
        for (String feature : List.of("tx", "rx", "sg", "tso", "gso", "gro")) {
            command.addAll(List.of(feature, "off"));
        }
        ToolProgram.run(command);
    }

    /// Ports of `vde_switch`.
    static TapBed vde(Deque<TapBed> open) throws IOException, InterruptedException {
        TapBed bed = new TapBed("v", open);
        return bed.build(
                () -> {
                    String between = bed.makeNamespaces();
                    bed.startInside(
                            between,
                            Map.of(),
                            "vde_switch",
                            "-s",
                            bed.folder().resolve("control").toString(),
                            "-tap",
                            "t1",
                            "-tap",
                            "t2");
                    bed.moveBothIn(between);
                });
    }

    /// Ports of QEMU's hub, in a QEMU without a machine.
    static TapBed qemu(Deque<TapBed> open) throws IOException, InterruptedException {
        TapBed bed = new TapBed("q", open);
        return bed.build(
                () -> {
                    String between = bed.makeNamespaces();
                    List<String> command =
                            new ArrayList<>(
                                    List.of(
                                            "qemu-system-x86_64",
                                            "-machine",
                                            "none",
                                            "-nodefaults",
                                            "-display",
                                            "none"));
                    for (int guest = 1; guest <= 2; guest++) {
                        command.addAll(
                                List.of(
                                        "-netdev",
                                        "tap,id=t%d,ifname=t%d,script=no,downscript=no"
                                                .formatted(guest, guest),
                                        "-netdev",
                                        "hubport,id=h%d,hubid=0,netdev=t%d"
                                                .formatted(guest, guest)));
                    }
                    bed.startInside(between, Map.of(), command.toArray(String[]::new));
                    bed.moveBothIn(between);
                });
    }

    /// Ports of Open vSwitch's userspace datapath.
    static TapBed openVswitch(Deque<TapBed> open) throws IOException, InterruptedException {
        TapBed bed = new TapBed("o", open);
        return bed.build(
                () -> {
                    String between = bed.makeNamespaces();
                    Path at = bed.folder();
                    Map<String, String> own =
                            Map.of("OVS_RUNDIR", at.toString(), "OVS_LOGDIR", at.toString());
                    String database = at.resolve("conf.db").toString();
                    String socket = "unix:" + at.resolve("db.sock");
                    ToolProgram.run(
                            List.of(
                                    "ovsdb-tool",
                                    "create",
                                    database,
                                    "/usr/share/openvswitch/vswitch.ovsschema"));
                    bed.startInside(
                            between,
                            own,
                            "ovsdb-server",
                            database,
                            "--remote=p" + socket,
                            "--unixctl=" + at.resolve("database.ctl"));
                    await(() -> Files.exists(at.resolve("db.sock")), "ovsdb-server");
                    bed.startInside(
                            between,
                            own,
                            "ovs-vswitchd",
                            socket,
                            "--unixctl=" + at.resolve("switch.ctl"));
                    List<String> setUp =
                            new ArrayList<>(List.of("ovs-vsctl", "--timeout=20", "--db=" + socket));
                    setUp.addAll(List.of("add-br", "br0", "--", "set", "bridge", "br0"));
                    setUp.add("datapath_type=netdev");
                    for (String tap : List.of("t1", "t2")) {
                        setUp.addAll(List.of("--", "add-port", "br0", tap));
                        setUp.addAll(List.of("--", "set", "interface", tap, "type=internal"));
                    }
                    ToolProgram.run(setUp, own, 30);
                    bed.moveBothIn(between);
                });
    }

    private TapBed build(Cleaning steps) throws IOException, InterruptedException {
        boolean built = false;
        try {
            steps.run();
            built = true;
            return this;
        } finally {
            if (!built) {
                close();
            }
        }
    }

    /// Where a guest of ours shows its disk `xvda`.
    Path export(int guest) {
        return folder().resolve("run/" + name + guest + "/xvda.nbd");
    }

    /// Address of guest 1 or 2.
    static String address(int guest) {
        return SUBNET + guest;
    }

    /// @return the namespace between those of the guests
    private String makeNamespaces() throws IOException, InterruptedException {
        for (String end : List.of("1", "2", "s")) {
            String namespace = name + end;
            later(() -> ToolProgram.run(List.of("ip", "netns", "del", namespace)));
            ToolProgram.run(List.of("ip", "netns", "add", namespace));
            if (!end.equals("s")) {
                namespaces.add(namespace);
            }
        }
        return name + "s";
    }

    private void startInside(String namespace, Map<String, String> environment, String... words)
            throws IOException {
        List<String> command = new ArrayList<>(List.of("ip", "netns", "exec", namespace));
        command.addAll(List.of(words));
        var ignored = start(words[0], command, environment);
    }

    private void moveBothIn(String between) throws IOException, InterruptedException {
        for (int guest = 1; guest <= 2; guest++) {
            List<String> look = ip(between, "link", "show", "t" + guest);
            await(
                    () -> {
                        try {
                            ToolProgram.run(look);
                            return true;
                        } catch (IOException e) {
                            return false;
                        }
                    },
                    "interface t" + guest + " of " + name);
            moveIn(between, guest);
        }
    }

    private void moveIn(String between, int guest) throws IOException, InterruptedException {
        String to = namespaces.get(guest - 1);
        ToolProgram.run(ip(between, "link", "set", "t" + guest, "netns", to, "name", "eth0"));
        ToolProgram.run(ip(to, "addr", "add", address(guest) + "/24", "dev", "eth0"));
        ToolProgram.run(ip(to, "link", "set", "eth0", "up"));
    }

    private static List<String> ip(String namespace, String... words) {
        List<String> command = new ArrayList<>(List.of("ip", "-n", namespace));
        command.addAll(List.of(words));
        return command;
    }

    /// How to run a program beside the interface of guest 1 or 2.
    List<String> inside(int guest, String... words) {
        List<String> command =
                new ArrayList<>(List.of("ip", "netns", "exec", namespaces.get(guest - 1)));
        command.addAll(List.of(words));
        return command;
    }
}
