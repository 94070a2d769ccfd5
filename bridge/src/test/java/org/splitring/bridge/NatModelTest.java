package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A NAT against maps that remember everything: random guests, both directions, forwards, hairpin,
/// errors, expiry, pauses and changes of the settings. Which public port a new connection gets is
/// the NAT's choice, which the model learns from the packet that comes out; all else it knows
/// before.
///
/// A seed can be played again with `-Dsplitring.seed=N`.
class NatModelTest {
    private static final String PUBLIC = NatTest.PUBLIC;
    private static final String[] INSIDE = {"10.0.0.2", "10.0.0.3", "10.0.0.4"};
    private static final String[] FAR = {"203.0.113.1", "203.0.113.2", "203.0.113.3"};
    private static final int HALF_OPEN = 30;
    private static final int UDP_SECONDS = 300;
    private static final int ICMP_SECONDS = 60;

    /// One end of a connection.
    private record End(String address, int port) {}

    /// A guest's end and the far one, for a protocol.
    private record Flow(int protocol, End guest, End far) {}

    private static final class Connection {
        final Flow flow;
        final int publicPort;
        boolean fromGuest;
        boolean fromFar;
        long usedSecond;

        Connection(Flow flow, int publicPort) {
            this.flow = flow;
            this.publicPort = publicPort;
        }

        boolean isAlive(long now) {
            int life =
                    !fromGuest || !fromFar
                            ? HALF_OPEN
                            : flow.protocol == 17 ? UDP_SECONDS : ICMP_SECONDS;
            return now - usedSecond < life;
        }
    }

    private final Map<Flow, Connection> connections = new HashMap<>();
    private final Map<String, End> forwards = new TreeMap<>();
    private final Nat nat = new Nat(settings());
    private final Lab lab = new Lab(nat);
    private final List<Guest> guests = new ArrayList<>();
    private final Map<String, Integer> outcomes = new TreeMap<>();

    private NatSettings settings() {
        return NatSettings.of(
                        RouterInterface.of("guests", "10.0.0.1/24"),
                        RouterInterface.of("uplink", PUBLIC + "/24", "up"),
                        "198.51.100.1")
                .withForwards(
                        forwards.entrySet().stream()
                                .map(
                                        e ->
                                                PortForward.udp(
                                                        Integer.parseInt(e.getKey()),
                                                        e.getValue().address,
                                                        e.getValue().port))
                                .toList());
    }

    private long now() {
        return lab.nanos / 1_000_000_000L;
    }

    private @Nullable Connection alive(Flow flow) {
        Connection found = connections.get(flow);
        if (found != null && !found.isAlive(now())) {
            connections.remove(flow);
            return null;
        }
        return found;
    }

    private Set<Integer> portsInUse(int protocol) {
        Set<Integer> used = new HashSet<>();
        for (Connection each : connections.values()) {
            if (each.flow.protocol == protocol && each.isAlive(now())) {
                used.add(each.publicPort);
            }
        }
        return used;
    }

    private static byte[] packet(int protocol, End from, End to, byte[] data, boolean reply) {
        if (protocol == 17) {
            byte[] udp = RoutedPackets.udp(from.address, from.port, to.address, to.port, data);
            return RoutedPackets.v4(from.address, to.address, 17, udp, 64, 0);
        }
        int id = reply ? to.port : from.port;
        byte[] icmp = RoutedPackets.icmp(reply ? 0 : 8, 0, id << 16, data);
        return RoutedPackets.v4(from.address, to.address, 1, icmp, 64, 0);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6})
    void everyPacketIsWhatTheModelSaysAndNoneGoesElsewhere(int round) {
        long seed = Long.getLong("splitring.seed", 20_261_126L + round);
        System.out.println("NatModelTest seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < INSIDE.length; i++) {
            guests.add(new Guest(lab, "g" + i, i + 1, INSIDE[i]));
        }
        guests.add(new Guest(lab, "up", 9, "198.51.100.1"));
        for (int step = 0; step < 4000; step++) {
            lab.sleepSeconds(1);
            if (random.nextInt(60) == 0) {
                lab.sleepSeconds(random.nextInt(400));
            }
            if (random.nextInt(5) == 0) {
                lab.network.tick();
            }
            if (random.nextInt(50) == 0) {
                changeForwards(random);
            }
            String what = "step " + step + " seed " + seed;
            switch (random.nextInt(10)) {
                case 0, 1, 2, 3 -> fromGuest(random, what);
                case 4, 5, 6 -> fromFar(random, what);
                case 7, 8 -> hairpin(random, what);
                default -> error(random, what);
            }
            for (Guest each : guests) {
                assertEquals(List.of(), each.take(), "too much at " + each.address() + " " + what);
            }
        }
        for (String each :
                new String[] {
                    "new",
                    "known",
                    "back",
                    "forward",
                    "closed",
                    "hairpin",
                    "error",
                    "forged",
                    "unsolicited"
                }) {
            assertTrue(outcomes.getOrDefault(each, 0) > 5, each + " of " + outcomes);
        }
    }

    private void changeForwards(Random random) {
        Map<String, End> before = new HashMap<>(forwards);
        forwards.clear();
        Set<End> ends = new HashSet<>();
        for (int port = 2000; port < 2003; port++) {
            End end = new End(INSIDE[random.nextInt(3)], 3000 + random.nextInt(3));
            if (random.nextInt(3) > 0 && ends.add(end)) {
                forwards.put("" + port, end);
            }
        }
        nat.configure(settings());
        // Gone with their forward, or pushed off the port by a new one.
        connections
                .values()
                .removeIf(
                        c ->
                                c.flow.protocol == 17
                                        && !Objects.equals(
                                                before.get("" + c.publicPort),
                                                forwards.get("" + c.publicPort)));
    }

    private byte[] exchange(
            Guest from, byte[] packet, @Nullable Guest to, Random random, String what) {
        int[] cuts = random.ints(random.nextInt(5), 1, packet.length + 13).sorted().toArray();
        Lab.fill(from.port.frame, from.framed(packet), cuts);
        if (random.nextBoolean()) {
            from.port.frame.partialChecksumFromHeaders();
        }
        from.port.sendFrame();
        Guest.settle(guests);
        if (to == null) {
            return new byte[0];
        }
        List<Lab.Got> got = to.take();
        assertEquals(1, got.size(), what);
        byte[] out = RoutedPackets.packet(got.getFirst().bytes());
        if (got.getFirst().checksum() == ChecksumState.PARTIAL) {
            byte[] upper = Arrays.copyOfRange(out, 20, out.length);
            RoutedPackets.fillUdpChecksum(
                    upper, Packets.join(Arrays.copyOfRange(out, 12, 20), pseudo(upper)));
            // What was partial was the right sum of the pseudo header.
            int sum = Packets.sum(Packets.join(Arrays.copyOfRange(out, 12, 20), pseudo(upper)));
            assertEquals(sum % 0xFFFF, Packets.u16(out, 26) % 0xFFFF, what);
            System.arraycopy(upper, 6, out, 26, 2);
        }
        assertTrue(RoutedPackets.isSound(out), what);
        return out;
    }

    private static byte[] pseudo(byte[] upper) {
        return new byte[] {0, 17, (byte) (upper.length >>> 8), (byte) upper.length};
    }

    private Guest guest(String address) {
        return guests.stream().filter(g -> g.address().equals(address)).findFirst().orElseThrow();
    }

    private Guest up() {
        return guests.getLast();
    }

    private static byte[] data(Random random) {
        byte[] data = new byte[1 + random.nextInt(600)];
        random.nextBytes(data);
        return data;
    }

    private static void assertPacket(byte[] expected, byte[] got, String what) {
        byte[] next = RoutedPackets.forwarded(expected);
        if (!Arrays.equals(next, got)) {
            // UDP may write a checksum of zero in one way only, so all bytes must agree.
            assertEquals(HexFormat.of().formatHex(next), HexFormat.of().formatHex(got), what);
        }
    }

    private void count(String outcome) {
        outcomes.merge(outcome, 1, Integer::sum);
    }

    private void fromGuest(Random random, String what) {
        int protocol = random.nextInt(4) == 0 ? 1 : 17;
        End guest = new End(INSIDE[random.nextInt(3)], 3000 + random.nextInt(4));
        End far = new End(FAR[random.nextInt(3)], protocol == 1 ? 0 : 1 + random.nextInt(2));
        byte[] data = data(random);
        Flow flow = new Flow(protocol, guest, far);
        byte[] out =
                exchange(
                        guest(guest.address),
                        packet(protocol, guest, far, data, false),
                        up(),
                        random,
                        what);
        int publicPort = Packets.u16(out, protocol == 1 ? 24 : 20);
        translated(flow, publicPort, what);
        assertPacket(packet(protocol, new End(PUBLIC, publicPort), far, data, false), out, what);
    }

    /// Checks which public port a guest's packet got, and remembers it.
    private void translated(Flow flow, int publicPort, String what) {
        Connection known = alive(flow);
        if (known != null) {
            assertEquals(known.publicPort, publicPort, what);
            count("known");
        } else {
            Integer mapped = null;
            for (Connection each : connections.values()) {
                if (each.flow.guest.equals(flow.guest)
                        && each.flow.protocol == flow.protocol
                        && each.isAlive(now())) {
                    mapped = each.publicPort;
                }
            }
            for (Map.Entry<String, End> each : forwards.entrySet()) {
                if (flow.protocol == 17 && each.getValue().equals(flow.guest)) {
                    mapped = Integer.parseInt(each.getKey());
                }
            }
            if (mapped != null) {
                assertEquals(mapped, publicPort, what);
            } else {
                assertTrue(!portsInUse(flow.protocol).contains(publicPort), what);
                assertTrue(flow.protocol != 17 || !forwards.containsKey("" + publicPort), what);
            }
            known = new Connection(flow, publicPort);
            connections.put(flow, known);
            count("new");
        }
        known.fromGuest = true;
        known.usedSecond = now();
    }

    /// The connection of a packet to a public port; null when nobody has it.
    private @Nullable Connection incoming(int protocol, int port, End far) {
        for (Connection each : List.copyOf(connections.values())) {
            if (each.flow.protocol == protocol
                    && each.publicPort == port
                    && each.flow.far.equals(far)
                    && alive(each.flow) != null) {
                return each;
            }
        }
        End forward = forwards.get("" + port);
        if (protocol == 17 && forward != null) {
            Flow flow = new Flow(17, forward, far);
            if (alive(flow) != null) {
                return null; // the two talk through another port already
            }
            Connection made = new Connection(flow, port);
            connections.put(flow, made);
            count("forward");
            return made;
        }
        return null;
    }

    /// Whether the port was somebody's until a while ago: it may be closed, or not yet.
    private boolean lingers(int protocol, int port) {
        return connections.values().stream()
                .anyMatch(
                        c ->
                                c.flow.protocol == protocol
                                        && c.publicPort == port
                                        && !c.isAlive(now()));
    }

    private int somePort(Random random, int protocol) {
        List<Integer> used = new ArrayList<>(new TreeSet<>(portsInUse(protocol)));
        return used.isEmpty() || random.nextInt(4) == 0
                ? 1999 + random.nextInt(5)
                : used.get(random.nextInt(used.size()));
    }

    private void fromFar(Random random, String what) {
        int protocol = random.nextInt(4) == 0 ? 1 : 17;
        int port = somePort(random, protocol);
        End far = new End(FAR[random.nextInt(3)], protocol == 1 ? 0 : 1 + random.nextInt(2));
        byte[] data = data(random);
        boolean taken =
                portsInUse(protocol).contains(port)
                        || (protocol == 17 && forwards.containsKey("" + port));
        Connection found = incoming(protocol, port, far);
        byte[] packet = packet(protocol, far, new End(PUBLIC, port), data, true);
        if (found == null) {
            boolean refused = !taken && protocol == 17;
            byte[] out =
                    exchange(
                            up(),
                            packet,
                            refused && !lingers(protocol, port) ? up() : null,
                            random,
                            what);
            if (out.length > 0) {
                assertEquals(3, out[20], what);
                assertEquals(3, out[21], what);
            }
            if (lingers(protocol, port)) {
                up().take();
            }
            count(refused ? "closed" : "unsolicited");
            return;
        }
        byte[] out = exchange(up(), packet, guest(found.flow.guest.address), random, what);
        assertPacket(packet(protocol, far, found.flow.guest, data, true), out, what);
        found.fromFar = true;
        found.usedSecond = now();
        count("back");
    }

    private void hairpin(Random random, String what) {
        End guest = new End(INSIDE[random.nextInt(3)], 3000 + random.nextInt(4));
        int port = somePort(random, 17);
        boolean lingers = lingers(17, port);
        boolean taken = lingers || portsInUse(17).contains(port) || forwards.containsKey("" + port);
        byte[] data = data(random);
        byte[] packet = packet(17, guest, new End(PUBLIC, port), data, false);
        if (!taken) {
            byte[] out = exchange(guest(guest.address), packet, guest(guest.address), random, what);
            assertEquals(3, out[20], what);
            count("closed");
            return;
        }
        // Who the target is depends on the public port that the sender has or gets, which shows
        // only in what comes out; so look before, and let the model follow.
        Flow flow = new Flow(17, guest, new End(PUBLIC, port));
        Guest from = guest(guest.address);
        Lab.fill(from.port.frame, from.framed(packet));
        from.port.sendFrame();
        Guest.settle(guests);
        List<byte[]> got = new ArrayList<>();
        String at = "";
        for (Guest each : guests) {
            for (Lab.Got one : each.take()) {
                got.add(RoutedPackets.packet(one.bytes()));
                at = each.address();
            }
        }
        assertTrue(got.size() <= 1, what);
        if (lingers && !got.isEmpty() && got.getFirst()[9] == 1) {
            count("closed");
            return;
        }
        if (got.isEmpty()) {
            // The first half was translated, the second filtered.
            Connection known = alive(flow);
            if (known == null) {
                int publicPort = publicPortOf(guest);
                known = new Connection(flow, publicPort);
                connections.put(flow, known);
            }
            known.fromGuest = true;
            known.usedSecond = now();
            assertEquals(null, incomingOnly(port, new End(PUBLIC, known.publicPort)), what);
            count("unsolicited");
            return;
        }
        byte[] out = got.getFirst();
        assertTrue(RoutedPackets.isSound(out), what);
        int publicPort = Packets.u16(out, 20);
        translated(flow, publicPort, what);
        Connection found = incoming(17, port, new End(PUBLIC, publicPort));
        if (found == null) {
            throw new AssertionError(what);
        }
        assertEquals(found.flow.guest.address, at, what);
        assertPacket(
                packet(17, new End(PUBLIC, publicPort), found.flow.guest, data, false), out, what);
        found.fromFar = true;
        found.usedSecond = now();
        count("hairpin");
    }

    /// The public port that the NAT itself says a guest has.
    private int publicPortOf(End guest) {
        NatPorts ports = nat.translation().ports();
        int address = IpWords.v4(java.net.InetAddress.ofLiteral(guest.address));
        return ports.publicPortOf(ports.ofGuest(17, address, guest.port));
    }

    private @Nullable Connection incomingOnly(int port, End far) {
        Connection found =
                connections.values().stream()
                        .filter(c -> c.publicPort == port && c.flow.far.equals(far))
                        .filter(c -> c.flow.protocol == 17 && c.isAlive(now()))
                        .findFirst()
                        .orElse(null);
        End forward = forwards.get("" + port);
        return found == null && forward != null && alive(new Flow(17, forward, far)) == null
                ? new Connection(new Flow(17, forward, far), port)
                : found;
    }

    /// An ICMP error from outside about a packet that was sent, or never was.
    private void error(Random random, String what) {
        int protocol = random.nextInt(4) == 0 ? 1 : 17;
        int port = somePort(random, protocol);
        End far = new End(FAR[random.nextInt(3)], protocol == 1 ? 0 : 1 + random.nextInt(2));
        byte[] quoted =
                Arrays.copyOf(
                        packet(protocol, new End(PUBLIC, port), far, data(random), false), 28);
        byte[] error =
                RoutedPackets.v4(
                        FAR[random.nextInt(3)],
                        PUBLIC,
                        1,
                        RoutedPackets.icmp(random.nextBoolean() ? 3 : 11, 0, 0, quoted),
                        64,
                        0);
        Connection about = null;
        for (Connection each : connections.values()) {
            if (each.flow.protocol == protocol
                    && each.publicPort == port
                    && each.flow.far.equals(far)
                    && each.isAlive(now())) {
                about = each;
            }
        }
        if (about == null) {
            exchange(up(), error, null, random, what);
            count("forged");
            return;
        }
        byte[] out = exchange(up(), error, guest(about.flow.guest.address), random, what);
        assertEquals(
                about.flow.guest.address,
                RoutedPackets.text(Arrays.copyOfRange(out, 40, 44)),
                what);
        assertEquals(about.flow.guest.port, Packets.u16(out, protocol == 1 ? 52 : 48), what);
        assertEquals(0xFFFF, Packets.sum(Arrays.copyOfRange(out, 28, 48)), "quoted header " + what);
        count("error");
    }
}
