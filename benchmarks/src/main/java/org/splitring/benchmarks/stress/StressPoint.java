package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import org.splitring.benchmarks.stress.StressMetric.Better;

/// What was measured with one setting: a run of `stress scale` has several of these, the others
/// one.
///
/// @param name `8 guests`
/// @param guests how many
/// @param runs at least one
record StressPoint(String name, int guests, List<StressRun> runs, List<StressMetric> metrics) {
    /// A count of block loads: how much the guest that got least got of what the one had that
    /// got most.
    static final String SHARE = "least guest, % of most";

    StressPoint {
        runs = List.copyOf(runs);
        metrics = List.copyOf(metrics);
    }

    /// With the metrics that any load has.
    static StressPoint of(String name, int guests, List<StressRun> runs) {
        return new StressPoint(name, guests, runs, metrics(runs));
    }

    /// The same with metrics of its own at the end.
    StressPoint with(List<StressMetric> more) {
        List<StressMetric> all = new ArrayList<>(metrics);
        all.addAll(more);
        return new StressPoint(name, guests, runs, all);
    }

    /// The same without a metric that says nothing here.
    StressPoint without(String metricName) {
        return new StressPoint(
                name,
                guests,
                runs,
                metrics.stream().filter(metric -> !metric.name().equals(metricName)).toList());
    }

    StressMetric metric(String metricName) {
        return metrics.stream()
                .filter(metric -> metric.name().equals(metricName))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no metric " + metricName));
    }

    private static List<StressMetric> metrics(List<StressRun> runs) {
        List<StressMetric> metrics = new ArrayList<>();
        List<KindFigures> kinds = runs.getFirst().kinds();
        for (int i = 0; i < kinds.size(); i++) {
            int at = i;
            String kind = kinds.get(i).kind();
            metrics.add(
                    of(kind + " rate", "1/s", Better.MORE, runs, run -> kind(run, at).perSecond()));
            if (kinds.get(i).megabytesPerSecond() > 0) {
                metrics.add(
                        of(
                                kind + " throughput",
                                "MB/s",
                                Better.MORE,
                                runs,
                                run -> kind(run, at).megabytesPerSecond()));
            }
            latencies(kind, runs, run -> kind(run, at).latency(), metrics);
            if (runs.stream().allMatch(run -> kind(run, at).service() != null)) {
                latencies(
                        kind + " service",
                        runs,
                        run -> {
                            Latency service = kind(run, at).service();
                            return service == null ? kind(run, at).latency() : service;
                        },
                        metrics);
            }
        }
        metrics.add(
                of(
                        "processor time of a request",
                        "ns",
                        Better.LESS,
                        runs,
                        run -> run.processorSeconds() * 1e9 / Math.max(1, run.answered())));
        for (Map.Entry<String, Better> count : countedNames(runs).entrySet()) {
            metrics.add(
                    of(
                            count.getKey(),
                            "",
                            count.getValue(),
                            runs,
                            run -> run.counts().getOrDefault(count.getKey(), 0L)));
        }
        return metrics;
    }

    private static void latencies(
            String kind,
            List<StressRun> runs,
            Function<StressRun, Latency> of,
            List<StressMetric> metrics) {
        metrics.add(of(kind + " p50", "ns", Better.LESS, runs, r -> of.apply(r).p50Nanos()));
        metrics.add(of(kind + " p90", "ns", Better.LESS, runs, r -> of.apply(r).p90Nanos()));
        metrics.add(of(kind + " p99", "ns", Better.LESS, runs, r -> of.apply(r).p99Nanos()));
        metrics.add(of(kind + " p99.9", "ns", Better.LESS, runs, r -> of.apply(r).p999Nanos()));
        metrics.add(of(kind + " max", "ns", Better.NEITHER, runs, r -> of.apply(r).maxNanos()));
    }

    /// What went wrong is better less often; what was looked at is neither.
    private static Map<String, Better> countedNames(List<StressRun> runs) {
        Map<String, Better> names = new LinkedHashMap<>();
        for (StressRun run : runs) {
            for (String name : run.counts().keySet()) {
                names.put(
                        name,
                        switch (name) {
                            case "checked" -> Better.NEITHER;
                            case SHARE -> Better.MORE;
                            default -> Better.LESS;
                        });
            }
        }
        return names;
    }

    private static KindFigures kind(StressRun run, int at) {
        return run.kinds().get(at);
    }

    private static StressMetric of(
            String name,
            String unit,
            Better better,
            List<StressRun> runs,
            ToDoubleFunction<StressRun> value) {
        return StressMetric.of(
                name, unit, better, runs.stream().map(run -> value.applyAsDouble(run)).toList());
    }
}
