package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// Lets loads run, and takes their times while they do.
final class StressSession {
    private final StressOptions options;
    private final RunEnd end;
    private final ProgressView progress;

    StressSession(StressOptions options, RunEnd end, ProgressView progress) {
        this.options = options;
        this.end = end;
        this.progress = progress;
    }

    StressOptions options() {
        return options;
    }

    RunEnd end() {
        return end;
    }

    ProgressView progress() {
        return progress;
    }

    /// Runs a load as often as the options say, or until something ends it.
    ///
    /// @param name of the point, also for the progress
    /// @return nothing when it was ended before anything was measured
    Optional<StressPoint> measure(String name, int guests, Load load)
            throws IOException, InterruptedException {
        List<StressRun> runs = new ArrayList<>();
        while (runs.size() < options.runs() && !end.isEnded()) {
            warmUp(name, load);
            if (!end.isEnded()) {
                runs.add(run(name, runs.size() + 1, load));
            }
        }
        return runs.isEmpty() ? Optional.empty() : Optional.of(StressPoint.of(name, guests, runs));
    }

    /// Stopped at its end, so that what has piled up meanwhile is not measured.
    private void warmUp(String name, Load load) throws StressException, InterruptedException {
        if (options.warmUpSeconds() > 0) {
            progress.stage(name + ": warming up");
            load.start(end);
            var ignored = end.awaitUntil(after(System.nanoTime(), options.warmUpSeconds()));
            load.stop();
            load.logs().drain(times(load));
        }
    }

    private static List<KindTimes> times(Load load) {
        return load.logs().kinds().stream().map(kind -> new KindTimes()).toList();
    }

    private static long after(long nanoTime, double seconds) {
        return nanoTime + (long) (seconds * 1e9);
    }

    private StressRun run(String name, int number, Load load)
            throws IOException, InterruptedException {
        List<KindTimes> all = times(load);
        List<KindTimes> part = times(load);
        List<Interval> intervals = new ArrayList<>();
        CoreUse coresAtBegin = CoreUse.now();
        CoreUse cores = coresAtBegin;
        double processor = processorSeconds();
        long begin = System.nanoTime();
        long last = after(begin, options.seconds());
        long partBegin = begin;
        load.start(end);
        boolean going = true;
        while (going) {
            long next = Math.min(after(partBegin, options.intervalSeconds()), last);
            going = !end.awaitUntil(next) && next < last;
            if (!going) {
                load.stop(); // what is answered now belongs to the last part
            }
            long now = System.nanoTime();
            CoreUse coresNow = CoreUse.now();
            load.logs().drain(part);
            intervals.add(
                    interval(load, part, begin, partBegin, now, coresNow.percentSince(cores)));
            progress.at(
                    (now - begin) / (double) (last - begin),
                    "%s: run %d of %d, %.1f of %s s: %s"
                            .formatted(
                                    name,
                                    number,
                                    options.runs(),
                                    (now - begin) / 1e9,
                                    Amounts.count(options.seconds()),
                                    text(intervals.getLast())));
            for (int i = 0; i < all.size(); i++) {
                all.get(i).add(part.get(i));
                part.get(i).reset();
            }
            partBegin = now;
            cores = coresNow;
        }
        double seconds = (partBegin - begin) / 1e9;
        List<KindFigures> figures = new ArrayList<>();
        for (int i = 0; i < all.size(); i++) {
            figures.add(KindFigures.of(load.logs().kinds().get(i), all.get(i), seconds));
        }
        return new StressRun(
                seconds,
                processorSeconds() - processor,
                cores.percentSince(coresAtBegin),
                figures,
                load.counts(),
                intervals);
    }

    private static Interval interval(
            Load load,
            List<KindTimes> part,
            long begin,
            long partBegin,
            long now,
            List<Double> corePercent) {
        List<Interval.KindInterval> kinds = new ArrayList<>();
        for (int i = 0; i < part.size(); i++) {
            kinds.add(
                    Interval.of(load.logs().kinds().get(i), part.get(i), (now - partBegin) / 1e9));
        }
        return new Interval((now - begin) / 1e9, kinds, corePercent);
    }

    private static String text(Interval interval) {
        List<String> parts = new ArrayList<>();
        for (Interval.KindInterval kind : interval.kinds()) {
            parts.add(
                    "%s %s/s, p99 %s"
                            .formatted(
                                    kind.kind(),
                                    Amounts.count(kind.perSecond()),
                                    Amounts.nanos((double) kind.p99Nanos())));
        }
        return String.join("; ", parts);
    }

    /// Of this process and those that it has started.
    private static double processorSeconds() {
        ProcessHandle own = ProcessHandle.current();
        return Stream.concat(Stream.of(own), own.descendants())
                .map(process -> process.info().totalCpuDuration())
                .flatMap(Optional::stream)
                .mapToDouble(time -> time.toNanos() / 1e9)
                .sum();
    }
}
