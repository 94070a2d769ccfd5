package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A router against one that tries every route in turn: random guests, packets, splits, changes of
/// the settings and pauses, and after each packet exactly what the model says has come out, and
/// nothing anywhere else.
///
/// A seed can be played again with `-Dsplitring.seed=N`.
class RouterModelTest {
    private static final String[] V4 = {
        "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.2.0.2", "192.0.2.5", "198.51.100.6"
    };
    private static final String[] V6 = {
        "2001:db8:1::2",
        "2001:db8:1::3",
        "2001:db8:1::4",
        "2001:db8:2::2",
        "2001:db8:3::5",
        "2001:db8:4::6"
    };
    private static final String[] OWN_V4 = {"10.1.0.1", "10.2.0.1", "192.0.2.1"};
    private static final String[] OWN_V6 = {"2001:db8:1::1", "2001:db8:2::1"};

    /// Prefixes that may be routed to a guest, and addresses inside.
    private static final String[][] ROUTES = {
        {"10.8.0.0/13", "10.2.0.2", "10.9.0.5"},
        {"10.9.0.0/16", "10.1.0.3", "10.9.0.5"},
        {"10.9.0.4/30", "192.0.2.5", "10.9.0.5"},
        {"0.0.0.0/0", "10.2.0.2", "203.0.113.9"},
        {"2001:db8:900::/40", "2001:db8:2::2", "2001:db8:900::7"},
        {"2001:db8:900::4/126", "2001:db8:1::4", "2001:db8:900::7"},
        {"::/0", "2001:db8:3::5", "2620::1"}
    };

    private final List<StaticRoute> routes = new ArrayList<>();
    private final Router router = new Router(settings());
    private final Lab lab = new Lab(router);
    private final List<Guest> guests = new ArrayList<>();

    private RouteSettings settings() {
        List<HostRoute> hosts =
                List.of(
                        HostRoute.of("192.0.2.5", "p4"),
                        HostRoute.of("2001:db8:3::5", "p4"),
                        HostRoute.of("198.51.100.6", "p5"),
                        HostRoute.of("2001:db8:4::6", "p5"));
        return RouteSettings.of(
                        List.of(
                                two("lan", "10.1.0.1/24", "2001:db8:1::1/64", "p0", "p1", "p2"),
                                two("dmz", "10.2.0.1/24", "2001:db8:2::1/64", "p3"),
                                RouterInterface.of("hosts", "192.0.2.1", "p4", "p5")
                                        .withHosts(hosts)))
                .withRoutes(routes);
    }

    private static RouterInterface two(String name, String v4, String v6, String... ports) {
        return RouterInterface.of(name, v4, ports)
                .withAddresses(List.of(InterfaceAddress.parse(v4), InterfaceAddress.parse(v6)));
    }

    // ---- the model

    /// Which guest an address leads to; null for nobody.
    private @Nullable Integer owner(String address) {
        for (int i = 0; i < V4.length; i++) {
            if (V4[i].equals(address) || V6[i].equals(address)) {
                return i;
            }
        }
        StaticRoute best = null;
        for (StaticRoute each : routes) {
            IpPrefix to = IpPrefix.parse(address);
            boolean fits =
                    each.prefix().first().compareTo(to.first()) <= 0
                            && each.prefix().last().compareTo(to.last()) >= 0
                            && each.via().getAddress().length == to.address().getAddress().length;
            if (fits && (best == null || best.prefix().bits() < each.prefix().bits())) {
                best = each;
            }
        }
        if (best == null) {
            return null;
        }
        String via = best.via().getHostAddress();
        for (int i = 0; i < V4.length; i++) {
            if (RoutedPackets.text(Packets.address(V4[i])).equals(via)
                    || RoutedPackets.text(Packets.address(V6[i])).equals(via)) {
                return i;
            }
        }
        throw new IllegalStateException(via);
    }

    /// What comes out: at which guest, and the packet, or the type and code of an error.
    private Map<Integer, Object> expected(int from, String source, String to, byte[] packet) {
        boolean v4 = packet[0] >>> 4 == 4;
        boolean own =
                Arrays.asList(OWN_V4).contains(source) || Arrays.asList(OWN_V6).contains(source);
        Integer comesFrom = own ? null : owner(source);
        if (comesFrom == null || comesFrom != from) {
            return Map.of();
        }
        if (Arrays.asList(OWN_V4).contains(to) || Arrays.asList(OWN_V6).contains(to)) {
            return Map.of(from, v4 ? "3/3" : "1/4");
        }
        Integer goesTo = owner(to);
        if (goesTo == null) {
            return Map.of(from, v4 ? "3/0" : "1/0");
        }
        if ((packet[v4 ? 8 : 7] & 0xFF) <= 1) {
            return Map.of(from, v4 ? "11/0" : "3/0");
        }
        int mtu = guests.get(goesTo).port.link.capabilities().mtu();
        if (packet.length > mtu && !v4) {
            return Map.of(from, "2/0");
        }
        if (packet.length > mtu && (packet[6] & 0x40) != 0) {
            return Map.of(from, "3/4");
        }
        return Map.of(goesTo, RoutedPackets.forwarded(packet));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6})
    void everyPacketGoesWhereTheModelSaysAndNowhereElse(int round) {
        long seed = Long.getLong("splitring.seed", 20_261_126L + round);
        System.out.println("RouterModelTest seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < V4.length; i++) {
            PortCapabilities capabilities =
                    i % 2 == 0
                            ? PortCapabilities.everything(i == 2 ? 1300 : 1500)
                            : PortCapabilities.plain(1500);
            guests.add(new Guest(lab, "p" + i, i + 1, capabilities, V4[i], V6[i]));
        }
        Map<String, Integer> outcomes = new TreeMap<>();
        for (int step = 0; step < 3000; step++) {
            if (random.nextInt(30) == 0) {
                routes.clear();
                for (String[] each : ROUTES) {
                    if (random.nextInt(3) > 0) {
                        routes.add(StaticRoute.of(each[0], each[1]));
                    }
                }
                router.configure(settings());
            }
            lab.nanos += 100_000_000L;
            if (random.nextInt(100) == 0) {
                lab.sleepSeconds(random.nextInt(2 * NeighbourTable.LIFE_SECONDS));
            }
            if (random.nextInt(10) == 0) {
                lab.network.tick();
            }
            int from = random.nextInt(V4.length);
            boolean v4 = random.nextBoolean();
            String source = random.nextInt(10) > 0 ? (v4 ? V4 : V6)[from] : destination(random, v4);
            String to = destination(random, v4);
            byte[] packet = packet(random, source, to, v4);
            boolean partial = random.nextInt(3) == 0;
            int[] cuts = random.ints(random.nextInt(6), 1, packet.length + 13).sorted().toArray();
            Guest sender = guests.get(from);
            Lab.fill(sender.port.frame, sender.framed(packet), cuts);
            if (partial) {
                sender.port.frame.partialChecksumFromHeaders();
            }
            sender.port.sendFrame();
            Guest.settle(guests);
            Map<Integer, Object> expected = expected(from, source, to, packet);
            String what = "step " + step + " " + source + " to " + to + " seed " + seed;
            for (int i = 0; i < guests.size(); i++) {
                Object outcome = compare(expected.get(i), guests.get(i).take(), packet, what);
                outcomes.merge(String.valueOf(outcome), 1, Integer::sum);
            }
        }
        for (String each :
                new String[] {
                    "forwarded", "fragments", "3/3", "3/0", "3/4", "11/0", "1/4", "2/0"
                }) {
            assertTrue(outcomes.getOrDefault(each, 0) > 3, each + " of " + outcomes);
        }
    }

    private static String destination(Random random, boolean v4) {
        return switch (random.nextInt(8)) {
            case 0 -> v4 ? OWN_V4[random.nextInt(3)] : OWN_V6[random.nextInt(2)];
            case 1, 2 -> {
                String address;
                do {
                    address = ROUTES[random.nextInt(ROUTES.length)][2];
                } while (v4 == address.contains(":"));
                yield address;
            }
            default -> (v4 ? V4 : V6)[random.nextInt(V4.length)];
        };
    }

    private static byte[] packet(Random random, String from, String to, boolean v4) {
        byte[] data = new byte[random.nextInt(4) == 0 ? 1240 + random.nextInt(200) : 200];
        random.nextBytes(data);
        int ttl = random.nextInt(20) == 0 ? random.nextInt(2) : 2 + random.nextInt(254);
        byte[] udp = RoutedPackets.udp(from, random.nextInt(60000), to, 7, data);
        return v4
                ? RoutedPackets.v4(
                        from,
                        to,
                        17,
                        udp,
                        ttl,
                        random.nextBoolean() ? 0x4000 : 0,
                        random.nextInt(0x10000),
                        new byte[random.nextInt(3) == 0 ? 8 : 0])
                : RoutedPackets.v6(from, to, 17, udp, ttl);
    }

    /// Compares what one guest got with what it should have got.
    ///
    /// @return the kind of outcome; null for nothing
    private static @Nullable String compare(
            @Nullable Object expected, List<Lab.Got> got, byte[] sent, String what) {
        if (expected == null) {
            assertEquals(0, got.size(), what);
            return null;
        }
        assertTrue(!got.isEmpty(), what);
        if (expected instanceof String error) {
            assertEquals(1, got.size(), what);
            byte[] packet = RoutedPackets.packet(got.getFirst().bytes());
            assertTrue(RoutedPackets.isSound(packet), what);
            int l4 = packet[0] >>> 4 == 4 ? 20 : 40;
            assertEquals(error, (packet[l4] & 0xFF) + "/" + packet[l4 + 1], what);
            // The quoted packet as it came, but for a checksum that was partial.
            byte[] quoted = Arrays.copyOfRange(packet, l4 + 8, packet.length);
            int headers = sent[0] >>> 4 == 4 ? (sent[0] & 15) * 4 + 6 : 46;
            assertArrayEquals(Arrays.copyOf(sent, headers), Arrays.copyOf(quoted, headers), what);
            return error;
        }
        byte[] wanted = (byte[]) expected;
        if (got.size() == 1) {
            byte[] packet = RoutedPackets.packet(got.getFirst().bytes());
            if (got.getFirst().checksum() == ChecksumState.PARTIAL) {
                int at = got.getFirst().checksumStart() + got.getFirst().checksumOffset() - 14;
                packet[at] = wanted[at];
                packet[at + 1] = wanted[at + 1];
            }
            assertArrayEquals(wanted, packet, what);
            return "forwarded";
        }
        byte[] data = {};
        int l4 = (wanted[0] & 15) * 4;
        for (Lab.Got each : got) {
            byte[] packet = RoutedPackets.packet(each.bytes());
            assertTrue(RoutedPackets.isSound(packet), what);
            assertTrue(packet.length <= 1300, what);
            assertEquals(data.length / 8, Packets.u16(packet, 6) & 0x1FFF, what);
            boolean more = (packet[6] & 0x20) != 0;
            assertEquals(data.length + packet.length < wanted.length, more, what);
            data = Packets.join(data, Arrays.copyOfRange(packet, l4, packet.length));
        }
        assertArrayEquals(Arrays.copyOfRange(wanted, l4, wanted.length), data, what);
        return "fragments";
    }
}
