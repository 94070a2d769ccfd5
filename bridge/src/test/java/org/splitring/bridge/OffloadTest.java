package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// Checksums are completed and large segments cut for ports that cannot, whatever the frame is
/// made of and wherever its pieces begin.
class OffloadTest {
    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Lab.Port from =
            lab.port(
                    PortSettings.of("from").withVlans(PortVlans.ALL),
                    PortCapabilities.everything(1500));
    private final Lab.Port plain =
            lab.port(
                    PortSettings.of("plain").withVlans(PortVlans.ALL),
                    PortCapabilities.plain(1500));
    private final Lab.Port able =
            lab.port(
                    PortSettings.of("able").withVlans(PortVlans.ALL),
                    PortCapabilities.everything(1500));

    /// What one shape of frame is.
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Shape(
            String name, byte[] ethernet, boolean v6, int optionBytes, int extensions) {
        int l3At() {
            return ethernet.length;
        }

        int l4At() {
            return l3At() + (v6 ? 40 + 16 * extensions : 20 + optionBytes);
        }

        byte[] frame(int protocol, byte[] upper) {
            byte[] packet;
            if (v6) {
                int[] types = new int[extensions];
                byte[][] bodies = new byte[extensions][];
                for (int i = 0; i < extensions; i++) {
                    types[i] = i == 0 ? FrameLayers.HOP_BY_HOP : FrameLayers.DESTINATION;
                    bodies[i] = new byte[15];
                    bodies[i][0] = 1;
                }
                packet = Packets.ipv6("2001:db8::1", "2001:db8::2", protocol, upper, types, bodies);
            } else {
                packet = Packets.ipv4("10.0.0.1", "10.0.0.2", protocol, upper, optionBytes);
            }
            return Packets.join(ethernet, packet);
        }
    }

    private static byte[] ethernet(int type, int... tags) {
        return Packets.ethernet(Lab.mac(2), Lab.mac(1), type, tags);
    }

    private static final List<Shape> SHAPES =
            List.of(
                    new Shape("v4", ethernet(0x0800), false, 0, 0),
                    new Shape("v4 options", ethernet(0x0800), false, 40, 0),
                    new Shape("v4 tagged", ethernet(0x0800, 0x8100, 0x2005), false, 0, 0),
                    new Shape("v4 two tags", ethernet(0x0800, 0x88A8, 7, 0x8100, 5), false, 8, 0),
                    new Shape("v6", ethernet(0x86DD), true, 0, 0),
                    new Shape("v6 tagged", ethernet(0x86DD, 0x8100, 9), true, 0, 0),
                    new Shape("v6 extensions", ethernet(0x86DD), true, 0, 3),
                    new Shape("v6 tagged extensions", ethernet(0x86DD, 0x8100, 9), true, 0, 5));

    private static int[] cuts(Random random, int length) {
        return random.ints(random.nextInt(16), 1, length).distinct().sorted().toArray();
    }

    @Test
    void h043_partialChecksumsAreCompletedWhateverTheSplit() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("OffloadTest seed " + seed);
        Random random = new Random(seed);
        for (Shape shape : SHAPES) {
            for (int round = 0; round < 60; round++) {
                boolean tcp = random.nextBoolean();
                int protocol = tcp ? FrameLayers.TCP : FrameLayers.UDP;
                byte[] payload = new byte[random.nextInt(1300)];
                random.nextBytes(payload);
                byte[] upper =
                        tcp
                                ? Packets.tcp(1, 2, 0x10, random.nextInt(), payload, 12)
                                : Packets.udp(1, 2, random.nextInt(), payload);
                // Padding that is no part of the packet must not be summed.
                byte[] whole =
                        Packets.join(
                                shape.frame(protocol, upper), Packets.counting(random.nextInt(9)));
                Lab.fill(from.frame, whole, cuts(random, whole.length));
                assertTrue(from.frame.partialChecksumFromHeaders(), shape.name);
                int field = shape.l4At() + (tcp ? 16 : 6);
                assertEquals(shape.l4At(), from.frame.checksumStart());
                from.sendFrame();
                Lab.Got got = plain.take().getFirst();
                String what = shape.name + " round " + round + " seed " + seed;
                assertEquals(ChecksumState.COMPLETE_VERIFIED, got.checksum(), what);
                assertTrue(
                        Packets.checksumIsRight(got.bytes(), shape.l3At(), shape.l4At(), protocol),
                        what);
                byte[] expected = whole.clone();
                expected[field] = got.bytes()[field];
                expected[field + 1] = got.bytes()[field + 1];
                assertArrayEquals(expected, got.bytes(), what);
                able.take();
            }
        }
        assertEquals(60L * SHAPES.size(), plain.count(PortCounter.OUT_CHECKSUMS));
    }

    @Test
    void h043_headersAreFoundAtEverySplitPoint() {
        for (Shape shape : SHAPES) {
            byte[] whole =
                    shape.frame(
                            FrameLayers.TCP, Packets.tcp(1, 2, 0x10, 0, Packets.counting(300), 0));
            for (int cut = 1; cut <= 128; cut++) {
                Lab.fill(from.frame, whole, cut);
                assertTrue(from.frame.partialChecksumFromHeaders(), shape.name + " cut " + cut);
                assertEquals(shape.l4At(), from.frame.checksumStart(), shape.name);
            }
        }
    }

    @Test
    void portsThatTakePartialChecksumsGetThem() {
        byte[] whole =
                SHAPES.get(0)
                        .frame(
                                FrameLayers.TCP,
                                Packets.tcp(1, 2, 0x10, 0, Packets.counting(100), 0));
        plain.link.detach();
        Lab.fill(from.frame, whole, 60);
        from.frame.partialChecksumFromHeaders();
        from.sendFrame();
        Lab.Got got = able.take().getFirst();
        assertEquals(ChecksumState.PARTIAL, got.checksum());
        assertEquals(34, got.checksumStart());
        assertEquals(16, got.checksumOffset());
    }

    @Test
    void theThreeStatesPassAsTheyAre() {
        for (ChecksumState state :
                List.of(ChecksumState.COMPLETE_UNKNOWN, ChecksumState.COMPLETE_VERIFIED)) {
            Lab.fill(from.frame, Lab.frame(Lab.mac(2), Lab.mac(1), 100));
            from.frame.completeChecksum(state);
            from.sendFrame();
            assertEquals(state, plain.take().getFirst().checksum());
            assertEquals(state, able.take().getFirst().checksum());
        }
    }

    @Test
    void h051_partialChecksumsOfWhatIsNoWholeTcpOrUdpAreRefused() {
        byte[] icmp =
                Packets.join(
                        ethernet(0x0800), Packets.ipv4("10.0.0.1", "10.0.0.2", 1, new byte[64], 0));
        Lab.fill(from.frame, icmp);
        assertFalse(from.frame.partialChecksumFromHeaders());
        assertEquals(ChecksumState.COMPLETE_UNKNOWN, from.frame.checksumState());
        byte[] tcp =
                SHAPES.get(0).frame(FrameLayers.TCP, Packets.tcp(1, 2, 0, 0, new byte[100], 0));
        byte[] fragment = tcp.clone();
        fragment[20] = 0x20;
        Lab.fill(from.frame, fragment);
        assertFalse(from.frame.partialChecksumFromHeaders());
        byte[] longer = tcp.clone();
        longer[16] = 1; // the length field says more than there is
        Lab.fill(from.frame, longer);
        assertFalse(from.frame.partialChecksumFromHeaders());
        // Seventeen extension headers of 16 bytes: beyond the private header, and beyond eight.
        int[] types = new int[17];
        byte[][] bodies = new byte[17][];
        Arrays.fill(types, FrameLayers.DESTINATION);
        Arrays.setAll(bodies, i -> new byte[] {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
        byte[] deep =
                Packets.join(
                        ethernet(0x86DD),
                        Packets.ipv6(
                                "2001:db8::1",
                                "2001:db8::2",
                                FrameLayers.TCP,
                                Packets.tcp(1, 2, 0, 0, new byte[100], 0),
                                types,
                                bodies));
        Lab.fill(from.frame, deep);
        assertFalse(from.frame.partialChecksumFromHeaders());
    }

    @Test
    void largeSegmentsAreCutIntoRightOnesWhateverTheSplit() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("OffloadTest seed " + seed);
        Random random = new Random(seed);
        for (Shape shape : SHAPES) {
            for (int round = 0; round < 20; round++) {
                int options = random.nextInt(4) * 4;
                byte[] payload = new byte[1 + random.nextInt(30_000)];
                random.nextBytes(payload);
                int gsoSize = 536 + random.nextInt(700);
                // FIN, PSH, ACK and CWR
                byte[] upper = Packets.tcp(5, 6, 0x99, random.nextInt(), payload, options);
                byte[] whole = shape.frame(FrameLayers.TCP, upper);
                Lab.fill(from.frame, whole, cuts(random, whole.length));
                assertTrue(from.frame.partialChecksumFromHeaders());
                from.frame.gso(shape.v6 ? GsoType.TCPV6 : GsoType.TCPV4, gsoSize);
                from.sendFrame();
                String what = shape.name + " round " + round + " seed " + seed;
                List<Lab.Got> all = able.take();
                assertEquals(1, all.size(), what);
                assertEquals(gsoSize, all.getFirst().gsoSize(), what);
                assertEquals(whole.length, all.getFirst().bytes().length, what);
                checkSegments(shape, options, payload, gsoSize, plain.take(), what);
            }
        }
    }

    private static void checkSegments(
            Shape shape,
            int options,
            byte[] payload,
            int gsoSize,
            List<Lab.Got> segments,
            String what) {
        assertEquals((payload.length + gsoSize - 1) / gsoSize, segments.size(), what);
        int payloadAt = shape.l4At() + 20 + options;
        int at = 0;
        for (int i = 0; i < segments.size(); i++) {
            Lab.Got got = segments.get(i);
            byte[] bytes = got.bytes();
            assertEquals(GsoType.NONE, got.gso(), what);
            assertEquals(ChecksumState.COMPLETE_VERIFIED, got.checksum(), what);
            int n = Math.min(gsoSize, payload.length - at);
            assertEquals(payloadAt + n, bytes.length, what);
            assertArrayEquals(
                    Arrays.copyOfRange(payload, at, at + n),
                    Arrays.copyOfRange(bytes, payloadAt, payloadAt + n),
                    what);
            assertArrayEquals(shape.ethernet, Arrays.copyOf(bytes, shape.l3At()), what);
            assertTrue(
                    Packets.checksumIsRight(bytes, shape.l3At(), shape.l4At(), FrameLayers.TCP),
                    what + " segment " + i);
            if (!shape.v6) {
                byte[] header = Arrays.copyOfRange(bytes, shape.l3At(), shape.l4At());
                assertEquals(0xFFFF, Packets.sum(header), what);
                assertEquals(0x1234 + i, Packets.u16(bytes, shape.l3At() + 4), what);
            }
            int sequence =
                    Packets.u16(bytes, shape.l4At() + 4) << 16
                            | Packets.u16(bytes, shape.l4At() + 6);
            assertEquals(0xFFFF_FF00 + at, sequence, what);
            boolean last = at + n == payload.length;
            int flags = 0x10 | (i == 0 ? 0x80 : 0) | (last ? 0x09 : 0);
            assertEquals(flags, bytes[shape.l4At() + 13] & 0xFF, what);
            at += n;
        }
        assertEquals(payload.length, at, what);
    }

    @Test
    void h051_gsoThatTheHeadersDoNotBearOutIsDropped() {
        byte[] tcp =
                SHAPES.get(0).frame(FrameLayers.TCP, Packets.tcp(1, 2, 0x10, 0, new byte[4000], 0));
        Lab.fill(from.frame, tcp);
        from.frame.gso(GsoType.TCPV4, 1448);
        from.sendFrame(); // no partial checksum
        Lab.fill(from.frame, tcp);
        from.frame.partialChecksumFromHeaders();
        from.frame.gso(GsoType.TCPV6, 1448);
        from.sendFrame(); // another family
        for (int size : new int[] {0, 1, 127, -1}) {
            Lab.fill(from.frame, tcp);
            from.frame.partialChecksumFromHeaders();
            from.frame.gso(GsoType.TCPV4, size);
            from.sendFrame(); // a thousand frames out of one
        }
        byte[] longHeader = tcp.clone();
        longHeader[46] = 0x40; // TCP header of 16 bytes
        Lab.fill(from.frame, longHeader);
        from.frame.partialChecksumFromHeaders();
        from.frame.gso(GsoType.TCPV4, 1448);
        from.sendFrame();
        byte[] udp = SHAPES.get(0).frame(FrameLayers.UDP, Packets.udp(1, 2, 0, new byte[4000]));
        Lab.fill(from.frame, udp);
        from.frame.partialChecksumFromHeaders();
        from.frame.gso(GsoType.TCPV4, 1448);
        from.sendFrame();
        assertEquals(8, from.count(PortCounter.IN_DROPPED_OFFLOAD));
        assertEquals(0, plain.got.size());
        assertEquals(0, able.got.size());
    }

    @Test
    void n44_framesLargerThanTheMtuOfAPortAreDroppedThereOnly() {
        Lab.Port jumbo =
                lab.port(
                        PortSettings.of("jumbo").withVlans(PortVlans.ALL),
                        PortCapabilities.plain(9000));
        for (int extra : new int[] {0, 1}) {
            from.send(Lab.frame(Lab.mac(7), Lab.mac(1), 1514 + extra));
            from.send(
                    Packets.join(
                            Packets.ethernet(Lab.mac(7), Lab.mac(1), 0x88B5, 0x8100, 5),
                            new byte[1500 + extra]));
        }
        assertEquals(4, jumbo.got.size());
        assertEquals(2, plain.got.size());
        assertEquals(2, plain.count(PortCounter.OUT_DROPPED_TOO_BIG));
    }

    @Test
    void jumboFramesPassPortsThatTakeThem() {
        Lab.Port jumbo =
                lab.port(
                        PortSettings.of("jumbo").withVlans(PortVlans.ALL),
                        PortCapabilities.plain(9000));
        Lab.Port giant =
                lab.port(
                        PortSettings.of("giant").withVlans(PortVlans.ALL),
                        PortCapabilities.plain(65_535));
        byte[] frame9000 = Lab.frame(Lab.mac(7), Lab.mac(1), 14 + 9000);
        byte[] largest = Lab.frame(Lab.mac(7), Lab.mac(1), 14 + 65_535);
        from.send(frame9000);
        from.send(largest);
        assertArrayEquals(frame9000, jumbo.take().getFirst().bytes());
        assertArrayEquals(frame9000, giant.got.get(0).bytes());
        assertArrayEquals(largest, giant.got.get(1).bytes());
        assertEquals(1, jumbo.count(PortCounter.OUT_DROPPED_TOO_BIG));
        assertEquals(2, plain.count(PortCounter.OUT_DROPPED_TOO_BIG));
    }
}
