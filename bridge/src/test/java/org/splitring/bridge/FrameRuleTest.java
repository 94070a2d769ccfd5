package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FrameRuleTest {
    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Lab.Port guest = lab.port("guest");
    private final Lab.Port other = lab.port("other");

    private void rules(String... rules) {
        guest.link.configure(
                PortSettings.of("guest")
                        .withRules(List.of(rules).stream().map(FrameRule::parse).toList()));
    }

    private static byte[] packet(String from, String to, int protocol, byte[] upper) {
        return Packets.join(
                Packets.ethernet(Lab.BROADCAST, Lab.mac(1), 0x800),
                Packets.ipv4(from, to, protocol, upper, 0));
    }

    private static byte[] tcp(String to, int port) {
        return packet("10.0.0.1", to, 6, Packets.tcp(4000, port, 2, 0, new byte[0], 0));
    }

    private int passed(byte[] frame) {
        guest.send(frame);
        return other.take().size();
    }

    @Test
    void theFirstRuleThatFitsDecides() {
        rules(
                "tx accept tcp dst 10.1.0.0/16 dport 80-81",
                "tx drop dst 10.0.0.0/8",
                "tx drop arp",
                "tx drop ip6 udp dst fd00::/8");
        assertEquals(1, passed(tcp("10.1.2.3", 80)));
        assertEquals(1, passed(tcp("10.1.2.3", 81)));
        assertEquals(0, passed(tcp("10.1.2.3", 82)));
        assertEquals(0, passed(tcp("10.2.2.3", 80)));
        assertEquals(1, passed(tcp("11.2.2.3", 9)));
        assertEquals(
                0,
                passed(
                        Packets.join(
                                Packets.ethernet(Lab.BROADCAST, Lab.mac(1), 0x806),
                                Packets.arp(1, Lab.mac(1), "10.0.0.1", "11.0.0.2"))));
        byte[] v6 =
                Packets.join(
                        Packets.ethernet(Lab.BROADCAST, Lab.mac(1), 0x86DD),
                        Packets.ipv6("fd00::1", "fd00::2", 17, Packets.udp(1, 2, 0, new byte[9])));
        assertEquals(0, passed(v6));
        v6[38] = 0x20;
        assertEquals(1, passed(v6), "to 2000::");
        assertEquals(4, guest.count(PortCounter.IN_DROPPED_RULE));
    }

    @Test
    void rxRulesDecideWhatAGuestGets() {
        rules("rx drop udp sport 53");
        byte[] dns = packet("10.0.0.2", "10.0.0.1", 17, Packets.udp(53, 9, 0, new byte[9]));
        other.send(dns);
        assertEquals(0, guest.got.size());
        assertEquals(1, guest.count(PortCounter.OUT_DROPPED_RULE));
        assertEquals(1, passed(dns));
    }

    @Test
    void limitsCountFramesOrBytes() {
        rules("tx limit 10f udp", "tx limit 100000 tcp");
        byte[] udp = packet("10.0.0.2", "10.0.0.1", 17, Packets.udp(53, 9, 0, new byte[9]));
        byte[] large = packet("10.0.0.2", "10.0.0.1", 6, Packets.tcp(1, 2, 0, 0, new byte[946], 0));
        for (int second = 0; second < 3; second++) {
            int udps = 0;
            int tcps = 0;
            for (int i = 0; i < 200; i++) {
                udps += passed(udp);
                tcps += passed(large);
            }
            assertEquals(10, udps);
            assertEquals(100, tcps);
            lab.sleepSeconds(1);
        }
    }

    @Test
    void redirectSendsToOnePortAndNowhereElse() {
        rules("tx redirect fw tcp");
        assertEquals(0, passed(tcp("10.0.0.2", 1)), "while there is no such port");
        Lab.Port fw = lab.port("fw");
        fw.take();
        assertEquals(0, passed(tcp("10.0.0.2", 1)));
        assertEquals(1, fw.take().size());
        fw.link.detach();
        assertEquals(0, passed(tcp("10.0.0.2", 1)));
        assertEquals(0, fw.got.size());
    }

    @Test
    void n45_packetsThatHideTheirPortsAreDroppedWherePortsMatter() {
        rules("tx drop tcp dport 22");
        byte[] whole = tcp("10.0.0.2", 22);
        assertEquals(0, passed(whole));
        byte[] tiny = packet("10.0.0.1", "10.0.0.2", 6, new byte[] {0, 1});
        tiny[20] = 0x20; // first fragment, two bytes of TCP
        assertEquals(0, passed(tiny));
        byte[] over = packet("10.0.0.1", "10.0.0.2", 6, new byte[16]);
        over[20] = 0;
        over[21] = 1; // fragment at byte 8, laid over the flags
        assertEquals(0, passed(over));
        byte[] later = packet("10.0.0.1", "10.0.0.2", 6, new byte[16]);
        later[20] = 0;
        later[21] = 9;
        assertEquals(1, passed(later), "a later fragment is nothing without the first");
        byte[] lie = tcp("10.0.0.2", 23);
        lie[17] = (byte) 200; // longer than the frame
        assertEquals(0, passed(lie));
        byte[] deep =
                Packets.join(
                        Packets.ethernet(
                                Lab.BROADCAST, Lab.mac(1), 0x800, 0x88A8, 1, 0x8100, 1, 0x8100, 1),
                        Packets.ipv4("10.0.0.1", "10.0.0.2", 6, new byte[40], 0));
        assertEquals(0, passed(deep), "more tags than are looked behind");
    }

    @Test
    void badRulesAreNamed() {
        String[][] bad = {
            {"in accept", "rule 'in accept': 'in': a rule begins with tx or rx"},
            {"tx", "rule 'tx' ends where an action is due"},
            {"tx deny", "rule 'tx deny': 'deny': no action: accept, drop, limit or redirect"},
            {"tx limit fast", "rule 'tx limit fast': 'fast': no rate"},
            {"tx drop sctp", "rule 'tx drop sctp': 'sctp': not a word of a pattern"},
            {"tx drop dport 70000", "rule 'tx drop dport 70000': '70000': no number or range"},
            {"tx drop src 10.0.0.1/8", "bits are set after the prefix"},
            {"tx drop src web", "rule 'tx drop src web': 'web': no address or prefix"},
            {"tx drop tcp udp", "rule 'tx drop tcp udp': 'udp': said twice"},
            {"rx redirect fw", "rule 'rx redirect fw': redirect is for tx rules only"},
        };
        for (String[] each : bad) {
            IllegalArgumentException refused =
                    assertThrows(IllegalArgumentException.class, () -> FrameRule.parse(each[0]));
            String message = String.valueOf(refused.getMessage());
            assertTrue(message.contains(each[1]), message);
        }
    }

    /// Against one rule after the other, which is what a rule table must not do.
    @Test
    void n51_lookupsAgreeWithTryingEachRule() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("FrameRuleTest seed " + seed);
        Random random = new Random(seed);
        for (int table = 0; table < 30; table++) {
            List<FrameRule> rules = new ArrayList<>();
            int count = 1 + random.nextInt(200);
            for (int i = 0; i < count; i++) {
                rules.add(FrameRule.parse(randomRule(random)));
            }
            RuleTable compiled = new RuleTable(rules, 0);
            Frame frame = new Frame();
            for (int i = 0; i < 200; i++) {
                boolean tcp = random.nextBoolean();
                int[] ports = {random.nextInt(6), random.nextInt(6)};
                String[] ips = {"10.0.0." + random.nextInt(4), "10.0." + random.nextInt(3) + ".1"};
                byte[] upper =
                        tcp
                                ? Packets.tcp(ports[0], ports[1], 0, 0, new byte[0], 0)
                                : Packets.udp(ports[0], ports[1], 0, new byte[0]);
                Lab.fill(frame, packet(ips[0], ips[1], tcp ? 6 : 17, upper));
                int expected = RuleTable.ACCEPT;
                for (FrameRule rule : rules) {
                    if (fits(rule.pattern(), ips, tcp, ports)) {
                        expected =
                                rule.action() instanceof FrameRule.Drop
                                        ? RuleTable.DROP
                                        : RuleTable.ACCEPT;
                        break;
                    }
                }
                assertEquals(expected, compiled.decide(frame, 0), "seed " + seed);
            }
        }
    }

    /// With 512 rules tried one after the other, a frame that fits the last or none would cost
    /// hundreds of times what one costs that fits the first.
    @Test
    void n51_noFrameTakesLongerThanAnother() {
        List<FrameRule> rules = new ArrayList<>();
        for (int i = 0; i < RuleTable.MAX_RULES; i++) {
            rules.add(
                    FrameRule.parse(
                            "tx drop tcp src 10.%d.%d.0/24 dport %d"
                                    .formatted(i >> 8, i & 255, 1000 + i)));
        }
        RuleTable table = new RuleTable(rules, 0);
        Frame first = new Frame();
        Lab.fill(
                first,
                packet("10.0.0.1", "10.0.0.2", 6, Packets.tcp(1, 1000, 0, 0, new byte[0], 0)));
        Frame none = new Frame();
        Lab.fill(
                none,
                packet("10.1.255.1", "10.0.0.2", 6, Packets.tcp(1, 1001, 0, 0, new byte[0], 0)));
        assertEquals(RuleTable.DROP, table.decide(first, 0));
        assertEquals(RuleTable.ACCEPT, table.decide(none, 0));
        long quick = Long.MAX_VALUE;
        long slow = Long.MAX_VALUE;
        for (int round = 0; round < 60; round++) {
            quick = Math.min(quick, nanos(table, first));
            slow = Math.min(slow, nanos(table, none));
        }
        assertTrue(slow < 8 * quick, slow + " ns against " + quick);
    }

    private static long nanos(RuleTable table, Frame frame) {
        long begin = System.nanoTime();
        int sum = 0;
        for (int i = 0; i < 2000; i++) {
            sum += table.decide(frame, 0);
        }
        assertTrue(sum >= 0);
        return System.nanoTime() - begin;
    }

    private static String randomRule(Random random) {
        StringBuilder rule = new StringBuilder(random.nextBoolean() ? "tx drop" : "tx accept");
        if (random.nextInt(3) == 0) {
            rule.append(random.nextBoolean() ? " tcp" : " udp");
        }
        if (random.nextInt(3) > 0) {
            rule.append(" src 10.0.0.").append(random.nextInt(4));
        }
        if (random.nextInt(3) > 0) {
            rule.append(" dst 10.0.").append(random.nextInt(3)).append(".0/24");
        }
        if (random.nextInt(3) > 0) {
            int from = random.nextInt(6);
            rule.append(" sport ").append(from).append('-').append(from + random.nextInt(3));
        }
        if (random.nextInt(3) > 0) {
            rule.append(" dport ").append(random.nextInt(6));
        }
        return rule.toString();
    }

    private static boolean fits(FramePattern p, String[] ips, boolean tcp, int[] ports) {
        return p.ipProtocol().map(r -> r.first() == (tcp ? 6 : 17)).orElse(true)
                && p.source().map(x -> contains(x, ips[0])).orElse(true)
                && p.destination().map(x -> contains(x, ips[1])).orElse(true)
                && p.sourcePort().map(r -> in(r, ports[0])).orElse(true)
                && p.destinationPort().map(r -> in(r, ports[1])).orElse(true);
    }

    private static boolean in(FramePattern.Range range, int value) {
        return value >= range.first() && value <= range.last();
    }

    private static boolean contains(IpPrefix prefix, String ip) {
        byte[] a = prefix.address().getAddress();
        byte[] b = Packets.address(ip);
        for (int bit = 0; bit < prefix.bits(); bit++) {
            if (((a[bit / 8] ^ b[bit / 8]) >> (7 - bit % 8) & 1) != 0) {
                return false;
            }
        }
        return true;
    }
}
