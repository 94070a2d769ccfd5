package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

/// IGMP and MLD decide which ports a group's frames go to.
class SnoopingTest {
    private static final String GROUP = "239.1.2.3";
    private static final long GROUP_MAC = 0x0100_5E01_0203L;
    private static final String GROUP6 = "ff05::1:3";
    private static final long GROUP6_MAC = 0x3333_0001_0003L;

    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Lab.Port router = lab.port("router");
    private final Lab.Port member = lab.port("member");
    private final Lab.Port source = lab.port("source");
    private final Lab.Port bystander = lab.port("bystander");

    private void clear() {
        router.take();
        member.take();
        source.take();
        bystander.take();
    }

    private static byte[] igmp(long from, int type, String group) {
        byte[] body = Packets.join(new byte[] {(byte) type, 0, 0, 0}, Packets.address(group));
        return Packets.join(
                Packets.ethernet(GROUP_MAC, from, 0x800),
                Packets.ipv4("10.0.0.1", GROUP, 2, body, 4));
    }

    private static byte[] igmpV3(long from, int recordType, int sources, int records) {
        ByteBuffer b = ByteBuffer.allocate(8 + records * (8 + 4 * sources));
        b.put((byte) 0x22).put(new byte[5]).putShort((short) records);
        for (int i = 0; i < records; i++) {
            b.put((byte) recordType).put((byte) 0).putShort((short) sources);
            b.put(Packets.address("239.1.2." + (3 + i)));
            for (int s = 0; s < sources; s++) {
                b.putInt(0x0A00_0009);
            }
        }
        return Packets.join(
                Packets.ethernet(0x0100_5E00_0016L, from, 0x800),
                Packets.ipv4("10.0.0.1", "224.0.0.22", 2, b.array(), 4));
    }

    private static byte[] mld(long from, int type, String group) {
        byte[] body =
                Packets.join(new byte[] {(byte) type, 0, 0, 0, 0, 0, 0, 0}, Packets.address(group));
        return Packets.join(
                Packets.ethernet(0x3333_0000_0016L, from, 0x86DD),
                Packets.ipv6(
                        "fe80::1",
                        group.equals("::") ? "ff02::1" : group,
                        58,
                        body,
                        new int[] {0},
                        new byte[] {0, 5, 2, 0, 0, 1, 0}));
    }

    private static byte[] data(long group) {
        return Lab.frame(group, Lab.mac(3), 100);
    }

    private void query() {
        router.send(igmp(Lab.mac(9), 0x11, "0.0.0.0"));
        clear();
    }

    @Test
    void withoutAQuerierGroupsGoEverywhere() {
        member.send(igmp(Lab.mac(1), 0x16, GROUP));
        clear();
        source.send(data(GROUP_MAC));
        assertEquals(1, bystander.take().size());
        assertEquals(1, member.take().size());
    }

    @Test
    void groupsGoToMembersAndRouters() {
        router.send(igmp(Lab.mac(9), 0x11, "0.0.0.0"));
        assertEquals(1, bystander.take().size(), "queries go everywhere");
        clear();
        member.send(igmp(Lab.mac(1), 0x16, GROUP));
        assertEquals(1, router.take().size());
        assertEquals(0, bystander.take().size(), "reports go to routers only");
        source.send(data(GROUP_MAC));
        assertEquals(1, router.take().size());
        assertEquals(1, member.take().size());
        assertEquals(0, bystander.take().size());
        source.send(data(0x0100_5E00_0005L));
        assertEquals(1, bystander.take().size(), "224.0.0.x goes everywhere");
    }

    @Test
    void membershipEndsAfterALeaveAndInTime() {
        query();
        member.send(igmp(Lab.mac(1), 0x16, GROUP));
        clear();
        lab.sleepSeconds(200);
        query();
        source.send(data(GROUP_MAC));
        assertEquals(1, member.take().size());
        member.send(igmp(Lab.mac(1), 0x17, GROUP));
        source.send(data(GROUP_MAC));
        assertEquals(1, member.take().size(), "another one may still report");
        lab.sleepSeconds(4);
        source.send(data(GROUP_MAC));
        assertEquals(0, member.take().size());
        lab.sleepSeconds(256);
        source.send(data(GROUP_MAC));
        assertEquals(1, bystander.take().size(), "nobody asks any more");
    }

    @Test
    void versionThreeRecordsAreRead() {
        query();
        member.send(igmpV3(Lab.mac(1), 4, 0, 3));
        clear();
        source.send(data(GROUP_MAC + 2));
        assertEquals(1, member.take().size());
        assertEquals(0, bystander.take().size());
        member.send(igmpV3(Lab.mac(1), 3, 0, 3));
        lab.sleepSeconds(4);
        source.send(data(GROUP_MAC + 2));
        assertEquals(0, member.take().size());
        member.send(igmpV3(Lab.mac(1), 1, 2, 1));
        source.send(data(GROUP_MAC));
        assertEquals(1, member.take().size(), "from two sources");
    }

    @Test
    void mldIsReadBehindItsHopByHopHeader() {
        router.send(mld(Lab.mac(9), 130, "::"));
        clear();
        member.send(mld(Lab.mac(1), 131, GROUP6));
        assertEquals(0, bystander.take().size());
        clear();
        source.send(data(GROUP6_MAC));
        assertEquals(1, member.take().size());
        assertEquals(0, bystander.take().size());
        source.send(data(0x3333_FF00_0001L));
        assertEquals(1, bystander.take().size(), "solicited nodes go everywhere");
        member.send(mld(Lab.mac(1), 132, GROUP6));
        lab.sleepSeconds(4);
        clear();
        source.send(data(GROUP6_MAC));
        assertEquals(0, member.take().size());
    }

    @Test
    void n42_aPortThatReportsMoreGroupsThanFitGetsThemAllAndCostsNobodyElse() {
        query();
        member.send(igmp(Lab.mac(1), 0x16, GROUP));
        for (int i = 0; i < 100_000; i++) {
            source.send(
                    igmp(
                            Lab.mac(3),
                            0x16,
                            "239." + (i >> 16) + "." + (i >> 8 & 255) + "." + (i & 255)));
            router.got.clear();
        }
        clear();
        bystander.send(Lab.frame(0x0100_5E7F_7F7FL, Lab.mac(4), 60));
        assertEquals(1, source.take().size(), "gets all");
        assertEquals(0, member.take().size());
        bystander.send(Lab.frame(GROUP_MAC, Lab.mac(4), 60));
        assertEquals(1, member.take().size());
    }

    @Test
    void reportsThatLieAboutTheirLengthEnd() {
        query();
        byte[] lie = igmpV3(Lab.mac(1), 4, 0, 1);
        lie[14 + 24 + 6] = (byte) 0xFF; // 65,281 records
        member.send(lie);
        byte[] sources = igmpV3(Lab.mac(1), 4, 0, 2);
        sources[14 + 24 + 8 + 2] = (byte) 0xFF;
        source.send(sources);
        clear();
        bystander.send(Lab.frame(0x0100_5E7F_7F7FL, Lab.mac(4), 60));
        assertEquals(1, member.take().size());
        assertEquals(1, source.take().size());
        assertTrue(bystander.got.isEmpty());
    }
}
