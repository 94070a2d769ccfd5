package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.bridge.JavaPort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortSettings;
import org.splitring.testkit.LastingNotes;
import org.splitring.testkit.MortalDriver;
import org.splitring.xenbus.device.DeviceNotes;

/// A backend that finds the connection of one that was killed, with slots written by hand.
@Timeout(60)
class VifSuccessorTest {
    private static final int SET_FLAGS = 2;
    private static final int SET_KEY = 3;
    private static final int SET_MAPPING_SIZE = 5;
    private static final int SET_MAPPING = 6;
    private static final int SET_ALGORITHM = 7;
    private static final int MULTICAST_ADD = 2;

    private final VifLab lab = VifLab.withSeed();
    private final LastingNotes notes = new LastingNotes();
    private MortalDriver process = lab.succeed(new MortalDriver(lab.driver));
    private RawVif raw;
    private final List<byte[]> seen = new ArrayList<>();

    @BeforeEach
    void connect() throws Exception {
        lab.services = lab.services.with(DeviceNotes.class, notes);
        raw = new RawVif(lab, 1).withControlRing();
        raw.keys.put("request-multicast-control", "1");
        raw.connect();
    }

    @AfterEach
    void close() throws Exception {
        var gone = raw.backends.guestGone();
        lab.until("the backend ends", gone::isDone);
        assertEquals(0, lab.hypervisor.mappedTotal());
        raw.close();
        lab.close();
    }

    private void succeed() throws Exception {
        process = lab.succeed(process);
        raw.backends = lab.backends(1);
        lab.settle();
    }

    private JavaPort station() {
        List<JavaPort> made = new ArrayList<>();
        lab.netLoop.execute(
                () ->
                        made.add(
                                JavaPort.attach(
                                        lab.network,
                                        PortSettings.of("station"),
                                        PortCapabilities.plain(1500),
                                        (frame, checksum) -> seen.add(frame))));
        lab.settle();
        return made.getFirst();
    }

    private void send(JavaPort station, byte[] frame) {
        lab.netLoop.execute(() -> assertTrue(station.send(frame)));
        lab.settle();
    }

    private static byte[] toGroup(int number) {
        return Packets.frame(new byte[] {1, 0, 0x5E, 0, 0, (byte) number}, Packets.mac(9), 100);
    }

    @Test
    void framesGoOnBothWays() throws Exception {
        raw.offerRx(8);
        raw.send(Packets.frame(Packets.mac(9), Packets.mac(1), 100));
        raw.awaitTx(1);
        succeed();
        assertEquals("4", lab.backendState(1));
        JavaPort station = station();
        byte[] out = Packets.frame(Packets.mac(9), Packets.mac(1), 200);
        raw.send(out);
        raw.awaitTx(2);
        lab.until("the frame arrives", () -> !seen.isEmpty());
        assertArrayEquals(out, seen.getFirst());
        byte[] in = Packets.frame(Packets.mac(1), Packets.mac(9), 300);
        send(station, in);
        raw.awaitRx(1);
        assertArrayEquals(in, raw.rxBytes(0));
    }

    @Test
    void groupsThatWereAskedForAreStillHeard() throws Exception {
        raw.offerRx(8);
        MemorySegment first = RawVif.txSlot(raw.data.gref(0), 0, RawVif.EXTRA_INFO, 5, 60);
        raw.tx.publish(first);
        raw.tx.publish(RawVif.extra(MULTICAST_ADD, 0, 1, 0, 0x5E, 0, 0, 7));
        raw.tx.kick(1);
        raw.awaitTx(2);
        succeed();
        JavaPort station = station();
        send(station, toGroup(8));
        send(station, toGroup(7));
        raw.awaitRx(1);
        assertArrayEquals(toGroup(7), raw.rxBytes(0));
    }

    @Test
    void theHashThatWasAskedForIsStillTold() throws Exception {
        raw.offerRx(8);
        MemorySegment page = raw.data.memory();
        for (int i = 0; i < 40; i++) {
            page.set(ValueLayout.JAVA_BYTE, i, (byte) (i * 7 + 1));
        }
        assertEquals(0, raw.ask(SET_MAPPING_SIZE, 2, 0, 0));
        assertEquals(0, raw.ask(SET_ALGORITHM, 1, 0, 0));
        assertEquals(0, raw.ask(SET_FLAGS, 15, 0, 0));
        assertEquals(0, raw.ask(SET_KEY, raw.data.gref(0), 40, 0));
        byte[] frame = Packets.ip4(Packets.mac(1), Packets.mac(9), 6, 100, false);
        send(station(), frame);
        raw.awaitRx(2);
        long before = hashOf(1);
        succeed();
        send(station(), frame);
        raw.awaitRx(4);
        assertEquals(before, hashOf(3));
        // The mapping has its size still: a part beyond it is refused.
        assertEquals(2, raw.ask(SET_MAPPING, raw.data.gref(0), 1, 2));
        assertEquals(0, raw.ask(SET_MAPPING, 0, 0, 2));
    }

    /// The extra in a slot of the rx ring.
    private long hashOf(int index) {
        return raw.rx.slot(index).get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
    }

    /// The guest's event went to the process that was killed, and the port that the next one binds
    /// has none pending.
    @Test
    void aFrameThatNobodyTellsOfIsTaken() throws Exception {
        process.kill();
        raw.send(Packets.frame(Packets.mac(9), Packets.mac(1), 200));
        lab.isDeafAtFirst = true;
        succeed();
        raw.awaitTx(1);
        assertEquals(1, lab.metrics(1).txPackets());
    }

    @Test
    void aQuestionThatNobodyTellsOfIsAnswered() throws Exception {
        process.kill();
        raw.question(SET_ALGORITHM, 1, 0, 0);
        lab.isDeafAtFirst = true;
        succeed();
        assertEquals(0, raw.answer(SET_ALGORITHM));
    }

    @Test
    void anImpossibleIndexOfTheFrontendEndsThisDevice() throws Exception {
        process.kill();
        raw.txRing.memory().set(ValueLayout.JAVA_INT, 0, 1000);
        succeed();
        lab.awaitBackend(1, "5");
    }

    @Test
    void theIndexOfTheBackendIsNotTheGuestsToChange() throws Exception {
        raw.send(Packets.frame(Packets.mac(9), Packets.mac(1), 100));
        raw.awaitTx(1);
        process.kill();
        raw.txRing.memory().set(ValueLayout.JAVA_INT, 8, 77);
        raw.rxRing.memory().set(ValueLayout.JAVA_INT, 8, -5);
        succeed();
        assertEquals(1, raw.tx.rspProd());
        assertEquals(0, raw.rx.rspProd());
    }

    @Test
    void withoutANoteItIsAsIfNobodyKnewThatRing() throws Exception {
        notes.clear();
        succeed();
        assertEquals("6", lab.backendState(1));
        assertEquals(0, lab.hypervisor.mappedTotal());
    }

    /// All that the guest had offered: it has no page left, and no frame comes that would have them
    /// published.
    @Test
    void slotsThatWereTakenAreGivenBackAtOnce() throws Exception {
        raw.offerRx(8);
        process.kill();
        MemorySegment memory = notes.memory(VifLab.paths(1));
        long copies = headers(2) + 64;
        MemorySegment.copy(raw.rxRing.memory(), 64, memory, copies, 8 * RawVif.RX_ENTRY);
        memory.set(ValueLayout.JAVA_INT, headers(2) + 4, 8);
        succeed();
        raw.awaitRx(8);
        for (int i = 0; i < 8; i++) {
            assertEquals(-1, raw.rxStatus(i));
            assertEquals(i, raw.rxField(i, 0));
        }
        raw.offerRx(8);
        byte[] in = Packets.frame(Packets.mac(1), Packets.mac(9), 300);
        send(station(), in);
        raw.awaitRx(9);
        assertArrayEquals(in, raw.rxBytes(8));
    }

    /// Each of the three rings, and each word by which its note is known.
    @ParameterizedTest
    @CsvSource({"0, 4", "0, 8", "0, 12", "1, 4", "1, 8", "1, 12", "2, 4", "2, 8", "2, 12"})
    void aNoteOfRingsOfAnotherKindIsRefused(int ring, long word) throws Exception {
        process.kill();
        long at = (ring == 0 ? 0 : headers(ring)) + word;
        MemorySegment memory = notes.memory(VifLab.paths(1));
        int found = memory.get(ValueLayout.JAVA_INT, at);
        memory.set(ValueLayout.JAVA_INT, at, found + 1000); // taken and not answered: too many
        succeed();
        assertEquals("6", lab.backendState(1));
        assertEquals(0, lab.hypervisor.mappedTotal());
    }

    @Test
    void aNoteOfNonsenseLeadsNowhere() throws Exception {
        Random random = new Random(20_261_127L);
        for (int round = 0; round < 200; round++) {
            process.kill();
            MemorySegment memory = notes.memory(VifLab.paths(1));
            byte[] nonsense = new byte[(int) memory.byteSize()];
            random.nextBytes(nonsense);
            MemorySegment kept = Arena.ofAuto().allocate(memory.byteSize());
            kept.copyFrom(memory);
            memory.copyFrom(MemorySegment.ofArray(nonsense));
            if (round % 2 == 0) { // of the right shape, and of possible numbers
                for (long at : new long[] {0, headers(1), headers(2)}) {
                    MemorySegment.copy(kept, at, memory, at, 64);
                    memory.set(ValueLayout.JAVA_INT, at, random.nextInt());
                    int taken = memory.get(ValueLayout.JAVA_INT, at) + random.nextInt(100);
                    memory.set(ValueLayout.JAVA_INT, at + 4, taken);
                }
            }
            succeed();
            lab.settle();
            String state = lab.backendState(1);
            assertTrue(List.of("4", "5", "6").contains(state), state);
            var gone = raw.backends.guestGone();
            lab.until("the backend ends", gone::isDone);
            assertEquals(0, lab.hypervisor.mappedTotal());
            process = lab.succeed(process);
            raw.restart();
            raw.ctrl.initialiseAt(0);
            notes.clear();
            raw.state("1");
            lab.store.write(VifLab.paths(1).backend() + "/state", "1");
            raw.backends = lab.backends(1);
            lab.awaitBackend(1, "2");
            raw.connect();
        }
    }

    /// Where the notes of the tx ring and the rx ring are.
    private static long headers(int ring) {
        long tx =
                OrderedNote.sizeBytes(128, 16) + HashConfig.NOTE_BYTES + MulticastFilter.NOTE_BYTES;
        return ring == 1 ? tx : tx + OrderedNote.sizeBytes(256, 12);
    }
}
