package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.xenbus.store.RawStorePage.CONNECTION;
import static org.splitring.xenbus.store.RawStorePage.ERROR;
import static org.splitring.xenbus.store.RawStorePage.EVENT;
import static org.splitring.xenbus.store.RawStorePage.FAILED;
import static org.splitring.xenbus.store.RawStorePage.FEATURES;
import static org.splitring.xenbus.store.RawStorePage.READ;
import static org.splitring.xenbus.store.RawStorePage.REQ_CONS;
import static org.splitring.xenbus.store.RawStorePage.REQ_PROD;
import static org.splitring.xenbus.store.RawStorePage.RSP_CONS;
import static org.splitring.xenbus.store.RawStorePage.RSP_PROD;
import static org.splitring.xenbus.store.RawStorePage.TRANSACTION_START;
import static org.splitring.xenbus.store.RawStorePage.WATCH;
import static org.splitring.xenbus.store.RawStorePage.WRITE;
import static org.splitring.xenbus.store.RawStorePage.await;
import static org.splitring.xenbus.store.RawStorePage.headerSaying;
import static org.splitring.xenbus.store.RawStorePage.message;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.RawStorePage.Answer;

/// A guest that does anything with its xenstore page, beside one that behaves; both pages are
/// served by one loop.
@Timeout(60)
class HostileStorePageTest {
    private static final DomId SEVEN = new DomId(7);
    private static final DomId EIGHT = new DomId(8);

    /// Messages that the store may hold for a guest: the quota `outstanding` of 20, and one that is
    /// half in the ring.
    private static final int MAX_UNSENT = 20 + 1;

    private final NettyDeviceLoops loops = new NettyDeviceLoops("page-test", 2, 0);
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final DriverDomain driver = hypervisor.driverDomain(DomId.ZERO);
    private final StoreTree tree = new StoreTree();
    private final Store control = tree.connection(DomId.ZERO, Runnable::run);
    private LocalGuestDomain guest;
    private LocalGuestDomain other;
    private StorePageServer server;
    private StorePageServer otherServer;
    private RawStorePage page;
    private StoreWireClient neighbour;

    @BeforeEach
    void start() throws Exception {
        Toolstack toolstack = new Toolstack(control);
        toolstack.createDomain(SEVEN, "hostile");
        toolstack.createDomain(EIGHT, "neighbour");
        guest = hypervisor.createGuest(SEVEN, 1 << 20, DomainLimits.DEFAULT);
        other = hypervisor.createGuest(EIGHT, 1 << 20, DomainLimits.DEFAULT);
        page = new RawStorePage(guest.makeXenstorePage(DomId.ZERO));
        server =
                StorePageServer.serve(
                        tree, SEVEN, hypervisor.openXenstorePage(guest, driver), loops.loop(0));
        XenstorePage otherEnd = other.makeXenstorePage(DomId.ZERO);
        otherServer =
                StorePageServer.serve(
                        tree, EIGHT, hypervisor.openXenstorePage(other, driver), loops.loop(0));
        neighbour =
                StoreWireClient.overPage(otherEnd, EIGHT, loops.loop(1), DeviceEnd.VIRTUAL_THREADS);
        await(() -> page.word(FEATURES) == 7);
    }

    @AfterEach
    void stop() throws StoreException {
        pingNeighbour();
        neighbour.close();
        server.close();
        otherServer.close();
        guest.close();
        other.close();
        assertEquals(0, hypervisor.mappedTotal());
        loops.close();
        assertEquals(1, tree.watchPlaces(), "watches that nobody has any more");
        tree.checkBooks();
    }

    private void pingNeighbour() throws StoreException {
        neighbour.write("data/ping", "x");
        assertEquals(Optional.of("x"), neighbour.read("data/ping"));
    }

    private void works() {
        assertEquals(new Answer(WRITE, 77, "OK\0"), page.call(WRITE, 0, "data/here\0and now"));
        assertEquals(new Answer(READ, 77, "and now"), page.call(READ, 0, "data/here\0"));
    }

    private void revives() {
        page.reconnect();
        assertEquals(0, page.word(ERROR));
        works();
    }

    @Test
    void h127_theFeatureWordIsForTheGuestToReadAndNotBelieved() throws Exception {
        for (int features : new int[] {0, -1, 4, 1 << 31}) {
            page.word(FEATURES, features);
            page.word(ERROR, 2); // not its word to write either
            works();
            assertEquals(features, page.word(FEATURES), "nobody looks at it");
            revives(); // although the word says that this is not offered
            assertEquals(7, page.word(FEATURES));
        }
        for (int state : new int[] {2, 3, -1, 1 << 31}) {
            page.word(CONNECTION, state);
            works();
        }
        pingNeighbour();
    }

    @Test
    void h127_reconnectingInTheMiddleOfAMessageForgetsItAndAllElseButTheNodes() throws Exception {
        byte[] write = message(WRITE, 5, 0, "data/half\0never");
        for (int cut = 1; cut < write.length; cut++) {
            int before = tree.watchPlaces();
            works();
            assertEquals("OK\0", page.call(WATCH, 0, "data\0token\0").text());
            assertEquals(EVENT, page.receive().type());
            String transaction = page.call(TRANSACTION_START, 0, "\0").text();
            int id = Integer.parseInt(transaction.substring(0, transaction.length() - 1));
            assertEquals("and now", page.call(READ, id, "data/here\0").text());
            int consumed = page.word(REQ_CONS);
            page.send(Arrays.copyOf(write, cut));
            int length = cut;
            await(() -> page.word(REQ_CONS) == consumed + length);
            page.reconnect();
            for (int index : new int[] {REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, ERROR}) {
                assertEquals(0, page.word(index), "word at " + index);
            }
            assertEquals("and now", page.call(READ, 0, "data/here\0").text(), "cut at " + cut);
            assertEquals(new Answer(FAILED, 77, "ENOENT\0"), page.call(READ, id, "data/here\0"));
            assertEquals(before, tree.watchPlaces());
        }
        assertEquals(Optional.empty(), control.read("/local/domain/7/data/half"));
    }

    @Test
    void h127_halfAMessageAndSilenceHoldNobodyUp() throws Exception {
        page.send(Arrays.copyOf(headerSaying(READ, 4096), 7));
        for (int i = 0; i < 50; i++) {
            pingNeighbour();
        }
        // The rest of the header, and all but the last byte of the longest message.
        page.send(Arrays.copyOfRange(headerSaying(READ, 4096), 7, 16));
        page.send(new byte[4095]);
        for (int i = 0; i < 50; i++) {
            pingNeighbour();
        }
        assertEquals(0, page.word(RSP_PROD), "nothing was answered");
        page.send(new byte[1]);
        assertEquals(new Answer(FAILED, 1, "EINVAL\0"), page.receive());
        works();
    }

    @Test
    void h118_aLengthThatIsTooLongStopsThePageOnce() throws Exception {
        for (int length : new int[] {4097, 1 << 30, Integer.MAX_VALUE, 1 << 31, -1}) {
            page.send(headerSaying(READ, length));
            await(() -> page.word(ERROR) == 3);
            int consumed = page.word(REQ_CONS);
            int produced = page.word(RSP_PROD);
            page.offer(message(READ, 1, 0, "data\0"));
            pingNeighbour();
            assertEquals(consumed, page.word(REQ_CONS), "the rings are left alone");
            assertEquals(produced, page.word(RSP_PROD));
            revives();
        }
    }

    @Test
    void h002_everyDistanceUpToTheLengthOfTheRingIsServedAndNoOther() throws Exception {
        byte[] request = message(READ, 9, 0, "data/none\0");
        for (int distance = 1; distance <= 1024; distance++) {
            if (distance % 512 > 32 && distance % 512 < 480) {
                continue; // what is special is near the ends of a read and of the ring
            }
            int at = distance;
            page.reconnect();
            for (int i = 0; i < distance; i++) {
                page.memory.set(ValueLayout.JAVA_BYTE, i, request[i % request.length]);
            }
            page.word(RSP_CONS, 0);
            page.word(REQ_PROD, distance);
            page.kick();
            await(() -> page.word(REQ_CONS) == at || page.word(ERROR) != 0);
            assertEquals(0, page.word(ERROR), "distance " + distance);
        }
        for (int distance : new int[] {1025, 2048, 1 << 16, Integer.MAX_VALUE, 1 << 31, -1}) {
            page.reconnect();
            page.word(REQ_PROD, distance);
            page.kick();
            await(() -> page.word(ERROR) == 2);
            assertEquals(0, page.word(REQ_CONS), "distance " + distance);
            pingNeighbour();
            page.reconnect();
            page.word(RSP_CONS, -distance); // as far behind rsp_prod, which is 0
            page.kick();
            await(() -> page.word(ERROR) == 2);
            revives();
        }
    }

    @Test
    void h003_ourOwnIndicesAreNeverReadBack() {
        Random random = new Random(20261121);
        int produced = page.word(RSP_PROD);
        int consumed = page.word(REQ_CONS);
        byte[] read = message(READ, 77, 0, "data/none\0");
        for (int i = 0; i < 200; i++) {
            page.word(REQ_CONS, random.nextInt());
            page.word(RSP_PROD, random.nextInt());
            int start = page.word(REQ_PROD);
            for (int k = 0; k < read.length; k++) {
                page.memory.set(ValueLayout.JAVA_BYTE, (start + k) & 1023, read[k]);
            }
            page.word(REQ_PROD, start + read.length);
            page.kick();
            consumed += read.length;
            produced += 16 + "ENOENT\0".length();
            int expectedCons = consumed;
            int expectedProd = produced;
            await(() -> page.word(REQ_CONS) == expectedCons && page.word(RSP_PROD) == expectedProd);
            page.word(RSP_CONS, produced);
        }
        assertEquals(0, page.word(ERROR));
    }

    /// Any byte of the page changes at any moment, from another thread, while the store is told to
    /// look. Whatever comes of it, the neighbour is served and a reconnection revives the page.
    @Test
    void h003_aPageThatNeverHoldsStillHurtsOnlyItsGuest() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("h003_aPageThatNeverHoldsStillHurtsOnlyItsGuest: seed " + seed);
        int errors = 0;
        for (int round = 0; round < 30; round++) {
            Random random = new Random(seed + round);
            AtomicBoolean stop = new AtomicBoolean();
            Thread scribbler = Thread.ofPlatform().start(() -> scribble(random, stop));
            try {
                for (int i = 0; i < 20; i++) {
                    pingNeighbour();
                }
            } finally {
                stop.set(true);
                scribbler.join();
            }
            errors += page.word(ERROR) == 0 ? 0 : 1;
            // The answer to this may be meant for the scribbler, who went on writing indices while
            // it was made: only what is asked after that answer is answered with a quiet page.
            page.reconnect();
            revives();
        }
        assertTrue(errors > 0, "seed " + seed + ": nothing the scribbler did was noticed");
    }

    private void scribble(Random random, AtomicBoolean stop) {
        byte[] plausible = message(WATCH, 3, 0, "data\0t\0");
        while (!stop.get()) {
            switch (random.nextInt(8)) {
                case 0 -> page.word(REQ_PROD, page.word(REQ_CONS) + random.nextInt(1100));
                case 1 -> page.word(RSP_CONS, page.word(RSP_PROD) - random.nextInt(1100));
                case 2 -> page.word(CONNECTION, random.nextInt(3));
                case 3 -> page.word(2048 + 4 * random.nextInt(8), random.nextInt());
                case 4 ->
                        page.memory.set(
                                ValueLayout.JAVA_BYTE,
                                random.nextInt(1024),
                                (byte) random.nextInt(24));
                default -> {
                    int at = random.nextInt(1024);
                    for (int i = 0; i < plausible.length; i++) {
                        page.memory.set(ValueLayout.JAVA_BYTE, (at + i) & 1023, plausible[i]);
                    }
                }
            }
            page.kick();
        }
    }

    @Test
    void h100_answersThatAreNeverReadStopTheGuestsOwnRequestsAndNothingElse() throws Exception {
        assertEquals("OK\0", page.call(WRITE, 0, "data/big\0" + "v".repeat(2000)).text());
        assertEquals("OK\0", page.call(WATCH, 0, "data\0t\0").text());
        assertEquals(EVENT, page.receive().type());
        int start = page.word(REQ_CONS);
        byte[] request = message(READ, 4, 0, "data/big\0");
        long quietSince = System.nanoTime();
        int sent = 0;
        // Until the store has not taken a byte for a while although the ring is full.
        while (System.nanoTime() - quietSince < 200_000_000L) {
            if (page.room() >= request.length) {
                page.offer(request);
                quietSince = System.nanoTime();
                sent++;
            }
            Thread.onSpinWait();
        }
        int taken = page.word(REQ_CONS) - start;
        // Requests whose answers wait, and two reads of which the last request may be cut.
        int most = (MAX_UNSENT + 1) * request.length + 2 * 512;
        assertTrue(taken <= most, taken + " bytes of requests taken, at most " + most);
        for (int i = 0; i < 500; i++) { // events for it, which it does not read either
            control.write("/local/domain/7/data/" + i % 40, "x".repeat(100));
        }
        pingNeighbour();
        int answered = 0;
        int events = 0;
        while (answered < sent) { // what it asked for is all there once it reads
            Answer answer = page.receive();
            if (answer.type() == EVENT) {
                events++;
            } else {
                assertEquals(READ, answer.type());
                assertEquals(2000, answer.text().length());
                answered++;
            }
        }
        assertTrue(events <= 500, events + " events");
        page.reconnect();
        works();
    }

    /// A guest whose ring is full again after each of its requests, on the loop that others have,
    /// too: what is taken from it between two of their turns is no more than a ring holds.
    @Test
    void h100_othersHaveTheirTurnAfterEachPassOfAGuestThatFloods() throws Exception {
        byte[] request = message(WRITE, 1, 0, "data/x\0" + "y".repeat(400));
        int[] at = {0};
        Runnable flood =
                () -> {
                    page.word(RSP_CONS, page.word(RSP_PROD)); // as if it had read
                    for (int i = 0; i < 4; i++) {
                        byte[] rest = Arrays.copyOfRange(request, at[0], request.length);
                        at[0] = (at[0] + page.offer(rest)) % request.length;
                    }
                };
        DeviceLoop loop = loops.loop(0);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger most = new AtomicInteger();
        Runnable turn =
                new Runnable() {
                    private int last = page.word(REQ_CONS);

                    @Override
                    public void run() {
                        int now = page.word(REQ_CONS);
                        most.accumulateAndGet(now - last, Math::max);
                        last = now;
                        if (!stop.get()) {
                            loop.execute(this);
                        }
                    }
                };
        int start = page.word(REQ_CONS);
        loop.execute(turn);
        // Told on the thread that has written, which is the loop; and once on this one.
        Watch written =
                control.watch(
                        "/local/domain/7/data/x",
                        path -> {
                            if (loop.inLoop()) {
                                flood.run();
                            }
                        });
        try {
            loop.execute(flood);
            await(() -> page.word(REQ_CONS) - start > 4 << 20);
            pingNeighbour();
        } finally {
            stop.set(true);
            written.close();
        }
        assertTrue(most.get() <= 1024, most + " bytes between two turns");
        revives();
    }
}
