package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The DHCP server, played with as clients play: dhclient and udhcpc ask by broadcast without an
/// address, renew by unicast, and decline what somebody else uses.
class DhcpTest {
    private static final int CHOOSING = 0;

    private final DhcpSettings dhcp =
            DhcpSettings.of("10.0.0.10", "10.0.0.13")
                    .withFixed(
                            Map.of(new MacAddress(Lab.mac(2)), InetAddress.ofLiteral("10.0.0.50")))
                    .withDomain("lab.example")
                    .withMtu(1400)
                    .withDnsServers(List.of(InetAddress.ofLiteral("192.0.2.53")));
    private final RouteSettings settings =
            RouteSettings.of(
                    List.of(
                            RouterInterface.of("lan", "10.0.0.1/24")
                                    .withHosts(List.of(HostRoute.of("10.0.0.11", "b")))
                                    .withDhcp(dhcp)));
    private final Router router = new Router(settings);
    private final Lab lab = new Lab(router);
    private final Guest a = new Guest(lab, "a", 1);
    private final Guest b = new Guest(lab, "b", 2);

    /// A reply, its options by number.
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Reply(byte[] frame, byte[] message, Map<Integer, byte[]> options) {
        int type() {
            return option(53)[0];
        }

        byte[] option(int number) {
            return options.getOrDefault(number, new byte[] {0});
        }

        String yours() {
            return RoutedPackets.text(Arrays.copyOfRange(message, 16, 20));
        }

        String to() {
            return RoutedPackets.text(Arrays.copyOfRange(frame, 30, 34));
        }
    }

    private static byte[] request(long mac, int type, int flags, String ciaddr, Object... options) {
        ByteBuffer b = ByteBuffer.allocate(240);
        b.putInt(0x0101_0600).putInt(0x1234_5678).putShort((short) 3).putShort((short) flags);
        b.put(Packets.address(ciaddr));
        b.position(28).putShort((short) (mac >>> 32)).putInt((int) mac);
        b.putInt(236, 0x6382_5363);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(b.array());
        out.writeBytes(new byte[] {53, 1, (byte) type});
        for (int i = 0; i < options.length; i += 2) {
            byte[] value =
                    options[i + 1] instanceof byte[] bytes
                            ? bytes
                            : Packets.address((String) options[i + 1]);
            out.write((int) options[i]);
            out.write(value.length);
            out.writeBytes(value);
        }
        out.writeBytes(new byte[] {55, 4, 1, 3, 6, 15, (byte) 255});
        return out.toByteArray();
    }

    private static void send(Guest from, long mac, String source, String to, byte[] message) {
        byte[] udp = RoutedPackets.udp(source, 68, to, 67, message);
        from.port.send(
                Packets.join(
                        Packets.ethernet(
                                to.startsWith("255") ? Lab.BROADCAST : Guest.ROUTER, mac, 0x800),
                        RoutedPackets.v4(source, to, 17, udp, 64, 0)));
    }

    /// Sends by broadcast without an address.
    private static List<Reply> ask(Guest from, long mac, byte[] message) {
        send(from, mac, "0.0.0.0", "255.255.255.255", message);
        return replies(from);
    }

    private static List<Reply> ask(Guest from, byte[] message) {
        return ask(from, from.mac, message);
    }

    private static List<Reply> replies(Guest at) {
        return at.port.take().stream()
                .filter(g -> g.bytes()[13] == 0)
                .map(g -> reply(g.bytes()))
                .toList();
    }

    private static Reply reply(byte[] frame) {
        byte[] packet = RoutedPackets.packet(frame);
        assertTrue(RoutedPackets.isSound(packet));
        assertEquals(67, Packets.u16(packet, 20));
        assertEquals(68, Packets.u16(packet, 22));
        byte[] message = Arrays.copyOfRange(packet, 28, packet.length);
        assertTrue(message.length >= 300);
        assertEquals(0x0201_0600, ByteBuffer.wrap(message).getInt(0));
        assertEquals(0x1234_5678, ByteBuffer.wrap(message).getInt(4));
        Map<Integer, byte[]> options = new HashMap<>();
        int at = 240;
        while ((message[at] & 0xFF) != 255) {
            int length = message[at + 1] & 0xFF;
            options.put(message[at] & 0xFF, Arrays.copyOfRange(message, at + 2, at + 2 + length));
            at += 2 + length;
        }
        return new Reply(frame, message, options);
    }

    private static Reply lease(Guest guest, long mac) {
        Reply offer = ask(guest, mac, request(mac, 1, CHOOSING, "0.0.0.0")).getFirst();
        assertEquals(DhcpMessage.OFFER, offer.type());
        Reply ack =
                ask(
                                guest,
                                mac,
                                request(
                                        mac,
                                        3,
                                        CHOOSING,
                                        "0.0.0.0",
                                        50,
                                        offer.yours(),
                                        54,
                                        "10.0.0.1"))
                        .getFirst();
        assertEquals(DhcpMessage.ACK, ack.type());
        assertEquals(offer.yours(), ack.yours());
        return ack;
    }

    @Test
    void aClientGetsAnAddressAndEverythingItNeeds() {
        Reply ack = lease(a, a.mac);
        assertEquals("10.0.0.10", ack.yours());
        assertEquals("10.0.0.10", ack.to());
        assertArrayEquals(Packets.address("255.255.255.0"), ack.option(1));
        assertArrayEquals(Packets.address("10.0.0.1"), ack.option(3));
        assertArrayEquals(Packets.address("192.0.2.53"), ack.option(6));
        assertArrayEquals("lab.example".getBytes(StandardCharsets.US_ASCII), ack.option(15));
        assertArrayEquals(new byte[] {5, 0x78}, ack.option(26));
        assertArrayEquals(new byte[] {0, 0, 0x0E, 0x10}, ack.option(51));
        assertArrayEquals(Packets.address("10.0.0.1"), ack.option(54));
        // From now on the address is at that port, without ARP, and nobody else's.
        b.port.send(b.arpRequest("10.0.0.10", "10.0.0.1"));
        assertEquals(1, router.counters().get(RouterCounter.DROPPED_NEIGHBOUR));
        lab.sleepSeconds(NeighbourTable.LIFE_SECONDS + 1);
        b.port.send(b.arpRequest("10.0.0.10", "10.0.0.1"));
        assertEquals(2, router.counters().get(RouterCounter.DROPPED_NEIGHBOUR));
    }

    @Test
    void aClientThatCannotHearUnicastYetIsAnsweredByBroadcast() {
        Reply offer = ask(a, request(a.mac, 1, 0x8000, "0.0.0.0")).getFirst();
        assertEquals("255.255.255.255", offer.to());
        assertEquals(0xFF, offer.frame[0] & 0xFF);
        assertEquals((byte) 0x80, offer.message[10]);
    }

    @Test
    void aRenewalIsAnsweredWhereItCameFromAndTheClientsNameComesBack() {
        lease(a, a.mac);
        lab.sleepSeconds(1800);
        byte[] id = {1, 9, 8, 7};
        send(a, a.mac, "10.0.0.10", "10.0.0.1", request(a.mac, 3, 0, "10.0.0.10", 61, id));
        Reply ack = replies(a).getFirst();
        assertEquals(DhcpMessage.ACK, ack.type());
        assertEquals("10.0.0.10", ack.to());
        assertArrayEquals(id, ack.option(61));
        lab.sleepSeconds(3599);
        assertEquals("10.0.0.10", lease(a, a.mac).yours());
    }

    @Test
    void addressesBelongToMacsAndOnesOfHostRoutesAreNotGivenOut() {
        assertEquals("10.0.0.50", lease(b, b.mac).yours());
        assertEquals("10.0.0.10", lease(a, a.mac).yours());
        assertEquals("10.0.0.12", lease(a, Lab.mac(77)).yours());
        assertEquals("10.0.0.13", lease(b, Lab.mac(78)).yours());
        assertEquals(List.of(), ask(a, Lab.mac(79), request(Lab.mac(79), 1, 0, "0.0.0.0")));
        assertEquals(1, router.counters().get(RouterCounter.DHCP_EXHAUSTED));
        // Given back, or not renewed: free again.
        send(a, a.mac, "10.0.0.10", "10.0.0.1", request(a.mac, 7, 0, "10.0.0.10"));
        assertEquals("10.0.0.10", lease(a, Lab.mac(79)).yours());
        lab.sleepSeconds(3600);
        assertEquals(
                3,
                List.of(lease(a, Lab.mac(90)), lease(a, Lab.mac(91)), lease(a, Lab.mac(92)))
                        .size());
    }

    @Test
    void whatAClientMayNotHaveIsRefused() {
        Reply nak = ask(a, request(a.mac, 3, 0, "0.0.0.0", 50, "10.0.0.99")).getFirst();
        assertEquals(DhcpMessage.NAK, nak.type());
        assertEquals("255.255.255.255", nak.to());
        lease(a, a.mac);
        Reply other =
                ask(b, Lab.mac(5), request(Lab.mac(5), 3, 0, "0.0.0.0", 50, "10.0.0.10"))
                        .getFirst();
        assertEquals(DhcpMessage.NAK, other.type());
        // After a restart of the server a client's known address is its own again.
        Reply known =
                ask(b, Lab.mac(6), request(Lab.mac(6), 3, 0, "0.0.0.0", 50, "10.0.0.13"))
                        .getFirst();
        assertEquals(DhcpMessage.ACK, known.type());
        assertEquals("10.0.0.13", known.yours());
    }

    @Test
    void aDeclinedAddressRestsAndAnotherServersChoiceFreesTheOffer() {
        lease(a, a.mac);
        ask(a, request(a.mac, 4, 0, "0.0.0.0", 50, "10.0.0.10", 54, "10.0.0.1"));
        assertEquals("10.0.0.12", lease(a, a.mac).yours());
        ask(b, Lab.mac(5), request(Lab.mac(5), 1, 0, "0.0.0.0"));
        ask(b, Lab.mac(5), request(Lab.mac(5), 3, 0, "0.0.0.0", 50, "10.0.0.13", 54, "10.0.0.7"));
        assertEquals("10.0.0.13", lease(b, Lab.mac(6)).yours());
    }

    @Test
    void informIsAnsweredWithoutAnAddress() {
        send(a, a.mac, "10.0.0.77", "10.0.0.1", request(a.mac, 8, 0, "10.0.0.77"));
        a.addresses.add("10.0.0.77");
        a.answer(); // the source is asked for first
        Reply ack = reply(a.take().isEmpty() ? a.port.take().getFirst().bytes() : new byte[0]);
        assertEquals(DhcpMessage.ACK, ack.type());
        assertEquals("0.0.0.0", ack.yours());
        assertEquals("10.0.0.77", ack.to());
        assertEquals(0, ack.option(51)[0]);
    }

    @Test
    void n42_oneGuestsRequestsDoNotEmptyTheRange() {
        Router wide =
                new Router(
                        settings.withInterfaces(
                                List.of(
                                        RouterInterface.of("lan", "10.0.0.1/16")
                                                .withDhcp(
                                                        DhcpSettings.of(
                                                                "10.0.1.0", "10.0.2.255")))));
        Lab other = new Lab(wide);
        Guest hostile = new Guest(other, "h", 1);
        Guest good = new Guest(other, "g", 2);
        for (int i = 0; i < 1000; i++) {
            other.nanos += 50_000_000;
            ask(hostile, Lab.mac(100 + i), request(Lab.mac(100 + i), 1, 0, "0.0.0.0"));
        }
        assertTrue(wide.counters().get(RouterCounter.DHCP_EXHAUSTED) > 900);
        assertEquals(DhcpMessage.ACK, lease(good, good.mac).type());
    }

    @Test
    void n40_aGuestAsksForItselfOnlyAndNonsenseIsDropped() {
        assertEquals(List.of(), ask(a, Lab.mac(1), request(Lab.mac(2), 1, 0, "0.0.0.0")));
        byte[] relayed = request(a.mac, 1, 0, "0.0.0.0");
        relayed[24] = 10;
        assertEquals(List.of(), ask(a, relayed));
        byte[] noCookie = request(a.mac, 1, 0, "0.0.0.0");
        noCookie[236] = 0;
        assertEquals(List.of(), ask(a, noCookie));
        Random random = new Random(7);
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = request(a.mac, 1 + random.nextInt(8), 0, "0.0.0.0");
            byte[] cut = Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
            for (int flips = random.nextInt(4); flips > 0 && cut.length > 0; flips--) {
                cut[random.nextInt(cut.length)] = (byte) random.nextInt();
            }
            DhcpMessage read = new DhcpMessage(cut);
            assertTrue(read.type == 0 || cut.length >= 240);
        }
    }

    @Test
    void leasesSurviveOtherChangesAndBadRangesAreNamed() {
        lease(a, a.mac);
        router.configure(
                settings.withInterfaces(
                        List.of(
                                settings.interfaces()
                                        .getFirst()
                                        .withHosts(List.of(HostRoute.of("10.0.0.12", "b"))))));
        assertEquals("10.0.0.10", lease(a, a.mac).yours());
        assertEquals("10.0.0.13", lease(a, Lab.mac(9)).yours());
        assertEquals(
                "interface lan: DHCP range 10.9.0.1 to 10.9.0.2 is not in one of its subnets",
                assertThrows(
                                IllegalArgumentException.class,
                                () ->
                                        RouterInterface.of("lan", "10.0.0.1/24")
                                                .withDhcp(DhcpSettings.of("10.9.0.1", "10.9.0.2")))
                        .getMessage());
    }
}
