package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// In steady state a router allocates nothing for a packet: routed, refused with an error, asked
/// for, answered.
@Timeout(120)
class RouterAllocationTest {
    private final Router router =
            new Router(
                    RouteSettings.of(
                            List.of(
                                    RouterInterface.of("lan", "10.1.0.1/16", "a", "c")
                                            .withAddresses(
                                                    List.of(
                                                            InterfaceAddress.parse("10.1.0.1/16"),
                                                            InterfaceAddress.parse(
                                                                    "2001:db8:1::1/64"))),
                                    RouterInterface.of("dmz", "10.2.0.1/24", "b")
                                            .withAddresses(
                                                    List.of(
                                                            InterfaceAddress.parse("10.2.0.1/24"),
                                                            InterfaceAddress.parse(
                                                                    "2001:db8:2::1/64"))))));
    private final Lab lab = new Lab(router);
    private final Guest a = new Guest(lab, "a", 1, "10.1.0.2", "2001:db8:1::2");
    private final Guest b = new Guest(lab, "b", 2, "10.2.0.2", "2001:db8:2::2");
    private final Frame frame = new Frame();

    /// Replaces a guest's port by one that counts only.
    private PortLink counting(Guest guest) {
        PortSettings settings = guest.port.link.settings();
        guest.port.link.detach();
        return lab.network.attach(
                new SwitchAllocationTest.Copying(), settings, PortCapabilities.plain(1500));
    }

    @Test
    void routedPackets() {
        PortLink from = counting(a);
        PortLink to = counting(b);
        byte[][] packets = {
            udp("10.1.0.2", "10.2.0.2", 400),
            udp("2001:db8:1::2", "2001:db8:2::2", 400),
            udp("10.1.0.2", "10.99.0.1", 400), // no route: an error, or the limit of them
            udp("10.1.0.2", "10.1.0.1", 400) // to the router
        };
        MemorySegment[] frames = new MemorySegment[packets.length];
        for (int i = 0; i < frames.length; i++) {
            frames[i] = Lab.copy(a.framed(packets[i]));
        }
        receive(from, a.arpRequest("10.1.0.2", "10.1.0.1"));
        receive(to, b.arpRequest("10.2.0.2", "10.2.0.1"));
        receive(from, a.solicitation("2001:db8:1::2", "2001:db8:1::1"));
        receive(to, b.solicitation("2001:db8:2::2", "2001:db8:2::1"));
        SwitchAllocationTest.allocatesNothing(
                n -> {
                    for (int i = 0; i < n; i++) {
                        MemorySegment bytes = frames[i % frames.length];
                        frame.reset();
                        frame.append(bytes, 0, (int) bytes.byteSize());
                        if (i % frames.length < 2) {
                            frame.partialChecksumFromHeaders();
                        }
                        from.receive(frame);
                        if (i % 32 == 0) {
                            lab.nanos += 100_000;
                            from.endBatch();
                        }
                    }
                });
        assertEquals(
                to.counters().get(PortCounter.OUT_CHECKSUMS),
                router.counters().get(RouterCounter.FORWARDED));
        assertTrue(router.counters().get(RouterCounter.FORWARDED) >= 20 * 9_000);
    }

    @Test
    void n51_scansOfASubnet() {
        PortLink from = counting(a);
        receive(from, a.arpRequest("10.1.0.2", "10.1.0.1"));
        MemorySegment bytes = Lab.copy(a.framed(udp("10.1.0.2", "10.1.7.7", 30)));
        SwitchAllocationTest.allocatesNothing(
                n -> {
                    for (int i = 0; i < n; i++) {
                        frame.reset();
                        frame.append(bytes, 0, (int) bytes.byteSize());
                        int sum = frame.u16(24);
                        frame.putU16(24, InternetChecksum.updated(sum, 0x0707, i & 0xFFF));
                        frame.putU16(32, i & 0xFFF);
                        from.receive(frame);
                        if (i % 32 == 0) {
                            lab.nanos += 10_000_000;
                            from.endBatch();
                            lab.network.tick();
                        }
                    }
                });
        assertTrue(router.counters().get(RouterCounter.DROPPED_UNREACHABLE) > 100);
    }

    private void receive(PortLink link, byte[] bytes) {
        frame.reset();
        frame.append(Lab.copy(bytes), 0, bytes.length);
        link.receive(frame);
        link.endBatch();
    }

    private static byte[] udp(String from, String to, int size) {
        byte[] udp = RoutedPackets.udp(from, 1, to, 2, new byte[size]);
        return from.contains(":")
                ? RoutedPackets.v6(from, to, 17, udp, 64)
                : RoutedPackets.v4(from, to, 17, udp, 64, 0);
    }
}
