package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.hypervisor.xen.XenDevices;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `splitring backend`: serves the guests of the Xen that this domain runs under.
@Command(
        name = "backend",
        description =
                "Serve disks and network interfaces to the guests of Xen, from dom0 or a driver"
                        + " domain, as xl makes them; until it is told to stop.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example: ./splitring backend --uplink xenbr0",
            "docs/xen.md has the set-up: modules, hotplug scripts, lines for xl."
        })
final class BackendCommand implements Callable<Integer> {
    private static final int DEFAULT_MTU = 1500;

    @Mixin private XenStoreOption store = new XenStoreOption();

    @Option(
            names = "--folder",
            paramLabel = "NAME[=CLASS]",
            description =
                    "Serve the devices in backend/NAME of this domain, of the class vbd or vif;"
                            + " may be repeated (default: vbd and vif). For example"
                            + " --folder=qdisk=vbd.")
    private List<String> folders = new ArrayList<>();

    @Option(
            names = "--uplink",
            paramLabel = "SWITCH[=BRIDGE]",
            description =
                    "Connect a switch, which is what a vif's bridge= names here, to the bridge of"
                            + " Linux's that has the same or another name; may be repeated.")
    private List<String> uplinks = new ArrayList<>();

    @Option(
            names = "--mtu",
            paramLabel = "BYTES",
            description = "MTU of switches with an uplink (default: ${DEFAULT-VALUE}).")
    private int mtu = DEFAULT_MTU;

    @Option(
            names = "--antispoof",
            description = "Let a vif send only with its own mac=, and with its ip= where it has.")
    private boolean antispoof;

    @Option(
            names = "--loops",
            paramLabel = "COUNT",
            description =
                    "Threads that serve devices (default: one for every two processors, 8 at"
                            + " most).")
    private int loops;

    @Option(
            names = "--backing",
            paramLabel = "DIR",
            description =
                    "A folder in which images may have their backing files, besides their own"
                            + " folder; may be repeated.")
    private List<Path> backing = new ArrayList<>();

    @Option(
            names = "--state-dir",
            paramLabel = "DIR",
            description =
                    "Where it is noted what was begun for guests, so that the next one of these"
                            + " goes on with their disks and interfaces when this one is killed;"
                            + " on tmpfs (default: ${DEFAULT-VALUE}).")
    private Path stateDir = Path.of("/run/splitring");

    private final StopSignal stop = new StopSignal();

    @Override
    public Integer call() throws CommandException, InterruptedException {
        XenBackends.checkPlace(XenDevices.USUAL);
        XenBackends.Choices choices = choices();
        stop.install();
        try (XenBackends backends = XenBackends.start(choices, stop::storeLost)) {
            System.out.println(
                    String.format(
                            Locale.ROOT,
                            "serving as domain %s: %s; process %d",
                            backends.self(),
                            String.join(", ", choices.folders().keySet()),
                            ProcessHandle.current().pid()));
            stop.await();
        }
        stop.checkStore(choices.store());
        return 0;
    }

    private XenBackends.Choices choices() throws CommandException {
        if (mtu < 68 || mtu > 65_521) {
            throw new CommandException("--mtu " + mtu + " is not between 68 and 65521");
        }
        if (loops < 0 || loops > 64) {
            throw new CommandException("--loops " + loops + " is not between 1 and 64");
        }
        Map<String, String> classes =
                pairs("--folder", folders.isEmpty() ? List.of("vbd", "vif") : folders);
        for (Map.Entry<String, String> folder : classes.entrySet()) {
            if (!List.of("vbd", "vif").contains(folder.getValue())) {
                throw new CommandException(
                        "--folder "
                                + folder.getKey()
                                + ": \""
                                + folder.getValue()
                                + "\" is neither vbd nor vif; say NAME=vbd or NAME=vif");
            }
        }
        return new XenBackends.Choices(
                store.way(),
                classes,
                pairs("--uplink", uplinks),
                mtu,
                antispoof ? LabNetwork.Antispoof.IP : LabNetwork.Antispoof.OFF,
                loops == 0
                        ? Math.clamp(Runtime.getRuntime().availableProcessors() / 2, 1, 8)
                        : loops,
                backing,
                stateDir);
    }

    /// `A=B`, or `A` for `A=A`.
    private static Map<String, String> pairs(String option, List<String> words)
            throws CommandException {
        Map<String, String> pairs = new LinkedHashMap<>();
        for (String word : words) {
            int equals = word.indexOf('=');
            String key = equals < 0 ? word : word.substring(0, equals);
            String value = word.substring(equals + 1);
            if (!key.matches("[A-Za-z0-9_.-]{1,64}") || value.isEmpty()) {
                throw new CommandException(option + " " + word + ": expected NAME or NAME=OTHER");
            }
            if (pairs.put(key, value) != null) {
                throw new CommandException(option + " " + word + ": " + key + " is there twice");
            }
        }
        return pairs;
    }
}
