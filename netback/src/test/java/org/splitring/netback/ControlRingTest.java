package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.math.BigInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The control ring, with requests written by hand.
@Timeout(60)
class ControlRingTest {
    private static final int SUCCESS = 0;
    private static final int NOT_SUPPORTED = 1;
    private static final int INVALID = 2;
    private static final int GET_FLAGS = 1;
    private static final int SET_FLAGS = 2;
    private static final int SET_KEY = 3;
    private static final int GET_MAPPING_SIZE = 4;
    private static final int SET_MAPPING_SIZE = 5;
    private static final int SET_MAPPING = 6;
    private static final int SET_ALGORITHM = 7;

    private final VifLab lab = VifLab.withSeed();
    private RawVif raw;

    @BeforeEach
    void connect() throws Exception {
        raw = new RawVif(lab, 1).withControlRing().connect();
    }

    @AfterEach
    void close() {
        raw.close();
        lab.close();
    }

    private int ask(int type, int first, int second, int third) {
        return raw.ask(type, first, second, third);
    }

    private int data() {
        return raw.answeredData();
    }

    @Test
    void whatThereIsCanBeAsked() {
        assertEquals(SUCCESS, ask(GET_FLAGS, 0, 0, 0));
        assertEquals(15, data());
        assertEquals(SUCCESS, ask(GET_MAPPING_SIZE, 0, 0, 0));
        assertEquals(128, data());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 11, 255, 65535})
    void whatIsNotServedIsAnsweredSo(int type) {
        assertEquals(NOT_SUPPORTED, ask(type, 1, 2, 3));
    }

    @Test
    void typesAndAlgorithmsThatDoNotExistAreRefused() {
        assertEquals(INVALID, ask(SET_FLAGS, 1, 0, 0), "without an algorithm");
        assertEquals(INVALID, ask(SET_ALGORITHM, 2, 0, 0));
        assertEquals(SUCCESS, ask(SET_ALGORITHM, 1, 0, 0));
        assertEquals(INVALID, ask(SET_FLAGS, 16, 0, 0));
        assertEquals(INVALID, ask(SET_FLAGS, -1, 0, 0));
        assertEquals(SUCCESS, ask(SET_FLAGS, 15, 0, 0));
    }

    @ParameterizedTest
    @CsvSource({"41", "4096", "-1", "2147483647", "-2147483648"})
    void h048_aKeyOfAnotherLengthIsRefused(int length) {
        assertEquals(INVALID, ask(SET_KEY, raw.data.gref(0), length, 0));
    }

    @Test
    void h048_aKeyThatCannotBeReadIsRefusedAndOneOfNothingIsNotRead() {
        assertEquals(INVALID, ask(SET_KEY, 0x7FFF_FFFF, 40, 0));
        assertEquals(SUCCESS, ask(SET_KEY, 0x7FFF_FFFF, 0, 0));
        assertEquals(SUCCESS, ask(SET_KEY, raw.data.gref(0), 40, 0));
    }

    @ParameterizedTest
    @CsvSource({"129", "-1", "2147483647"})
    void h048_aMappingTooLargeIsRefused(int size) {
        assertEquals(INVALID, ask(SET_MAPPING_SIZE, size, 0, 0));
    }

    /// `off` + `len` wraps past a check in 32 bits; `len` is beyond a page.
    @ParameterizedTest
    @CsvSource({
        "2, -1",
        "2, -2",
        "129, 0",
        "1, 128",
        "128, 1",
        "-1, 0",
        "1025, 0",
        "2147483647, 1",
        "1, 2147483647"
    })
    void h048_aPartOfTheMappingThatIsNotInsideIsRefused(int length, int offset) {
        assertEquals(SUCCESS, ask(SET_MAPPING_SIZE, 128, 0, 0));
        assertEquals(INVALID, ask(SET_MAPPING, raw.data.gref(0), length, offset));
    }

    /// What lies in the guest's page is checked before it is put in place, and all of it or
    /// nothing.
    @Test
    void h048_aQueueThatDoesNotExistIsRefusedWithAllItsNeighbours() {
        assertEquals(SUCCESS, ask(SET_MAPPING_SIZE, 4, 0, 0));
        MemorySegment page = raw.data.memory();
        page.set(ValueLayout.JAVA_INT, 0, 0);
        page.set(ValueLayout.JAVA_INT, 4, 1); // there is one queue only
        assertEquals(INVALID, ask(SET_MAPPING, raw.data.gref(0), 2, 0));
        page.set(ValueLayout.JAVA_INT, 4, -1);
        assertEquals(INVALID, ask(SET_MAPPING, raw.data.gref(0), 2, 0));
        page.set(ValueLayout.JAVA_INT, 4, 0);
        assertEquals(SUCCESS, ask(SET_MAPPING, raw.data.gref(0), 2, 2));
    }

    /// The whole way: key, types, mapping; then frames come with their hash.
    @Test
    void framesComeWithTheHashThatWasAskedFor() throws Exception {
        VifLab.Guest neighbour = lab.guest(2);
        byte[] key = new byte[40];
        for (int i = 0; i < key.length; i++) {
            key[i] = (byte) (i * 7 + 1);
        }
        MemorySegment.copy(MemorySegment.ofArray(key), 0, raw.data.memory(), 0, 40);
        assertEquals(SUCCESS, ask(SET_ALGORITHM, 1, 0, 0));
        assertEquals(SUCCESS, ask(SET_FLAGS, 15, 0, 0));
        assertEquals(SUCCESS, ask(SET_KEY, raw.data.gref(0), 40, 0));
        raw.offerRx(8);
        byte[] packet = Packets.ip4(Packets.mac(1), Packets.mac(2), 6, 100, false);
        neighbour.send(packet);
        raw.awaitRx(2);
        assertEquals(packet.length, raw.rxStatus(0));
        MemorySegment extra = raw.rx.slot(1);
        assertEquals(4, extra.get(ValueLayout.JAVA_BYTE, 0), "type HASH");
        assertEquals(0, extra.get(ValueLayout.JAVA_BYTE, 1), "the last extra");
        assertEquals(1, extra.get(ValueLayout.JAVA_BYTE, 2), "TCP over IPv4");
        assertEquals(1, extra.get(ValueLayout.JAVA_BYTE, 3), "Toeplitz");
        assertEquals(toeplitz(key, packet), extra.get(ValueLayout.JAVA_INT, 4));
    }

    /// Bit by bit, as the definition has it.
    private static int toeplitz(byte[] key, byte[] packet) {
        byte[] input = new byte[12];
        System.arraycopy(packet, 26, input, 0, 12);
        BigInteger bits = new BigInteger(1, key);
        int hash = 0;
        for (int i = 0; i < input.length * 8; i++) {
            if ((input[i / 8] & 0x80 >>> i % 8) != 0) {
                hash ^= bits.shiftRight(320 - 32 - i).intValue();
            }
        }
        return hash;
    }

    @Test
    void h013_withoutTheRingNothingIsServed() throws Exception {
        RawVif without = new RawVif(lab, 3).connect();
        without.ctrl.publishAndKick(Arena.ofAuto().allocate(16, 4));
        lab.settle();
        assertEquals(0, without.ctrl.rspProd());
        without.close();
    }

    @Test
    void h001_impossibleIndicesOfTheControlRingCloseTheVif() throws Exception {
        raw.ctrl.claimTooMuch();
        raw.ctrl.kick(1);
        raw.awaitFatal("req_prod");
    }
}
