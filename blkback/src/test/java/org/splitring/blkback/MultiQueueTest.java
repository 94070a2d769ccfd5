package org.splitring.blkback;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;

/// A frontend of bare hands with several rings.
@Timeout(60)
class MultiQueueTest {
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;

    private final VbdLab lab;
    private final MemoryStore store = new MemoryStore(1 << 20);
    private final DiskImage disk = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
    private final ServedVbd back;
    private final List<Queue> queues = new ArrayList<>();
    private final int dataGref;
    private final MemorySegment data;

    private record Queue(FrontRing ring, EventChannel port, int gref) {}

    MultiQueueTest() throws Exception {
        lab = new VbdLab();
        back = lab.backend(disk);
        int gfn = lab.guest.pages().allocate(1);
        dataGref = lab.guest.grants().claim();
        lab.guest.grants().grant(dataGref, DomId.ZERO, gfn, false);
        data = lab.guest.memory().pages(gfn, 1);
        await().until(() -> state().equals("2"));
    }

    @AfterEach
    void close() throws Exception {
        node("state", "6");
        back.close();
        assertEquals(0, lab.hypervisor.mappedTotal());
        queues.forEach(queue -> queue.port.close());
        lab.close();
    }

    private String state() throws Exception {
        return lab.toolstack.read(lab.paths.backend() + "/state").orElse("");
    }

    private void node(String name, String value) throws Exception {
        lab.guestStore.write(lab.paths.frontend() + "/" + name, value);
    }

    private void makeQueues(int count) throws Exception {
        node("protocol", "x86_64-abi");
        node("multi-queue-num-queues", Integer.toString(count));
        for (int i = 0; i < count; i++) {
            int gfn = lab.guest.pages().allocate(1);
            int gref = lab.guest.grants().claim();
            lab.guest.grants().grant(gref, DomId.ZERO, gfn, false);
            FrontRing ring =
                    FrontRing.init(lab.guest.memory().pages(gfn, 1), LAYOUT.entrySizeBytes());
            EventChannel port = lab.guest.eventChannels().allocUnbound(DomId.ZERO);
            queues.add(new Queue(ring, port, gref));
            node("queue-" + i + "/ring-ref", Integer.toString(gref));
            node("queue-" + i + "/event-channel", Integer.toString(port.port()));
        }
    }

    private int ask(Queue queue, int operation, long sector, int segments) {
        begin(queue, operation, sector, segments);
        return answer(queue, operation);
    }

    private void begin(Queue queue, int operation, long sector, int segments) {
        FrontRing ring = queue.ring;
        long slot = ring.slotOffset(ring.takeRequestIndex());
        LAYOUT.writeRequest(ring.segment(), slot, operation, segments, 0, 7, sector);
        for (int i = 0; i < segments; i++) {
            BlkifLayout.writeSegment(ring.segment(), LAYOUT.segmentOffset(slot, i), dataGref, 0, 7);
        }
        if (ring.pushRequestsAndCheckNotify()) {
            queue.port.send();
        }
    }

    private int answer(Queue queue, int operation) {
        FrontRing ring = queue.ring;
        await().until(() -> ring.unconsumedResponses() == 1);
        MemorySegment response = java.lang.foreign.Arena.ofAuto().allocate(112, 8);
        ring.copyResponse(response);
        assertEquals(operation, LAYOUT.responseOperation(response, 0));
        return LAYOUT.responseStatus(response, 0);
    }

    @Test
    void everyRingIsServedAndAFlushOnOneCoversAll() throws Exception {
        assertEquals(
                "4",
                lab.guestStore.read(lab.paths.backend() + "/multi-queue-max-queues").orElseThrow());
        makeQueues(4);
        node("state", "3");
        await().until(() -> state().equals("4"));
        for (int i = 0; i < 4; i++) {
            data.fill((byte) (i + 1));
            assertEquals(0, ask(queues.get(i), BlkifOp.WRITE, 8L * i, 1));
            assertEquals(i + 1, store.bytes[4096 * i + 4095]);
        }
        assertEquals(0, disk.syncsStarted());
        assertEquals(0, ask(queues.get(2), BlkifOp.FLUSH_DISKCACHE, 0, 0));
        assertEquals(1, disk.syncsStarted(), "of the whole image");
        assertEquals(0, ask(queues.get(3), BlkifOp.READ, 0, 1));
        assertEquals(1, data.get(ValueLayout.JAVA_BYTE, 0));
        // Before and after mean nothing between rings.
        assertEquals(-2, ask(queues.get(0), BlkifOp.WRITE_BARRIER, 0, 1));
        assertEquals(4, back.metrics().wrReq());
    }

    @Test
    void whatCameOnAnyRingDuringAPauseIsServedWithoutAnotherEvent() throws Exception {
        makeQueues(3);
        node("state", "3");
        await().until(() -> state().equals("4"));
        for (int round = 0; round < 2; round++) {
            CompletableFuture<Void> quiet = new CompletableFuture<>();
            back.pause(() -> quiet.complete(null));
            quiet.get(20, TimeUnit.SECONDS);
            for (Queue queue : queues) {
                begin(queue, BlkifOp.READ, 0, 1);
            }
            for (int i = 0; i < 3; i++) {
                lab.backLoop.run(() -> {}); // the events have been heard, and led to nothing
            }
            for (Queue queue : queues) {
                assertEquals(0, queue.ring.unconsumedResponses(), "it is paused");
            }
            back.resume();
            for (Queue queue : queues) {
                assertEquals(0, answer(queue, BlkifOp.READ));
            }
        }
    }

    @Test
    void h010_ringsThatShareAPageOrAPortAreRefused() throws Exception {
        makeQueues(2);
        node("queue-1/ring-ref", Integer.toString(queues.get(0).gref));
        node("state", "3");
        await().until(() -> !state().equals("2"));
        assertTrue(!state().equals("4"), state());
        assertEquals(0, lab.hypervisor.mappedTotal());
    }

    @Test
    void h010_aRingThatCannotBeMappedTakesTheOthersWithIt() throws Exception {
        makeQueues(3);
        node("queue-2/ring-ref", "9999");
        node("state", "3");
        await().until(() -> !state().equals("2"));
        assertTrue(!state().equals("4"), state());
        assertEquals(0, lab.hypervisor.mappedTotal());
    }
}
