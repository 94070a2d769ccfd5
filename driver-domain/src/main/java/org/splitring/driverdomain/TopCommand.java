package org.splitring.driverdomain;

import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.RawTerminal;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/// `splitring top`: what the guests of a running lab do, again and again, with xentop's columns.
@Command(
        name = "top",
        description = {
            "Show what the guests of a running lab do, with xentop's columns, until Ctrl-C.",
            "NETTX and NETRX are seen from the guest, in KiB; VBD_RD and VBD_WR are requests,",
            "VBD_RSECT and VBD_WSECT sectors of 512 bytes; all are sums of what a guest has done",
            "since it came, or with --rates of each second."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example: ./splitring top --rates",
            "             ./splitring top --batch --iterations 3 > top.txt"
        })
final class TopCommand implements Callable<Integer> {
    private static final int STDOUT = 1;
    private static final String HOME_AND_CLEAR = "\u001b[H\u001b[J";

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Option(
            names = {"-d", "--delay"},
            paramLabel = "SECONDS",
            description = "Between two looks (default: ${DEFAULT-VALUE}).")
    private double seconds = 1;

    @Option(
            names = {"-b", "--batch"},
            description = "One look under the other, also on a terminal.")
    private boolean batch;

    @Option(
            names = {"-i", "--iterations"},
            paramLabel = "NUMBER",
            description = "End after so many looks (default: never).")
    private @Nullable Integer iterations;

    @Option(
            names = {"-r", "--rates"},
            description = "What happens in a second, not sums.")
    private boolean rates;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    private final Map<String, Sums> before = new HashMap<>();
    private long beforeNanos;

    /// What the devices of a domain have counted.
    private record Sums(
            double tx, double rx, double oo, double rd, double wr, double rsect, double wsect) {
        static final Sums NOTHING = new Sums(0, 0, 0, 0, 0, 0, 0);

        static Sums of(JsonNode domain) {
            Sums all = NOTHING;
            for (JsonNode device : domain.path("devices")) {
                JsonNode meters = device.path("meters");
                boolean disk = device.path("type").asString().equals("vbd");
                boolean vif = device.path("type").asString().equals("vif");
                all =
                        new Sums(
                                all.tx + (vif ? meters.path("tx_bytes").asDouble(0) : 0),
                                all.rx + (vif ? meters.path("rx_bytes").asDouble(0) : 0),
                                all.oo + (disk ? meters.path("oo_req").asDouble(0) : 0),
                                all.rd + (disk ? meters.path("rd_req").asDouble(0) : 0),
                                all.wr + (disk ? meters.path("wr_req").asDouble(0) : 0),
                                all.rsect + (disk ? meters.path("rd_sect").asDouble(0) : 0),
                                all.wsect + (disk ? meters.path("wr_sect").asDouble(0) : 0));
            }
            return all;
        }

        /// What came in a time; everything, when another guest began to count anew.
        Sums since(Sums last, double time) {
            Sums from = last.tx > tx || last.rd > rd || last.wr > wr ? NOTHING : last;
            return new Sums(
                    (tx - from.tx) / time,
                    (rx - from.rx) / time,
                    (oo - from.oo) / time,
                    (rd - from.rd) / time,
                    (wr - from.wr) / time,
                    (rsect - from.rsect) / time,
                    (wsect - from.wsect) / time);
        }
    }

    @Override
    public Integer call() throws CommandException, InterruptedException {
        if (!(seconds >= 0.1 && seconds <= 3600)) {
            throw new CommandException("--delay " + seconds + " is not in 0.1..3600 seconds");
        }
        ControlClient control = new ControlClient(runDirectory.path());
        PrintWriter out = spec.commandLine().getOut();
        boolean screen = !batch && RawTerminal.isTerminal(STDOUT);
        for (int look = 0; iterations == null || look < iterations; look++) {
            if (look > 0 || rates) {
                // The first rates are those of a first delay.
                if (look == 0) {
                    look(control.get(ControlClient.path("domains")));
                }
                TimeUnit.NANOSECONDS.sleep((long) (seconds * 1e9));
            }
            TextTable table = look(control.get(ControlClient.path("domains")));
            out.print(screen ? HOME_AND_CLEAR : "");
            table.lines().forEach(out::println);
            out.flush();
        }
        return 0;
    }

    private TextTable look(JsonNode domains) {
        long now = System.nanoTime();
        double time = beforeNanos == 0 ? 1 : Math.max(1e-3, (now - beforeNanos) / 1e9);
        beforeNanos = now;
        TextTable table =
                new TextTable(
                        "NAME",
                        "STATE",
                        ">MEM(k)",
                        ">NETS",
                        ">NETTX(k)",
                        ">NETRX(k)",
                        ">VBDS",
                        ">VBD_OO",
                        ">VBD_RD",
                        ">VBD_WR",
                        ">VBD_RSECT",
                        ">VBD_WSECT");
        for (JsonNode domain : domains) {
            String name = domain.path("name").asString();
            Sums sums = Sums.of(domain);
            Sums last = before.put(name, sums);
            Sums shown = rates ? sums.since(last == null ? sums : last, time) : sums;
            table.line(
                    name,
                    ListCommand.state(domain),
                    domain.path("memory_mib").asInt() * 1024,
                    DeviceRows.devices(domain, "vif").size(),
                    number(shown.tx() / 1024),
                    number(shown.rx() / 1024),
                    DeviceRows.devices(domain, "vbd").size(),
                    number(shown.oo()),
                    number(shown.rd()),
                    number(shown.wr()),
                    number(shown.rsect()),
                    number(shown.wsect()));
        }
        return table;
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.0f", value);
    }
}
