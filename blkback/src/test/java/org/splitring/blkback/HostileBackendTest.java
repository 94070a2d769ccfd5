package org.splitring.blkback;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Timers;

/// What a hostile or dying backend does to our frontend. The backend here is made of bare hands.
@Timeout(60)
class HostileBackendTest {
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;

    private static final FrontendOptions SHORT =
            new FrontendOptions(Duration.ofMillis(500), Duration.ZERO);

    private final VbdLab lab = new VbdLab();
    private final int freePages = lab.guest.pages().freeCount();
    private final ForeignPages pages;
    private MemorySegment ring = MemorySegment.NULL;
    private EventChannel port;
    private int rspProd;

    HostileBackendTest() throws Exception {
        pages = lab.driver.foreignPages(VbdLab.GUEST, 1000);
        port = lab.driver.eventChannels().allocUnbound(VbdLab.GUEST);
    }

    @AfterEach
    void close() {
        pages.close();
        port.close();
        lab.close();
    }

    private void back(String node, String value) {
        try {
            lab.toolstack.write(lab.paths.backend() + "/" + node, value);
        } catch (org.splitring.xenbus.store.StoreException e) {
            throw new IllegalStateException(e);
        }
    }

    private String front(String node) throws Exception {
        return lab.toolstack.read(lab.paths.frontend() + "/" + node).orElse("");
    }

    /// Deadlines are short for the sake of tests that wait for them, but not before the frontend is
    /// connected: it is the test then that has to keep them.
    private static final class LateDeadlines implements Timers {
        private static final long LATE_NANOS = TimeUnit.SECONDS.toNanos(20);

        private volatile boolean isConnected;

        @Override
        public long nanoTime() {
            return System.nanoTime();
        }

        @Override
        public Runnable schedule(Runnable task, long delayNanos) {
            return Timers.system().schedule(task, isConnected ? delayNanos : LATE_NANOS);
        }
    }

    /// Connects a frontend to this backend.
    private ConnectedVbd connect() throws Exception {
        back("feature-flush-cache", "1");
        back("state", "2");
        LateDeadlines deadlines = new LateDeadlines();
        CompletableFuture<ConnectedVbd> connecting =
                ConnectedVbd.connectAsync(
                        lab.guest,
                        lab.guestStore,
                        VbdLab.XVDA,
                        lab.frontLoop,
                        VbdFrontendOptions.DEFAULT.withBufferBytes(1 << 20),
                        SHORT,
                        DeviceEnd.VIRTUAL_THREADS,
                        deadlines);
        await().pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(2))
                .until(() -> front("state").equals("3"));
        ring = pages.mapContiguous(new int[] {Integer.parseInt(front("ring-ref"))});
        port.close();
        port =
                lab.driver
                        .eventChannels()
                        .bindInterdomain(VbdLab.GUEST, Integer.parseInt(front("event-channel")));
        back("sectors", "2048");
        back("sector-size", "512");
        back("info", "0");
        back("state", "4");
        ConnectedVbd connected = connecting.get(20, TimeUnit.SECONDS);
        deadlines.isConnected = true;
        return connected;
    }

    private void respond(long id, int operation, int status) {
        long slot = 64 + (long) (rspProd++ & 31) * 112;
        LAYOUT.writeResponse(ring, slot, id, operation, status);
        INT.setVolatile(ring, 8L, rspProd);
    }

    /// Starts writes of a page each and notes their ends.
    private List<Integer> start(ConnectedVbd front, int count) {
        List<Integer> ends = new ArrayList<>();
        lab.frontLoop.run(
                () -> {
                    for (int i = 0; i < count; i++) {
                        GuestBuffer buffer = front.acquire(4096);
                        if (buffer == null) {
                            throw new AssertionError("no buffer");
                        }
                        front.write(
                                i * 4096L,
                                buffer,
                                4096,
                                status -> {
                                    ends.add(status);
                                    front.release(buffer);
                                });
                    }
                });
        return ends;
    }

    private void assertEnds(List<Integer> ends, int... expected) {
        await().atMost(Duration.ofSeconds(10))
                .until(
                        () -> {
                            List<Integer> now = new ArrayList<>();
                            lab.frontLoop.run(() -> now.addAll(ends));
                            return now.size() >= expected.length;
                        });
        lab.frontLoop.run(
                () -> assertEquals(java.util.Arrays.stream(expected).boxed().toList(), ends));
    }

    private void assertBroken(ConnectedVbd front, List<Integer> ends, int... expected) {
        assertEnds(ends, expected);
        assertFalse(front.isConnected());
        // Whatever the backend says now is heard by nobody.
        respond(0, BlkifOp.WRITE, 0);
        port.send();
        assertEquals(-1, VbdLab.write(front, 0, new byte[512]));
        assertEnds(ends, expected);
        unmapAndClose(front);
    }

    private void unmapAndClose(ConnectedVbd front) {
        pages.unmapContiguous(ring);
        back("state", "6");
        front.close();
        lab.guest.grants().retryQuarantined(); // the ring, if it was still mapped when we let go
        assertEquals(freePages, lab.guest.pages().freeCount());
        assertEquals(0, lab.guest.grants().quarantinedCount());
    }

    @Test
    void aPoliteAnswerEndsATransfer() throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 3);
        respond(1, BlkifOp.WRITE, 0);
        respond(0, BlkifOp.WRITE, -1);
        respond(2, BlkifOp.WRITE, 12345);
        port.send();
        assertEnds(ends, 0, -1, -1);
        assertTrue(front.isConnected());
        unmapAndClose(front);
    }

    @ParameterizedTest
    @CsvSource({"3", "31", "32", "65535", "4294967296", "-1", "-9223372036854775808"})
    void h007_anIdThatIsNotOutstandingBreaksTheDevice(long id) throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 3);
        respond(id, BlkifOp.WRITE, 0);
        port.send();
        assertBroken(front, ends, -1, -1, -1);
    }

    @Test
    void h007_aSecondAnswerBreaksTheDevice() throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 3);
        respond(1, BlkifOp.WRITE, 0);
        respond(1, BlkifOp.WRITE, 0);
        port.send();
        assertBroken(front, ends, 0, -1, -1);
    }

    @Test
    void h007_anAnswerToAnotherOperationBreaksTheDevice() throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 3);
        respond(1, BlkifOp.READ, 0);
        port.send();
        assertBroken(front, ends, -1, -1, -1);
    }

    @ParameterizedTest
    @CsvSource({"4", "33", "-1", "-2147483648"})
    void h007_moreResponsesThanOutstandingBreakTheDevice(int index) throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 3);
        INT.setVolatile(ring, 8L, index);
        port.send();
        assertBroken(front, ends, -1, -1, -1);
    }

    @Test
    void h085_aPageThatIsStillMappedAfterItsAnswerIsPutAside() throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 2);
        GrantBatch kept = new GrantBatch(1);
        kept.add(BlkifLayout.gref(ring, LAYOUT.segmentOffset(64, 0)), false);
        assertTrue(pages.map(kept));
        respond(0, BlkifOp.WRITE, 0);
        port.send();
        assertEnds(ends, -1, -1);
        assertFalse(front.isConnected());
        assertEquals(1, lab.guest.grants().quarantinedCount());
        pages.unmapContiguous(ring);
        back("state", "6");
        front.close();
        assertEquals(freePages - 1, lab.guest.pages().freeCount());
        pages.unmap(kept);
        assertEquals(1, lab.guest.grants().retryQuarantined());
        assertEquals(freePages, lab.guest.pages().freeCount());
    }

    @Test
    void h085_aRingThatTheBackendKeepsIsPutAside() throws Exception {
        ConnectedVbd front = connect();
        back("state", "6");
        front.close();
        assertEquals(1, lab.guest.grants().quarantinedCount());
        assertEquals(freePages - 1, lab.guest.pages().freeCount());
        pages.unmapContiguous(ring);
        assertEquals(1, lab.guest.grants().retryQuarantined());
        assertEquals(freePages, lab.guest.pages().freeCount());
    }

    @Test
    void h086_nothingOldIsInThePagesThatAreShared() throws Exception {
        // Fill all free memory with a canary and give it back.
        int all = lab.guest.pages().freeCount();
        int gfn = lab.guest.pages().allocate(all);
        lab.guest.memory().pages(gfn, all).fill((byte) 0x5A);
        lab.guest.pages().free(gfn, all);
        ConnectedVbd front = connect();
        start(front, 5);
        for (long at = 64 + 5 * 112; at < 4096; at++) {
            assertEquals(0, ring.get(ValueLayout.JAVA_BYTE, at), "ring byte " + at);
        }
        for (int request = 0; request < 5; request++) {
            long slot = 64 + request * 112L;
            GrantBatch batch = new GrantBatch(1);
            batch.add(BlkifLayout.gref(ring, LAYOUT.segmentOffset(slot, 0)), false);
            assertTrue(pages.map(batch));
            MemorySegment page = batch.memory(0).asSlice(batch.offset(0), 4096);
            assertEquals(-1, page.mismatch(MemorySegment.ofArray(new byte[4096])));
            pages.unmap(batch);
        }
        for (int request = 0; request < 5; request++) {
            respond(request, BlkifOp.WRITE, 0);
        }
        port.send();
        unmapAndClose(front);
    }

    @ParameterizedTest
    @CsvSource({"5", "6", "gone"})
    void aBackendThatGoesEndsEverythingOnce(String how) throws Exception {
        ConnectedVbd front = connect();
        List<Integer> ends = start(front, 40); // more than the ring holds
        if (how.equals("gone")) {
            lab.toolstack.remove(lab.paths.backend());
        } else {
            back("state", how);
        }
        int[] errors = new int[40];
        java.util.Arrays.fill(errors, -1);
        assertEnds(ends, errors);
        assertFalse(front.isConnected());
        unmapAndClose(front);
    }

    @ParameterizedTest
    @CsvSource({
        "sectors, ''", "sectors, -1", "sectors, 0", "sectors, 99999999999999999999",
        "sector-size, 0", "sector-size, 513", "sector-size, 256", "info, x"
    })
    void nonsenseFromTheBackendIsRefused(String node, String value) throws Exception {
        back("state", "2");
        back("sectors", "2048");
        back("sector-size", "512");
        back(node, value);
        Thread answer =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    await().until(() -> front("state").equals("3"));
                                    back("state", "4");
                                });
        assertThrows(HandshakeException.class, () -> lab.frontend(0));
        answer.join();
        assertEquals(freePages, lab.guest.pages().freeCount());
    }
}
