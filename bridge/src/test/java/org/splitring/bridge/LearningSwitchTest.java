package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class LearningSwitchTest {
    private final LearningSwitch mode = new LearningSwitch(SwitchSettings.DEFAULT);
    private final Lab lab = new Lab(mode);
    private final Lab.Port a = lab.port("a");
    private final Lab.Port b = lab.port("b");
    private final Lab.Port c = lab.port("c");

    @Test
    void unknownDestinationsAreFloodedAndKnownOnesAreNot() {
        byte[] first = Lab.frame(Lab.mac(2), Lab.mac(1), 60);
        a.send(first);
        assertArrayEquals(first, b.take().getFirst().bytes());
        assertEquals(1, c.take().size());
        assertEquals(0, a.got.size());
        b.send(Lab.frame(Lab.mac(1), Lab.mac(2), 60));
        assertEquals(1, a.take().size());
        assertEquals(0, c.got.size());
        a.send(first);
        assertEquals(1, b.take().size());
        assertEquals(0, c.got.size());
    }

    @Test
    void anAddressIsForgottenAfterTheAgeingTime() {
        b.send(Lab.frame(Lab.BROADCAST, Lab.mac(2), 60));
        lab.sleepSeconds(299);
        a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 60));
        assertEquals(1, c.take().size(), "the broadcast only");
        lab.sleepSeconds(2);
        a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 60));
        assertEquals(1, c.take().size(), "unknown again");
    }

    @Test
    void addressesOfAPortGoWithIt() {
        b.send(Lab.frame(Lab.BROADCAST, Lab.mac(2), 60));
        assertEquals(1, mode.addresses());
        b.link.detach();
        assertEquals(0, mode.addresses());
        c.take();
        a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 60));
        assertEquals(1, c.take().size());
        assertEquals(0, b.got.size());
        b.send(Lab.frame(Lab.BROADCAST, Lab.mac(3), 60));
        assertEquals(0, c.got.size());
    }

    @Test
    void receiversAreFlushedOncePerBatch() {
        for (int i = 0; i < 10; i++) {
            Lab.fill(a.frame, Lab.frame(Lab.mac(2), Lab.mac(1), 60));
            a.link.receive(a.frame);
        }
        assertEquals(0, b.flushes);
        a.link.endBatch();
        assertEquals(1, b.flushes);
        assertEquals(10, b.got.size());
        a.link.endBatch();
        assertEquals(1, b.flushes);
    }

    @Test
    void aPortWithoutRoomLosesFramesAndIsCounted() {
        b.room = 1;
        a.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        a.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        assertEquals(1, b.count(PortCounter.OUT_FRAMES));
        assertEquals(1, b.count(PortCounter.OUT_DROPPED_FULL));
        assertEquals(2, c.count(PortCounter.OUT_FRAMES));
        assertEquals(120, c.count(PortCounter.OUT_BYTES));
        assertEquals(2, a.count(PortCounter.IN_FRAMES));
    }

    @Test
    void framesWithAGroupAsSourceAreDropped() {
        a.send(Lab.frame(Lab.mac(2), Lab.BROADCAST, 60));
        assertEquals(0, b.got.size());
        assertEquals(1, a.count(PortCounter.IN_DROPPED_SOURCE));
        assertEquals(0, mode.addresses());
    }

    @Test
    void linkLocalGroupsAreNotPassedOn() {
        for (int last = 0; last < 16; last++) {
            a.send(Lab.frame(0x0180_C200_0000L + last, Lab.mac(1), 60));
        }
        assertEquals(0, b.got.size());
        a.send(Lab.frame(0x0180_C200_0010L, Lab.mac(1), 60));
        assertEquals(1, b.got.size());
    }

    @Test
    void aPortNameIsGivenOnce() {
        IllegalArgumentException refused =
                assertThrows(IllegalArgumentException.class, () -> lab.port("a"));
        assertEquals("network lan has a port a already", refused.getMessage());
        assertEquals(3, lab.network.ports().size());
    }

    @Test
    void modesAreExchangedBetweenTwoFrames() {
        b.send(Lab.frame(Lab.BROADCAST, Lab.mac(2), 60));
        LearningSwitch next = new LearningSwitch(SwitchSettings.DEFAULT);
        c.take();
        lab.network.mode(next);
        a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 60));
        assertEquals(1, c.take().size(), "nothing is known yet");
        assertEquals(1, b.take().size());
        assertEquals(1, next.addresses());
    }

    @Test
    void aJavaPortSendsAndIsCalledByATaskOfItsOwn() {
        List<byte[]> got = new ArrayList<>();
        JavaPort java =
                JavaPort.attach(
                        lab.network,
                        PortSettings.of("java"),
                        PortCapabilities.plain(1500),
                        (bytes, checksum) -> got.add(bytes));
        byte[] sent = Lab.frame(Lab.BROADCAST, Lab.mac(9), 900);
        java.send(sent);
        lab.run();
        assertArrayEquals(sent, a.take().getFirst().bytes());
        byte[] back = Lab.frame(Lab.mac(9), Lab.mac(1), 700);
        a.send(back);
        assertEquals(0, got.size());
        lab.run();
        assertArrayEquals(back, got.getFirst());
        for (int i = 0; i <= JavaPort.QUEUE_FRAMES; i++) {
            a.send(back);
        }
        lab.run();
        assertEquals(1 + JavaPort.QUEUE_FRAMES, got.size());
        assertEquals(1, java.link().counters().get(PortCounter.OUT_DROPPED_FULL));
    }
}
