package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// VLANs, isolation, static addresses, storms, loops and mirrors.
class SwitchFeaturesTest {
    private final LearningSwitch mode = new LearningSwitch(new SwitchSettings(1000, 64, 300, true));
    private final Lab lab = new Lab(mode);

    private Lab.Port port(PortSettings settings) {
        return lab.port(settings, PortCapabilities.everything(1500));
    }

    private Lab.Port vlans(String name, String vlan) {
        return port(PortSettings.of(name).withVlans(PortVlans.parse(vlan)));
    }

    private static byte[] tagged(byte[] frame, int tci) {
        return Packets.join(
                Arrays.copyOf(frame, 12),
                new byte[] {(byte) 0x81, 0, (byte) (tci >>> 8), (byte) tci},
                Arrays.copyOfRange(frame, 12, frame.length));
    }

    @Test
    void xlsVlanSyntaxIsRead() {
        PortVlans one = PortVlans.parse("10");
        assertEquals(10, one.pvid());
        assertTrue(one.isUntagged(10));
        PortVlans two = PortVlans.parse("10p/20");
        assertEquals("PVID 10, members {10, 20}, untagged {10}", two.toString());
        assertEquals(
                "PVID 10, members {10, 100, 110, 120, 130, 140}, untagged {10}",
                PortVlans.parse("10p/100+10x4").toString());
        assertEquals(
                "PVID 1, members {1, 10, 11, 12, 20, 21}, untagged {1, 20, 21}",
                PortVlans.parse("1p/10-12/20-21u").toString());
        String[] bad = {
            "",
            "0",
            "4095",
            "10/20",
            "10p/20p",
            "10p/10",
            "10-5/1p",
            "1p/10+0x4",
            "1p/4000+50x9",
            "10x",
            "10 p",
            "1p/",
            "10-12p",
            "99999"
        };
        for (String text : bad) {
            IllegalArgumentException refused =
                    assertThrows(IllegalArgumentException.class, () -> PortVlans.parse(text));
            String message = String.valueOf(refused.getMessage());
            assertTrue(message.startsWith("vlan=" + text + ": "), message);
        }
    }

    @Test
    void framesStayInTheirVlanAndGetTheTagThatAPortExpects() {
        Lab.Port access10 = vlans("access10", "10");
        Lab.Port other10 = vlans("other10", "10");
        Lab.Port access20 = vlans("access20", "20");
        Lab.Port trunk = vlans("trunk", "1p/10/20");
        byte[] frame = Lab.frame(Lab.BROADCAST, Lab.mac(1), 400);
        access10.send(frame);
        assertArrayEquals(frame, other10.take().getFirst().bytes());
        assertArrayEquals(tagged(frame, 10), trunk.take().getFirst().bytes());
        assertEquals(0, access20.got.size());
        byte[] back = Lab.frame(Lab.mac(1), Lab.mac(2), 400);
        trunk.send(tagged(back, 0x600A));
        assertArrayEquals(back, access10.take().getFirst().bytes());
        assertEquals(0, other10.got.size());
        // The same address in another VLAN is another address.
        trunk.send(tagged(back, 20));
        assertEquals(0, access10.got.size());
        assertArrayEquals(back, access20.take().getFirst().bytes());
        trunk.send(back);
        assertEquals(1, trunk.count(PortCounter.IN_DROPPED_NOWHERE), "VLAN 1 has no other port");
        trunk.send(tagged(back, 30));
        access10.send(tagged(frame, 20));
        assertEquals(1, trunk.count(PortCounter.IN_DROPPED_VLAN));
        assertEquals(1, access10.count(PortCounter.IN_DROPPED_VLAN));
        assertEquals(0, access20.got.size());
        assertEquals(0, other10.got.size());
    }

    @Test
    void priorityTagsBelongToThePvid() {
        Lab.Port a = vlans("a", "10");
        Lab.Port b = vlans("b", "10");
        Lab.Port trunk = vlans("trunk", "1p/10");
        byte[] frame = Lab.frame(Lab.BROADCAST, Lab.mac(1), 100);
        a.send(tagged(frame, 0xE000));
        assertArrayEquals(frame, b.take().getFirst().bytes());
        assertArrayEquals(tagged(frame, 0xE00A), trunk.take().getFirst().bytes());
    }

    @Test
    void portsThatTakeEveryVlanPassTagsAsTheyAre() {
        Lab.Port a = port(PortSettings.of("a").withVlans(PortVlans.ALL));
        Lab.Port b = port(PortSettings.of("b").withVlans(PortVlans.ALL));
        for (int tci : new int[] {2, 0x6FFE, 100}) {
            byte[] frame = tagged(Lab.frame(Lab.BROADCAST, Lab.mac(1), 100), tci);
            a.send(frame);
            assertArrayEquals(frame, b.take().getFirst().bytes());
        }
        byte[] service =
                Packets.join(
                        Packets.ethernet(Lab.BROADCAST, Lab.mac(1), 0x800, 0x88A8, 5, 0x8100, 7),
                        new byte[60]);
        a.send(service);
        assertArrayEquals(service, b.take().getFirst().bytes());
    }

    @Test
    void n44_runtsDeepTagStacksAndLyingLengthsHurtNobody() {
        Lab.Port a = vlans("a", "1p/5");
        Lab.Port b = vlans("b", "1p/5");
        for (int size = 0; size < 14; size++) {
            Lab.fill(a.frame, new byte[size]);
            a.sendFrame();
        }
        assertEquals(14, a.count(PortCounter.IN_DROPPED_RUNT));
        byte[] short14 = Lab.frame(Lab.BROADCAST, Lab.mac(1), 14);
        a.send(short14);
        assertArrayEquals(short14, b.take().getFirst().bytes());
        for (int size = 14; size < 18; size++) {
            a.send(
                    Arrays.copyOf(
                            Packets.ethernet(Lab.BROADCAST, Lab.mac(1), 0x800, 0x8100, 5), size));
        }
        assertEquals(18, a.count(PortCounter.IN_DROPPED_RUNT), "a tag that is cut off");
        byte[] deep =
                Packets.join(
                        Packets.ethernet(
                                Lab.BROADCAST,
                                Lab.mac(1),
                                0x800,
                                0x8100,
                                5,
                                0x8100,
                                6,
                                0x8100,
                                7,
                                0x8100,
                                8),
                        new byte[46]);
        a.send(deep);
        assertArrayEquals(deep, b.take().getFirst().bytes());
        byte[] length = Lab.frame(Lab.BROADCAST, Lab.mac(1), 59);
        length[12] = 5;
        length[13] = (byte) 0xDC;
        a.send(length);
        assertArrayEquals(length, b.take().getFirst().bytes());
        byte[] largest = Lab.frame(Lab.BROADCAST, Lab.mac(1), 14 + 65_535);
        a.send(largest);
        assertEquals(1, b.count(PortCounter.OUT_DROPPED_TOO_BIG));
    }

    @Test
    void n44_nothingOfEarlierFramesIsSentWithAShortOne() {
        Lab.Port a = vlans("a", "10");
        Lab.Port trunk = vlans("trunk", "1p/10");
        byte[] secret = Lab.frame(Lab.BROADCAST, Lab.mac(1), 256);
        Arrays.fill(secret, 14, 256, (byte) 0x5A);
        a.send(secret);
        trunk.take();
        a.send(Arrays.copyOf(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60), 15));
        byte[] got = trunk.take().getFirst().bytes();
        assertEquals(19, got.length);
        for (byte each : got) {
            assertTrue(each != 0x5A);
        }
    }

    @Test
    void isolatedPortsReachOnlyThoseThatAreNot() {
        Lab.Port a = port(PortSettings.of("a").withIsolated(true));
        Lab.Port b = port(PortSettings.of("b").withIsolated(true));
        Lab.Port uplink = port(PortSettings.of("uplink"));
        a.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        b.send(Lab.frame(Lab.BROADCAST, Lab.mac(2), 60));
        assertEquals(2, uplink.take().size());
        a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 60));
        assertEquals(0, b.got.size());
        assertEquals(1, a.count(PortCounter.IN_DROPPED_NOWHERE));
        uplink.send(Lab.frame(Lab.mac(2), Lab.mac(3), 60));
        assertEquals(1, b.got.size());
    }

    @Test
    void staticAddressesDoNotAgeAndAreNotTakenByOthers() {
        Lab.Port a = port(PortSettings.of("a"));
        Lab.Port b = port(PortSettings.of("b").withAddresses(List.of(new MacAddress(Lab.mac(2)))));
        Lab.Port c = port(PortSettings.of("c"));
        lab.sleepSeconds(100_000);
        a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 60));
        assertEquals(1, b.take().size());
        assertEquals(0, c.got.size());
        c.send(Lab.frame(Lab.BROADCAST, Lab.mac(2), 60));
        assertEquals(1, c.count(PortCounter.IN_DROPPED_SOURCE));
        IllegalArgumentException refused =
                assertThrows(
                        IllegalArgumentException.class,
                        () ->
                                c.link.configure(
                                        PortSettings.of("c")
                                                .withAddresses(
                                                        List.of(new MacAddress(Lab.mac(2))))));
        assertEquals(
                "port c: address 00:16:3e:00:00:02 is given to port b already",
                refused.getMessage());
    }

    @Test
    void n40_anAddressThatIsStickyOrPinnedCannotBeStolen() {
        Lab.Port sticky = port(PortSettings.of("sticky").withSticky(true));
        Lab.Port thief =
                port(PortSettings.of("thief").withPins(AddressPins.of(new MacAddress(Lab.mac(9)))));
        Lab.Port free = port(PortSettings.of("free"));
        sticky.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        thief.take();
        thief.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        assertEquals(1, thief.count(PortCounter.IN_DROPPED_PINNED));
        free.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        assertEquals(1, free.count(PortCounter.IN_DROPPED_SOURCE));
        free.take();
        sticky.take();
        thief.send(Lab.frame(Lab.mac(1), Lab.mac(9), 60));
        assertEquals(1, sticky.take().size(), "still where it was");
        assertEquals(0, free.got.size());
    }

    @Test
    void n42_addressesOfOnePortPushOutOnlyItsOwn() {
        Lab.Port victim = port(PortSettings.of("victim"));
        Lab.Port attacker = port(PortSettings.of("attacker"));
        Lab.Port third = port(PortSettings.of("third"));
        for (int i = 0; i < 50; i++) {
            victim.send(Lab.frame(Lab.BROADCAST, Lab.mac(1000 + i), 60));
        }
        Random random = new Random(42);
        for (int i = 0; i < 100_000; i++) {
            attacker.send(Lab.frame(Lab.BROADCAST, 0x0200_0000_0000L + random.nextInt(), 60));
            attacker.got.clear();
            victim.got.clear();
            third.got.clear();
        }
        assertTrue(mode.addresses() <= 50 + 64, mode.addresses() + " addresses");
        third.send(Lab.frame(Lab.mac(1000), Lab.mac(3), 60));
        third.send(Lab.frame(Lab.mac(1049), Lab.mac(3), 60));
        assertEquals(2, victim.take().size());
        assertEquals(0, attacker.take().size(), "known: not flooded");
        // And the attacker's newest address is there, its oldest is not.
        attacker.send(Lab.frame(Lab.mac(3), Lab.mac(77), 60));
        third.take();
        third.send(Lab.frame(Lab.mac(77), Lab.mac(3), 60));
        assertEquals(1, attacker.take().size());
        assertEquals(0, victim.got.size());
    }

    @Test
    void n42_aFullTableLeavesEachPortItsOwn() {
        LearningSwitch small = new LearningSwitch(new SwitchSettings(20, 15, 300, false));
        lab.network.mode(small);
        Lab.Port a = port(PortSettings.of("a"));
        Lab.Port b = port(PortSettings.of("b"));
        Lab.Port c = port(PortSettings.of("c"));
        for (int i = 0; i < 40; i++) {
            a.send(Lab.frame(Lab.BROADCAST, Lab.mac(100 + i), 60));
        }
        for (int i = 0; i < 40; i++) {
            b.send(Lab.frame(Lab.BROADCAST, Lab.mac(200 + i), 60));
        }
        assertEquals(20, small.addresses());
        c.send(Lab.frame(Lab.BROADCAST, Lab.mac(3), 60));
        assertEquals(20, small.addresses(), "no room, and nobody loses any");
        b.take();
        a.take();
        c.send(Lab.frame(Lab.mac(139), Lab.mac(3), 60));
        assertEquals(1, a.take().size());
        assertEquals(0, b.take().size());
    }

    @Test
    void n43_stormsAreLimitedForEachKind() {
        Lab.Port a = port(PortSettings.of("a").withStorm(new StormLimits(10, 20, 30)));
        Lab.Port b = port(PortSettings.of("b"));
        long[] to = {Lab.BROADCAST, 0x0100_5E01_0203L, Lab.mac(99)};
        for (int second = 0; second < 3; second++) {
            for (int kind = 0; kind < 3; kind++) {
                for (int i = 0; i < 100; i++) {
                    a.send(Lab.frame(to[kind], Lab.mac(1), 60));
                }
                assertEquals(10 * (kind + 1), b.take().size());
            }
            lab.sleepSeconds(1);
        }
        assertEquals(3 * (300 - 60), a.count(PortCounter.IN_DROPPED_STORM));
        b.send(Lab.frame(Lab.BROADCAST, Lab.mac(99), 60));
        for (int i = 0; i < 100; i++) {
            a.send(Lab.frame(Lab.mac(99), Lab.mac(1), 60));
        }
        assertEquals(100, b.take().size(), "no storm: the address is known");
    }

    @Test
    void n43_aLoopShutsThePortThatClosesItForAWhile() {
        Lab.Port guest = port(PortSettings.of("guest"));
        Lab.Port left = port(PortSettings.of("left").withLoopGuard(true));
        // Without a guard of its own: left's must end the loop in both directions.
        Lab.Port right = port(PortSettings.of("right"));
        guest.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        int passed = 0;
        // Somebody bridges left and right: what goes out of one comes in at the other.
        for (int i = 0; i < 10_000 && (!left.got.isEmpty() || !right.got.isEmpty()); i++) {
            List<Lab.Got> l = left.take();
            List<Lab.Got> r = right.take();
            l.forEach(got -> right.send(got.bytes()));
            r.forEach(got -> left.send(got.bytes()));
            passed++;
        }
        assertTrue(passed < 100, passed + " rounds");
        assertTrue(left.count(PortCounter.IN_DROPPED_LOOP) > 0);
        guest.take();
        lab.sleepSeconds(11);
        left.send(Lab.frame(Lab.BROADCAST, Lab.mac(5), 60));
        right.send(Lab.frame(Lab.BROADCAST, Lab.mac(6), 60));
        assertEquals(2, guest.take().size(), "open again");
    }

    @Test
    void aMirrorGetsWhatPassesAPortBothWays() {
        Lab.Port a = port(PortSettings.of("a").withMirror("tap"));
        Lab.Port b = port(PortSettings.of("b"));
        Lab.Port tap = port(PortSettings.of("tap").withVlans(PortVlans.access(4000)));
        byte[] out = Lab.frame(Lab.mac(2), Lab.mac(1), 700);
        byte[] in = Lab.frame(Lab.mac(1), Lab.mac(2), 800);
        a.send(out);
        b.send(in);
        List<Lab.Got> seen = tap.take();
        assertEquals(2, seen.size());
        assertArrayEquals(out, seen.get(0).bytes());
        assertArrayEquals(in, seen.get(1).bytes());
        assertEquals(2, tap.count(PortCounter.OUT_MIRRORED));
        tap.link.detach();
        a.send(out);
        assertEquals(2, b.take().size());
    }

    @Test
    void settingsChangeBetweenTwoFrames() {
        Lab.Port a = vlans("a", "10");
        Lab.Port b = vlans("b", "10");
        a.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        assertEquals(1, b.take().size());
        a.link.configure(PortSettings.of("a").withVlans(PortVlans.access(20)));
        a.send(Lab.frame(Lab.BROADCAST, Lab.mac(1), 60));
        assertEquals(0, b.take().size());
        b.send(Lab.frame(Lab.mac(1), Lab.mac(2), 60));
        assertEquals(0, a.got.size(), "what was learned in the old VLAN is forgotten");
    }
}
