package org.splitring.benchmarks;

import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantCopies;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.xen.XenDevices;
import org.splitring.hypervisor.xen.XenDriverDomain;
import org.splitring.hypervisor.xen.XenGuestDomain;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `bench grants`: two ways to the bytes of granted pages under Xen, side by side: mapping the
/// pages, copying, unmapping; and having Xen copy. The pages are this domain's own, granted to
/// itself.
@Command(
        name = "grants",
        mixinStandardHelpOptions = true,
        description = {
            "Measures, under Xen, what it costs to reach pages of a guest once: by mapping them, and"
                    + " by a copy of Xen's.",
            "It takes root, and the modules xen-gntdev and xen-gntalloc."
        })
public final class BenchGrantsCommand implements Callable<Integer> {
    private static final int[] PAGES = {1, 4, 16};
    private static final int MOST = 16;
    private static final int PAGE_SIZE = GuestMemory.PAGE_SIZE;

    @Spec private @Nullable CommandSpec spec;

    @Option(
            names = "--domid",
            paramLabel = "N",
            defaultValue = "0",
            description = "Number of this domain (default: ${DEFAULT-VALUE}).")
    private int domid;

    @Option(
            names = "--rounds",
            paramLabel = "N",
            defaultValue = "5",
            description = "Measured rounds of each case (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            defaultValue = "0.5",
            description = "Time of one round (default: ${DEFAULT-VALUE}).")
    private double seconds;

    private final MemorySegment ours = Arena.ofAuto().allocate(MOST * PAGE_SIZE, PAGE_SIZE);
    private final GrantBatch batch = new GrantBatch(MOST);
    private final GrantCopies copies = new GrantCopies(MOST);

    /// For picocli.
    public BenchGrantsCommand() {}

    private record Case(String way, int pages, int bytes, Runnable once) {}

    @Override
    public Integer call() throws Exception {
        PrintWriter out = Objects.requireNonNull(spec).commandLine().getOut();
        DomId self = new DomId(domid);
        try (XenGuestDomain guest = XenGuestDomain.open(self, self, XenDevices.USUAL, MOST);
                ForeignPages window =
                        XenDriverDomain.open(self, XenDevices.USUAL, DomainLimits.DEFAULT)
                                .foreignPages(self, MOST)) {
            int[] grefs = new int[MOST];
            for (int i = 0; i < MOST; i++) {
                grefs[i] = guest.grants().claimFor(i);
                guest.grants().grant(grefs[i], self, i, false);
            }
            out.println(Machine.now());
            out.printf(
                    "%-34s %8s %8s %8s   us for all of a case's pages%n",
                    "", "min", "median", "max");
            for (int pages : PAGES) {
                for (int bytes :
                        pages == 1 ? new int[] {64, 1500, PAGE_SIZE} : new int[] {PAGE_SIZE}) {
                    compare(window, grefs, pages, bytes, out);
                }
            }
        }
        return 0;
    }

    private void compare(ForeignPages window, int[] grefs, int pages, int bytes, PrintWriter out) {
        Case[] cases = {
            new Case("from, mapped", pages, bytes, () -> map(window, grefs, pages, bytes, false)),
            new Case("from, copied", pages, bytes, () -> copy(window, grefs, pages, bytes, false)),
            new Case("to, mapped", pages, bytes, () -> map(window, grefs, pages, bytes, true)),
            new Case("to, copied", pages, bytes, () -> copy(window, grefs, pages, bytes, true))
        };
        double[][] micros = new double[cases.length][rounds];
        long time = (long) (seconds * 1e9);
        for (Case each : cases) {
            run(each.once(), time);
        }
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < cases.length; i++) {
                micros[i][round] = run(cases[i].once(), time);
            }
        }
        for (int i = 0; i < cases.length; i++) {
            Arrays.sort(micros[i]);
            out.printf(
                    "%-34s %8.1f %8.1f %8.1f%n",
                    cases[i].pages() + " x " + cases[i].bytes() + " bytes " + cases[i].way(),
                    micros[i][0],
                    micros[i][rounds / 2],
                    micros[i][rounds - 1]);
        }
        out.flush();
    }

    /// @return microseconds for each time
    private static double run(Runnable once, long nanos) {
        long begin = System.nanoTime();
        long passed;
        int times = 0;
        do {
            once.run();
            times++;
            passed = System.nanoTime() - begin;
        } while (passed < nanos);
        return passed / 1000.0 / times;
    }

    private void map(ForeignPages window, int[] grefs, int pages, int bytes, boolean toGuest) {
        batch.clear();
        for (int i = 0; i < pages; i++) {
            batch.add(grefs[i], toGuest);
        }
        check(window.map(batch));
        for (int i = 0; i < pages; i++) {
            long at = (long) i * PAGE_SIZE;
            if (toGuest) {
                MemorySegment.copy(ours, at, batch.memory(i), batch.offset(i), bytes);
            } else {
                MemorySegment.copy(batch.memory(i), batch.offset(i), ours, at, bytes);
            }
        }
        window.unmap(batch);
    }

    private void copy(ForeignPages window, int[] grefs, int pages, int bytes, boolean toGuest) {
        copies.clear();
        for (int i = 0; i < pages; i++) {
            copies.add(grefs[i], 0, ours, (long) i * PAGE_SIZE, bytes);
        }
        check(toGuest ? window.copyTo(copies) : window.copyFrom(copies));
    }

    private static void check(boolean good) {
        if (!good) {
            throw new IllegalStateException("a page of ours was refused");
        }
    }
}
