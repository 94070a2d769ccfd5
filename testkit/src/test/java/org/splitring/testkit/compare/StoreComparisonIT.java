package org.splitring.testkit.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.testkit.CXenstored;
import org.splitring.testkit.RawStoreClient;
import org.splitring.wire.XsdSockmsgLayout;
import org.splitring.xenbus.store.Quota;
import org.splitring.xenbus.store.StoreLimits;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireServer;

/// The same random requests to Xen's own xenstored and to our server: each answer and each event
/// must be the same, and so must the tree in the end. The sequences are the same in every run;
/// `-Dstore.sequences=N` runs new ones, `-Dstore.seed=N` replays one.
@Timeout(600)
class StoreComparisonIT {
    private static final int STEPS = 500;
    private static final int SHOWN = Integer.getInteger("store.shown", 60);

    /// Small enough for every limit to be met in a sequence.
    private static final StoreLimits TIGHT =
            StoreLimits.DEFAULT
                    .with(Quota.NODE_SIZE, 60)
                    .with(Quota.PERMISSIONS, 3)
                    .with(Quota.WATCHES, 4)
                    .with(Quota.TRANSACTIONS, 2);

    private static final List<String> TIGHT_OPTIONS =
            List.of(
                    "--entry-size=60",
                    "--perm-nb=3",
                    "--watch-nb=3", // it allows one more
                    "--transaction=1");

    @TempDir private Path folder;

    @Test
    void randomRequestsAreAnsweredAsByXenstored() throws Exception {
        run(
                StoreLimits.DEFAULT,
                List.of("--transaction=9", "--watch-nb=127"),
                true); // it allows one more
    }

    @Test
    void randomRequestsAtTheLimitsAreAnsweredAsByXenstored() throws Exception {
        run(TIGHT, TIGHT_OPTIONS, true);
    }

    @Test
    void randomRequestsAtTheLimitOfNodesAreAnsweredAsByXenstored() throws Exception {
        run(
                StoreLimits.DEFAULT.with(Quota.NODES, 12),
                List.of("--entry-nb=12", "--transaction=9", "--watch-nb=127"),
                false);
    }

    /// @param guestsTransact whether guests begin transactions: xenstored lets those make one node
    ///     less than the limit
    private void run(StoreLimits limits, List<String> options, boolean guestsTransact)
            throws Exception {
        Long replay = Long.getLong("store.seed");
        Integer sequences = Integer.getInteger("store.sequences");
        long first = sequences == null ? 1 : System.nanoTime();
        long[] seeds =
                replay != null
                        ? new long[] {replay}
                        : LongStream.range(0, sequences == null ? 8 : sequences)
                                .map(i -> first + i)
                                .toArray();
        for (long seed : seeds) {
            Path place = Files.createDirectory(folder.resolve("s" + seed));
            List<String> all = new ArrayList<>(options);
            all.add("--timeout=watch-event=1000000"); // the clock runs fast
            try (CXenstored daemon = CXenstored.start(place, 1000, all.toArray(String[]::new))) {
                compare(seed, guestsTransact, theirs(daemon), ours(limits));
            }
        }
    }

    private static StoreSide theirs(CXenstored daemon) throws IOException {
        List<RawStoreClient> connections = new ArrayList<>();
        for (int domain : RandomRequests.DOMAINS) {
            connections.add(
                    domain == 0
                            ? RawStoreClient.socket(daemon.socket())
                            : daemon.introduce(connections.getFirst(), domain));
        }
        return new StoreSide("xenstored", connections);
    }

    private static StoreSide ours(StoreLimits limits) {
        StoreTree tree = new StoreTree(limits);
        StoreWireServer server = new StoreWireServer(tree);
        List<RawStoreClient> connections = new ArrayList<>();
        for (int domain : RandomRequests.DOMAINS) {
            DomId id = new DomId(domain);
            tree.introduce(id);
            connections.add(new RawStoreClient(new EmbeddedCarrier(server.handler(id))));
        }
        return new StoreSide("ours", connections);
    }

    private static void compare(long seed, boolean guestsTransact, StoreSide theirs, StoreSide ours)
            throws IOException {
        Deque<String> last = new ArrayDeque<>();
        try {
            for (Step step : beginning()) {
                assertEquals(theirs.run(step, 0), ours.run(step, 0), step.toString());
            }
            AllowedDifferences differences = new AllowedDifferences();
            RandomRequests requests = new RandomRequests(new Random(seed), guestsTransact);
            for (int number = 1; number <= STEPS; number++) {
                Step step = requests.next();
                if (last.size() == SHOWN) {
                    last.remove();
                }
                last.add(number + " " + step);
                List<String> expected = theirs.run(step, number);
                last.add(last.removeLast() + " -> " + Step.shown(expected.toString()));
                List<String> found = ours.run(step, number);
                if (!expected.equals(found) && !differences.allow(step, expected, found)) {
                    fail("ours: " + Step.shown(found.toString()));
                }
                assertFalse(differences.cameThrough(step, expected), "differed, and came through");
                if (expected.getFirst().equals("transaction " + number)) {
                    requests.began(step.connection(), number);
                }
            }
            assertEquals(theirs.dump(), ours.dump());
        } catch (IOException | AssertionError e) {
            fail("seed " + seed + "\n" + String.join("\n", last) + "\n" + e.getMessage(), e);
        } finally {
            theirs.close();
            ours.close();
        }
    }

    /// A home for each guest, a folder for all and one for nobody; and nothing that a daemon makes
    /// by itself.
    private static List<Step> beginning() {
        List<Step> steps = new ArrayList<>();
        steps.add(control(XsdSockmsgLayout.RM, "/tool\0"));
        for (int domain = 1; domain <= 3; domain++) {
            String home = "/local/domain/" + domain + "\0";
            steps.add(control(XsdSockmsgLayout.MKDIR, home));
            steps.add(control(XsdSockmsgLayout.SET_PERMS, home + "n" + domain + "\0"));
        }
        steps.add(control(XsdSockmsgLayout.MKDIR, "/shared\0"));
        steps.add(control(XsdSockmsgLayout.SET_PERMS, "/shared\0b0\0"));
        steps.add(control(XsdSockmsgLayout.MKDIR, "/top\0"));
        steps.add(control(XsdSockmsgLayout.SET_PERMS, "/top\0r0\0b2\0n3\0"));
        steps.add(control(XsdSockmsgLayout.MKDIR, "/closed\0"));
        return steps;
    }

    private static Step control(int type, String payload) {
        return new Step(0, type, 0, payload);
    }
}
