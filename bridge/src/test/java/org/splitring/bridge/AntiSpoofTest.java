package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/// A port with pinned addresses speaks for nobody else (N-40, N-41).
class AntiSpoofTest {
    private static final long ME = Lab.mac(1);
    private static final long OTHER = Lab.mac(2);
    private static final String LINK_LOCAL = "fe80::216:3eff:fe00:1";

    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Lab.Port guest =
            lab.port(
                    PortSettings.of("guest")
                            .withPins(
                                    AddressPins.of(
                                            new MacAddress(ME), List.of("10.0.0.1", "fd00::1"))),
                    PortCapabilities.everything(1500));
    private final Lab.Port other = lab.port("other");

    private void passes(byte[] frame) {
        guest.send(frame);
        assertEquals(1, other.take().size());
    }

    private void isDropped(byte[] frame) {
        long before = guest.count(PortCounter.IN_DROPPED_PINNED);
        guest.send(frame);
        assertEquals(0, other.take().size());
        assertEquals(before + 1, guest.count(PortCounter.IN_DROPPED_PINNED));
    }

    private static byte[] ip4(long mac, String source, int protocol, byte[] payload) {
        return Packets.join(
                Packets.ethernet(Lab.BROADCAST, mac, 0x800),
                Packets.ipv4(source, "10.0.0.9", protocol, payload, 0));
    }

    private static byte[] ip6(long mac, String source, int protocol, byte[] payload) {
        return Packets.join(
                Packets.ethernet(Lab.BROADCAST, mac, 0x86DD),
                Packets.ipv6(source, "ff02::1", protocol, payload));
    }

    private static byte[] arp(long mac, long sender, String ip) {
        return Packets.join(
                Packets.ethernet(Lab.BROADCAST, mac, 0x806),
                Packets.arp(2, sender, ip, "10.0.0.9"));
    }

    /// Neighbour advertisement (136) or solicitation (135) with a link-layer option.
    private static byte[] nd(int type, String target, int option, long linkLayer) {
        ByteBuffer b = ByteBuffer.allocate(32);
        b.put((byte) type).put((byte) 0).putShort((short) 0).putInt(0).put(Packets.address(target));
        b.put((byte) option).put((byte) 1);
        b.putShort((short) (linkLayer >>> 32)).putInt((int) linkLayer);
        return b.array();
    }

    @Test
    void n40_onlyThePinnedMac() {
        passes(ip4(ME, "10.0.0.1", 17, new byte[20]));
        isDropped(ip4(OTHER, "10.0.0.1", 17, new byte[20]));
    }

    @Test
    void n47_onlyPinnedIpAddresses() {
        isDropped(ip4(ME, "10.0.0.2", 17, new byte[20]));
        isDropped(ip4(ME, "127.0.0.1", 17, new byte[20]));
        isDropped(ip4(ME, "169.254.169.254", 17, new byte[20]));
        passes(ip6(ME, "fd00::1", 17, new byte[20]));
        passes(ip6(ME, LINK_LOCAL, 17, new byte[20]));
        passes(ip6(ME, "::", 17, new byte[20]));
        isDropped(ip6(ME, "fd00::2", 17, new byte[20]));
        isDropped(ip6(ME, "fe80::216:3eff:fe00:2", 17, new byte[20]));
    }

    @Test
    void tagsDoNotHideAnAddress() {
        isDropped(
                Packets.join(
                        Packets.ethernet(Lab.BROADCAST, ME, 0x800, 0x8100, 0),
                        Packets.ipv4("10.0.0.2", "10.0.0.9", 17, new byte[20], 0)));
        isDropped(
                Packets.join(
                        Packets.ethernet(Lab.BROADCAST, ME, 0x800, 0x8100, 0, 0x8100, 1, 0x8100, 1),
                        Packets.ipv4("10.0.0.1", "10.0.0.9", 17, new byte[20], 0)));
        byte[] snap = Lab.frame(Lab.BROADCAST, ME, 100);
        snap[12] = 0;
        snap[13] = 86;
        isDropped(snap);
    }

    @Test
    void n41_arpNamesThePortsOwnAddresses() {
        passes(arp(ME, ME, "10.0.0.1"));
        passes(arp(ME, ME, "0.0.0.0"));
        isDropped(arp(ME, ME, "10.0.0.2"));
        isDropped(arp(ME, OTHER, "10.0.0.1"));
        byte[] cut = Arrays.copyOf(arp(ME, ME, "10.0.0.1"), 41);
        isDropped(cut);
        byte[] odd = arp(ME, ME, "10.0.0.1");
        odd[18] = 8; // hardware addresses of eight bytes: everything lies elsewhere
        isDropped(odd);
    }

    @Test
    void n41_neighbourDiscoveryNamesThePortsOwnAddresses() {
        passes(ip6(ME, LINK_LOCAL, 58, nd(136, "fd00::1", 2, ME)));
        isDropped(ip6(ME, LINK_LOCAL, 58, nd(136, "fd00::2", 2, ME)));
        isDropped(ip6(ME, LINK_LOCAL, 58, nd(136, "fd00::1", 2, OTHER)));
        passes(ip6(ME, LINK_LOCAL, 58, nd(135, "fd00::9", 1, ME)));
        isDropped(ip6(ME, LINK_LOCAL, 58, nd(135, "fd00::9", 1, OTHER)));
        byte[] endless = nd(136, "fd00::1", 2, ME);
        endless[25] = 0;
        isDropped(ip6(ME, LINK_LOCAL, 58, endless));
        isDropped(ip6(ME, LINK_LOCAL, 58, nd(134, "fd00::1", 1, ME)));
        isDropped(ip6(ME, LINK_LOCAL, 58, nd(137, "fd00::1", 2, ME)));
        // Behind an extension header, and behind more of them than are looked at.
        for (int headers : new int[] {1, 8, 9}) {
            int[] types = new int[headers];
            byte[][] bodies = new byte[headers][];
            Arrays.fill(types, FrameLayers.DESTINATION);
            Arrays.fill(bodies, new byte[] {0, 1, 4, 0, 0, 0, 0});
            isDropped(
                    Packets.join(
                            Packets.ethernet(Lab.BROADCAST, ME, 0x86DD),
                            Packets.ipv6(
                                    LINK_LOCAL,
                                    "ff02::1",
                                    58,
                                    nd(136, "fd00::2", 2, ME),
                                    types,
                                    bodies)));
        }
        // In a first fragment (RFC 6980).
        isDropped(
                Packets.join(
                        Packets.ethernet(Lab.BROADCAST, ME, 0x86DD),
                        Packets.ipv6(
                                LINK_LOCAL,
                                "ff02::1",
                                58,
                                nd(136, "fd00::1", 2, ME),
                                new int[] {FrameLayers.FRAGMENT},
                                new byte[] {0, 0, 1, 0, 0, 0, 1})));
    }

    @Test
    void aGuestCanStillGetItsAddress() {
        passes(ip4(ME, "0.0.0.0", 17, Packets.udp(68, 67, 0, new byte[240])));
        isDropped(ip4(ME, "0.0.0.0", 17, Packets.udp(67, 68, 0, new byte[240])));
        isDropped(ip4(ME, "0.0.0.0", 6, new byte[40]));
    }

    @Test
    void badPinsAreNamed() {
        assertEquals(
                "'00:16:3e:00:00' is no MAC address",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> MacAddress.parse("00:16:3e:00:00"))
                        .getMessage());
        assertThrows(
                IllegalArgumentException.class,
                () -> AddressPins.of(new MacAddress(ME), List.of("web.example.org")));
        assertThrows(
                IllegalArgumentException.class,
                () -> AddressPins.of(new MacAddress(ME), List.of("224.0.0.1")));
        assertThrows(
                IllegalArgumentException.class,
                () -> AddressPins.of(new MacAddress(Lab.BROADCAST)));
    }
}
