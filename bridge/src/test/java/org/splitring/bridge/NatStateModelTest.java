package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What a NAT remembers between packets, against a model that remembers it plainly: the states of
/// TCP connections and how long each lasts, and which fragments have come.
///
/// A seed can be played again with `-Dsplitring.seed=N`.
class NatStateModelTest {
    private static final String PUBLIC = NatTest.PUBLIC;
    private static final String[] INSIDE = {"10.0.0.2", "10.0.0.3"};
    private static final String[] FAR = {"203.0.113.1", "203.0.113.2"};
    private static final int FIN = 1;
    private static final int SYN = 2;
    private static final int RST = 4;
    private static final int ACK = 16;
    private static final int FAR_PORT = 80;

    private final Nat nat =
            new Nat(
                    NatSettings.of(
                            RouterInterface.of("guests", "10.0.0.1/24"),
                            RouterInterface.of("uplink", PUBLIC + "/24", "up"),
                            "198.51.100.1"));
    private final Lab lab = new Lab(nat);
    private final Guest one = new Guest(lab, "g0", 1, INSIDE[0]);
    private final Guest two = new Guest(lab, "g1", 2, INSIDE[1]);
    private final Guest up = new Guest(lab, "up", 9, "198.51.100.1");
    private final List<Guest> guests = List.of(one, two, up);
    private final Map<String, Integer> outcomes = new TreeMap<>();

    /// A guest's address and port, and the far address.
    private record Flow(int guest, int port, String far) {}

    private static final class Connection {
        final int publicPort;
        final Set<String> spoken = new HashSet<>();
        final Set<String> finished = new HashSet<>();
        boolean reset;
        long usedSecond;

        Connection(int publicPort) {
            this.publicPort = publicPort;
        }

        /// RFC 5382: two hours and four minutes when it is established, and not when it is over.
        int lifeSeconds() {
            boolean over = reset || finished.size() == 2;
            return over || spoken.size() < 2 ? 30 : 7440;
        }

        boolean isAlive(long now) {
            return now - usedSecond < lifeSeconds();
        }

        void used(String side, int flags, long now) {
            spoken.add(side);
            if ((flags & RST) != 0) {
                reset = true;
            } else if ((flags & SYN) != 0) { // begins anew
                finished.clear();
                reset = false;
            } else if ((flags & FIN) != 0) {
                finished.add(side);
            } else if (finished.isEmpty()) {
                reset = false; // nobody believed it
            }
            usedSecond = now;
        }
    }

    private long now() {
        return lab.nanos / 1_000_000_000L;
    }

    private void count(String outcome) {
        outcomes.merge(outcome, 1, Integer::sum);
    }

    private static byte[] segment(String from, int fromPort, String to, int toPort, int flags) {
        byte[] tcp = RoutedPackets.tcp(from, fromPort, to, toPort, flags, new byte[20]);
        return RoutedPackets.v4(from, to, 6, tcp, 64, 0);
    }

    private static long seed(int round) {
        long seed = Long.getLong("splitring.seed", 20_261_126L + round);
        System.out.println("NatStateModelTest seed " + seed);
        return seed;
    }

    private void pass(Random random) {
        int[] often = {0, 0, 0, 1, 1, 5, 29, 30, 31};
        int seconds = often[random.nextInt(often.length)];
        lab.sleepSeconds(random.nextInt(40) == 0 ? 7438 + random.nextInt(4) : seconds);
        if (random.nextInt(3) == 0) {
            lab.network.tick();
            guests.forEach(g -> g.port.take());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4})
    void tcpConnectionsLiveAsLongAsTheirStateSays(int round) {
        long seed = seed(round);
        Random random = new Random(seed);
        Map<Flow, Connection> connections = new LinkedHashMap<>();
        int[] flags = {SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST, RST | ACK};
        for (int step = 0; step < 6000; step++) {
            pass(random);
            String what = "step " + step + " seed " + seed;
            Flow flow =
                    new Flow(random.nextInt(2), 3000 + random.nextInt(2), FAR[random.nextInt(2)]);
            int flag = flags[random.nextInt(flags.length)];
            Connection known = connections.get(flow);
            if (known != null && !known.isAlive(now())) {
                connections.remove(flow);
            }
            if (random.nextBoolean()) {
                fromGuest(connections, flow, flag, what);
            } else if (known != null && !isAnothers(connections, flow, known.publicPort)) {
                fromFar(known, connections.get(flow), flow, flag, what);
            }
            Guest.settle(guests);
            for (Guest each : guests) {
                assertEquals(List.of(), each.take(), "too much at " + each.address() + " " + what);
            }
        }
        for (String each : new String[] {"new", "known", "back", "expired", "reset of nothing"}) {
            assertTrue(outcomes.getOrDefault(each, 0) > 5, each + " of " + outcomes);
        }
    }

    /// Whether the port is another flow's by now, to the same far end.
    private boolean isAnothers(Map<Flow, Connection> connections, Flow flow, int publicPort) {
        return connections.entrySet().stream()
                .anyMatch(
                        each ->
                                !each.getKey().equals(flow)
                                        && each.getKey().far.equals(flow.far)
                                        && each.getValue().publicPort == publicPort
                                        && each.getValue().isAlive(now()));
    }

    private void fromGuest(Map<Flow, Connection> connections, Flow flow, int flag, String what) {
        Guest guest = guests.get(flow.guest);
        guest.send(segment(guest.address(), flow.port, flow.far, FAR_PORT, flag));
        Guest.settle(guests);
        List<Lab.Got> got = up.take();
        Connection known = connections.get(flow);
        if (known == null && (flag & RST) != 0) {
            assertEquals(0, got.size(), "a reset begins nothing: " + what);
            count("reset of nothing");
            return;
        }
        assertEquals(1, got.size(), what);
        byte[] out = RoutedPackets.packet(got.getFirst().bytes());
        int publicPort = Packets.u16(out, 20);
        if (known == null) {
            for (Map.Entry<Flow, Connection> each : connections.entrySet()) {
                boolean same = each.getKey().guest == flow.guest && each.getKey().port == flow.port;
                if (each.getValue().isAlive(now())) {
                    assertEquals(same, each.getValue().publicPort == publicPort, what);
                }
            }
            known = new Connection(publicPort);
            connections.put(flow, known);
            count("new");
        } else {
            assertEquals(known.publicPort, publicPort, what);
            count("known");
        }
        assertArrayEquals(
                RoutedPackets.forwarded(segment(PUBLIC, publicPort, flow.far, FAR_PORT, flag)),
                out,
                what);
        known.used("guest", flag, now());
    }

    /// @param alive the same as `known`; null when it has expired
    private void fromFar(
            Connection known, @Nullable Connection alive, Flow flow, int flag, String what) {
        Guest guest = guests.get(flow.guest);
        up.send(segment(flow.far, FAR_PORT, PUBLIC, known.publicPort, flag));
        Guest.settle(guests);
        if (alive == null) {
            up.take(); // a reset, where nobody has the port any more
            count("expired");
            return;
        }
        List<Lab.Got> got = guest.take();
        assertEquals(1, got.size(), what);
        assertArrayEquals(
                RoutedPackets.forwarded(
                        segment(flow.far, FAR_PORT, guest.address(), flow.port, flag)),
                RoutedPackets.packet(got.getFirst().bytes()),
                what);
        alive.used("far", flag, now());
        count("back");
    }

    // ---- fragments

    /// A packet under way: when its first fragment came, and which have passed.
    private record UnderWay(long beganSecond, Set<Integer> passed) {}

    /// What a fragment belongs to.
    private record Packet(int guest, String far, int id) {}

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4})
    void n45_fragmentsFollowTheirFirstOneAndComeOnce(int round) {
        long seed = seed(round);
        Random random = new Random(seed);
        int parts = 4;
        List<Map<Packet, UnderWay>> underWay =
                List.of(new LinkedHashMap<>(), new LinkedHashMap<>());
        for (int step = 0; step < 6000; step++) {
            String what = "step " + step + " seed " + seed;
            if (random.nextInt(40) == 0) {
                lab.sleepSeconds(1 + random.nextInt(8));
            }
            Packet packet =
                    new Packet(random.nextInt(2), FAR[random.nextInt(2)], random.nextInt(12));
            int part = random.nextInt(parts);
            Map<Packet, UnderWay> mine = underWay.get(packet.guest);
            UnderWay known = mine.get(packet);
            if (known != null && now() - known.beganSecond >= 30) {
                mine.remove(packet);
                known = null;
            }
            if (part == 0 && known == null) {
                if (mine.size() == NatLimits.DEFAULT.fragmentsPerGuest()) {
                    mine.remove(mine.keySet().iterator().next()); // the oldest
                    count("pushed out");
                }
                known = new UnderWay(now(), new HashSet<>());
                mine.put(packet, known);
            }
            boolean passes = known != null && known.passed.add(part);
            count(passes ? "passes" : known == null ? "before its first" : "again");
            fragment(packet, part, part == parts - 1, passes, what);
        }
        for (String each : new String[] {"passes", "before its first", "again", "pushed out"}) {
            assertTrue(outcomes.getOrDefault(each, 0) > 5, each + " of " + outcomes);
        }
    }

    private void fragment(Packet packet, int part, boolean last, boolean passes, String what) {
        Guest guest = guests.get(packet.guest);
        byte[] whole =
                RoutedPackets.udp(
                        guest.address(), 5000, packet.far, 6000, Packets.counting(4 * 400 - 8));
        byte[] piece = Arrays.copyOfRange(whole, part * 400, part * 400 + 400);
        int word = part * 50 | (last ? 0 : 0x2000);
        guest.send(RoutedPackets.v4(guest.address(), packet.far, 17, piece, 64, word, packet.id));
        Guest.settle(guests);
        List<byte[]> out = new ArrayList<>();
        up.take().forEach(got -> out.add(RoutedPackets.packet(got.bytes())));
        for (Guest each : guests) {
            assertEquals(List.of(), each.take(), "too much at " + each.address() + " " + what);
        }
        assertEquals(passes ? 1 : 0, out.size(), what);
        if (passes) {
            byte[] got = out.getFirst();
            assertArrayEquals(Packets.address(PUBLIC), Arrays.copyOfRange(got, 12, 16), what);
            assertArrayEquals(Packets.address(packet.far), Arrays.copyOfRange(got, 16, 20), what);
            assertEquals(word, Packets.u16(got, 6), what);
            assertEquals(packet.id, Packets.u16(got, 4), what);
            int from = part == 0 ? 8 : 0; // the UDP header has another port and checksum
            assertArrayEquals(
                    Arrays.copyOfRange(piece, from, 400),
                    Arrays.copyOfRange(got, 20 + from, got.length),
                    what);
        }
    }
}
