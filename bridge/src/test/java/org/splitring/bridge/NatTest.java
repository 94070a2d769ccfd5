package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/// NAT mode: what one packet gets, from inside, from outside, and from those who mean harm.
class NatTest {
    static final String PUBLIC = "198.51.100.2";
    static final String FAR = "203.0.113.9";
    static final int SYN = 2;
    static final int ACK = 16;
    static final int RST = 4;
    static final int FIN_ACK = 17;

    private static final NatLimits LIMITS = new NatLimits(64, 16, 8, 2, 30, 7440, 300, 60, 30, 30);

    private static final NatSettings SETTINGS =
            NatSettings.of(
                            RouterInterface.of("guests", "10.0.0.1/24"),
                            RouterInterface.of("uplink", PUBLIC + "/24", "up"),
                            "198.51.100.1")
                    .withForwards(
                            List.of(
                                    PortForward.tcp(8080, "10.0.0.3", 80),
                                    PortForward.udp(53, "10.0.0.3", 5353)))
                    .withNatLimits(LIMITS);

    private final Nat nat = new Nat(SETTINGS);
    private final Lab lab = new Lab(nat);
    private final Guest a = new Guest(lab, "a", 1, "10.0.0.2");
    private final Guest b = new Guest(lab, "b", 2, "10.0.0.3");
    private final Guest up = new Guest(lab, "up", 3, "198.51.100.1");
    private final List<Guest> guests = List.of(a, b, up);

    NatTest() {
        guests.forEach(Guest::announce);
    }

    private long count(RouterCounter counter) {
        return nat.counters().get(counter);
    }

    private static byte[] tcp(String from, int fromPort, String to, int toPort, int flags) {
        byte[] tcp = RoutedPackets.tcp(from, fromPort, to, toPort, flags, Packets.counting(30));
        return RoutedPackets.v4(from, to, 6, tcp, 64, 0x4000);
    }

    private static byte[] udp(String from, int fromPort, String to, int toPort) {
        byte[] udp = RoutedPackets.udp(from, fromPort, to, toPort, Packets.counting(30));
        return RoutedPackets.v4(from, to, 17, udp, 64, 0);
    }

    private static byte[] echo(String from, String to, int type, int id) {
        byte[] icmp = RoutedPackets.icmp(type, 0, id << 16 | 7, Packets.counting(30));
        return RoutedPackets.v4(from, to, 1, icmp, 64, 0);
    }

    /// Sends a packet and takes the one that comes out; everybody else gets nothing.
    private byte[] pass(Guest from, byte[] packet, Guest to) {
        from.send(packet);
        Guest.settle(guests);
        for (Guest each : guests) {
            if (each != to) {
                assertEquals(List.of(), each.take(), "not to " + each.address());
            }
        }
        List<Lab.Got> got = to.take();
        assertEquals(1, got.size());
        byte[] out = RoutedPackets.packet(got.getFirst().bytes());
        assertTrue(RoutedPackets.isSound(out));
        return out;
    }

    private void passesNothing(Guest from, byte[] packet) {
        from.send(packet);
        Guest.settle(guests);
        for (Guest each : guests) {
            assertEquals(List.of(), each.take(), "at " + each.address());
        }
    }

    private static int sourcePort(byte[] packet) {
        return Packets.u16(packet, packet[9] == 1 ? 24 : 20);
    }

    private static String error(byte[] packet) {
        assertEquals(1, packet[9]);
        return packet[20] + "/" + packet[21];
    }

    @Test
    void connectionsOfGuestsAppearUnderTheOutsideAddressAndComeBack() {
        byte[] out = pass(a, tcp("10.0.0.2", 5000, FAR, 443, SYN), up);
        assertArrayEquals(RoutedPackets.forwarded(tcp(PUBLIC, 5000, FAR, 443, SYN)), out);
        byte[] back = pass(up, tcp(FAR, 443, PUBLIC, 5000, SYN | ACK), a);
        assertArrayEquals(
                RoutedPackets.forwarded(tcp(FAR, 443, "10.0.0.2", 5000, SYN | ACK)), back);
        // The same port of another guest has to be another one outside.
        byte[] other = pass(b, tcp("10.0.0.3", 5000, FAR, 443, SYN), up);
        assertNotEquals(5000, sourcePort(other));
        assertArrayEquals(
                RoutedPackets.forwarded(tcp(FAR, 443, "10.0.0.3", 5000, ACK)),
                pass(up, tcp(FAR, 443, PUBLIC, sourcePort(other), ACK), b));
        // Whomever it talks to, a guest's port is the same one (RFC 4787, REQ-1).
        byte[] elsewhere = pass(b, tcp("10.0.0.3", 5000, "203.0.113.77", 80, SYN), up);
        assertEquals(sourcePort(other), sourcePort(elsewhere));
        assertArrayEquals(
                RoutedPackets.forwarded(udp(PUBLIC, 6000, FAR, 53)),
                pass(a, udp("10.0.0.2", 6000, FAR, 53), up));
        assertArrayEquals(
                RoutedPackets.forwarded(udp(FAR, 53, "10.0.0.2", 6000)),
                pass(up, udp(FAR, 53, PUBLIC, 6000), a));
    }

    @Test
    void pingGoesThroughAndIsNeverAnsweredForOthers() {
        byte[] first = pass(a, echo("10.0.0.2", FAR, 8, 4000), up);
        byte[] second = pass(b, echo("10.0.0.3", FAR, 8, 4000), up);
        assertNotEquals(sourcePort(first), sourcePort(second));
        assertArrayEquals(
                RoutedPackets.forwarded(echo(FAR, "10.0.0.3", 0, 4000)),
                pass(up, echo(FAR, PUBLIC, 0, sourcePort(second)), b));
        // Nobody answers in the name of a host that does not.
        passesNothing(up, echo("203.0.113.8", PUBLIC, 0, sourcePort(second)));
        assertEquals("0/0", error(pass(a, echo("10.0.0.2", "10.0.0.1", 8, 1), a)));
        assertEquals("0/0", error(pass(up, echo(FAR, PUBLIC, 8, 1), up)));
        assertEquals("0/0", error(pass(a, echo("10.0.0.2", PUBLIC, 8, 1), a)));
    }

    @Test
    void udpWithoutAChecksumStaysWithout() {
        byte[] udp = Packets.udp(6000, 53, 0, new byte[11]);
        byte[] out = pass(a, RoutedPackets.v4("10.0.0.2", FAR, 17, udp, 64, 0), up);
        assertEquals(0, Packets.u16(out, 26));
        assertEquals(6000, Packets.u16(out, 20));
    }

    @Test
    void aUdpChecksumThatComesOutAsZeroIsNotTakenForNone() {
        pass(a, udp("10.0.0.2", 6000, FAR, 53), up);
        byte[] odd = RoutedPackets.udp("10.0.0.2", 6000, FAR, 53, new byte[2]);
        byte[] data = Arrays.copyOfRange(odd, 6, 8); // with it all words sum up to 0xFFFF
        byte[] inside = RoutedPackets.udp("10.0.0.2", 6000, FAR, 53, data);
        assertEquals(0xFFFF, Packets.u16(inside, 6));

        byte[] back = RoutedPackets.udp(FAR, 53, PUBLIC, 6000, data);
        byte[] in = pass(up, RoutedPackets.v4(FAR, PUBLIC, 17, back, 64, 0), a);
        assertEquals(0xFFFF, Packets.u16(in, 26));

        byte[] sent = RoutedPackets.udp(PUBLIC, 6000, FAR, 53, data);
        byte[] quoted = Arrays.copyOf(RoutedPackets.v4(PUBLIC, FAR, 17, sent, 64, 0), 28);
        assertEquals(0xFFFF, Packets.u16(pass(up, errorPacket(FAR, PUBLIC, 3, quoted), a), 54));
    }

    @Test
    void partialChecksumsAndLargeSegmentsGoThroughWhole() {
        byte[] data = Packets.counting(9000);
        byte[] tcp = Packets.tcp(5000, 443, ACK, 0, data, 12);
        Lab.fill(
                a.port.frame,
                a.framed(RoutedPackets.v4("10.0.0.2", FAR, 6, tcp, 64, 0x4000)),
                20,
                60,
                300,
                4001);
        assertTrue(a.port.frame.partialChecksumFromHeaders());
        a.port.frame.gso(GsoType.TCPV4, 1400);
        a.port.sendFrame();
        Lab.Got got = up.port.take().getFirst();
        assertEquals(GsoType.TCPV4, got.gso());
        assertEquals(ChecksumState.PARTIAL, got.checksum());
        byte[] packet = RoutedPackets.packet(got.bytes());
        byte[] pseudo =
                RoutedPackets.pseudoV4(
                        PUBLIC, FAR, Arrays.copyOfRange(packet, 20, packet.length), 6);
        assertEquals(Packets.sum(pseudo), Packets.u16(packet, 36));
        assertArrayEquals(data, Arrays.copyOfRange(packet, 52, packet.length));
        assertEquals(0xFFFF, Packets.sum(Arrays.copyOf(packet, 20)));
    }

    @Test
    void portForwardsLetOthersIn() {
        byte[] in = pass(up, tcp(FAR, 999, PUBLIC, 8080, SYN), b);
        assertArrayEquals(RoutedPackets.forwarded(tcp(FAR, 999, "10.0.0.3", 80, SYN)), in);
        assertArrayEquals(
                RoutedPackets.forwarded(tcp(PUBLIC, 8080, FAR, 999, SYN | ACK)),
                pass(b, tcp("10.0.0.3", 80, FAR, 999, SYN | ACK), up));
        assertArrayEquals(
                RoutedPackets.forwarded(udp(FAR, 1, "10.0.0.3", 5353)),
                pass(up, udp(FAR, 1, PUBLIC, 53), b));
    }

    @Test
    void hairpinGuestsReachEachOtherUnderTheOutsideAddress() {
        byte[] in = pass(a, tcp("10.0.0.2", 5000, PUBLIC, 8080, SYN), b);
        assertArrayEquals(RoutedPackets.forwarded(tcp(PUBLIC, 5000, "10.0.0.3", 80, SYN)), in);
        byte[] back = pass(b, tcp("10.0.0.3", 80, PUBLIC, 5000, SYN | ACK), a);
        assertArrayEquals(
                RoutedPackets.forwarded(tcp(PUBLIC, 8080, "10.0.0.2", 5000, SYN | ACK)), back);
        // An error about it finds its way too.
        byte[] about = tcp(PUBLIC, 5000, "10.0.0.3", 80, ACK);
        byte[] error =
                RoutedPackets.v4(
                        "10.0.0.3",
                        PUBLIC,
                        1,
                        RoutedPackets.icmp(3, 3, 0, Arrays.copyOf(about, 28)),
                        64,
                        0);
        byte[] got = pass(b, error, a);
        assertArrayEquals(Packets.address("10.0.0.2"), Arrays.copyOfRange(got, 40, 44));
        assertArrayEquals(Packets.address(PUBLIC), Arrays.copyOfRange(got, 44, 48));
        assertEquals(8080, Packets.u16(got, 50));
        assertArrayEquals(Packets.address(PUBLIC), Arrays.copyOfRange(got, 12, 16));
    }

    @Test
    void guestsOfTheSameSubnetTalkUntranslated() {
        byte[] packet = udp("10.0.0.2", 1, "10.0.0.3", 2);
        assertArrayEquals(RoutedPackets.forwarded(packet), pass(a, packet, b));
        assertEquals(0, nat.connections());
    }

    @Test
    void n47_nothingComesInThatNobodyAskedForAndNoInsideAddressIsServedOutside() {
        byte[] direct = tcp(FAR, 1, "10.0.0.2", 22, SYN);
        assertEquals("3/13", error(pass(up, direct, up)));
        assertEquals("3/13", error(pass(up, udp(FAR, 1, "10.0.0.1", 53), up)));
        // A port that nobody has is closed, and one that a guest has is not shown to others.
        byte[] reset = pass(up, tcp(FAR, 1, PUBLIC, 5000, SYN), up);
        assertEquals(0x14, reset[33]);
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, SYN), up);
        passesNothing(up, tcp("203.0.113.8", 443, PUBLIC, 5000, SYN | ACK));
        passesNothing(up, tcp(FAR, 444, PUBLIC, 5000, SYN | ACK));
        assertEquals(2, count(RouterCounter.DROPPED_UNSOLICITED) - 2);
        // Outside, the guests' addresses are no source, and nobody hears of them by ARP.
        passesNothing(up, tcp("10.0.0.3", 1, PUBLIC, 8080, SYN));
        passesNothing(up, tcp(PUBLIC, 1, PUBLIC, 8080, SYN));
        up.port.send(up.arpRequest("198.51.100.1", "10.0.0.2"));
        up.port.send(up.arpRequest("198.51.100.1", "10.0.0.1"));
        assertEquals(List.of(), up.port.take());
        up.port.send(up.arpRequest("198.51.100.1", PUBLIC));
        assertEquals(1, up.port.take().size());
        for (String source : new String[] {"10.0.0.3", FAR, "127.0.0.1", "198.51.100.1", PUBLIC}) {
            passesNothing(a, udp(source, 1, FAR, 53));
        }
        assertEquals("3/13", error(pass(a, udp("10.0.0.2", 1, "169.254.169.254", 80), a)));
    }

    @Test
    void n50_whatIsNotTranslatedIsRefusedWithAnError() {
        byte[] gre = RoutedPackets.v4("10.0.0.2", FAR, 47, new byte[40], 64, 0);
        byte[] error = pass(a, gre, a);
        assertEquals("3/13", error(error));
        assertArrayEquals(gre, Arrays.copyOfRange(error, 28, error.length));
        byte[] timestamp = echo("10.0.0.2", FAR, 13, 1);
        assertEquals("3/13", error(pass(a, timestamp, a)));
        // FTP's PORT command is payload like any other.
        byte[] command = "PORT 10,0,0,2,19,137\r\n".getBytes(StandardCharsets.UTF_8);
        byte[] ftp = RoutedPackets.tcp("10.0.0.2", 5000, FAR, 21, ACK, command);
        byte[] out = pass(a, RoutedPackets.v4("10.0.0.2", FAR, 6, ftp, 64, 0), up);
        assertArrayEquals(command, Arrays.copyOfRange(out, 40, out.length));
        passesNothing(up, tcp(FAR, 20, PUBLIC, 5001, RST));
        // IPv6 without a prefix.
        byte[] six =
                RoutedPackets.v6(
                        "fe80::216:3eff:fe00:1",
                        "2001:db8::1",
                        17,
                        RoutedPackets.udp(
                                "fe80::216:3eff:fe00:1", 1, "2001:db8::1", 2, new byte[9]),
                        64);
        a.send(six);
        byte[] errorV6 = RoutedPackets.packet(a.port.take().getFirst().bytes());
        assertTrue(RoutedPackets.isSound(errorV6));
        assertEquals(1, errorV6[40]);
    }

    @Test
    void errorsAboutTranslatedPacketsQuoteWhatTheirReceiverSent() {
        byte[] syn = tcp("10.0.0.2", 5000, FAR, 443, SYN);
        pass(a, syn, up);
        byte[] expired = tcp(PUBLIC, 5000, FAR, 443, SYN);
        byte[] error =
                RoutedPackets.v4(
                        "192.0.2.77",
                        PUBLIC,
                        1,
                        RoutedPackets.icmp(11, 0, 0, Arrays.copyOf(expired, 40)),
                        64,
                        0);
        byte[] got = pass(up, error, a);
        assertEquals("11/0", error(got));
        assertArrayEquals(Packets.address("10.0.0.2"), Arrays.copyOfRange(got, 16, 20));
        assertArrayEquals(Arrays.copyOf(syn, 40), Arrays.copyOfRange(got, 28, 68));
        // From a guest, about what came to it; and by the NAT itself, about what is too big.
        byte[] in = pass(up, udp(FAR, 1, PUBLIC, 53), b);
        in[8]++;
        byte[] closed =
                RoutedPackets.v4(
                        "10.0.0.3",
                        FAR,
                        1,
                        RoutedPackets.icmp(
                                3, 3, 0, Arrays.copyOf(udp(FAR, 1, "10.0.0.3", 5353), 28)),
                        64,
                        0);
        byte[] outside = pass(b, closed, up);
        assertArrayEquals(Packets.address(PUBLIC), Arrays.copyOfRange(outside, 12, 16));
        assertArrayEquals(
                Arrays.copyOf(udp(FAR, 1, PUBLIC, 53), 28), Arrays.copyOfRange(outside, 28, 56));
        b.port.link.capabilities(PortCapabilities.plain(576));
        byte[] big = RoutedPackets.udp(FAR, 1, PUBLIC, 53, new byte[1000]);
        byte[] bigPacket = RoutedPackets.v4(FAR, PUBLIC, 17, big, 64, 0x4000);
        byte[] tooBig = pass(up, bigPacket, up);
        assertEquals("3/4", error(tooBig));
        assertEquals(576, Packets.u16(tooBig, 26));
        assertArrayEquals(Arrays.copyOf(bigPacket, 28), Arrays.copyOfRange(tooBig, 28, 56));
        byte[] oneHop = tcp(FAR, 1, PUBLIC, 8080, SYN);
        oneHop = RoutedPackets.v4(FAR, PUBLIC, 6, Arrays.copyOfRange(oneHop, 20, 70), 1, 0);
        byte[] timeExceeded = pass(up, oneHop, up);
        assertArrayEquals(oneHop, Arrays.copyOfRange(timeExceeded, 28, timeExceeded.length));
    }

    @Test
    void n48_forgedErrorsNeitherEndNorRedirectAConnection() {
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, SYN), up);
        pass(up, tcp(FAR, 443, PUBLIC, 5000, SYN | ACK), a);
        byte[] flow = tcp(PUBLIC, 5000, FAR, 443, ACK);
        byte[][] quotes = {
            tcp(PUBLIC, 5001, FAR, 443, ACK), // no such port
            tcp(PUBLIC, 5000, FAR, 444, ACK), // not that other end
            tcp(PUBLIC, 5000, "203.0.113.8", 443, ACK),
            tcp("10.0.0.2", 5000, FAR, 443, ACK), // inside addresses
            udp(PUBLIC, 5000, FAR, 443)
        };
        for (byte[] quote : quotes) {
            passesNothing(up, errorPacket(FAR, PUBLIC, 3, quote));
        }
        passesNothing(up, errorPacket(FAR, PUBLIC, 5, flow)); // redirect
        passesNothing(up, errorPacket(FAR, PUBLIC, 4, flow)); // source quench
        byte[] laterFragment = flow.clone();
        laterFragment[7] = 1;
        passesNothing(up, errorPacket(FAR, PUBLIC, 3, laterFragment));
        passesNothing(up, errorPacket(FAR, PUBLIC, 3, Arrays.copyOf(flow, 24)));
        // Another guest speaks of a connection that is not its own.
        byte[] theirs = tcp(FAR, 443, "10.0.0.2", 5000, ACK);
        passesNothing(b, errorPacket("10.0.0.3", FAR, 3, theirs));
        passesNothing(b, errorPacket("10.0.0.3", FAR, 3, tcp(FAR, 443, "10.0.0.3", 5000, ACK)));
        passesNothing(b, errorPacket("10.0.0.3", "203.0.113.1", 3, theirs));
        passesNothing(b, errorPacket("10.0.0.3", PUBLIC, 3, flow));
        assertTrue(count(RouterCounter.DROPPED_FORGED_ERROR) >= 12);
        // One that is right passes; and what it says changes nothing here.
        pass(up, errorPacket("192.0.2.1", PUBLIC, 3, flow), a);
        lab.sleepSeconds(LIMITS.tcpSeconds() - 1);
        lab.network.tick();
        assertEquals(1, nat.connections());
        // A reset that nobody believes shortens nothing either.
        pass(up, tcp(FAR, 443, PUBLIC, 5000, RST), a);
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, ACK), up);
        lab.sleepSeconds(LIMITS.closingSeconds() + 1);
        pass(up, tcp(FAR, 443, PUBLIC, 5000, ACK), a);
    }

    private static byte[] errorPacket(String from, String to, int type, byte[] quoted) {
        return RoutedPackets.v4(from, to, 1, RoutedPackets.icmp(type, 1, 0, quoted), 64, 0);
    }

    @Test
    void n46_oneGuestsConnectionsAndPortsAreBoundedAndCostNobodyElse() {
        pass(b, tcp("10.0.0.3", 7000, FAR, 443, SYN), up);
        for (int i = 0; i < 1000; i++) {
            a.send(tcp("10.0.0.2", 2000 + i % 4, FAR, i + 1, SYN));
        }
        assertEquals(LIMITS.connectionsPerGuest(), nat.connections(a.port.link));
        assertEquals(1000 - LIMITS.connectionsPerGuest(), count(RouterCounter.EVICTED));
        up.port.take();
        for (int i = 0; i < 100; i++) {
            a.send(udp("10.0.0.2", 3000 + i, FAR, 53));
        }
        assertTrue(nat.translation().ports().heldBy(17, a.port.link.index) <= 8);
        assertTrue(count(RouterCounter.DROPPED_NO_PORT) >= 84);
        up.port.take();
        a.port.take();
        // The other guest's connection is there still, and it gets new ones.
        pass(up, tcp(FAR, 443, PUBLIC, 7000, SYN | ACK), b);
        pass(b, tcp("10.0.0.3", 7001, FAR, 443, SYN), up);
        // Established connections are not pushed out, not even by their own guest.
        for (int i = 0; i < 1000; i++) {
            b.send(tcp("10.0.0.3", 7002, FAR, i + 1, SYN));
        }
        up.port.take();
        pass(up, tcp(FAR, 443, PUBLIC, 7000, ACK), b);
    }

    @Test
    void n46_aFloodFromOutsideToAForwardCostsThatGuestOnly() {
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, SYN), up);
        for (int i = 0; i < 500; i++) {
            up.send(tcp("203.0.113." + (1 + i % 200), 1000 + i, PUBLIC, 8080, SYN));
        }
        b.port.take();
        assertEquals(LIMITS.connectionsPerGuest(), nat.connections(b.port.link));
        pass(up, tcp(FAR, 443, PUBLIC, 5000, SYN | ACK), a);
    }

    @Test
    void n46_connectionsExpireAndTheirPortsAreFreeAgain() {
        a.send(tcp("10.0.0.2", 5000, FAR, 443, SYN));
        a.send(udp("10.0.0.2", 5000, FAR, 53));
        a.send(echo("10.0.0.2", FAR, 8, 5000));
        assertEquals(3, nat.connections());
        up.port.take();
        lab.sleepSeconds(LIMITS.halfOpenSeconds() - 1);
        pass(up, udp(FAR, 53, PUBLIC, 5000), a);
        lab.sleepSeconds(1);
        guests.forEach(Guest::announce);
        assertEquals(RST, pass(up, tcp(FAR, 443, PUBLIC, 5000, ACK), up)[33]);
        pass(up, udp(FAR, 53, PUBLIC, 5000), a);
        lab.sleepSeconds(LIMITS.udpSeconds());
        for (int i = 0; i < 9; i++) {
            lab.sleepSeconds(1);
            lab.network.tick();
        }
        assertEquals(0, nat.connections());
        guests.forEach(Guest::announce);
        byte[] out = pass(b, tcp("10.0.0.3", 5000, FAR, 443, SYN), up);
        assertEquals(5000, sourcePort(out));
    }

    @Test
    void aConnectionThatBothSidesHaveClosedIsForgottenSoon() {
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, SYN), up);
        pass(up, tcp(FAR, 443, PUBLIC, 5000, SYN | ACK), a);
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, FIN_ACK), up);
        lab.sleepSeconds(LIMITS.closingSeconds() + 1);
        guests.forEach(Guest::announce);
        pass(up, tcp(FAR, 443, PUBLIC, 5000, FIN_ACK), a);
        pass(a, tcp("10.0.0.2", 5000, FAR, 443, ACK), up);
        lab.sleepSeconds(LIMITS.closingSeconds());
        guests.forEach(Guest::announce);
        assertEquals(RST, pass(up, tcp(FAR, 443, PUBLIC, 5000, ACK), up)[33]);
    }

    @Test
    void aGuestThatGoesTakesItsConnectionsAlong() {
        a.send(tcp("10.0.0.2", 5000, FAR, 443, SYN));
        b.send(tcp("10.0.0.3", 5001, FAR, 443, SYN));
        a.port.link.detach();
        assertEquals(1, nat.connections());
    }

    // ---- fragments

    private static byte[][] fragments(String from, String to, int id, int... ends) {
        byte[] udp =
                RoutedPackets.udp(
                        from, 6000, to, 7000, Packets.counting(ends[ends.length - 1] - 8));
        byte[][] all = new byte[ends.length][];
        int at = 0;
        for (int i = 0; i < ends.length; i++) {
            int word = at / 8 | (i + 1 < ends.length ? 0x2000 : 0);
            byte[] data = Arrays.copyOfRange(udp, at, ends[i]);
            all[i] = RoutedPackets.v4(from, to, 17, data, 64, word, id);
            at = ends[i];
        }
        return all;
    }

    @Test
    void n45_laterFragmentsGoWhereTheFirstWent() {
        byte[][] sent = fragments("10.0.0.2", FAR, 77, 800, 1600, 2000);
        byte[] whole = {};
        for (byte[] each : sent) {
            byte[] out = pass(a, each, up);
            assertArrayEquals(Packets.address(PUBLIC), Arrays.copyOfRange(out, 12, 16));
            whole = Packets.join(whole, Arrays.copyOfRange(out, 20, out.length));
        }
        byte[] joined = RoutedPackets.v4(PUBLIC, FAR, 17, whole, 64, 0);
        assertTrue(RoutedPackets.isSound(joined), "the checksum of all of it");
        byte[][] back = fragments(FAR, PUBLIC, 78, 800, 1600);
        back[0] = RoutedPackets.v4(FAR, PUBLIC, 17, swapPorts(back[0]), 64, 0x2000, 78);
        pass(up, back[0], a);
        assertArrayEquals(
                Packets.address("10.0.0.2"), Arrays.copyOfRange(pass(up, back[1], a), 16, 20));
    }

    private static byte[] swapPorts(byte[] packet) {
        byte[] data = Arrays.copyOfRange(packet, 20, packet.length);
        ByteBuffer.wrap(data).putShort(0, (short) 7000).putShort(2, (short) 6000);
        return data;
    }

    @Test
    void n45_fragmentsThatOverlapAreTinyTooLargeOrWithoutAFirstAreRefused() {
        byte[][] sent = fragments("10.0.0.2", FAR, 1, 800, 1600, 2000);
        passesNothing(a, sent[1]); // before the first
        pass(a, sent[0], up);
        passesNothing(a, sent[0]); // again
        byte[] overlap = RoutedPackets.v4("10.0.0.2", FAR, 17, new byte[80], 64, 0x2000 | 99, 1);
        passesNothing(a, overlap);
        byte[] inside = RoutedPackets.v4("10.0.0.2", FAR, 17, new byte[8], 64, 0x2000 | 1, 1);
        passesNothing(a, inside);
        byte[] beyond = RoutedPackets.v4("10.0.0.2", FAR, 17, new byte[16], 64, 0x1FFF, 1);
        passesNothing(a, beyond);
        byte[] odd = RoutedPackets.v4("10.0.0.2", FAR, 17, new byte[13], 64, 0x2000 | 100, 1);
        passesNothing(a, odd);
        pass(a, sent[1], up);
        pass(a, sent[2], up);
        // Ports that are not in the first fragment are in none.
        byte[] tiny = RoutedPackets.v4("10.0.0.2", FAR, 17, new byte[4], 64, 0x2000, 2);
        passesNothing(a, tiny);
        byte[] tinyTcp = RoutedPackets.v4("10.0.0.2", FAR, 6, new byte[16], 64, 0x2000, 3);
        passesNothing(a, tinyTcp);
        passesNothing(up, RoutedPackets.v4(FAR, PUBLIC, 6, new byte[16], 64, 0x2000, 3));
        // Nor does another port's guest belong to it.
        byte[] alien = RoutedPackets.v4("10.0.0.3", FAR, 17, new byte[80], 64, 0x2000 | 300, 1);
        passesNothing(b, alien);
        assertEquals(10, count(RouterCounter.DROPPED_FRAGMENT));
        // What is one fragment short for ever is forgotten.
        byte[][] late = fragments("10.0.0.2", FAR, 9, 800, 1600);
        pass(a, late[0], up);
        lab.sleepSeconds(LIMITS.fragmentSeconds());
        passesNothing(a, late[1]);
    }

    @Test
    void n45_packetsUnderWayAreBoundedForEachGuest() {
        byte[][] other = fragments("10.0.0.3", FAR, 5, 800, 1600);
        pass(b, other[0], up);
        byte[][] first = fragments("10.0.0.2", FAR, 100, 800, 1600);
        for (int i = 0; i <= LIMITS.fragmentsPerGuest(); i++) {
            pass(a, fragments("10.0.0.2", FAR, 100 + i, 800, 1600)[0], up);
        }
        passesNothing(a, first[1]);
        pass(a, fragments("10.0.0.2", FAR, 101, 800, 1600)[1], up);
        for (int i = 0; i < 600; i++) {
            pass(a, fragments("10.0.0.2", FAR, 200 + i, 800, 1600)[0], up);
        }
        pass(b, other[1], up);
    }

    @Test
    void fragmentsThatWaitForTheNextHopAreNoRepetition() {
        lab.sleepSeconds(NeighbourTable.LIFE_SECONDS);
        byte[][] sent = fragments("10.0.0.2", FAR, 1, 800, 1600);
        up.silent = true;
        a.send(sent[0]);
        Guest.settle(guests);
        a.send(sent[1]);
        Guest.settle(guests);
        up.silent = false;
        up.announce();
        Guest.settle(guests);
        assertEquals(2, count(RouterCounter.FORWARDED));
        assertEquals(0, count(RouterCounter.DROPPED_FRAGMENT));
    }

    // ---- settings

    @Test
    void forwardsComeAndGoWhileTrafficFlows() {
        pass(up, tcp(FAR, 999, PUBLIC, 8080, SYN), b);
        pass(a, tcp("10.0.0.2", 9090, FAR, 443, SYN), up);
        nat.configure(
                SETTINGS.withForwards(
                        List.of(
                                PortForward.tcp(9090, "10.0.0.3", 90),
                                PortForward.udp(53, "10.0.0.3", 5353))));
        assertEquals(RST, pass(up, tcp(FAR, 999, PUBLIC, 8080, ACK), up)[33]);
        assertArrayEquals(
                RoutedPackets.forwarded(tcp(FAR, 443, "10.0.0.3", 90, SYN)),
                pass(up, tcp(FAR, 443, PUBLIC, 9090, SYN), b));
        byte[] again = pass(a, tcp("10.0.0.2", 9090, FAR, 443, SYN), up);
        assertNotEquals(9090, sourcePort(again));
    }

    @Test
    void badSettingsAreNamed() {
        assertMessage(
                "port forward TCP 80 to 10.0.0.3:81: TCP port 80 is forwarded already",
                () ->
                        SETTINGS.withForwards(
                                List.of(
                                        PortForward.tcp(80, "10.0.0.3", 80),
                                        PortForward.tcp(80, "10.0.0.3", 81))));
        assertMessage(
                "port forward UDP 80 to 10.9.0.3:81: 10.9.0.3 is in no subnet of the guests",
                () -> SETTINGS.withForwards(List.of(PortForward.udp(80, "10.9.0.3", 81))));
        assertMessage(
                "gateway 192.0.2.1 is not in the uplink's subnet [198.51.100.2/24]",
                () -> NatSettings.of(SETTINGS.guests().getFirst(), SETTINGS.uplink(), "192.0.2.1"));
        assertMessage(
                "subnet 198.51.100.0/24 of interface uplink overlaps 198.51.0.0/16 of guests",
                () ->
                        NatSettings.of(
                                RouterInterface.of("guests", "198.51.0.1/16"),
                                SETTINGS.uplink(),
                                "198.51.100.1"));
        assertEquals(Optional.empty(), SETTINGS.dns());
    }

    private static void assertMessage(String message, Executable e) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, e).getMessage());
    }
}
