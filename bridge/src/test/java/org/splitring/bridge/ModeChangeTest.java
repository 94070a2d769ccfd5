package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/// Hosts whose ARP and neighbour caches are full when a network changes its mode: what they know
/// is corrected by the first packet that goes astray.
class ModeChangeTest {
    private static final long GATEWAY = RouterInterface.BACKEND_MAC.value();
    private static final String ALL = "10.1.0.1";
    private static final String ALL_V6 = "fd00:1::1";

    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Host a = new Host("a", 1, "10.1.0.2", "fd00:1::2");
    private final Host b = new Host("b", 2, "10.1.0.3", "fd00:1::3");
    private final Host c = new Host("c", 3, "10.1.0.4", "fd00:1::4");
    private final List<Host> hosts = List.of(a, b, c);

    /// A host that changes its cache only as RFC 826 and RFC 4861 §7.2.5 say, and as Linux does:
    /// a message about an address that it does not know teaches it nothing.
    private final class Host {
        final Lab.Port port;
        final long mac;
        final String v4;
        final String v6;
        final Map<String, Long> cache = new HashMap<>();
        int heard;
        int received;
        int questions;

        Host(String name, int number, String v4, String v6) {
            port = lab.port(name);
            mac = Lab.mac(number);
            this.v4 = v4;
            this.v6 = v6;
        }

        void knows(String address, long itsMac) {
            cache.put(RoutedPackets.text(Packets.address(address)), itsMac);
        }

        long macOf(String address) {
            return Objects.requireNonNull(cache.get(RoutedPackets.text(Packets.address(address))));
        }

        /// Sends a datagram by way of a neighbour or a gateway in the cache.
        void send(String to, String hop, int... tag) {
            boolean six = to.contains(":");
            String from = six ? v6 : v4;
            byte[] udp = RoutedPackets.udp(from, 1, to, 2, new byte[30]);
            byte[] packet =
                    six
                            ? RoutedPackets.v6(from, to, 17, udp, 64)
                            : RoutedPackets.v4(from, to, 17, udp, 64, 0);
            port.send(
                    Packets.join(
                            Packets.ethernet(macOf(hop), mac, six ? 0x86DD : 0x800, tag), packet));
            settle();
        }

        boolean answer() {
            List<Lab.Got> all = port.take();
            heard += all.size();
            for (Lab.Got got : all) {
                byte[] frame = got.bytes();
                long to = ByteBuffer.wrap(frame).getLong(0) >>> 16;
                if (to == mac || (to & MacAddress.GROUP_BIT) != 0) {
                    take(frame, Packets.u16(frame, 12));
                }
            }
            return !all.isEmpty();
        }

        private void take(byte[] frame, int type) {
            if (type == 0x806) {
                hears(text(frame, 28, 4), ByteBuffer.wrap(frame).getLong(20) & 0xFFFF_FFFF_FFFFL);
                if (frame[21] == 1 && text(frame, 38, 4).equals(v4)) {
                    questions++;
                    long asker = ByteBuffer.wrap(frame).getLong(20) & 0xFFFF_FFFF_FFFFL;
                    port.send(
                            Packets.join(
                                    Packets.ethernet(asker, mac, 0x806),
                                    Packets.arp(2, mac, v4, text(frame, 28, 4))));
                }
            } else if (type == 0x86DD && frame[20] == 58 && frame[54] == (byte) 136) {
                assertTrue(Packets.checksumIsRight(frame, 14, 54, 58));
                assertTrue((frame[58] & 0x20) != 0, "without the override flag nothing changes");
                hears(text(frame, 62, 16), ByteBuffer.wrap(frame).getLong(78) & 0xFFFF_FFFF_FFFFL);
            } else if (type == 0x86DD && frame[20] == 58 && frame[54] == (byte) 135) {
                assertTrue(Packets.checksumIsRight(frame, 14, 54, 58));
                if (text(frame, 62, 16).equals(text(Packets.address(v6), 0, 16))) {
                    questions++;
                    advertise(text(frame, 22, 16), ByteBuffer.wrap(frame).getLong(6) >>> 16);
                }
            } else {
                received++;
            }
        }

        private void advertise(String to, long toMac) {
            byte[] option = ByteBuffer.allocate(8).putShort((short) 0x0201).array();
            ByteBuffer.wrap(option).putShort(2, (short) (mac >>> 32)).putInt(4, (int) mac);
            byte[] message =
                    Packets.join(
                            new byte[] {(byte) 136, 0, 0, 0, 0x60, 0, 0, 0},
                            Packets.address(v6),
                            option);
            RoutedPackets.fillChecksum(message, 2, RoutedPackets.pseudoV6(v6, to, message, 58));
            byte[] packet = RoutedPackets.v6(v6, to, 58, message, 255);
            port.send(Packets.join(Packets.ethernet(toMac, mac, 0x86DD), packet));
        }

        private void hears(String address, long itsMac) {
            cache.computeIfPresent(address, (known, before) -> itsMac);
        }

        private String text(byte[] frame, int at, int bytes) {
            return RoutedPackets.text(Arrays.copyOfRange(frame, at, at + bytes));
        }
    }

    private void settle() {
        boolean any = true;
        while (any) {
            any = false;
            for (Host each : hosts) {
                any |= each.answer();
            }
        }
    }

    private static Router router() {
        return router(List.of());
    }

    private static Router router(List<HostRoute> hostRoutes) {
        return new Router(
                RouteSettings.of(
                        List.of(
                                new RouterInterface(
                                        "lan",
                                        List.of(
                                                InterfaceAddress.parse(ALL + "/24"),
                                                InterfaceAddress.parse(ALL_V6 + "/64")),
                                        List.of(),
                                        RouterInterface.BACKEND_MAC,
                                        hostRoutes,
                                        Optional.empty(),
                                        false))));
    }

    private void neighboursKnowEachOther() {
        for (Host each : hosts) {
            for (Host other : hosts) {
                each.knows(other.v4, other.mac);
                each.knows(other.v6, other.mac);
            }
        }
    }

    @Test
    void aRouterInAPlaceOfASwitchIsKnownAfterOnePacketThatWasLost() {
        neighboursKnowEachOther();
        a.send(b.v4, b.v4);
        a.send(b.v6, b.v6);
        assertEquals(2, b.received);
        lab.network.mode(
                router(
                        List.of(
                                HostRoute.of(b.v4, "b"),
                                HostRoute.of(b.v6, "b"),
                                HostRoute.of(a.v4, "a"),
                                HostRoute.of(a.v6, "a"))));
        settle();
        a.send(b.v4, b.v4);
        a.send(b.v6, b.v6);
        assertEquals(GATEWAY, a.macOf(b.v4));
        assertEquals(GATEWAY, a.macOf(b.v6));
        a.send(b.v4, b.v4);
        a.send(b.v6, b.v6);
        assertEquals(4, b.received);
        assertEquals(c.mac, a.macOf(c.v4), "nobody was told what he did not use");
        assertEquals(a.mac, c.macOf(a.v4));
    }

    @Test
    void aRouterThatDoesNotKnowItsHostsYetAsksAtOnce() {
        neighboursKnowEachOther();
        lab.network.mode(router());
        settle();
        a.send(b.v4, b.v4); // the router asks who has it
        a.send(b.v4, b.v4); // and says so
        a.send(b.v4, b.v4);
        assertEquals(1, b.received);
    }

    @Test
    void aNewRoutersGatewaysAreAnnounced() {
        for (Host each : hosts) {
            each.knows(ALL, Lab.mac(9)); // somebody's who had the address
            each.knows(ALL_V6, Lab.mac(9));
        }
        lab.network.mode(router());
        settle();
        for (Host each : hosts) {
            assertEquals(GATEWAY, each.macOf(ALL));
            assertEquals(GATEWAY, each.macOf(ALL_V6));
        }
        // Who has not heard it is told when he sends something that is to be routed on.
        a.knows(ALL, Lab.mac(9));
        a.knows(ALL_V6, Lab.mac(9));
        a.send("192.0.2.1", ALL);
        a.send("2001:db8::1", ALL_V6);
        assertEquals(GATEWAY, a.macOf(ALL));
        assertEquals(GATEWAY, a.macOf(ALL_V6));
    }

    @Test
    void aSwitchInThePlaceOfARouterAsksInTheNameOfWhoStillSendsToTheRouter() {
        lab.network.mode(router());
        for (Host each : hosts) {
            for (Host other : hosts) {
                each.knows(other.v4, GATEWAY);
                each.knows(other.v6, GATEWAY);
            }
        }
        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        settle();
        a.send(b.v4, b.v4);
        a.send(b.v6, b.v6);
        assertEquals(b.mac, a.macOf(b.v4));
        assertEquals(b.mac, a.macOf(b.v6));
        a.send(b.v4, b.v4);
        a.send(b.v6, b.v6);
        assertEquals(2, b.received);
        // The switch may be exchanged for another, with other bounds: it still remembers.
        lab.network.mode(new LearningSwitch(new SwitchSettings(100, 10, 300, true)));
        a.send(c.v4, c.v4);
        assertEquals(c.mac, a.macOf(c.v4));
    }

    @Test
    void whoeverHasTheGatewaysAddressAfterwardsIsFound() {
        Router router =
                new Router(
                        RouteSettings.of(
                                List.of(RouterInterface.of("lan", c.v4 + "/24", "a", "b", "c"))));
        lab.network.mode(router);
        a.knows(c.v4, GATEWAY);
        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        a.send("192.0.2.1", c.v4);
        assertEquals(c.mac, a.macOf(c.v4));
    }

    @Test
    void aQuestionKeepsTheSendersVlanAndRules() {
        lab.network.mode(router());
        a.knows(b.v4, GATEWAY);
        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        a.port.link.configure(PortSettings.of("a").withVlans(PortVlans.parse("1p/20")));
        b.port.link.configure(PortSettings.of("b").withVlans(PortVlans.parse("20")));
        settle();
        int heardBefore = c.heard;
        a.send(b.v4, b.v4, 0x8100, 20);
        assertEquals(1, b.questions);
        assertEquals(heardBefore, c.heard, "c is in VLAN 1");
        a.port.link.configure(
                PortSettings.of("a")
                        .withVlans(PortVlans.parse("1p/20"))
                        .withRules(List.of(FrameRule.parse("tx drop arp"))));
        a.send(b.v4, b.v4, 0x8100, 20);
        assertEquals(1, b.questions);
    }

    @Test
    void aFloodOfFramesToNobodyMakesFewMessages() {
        neighboursKnowEachOther();
        lab.network.mode(router(List.of(HostRoute.of(b.v4, "b"))));
        settle();
        byte[] udp = RoutedPackets.udp(a.v4, 1, b.v4, 2, new byte[30]);
        byte[] frame =
                Packets.join(
                        Packets.ethernet(b.mac, a.mac, 0x800),
                        RoutedPackets.v4(a.v4, b.v4, 17, udp, 64, 0));
        for (int i = 0; i < 1000; i++) {
            a.port.send(frame);
        }
        assertEquals(RouterLimits.DEFAULT.errorsPerSecond(), a.port.take().size());
        assertEquals(0, b.port.take().size());

        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        settle();
        byte[] toRouter = Packets.join(Packets.ethernet(GATEWAY, a.mac, 0x800), rest(frame));
        for (int i = 0; i < 1000; i++) {
            a.port.send(toRouter);
        }
        long questions = b.port.take().stream().filter(got -> got.bytes()[13] == 6).count();
        assertEquals(64, questions);
    }

    /// IPv6 has a question of its own, and answers that are larger.
    @Test
    void aFloodOfIpv6FramesToNobodyMakesFewAdvertisements() {
        neighboursKnowEachOther();
        lab.network.mode(router(List.of(HostRoute.of(b.v6, "b"))));
        settle();
        int most = RouterLimits.DEFAULT.errorsPerSecond();
        for (int halves : new int[] {120, 1}) { // all at first, half as many half a second later
            lab.sleepMillis(halves * 500L);
            for (int i = 0; i < 1000; i++) {
                a.port.send(datagramV6(a, a.v6, b.v6));
            }
            assertEquals(Math.min(most, halves * most / 2), a.port.take().size());
            assertEquals(0, b.port.take().size());
        }
    }

    /// Nor are they about what is no host's packet, or is in a VLAN where the router is not.
    @Test
    void advertisementsAreForHostsOfTheRoutersOwnLinkOnly() {
        neighboursKnowEachOther();
        lab.network.mode(router(List.of(HostRoute.of(b.v6, "b"))));
        settle();
        a.port.send(datagramV6(a, "ff02::1", b.v6));
        a.port.send(datagramV6(a, "::", b.v6));
        a.port.send(datagramV6(a, a.v6, b.v6, 0x8100, 1));
        assertEquals(0, a.port.take().size());
        a.port.send(datagramV6(a, a.v6, b.v6));
        assertEquals(1, a.port.take().size(), "that nothing else may stop it");
    }

    /// To the MAC address that b had.
    private byte[] datagramV6(Host from, String source, String to, int... tag) {
        byte[] udp = RoutedPackets.udp(source, 1, to, 2, new byte[30]);
        return Packets.join(
                Packets.ethernet(b.mac, from.mac, 0x86DD, tag),
                RoutedPackets.v6(source, to, 17, udp, 64));
    }

    private static byte[] rest(byte[] frame) {
        return Arrays.copyOfRange(frame, 14, frame.length);
    }

    /// On a wire that is shared with others the router sees frames that are not for it.
    @Test
    void aRouterSaysNothingOfAddressesThatAreNotItsBusiness() {
        neighboursKnowEachOther();
        lab.network.mode(
                new Router(
                        RouteSettings.of(
                                List.of(
                                        RouterInterface.of("wire", "10.1.0.1/24", "a"),
                                        RouterInterface.of("other", "10.2.0.1/24", "b", "c")))));
        settle();
        a.send(b.v4, b.v4); // of its own wire: whoever has it there is not the router
        assertEquals(b.mac, a.macOf(b.v4));
        assertEquals(0, b.received);
    }

    @Test
    void aLinkLocalNeighbourIsAskedForToo() {
        lab.network.mode(router());
        a.knows(b.v6, GATEWAY);
        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        // A unicast probe of the cache itself (RFC 4861 §7.3.3).
        byte[] option = ByteBuffer.allocate(8).putShort((short) 0x0101).array();
        ByteBuffer.wrap(option).putShort(2, (short) (a.mac >>> 32)).putInt(4, (int) a.mac);
        byte[] message =
                Packets.join(
                        new byte[] {(byte) 135, 0, 0, 0, 0, 0, 0, 0},
                        Packets.address(b.v6),
                        option);
        RoutedPackets.fillChecksum(message, 2, RoutedPackets.pseudoV6(a.v6, b.v6, message, 58));
        a.port.send(
                Packets.join(
                        Packets.ethernet(GATEWAY, a.mac, 0x86DD),
                        RoutedPackets.v6(a.v6, b.v6, 58, message, 255)));
        settle();
        assertEquals(b.mac, a.macOf(b.v6));
        a.knows(b.v4, GATEWAY);
        a.port.send(
                Packets.join(
                        Packets.ethernet(GATEWAY, a.mac, 0x806),
                        Packets.arp(1, a.mac, a.v4, b.v4)));
        settle();
        assertEquals(b.mac, a.macOf(b.v4));
    }
}
