package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `bench net`: frames from ring to ring, from TAP to TAP beside other switches, and what guests
/// cost that do nothing. How to read it: `docs/bench-net.md`.
@Command(
        name = "net",
        mixinStandardHelpOptions = true,
        description = "Measures networks of guests, beside the kernel's bridge and other switches.",
        footer = {
            "",
            "TAPs need root, iperf3 and ping. A switch that is not installed is left out.",
            "Needs two free processors to mean anything."
        })
public final class BenchNetCommand implements Callable<Integer> {
    private static final List<String> PARTS = List.of("ring", "tap", "idle");
    private static final List<String> SUBJECTS =
            List.of(
                    "splitring",
                    "splitring-ports",
                    "ovs",
                    "vde",
                    "qemu-hub",
                    "bridge",
                    "bridge-plain");
    private static final List<String> SIZES = List.of("64", "1500", "65214");
    private static final int QUICK_GUESTS = 2;

    @Spec private @Nullable CommandSpec spec;

    @Mixin private final BenchOptions options = new BenchOptions();

    @Option(
            names = "--parts",
            split = ",",
            paramLabel = "PART",
            description = "Only these of ring, tap, idle.")
    private List<String> parts = PARTS;

    @Option(
            names = "--guests",
            paramLabel = "N",
            defaultValue = "100",
            description = "How many idle guests, a process each (default: ${DEFAULT-VALUE}).")
    private int guests;

    /// What is taken away at the end, however that comes.
    private final Deque<TapBed> open = new ConcurrentLinkedDeque<>();

    /// For picocli.
    public BenchNetCommand() {}

    @Override
    public Integer call() throws IOException, InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        check(command);
        List<String> subjects = options.subjects(SUBJECTS, command);
        PrintWriter err = command.commandLine().getErr();
        Machine machine = Machine.now();
        options.out(command).println(machine);
        String program = command.root().userObject().getClass().getName();
        Thread hook = new Thread(this::closeAll, "bench net cleans up");
        Runtime.getRuntime().addShutdownHook(hook);
        List<BenchRow> rows = new ArrayList<>();
        try {
            List<String> smallest = List.of(SIZES.getFirst());
            if (parts.contains("ring") && subjects.contains("splitring")) {
                rows.addAll(
                        options.measure(
                                "net",
                                List.of(
                                        new RingsContender(SIZES, NetWorker.KEPT),
                                        new RingsContender(smallest, NetWorker.UNKEPT),
                                        new RingsContender(smallest, NetWorker.NOTED)),
                                rings -> rings.run(options.seconds()),
                                err));
            }
            if (parts.contains("tap")) {
                rows.addAll(taps(subjects, program, err));
                closeAll();
            }
            if (parts.contains("idle") && subjects.contains("splitring")) {
                rows.addAll(idle(program, err));
            }
        } finally {
            closeAll();
            Bed.forget(hook);
        }
        options.report("Networks", machine, rows, command);
        return 0;
    }

    private void check(CommandSpec command) {
        for (String part : parts) {
            if (!PARTS.contains(part)) {
                throw new ParameterException(
                        command.commandLine(),
                        "--parts: no such part: " + part + " (there are " + PARTS + ")");
            }
        }
        if (guests < 1 || guests > 1000) {
            throw new ParameterException(
                    command.commandLine(), "--guests must be 1 to 1000, not " + guests);
        }
    }

    private List<BenchRow> taps(List<String> subjects, String program, PrintWriter err)
            throws IOException, InterruptedException {
        if (!isRoot()) {
            err.println("note: TAPs are left out: network namespaces need root");
            return List.of();
        }
        for (Needed tool :
                List.of(new Needed("iperf3", "iperf3"), new Needed("ping", "iputils-ping"))) {
            if (!tool.isInstalled()) {
                err.println("note: TAPs are left out: " + tool.isMissing());
                return List.of();
            }
        }
        List<TapContender> contenders = new ArrayList<>();
        for (String subject : subjects) {
            Needed needed = needed(subject);
            if (!needed.isInstalled()) {
                err.println("note: " + subject + " is left out: " + needed.isMissing());
                continue;
            }
            contenders.add(new TapContender(subject, bed(subject, program), err));
        }
        int seconds = (int) Math.max(1, Math.round(4 * options.seconds()));
        int pings = options.quick() ? 200 : 5000;
        for (TapContender contender : contenders) {
            err.println("warming up: " + contender);
            err.flush();
            if (!options.quick()) { // a JVM compiles what runs often
                var ignored =
                        contender.run(contender.subject().startsWith("splitring") ? 8 : 1, pings);
            }
        }
        return options.measure("net", contenders, contender -> contender.run(seconds, pings), err);
    }

    private static Needed needed(String subject) {
        return switch (subject) {
            case "ovs" -> new Needed("ovs-vswitchd", "openvswitch-switch");
            case "vde" -> new Needed("vde_switch", "vde2");
            case "qemu-hub" -> new Needed("qemu-system-x86_64", "qemu-system-x86");
            case "bridge-plain" -> new Needed("ethtool", "ethtool");
            default -> new Needed("ip", "iproute2");
        };
    }

    private TapBed bed(String subject, String program) throws IOException, InterruptedException {
        return switch (subject) {
            case "splitring" -> TapBed.splitring(program, open);
            case "splitring-ports" -> TapBed.ports(program, open);
            case "ovs" -> TapBed.openVswitch(open);
            case "vde" -> TapBed.vde(open);
            case "qemu-hub" -> TapBed.qemu(open);
            case "bridge" -> TapBed.bridge(true, open);
            case "bridge-plain" -> TapBed.bridge(false, open);
            default -> throw new IllegalArgumentException(subject);
        };
    }

    private List<BenchRow> idle(String program, PrintWriter err)
            throws IOException, InterruptedException {
        int count = options.quick() ? QUICK_GUESTS : guests;
        err.println("starting " + count + " guests");
        err.flush();
        TapBed bed = TapBed.idleGuests(program, count, open);
        TimeUnit.MILLISECONDS.sleep(options.quick() ? 100 : 20_000); // until all is compiled
        List<BenchRow> rows = new ArrayList<>(idle(bed, count, "-ipv6", err));
        if (isRoot()) {
            bed.turnIpv6Off();
            TimeUnit.MILLISECONDS.sleep(options.quick() ? 100 : 5_000);
            rows.addAll(idle(bed, count, "", err));
        } else {
            err.println("note: only root can turn IPv6 off in the guests, which then send nothing");
        }
        return rows;
    }

    private List<BenchRow> idle(TapBed bed, int count, String suffix, PrintWriter err)
            throws IOException, InterruptedException {
        IdleContender idle = new IdleContender("guests-" + count + suffix, bed.processes());
        return options.measure("net", List.of(idle), it -> it.run(10 * options.seconds()), err);
    }

    private static boolean isRoot() {
        return System.getProperty("user.name").equals("root");
    }

    private void closeAll() {
        for (TapBed bed = open.peek(); bed != null; bed = open.peek()) {
            bed.close(); // and who meets another at that waits for it
            open.remove(bed);
        }
    }
}
