package org.splitring.testkit.compare;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.store.Quota;
import org.splitring.xenbus.store.StoreLimits;

/// The same random requests to Xen's own xenstored and to our server: each answer and each event
/// must be the same, and so must the tree in the end. Guests are on pages with two rings there;
/// here so in sequences of an even seed, on channels in those of an odd one.
///
/// The sequences are the same in every run. `-Dstore.sequences=N` runs N new ones instead,
/// `-Dstore.seed=N` replays one. One that fails is shown as short as it can be made in a minute.
@Timeout(value = 8, unit = TimeUnit.HOURS) // as many as are asked for; each request has its own
class StoreComparisonIT {
    private static final int STEPS = 500;
    private static final int FIXED = 15;

    /// Failures after which it is enough.
    private static final int ENOUGH = 3;

    private static final long SHRINK_NANOS = TimeUnit.MINUTES.toNanos(1);

    // xenstored allows one more watch and one more transaction than its options say.
    @SuppressWarnings("ImmutableEnumChecker") // their values have no setters, the lists are List.of
    enum Setup {
        USUAL(
                StoreLimits.DEFAULT,
                List.of("--transaction=9", "--watch-nb=127"),
                new RandomRequests.Mix(true, false)),
        /// Limits so small that every one is met in a sequence.
        TIGHT(
                StoreLimits.DEFAULT
                        .with(Quota.NODE_SIZE, 60)
                        .with(Quota.PERMISSIONS, 3)
                        .with(Quota.WATCHES, 4)
                        .with(Quota.TRANSACTIONS, 2),
                List.of("--entry-size=60", "--perm-nb=3", "--watch-nb=3", "--transaction=1"),
                new RandomRequests.Mix(true, false)),
        /// xenstored lets transactions make one node less than the limit, so guests begin none.
        FEW_NODES(
                StoreLimits.DEFAULT.with(Quota.NODES, 12),
                List.of("--entry-nb=12", "--transaction=9", "--watch-nb=127"),
                new RandomRequests.Mix(false, false)),
        /// Guests are released and introduced again. Rights of domains that are gone count for the
        /// size of a node there, so that has no limit.
        GUESTS_COME_AND_GO(
                StoreLimits.DEFAULT.with(Quota.NODE_SIZE, 1_000_000),
                List.of("--entry-size=1000000", "--transaction=9", "--watch-nb=127"),
                new RandomRequests.Mix(true, true));

        private final StoreLimits limits;
        private final List<String> options;
        private final RandomRequests.Mix mix;

        Setup(StoreLimits limits, List<String> options, RandomRequests.Mix mix) {
            this.limits = limits;
            this.options = options;
            this.mix = mix;
        }
    }

    private static NettyDeviceLoops loops;

    @TempDir private Path folder;

    @BeforeAll
    static void startLoop() {
        loops = new NettyDeviceLoops("compare", 1, 0);
    }

    @AfterAll
    static void stopLoop() {
        loops.close();
    }

    @ParameterizedTest
    @EnumSource
    void randomRequestsAreAnsweredAsByXenstored(Setup setup) throws Exception {
        List<String> failures = new ArrayList<>();
        for (long seed : seeds(setup)) {
            Comparison comparison = compare(setup, seed, all -> random(all, setup, seed));
            if (comparison.difference() != null) {
                failures.add("-Dstore.seed=" + seed + "\n" + shortest(setup, seed, comparison));
            }
            if (failures.size() == ENOUGH) {
                break;
            }
        }
        if (!failures.isEmpty()) {
            fail(setup + ": " + String.join("\n\n", failures));
        }
    }

    private static long[] seeds(Setup setup) {
        Long replay = Long.getLong("store.seed");
        if (replay != null) {
            return new long[] {replay};
        }
        Integer fresh = Integer.getInteger("store.sequences");
        if (fresh == null) {
            return LongStream.rangeClosed(1, FIXED).toArray();
        }
        long first = System.nanoTime();
        System.out.printf("%s: seeds %d to %d%n", setup, first, first + fresh - 1);
        return LongStream.range(first, first + fresh).toArray();
    }

    private static void random(Comparison comparison, Setup setup, long seed) {
        RandomRequests requests = new RandomRequests(new Random(seed), setup.mix);
        for (int number = 1; number <= STEPS; number++) {
            Numbered step = new Numbered(number, requests.next());
            requests.answered(step, comparison.run(step));
        }
    }

    /// A sequence of steps given to two new daemons, after the same beginning.
    private Comparison compare(Setup setup, long seed, Consumer<Comparison> steps)
            throws IOException, InterruptedException {
        Path place = Files.createTempDirectory(folder, "s");
        DeviceLoop loop = seed % 2 == 0 ? loops.loop(0) : null;
        try (StoreSide theirs = new StoreSide(new TheirDaemon(place, setup.options));
                StoreSide ours = new StoreSide(new OurDaemon(setup.limits, loop))) {
            Comparison comparison = new Comparison(theirs, ours);
            Comparison.beginning().forEach(comparison::run);
            steps.accept(comparison);
            comparison.end();
            return comparison;
        }
    }

    /// Tells a sequence that fails in as few steps as can be.
    private String shortest(Setup setup, long seed, Comparison failed) throws Exception {
        int begun = Comparison.beginning().size();
        List<Numbered> steps = failed.done();
        if (steps.size() < begun) {
            return failed.story();
        }
        List<Numbered> least =
                Shrinking.shrink(
                        steps.subList(begun, steps.size()),
                        SHRINK_NANOS,
                        some -> replay(setup, seed, some).difference() != null);
        Comparison again = replay(setup, seed, least);
        return again.difference() == null
                ? "not again when replayed:\n" + failed.story()
                : again.story();
    }

    private Comparison replay(Setup setup, long seed, List<Numbered> steps) throws Exception {
        return compare(setup, seed, all -> steps.forEach(all::run));
    }
}
