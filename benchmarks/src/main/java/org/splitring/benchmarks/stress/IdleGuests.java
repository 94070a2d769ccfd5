package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.splitring.benchmarks.ProcessorTime;
import org.splitring.benchmarks.stress.NetLoad.Member;
import org.splitring.benchmarks.stress.NetLoad.Route;
import org.splitring.benchmarks.stress.StressMetric.Better;
import org.splitring.blkback.DiskMode;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.netfront.VifFrontendOptions;

/// Guests with a disk and an interface each that do nothing for a time, and are asked afterwards
/// whether they are still there.
final class IdleGuests implements AutoCloseable {
    private static final int BLOCK = 4096;
    private static final int BUFFER_BYTES = 1 << 16;
    private static final long MEMORY_BYTES = 5 << 20; // most of it pages of the interface's rings
    private static final int MTU = 1500;
    private static final double SECONDS_OF_A_CALL = 0.001; // for each guest, one after the other
    private static final double LEAST_CALL_SECONDS = 0.1;
    private static final double MORE_CALL_SECONDS = 10; // on a machine that has other work
    private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
    private static final long START_LINE_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

    private final StressSession session;
    private final GuestBed bed;
    private final StressImages images;
    private final Map<DeviceLoop, LoopPacer> pacers = new HashMap<>();
    private final List<StressDisk> disks = new ArrayList<>();
    private final List<Member> members = new ArrayList<>();
    private long memoryBefore;
    private double startSeconds;

    IdleGuests(StressSession session, int guests, int loops) {
        this.session = session;
        bed = new GuestBed(loops);
        images =
                new StressImages(
                        new StressImages.Settings(
                                StressImages.MEMORY,
                                (long) BUFFER_BYTES,
                                false,
                                DiskMode.WRITEBACK,
                                false),
                        guests);
    }

    /// Starts guests until there are so many.
    void start(int guests) throws IOException, InterruptedException {
        memoryBefore = residentBytes();
        long begin = System.nanoTime();
        long told = begin;
        while (bed.size() < guests && !session.end().isEnded()) {
            startOne();
            long now = System.nanoTime();
            if (now - told > START_LINE_NANOS) {
                told = now;
                session.progress()
                        .at(
                                bed.size() / (double) guests,
                                "%d of %d guests are up".formatted(bed.size(), guests));
            }
        }
        startSeconds = (System.nanoTime() - begin) / 1e9;
    }

    private void startOne() throws IOException, InterruptedException {
        GuestBed.Guest guest = bed.guest(MEMORY_BYTES);
        LoopPacer pacer = pacers.computeIfAbsent(guest.loop(), LoopPacer::new);
        VbdFrontend disk =
                guest.disks(
                                List.of(images.open(session.end())),
                                VbdFrontendOptions.DEFAULT.withBufferBytes(BUFFER_BYTES))
                        .getFirst();
        int number = bed.size();
        disks.add(
                new StressDisk(
                        number - 1,
                        number,
                        "disk of guest " + number,
                        disk,
                        new PlaceTable(BUFFER_BYTES / BLOCK, 0),
                        pacer));
        NetGuest net = new NetGuest(number, MTU + StressFrame.ETHERNET);
        net.use(guest.vif(net, VifFrontendOptions.DEFAULT, MTU));
        members.add(new Member(net, pacer));
    }

    /// Does nothing, and then asks each guest for a read and each to send a frame to the next
    /// one, as often as the options say.
    List<StressPoint> measure() throws IOException, InterruptedException {
        StressOptions options = session.options();
        long memory = residentBytes() - memoryBefore;
        List<StressRun> runs = new ArrayList<>();
        List<Double> shares = new ArrayList<>();
        var ignored =
                session.end()
                        .awaitUntil(System.nanoTime() + (long) (options.warmUpSeconds() * 1e9));
        while (runs.size() < options.runs() && !session.end().isEnded()) {
            CoreUse cores = CoreUse.now();
            long processor = ProcessorTime.nanos(List.of(ProcessHandle.current().pid()));
            long begin = System.nanoTime();
            session.progress()
                    .at(
                            runs.size() / (double) options.runs(),
                            "%d idle guests: run %d of %d"
                                    .formatted(bed.size(), runs.size() + 1, options.runs()));
            var early = session.end().awaitUntil(begin + (long) (options.seconds() * 1e9));
            double seconds = (System.nanoTime() - begin) / 1e9;
            double used =
                    (ProcessorTime.nanos(List.of(ProcessHandle.current().pid())) - processor) / 1e9;
            List<Double> percent = CoreUse.now().percentSince(cores);
            if (early && runs.isEmpty() && seconds < options.seconds() / 2) {
                break;
            }
            runs.add(new StressRun(seconds, used, percent, rollCall(), new TreeMap<>(), List.of()));
            shares.add(100 * used / seconds);
        }
        if (runs.isEmpty()) {
            return List.of();
        }
        int guests = bed.size();
        StressPoint point = StressPoint.of(guests + " idle guests", guests, runs);
        return List.of(
                point.without("processor time of a request")
                        .with(
                                List.of(
                                        StressMetric.of(
                                                "idle, % of a core", "", Better.LESS, shares),
                                        once("start of a guest", "ns", startSeconds * 1e9 / guests),
                                        once(
                                                "memory of a guest, KiB",
                                                "",
                                                memory / 1024.0 / guests),
                                        once("threads", "", (double) threads()))));
    }

    private static StressMetric once(String name, String unit, double value) {
        return StressMetric.of(name, unit, Better.LESS, List.of(value));
    }

    /// Each guest once: whoever does not answer is found.
    private List<KindFigures> rollCall() throws IOException, InterruptedException {
        List<KindFigures> figures = new ArrayList<>();
        double seconds = Math.max(LEAST_CALL_SECONDS, bed.size() * SECONDS_OF_A_CALL);
        RollCall pace = new RollCall(seconds, 2 * MORE_CALL_SECONDS);
        DiskLoad.Settings reads = new DiskLoad.Settings(BLOCK, 1, Mix.parse("read=1"), false, true);
        try (BlockLoad load = new BlockLoad(disks, reads, pace, 0)) {
            figures.add(call(load, pace.seconds()));
        }
        List<Route> routes = new ArrayList<>();
        for (int i = 0; i < members.size() && members.size() > 1; i++) {
            routes.add(new Route(members.get(i), members.get((i + 1) % members.size()), 0));
        }
        if (!routes.isEmpty()) {
            FrameStream.Settings frames =
                    new FrameStream.Settings(MTU + StressFrame.ETHERNET, 1, true);
            try (NetLoad load = new NetLoad(members, routes, frames, pace)) {
                figures.add(call(load, pace.seconds()));
            }
        }
        return figures;
    }

    private KindFigures call(Load load, double callSeconds)
            throws StressException, InterruptedException {
        RunEnd end = session.end();
        RunEnd own = new RunEnd(); // whoever wants the report early gets the roll call, too
        long begin = System.nanoTime();
        load.start(own);
        long latest = begin + (long) ((callSeconds + MORE_CALL_SECONDS) * 1e9);
        KindTimes times = new KindTimes();
        boolean ended = false;
        while (!ended && answered(times) < bed.size() && System.nanoTime() - latest < 0) {
            ended = own.awaitUntil(System.nanoTime() + LOOK_NANOS);
            load.logs().drain(List.of(times));
        }
        load.stop();
        load.logs().drain(List.of(times));
        RequestKind kind = load.logs().kinds().getFirst();
        own.failure().ifPresent(end::fail);
        long answered = answered(times);
        if (answered != bed.size()) {
            end.fail(
                    "%d of %d guests have answered (%s)"
                            .formatted(answered, bed.size(), kind.name()));
        }
        return KindFigures.of(kind, times, (System.nanoTime() - begin) / 1e9);
    }

    private static long answered(KindTimes times) {
        return times.responses().getTotalCount();
    }

    private static long residentBytes() throws IOException {
        return statusNumber("VmRSS:") << 10;
    }

    private static long threads() throws IOException {
        return statusNumber("Threads:");
    }

    private static long statusNumber(String name) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith(name)) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new StressException("/proc/self/status has no " + name);
    }

    @Override
    public void close() throws IOException {
        bed.close();
        images.close();
    }
}
