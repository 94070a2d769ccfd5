package org.splitring.netfront;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.ring.RingBrokenException;
import org.splitring.testkit.HostileBackend;
import org.splitring.testkit.SimulatedLoop;
import org.splitring.testkit.Simulation;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// The control ring of a frontend with two queues, answered by hand, byte by byte.
class ControlRingTest {
    private static final int GET_SIZE = 8;
    private static final int ADD = 9;
    private static final int SUCCESS = 0;
    private static final int NOT_SUPPORTED = 1;
    private static final int INVALID = 2;
    private static final VifFeatures FEATURES = new VifFeatures(2, 65535, true, true, true, true);

    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final LocalGuestDomain guest =
            hypervisor.createGuest(new DomId(1), 16 << 20, DomainLimits.DEFAULT);
    private final Simulation sim = new Simulation(7);
    private final SimulatedLoop loop = sim.loop("guest", 0);
    private final VifUser user = frame -> {};
    private int freePages;
    private VifQueue[] queues;
    private ControlRing control;
    private HostileBackend back;
    private ForeignPages window;
    private EventChannel port;
    private @Nullable Throwable broken;
    private int answered;

    @BeforeEach
    void connect() throws Exception {
        freePages = guest.pages().freeCount();
        queues = new VifQueue[2];
        for (int i = 0; i < queues.length; i++) {
            queues[i] =
                    VifQueue.open(
                            guest,
                            DomId.ZERO,
                            i,
                            true,
                            FEATURES,
                            loop,
                            user,
                            new VifCounters(),
                            cause -> {});
        }
        control =
                ControlRing.open(guest, DomId.ZERO, List.of(queues), loop, cause -> broken = cause);
        Store store = new StoreTree().connection(DomId.ZERO, Runnable::run);
        ControlRing.publish(control, store, "/vif");
        window = hypervisor.driverDomain(DomId.ZERO).foreignPages(guest.id(), 16);
        MemorySegment ring =
                window.mapContiguous(
                        new int[] {
                            Integer.parseInt(store.read("/vif/ctrl-ring-ref").orElseThrow())
                        });
        port =
                hypervisor
                        .driverDomain(DomId.ZERO)
                        .eventChannels()
                        .bindInterdomain(
                                guest.id(),
                                Integer.parseInt(
                                        store.read("/vif/event-channel-ctrl").orElseThrow()));
        back = new HostileBackend(ring, 16, port, 0);
        control.start();
        loop.execute(control::keepPages);
        sim.runFor(1_000_000);
    }

    @AfterEach
    void giveBack() {
        loop.execute(control::stop);
        sim.runFor(1_000_000);
        port.close();
        window.close();
        control.giveBack();
        for (VifQueue queue : queues) {
            queue.giveBack();
        }
        assertEquals(freePages, guest.pages().freeCount());
        guest.close();
    }

    /// The request at hand, which has not been answered: type, queue, length.
    private void assertAsked(int type, int queue, int length) {
        assertEquals(answered + 1, back.reqProd(), "one request is outstanding");
        MemorySegment slot = back.slot(answered);
        assertEquals(type, slot.get(ValueLayout.JAVA_SHORT, 2));
        assertEquals(queue, slot.get(ValueLayout.JAVA_INT, 4));
        assertEquals(length, slot.get(ValueLayout.JAVA_INT, 12));
    }

    private void assertNothingAsked() {
        assertEquals(answered, back.reqProd());
        assertNull(broken);
    }

    private int askedId() {
        return back.slot(answered).get(ValueLayout.JAVA_SHORT, 0);
    }

    private void answer(int id, int type, int status, int data) {
        MemorySegment response = Arena.ofAuto().allocate(16, 4);
        response.set(ValueLayout.JAVA_SHORT, 0, (short) id);
        response.set(ValueLayout.JAVA_SHORT, 2, (short) type);
        response.set(ValueLayout.JAVA_INT, 4, status);
        response.set(ValueLayout.JAVA_INT, 8, data);
        back.publishAndKick(response.asSlice(0, 12));
        answered++;
        sim.runFor(1_000_000);
    }

    private void answer(int type, int status, int data) {
        answer(askedId(), type, status, data);
    }

    @Test
    void everyQueueHasItsPagesKept() {
        for (int queue = 0; queue < 2; queue++) {
            assertAsked(GET_SIZE, queue, 0);
            answer(GET_SIZE, SUCCESS, 512);
            assertAsked(ADD, queue, 512);
            int list = back.slot(answered).get(ValueLayout.JAVA_INT, 8);
            MemorySegment copy = Arena.ofAuto().allocate(4096, 8);
            assertEquals(0, window.copyFrom(list, 0, copy, 0, 4096));
            for (int i = 0; i < 512; i++) {
                assertEquals(queues[queue].gref(i), copy.get(ValueLayout.JAVA_INT, i * 8L));
                int flags = copy.get(ValueLayout.JAVA_SHORT, i * 8L + 4);
                assertEquals(i < 256 ? 1 : 0, flags, "pages to send from are only read");
            }
            answer(ADD, SUCCESS, 0);
        }
        assertNothingAsked();
    }

    @ParameterizedTest
    @CsvSource({"3, 3", "511, 511", "513, 512", "2147483647, 512", "-1, 512", "-2147483648, 512"})
    void noMoreIsAskedForThanThereIsRoom(int allowed, int length) {
        answer(GET_SIZE, SUCCESS, allowed);
        assertAsked(ADD, 0, length);
    }

    @Test
    void withoutRoomTheNextQueueHasItsTurn() {
        answer(GET_SIZE, SUCCESS, 0);
        assertAsked(GET_SIZE, 1, 0);
        answer(GET_SIZE, INVALID, 512);
        assertNothingAsked();
    }

    @Test
    void aRefusalIsTakenAndTheNextQueueHasItsTurn() {
        answer(GET_SIZE, SUCCESS, 512);
        answer(ADD, INVALID, 0);
        assertAsked(GET_SIZE, 1, 0);
        answer(GET_SIZE, SUCCESS, 512);
        answer(ADD, Integer.MIN_VALUE, 0);
        assertNothingAsked();
    }

    @Test
    void aBackendThatDoesNotKnowOfItIsNotAskedAgain() {
        answer(GET_SIZE, NOT_SUPPORTED, 0);
        assertNothingAsked();
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 1, 0x8000})
    void h007_anAnswerToWhatWasNotAskedBreaksTheVif(int distance) {
        answer(askedId() + distance, GET_SIZE, SUCCESS, 512);
        assertSame(VifBrokenException.CONTROL_ID, broken);
        assertEquals(1, back.reqProd(), "nothing more is said");
    }

    @Test
    void h007_anAnswerOfAnotherTypeBreaksTheVif() {
        answer(ADD, SUCCESS, 512);
        assertSame(VifBrokenException.CONTROL_ID, broken);
    }

    @Test
    void h007_moreAnswersThanRequestsBreakTheVif() {
        back.answerTooMuch();
        back.kick(1);
        sim.runFor(1_000_000);
        assertInstanceOf(RingBrokenException.class, broken);
    }

    @Test
    void eventsWithoutAnswersAreNothing() {
        back.kick(3);
        sim.runFor(100_000_000);
        assertAsked(GET_SIZE, 0, 0);
        assertNull(broken);
    }
}
