package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/// The measuring end of `bench store`, the same for every contender, in a JVM of its own:
///
///     StoreWorker splitring|c LIBRARY CLIENTS GUESTS SECONDS TEST...
///
/// Starts the store, makes guests, warms everything up, and prints lines `TEST METRIC VALUE`. With
/// guests the clients go through the folders of all of them, without through one of their own.
public final class StoreWorker implements AutoCloseable {
    private static final int MOST_SAMPLES = 1 << 18;
    private static final int FEWEST_RELEASES = 20;
    private static final int STRIDE = 7; // does not divide the number of guests
    private static final int WATCHED_PLACES = 5;

    /// Warm is a server that has not become cheaper by more than 2 % in five slices.
    private static final int STEADY_SLICES = 5;

    private static final double STEADY = 0.98;

    /// Processor time is counted in hundredths of a second: nothing for shorter tests.
    private static final long SHORTEST_WITH_CPU_NANOS = 200_000_000;

    private static final int MOST_WARM_SLICES = 20;

    private final StoreDaemon daemon;
    private final StoreClient control;
    private final List<Client> clients = new ArrayList<>();
    private final ExecutorService threads = Executors.newCachedThreadPool();

    /// One client with what it goes through.
    ///
    /// @param samples room for what it measures
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Client(
            StoreClient client,
            StoreClient watcher,
            List<StorePlace> places,
            List<StorePlace> watched,
            long[] samples) {}

    /// What one client measured.
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Samples(long operations, long nanos, long[] each) {}

    private StoreWorker(StoreDaemon daemon) throws IOException {
        this.daemon = daemon;
        this.control = StoreClient.connect(daemon.socket());
    }

    /// Measures as the arguments say.
    public static void main(String[] args) throws Exception {
        JavaProgram.endWithParent();
        int clients = Integer.parseInt(args[2]);
        int guests = Integer.parseInt(args[3]);
        long nanos = (long) (Double.parseDouble(args[4]) * 1e9);
        List<StoreOperation> tests = Stream.of(args).skip(5).map(StoreOperation::of).toList();
        // Where Debian keeps the database of xenstored: in memory.
        Path shm = Path.of("/dev/shm");
        Path folder =
                Files.isWritable(shm)
                        ? Files.createTempDirectory(shm, "splitring-bench")
                        : Files.createTempDirectory("splitring-bench");
        try (StoreDaemon daemon =
                        args[0].equals("c")
                                ? new CStore(folder, Path.of(args[1]))
                                : new SplitringStore(folder);
                StoreWorker worker = new StoreWorker(daemon)) {
            worker.prepare(clients, guests);
            worker.warmUp(guests, nanos);
            for (StoreOperation test : tests) {
                worker.measure(test, nanos);
            }
        } finally {
            remove(folder);
        }
    }

    private void prepare(int count, int guests) throws IOException {
        List<StorePlace> homes = new ArrayList<>();
        for (int guest = 1; guest <= guests; guest++) {
            StorePlace home = StorePlace.of("/local/domain/" + guest, guest);
            daemon.introduce(control, guest);
            home.make(control);
            homes.add(home);
        }
        daemon.connectGuests(1, guests);
        for (int i = 0; i < count; i++) {
            List<StorePlace> places = homes;
            if (homes.isEmpty()) {
                StorePlace own = StorePlace.of("/bench/" + i, 0);
                own.make(control);
                places = List.of(own);
            }
            List<StorePlace> watched = places.subList(0, Math.min(places.size(), WATCHED_PLACES));
            StoreClient watcher = StoreClient.connect(daemon.socket());
            for (StorePlace place : watched) {
                place.watch(watcher);
            }
            StoreClient client = StoreClient.connect(daemon.socket());
            clients.add(new Client(client, watcher, places, watched, new long[MOST_SAMPLES]));
        }
    }

    /// All operations in turn, so that no test profits from a JIT that knows nothing else, until
    /// the server's processor time for an operation falls no further: a fresh JVM takes seconds for
    /// that, and longer on a busy machine, a program in C none.
    private void warmUp(int guests, long nanos) throws Exception {
        long slice = 3 * nanos;
        double best = Double.MAX_VALUE;
        int steady = 0;
        for (int i = 0; i < MOST_WARM_SLICES && steady < STEADY_SLICES; i++) {
            long cpu = daemon.cpuNanos();
            long operations = 0;
            long start = System.nanoTime();
            while (System.nanoTime() - start < slice) {
                for (StoreOperation test : StoreOperation.repeatable()) {
                    for (Samples samples : together(test, nanos / 25)) {
                        operations += samples.operations;
                    }
                }
                if (guests > 0) {
                    operations += warmUpRelease(guests + 1, nanos / 25);
                }
            }
            double each = (double) (daemon.cpuNanos() - cpu) / operations;
            steady = each < best * STEADY ? 0 : steady + 1;
            best = Math.min(best, each);
        }
    }

    /// Makes and releases a guest beside those that are measured: these keep their watches.
    ///
    /// @return how often
    private int warmUpRelease(int guest, long nanos) throws IOException {
        StorePlace spare = StorePlace.of("/local/domain/" + guest, guest);
        int releases = 0;
        long start = System.nanoTime();
        while (System.nanoTime() - start < nanos) {
            daemon.introduce(control, guest);
            spare.make(control);
            StoreOperation.RELEASE.once(control, control, spare);
            releases++;
        }
        return releases;
    }

    private void measure(StoreOperation test, long nanos) throws Exception {
        long cpu = daemon.cpuNanos();
        List<Samples> found =
                test == StoreOperation.RELEASE ? List.of(releases(nanos)) : together(test, nanos);
        cpu = daemon.cpuNanos() - cpu;
        double rate = 0;
        long operations = 0;
        for (Samples samples : found) {
            rate += samples.operations * 1e9 / samples.nanos;
            operations += samples.operations;
        }
        long[] all = found.stream().flatMapToLong(s -> Arrays.stream(s.each)).sorted().toArray();
        System.out.printf(Locale.ROOT, "%s operations_per_second %.1f%n", test, rate);
        System.out.printf(Locale.ROOT, "%s p50_ns %d%n", test, all[all.length / 2]);
        System.out.printf(Locale.ROOT, "%s p99_ns %d%n", test, all[(int) (all.length * 0.99)]);
        if (nanos >= SHORTEST_WITH_CPU_NANOS && test != StoreOperation.RELEASE) {
            System.out.printf(Locale.ROOT, "%s server_cpu_ns %d%n", test, cpu / operations);
        }
    }

    /// All clients at the same time.
    private List<Samples> together(StoreOperation test, long nanos) throws Exception {
        CountDownLatch ready = new CountDownLatch(clients.size());
        List<Future<Samples>> running = new ArrayList<>();
        for (Client client : clients) {
            running.add(
                    threads.submit(
                            () -> {
                                ready.countDown();
                                ready.await();
                                return run(test, client, nanos);
                            }));
        }
        List<Samples> found = new ArrayList<>();
        for (Future<Samples> one : running) {
            try {
                found.add(one.get());
            } catch (ExecutionException e) {
                throw new IOException(test + " failed", e.getCause());
            }
        }
        return found;
    }

    private static Samples run(StoreOperation test, Client client, long nanos) throws IOException {
        List<StorePlace> places = test == StoreOperation.WATCH ? client.watched : client.places;
        long[] each = client.samples;
        int operations = 0;
        int at = 0;
        long start = System.nanoTime();
        long before = start;
        while (before - start < nanos) {
            test.once(client.client, client.watcher, places.get(at));
            at = (at + STRIDE) % places.size();
            long after = System.nanoTime();
            each[operations++ & (MOST_SAMPLES - 1)] = after - before;
            before = after;
        }
        return new Samples(
                operations,
                before - start,
                Arrays.copyOf(each, Math.min(operations, MOST_SAMPLES)));
    }

    /// Releases one guest after the other; making them again is not measured (but is work of the
    /// server, so that its processor time says nothing).
    private Samples releases(long nanos) throws IOException {
        Client client = clients.getFirst();
        List<StorePlace> places = client.places;
        long[] each = new long[MOST_SAMPLES];
        int releases = 0;
        long sum = 0;
        long start = System.nanoTime();
        while (releases < MOST_SAMPLES
                && (releases < FEWEST_RELEASES || System.nanoTime() - start < nanos)) {
            // Not those that the measuring client watches.
            int first = client.watched.size() % places.size();
            StorePlace place = places.get(first + releases % (places.size() - first));
            long before = System.nanoTime();
            StoreOperation.RELEASE.once(client.client, client.watcher, place);
            each[releases] = System.nanoTime() - before;
            sum += each[releases++];
            daemon.introduce(control, place.owner());
            place.make(control);
        }
        return new Samples(releases, sum, Arrays.copyOf(each, releases));
    }

    @Override
    public void close() throws IOException {
        threads.shutdownNow();
        for (Client client : clients) {
            client.client.close();
            client.watcher.close();
        }
        control.close();
    }

    private static void remove(Path tree) throws IOException {
        try (Stream<Path> paths = Files.walk(tree)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        }
    }
}
