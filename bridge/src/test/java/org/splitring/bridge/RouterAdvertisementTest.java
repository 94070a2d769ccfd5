package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// What hosts hear of a router that advertises itself.
class RouterAdvertisementTest {
    private static final String ROUTER = "fe80::fcff:ffff:feff:ffff";
    private static final RouterInterface LAN =
            RouterInterface.of("lan", "10.1.0.1/24")
                    .withAddresses(
                            List.of(
                                    InterfaceAddress.parse("10.1.0.1/24"),
                                    InterfaceAddress.parse("fd00:1::1/64"),
                                    InterfaceAddress.parse("fd00:2::1/48")));
    private static final RouteSettings SETTINGS =
            RouteSettings.of(
                    List.of(
                            LAN.withAdvertisements(),
                            RouterInterface.of("quiet", "fd00:3::1/64", "q")));

    private final Router router = new Router(SETTINGS);
    private final Lab lab = new Lab(router);
    private final Guest a = new Guest(lab, "a", 1, "fd00:1::2");
    private final Guest quiet = new Guest(lab, "q", 2, "fd00:3::2");

    private static byte[] solicitation(Guest from, String source, int hopLimit, int code) {
        byte[] message = {(byte) 133, (byte) code, 0, 0, 0, 0, 0, 0};
        RoutedPackets.fillChecksum(
                message, 2, RoutedPackets.pseudoV6(source, "ff02::2", message, 58));
        return Packets.join(
                Packets.ethernet(0x3333_0000_0002L, from.mac, 0x86DD),
                RoutedPackets.v6(source, "ff02::2", 58, message, hopLimit));
    }

    /// The advertisement that a guest has got, without its Ethernet and IPv6 headers.
    private static byte[] heard(Guest guest, String to) {
        List<Lab.Got> all = guest.port.take();
        assertEquals(1, all.size());
        byte[] frame = all.getFirst().bytes();
        assertTrue(RoutedPackets.isSound(RoutedPackets.packet(frame)));
        assertEquals(255, frame[21] & 0xFF);
        assertArrayEquals(Packets.address(ROUTER), Arrays.copyOfRange(frame, 22, 38));
        assertArrayEquals(Packets.address(to), Arrays.copyOfRange(frame, 38, 54));
        assertEquals(134, frame[54] & 0xFF);
        return Arrays.copyOfRange(frame, 54, frame.length);
    }

    @Test
    void aSolicitationIsAnsweredWithRouterPrefixAndMtu() throws Exception {
        router.configure(
                SETTINGS.withDns(
                        DnsSettings.of(Map.of("web", List.of(InetAddress.ofLiteral("10.1.0.9"))))));
        a.port.send(solicitation(a, "fe80::2", 255, 0));
        ByteBuffer said = ByteBuffer.wrap(heard(a, "fe80::2"));
        assertEquals(64, said.get(4), "hop limit");
        assertEquals(0, said.get(5), "neither managed nor other");
        assertEquals(1800, said.getShort(6));
        assertEquals(0x0101, said.getShort(16), "link-layer address");
        assertEquals(Guest.ROUTER, said.getLong(16) & 0xFFFF_FFFF_FFFFL);
        assertEquals(0x0501, said.getShort(24), "MTU");
        assertEquals(1500, said.getInt(28));
        assertEquals(0x0304_40C0, said.getInt(32), "64 bits, on-link, autonomous");
        assertEquals(86_400, said.getInt(36));
        assertEquals(14_400, said.getInt(40));
        byte[] prefix = Arrays.copyOfRange(said.array(), 48, 64);
        assertArrayEquals(Packets.address("fd00:1::"), prefix);
        assertEquals(0x1903, said.getShort(64), "resolver; no prefix of 48 bits before it");
        assertEquals(1800, said.getInt(68));
        assertArrayEquals(Packets.address("fd00:1::1"), Arrays.copyOfRange(said.array(), 72, 88));
        assertEquals(88, said.capacity());
        // A host without an address yet.
        a.port.send(solicitation(a, "::", 255, 0));
        heard(a, "ff02::1");
    }

    @Test
    void aHostWhoseAddressIsGivenIsToMakeNone() {
        HostRoute fixed = HostRoute.of("fd00:1::2", "a");
        router.configure(
                RouteSettings.of(
                        List.of(
                                LAN.withHosts(List.of(fixed)).withAdvertisements(),
                                SETTINGS.interfaces().get(1))));
        a.port.send(solicitation(a, "fe80::2", 255, 0));
        ByteBuffer said = ByteBuffer.wrap(heard(a, "fe80::2"));
        assertEquals(0x0304_4080, said.getInt(32), "64 bits, on-link, not autonomous");
        Guest b = new Guest(lab, "b", 3, "fd00:1::3");
        b.port.send(solicitation(b, "fe80::3", 255, 0));
        said = ByteBuffer.wrap(heard(b, "fe80::3"));
        assertEquals(0x0304_40C0, said.getInt(32), "that is said to its own port only");
    }

    /// RFC 8200: links of less than 1280 bytes have no IPv6.
    @Test
    void anMtuThatIsTooSmallIsNotSaid() {
        for (int mtu : new int[] {1280, 1279}) {
            lab.network.mtu(mtu);
            a.port.send(solicitation(a, "fe80::2", 255, 0));
            ByteBuffer said = ByteBuffer.wrap(heard(a, "fe80::2"));
            if (mtu == 1280) {
                assertEquals(0x0501, said.getShort(24));
                assertEquals(1280, said.getInt(28));
            } else {
                assertEquals(0x0304, said.getShort(24), "the prefix is next");
                assertEquals(56, said.capacity());
            }
        }
    }

    @Test
    void whatIsNoSolicitationOfThisLinkIsNot() {
        a.port.send(solicitation(a, "fe80::2", 254, 0));
        a.port.send(solicitation(a, "fe80::2", 255, 1));
        byte[] broken = solicitation(a, "fe80::2", 255, 0);
        broken[57] ^= 1;
        a.port.send(broken);
        quiet.port.send(solicitation(quiet, "fe80::3", 255, 0));
        assertEquals(List.of(), a.port.take());
        assertEquals(List.of(), quiet.port.take());
        assertEquals(4, router.counters().get(RouterCounter.DROPPED_GROUP));
    }

    @Test
    void aFloodOfSolicitationsIsLimited() {
        for (int i = 0; i < 1000; i++) {
            a.port.send(solicitation(a, "fe80::2", 255, 0));
        }
        assertEquals(32, a.port.take().size());
        assertEquals(968, router.counters().get(RouterCounter.DROPPED_GROUP));
        // So are those from hosts without an address, whose answer is for all.
        a.port.send(solicitation(a, "::", 255, 0));
        assertEquals(List.of(), a.port.take());
        // Others do not suffer for it.
        Guest b = new Guest(lab, "b", 3, "fd00:1::3");
        b.port.send(solicitation(b, "fe80::3", 255, 0));
        heard(b, "fe80::3");
        // Half a second later there are half as many, and no more than all after a minute.
        for (int halves : new int[] {1, 2, 120}) {
            lab.sleepMillis(halves * 500L);
            for (int i = 0; i < 1000; i++) {
                a.port.send(solicitation(a, "fe80::2", 255, 0));
            }
            assertEquals(Math.min(halves * 16, 32), a.port.take().size());
        }
    }

    @Test
    void solicitationsThatNobodyAnswersUseNothingUp() {
        for (int i = 0; i < 1000; i++) {
            a.port.send(solicitation(a, "fe80::2", 254, 0));
        }
        a.port.send(solicitation(a, "fe80::2", 255, 0));
        heard(a, "fe80::2");
    }

    @Test
    void everybodyHearsOfItNowAndThen() {
        lab.network.tick();
        heard(a, "ff02::1");
        for (int second = 1; second < RouterAdvertisements.PERIOD_SECONDS; second++) {
            lab.sleepSeconds(1);
            lab.network.tick();
        }
        assertEquals(List.of(), a.port.take());
        lab.sleepSeconds(1);
        lab.network.tick();
        heard(a, "ff02::1");
        assertEquals(List.of(), quiet.port.take());
    }

    @Test
    void aRouterThatGoesSaysSo() {
        router.configure(RouteSettings.of(List.of(LAN, SETTINGS.interfaces().get(1))));
        assertEquals(0, ByteBuffer.wrap(heard(a, "ff02::1")).getShort(6));
        router.configure(SETTINGS);
        lab.network.tick(); // the next tick tells of the new
        heard(a, "ff02::1");
        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        assertEquals(0, ByteBuffer.wrap(heard(a, "ff02::1")).getShort(6));
    }

    /// RFC 8106: nor is it asked for names any more.
    @Test
    void aRouterThatGoesIsNoResolverAnyMore() {
        router.configure(SETTINGS.withDns(DnsSettings.of(Map.of())));
        lab.network.tick();
        assertEquals(1800, ByteBuffer.wrap(heard(a, "ff02::1")).getInt(68));
        lab.network.mode(new LearningSwitch(SwitchSettings.DEFAULT));
        assertEquals(0, ByteBuffer.wrap(heard(a, "ff02::1")).getInt(68));
    }

    @Test
    void withoutASubnetOf64BitsThereIsNothingToAdvertise() {
        RouterInterface without = RouterInterface.of("lan", "fd00:2::1/48");
        IllegalArgumentException e =
                assertThrows(IllegalArgumentException.class, without::withAdvertisements);
        assertEquals("interface lan has no IPv6 subnet of 64 bits to advertise", e.getMessage());
    }
}
