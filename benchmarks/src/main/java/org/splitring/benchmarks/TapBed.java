package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What lies between the interfaces `eth0` of two network namespaces. Namespaces, interfaces and
/// processes have names of this run, and are gone when this is closed.
///
/// The switches of others get their TAPs in a namespace of their own; then these are moved into
/// those of the guests, with the switch still at the other end. So nothing of a run is ever seen
/// in the namespace of this machine.
final class TapBed implements AutoCloseable {
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final int END_SECONDS = 5;
    private static final String SUBNET = "10.97.0.";
    private static final Pattern PROCESS = Pattern.compile("process (\\d+)");

    /// Where programs run: `ip netns exec` takes these.
    private final List<String> namespaces = new ArrayList<>();

    private final String name;
    private final Path folder;
    private final Deque<Cleaning> cleanings = new ArrayDeque<>(); // guarded by this
    private boolean closed; // guarded by this

    @FunctionalInterface
    private interface Cleaning {
        void run() throws IOException, InterruptedException;
    }

    /// @param open gets this before anything is made that must be taken away
    private TapBed(String kind, Deque<TapBed> open) throws IOException {
        name = "sb" + ProcessHandle.current().pid() + kind;
        folder = Files.createTempDirectory("splitring-bench");
        later(() -> delete(folder));
        open.push(this);
    }

    /// Has something done at the end; called before that is needed.
    private synchronized void later(Cleaning cleaning) throws IOException {
        if (closed) {
            throw new IOException("the run has ended");
        }
        cleanings.push(cleaning);
    }

    /// Two guests of a lab of ours.
    ///
    /// @param program main class with the commands `up` and `down`
    static TapBed splitring(String program, Deque<TapBed> open)
            throws IOException, InterruptedException {
        TapBed bed = new TapBed("l", open);
        return bed.build(
                () -> {
                    StringBuilder lab = new StringBuilder("[networks.lan]\n");
                    lab.append("subnet = \"").append(SUBNET).append("0/24\"\n");
                    for (int guest = 1; guest <= 2; guest++) {
                        lab.append("[domains.%s%d]%n".formatted(bed.name, guest));
                        lab.append("vif = [\"bridge=lan, ip=%s\"]%n".formatted(address(guest)));
                        bed.namespaces.add("splitring-" + bed.name + guest);
                    }
                    bed.up(program, lab.toString());
                });
    }

    /// Many guests of a lab of ours that do nothing.
    ///
    /// @return the processes: driver domain and guests
    static List<Long> idleGuests(String program, int guests, Deque<TapBed> open)
            throws IOException, InterruptedException {
        TapBed bed = new TapBed("i", open);
        List<Long> processes = new ArrayList<>();
        TapBed ignored =
                bed.build(
                        () -> {
                            StringBuilder lab = new StringBuilder("[networks.lan]\n");
                            for (int guest = 0; guest < guests; guest++) {
                                lab.append("[domains.%s%d]%n".formatted(bed.name, guest));
                                lab.append("vif = [\"bridge=lan\"]\n");
                            }
                            Matcher matcher = PROCESS.matcher(bed.up(program, lab.toString()));
                            while (matcher.find()) {
                                processes.add(Long.parseLong(matcher.group(1)));
                            }
                        });
        return processes;
    }

    /// Ports of the kernel's bridge.
    ///
    /// @param offloads whether checksums and large segments pass as they are
    static TapBed bridge(boolean offloads, Deque<TapBed> open)
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
                            bed.folder.resolve("control").toString(),
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
                    Path at = bed.folder;
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

    /// Address of guest 1 or 2.
    static String address(int guest) {
        return SUBNET + guest;
    }

    private String up(String program, String lab) throws IOException, InterruptedException {
        Path file = Files.writeString(folder.resolve("lab.toml"), lab);
        String runDir = folder.resolve("run").toString();
        later(() -> ToolProgram.run(command(program, "down", "--run-dir", runDir), Map.of(), 120));
        return ToolProgram.run(
                command(program, "up", file.toString(), "--run-dir", runDir, "--detach"),
                Map.of(),
                600);
    }

    private static List<String> command(String program, String... arguments) {
        List<String> command = new ArrayList<>(JavaProgram.command(program, "-XX:+UseSerialGC"));
        command.addAll(List.of(arguments));
        return command;
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
        Path output = folder.resolve(words[0] + ".out");
        synchronized (this) { // no end between the start and the note of it
            if (closed) {
                throw new IOException("the run has ended");
            }
            Process process = ToolProgram.start(command, environment, output);
            later(
                    () -> {
                        process.destroy();
                        if (!process.waitFor(END_SECONDS, TimeUnit.SECONDS)) {
                            process.destroyForcibly().waitFor();
                        }
                    });
        }
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

    @FunctionalInterface
    private interface Condition {
        boolean holds() throws InterruptedException;
    }

    private static void await(Condition condition, String what)
            throws IOException, InterruptedException {
        long end = System.nanoTime() + PATIENCE_NANOS;
        while (!condition.holds()) {
            if (System.nanoTime() - end > 0) {
                throw new IOException(what + " did not come about");
            }
            TimeUnit.MILLISECONDS.sleep(20);
        }
    }

    /// How to run a program beside the interface of guest 1 or 2.
    List<String> inside(int guest, String... words) {
        List<String> command =
                new ArrayList<>(List.of("ip", "netns", "exec", namespaces.get(guest - 1)));
        command.addAll(List.of(words));
        return command;
    }

    Path folder() {
        return folder;
    }

    /// Takes everything away, the last first. Any thread; the second time it does nothing.
    @Override
    public synchronized void close() {
        closed = true;
        while (!cleanings.isEmpty()) {
            try {
                cleanings.pop().run();
            } catch (IOException e) {
                System.err.println("note: " + e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt(); // what is left still goes, as far as it can
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        try (var files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }
}
