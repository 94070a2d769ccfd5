package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.testkit.LastingNotes;
import org.splitring.testkit.LossyDoorbells;
import org.splitring.testkit.MortalDriver;
import org.splitring.wire.BlkifInfo;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceNote;
import org.splitring.xenbus.device.DeviceNotes;

/// A backend that finds the connection of one that was killed, and a guest or a predecessor that
/// makes it hard.
@Timeout(60)
class SuccessorTest {
    private static final int DISK = 1 << 20;

    private final VbdLab lab = new VbdLab();
    private final LastingNotes notes = new LastingNotes();
    private final MemoryStore store =
            new MemoryStore(DISK) {
                @Override
                public long writeNoWait(IoVector from, long offsetBytes) {
                    return WOULD_BLOCK;
                }

                @Override
                public long readNoWait(IoVector into, long offsetBytes) {
                    return WOULD_BLOCK;
                }
            };
    private final PumpedLoop loop = new PumpedLoop();
    private final Deque<Runnable> work = new ArrayDeque<>(); // that waits for storage
    private final RawFrontend front;
    private MortalDriver process = new MortalDriver(lab.driver);
    private ServedVbd back;

    SuccessorTest() throws Exception {
        front = new RawFrontend(lab);
        back = start(notes, VbdFeatures.ALL, store);
    }

    private ServedVbd start(DeviceNotes kept, VbdFeatures features, BlockStore disk)
            throws Exception {
        return start(kept, features, disk, 64);
    }

    private ServedVbd start(DeviceNotes kept, VbdFeatures features, BlockStore disk, int budget)
            throws Exception {
        var control = process.thread(loop);
        return ServedVbd.create(
                process,
                lab.toolstack,
                VbdLab.GUEST,
                VbdLab.XVDA,
                DiskImage.of(disk, DiskMode.WRITEBACK, Runnable::run),
                control,
                new VbdBackendOptions(
                        weight -> work::add, VbdBackendOptions.MAX_PAGE_ORDER, budget, features),
                ServedVbd.LIFECYCLE,
                control,
                Timers.of(control),
                kept,
                QueueNote::new);
    }

    @BeforeEach
    void connected() throws Exception {
        front.goodNodes();
        front.state(3);
        loop.pumpUntil(() -> back.state() == XenbusState.CONNECTED);
        front.state(4);
        loop.pump();
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        var gone = back.removeAsync();
        loop.pumpUntil(
                () -> {
                    finishWork();
                    return gone.isDone();
                });
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertTrue(notes.isEmpty());
        front.close();
        lab.close();
    }

    private void finishWork() {
        while (!work.isEmpty()) {
            work.remove().run();
        }
    }

    /// Reads the first page of the disk into the guest's page, which the storage keeps waiting.
    private void beginRead() {
        front.write(BlkifOp.READ, 7, 0);
        front.publish();
        front.port.send();
        loop.pumpUntil(() -> !work.isEmpty());
    }

    private void kill() {
        process.kill();
        work.clear();
        process = new MortalDriver(lab.driver);
    }

    private void succeed() throws Exception {
        back = start(notes, VbdFeatures.ALL, store);
        loop.pump();
    }

    private void serves() {
        loop.pumpUntil(
                () -> {
                    finishWork();
                    return front.responses() == front.published();
                });
    }

    private long response(int index, long offset) {
        long slot = 64 + index * 112L;
        return offset == 0
                ? front.ring.get(ValueLayout.JAVA_LONG, slot)
                : front.ring.get(ValueLayout.JAVA_SHORT, slot + offset);
    }

    private void isClosed() {
        assertEquals(XenbusState.CLOSED, back.state());
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertEquals(0, front.responses());
    }

    private String state() throws Exception {
        return lab.toolstack.read(lab.paths.backend() + "/state").orElse("");
    }

    @Test
    void whatWasBegunIsAnsweredOnce() throws Exception {
        beginRead();
        kill();
        assertEquals(0, front.responses());
        succeed();
        assertEquals(XenbusState.CONNECTED, back.state());
        assertEquals("4", state());
        serves();
        assertEquals(1, front.responses());
        assertEquals(7, response(0, 0));
        assertEquals(BlkifStatus.OKAY, response(0, 10));
        loop.pump();
        assertEquals(1, front.responses());
    }

    /// What a port is bound with is the platform's business.
    @Test
    void whatCameWhileNobodyWasThereIsFoundWithoutAnEvent() throws Exception {
        kill();
        process = new MortalDriver(new LossyDoorbells.Driver(lab.driver, 0, true));
        front.write(BlkifOp.READ, 9, 0);
        front.publish();
        succeed();
        serves();
        assertEquals(9, response(0, 0));
        assertEquals(BlkifStatus.OKAY, response(0, 10));
    }

    @Test
    void whatIsUnfinishedWaitsForAPauseToEnd() throws Exception {
        for (int i = 0; i < 3; i++) {
            front.write(BlkifOp.READ, i, 0);
        }
        front.publish();
        front.port.send();
        loop.pumpUntil(() -> work.size() == 3);
        kill();
        back = start(notes, VbdFeatures.ALL, store, 1);
        boolean[] quiet = new boolean[1];
        back.pause(() -> quiet[0] = true); // after the first of them
        loop.pump();
        finishWork();
        loop.pump();
        assertTrue(quiet[0]);
        assertTrue(work.isEmpty());
        assertEquals(1, front.responses());
        back.resume();
        serves();
        assertEquals(3, front.responses());
    }

    @Test
    void whatABarrierSeparatesStaysSeparated() throws Exception {
        BlkifLayout layout = BlkifLayout.X86_64;
        MemorySegment page = lab.guest.memory().pages(front.dataGfn, 1);
        int[] operations = {BlkifOp.WRITE, BlkifOp.WRITE_BARRIER, BlkifOp.WRITE};
        for (int i = 0; i < operations.length; i++) {
            page.asSlice(i * 512L, 512).fill((byte) (i + 1));
            long slot = front.write(operations[i], i, 0);
            BlkifLayout.writeSegment(
                    front.ring, layout.segmentOffset(slot, 0), front.dataGref, i, i);
        }
        front.publish();
        front.port.send();
        loop.pumpUntil(() -> !work.isEmpty());
        kill();
        succeed();
        serves();
        assertEquals(3, front.responses());
        assertEquals(3, store.bytes[0]);
        assertEquals(3, store.bytes[511]);
    }

    @Test
    void aSlotThatWasTakenIsTheGuestsToChange() throws Exception {
        beginRead();
        kill();
        front.ring.asSlice(64).fill((byte) 0xFF);
        succeed();
        serves();
        assertEquals(7, response(0, 0));
        assertEquals(BlkifStatus.OKAY, response(0, 10));
    }

    @Test
    void theIndexOfTheBackendIsNotTheGuestsToChange() throws Exception {
        for (int lie : new int[] {1, -1, 31, 32, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            int before = front.responses();
            beginRead();
            kill();
            front.word(8, lie);
            succeed();
            assertEquals(before, front.responses());
            serves();
            assertEquals(before + 1, front.responses());
        }
    }

    @Test
    void anImpossibleIndexOfTheFrontendEndsThisDevice() throws Exception {
        for (int lie : new int[] {0, 33 + 1, -1, Integer.MIN_VALUE}) {
            beginRead();
            kill();
            front.word(0, lie);
            succeed();
            loop.pumpUntil(
                    () -> {
                        finishWork();
                        return back.state() == XenbusState.CLOSING;
                    });
            loop.pump();
            assertEquals(0, lab.hypervisor.mappedTotal());
            front.state(6);
            loop.pumpUntil(() -> back.state() == XenbusState.CLOSED);
            front.initialise();
            front.state(1);
            loop.pumpUntil(() -> back.state() == XenbusState.INIT_WAIT);
            connected();
        }
    }

    @Test
    void aPageThatIsNoLongerGrantedIsAnErrorOfThatRequest() throws Exception {
        beginRead();
        kill();
        assertTrue(lab.guest.grants().tryRevoke(front.dataGref));
        succeed();
        serves();
        assertEquals(BlkifStatus.ERROR, response(0, 10));
        lab.guest.grants().grant(front.dataGref, DomId.ZERO, front.dataGfn, false);
        assertEquals(XenbusState.CONNECTED, back.state());
    }

    @Test
    void aRingThatIsNoLongerGrantedIsNotServed() throws Exception {
        beginRead();
        kill();
        front.node("ring-ref", "4000");
        succeed();
        isClosed();
    }

    @Test
    void ringsOfAnotherShapeAreNotServed() throws Exception {
        beginRead();
        kill();
        front.node("protocol", "x86_32-abi");
        succeed();
        isClosed();
        notes.clear();
    }

    @Test
    void withoutANoteItIsAsIfNobodyKnewThatRing() throws Exception {
        beginRead();
        kill();
        back = start(DeviceNotes.NONE, VbdFeatures.ALL, store);
        loop.pump();
        isClosed();
        notes.clear();
    }

    @Test
    void theNoteOfAnotherConnectionIsNotUsed() throws Exception {
        beginRead();
        kill();
        notes.make(lab.paths, QueueNote.sizeBytes(32));
        succeed();
        isClosed();
        notes.clear();
    }

    @Test
    void aStateBesideConnectedIsNoConnectionToGoOnWith() throws Exception {
        beginRead();
        kill();
        front.state(3);
        succeed();
        isClosed();
        notes.clear();
    }

    @Test
    void aFeatureThatIsGoneIsNotKeptQuiet() throws Exception {
        assertEquals("1", lab.toolstack.read(lab.paths.backend() + "/feature-discard").orElse(""));
        beginRead();
        kill();
        BlockStore plain =
                new MemoryStore(DISK) {
                    @Override
                    public int discardGranularityBytes() {
                        return 0;
                    }
                };
        back = start(notes, VbdFeatures.ALL, plain);
        loop.pump();
        isClosed();
        notes.clear();
    }

    @Test
    void aDiskThatHadFailedIsNotWellAgain() throws Exception {
        beginRead();
        lab.toolstack.write(lab.paths.backend() + "/disk-failure", "Input/output error");
        kill();
        succeed();
        isClosed();
        notes.clear();
    }

    @Test
    void aDiskOfAnotherKindIsNotServedToAGuestThatKnowsThisOne() throws Exception {
        String info = lab.paths.backend() + "/info";
        assertEquals("0", lab.toolstack.read(info).orElse(""));
        beginRead();
        lab.toolstack.write(info, Integer.toString(BlkifInfo.CDROM));
        kill();
        succeed();
        isClosed();
        notes.clear();
    }

    @Test
    void pagesStayMappedOnlyForAGuestThatSaysThatItUsesThemAgain() throws Exception {
        beginRead();
        serves();
        assertEquals(1, lab.hypervisor.mappedTotal(), "the ring");
        kill();
        front.node("feature-persistent", "1");
        succeed();
        beginRead();
        serves();
        assertEquals(2, lab.hypervisor.mappedTotal());
    }

    @Test
    void aGuestIsServedAlsoWhereThereIsNoRoomForANote() throws Exception {
        var gone = back.removeAsync();
        loop.pumpUntil(gone::isDone);
        front.state(6);
        front.initialise();
        front.state(1);
        lab.toolstack.write(lab.paths.backend() + "/state", "1");
        DeviceNotes full =
                new DeviceNotes() {
                    @Override
                    public DeviceNote make(DevicePaths paths, long sizeBytes)
                            throws DeviceException {
                        throw new DeviceException("no space left");
                    }

                    @Override
                    public DeviceNote find(DevicePaths paths, String id, long sizeBytes)
                            throws DeviceException {
                        throw new DeviceException("nothing is there");
                    }
                };
        back = start(full, VbdFeatures.ALL, store);
        connected();
        beginRead();
        serves();
        assertEquals(BlkifStatus.OKAY, response(0, 10));
    }

    @Test
    void featuresAreThoseThatWereOffered() throws Exception {
        kill();
        back = start(notes, VbdFeatures.NONE, store);
        front.write(BlkifOp.FLUSH_DISKCACHE, 9, 0);
        front.publish();
        loop.pump();
        serves();
        assertEquals(BlkifStatus.OKAY, response(0, 10));
        assertEquals(
                "1", lab.toolstack.read(lab.paths.backend() + "/feature-flush-cache").orElse(""));
    }

    @Test
    void aNoteOfNonsenseLeadsNowhere() throws Exception {
        Random random = new Random(20_261_127L);
        for (int round = 0; round < 300; round++) {
            beginRead();
            kill();
            MemorySegment memory = notes.memory(lab.paths);
            byte[] nonsense = new byte[(int) memory.byteSize() - 64];
            random.nextBytes(nonsense);
            MemorySegment.copy(nonsense, 0, memory, ValueLayout.JAVA_BYTE, 64, nonsense.length);
            memory.set(ValueLayout.JAVA_INT, 0, random.nextInt());
            for (int place = 0; place < 32; place++) {
                memory.set(ValueLayout.JAVA_INT, 64 + place * 128L + 4, random.nextInt(4));
            }
            back = start(notes, VbdFeatures.ALL, store);
            loop.pumpUntil(
                    () -> {
                        finishWork();
                        return lab.hypervisor.mappedTotal() <= 2
                                || back.state() != XenbusState.CONNECTED;
                    });
            var gone = back.removeAsync();
            loop.pumpUntil(
                    () -> {
                        finishWork();
                        return gone.isDone();
                    });
            assertEquals(0, lab.hypervisor.mappedTotal());
            assertTrue(notes.isEmpty());
            front.state(6);
            front.initialise();
            front.state(1);
            lab.toolstack.write(lab.paths.backend() + "/state", "1");
            process = new MortalDriver(lab.driver);
            back = start(notes, VbdFeatures.ALL, store);
            connected();
        }
    }

    @Test
    void aConnectionThatEndsInOrderLeavesNoNote() throws Exception {
        front.state(5);
        loop.pumpUntil(() -> back.state() == XenbusState.CLOSING);
        loop.pump();
        assertTrue(notes.isEmpty());
        front.state(6);
        front.state(1);
        loop.pumpUntil(() -> back.state() == XenbusState.INIT_WAIT);
        assertTrue(lab.toolstack.read(lab.paths.backend() + "/note").isEmpty());
    }
}
