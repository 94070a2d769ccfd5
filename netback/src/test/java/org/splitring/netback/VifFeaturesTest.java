package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFrontendOptions;

/// What a vif can be asked for beyond frames: a rate, groups, headroom.
@Timeout(60)
class VifFeaturesTest {
    private static final int OKAY = 0;
    private static final int ERROR = -1;
    private static final byte[] GROUP = {1, 0, 0x5e, 0, 0, 1};

    private final VifLab lab = VifLab.withSeed();

    @AfterEach
    void close() {
        lab.close();
    }

    private void millis(long count) {
        lab.sim.runFor(TimeUnit.MILLISECONDS.toNanos(count));
    }

    // The rate.

    /// Puts frames of 1000 bytes on every queue, alternately.
    private void fill(VifLab.Guest guest, int frames, int queues) {
        MemorySegment bytes =
                MemorySegment.ofArray(Packets.frame(Packets.mac(2), Packets.mac(1), 1000));
        guest.loop.execute(
                () -> {
                    for (int i = 0; i < frames; i++) {
                        TxFrame frame =
                                Objects.requireNonNull(guest.vif().acquire(i % queues, 1000));
                        frame.append(bytes, 0, 1000);
                        frame.send();
                    }
                    guest.vif().flush();
                });
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void theRateIsOneOfTheVifHoweverManyQueuesItHas(int queues) throws Exception {
        VifLab.Guest one =
                lab.guest(
                        1,
                        VifFrontendOptions.DEFAULT.withQueues(queues),
                        Map.of("rate", "10000,100000"));
        fill(one, 100, queues);
        millis(50);
        assertEquals(10, lab.metrics(1).txPackets(), "the credit of the first interval");
        for (int interval = 1; interval <= 5; interval++) {
            millis(100);
            long sent = lab.metrics(1).txPackets();
            long expected = 10 + 10L * interval;
            assertTrue(Math.abs(sent - expected) <= 1, sent + " after interval " + interval);
        }
        assertTrue(lab.metrics(1).txRateLimited() > 0);
        assertEquals(0, lab.metrics(1).txErrors(), "held back, not dropped");
    }

    /// @param hasOneChannel for both rings
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theRateChangesWhileFramesWait(boolean hasOneChannel) throws Exception {
        VifFrontendOptions options =
                hasOneChannel ? VifFrontendOptions.DEFAULT.withLeast() : VifFrontendOptions.DEFAULT;
        VifLab.Guest one = lab.guest(1, options, Map.of("rate", "1000,3600000000"));
        fill(one, 100, 1);
        millis(50);
        assertEquals(1, lab.metrics(1).txPackets());
        lab.store.write(VifLab.paths(1).backend() + "/rate", "10000,100000");
        millis(50);
        assertEquals(11, lab.metrics(1).txPackets());
        lab.store.remove(VifLab.paths(1).backend() + "/rate");
        millis(50);
        assertEquals(100, lab.metrics(1).txPackets());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "10000", "x,y", "-1,5", "0,0"})
    void aRateThatIsNoneLimitsNothing(String rate) throws Exception {
        VifLab.Guest one = lab.guest(1, VifFrontendOptions.DEFAULT, Map.of("rate", rate));
        fill(one, 100, 1);
        millis(50);
        assertEquals(100, lab.metrics(1).txPackets());
    }

    @Test
    void aVifThatWaitsForCreditCanBeClosed() throws Exception {
        VifLab.Guest one =
                lab.guest(1, VifFrontendOptions.DEFAULT, Map.of("rate", "1000,3600000000"));
        fill(one, 100, 1);
        millis(50);
        one.closeFront();
        one.closeBack();
        one.checkNothingLeft();
    }

    // Groups.

    @Test
    void aGuestHearsTheGroupsThatItAskedFor() throws Exception {
        VifLab.Guest neighbour = lab.guest(2);
        RawVif raw = new RawVif(lab, 1);
        raw.keys.put("request-multicast-control", "1");
        raw.connect();
        raw.offerRx(8);
        byte[] toGroup = Packets.frame(GROUP, Packets.mac(2), 60);
        neighbour.send(toGroup);
        lab.settle();
        assertEquals(0, raw.rx.rspProd());
        assertEquals(1, lab.metrics(1).rxMulticastFiltered());

        raw.send(new byte[60], 0, List.of(RawVif.extra(2, 0, 1, 0, 0x5e, 0, 0, 1)), 60);
        raw.awaitTx(2);
        assertEquals(OKAY, raw.txStatus(0));
        neighbour.send(toGroup);
        raw.awaitRx(1);
        assertArrayEquals(toGroup, raw.rxBytes(0));

        raw.send(new byte[60], 0, List.of(RawVif.extra(3, 0, 1, 0, 0x5e, 0, 0, 1)), 60);
        raw.awaitTx(4);
        neighbour.send(toGroup);
        byte[] toAll = Packets.frame(Packets.broadcast(), Packets.mac(2), 61);
        neighbour.send(toAll);
        raw.awaitRx(2);
        assertArrayEquals(toAll, raw.rxBytes(1));
        assertEquals(2, lab.metrics(1).rxMulticastFiltered());
        assertEquals(List.of(), neighbour.received, "nothing of this is a frame");
        raw.close();
    }

    @Test
    void groupsAreBoundedAndMustBeGroups() throws Exception {
        RawVif raw = new RawVif(lab, 1);
        raw.keys.put("request-multicast-control", "1");
        raw.connect();
        int answered = 0;
        for (int i = 0; i < 70; i++) {
            raw.send(new byte[60], 0, List.of(RawVif.extra(2, 0, 1, 0, 0x5e, 0, 1, i)), 60);
            answered += 2;
            raw.awaitTx(answered);
            assertEquals(
                    i < MulticastFilter.MAX_ADDRESSES ? OKAY : ERROR,
                    raw.txStatus(answered - 2),
                    "address " + i);
        }
        raw.send(new byte[60], 0, List.of(RawVif.extra(3, 0, 1, 0, 0x5e, 0, 1, 3)), 60);
        raw.send(new byte[60], 0, List.of(RawVif.extra(2, 0, 0, 0x16, 0x3e, 0, 0, 3)), 60);
        raw.awaitTx(answered + 4);
        assertEquals(OKAY, raw.txStatus(answered));
        assertEquals(ERROR, raw.txStatus(answered + 2), "no group");
        raw.close();
    }

    // Headroom.

    @Test
    void framesLeaveTheHeadroomThatWasAskedFor() throws Exception {
        lab.mtu = 9000;
        VifLab.Guest neighbour = lab.guest(2);
        RawVif raw = new RawVif(lab, 1);
        raw.keys.put("xdp-headroom", "256");
        raw.connect();
        raw.offerRx(8);
        byte[] frame = Packets.frame(Packets.mac(1), Packets.mac(2), 4000);
        neighbour.send(frame);
        raw.awaitRx(3);
        assertEquals(256, raw.rxField(0, 2));
        assertEquals(4096 - 256, raw.rxStatus(0));
        assertEquals(5, raw.rxField(1, 0), "Linux's extra for headroom, the last one");
        assertEquals(256, raw.rxField(1, 2));
        assertEquals(256, raw.rxField(2, 2));
        assertEquals(4000 - (4096 - 256), raw.rxStatus(2));
        byte[] first = raw.rxBytes(0);
        for (int i = 0; i < first.length; i++) {
            assertEquals(frame[i], first[i]);
        }
        raw.close();
    }
}
