package org.splitring.testkit.compare;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.testkit.PageCarrier;
import org.splitring.testkit.RawStoreClient;
import org.splitring.testkit.RawStoreClient.Message;
import org.splitring.wire.XsdSockmsgLayout;
import org.splitring.xenbus.store.Quota;
import org.splitring.xenbus.store.StoreLimits;

/// The two quotas that cannot be met request by request, beside Xen's own xenstored: how many
/// answers
/// may wait for a guest that takes none, and how much memory it may use.
@Timeout(120)
class StoreQuotasComparisonIT {
    private static final int GUEST = 1;
    private static final String HOME = "/local/domain/" + GUEST + "\0";
    private static final int REQUESTS = 200;
    private static final int REQUEST_BYTES = XsdSockmsgLayout.SIZE_BYTES + 5;

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

    /// One of the daemons with a guest that has a page and a home.
    private record Guest(StoreDaemon daemon, RawStoreClient control, PageCarrier page)
            implements AutoCloseable {
        static Guest of(StoreDaemon daemon) throws IOException {
            RawStoreClient control = daemon.connect(0);
            ok(control.call(XsdSockmsgLayout.INTRODUCE, 0, GUEST + "\0" + "1\0" + "1\0"));
            ok(control.call(XsdSockmsgLayout.MKDIR, 0, HOME));
            ok(control.call(XsdSockmsgLayout.SET_PERMS, 0, HOME + "n" + GUEST + "\0"));
            return new Guest(daemon, control, daemon.page(GUEST));
        }

        @Override
        public void close() throws IOException {
            page.close();
            control.close();
            daemon.close();
        }
    }

    private Guest theirs(String... options) throws IOException, InterruptedException {
        return Guest.of(
                new TheirDaemon(Files.createTempDirectory(folder, "theirs"), List.of(options)));
    }

    private static Guest ours(StoreLimits limits) throws IOException {
        return Guest.of(new OurDaemon(limits, loops.loop(0)));
    }

    private static void ok(Message answer) {
        assertEquals("OK\0", answer.text());
    }

    @Test
    void requestsAreCarriedOutUntilAsManyAnswersWaitAsWithXenstored() throws Exception {
        for (int limit : new int[] {5, 20}) {
            try (Guest theirs = theirs("--quota=outstanding=" + limit);
                    Guest ours = ours(StoreLimits.DEFAULT.with(Quota.OUTSTANDING, limit))) {
                int expected = carriedOutWithoutTakingAnswers(theirs);
                assertTrue(expected < REQUESTS, "xenstored carries out " + expected);
                assertEquals(expected, carriedOutWithoutTakingAnswers(ours), "limit " + limit);
            }
        }
    }

    /// How many of many requests have an effect of a guest that takes no answers.
    private static int carriedOutWithoutTakingAnswers(Guest guest) throws IOException {
        ByteBuffer requests =
                ByteBuffer.allocate(REQUESTS * REQUEST_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < REQUESTS; i++) {
            byte[] path = String.format(Locale.ROOT, "d%03d\0", i).getBytes(US_ASCII);
            requests.putInt(XsdSockmsgLayout.MKDIR).putLong(0).putInt(path.length).put(path);
        }
        requests.flip();
        // What a daemon has not done after so many requests of others it will not do.
        for (int i = 0; i < 300; i++) {
            guest.page.offer(requests);
            guest.control.call(XsdSockmsgLayout.GET_DOMAIN_PATH, 0, "0\0");
            guest.daemon.settle();
        }
        Message made = guest.control.call(XsdSockmsgLayout.DIRECTORY, 0, HOME);
        return made.payload().length / "d000\0".length();
    }

    @Test
    void aGuestHasRoomForAsManyNodesAsWithXenstoredButForWhatOneTakes() throws Exception {
        try (Guest theirs = theirs("--quota=memory=40000");
                Guest ours = ours(StoreLimits.DEFAULT.with(Quota.MEMORY, 40_000))) {
            RawStoreClient here = new RawStoreClient(ours.page);
            RawStoreClient there = new RawStoreClient(theirs.page);
            for (int round = 0; round < 3; round++) { // nothing is left of what domain 0 removed
                int expected = nodesUntilRefused(there, "EIO\0");
                assertEquals(expected, nodesUntilRefused(here, "ENOMEM\0"), expected / 10.0);
                for (Guest guest : List.of(theirs, ours)) {
                    ok(guest.control.call(XsdSockmsgLayout.RM, 0, "/local/domain/1/m\0"));
                }
            }
        }
    }

    private static int nodesUntilRefused(RawStoreClient guest, String error) throws IOException {
        for (int made = 0; made < 1000; made++) {
            Message answer =
                    guest.call(XsdSockmsgLayout.WRITE, 0, "m/" + made + "\0" + "v".repeat(900));
            if (answer.isError()) {
                assertEquals(error, answer.text());
                return made;
            }
        }
        throw new AssertionError("no limit");
    }
}
