package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/// Requests to disks of guests.
final class BlockLoad implements Load, AutoCloseable {
    private static final int PATIENCE_SECONDS = 30; // for the last ones of a filling

    private final LoadLogs logs;
    private final List<DiskLoad> loads = new ArrayList<>();
    private final List<StressDisk> disks;

    /// @param run a number that no other run has, for what is written
    BlockLoad(List<StressDisk> disks, DiskLoad.Settings settings, Pace pace, long run)
            throws StressException, InterruptedException {
        this.disks = List.copyOf(disks);
        logs =
                new LoadLogs(
                        settings.mix().kinds().stream()
                                .map(kind -> requestKind(kind, settings.sizeBytes()))
                                .toList(),
                        pace.isPaced());
        Map<LoopPacer, List<KindLog>> logsOfLoops = new HashMap<>();
        for (StressDisk disk : disks) {
            List<KindLog> own = logsOfLoops.computeIfAbsent(disk.pacer(), loop -> logs.addThread());
            Arrivals arrivals = pace.arrivals(loads.size(), disks.size());
            BlockPattern pattern = new BlockPattern(run, disk.number(), settings.sizeBytes());
            loads.add(
                    OnLoop.call(
                            disk.pacer().loop(),
                            disk.name(),
                            () -> {
                                DiskLoad load =
                                        new DiskLoad(
                                                disk.name(),
                                                disk.disk(),
                                                settings,
                                                disk.places(),
                                                pattern,
                                                disk.pacer(),
                                                own,
                                                arrivals,
                                                run + disk.number());
                                disk.pacer().add(load);
                                return load;
                            }));
        }
    }

    private static RequestKind requestKind(Mix.Kind kind, int sizeBytes) {
        return new RequestKind(kind.label(), kind == Mix.Kind.FLUSH ? 0 : sizeBytes);
    }

    /// Calls on the loop of a disk.
    private <T> T call(int disk, Callable<T> call) throws StressException, InterruptedException {
        StressDisk its = disks.get(disk);
        return OnLoop.call(its.pacer().loop(), its.name(), call);
    }

    /// Writes every place of every disk that is not known yet.
    void fill(RunEnd end) throws StressException, InterruptedException {
        List<CompletableFuture<Void>> filled = new ArrayList<>();
        for (int i = 0; i < loads.size(); i++) {
            DiskLoad load = loads.get(i);
            filled.add(call(i, () -> load.fill(end)));
        }
        for (int i = 0; i < loads.size(); i++) {
            CompletableFuture<Void> one = filled.get(i);
            try {
                // However long it takes, but a device that is dead does not keep us.
                while (!one.isDone() && !end.isEnded()) {
                    var ignored = end.awaitUntil(System.nanoTime() + 10_000_000);
                }
                one.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (ExecutionException | TimeoutException e) {
                throw new StressException(disks.get(i).name() + ": cannot be filled", e);
            }
        }
    }

    @Override
    public LoadLogs logs() {
        return logs;
    }

    @Override
    public void start(RunEnd end) {
        long begin = System.nanoTime();
        for (int i = 0; i < loads.size(); i++) {
            DiskLoad load = loads.get(i);
            disks.get(i).pacer().loop().execute(() -> load.start(end, begin));
        }
    }

    @Override
    public void stop() throws StressException, InterruptedException {
        List<CompletableFuture<Void>> stopped = new ArrayList<>();
        for (int i = 0; i < loads.size(); i++) {
            stopped.add(call(i, loads.get(i)::stop));
        }
        for (int i = 0; i < loads.size(); i++) {
            var ignored = OnLoop.await(stopped.get(i), disks.get(i).name());
        }
    }

    /// Loops are idle, so their state can be read.
    @Override
    public Map<String, Long> counts() {
        Map<String, Long> counts = new TreeMap<>();
        counts.put("checked", loads.stream().mapToLong(DiskLoad::checked).sum());
        counts.put("unsent", loads.stream().mapToLong(DiskLoad::unsent).sum());
        if (disks.getFirst().guest() != disks.getLast().guest()) {
            counts.put(StressPoint.SHARE, fairnessPercent());
        }
        return counts;
    }

    /// How unequal the guests' shares were: the least answered by the most, in percent.
    private long fairnessPercent() {
        Map<Integer, Long> answered = new TreeMap<>();
        for (int i = 0; i < loads.size(); i++) {
            answered.merge(disks.get(i).guest(), loads.get(i).answered(), Long::sum);
        }
        long[] sorted = answered.values().stream().mapToLong(Long::longValue).sorted().toArray();
        long most = sorted[sorted.length - 1];
        return most == 0 ? 100 : Math.round(100.0 * sorted[0] / most);
    }

    /// Gives the buffers back, so that another load can use the disks.
    @Override
    public void close() {
        for (int i = 0; i < loads.size(); i++) {
            DiskLoad load = loads.get(i);
            LoopPacer pacer = disks.get(i).pacer();
            pacer.loop()
                    .execute(
                            () -> {
                                load.release();
                                pacer.clear();
                            });
        }
    }
}
