package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.splitring.xenbus.store.RawStorePage.ERROR;
import static org.splitring.xenbus.store.RawStorePage.REQ_CONS;
import static org.splitring.xenbus.store.RawStorePage.RSP_PROD;
import static org.splitring.xenbus.store.RawStorePage.await;

import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.DeviceEnd;

/// The guest's end of the page against a store that does anything: calls fail and say so, and
/// nobody
/// waits for ever.
@Timeout(60)
class HostileStoreBehindPageTest {
    private static final DomId SEVEN = new DomId(7);

    private final NettyDeviceLoops loops = new NettyDeviceLoops("page-test", 1, 0);
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private LocalGuestDomain guest;
    private XenstorePage storeEnd;
    private RawStorePage store;
    private StoreWireClient client;

    @BeforeEach
    void start() throws Exception {
        guest = hypervisor.createGuest(SEVEN, 1 << 20, DomainLimits.DEFAULT);
        XenstorePage page = guest.makeXenstorePage(DomId.ZERO);
        storeEnd = hypervisor.openXenstorePage(guest, hypervisor.driverDomain(DomId.ZERO));
        store = new RawStorePage(storeEnd);
        client = StoreWireClient.overPage(page, SEVEN, loops.loop(0), DeviceEnd.VIRTUAL_THREADS);
    }

    @AfterEach
    void stop() {
        client.close();
        storeEnd.close();
        guest.close();
        loops.close();
    }

    private CompletableFuture<StoreError> failingRead() {
        CompletableFuture<StoreError> failed = new CompletableFuture<>();
        Thread.startVirtualThread(
                () ->
                        failed.complete(
                                assertThrows(StoreException.class, () -> client.read("x"))
                                        .error()));
        return failed;
    }

    private void endsTheConnection(Runnable attack) throws Exception {
        CompletableFuture<StoreError> waiting = failingRead();
        await(() -> store.word(2052) != 0); // req_prod: the request is there
        assertFalse(waiting.isDone());
        attack.run();
        store.kick();
        assertEquals(StoreError.EIO, waiting.get(10, TimeUnit.SECONDS));
        assertEquals(StoreError.EIO, failingRead().get(10, TimeUnit.SECONDS), "and stays so");
    }

    @Test
    void h003_anImpossibleRspProdEndsTheConnection() throws Exception {
        endsTheConnection(() -> store.word(RSP_PROD, 1025));
    }

    @Test
    void h003_anImpossibleReqConsEndsTheConnection() throws Exception {
        endsTheConnection(() -> store.word(REQ_CONS, 1 << 31));
    }

    @Test
    void h118_anAnswerThatIsTooLongEndsTheConnection() throws Exception {
        endsTheConnection(
                () -> {
                    byte[] header = RawStorePage.headerSaying(RawStorePage.READ, -1);
                    for (int i = 0; i < header.length; i++) {
                        store.memory.set(ValueLayout.JAVA_BYTE, 1024L + i, header[i]);
                    }
                    store.word(RSP_PROD, header.length);
                });
    }

    @Test
    void theErrorWordEndsTheConnection() throws Exception {
        endsTheConnection(() -> store.word(ERROR, 1));
    }

    /// Random bytes as answers: whatever the client makes of them, it takes all of them or ends.
    @Test
    void h003_randomAnswersAreTakenOrEndTheConnection() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("h003_randomAnswersAreTakenOrEndTheConnection: seed " + seed);
        Random random = new Random(seed);
        CompletableFuture<Boolean> over = new CompletableFuture<>();
        Thread.startVirtualThread(
                () -> {
                    try {
                        client.read("x");
                    } catch (StoreException e) {
                        // As good an end as an answer: the bytes are random.
                    }
                    over.complete(true);
                });
        CompletableFuture<Boolean> lost = new CompletableFuture<>();
        client.onLost(() -> lost.complete(true));
        int produced = 0;
        for (int i = 0; i < 500 && !lost.isDone(); i++) {
            byte[] bytes =
                    RawStorePage.message(
                            random.nextInt(24),
                            2 + random.nextInt(3),
                            0,
                            "x".repeat(random.nextInt(40)));
            if (random.nextInt(20) == 0) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
            }
            for (byte b : bytes) {
                store.memory.set(ValueLayout.JAVA_BYTE, 1024L + (produced++ & 1023), b);
            }
            store.word(RSP_PROD, produced);
            store.kick();
            int all = produced;
            await(() -> store.word(RawStorePage.RSP_CONS) == all || lost.isDone());
        }
        store.word(ERROR, 3);
        store.kick();
        assertEquals(true, lost.get(10, TimeUnit.SECONDS));
        assertEquals(true, over.get(10, TimeUnit.SECONDS), "whoever waits gets an end");
    }
}
