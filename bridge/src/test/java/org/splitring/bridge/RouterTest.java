package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/// Route mode: what one packet gets.
class RouterTest {
    private static final RouteSettings SETTINGS =
            RouteSettings.of(
                            List.of(
                                    RouterInterface.of("lan", "10.1.0.1/24")
                                            .withAddresses(
                                                    List.of(
                                                            InterfaceAddress.parse("10.1.0.1/24"),
                                                            InterfaceAddress.parse(
                                                                    "2001:db8:1::1/64"))),
                                    RouterInterface.of("dmz", "10.2.0.1/24", "c")
                                            .withAddresses(
                                                    List.of(
                                                            InterfaceAddress.parse("10.2.0.1/24"),
                                                            InterfaceAddress.parse(
                                                                    "2001:db8:2::1/64"))),
                                    RouterInterface.of("host", "192.0.2.1", "d")
                                            .withHosts(List.of(HostRoute.of("192.0.2.9", "d")))))
                    .withRoutes(
                            List.of(
                                    StaticRoute.of("10.9.0.0/16", "10.2.0.3"),
                                    StaticRoute.of("2001:db8:9::/48", "2001:db8:2::3")));

    private final Router router = new Router(SETTINGS);
    private final Lab lab = new Lab(router);
    private final Guest a = new Guest(lab, "a", 1, "10.1.0.2", "2001:db8:1::2");
    private final Guest b = new Guest(lab, "b", 2, "10.1.0.3", "2001:db8:1::3");
    private final Guest c = new Guest(lab, "c", 3, "10.2.0.3", "2001:db8:2::3");
    private final Guest d = new Guest(lab, "d", 4, "192.0.2.9");
    private final List<Guest> guests = List.of(a, b, c, d);

    private long count(RouterCounter counter) {
        return router.counters().get(counter);
    }

    private static byte[] udp(String from, String to, int size) {
        return RoutedPackets.v4(
                from,
                to,
                17,
                RoutedPackets.udp(from, 5000, to, 6000, Packets.counting(size)),
                64,
                0x4000);
    }

    private static byte[] udpV6(String from, String to, int size) {
        return RoutedPackets.v6(
                from, to, 17, RoutedPackets.udp(from, 5000, to, 6000, Packets.counting(size)), 64);
    }

    /// Sends a packet and lets everybody answer.
    private void exchange(Guest from, byte[] packet) {
        from.send(packet);
        Guest.settle(guests);
    }

    private static void assertGot(Guest at, byte[] sent) {
        List<Lab.Got> got = at.take();
        assertEquals(1, got.size());
        byte[] frame = got.getFirst().bytes();
        assertArrayEquals(
                Packets.ethernet(at.mac, Guest.ROUTER, sent[0] >>> 4 == 4 ? 0x800 : 0x86DD),
                Arrays.copyOf(frame, 14));
        assertArrayEquals(
                RoutedPackets.forwarded(sent), Arrays.copyOfRange(frame, 14, frame.length));
    }

    /// The type and code of the one ICMP error that came, which quotes `about`.
    private static void assertError(Guest at, int type, int code, byte[] about) {
        List<Lab.Got> got = at.take();
        assertEquals(1, got.size());
        byte[] packet = RoutedPackets.packet(got.getFirst().bytes());
        assertTrue(RoutedPackets.isSound(packet));
        int l4 = packet[0] >>> 4 == 4 ? 20 : 40;
        assertEquals(type + "/" + code, (packet[l4] & 0xFF) + "/" + packet[l4 + 1]);
        byte[] quoted = Arrays.copyOfRange(packet, l4 + 8, packet.length);
        assertArrayEquals(Arrays.copyOf(about, quoted.length), quoted);
        assertTrue(quoted.length >= Math.min(about.length, 28));
    }

    @Test
    void packetsGoBetweenSubnetsPortsAndHostRoutesOnceTheNextHopIsKnown() {
        byte[] toSubnet = udp("10.1.0.2", "10.2.0.3", 1400);
        exchange(a, toSubnet);
        assertGot(c, toSubnet);
        byte[] beside = udp("10.1.0.2", "10.1.0.3", 10);
        exchange(a, beside);
        assertGot(b, beside);
        byte[] toHost = udp("10.2.0.3", "192.0.2.9", 10);
        exchange(c, toHost);
        assertGot(d, toHost);
        byte[] behind = udp("10.1.0.2", "10.9.7.7", 10);
        exchange(a, behind);
        assertGot(c, behind);
        byte[] fromBehind = udp("10.9.7.7", "10.1.0.2", 10);
        exchange(c, fromBehind);
        assertGot(a, fromBehind);
        assertEquals(5, count(RouterCounter.FORWARDED));
    }

    @Test
    void ipv6GoesTheSameWay() {
        byte[] toSubnet = udpV6("2001:db8:1::2", "2001:db8:2::3", 1400);
        exchange(a, toSubnet);
        assertGot(c, toSubnet);
        byte[] beside = udpV6("2001:db8:1::2", "2001:db8:1::3", 100);
        exchange(a, beside);
        assertGot(b, beside);
        byte[] behind = udpV6("2001:db8:1::2", "2001:db8:9::5", 100);
        exchange(a, behind);
        assertGot(c, behind);
    }

    @Test
    void arpIsAnsweredForTheRouterForOtherPortsAndForNothingElse() {
        for (Guest each : guests) {
            each.announce();
        }
        String[] answered = {"10.1.0.1", "10.1.0.3", "10.2.0.3", "10.9.1.1", "192.0.2.9"};
        for (String target : answered) {
            a.port.send(a.arpRequest("10.1.0.2", target));
            List<Lab.Got> got = a.port.take();
            assertEquals(1, got.size(), target);
            assertArrayEquals(
                    Packets.join(
                            Packets.ethernet(a.mac, Guest.ROUTER, 0x806),
                            Packets.join(
                                    new byte[] {0, 1, 8, 0, 6, 4, 0, 2},
                                    Arrays.copyOfRange(Packets.ethernet(0, Guest.ROUTER, 0), 6, 12),
                                    Packets.address(target),
                                    Arrays.copyOfRange(Packets.ethernet(0, a.mac, 0), 6, 12),
                                    Packets.address("10.1.0.2"))),
                    got.getFirst().bytes(),
                    target);
        }
        // Its own, what nobody has, and what no route leads to.
        for (String target : new String[] {"10.1.0.2", "10.1.0.77", "172.16.0.1"}) {
            a.port.send(a.arpRequest("10.1.0.2", target));
            assertEquals(0, a.port.take().stream().filter(g -> g.bytes()[21] == 2).count(), target);
        }
        // Who probes for an address of his own (RFC 5227) hears of what really is elsewhere only.
        a.port.send(a.arpRequest("0.0.0.0", "10.9.1.1"));
        assertEquals(0, a.port.take().size());
        a.port.send(a.arpRequest("0.0.0.0", "10.1.0.3"));
        assertEquals(1, a.port.take().size());
    }

    @Test
    void neighbourSolicitationsAreAnsweredForTheRouterAndForOtherPorts() {
        for (Guest each : guests) {
            each.announce();
        }
        exchange(a, udpV6("2001:db8:1::2", "2001:db8:1::3", 1)); // so that b is known
        b.take();
        for (String target :
                new String[] {
                    "2001:db8:1::1", "2001:db8:1::3", "2001:db8:2::3", "fe80::fcff:ffff:feff:ffff"
                }) {
            a.port.send(a.solicitation("2001:db8:1::2", target));
            List<Lab.Got> got = a.port.take();
            assertEquals(1, got.size(), target);
            byte[] packet = RoutedPackets.packet(got.getFirst().bytes());
            assertTrue(RoutedPackets.isSound(packet));
            assertEquals(136, packet[40] & 0xFF);
            assertEquals(255, packet[7] & 0xFF);
            assertArrayEquals(Packets.address(target), Arrays.copyOfRange(packet, 48, 64));
            assertArrayEquals(
                    Arrays.copyOfRange(Packets.ethernet(0, Guest.ROUTER, 0), 6, 12),
                    Arrays.copyOfRange(packet, 66, 72));
        }
        a.port.send(a.solicitation("2001:db8:1::2", "2001:db8:7::1"));
        assertEquals(0, a.port.take().size());
        byte[] wrongHops = a.solicitation("2001:db8:1::2", "2001:db8:1::1");
        wrongHops[21] = 64;
        a.port.send(wrongHops);
        byte[] wrongSum = a.solicitation("2001:db8:1::2", "2001:db8:1::1");
        wrongSum[57] ^= 1;
        a.port.send(wrongSum);
        assertEquals(0, a.port.take().size());
    }

    @Test
    void theRouterAnswersPingOfAnySize() {
        byte[] data = Packets.counting(1400);
        byte[] echo = RoutedPackets.icmp(8, 0, 0x1234_0001, data);
        exchange(a, RoutedPackets.v4("10.1.0.2", "10.2.0.1", 1, echo, 1, 0));
        byte[] reply = RoutedPackets.packet(a.take().getFirst().bytes());
        assertArrayEquals(
                RoutedPackets.v4(
                        "10.2.0.1",
                        "10.1.0.2",
                        1,
                        RoutedPackets.icmp(0, 0, 0x1234_0001, data),
                        64,
                        0),
                reply);
        String me = "2001:db8:1::2";
        for (String to : new String[] {"2001:db8:1::1", "fe80::fcff:ffff:feff:ffff"}) {
            byte[] echoV6 = RoutedPackets.icmpV6(me, to, 128, 0, 7, data);
            exchange(a, RoutedPackets.v6(me, to, 58, echoV6, 9));
            assertArrayEquals(
                    RoutedPackets.v6(to, me, 58, RoutedPackets.icmpV6(to, me, 129, 0, 7, data), 64),
                    RoutedPackets.packet(a.take().getFirst().bytes()));
        }
    }

    @Test
    void n48_packetsThatHaveUsedUpTheirHopsEndWithAnError() {
        for (int ttl = 0; ttl < 2; ttl++) {
            byte[] packet = udp("10.1.0.2", "10.2.0.3", 100);
            packet = RoutedPackets.v4("10.1.0.2", "10.2.0.3", 17, tail(packet, 20), ttl, 0x4000);
            exchange(a, packet);
            assertError(a, 11, 0, packet);
            byte[] six = udpV6("2001:db8:1::2", "2001:db8:2::3", 100);
            six[7] = (byte) ttl;
            exchange(a, six);
            assertError(a, 3, 0, six);
        }
        assertEquals(List.of(), c.take());
        assertEquals(4, count(RouterCounter.DROPPED_EXPIRED));
    }

    private static byte[] tail(byte[] packet, int from) {
        return Arrays.copyOfRange(packet, from, packet.length);
    }

    @Test
    void whatCannotBeReachedIsSaidSo() {
        byte[] nowhere = udp("10.1.0.2", "172.16.0.1", 100);
        exchange(a, nowhere);
        assertError(a, 3, 0, nowhere);
        byte[] nowhereV6 = udpV6("2001:db8:1::2", "2001:db8:77::1", 1400);
        exchange(a, nowhereV6);
        assertError(a, 1, 0, nowhereV6);
        byte[] nobody = udp("10.1.0.2", "10.2.0.77", 100);
        exchange(a, nobody);
        byte[] nobodyV6 = udpV6("2001:db8:1::2", "2001:db8:2::77", 100);
        exchange(a, nobodyV6);
        assertEquals(List.of(), a.take());
        for (int i = 0; i < 4; i++) {
            lab.sleepSeconds(1);
            lab.network.tick();
            Guest.settle(guests);
        }
        List<Lab.Got> errors = a.take();
        assertEquals(2, errors.size());
        assertEquals(3, errors.getFirst().bytes()[34]);
        assertEquals(1, errors.getFirst().bytes()[35]);
        assertEquals(1, errors.getLast().bytes()[54]);
        assertEquals(3, errors.getLast().bytes()[55]);
        byte[] closed = udp("10.1.0.2", "10.1.0.1", 10);
        exchange(a, closed);
        assertError(a, 3, 3, closed);
        byte[] gre = RoutedPackets.v4("10.1.0.2", "10.1.0.1", 47, new byte[40], 64, 0);
        exchange(a, gre);
        assertError(a, 3, 2, gre);
        byte[] sctp = RoutedPackets.v6("2001:db8:1::2", "2001:db8:1::1", 132, new byte[40], 64);
        exchange(a, sctp);
        assertError(a, 4, 1, sctp);
    }

    @Test
    void connectionsToTheRouterAreReset() {
        byte[] syn = RoutedPackets.tcp("10.1.0.2", 999, "10.1.0.1", 53, 2, new byte[0]);
        exchange(a, RoutedPackets.v4("10.1.0.2", "10.1.0.1", 6, syn, 64, 0));
        byte[] reset = RoutedPackets.packet(a.take().getFirst().bytes());
        assertTrue(RoutedPackets.isSound(reset));
        assertEquals(53, Packets.u16(reset, 20));
        assertEquals(999, Packets.u16(reset, 22));
        assertEquals(0x14, reset[33]);
        assertArrayEquals(new byte[] {-1, -1, -1, 1}, Arrays.copyOfRange(reset, 28, 32));
        byte[] rst = RoutedPackets.tcp("10.1.0.2", 999, "10.1.0.1", 53, 4, new byte[0]);
        exchange(a, RoutedPackets.v4("10.1.0.2", "10.1.0.1", 6, rst, 64, 0));
        assertEquals(List.of(), a.take());
    }

    @Test
    void errorsAreNeverAboutErrorsGroupsOrLaterFragmentsAndAreLimited() {
        byte[] inner = tail(udp("10.2.0.3", "10.1.0.2", 10), 0);
        byte[] error = RoutedPackets.icmp(3, 1, 0, inner);
        exchange(a, RoutedPackets.v4("10.1.0.2", "172.16.0.1", 1, error, 64, 0));
        exchange(a, RoutedPackets.v4("10.1.0.2", "172.16.0.1", 17, new byte[40], 64, 5));
        exchange(a, udp("10.1.0.2", "224.0.0.5", 10));
        exchange(a, udp("10.1.0.2", "10.2.0.255", 10));
        byte[] group =
                Packets.join(
                        Packets.ethernet(Lab.BROADCAST, a.mac, 0x800),
                        udp("10.1.0.2", "172.16.0.1", 10));
        a.port.send(group);
        byte[] v6 =
                RoutedPackets.icmpV6(
                        "2001:db8:1::2", "2001:db8:77::1", 1, 0, 0, Packets.counting(60));
        exchange(a, RoutedPackets.v6("2001:db8:1::2", "2001:db8:77::1", 58, v6, 64));
        Guest.settle(guests);
        assertEquals(List.of(), a.take());
        for (int i = 0; i < 200; i++) {
            a.send(udp("10.1.0.2", "172.16.0.1", 10));
        }
        Guest.settle(guests);
        assertEquals(SETTINGS.limits().errorsPerSecond(), a.take().size());
        assertEquals(150, count(RouterCounter.ERRORS_LIMITED));
        exchange(b, udp("10.1.0.3", "172.16.0.1", 10));
        assertEquals(1, b.take().size(), "another port has its own limit");
    }

    @Test
    void n47_sourcesAndDestinationsThatMayNotBeAreRefused() {
        for (Guest each : guests) {
            each.announce();
        }
        long before = count(RouterCounter.FORWARDED);
        String[] sources = {
            "127.0.0.1",
            "0.0.0.7",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "10.1.0.1",
            "10.1.0.3",
            "10.2.0.3",
            "192.0.2.9",
            "10.9.1.1",
            "10.1.0.255",
            "8.8.8.8"
        };
        for (String source : sources) {
            exchange(a, udp(source, "10.2.0.3", 10));
            assertEquals(List.of(), a.take(), source);
        }
        String[] sourcesV6 = {
            "::", "::1", "ff02::1", "2001:db8:1::1", "2001:db8:2::3", "::ffff:10.1.0.2"
        };
        for (String source : sourcesV6) {
            byte[] packet = udpV6("2001:db8:1::2", "2001:db8:2::3", 10);
            byte[] bytes =
                    source.contains("ffff")
                            ? Packets.join(
                                    new byte[10], new byte[] {-1, -1}, Packets.address("10.1.0.2"))
                            : Packets.address(source);
            System.arraycopy(bytes, 0, packet, 8, 16);
            exchange(a, packet);
            assertEquals(List.of(), a.take(), source);
        }
        // A link-local source goes no further than the router.
        exchange(a, udpV6("fe80::216:3eff:fe00:1", "2001:db8:2::3", 10));
        String[] destinations = {"127.0.0.1", "169.254.169.254", "240.0.0.1", "0.0.0.1"};
        for (String destination : destinations) {
            byte[] packet = udp("10.1.0.2", destination, 10);
            exchange(a, packet);
            assertError(a, 3, 13, packet);
        }
        assertEquals(List.of(), c.take());
        assertEquals(before, count(RouterCounter.FORWARDED));
    }

    @Test
    void n47_sourceRoutesAreRefused() {
        for (int type : new int[] {131, 137}) {
            byte[] options = {1, (byte) type, 7, 4, 10, 2, 0, 3};
            byte[] udp = RoutedPackets.udp("10.1.0.2", 1, "10.2.0.3", 2, new byte[9]);
            exchange(a, RoutedPackets.v4("10.1.0.2", "10.2.0.3", 17, udp, 64, 0, 1, options));
        }
        byte[] noEnd = {(byte) 7, 0, 0, 0};
        exchange(a, RoutedPackets.v4("10.1.0.2", "10.2.0.3", 17, new byte[9], 64, 0, 1, noEnd));
        byte[] routing = new byte[23];
        routing[0] = 2;
        routing[2] = 1;
        byte[] v6 =
                Packets.ipv6(
                        "2001:db8:1::2",
                        "2001:db8:2::3",
                        17,
                        new byte[20],
                        new int[] {43},
                        routing);
        exchange(a, v6);
        assertEquals(List.of(), c.take());
        assertEquals(4, count(RouterCounter.DROPPED_SOURCE_ROUTE));
        byte[] recordRoute = {7, 7, 4, 0, 0, 0, 0, 0};
        byte[] udp = RoutedPackets.udp("10.1.0.2", 1, "10.2.0.3", 2, new byte[9]);
        byte[] fine = RoutedPackets.v4("10.1.0.2", "10.2.0.3", 17, udp, 64, 0, 1, recordRoute);
        exchange(a, fine);
        assertGot(c, fine);
    }

    @Test
    void wrongHeaderChecksumsOtherProtocolsAndTagsEndHere() {
        byte[] packet = udp("10.1.0.2", "10.2.0.3", 10);
        packet[10] ^= 1;
        exchange(a, packet);
        assertEquals(1, count(RouterCounter.DROPPED_MALFORMED));
        a.port.send(Lab.frame(Guest.ROUTER, a.mac, 60));
        a.port.send(
                Packets.join(
                        Packets.ethernet(Guest.ROUTER, a.mac, 0x800, 0x8100, 1),
                        udp("10.1.0.2", "10.2.0.3", 10)));
        assertEquals(2, count(RouterCounter.DROPPED_PROTOCOL));
        a.port.send(
                Packets.join(
                        Packets.ethernet(b.mac, a.mac, 0x800), udp("10.1.0.2", "10.2.0.3", 10)));
        assertEquals(1, count(RouterCounter.DROPPED_OTHER_MAC));
        assertEquals(4, a.port.count(PortCounter.IN_DROPPED_ROUTER));
    }

    @Test
    void badSettingsAreNamed() {
        assertMessage(
                "subnet 10.1.0.128/25 of interface b overlaps 10.1.0.0/24 of a",
                () ->
                        RouteSettings.of(
                                List.of(
                                        RouterInterface.of("a", "10.1.0.1/24", "p"),
                                        RouterInterface.of("b", "10.1.0.129/25", "q"))));
        assertMessage(
                "address 10.1.0.1 is given to interface a and port p",
                () ->
                        RouteSettings.of(
                                List.of(
                                        RouterInterface.of("a", "10.1.0.1/24", "p")
                                                .withHosts(
                                                        List.of(HostRoute.of("10.1.0.1", "p"))))));
        assertMessage(
                "route 0.0.0.0/0 via 10.7.0.1: 10.7.0.1 is in no subnet of this router",
                () -> SETTINGS.withRoutes(List.of(StaticRoute.of("0.0.0.0/0", "10.7.0.1"))));
        assertMessage(
                "route 10.2.0.0/24 via 10.1.0.9: there is a route for 10.2.0.0/24 already",
                () -> SETTINGS.withRoutes(List.of(StaticRoute.of("10.2.0.0/24", "10.1.0.9"))));
        assertMessage(
                "port c is at interfaces dmz and x",
                () ->
                        SETTINGS.withInterfaces(
                                List.of(
                                        RouterInterface.of("dmz", "10.2.0.1/24", "c"),
                                        RouterInterface.of("x", "10.3.0.1/24", "c"))));
        assertMessage(
                "10.1.0.0/24 is its subnet's own or broadcast address",
                () -> InterfaceAddress.parse("10.1.0.0/24"));
        assertMessage(
                "port b is at none of the router's interfaces",
                () ->
                        router.configure(
                                RouteSettings.of(
                                        List.of(
                                                RouterInterface.of(
                                                        "dmz", "10.2.0.1/24", "a", "c", "d")))));
        exchange(a, udp("10.1.0.2", "10.2.0.3", 10));
        assertEquals(1, c.take().size(), "everything is as before");
    }

    private static void assertMessage(String message, Executable e) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, e).getMessage());
    }
}
