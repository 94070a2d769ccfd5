package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// What guests can do to a router's neighbours, and cannot.
class NeighbourTest {
    private static final RouterLimits LIMITS = new RouterLimits(64, 16, 4, 8, 3, 50);

    private final Router router =
            new Router(
                    RouteSettings.of(
                                    List.of(
                                            RouterInterface.of("lan", "10.1.0.1/16")
                                                    .withHosts(
                                                            List.of(
                                                                    HostRoute.of(
                                                                            "10.1.9.9", "b")))))
                            .withLimits(LIMITS));
    private final Lab lab = new Lab(router);
    private final Guest a = new Guest(lab, "a", 1, "10.1.0.2");
    private final Guest b = new Guest(lab, "b", 2, "10.1.0.3");
    private final Guest c = new Guest(lab, "c", 3, "10.1.0.4");
    private final List<Guest> guests = List.of(a, b, c);

    private static byte[] udp(String from, String to, int number) {
        return RoutedPackets.v4(
                from, to, 17, RoutedPackets.udp(from, number, to, 1, new byte[20]), 64, 0);
    }

    private static int number(Lab.Got got) {
        return Packets.u16(got.bytes(), 34);
    }

    private long count(RouterCounter counter) {
        return router.counters().get(counter);
    }

    @Test
    void n41_anAddressThatIsKnownOrFixedElsewhereCannotBeTaken() {
        b.announce();
        c.port.send(c.arpRequest("10.1.0.3", "10.1.0.3"));
        c.port.send(c.arpRequest("10.1.9.9", "10.1.0.1"));
        c.port.send(c.arpRequest("10.1.0.1", "10.1.0.1"));
        byte[] otherMac = c.arpRequest("10.1.0.4", "10.1.0.1");
        otherMac[27] ^= 1;
        c.port.send(otherMac);
        assertEquals(4, count(RouterCounter.DROPPED_NEIGHBOUR));
        assertEquals(List.of(), c.port.take());
        a.send(udp("10.1.0.2", "10.1.0.3", 1));
        Guest.settle(guests);
        assertEquals(1, b.take().size());
        assertEquals(0, c.take().size());
        // A guest that was silent for long, or whose port is gone, has lost it.
        b.silent = true;
        b.port.link.detach();
        c.addresses.add("10.1.0.3");
        c.announce();
        a.send(udp("10.1.0.2", "10.1.0.3", 2));
        Guest.settle(guests);
        assertEquals(1, c.take().size());
    }

    /// Whatever it says, the router asks when it has something for that address (RFC 4861 §7.2.5).
    @Test
    void n41_anAdvertisementThatNobodyAskedForTeachesNothing() {
        Router v6 =
                new Router(RouteSettings.of(List.of(RouterInterface.of("lan", "fd00:1::1/64"))));
        Lab lan = new Lab(v6);
        Guest asker = new Guest(lan, "a", 1, "fd00:1::2");
        Guest other = new Guest(lan, "b", 2, "fd00:1::3");
        other.announce(); // nobody has asked
        asker.announce();
        byte[] data = RoutedPackets.udp("fd00:1::2", 7, "fd00:1::3", 1, new byte[20]);
        asker.port.send(asker.solicitation("fd00:1::2", "fd00:1::1")); // so it is known
        asker.port.take();
        asker.send(RoutedPackets.v6("fd00:1::2", "fd00:1::3", 17, data, 64));
        other.silent = true;
        other.answer();
        assertEquals(List.of(), other.take(), "it waits for an answer");
        assertEquals(0, v6.counters().get(RouterCounter.DROPPED_NEIGHBOUR));
        // The answer with another's MAC address in it is none, nor is one for a group.
        byte[] lie = {2, 1, 0, 0, 0, 0, 0, 9};
        other.port.send(other.neighbour(136, "fd00:1::3", "fd00:1::1", "fd00:1::3", 0, lie));
        byte[] right = ByteBuffer.allocate(8).putLong(0x0201L << 48 | other.mac).array();
        other.port.send(other.neighbour(136, "fd00:1::3", "fd00:1::1", "ff02::3", 0, right));
        other.answer();
        assertEquals(List.of(), other.take());
        assertEquals(2, v6.counters().get(RouterCounter.DROPPED_NEIGHBOUR));
        other.port.send(other.neighbour(136, "fd00:1::3", "fd00:1::1", "fd00:1::3", 0, right));
        other.answer();
        assertEquals(1, other.take().size());
    }

    @Test
    void n41_anAddressIsFreeAgainWhenNothingWasHeardOfItForLong() {
        b.announce();
        lab.sleepSeconds(NeighbourTable.LIFE_SECONDS - 1);
        c.port.send(c.arpRequest("10.1.0.3", "10.1.0.3"));
        assertEquals(1, count(RouterCounter.DROPPED_NEIGHBOUR));
        lab.sleepSeconds(1);
        c.port.send(c.arpRequest("10.1.0.3", "10.1.0.3"));
        assertEquals(1, count(RouterCounter.DROPPED_NEIGHBOUR));
    }

    @Test
    void n42_oneGuestsAddressesPushOutOnlyItsOwn() {
        b.announce();
        for (int i = 0; i < 100; i++) {
            a.port.send(a.arpRequest("10.1.1." + i, "10.1.0.1"));
        }
        c.announce();
        c.send(udp("10.1.0.4", "10.1.0.3", 1));
        assertEquals(1, b.port.take().stream().filter(g -> g.bytes()[13] == 0).count());
        assertEquals(0, c.port.take().size(), "b is still known: nobody was asked");
    }

    @Test
    void n42_aScanOfTheSubnetAsksForFewAndLetsOthersPass() {
        a.announce();
        b.announce();
        c.announce();
        for (int i = 0; i < 1000; i++) {
            a.send(udp("10.1.0.2", "10.1." + (2 + i / 250) + "." + i % 250, i));
        }
        long asked = b.port.take().stream().filter(g -> g.bytes()[13] == 6).count();
        assertEquals(LIMITS.unresolvedPerPort(), asked);
        assertEquals(
                1000 - LIMITS.waitingFramesPerPort(), count(RouterCounter.DROPPED_WAITING_FULL));
        c.send(udp("10.1.0.4", "10.1.0.2", 1));
        Guest.settle(guests);
        assertEquals(1, a.take().size(), "another guest still resolves");
    }

    @Test
    void whatWaitsForAnAddressIsSentOnceAndInOrder() {
        a.announce();
        b.silent = true;
        for (int i = 0; i < 5; i++) {
            a.send(udp("10.1.0.2", "10.1.0.3", i));
        }
        Guest.settle(guests);
        assertEquals(List.of(), b.take());
        b.silent = false;
        lab.sleepSeconds(1);
        lab.network.tick();
        Guest.settle(guests);
        a.send(udp("10.1.0.2", "10.1.0.3", 9));
        Guest.settle(guests);
        assertEquals(List.of(0, 1, 2, 9), b.take().stream().map(NeighbourTest::number).toList());
        assertEquals(2, count(RouterCounter.DROPPED_WAITING_FULL));
        assertEquals(4, count(RouterCounter.FORWARDED));
    }

    @Test
    void n47_aSourceThatIsNotKnownYetIsAskedForBeforeItIsBelieved() {
        a.announce();
        c.send(udp("10.1.0.3", "10.1.0.2", 1)); // b's address
        Guest.settle(guests);
        assertEquals(List.of(), a.take());
        assertEquals(1, count(RouterCounter.DROPPED_SPOOFED));
        b.send(udp("10.1.0.3", "10.1.0.2", 2));
        Guest.settle(guests);
        assertEquals(1, a.take().size());
    }

    @Test
    void aLargeSegmentWithAPartialChecksumWaitsUnharmed() {
        byte[] tcp = Packets.tcp(1, 2, 0x10, 0, Packets.counting(5000), 0);
        Lab.fill(a.port.frame, a.framed(RoutedPackets.v4("10.1.0.2", "10.1.0.3", 6, tcp, 64, 0)));
        assertTrue(a.port.frame.partialChecksumFromHeaders());
        a.port.frame.gso(GsoType.TCPV4, 1000);
        a.port.sendFrame();
        Guest.settle(guests);
        Lab.Got got = b.take().getFirst();
        assertEquals(GsoType.TCPV4, got.gso());
        assertEquals(1000, got.gsoSize());
        assertEquals(ChecksumState.PARTIAL, got.checksum());
        assertEquals(34 + 16, got.checksumStart() + got.checksumOffset());
        assertEquals(14 + 20 + 20 + 5000, got.bytes().length);
    }

    @Test
    void framesOfAPortThatIsGoneAreNotSent() {
        a.announce();
        c.announce();
        b.silent = true;
        c.send(udp("10.1.0.4", "10.1.0.3", 2)); // asks for the address that both wait for
        a.send(udp("10.1.0.2", "10.1.0.3", 1));
        a.port.link.detach();
        // Another one with the same address, who has not sent it.
        Guest again = new Guest(lab, "again", 7, "10.1.0.2");
        assertEquals(a.port.link.index, again.port.link.index);
        again.announce();
        b.silent = false;
        b.port.send(b.arpRequest("10.1.0.3", "10.1.0.1"));
        Guest.settle(guests);
        assertEquals(List.of(2), b.take().stream().map(NeighbourTest::number).toList());
        assertEquals(1, count(RouterCounter.FORWARDED));
        assertEquals(0, count(RouterCounter.DROPPED_UNREACHABLE));
    }

    @Test
    void n42_agreesWithItsBoundsWhateverHappens() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("NeighbourTest seed " + seed);
        Random random = new Random(seed);
        NeighbourTable table = new NeighbourTable(64, 16, 4);
        int second = 0;
        for (int step = 0; step < 50_000; step++) {
            int port = random.nextInt(6);
            long address = random.nextInt(200);
            second += random.nextInt(50) == 0 ? random.nextInt(100) : 0;
            switch (random.nextInt(4)) {
                case 0 -> {
                    int known = table.find(0, address);
                    boolean others =
                            known != NeighbourTable.NONE
                                    && table.isAlive(known, second)
                                    && table.portOf(known) != port;
                    int entry = table.learn(0, address, port, step, second);
                    assertEquals(others, entry == NeighbourTable.NONE && known >= 0, "" + seed);
                    if (entry >= 0) {
                        assertEquals(step, table.macOf(table.find(0, address)), "" + seed);
                        assertEquals(port, table.portOf(entry), "" + seed);
                    }
                }
                case 1 -> {
                    int known = table.find(0, address);
                    if (known < 0 || !table.isAlive(known, second)) {
                        int entry = table.ask(0, address, port);
                        assertTrue(entry < 0 || !table.isKnown(entry), "" + seed);
                    }
                }
                case 2 -> {
                    int asked = table.firstAsked(port);
                    if (asked >= 0) {
                        table.remove(asked);
                    }
                }
                default -> {
                    int count = 0;
                    for (int e = table.firstKnown(port); e >= 0; e = table.next(e)) {
                        assertEquals(port, table.portOf(e), "" + seed);
                        count++;
                    }
                    assertEquals(count, table.knownOf(port), "" + seed);
                    assertTrue(count <= 16, "" + seed);
                    int questions = 0;
                    for (int e = table.firstAsked(port); e >= 0; e = table.next(e)) {
                        questions++;
                    }
                    assertTrue(questions <= 4, "" + seed);
                }
            }
        }
    }
}
