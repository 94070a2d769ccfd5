package org.splitring.bridge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Bridge mode: frames go where their destination was last seen, and to all ports of their VLAN
/// while it was not.
///
/// A frame's way: which VLAN (tag, or the port's PVID) → source address learned or refused → one
/// port, or those that a group's reports name, or all → at each port, the tag put on or taken
/// off in
/// the private header. Addresses are learned for each VLAN apart.
///
/// State belongs to the network's loop.
public final class LearningSwitch implements Forwarder {
    static final long BROADCAST = 0xFFFF_FFFF_FFFFL;

    /// 01:80:C2:00:00:00 to 0F, link-local by IEEE 802.1Q table 8-1: pause, LACP, STP. A bridge
    /// never passes them on.
    private static final long LINK_LOCAL = 0x0180_C200_0000L;

    private final SwitchSettings settings;
    private final MacTable table;
    private final MulticastSnooping snooping = new MulticastSnooping();
    // By index, and once more without gaps for flooding.
    private final @Nullable SwitchPort[] byIndex = new SwitchPort[VirtualNetwork.MAX_PORTS];
    private SwitchPort[] ports = {};
    private @Nullable FormerRouter former;

    public LearningSwitch(SwitchSettings settings) {
        this.settings = settings;
        table = new MacTable(settings.maxAddresses());
    }

    static long key(int vlan, long mac) {
        return (long) vlan << 48 | mac;
    }

    @Override
    public void forward(PortLink link, Frame frame) {
        SwitchPort from = byIndex[link.index];
        if (from == null) {
            return; // of another mode, an instant ago
        }
        int seconds = link.network().batchSeconds();
        if (from.isShut(seconds)) {
            link.drop(PortCounter.IN_DROPPED_LOOP);
            return;
        }
        int vlan = from.vlans.pvid();
        int tci = vlan;
        boolean tagged = false;
        if (frame.u16(12) == FrameLayers.VLAN) {
            if (frame.headerBytes() < Frame.ETHERNET_BYTES + Frame.TAG_BYTES) {
                link.drop(PortCounter.IN_DROPPED_RUNT);
                return;
            }
            tagged = true;
            tci = frame.u16(14);
            if ((tci & 0xFFF) == 0) {
                // Priority only: of the PVID, and with it in the tag where one goes out.
                tci |= vlan;
                frame.putU16(14, tci);
            } else {
                vlan = tci & 0xFFF;
            }
        }
        if (!from.vlans.isMember(vlan)) {
            link.drop(PortCounter.IN_DROPPED_VLAN);
            return;
        }
        long source = frame.mac(6);
        if ((source & MacAddress.GROUP_BIT) != 0
                || source == 0
                || !learn(from, key(vlan, source), seconds)) {
            link.drop(PortCounter.IN_DROPPED_SOURCE);
            return;
        }
        long destination = frame.mac(0);
        if ((destination & MacAddress.GROUP_BIT) == 0) {
            int entry = table.find(key(vlan, destination));
            if (entry != MacTable.NONE && table.isFresh(entry, seconds, settings.ageingSeconds())) {
                SwitchPort to = byIndex[table.portOf(entry)];
                if (to == null || !to.takes(from, vlan, seconds)) {
                    link.drop(PortCounter.IN_DROPPED_NOWHERE);
                } else {
                    to.send(frame, vlan, tci, tagged);
                }
                return;
            }
            if (former != null) {
                askAnew(former, from, frame, tci);
            }
        } else if ((destination & ~0xFL) == LINK_LOCAL) {
            link.drop(PortCounter.IN_DROPPED_NOWHERE);
            return;
        }
        if (!from.admitsFlood(destination, link.network().batchNanos())) {
            link.drop(PortCounter.IN_DROPPED_STORM);
            return;
        }
        if ((destination & MacAddress.GROUP_BIT) != 0 && destination != BROADCAST) {
            sendToGroup(from, frame, destination, vlan, tci, tagged, seconds);
        } else {
            flood(from, frame, vlan, tci, tagged, seconds);
        }
    }

    private boolean learn(SwitchPort from, long key, int seconds) {
        int outcome =
                table.learn(
                        key,
                        from.link.index,
                        seconds,
                        settings.maxAddressesPerPort(),
                        from.sticky,
                        settings.ageingSeconds());
        if (outcome == MacTable.MOVED) {
            from.moved(seconds);
        }
        return outcome != MacTable.REFUSED;
    }

    private void flood(
            SwitchPort from, Frame frame, int vlan, int tci, boolean taggedAtFirst, int seconds) {
        boolean tagged = taggedAtFirst;
        boolean any = false;
        for (SwitchPort to : ports) {
            if (to.takes(from, vlan, seconds)) {
                tagged = to.send(frame, vlan, tci, tagged);
                any = true;
            }
        }
        if (!any) {
            from.link.drop(PortCounter.IN_DROPPED_NOWHERE);
        }
    }

    private void sendToGroup(
            SwitchPort from,
            Frame frame,
            long destination,
            int vlan,
            int tci,
            boolean taggedAtFirst,
            int seconds) {
        int what =
                settings.snooping()
                        ? snooping.snoop(frame, from, vlan, seconds)
                        : MulticastSnooping.QUERY;
        boolean everywhere =
                what == MulticastSnooping.QUERY
                        || !snooping.isActive(seconds)
                        || (what == MulticastSnooping.DATA
                                && MulticastSnooping.isAlwaysFlooded(destination));
        if (everywhere) {
            flood(from, frame, vlan, tci, taggedAtFirst, seconds);
            return;
        }
        long key = key(vlan, destination);
        boolean tagged = taggedAtFirst;
        boolean any = false;
        for (SwitchPort to : ports) {
            boolean wanted =
                    snooping.isRouter(to.link.index, seconds)
                            || (what == MulticastSnooping.DATA && to.groups.contains(key, seconds));
            if (wanted && to.takes(from, vlan, seconds)) {
                tagged = to.send(frame, vlan, tci, tagged);
                any = true;
            }
        }
        if (!any) {
            from.link.drop(PortCounter.IN_DROPPED_NOWHERE);
        }
    }

    @Override
    public void follows(Forwarder before, VirtualNetwork network) {
        former = FormerRouter.of(before);
    }

    @Nullable FormerRouter formerRouter() {
        return former;
    }

    /// Asks in a sender's name where the router used to be the answer. To be called while the
    /// frame is as it came.
    private void askAnew(FormerRouter router, SwitchPort from, Frame frame, int tci) {
        RouterSide side = router.at(frame.mac(0));
        if (side == null || !from.questions.take(1, from.link.network().batchNanos())) {
            return;
        }
        boolean tagged = frame.u16(12) == FrameLayers.VLAN;
        Frame question = router.question(side, frame);
        if (question != null) {
            if (tagged) {
                question.pushTag(FrameLayers.VLAN, tci);
            }
            from.link.receive(question);
        }
    }

    @Override
    public void configured(PortLink link) {
        SwitchPort before = byIndex[link.index];
        SwitchPort now =
                new SwitchPort(
                        link,
                        before == null ? new GroupMembers() : before.groups,
                        link.network().now());
        byIndex[link.index] = now;
        if (before != null) {
            // What was learned before may be of VLANs that it has left.
            table.removePort(link.index);
        }
        for (MacAddress mac : link.settings().addresses()) {
            table.addStatic(key(now.vlans.pvid(), mac.value()), link.index);
        }
        rebuild();
    }

    @Override
    public void detached(PortLink link) {
        byIndex[link.index] = null;
        table.removePort(link.index);
        snooping.forget(link.index);
        rebuild();
    }

    private void rebuild() {
        SwitchPort[] all = new SwitchPort[byIndex.length];
        int count = 0;
        for (SwitchPort port : byIndex) {
            if (port != null) {
                all[count++] = port;
            }
        }
        ports = Arrays.copyOf(all, count);
    }

    @Override
    public void check(PortSettings wanted, @Nullable PortLink self) {
        for (MacAddress mac : wanted.addresses()) {
            int entry = table.find(key(wanted.vlans().pvid(), mac.value()));
            if (entry != MacTable.NONE
                    && table.isStatic(entry)
                    && (self == null || table.portOf(entry) != self.index)) {
                SwitchPort owner = byIndex[table.portOf(entry)];
                throw new IllegalArgumentException(
                        "port "
                                + wanted.name()
                                + ": address "
                                + mac
                                + " is given to port "
                                + (owner == null ? "?" : owner.link)
                                + " already");
            }
        }
    }

    /// Addresses that are known now.
    public int addresses() {
        return table.size();
    }

    /// An address that is known now.
    ///
    /// @param vlan 0 without VLANs
    /// @param port that frames to it go out of
    /// @param ageSeconds since something came from it
    /// @param fixed by the settings of the port, or because the port keeps what it has learned
    public record Address(MacAddress mac, int vlan, String port, int ageSeconds, boolean fixed) {}

    /// The addresses that are known now, by MAC address. On the network's loop.
    public List<Address> addressList() {
        List<Address> all = new ArrayList<>();
        if (ports.length == 0) {
            return all;
        }
        int seconds = (int) (ports[0].link.network().now() / 1_000_000_000L);
        table.forEach(
                seconds,
                settings.ageingSeconds(),
                (key, index, age, fixed) -> {
                    SwitchPort port = byIndex[index];
                    if (port != null) {
                        all.add(
                                new Address(
                                        new MacAddress(key & BROADCAST),
                                        (int) (key >>> 48),
                                        port.link.settings().name(),
                                        age,
                                        fixed));
                    }
                });
        all.sort(
                Comparator.comparingLong((Address each) -> each.mac().value())
                        .thenComparingInt(Address::vlan));
        return all;
    }
}
