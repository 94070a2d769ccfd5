package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// In steady state a NAT allocates nothing for a packet: of a known connection or a new one,
/// fragments, hairpin, and what is refused.
@Timeout(120)
class NatAllocationTest {
    private final Nat nat =
            new Nat(
                    NatSettings.of(
                            RouterInterface.of("guests", "10.0.0.1/24"),
                            RouterInterface.of("uplink", NatTest.PUBLIC + "/24", "up"),
                            "198.51.100.1"));
    private final Lab lab = new Lab(nat);
    private final Guest a = new Guest(lab, "a", 1, "10.0.0.2");
    private final Guest up = new Guest(lab, "up", 2, "198.51.100.1");
    private final Frame frame = new Frame();

    private PortLink counting(Guest guest) {
        PortSettings settings = guest.port.link.settings();
        guest.port.link.detach();
        return lab.network.attach(
                new SwitchAllocationTest.Copying(), settings, PortCapabilities.plain(1500));
    }

    private void receive(PortLink link, byte[] bytes) {
        frame.reset();
        frame.append(Lab.copy(bytes), 0, bytes.length);
        link.receive(frame);
        link.endBatch();
    }

    private static byte[] packet(int protocol, int fragment, byte[] data) {
        return RoutedPackets.v4("10.0.0.2", NatTest.FAR, protocol, data, 64, fragment);
    }

    private static byte[] udp() {
        return RoutedPackets.udp("10.0.0.2", 5000, NatTest.FAR, 53, new byte[400]);
    }

    @Test
    void n46_connectionsKnownAndNewFragmentsAndRefusals() {
        PortLink from = counting(a);
        PortLink to = counting(up);
        receive(from, a.arpRequest("10.0.0.2", "10.0.0.1"));
        receive(to, up.arpRequest("198.51.100.1", NatTest.PUBLIC));
        MemorySegment[] frames = {
            Lab.copy(a.framed(packet(17, 0, udp()))),
            Lab.copy(a.framed(packet(17, 0x2000, udp()))),
            Lab.copy(a.framed(packet(17, 51, new byte[96]))),
            Lab.copy(a.framed(packet(47, 0, new byte[96])))
        };
        SwitchAllocationTest.allocatesNothing(
                n -> {
                    for (int i = 0; i < n; i++) {
                        MemorySegment bytes = frames[i % frames.length];
                        frame.reset();
                        frame.append(bytes, 0, (int) bytes.byteSize());
                        if (i % frames.length == 0) {
                            frame.putU16(36, i & 0x3FFF); // another far port: a new connection
                        } else {
                            // Another packet's fragments: its id, and the header's checksum.
                            int id = i / frames.length & 0xFFF;
                            int sum = frame.u16(24);
                            frame.putU16(24, InternetChecksum.updated(sum, frame.u16(18), id));
                            frame.putU16(18, id);
                        }
                        from.receive(frame);
                        if (i % 32 == 0) {
                            lab.nanos += 1_000_000;
                            from.endBatch();
                        }
                    }
                });
        long forwarded = nat.counters().get(RouterCounter.FORWARDED);
        assertEquals(to.counters().get(PortCounter.OUT_FRAMES), forwarded + 1, "and an ARP reply");
        assertTrue(forwarded >= 20 * 14_000, forwarded + " forwarded");
        assertTrue(nat.counters().get(RouterCounter.EVICTED) > 10_000);
    }
}
