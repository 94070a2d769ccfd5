package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DeviceLoop;

/// Streams of frames between guests, through the switch.
final class NetLoad implements Load, AutoCloseable {
    private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(300);

    /// A guest and the loop that owns it.
    record Member(NetGuest guest, LoopPacer pacer) {}

    /// One direction of a pair.
    record Route(Member from, Member to, int queue) {}

    private final LoadLogs logs;
    private final List<Member> members;
    private final List<FrameStream> streams = new ArrayList<>();
    private final List<Route> routes;
    private long sent;
    private int epoch;
    private RunEnd end = new RunEnd();

    NetLoad(List<Member> members, List<Route> routes, FrameStream.Settings settings, Pace pace)
            throws StressException, InterruptedException {
        this.members = List.copyOf(members);
        this.routes = List.copyOf(routes);
        logs =
                new LoadLogs(
                        List.of(new RequestKind("frame", settings.sizeBytes())), pace.isPaced());
        Map<DeviceLoop, KindLog> logsOfLoops = new HashMap<>();
        for (Route route : routes) {
            KindLog log =
                    logsOfLoops.computeIfAbsent(
                            route.to().pacer().loop(), loop -> logs.addThread().getFirst());
            streams.add(
                    new FrameStream(
                            streams.size(),
                            route.from().guest(),
                            route.to().guest(),
                            route.queue(),
                            settings,
                            route.from().pacer(),
                            log,
                            pace.arrivals(streams.size(), routes.size())));
        }
        for (Member member : members) {
            var ignored =
                    OnLoop.call(
                            member.pacer().loop(),
                            "a guest joins",
                            () -> {
                                member.guest().join(streams);
                                return true;
                            });
        }
        for (int i = 0; i < streams.size(); i++) {
            FrameStream stream = streams.get(i);
            LoopPacer pacer = routes.get(i).from().pacer();
            pacer.loop().execute(() -> pacer.add(stream));
        }
    }

    @Override
    public LoadLogs logs() {
        return logs;
    }

    @Override
    public void start(RunEnd newEnd) throws StressException, InterruptedException {
        epoch++;
        end = newEnd;
        int now = epoch;
        for (int i = 0; i < streams.size(); i++) {
            FrameStream stream = streams.get(i);
            var ignored =
                    OnLoop.call(
                            routes.get(i).to().pacer().loop(),
                            "a receiver",
                            () -> {
                                stream.expect(now, newEnd);
                                return true;
                            });
        }
        long begin = System.nanoTime();
        for (int i = 0; i < streams.size(); i++) {
            FrameStream stream = streams.get(i);
            routes.get(i).from().pacer().loop().execute(() -> stream.start(now, begin));
        }
    }

    @Override
    public void stop() throws StressException, InterruptedException {
        sent = 0;
        for (int i = 0; i < streams.size(); i++) {
            sent +=
                    OnLoop.call(
                            routes.get(i).from().pacer().loop(), "a sender", streams.get(i)::stop);
        }
        long before = -1;
        long quietSince = System.nanoTime();
        while (received() < sent && System.nanoTime() - quietSince < QUIET_NANOS) {
            if (received() != before) {
                before = received();
                quietSince = System.nanoTime();
            }
            TimeUnit.MILLISECONDS.sleep(1);
        }
        long reordered = counts().getOrDefault("reordered", 0L);
        if (reordered > 0) {
            end.fail(reordered + " frames came after a later one of their stream");
        }
    }

    private long received() {
        return streams.stream().mapToLong(FrameStream::received).sum();
    }

    /// Nothing comes any more, so the receivers' state can be read.
    @Override
    public Map<String, Long> counts() {
        Map<String, Long> counts = new TreeMap<>();
        counts.put("checked", received());
        counts.put("lost", Math.max(0, sent - received()));
        counts.put("duplicated", streams.stream().mapToLong(s -> s.window().duplicated()).sum());
        counts.put("reordered", streams.stream().mapToLong(s -> s.window().reordered()).sum());
        counts.put("unsent", streams.stream().mapToLong(FrameStream::unsent).sum());
        return counts;
    }

    /// The guests are free for another load.
    @Override
    public void close() {
        for (Member member : members) {
            member.pacer()
                    .loop()
                    .execute(
                            () -> {
                                member.guest().join(List.of());
                                member.pacer().clear();
                            });
        }
    }
}
