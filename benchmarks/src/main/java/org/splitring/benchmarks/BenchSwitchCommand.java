package org.splitring.benchmarks;

import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.AddressPins;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.FrameRule;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.PortVlans;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `bench switch`: what the switch itself costs for a frame of 64 bytes: describing it, deciding,
/// and the one copy to where a receiver wants it. No rings, no grants, no second thread.
@Command(
        name = "switch",
        mixinStandardHelpOptions = true,
        description = "Measures what the virtual switch costs for each frame of 64 bytes.")
public final class BenchSwitchCommand implements Callable<Integer> {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final int FRAME_BYTES = 64;
    private static final int BATCH = 64;
    private static final int MAC_BYTES = 6;

    @Spec private @Nullable CommandSpec spec;

    @Option(
            names = "--rounds",
            paramLabel = "N",
            defaultValue = "7",
            description = "Measured rounds of each case (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            defaultValue = "0.5",
            description = "Time of one round (default: ${DEFAULT-VALUE}).")
    private double seconds;

    /// For picocli.
    public BenchSwitchCommand() {}

    /// Copies each frame to the next place in its memory, as a ring of pages would have it.
    private static final class Receiver implements FramePort {
        private final MemorySegment memory = Arena.ofAuto().allocate(256 * 4096L, 64);
        private int next;

        @Override
        public boolean offer(Frame frame) {
            frame.copyTo(memory, next * 4096L, 0, frame.sizeBytes());
            next = next + 1 & 255;
            return true;
        }

        @Override
        public void flush() {}
    }

    /// One case: a switch, a sending port and what it sends.
    private static final class Case {
        private final PortLink from;
        private final MemorySegment source = Arena.ofAuto().allocate(256 * 4096L, 64);
        private final Frame frame = new Frame();
        private int next;

        /// @param addresses how many receivers' addresses the frames go to in turn
        Case(int ports, int addresses, PortSettings sender) {
            VirtualNetwork network =
                    new VirtualNetwork(
                            "bench",
                            Runnable::run,
                            System::nanoTime,
                            new LearningSwitch(SwitchSettings.DEFAULT));
            from = network.attach(new Receiver(), sender, PortCapabilities.everything(1500));
            PortLink[] receivers = new PortLink[ports];
            for (int i = 0; i < ports; i++) {
                receivers[i] =
                        network.attach(
                                new Receiver(),
                                PortSettings.of("r" + i),
                                PortCapabilities.everything(1500));
            }
            for (int i = 0; i < addresses; i++) {
                put(0, 0xFFFF_FFFF_FFFFL, 0x0016_3E00_1000L + i, false);
                frame.reset();
                frame.append(source, 0, FRAME_BYTES);
                receivers[i % ports].receive(frame);
            }
            receivers[0].endBatch();
            for (int i = 0; i < 256; i++) {
                put(
                        i * 4096L,
                        0x0016_3E00_1000L + i % addresses,
                        0x0016_3E00_0001L,
                        sender.vlans().equals(PortVlans.ALL));
            }
        }

        private void put(long at, long to, long by, boolean tagged) {
            putMac(at, to);
            putMac(at + MAC_BYTES, by);
            long type = at + 2 * MAC_BYTES;
            if (tagged) {
                source.set(ValueLayout.JAVA_INT_UNALIGNED, type, 0x0100_0081);
                type += 4;
            }
            source.set(ValueLayout.JAVA_SHORT_UNALIGNED, type, (short) 8);
            // IPv4 and UDP, as far as pins and rules look.
            byte[] ip = {
                0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 5, 0, 6
            };
            MemorySegment.copy(MemorySegment.ofArray(ip), 0, source, type + 2, ip.length);
        }

        private void putMac(long at, long mac) {
            for (int i = 0; i < MAC_BYTES; i++) {
                source.set(ValueLayout.JAVA_BYTE, at + i, (byte) (mac >>> (40 - 8 * i)));
            }
        }

        /// Runs for a while.
        ///
        /// @return nanoseconds a frame, of this thread's own time on a processor
        double run(long nanos) {
            long begin = System.nanoTime();
            long busy = THREADS.getCurrentThreadCpuTime();
            long frames = 0;
            while (true) {
                for (int i = 0; i < BATCH; i++) {
                    frame.reset();
                    frame.append(source, next * 4096L, FRAME_BYTES);
                    next = next + 1 & 255;
                    from.receive(frame);
                }
                from.endBatch();
                frames += BATCH;
                long passed = System.nanoTime() - begin;
                if (passed >= nanos) {
                    return (double) (THREADS.getCurrentThreadCpuTime() - busy) / frames;
                }
            }
        }
    }

    @Override
    public Integer call() throws Exception {
        PrintWriter out = Objects.requireNonNull(spec).commandLine().getOut();
        PortSettings plain = PortSettings.of("sender");
        PortSettings guarded =
                plain.withPins(
                        AddressPins.of(new MacAddress(0x0016_3E00_0001L), List.of("10.0.0.1")));
        List<FrameRule> rules =
                IntStream.range(0, 100)
                        .mapToObj(
                                i ->
                                        FrameRule.parse(
                                                "tx drop tcp dst 10.1." + i + ".0/24 dport 22"))
                        .toList();
        String[] names = {
            "two ports",
            "64 ports, 256 addresses",
            "tagged to untagged",
            "pinned addresses",
            "pinned, 100 rules"
        };
        Case[] cases = {
            new Case(1, 1, plain),
            new Case(64, 256, plain),
            new Case(1, 1, plain.withVlans(PortVlans.ALL)),
            new Case(1, 1, guarded),
            new Case(1, 1, guarded.withRules(rules))
        };
        double[][] nanos = new double[cases.length][rounds];
        long time = (long) (seconds * 1e9);
        for (Case each : cases) {
            each.run(time);
        }
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < cases.length; i++) {
                nanos[i][round] = cases[i].run(time);
            }
        }
        out.println(Machine.now());
        out.printf(
                "%-26s %8s %8s %8s   ns of one processor for a frame of %d bytes%n",
                "", "min", "median", "max", FRAME_BYTES);
        for (int i = 0; i < cases.length; i++) {
            Arrays.sort(nanos[i]);
            out.printf(
                    "%-26s %8.1f %8.1f %8.1f%n",
                    names[i], nanos[i][0], nanos[i][rounds / 2], nanos[i][rounds - 1]);
        }
        out.flush();
        return 0;
    }
}
