package org.splitring.bridge;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// A host at a port of a router: has a MAC address and IP addresses, answers ARP and neighbour
/// solicitations for them, and keeps everything else.
final class Guest {
    static final long ROUTER = RouterInterface.BACKEND_MAC.value();

    final Lab.Port port;
    final long mac;
    final List<String> addresses;
    final List<Lab.Got> received = new ArrayList<>();
    boolean silent;

    Guest(Lab lab, String name, int number, PortCapabilities capabilities, String... addresses) {
        port = lab.port(PortSettings.of(name), capabilities);
        mac = Lab.mac(number);
        this.addresses = new ArrayList<>();
        for (String each : addresses) {
            this.addresses.add(RoutedPackets.text(Packets.address(each)));
        }
    }

    Guest(Lab lab, String name, int number, String... addresses) {
        this(lab, name, number, PortCapabilities.everything(1500), addresses);
    }

    String address() {
        return addresses.getFirst();
    }

    /// Says where its addresses are.
    void announce() {
        for (String each : addresses) {
            if (!each.contains(":")) {
                port.send(arpRequest(each, each));
            } else {
                port.send(advertisement(each));
            }
        }
        port.take();
    }

    byte[] arpRequest(String sender, String target) {
        return Packets.join(
                Packets.ethernet(Lab.BROADCAST, mac, 0x806), Packets.arp(1, mac, sender, target));
    }

    /// A neighbour solicitation for `target`.
    byte[] solicitation(String sender, String target) {
        byte[] option = ByteBuffer.allocate(8).putShort((short) 0x0101).put(macBytes()).array();
        return neighbour(135, sender, "ff02::1:ff00:1", target, 0, option);
    }

    private byte[] advertisement(String target) {
        byte[] option = ByteBuffer.allocate(8).putShort((short) 0x0201).put(macBytes()).array();
        return neighbour(136, target, "ff02::1", target, 0x2000_0000, option);
    }

    private byte[] macBytes() {
        return Arrays.copyOfRange(ByteBuffer.allocate(8).putLong(mac).array(), 2, 8);
    }

    byte[] neighbour(int type, String from, String to, String target, int flags, byte[] option) {
        byte[] message =
                Packets.join(
                        new byte[] {(byte) type, 0, 0, 0},
                        ByteBuffer.allocate(4).putInt(flags).array(),
                        Packets.address(target),
                        option);
        RoutedPackets.fillChecksum(message, 2, RoutedPackets.pseudoV6(from, to, message, 58));
        byte[] packet = Packets.ipv6(from, to, 58, message);
        packet[7] = (byte) 255;
        return Packets.join(Packets.ethernet(0x3333_0000_0001L, mac, 0x86DD), packet);
    }

    /// Sends an IP packet to the router.
    void send(byte[] packet, int... cuts) {
        Lab.fill(port.frame, framed(packet), cuts);
        port.sendFrame();
    }

    byte[] framed(byte[] packet) {
        return Packets.join(
                Packets.ethernet(ROUTER, mac, packet[0] >>> 4 == 4 ? 0x800 : 0x86DD), packet);
    }

    /// Answers questions for its addresses and keeps the rest.
    ///
    /// @return whether there was anything
    boolean answer() {
        List<Lab.Got> all = port.take();
        for (Lab.Got got : all) {
            byte[] b = got.bytes();
            int type = Packets.u16(b, 12);
            if (type == 0x806) {
                String target = RoutedPackets.text(Arrays.copyOfRange(b, 38, 42));
                String sender = RoutedPackets.text(Arrays.copyOfRange(b, 28, 32));
                if (b[21] == 1 && addresses.contains(target) && !silent) {
                    port.send(
                            Packets.join(
                                    Packets.ethernet(ROUTER, mac, 0x806),
                                    Packets.arp(
                                            2, mac, /* sender= */ target, /* target= */ sender)));
                }
            } else if (type == 0x86DD && b[20] == 58 && b[54] == (byte) 135) {
                String target = RoutedPackets.text(Arrays.copyOfRange(b, 62, 78));
                if (addresses.contains(target) && !silent) {
                    port.send(advertisement(target));
                }
            } else {
                received.add(got);
            }
        }
        return !all.isEmpty();
    }

    List<Lab.Got> take() {
        List<Lab.Got> all = List.copyOf(received);
        received.clear();
        return all;
    }

    /// Lets guests answer until nobody has anything to say.
    static void settle(List<Guest> guests) {
        boolean any = true;
        while (any) {
            any = false;
            for (Guest each : guests) {
                any |= each.answer();
            }
        }
    }
}
