package org.splitring.blkback;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.wire.BlkifOp;
import org.splitring.xenbus.XenbusState;

/// What a hostile guest does to the handshake, and to a connected device from outside its ring.
@Timeout(60)
class HostileHandshakeTest {
    private static final int DISK = 1 << 20;

    private final VbdLab lab = new VbdLab();
    private final MemoryStore store = new MemoryStore(DISK);
    private final DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
    private ServedVbd back = lab.backend(disk);
    private RawFrontend front;

    HostileHandshakeTest() throws Exception {
        front = new RawFrontend(lab);
    }

    @BeforeEach
    void offered() throws Exception {
        assertEquals(XenbusState.INIT_WAIT, back.state());
        front.goodNodes();
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        back.frontendGone();
        assertEquals(0, lab.hypervisor.mappedTotal());
        front.close();
        lab.close();
    }

    private void awaitState(XenbusState wanted) {
        await().atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(2))
                .until(() -> back.state() == wanted);
    }

    private String error() throws Exception {
        return lab.toolstack.read(lab.paths.backendError()).orElse("");
    }

    private void connects() throws Exception {
        front.initialise();
        front.state(1);
        awaitState(XenbusState.INIT_WAIT);
        front.goodNodes();
        front.state(3);
        awaitState(XenbusState.CONNECTED);
        serves();
    }

    private void serves() {
        int before = front.responses();
        front.write(BlkifOp.READ, 1, 0);
        front.publish();
        front.port.send();
        await().atMost(Duration.ofSeconds(10)).until(() -> front.responses() == before + 1);
    }

    @ParameterizedTest
    @CsvSource({
        "x86_128-abi",
        "''",
        "X86_64-ABI",
        "'x86_64-abi '",
        "x86_64-abix",
        "ia64-abi",
        "LONG"
    })
    void h009_anUnknownProtocolIsRefused(String protocol) throws Exception {
        front.node("protocol", protocol.equals("LONG") ? "x".repeat(1900) : protocol);
        front.state(3);
        awaitState(XenbusState.CLOSING);
        assertTrue(error().contains("/protocol is \""), error());
        assertTrue(error().length() < 250, error());
        front.state(6);
        awaitState(XenbusState.CLOSED);
        connects();
    }

    @Test
    void h009_aProtocolChangedAfterConnectHasNoEffect() throws Exception {
        front.state(3);
        awaitState(XenbusState.CONNECTED);
        front.node("protocol", "x86_32-abi");
        front.state(4);
        serves();
        assertEquals(XenbusState.CONNECTED, back.state());
    }

    @ParameterizedTest
    @CsvSource({
        "ring-page-order, 31",
        "ring-page-order, -1",
        "ring-page-order, 5",
        "ring-page-order, 4294967296",
        "ring-page-order, 18446744073709551616",
        "ring-page-order, 1junk",
        "ring-page-order, ' 1'",
        "ring-page-order, ''",
        "ring-page-order, 1", // no ring-ref0
        "num-ring-pages, 0",
        "num-ring-pages, 3",
        "num-ring-pages, 32",
        "num-ring-pages, -2",
        "num-ring-pages, 4294967297",
        "num-ring-pages, 4",
        "ring-ref, -1",
        "ring-ref, 0",
        "ring-ref, 4294967295",
        "ring-ref, 2147483648",
        "ring-ref, 99999999999",
        "event-channel, -1",
        "event-channel, 0",
        "event-channel, 4294967295",
        "event-channel, 70000",
        "event-channel, x",
        "multi-queue-num-queues, 0",
        "multi-queue-num-queues, 2", // without their folders
        "multi-queue-num-queues, 5",
        "multi-queue-num-queues, 2147483648",
        "multi-queue-num-queues, many"
    })
    void h010_ringGeometryIsChecked(String node, String value) throws Exception {
        front.node(node, value);
        front.state(3);
        awaitState(XenbusState.CLOSING);
        assertFalse(error().isEmpty());
        assertEquals(0, lab.hypervisor.mappedTotal());
        front.state(6);
        awaitState(XenbusState.CLOSED);
        connects();
    }

    @Test
    void h010_disagreeingGeometryAndMissingReferencesAreRefused() throws Exception {
        front.node("ring-page-order", "1");
        front.node("num-ring-pages", "4");
        front.state(3);
        awaitState(XenbusState.CLOSING);
        assertTrue(error().contains("disagree"), error());
        front.state(6);
        awaitState(XenbusState.CLOSED);
        front.state(1);
        awaitState(XenbusState.INIT_WAIT);
        front.node("num-ring-pages", "2");
        front.node("ring-ref0", Integer.toString(front.ringGref));
        front.state(3);
        awaitState(XenbusState.CLOSING);
        assertTrue(error().contains("ring-ref1 is missing"), error());
        assertEquals(0, lab.hypervisor.mappedTotal());
        // The same page twice: refused or not, nothing breaks.
        front.state(6);
        awaitState(XenbusState.CLOSED);
        front.state(1);
        awaitState(XenbusState.INIT_WAIT);
        front.node("ring-ref1", Integer.toString(front.ringGref));
        front.state(3);
        await().until(() -> back.state() != XenbusState.INIT_WAIT);
        front.state(6);
        awaitState(XenbusState.CLOSED);
        connects();
    }

    @Test
    void h010_aRingPageMayBeADataPageToo() throws Exception {
        connects();
        long slot = 64 + 112;
        front.write(BlkifOp.READ, 2, 0);
        front.ring.set(java.lang.foreign.ValueLayout.JAVA_INT, slot + 24, front.ringGref);
        front.publish();
        front.port.send();
        // The disk's zeros overwrite the ring, its indices included: only this guest's loss.
        await().until(() -> back.state() != XenbusState.CONNECTED || front.responses() != 1);
    }

    @Test
    void h001_aBrokenRingClosesTheDeviceAndItsRestCanConnectAgain() throws Exception {
        connects();
        front.word(0, front.published() + 100);
        front.port.send();
        awaitState(XenbusState.CLOSING);
        assertTrue(error().contains("ring"), error());
        assertEquals(0, lab.hypervisor.mappedTotal());
        front.state(6);
        awaitState(XenbusState.CLOSED);
        connects();
    }

    @Test
    void h012_kicksWithoutRequestsAndRequestsWithoutKicks() throws Exception {
        connects();
        for (int i = 0; i < 10_000; i++) {
            front.port.send();
        }
        serves(); // delayed perhaps, never lost
        front.write(BlkifOp.READ, 3, 0);
        front.publish(); // no kick: nobody looks, and that is the guest's own loss
        serves1(front.published());
    }

    private void serves1(int expected) {
        front.port.send();
        await().atMost(Duration.ofSeconds(10)).until(() -> front.responses() == expected);
    }

    @Test
    void h013_nothingIsServedBeforeConnectedAndAfterClosing() throws Exception {
        front.write(BlkifOp.WRITE, 1, 0);
        front.publish();
        front.port.send();
        front.state(1);
        assertEquals(0, front.responses());
        assertEquals(0, back.metrics().wrReq());
        front.state(3);
        awaitState(XenbusState.CONNECTED);
        await().until(() -> front.responses() == 1); // the port was left pending
        front.state(5);
        awaitState(XenbusState.CLOSING);
        front.write(BlkifOp.WRITE, 2, 0);
        front.publish();
        front.port.send();
        front.state(5);
        front.state(4); // not from Closed
        front.state(3);
        front.state(6);
        awaitState(XenbusState.CLOSED);
        assertEquals(1, front.responses());
        assertEquals(1, back.metrics().wrReq());
    }

    @Test
    void h020_theModeInTheFrontendsFolderHasNoEffect() throws Exception {
        back.frontendGone();
        MemoryStore readOnly = new MemoryStore(DISK, true);
        back = lab.backend(DiskImage.of(readOnly, DiskMode.WRITEBACK, Runnable::run));
        front.node("mode", "w");
        front.node("info", "0");
        front.state(3);
        awaitState(XenbusState.CONNECTED);
        front.node("mode", "w!");
        front.write(BlkifOp.WRITE, 1, 0);
        front.publish();
        serves1(1);
        assertEquals(1, back.metrics().errors());
        assertEquals("4", lab.toolstack.read(lab.paths.backend() + "/info").orElse("none"));
    }

    @Test
    void h027_connectAndCloseToggledWithRequestsInFlight() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        back.frontendGone();
        // A disk where everything goes to the workers, so that requests are under way at close.
        MemoryStore cold =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) throws IOException {
                        return WOULD_BLOCK;
                    }
                };
        back = lab.backend(DiskImage.of(cold, DiskMode.WRITEBACK, Runnable::run));
        int threads = Thread.activeCount();
        for (int i = 0; i < 300; i++) {
            front.initialise();
            front.state(1);
            awaitState(XenbusState.INIT_WAIT);
            front.state(3 + random.nextInt(2));
            for (int n = random.nextInt(20); n > 0; n--) {
                front.write(BlkifOp.READ, n, n * 8L);
            }
            front.publish();
            if (random.nextInt(4) > 0) {
                awaitState(XenbusState.CONNECTED);
                front.port.send();
            }
            int last = 5 + random.nextInt(2);
            front.state(last);
            awaitState(last == 5 ? XenbusState.CLOSING : XenbusState.CLOSED);
            assertEquals(0, lab.hypervisor.mappedTotal());
        }
        // And without waiting for anybody.
        for (int i = 0; i < 1000; i++) {
            front.state(1 + random.nextInt(6));
        }
        front.state(6);
        await().until(() -> lab.hypervisor.mappedTotal() == 0);
        front.state(6);
        awaitState(XenbusState.CLOSED);
        assertTrue(Thread.activeCount() <= threads + 8, "threads " + Thread.activeCount());
        connects();
    }

    @Test
    void aVanishedFrontendLeavesNothingMappedAndNoDiskWorkBehind() throws Exception {
        back.frontendGone();
        AtomicBoolean open = new AtomicBoolean();
        AtomicBoolean inDisk = new AtomicBoolean();
        MemoryStore slow =
                new MemoryStore(DISK) {
                    @Override
                    public long readNoWait(IoVector into, long offset) {
                        return WOULD_BLOCK;
                    }

                    @Override
                    public long read(IoVector into, long offset) throws IOException {
                        inDisk.set(true);
                        await().until(open::get);
                        try {
                            return super.read(into, offset);
                        } finally {
                            inDisk.set(false);
                        }
                    }
                };
        ServedVbd device = lab.backend(DiskImage.of(slow, DiskMode.WRITEBACK, Runnable::run));
        back = device;
        front.state(3);
        awaitState(XenbusState.CONNECTED);
        front.write(BlkifOp.READ, 1, 0);
        front.publish();
        front.port.send();
        await().until(inDisk::get);
        Thread gone = Thread.ofVirtual().start(device::frontendGone);
        // As long as the kernel may write into the page it stays mapped, and the call waits.
        assertFalse(gone.join(Duration.ofMillis(100)));
        assertEquals(2, lab.hypervisor.mappedTotal());
        open.set(true);
        assertTrue(gone.join(Duration.ofSeconds(10)));
        assertFalse(inDisk.get());
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertEquals(1, front.responses(), "what was taken was answered");
    }

    @Test
    void offlineDevicesStayClosed() throws Exception {
        connects();
        lab.toolstack.write(lab.paths.backend() + "/online", "0");
        front.state(6);
        awaitState(XenbusState.CLOSED);
        front.state(1);
        front.state(3);
        front.state(6);
        try (VbdLab other = new VbdLab();
                ServedVbd otherBack = other.backend(disk);
                ConnectedVbd otherFront = other.frontend(0)) {
            assertEquals(0, VbdLab.flush(otherFront)); // time has passed, and others are served
            await().until(() -> otherBack.state() == XenbusState.CONNECTED);
        }
        assertEquals(XenbusState.CLOSED, back.state());
    }
}
