package org.splitring.bridge;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Bridge mode: frames go where their destination was last seen, and to all ports while it was
/// not.
///
/// State belongs to the network's loop.
public final class LearningSwitch implements Forwarder {
    private static final long GROUP = 1L << 40;

    /// 01:80:C2:00:00:00 to 0F, link-local by IEEE 802.1Q table 8-1: pause, LACP, STP. A bridge
    /// never passes them on.
    private static final long LINK_LOCAL = 0x0180_C200_0000L;

    private final SwitchSettings settings;
    private final MacTable table;
    // By index, and once more without gaps for flooding.
    private @Nullable PortLink[] byIndex = new PortLink[VirtualNetwork.MAX_PORTS];
    private PortLink[] ports = {};

    public LearningSwitch(SwitchSettings settings) {
        this.settings = settings;
        table = new MacTable(settings.maxAddresses());
    }

    @Override
    public void forward(PortLink from, Frame frame) {
        long source = frame.mac(6);
        if ((source & GROUP) != 0 || source == 0) {
            from.drop(PortCounter.IN_DROPPED_SOURCE);
            return;
        }
        int seconds = from.network().batchSeconds();
        if (!table.learn(
                source,
                from.index,
                seconds,
                settings.maxAddressesPerPort(),
                false,
                settings.ageingSeconds())) {
            from.drop(PortCounter.IN_DROPPED_SOURCE);
            return;
        }
        long destination = frame.mac(0);
        if ((destination & GROUP) == 0) {
            int entry = table.find(destination);
            if (entry != MacTable.NONE && table.isFresh(entry, seconds, settings.ageingSeconds())) {
                PortLink to = byIndex[table.portOf(entry)];
                if (to == null || to == from) {
                    from.drop(PortCounter.IN_DROPPED_NOWHERE);
                } else {
                    to.send(frame);
                }
                return;
            }
        } else if ((destination & ~0xFL) == LINK_LOCAL) {
            from.drop(PortCounter.IN_DROPPED_NOWHERE);
            return;
        }
        flood(from, frame);
    }

    private void flood(PortLink from, Frame frame) {
        boolean any = false;
        for (PortLink to : ports) {
            if (to != from) {
                to.send(frame);
                any = true;
            }
        }
        if (!any) {
            from.drop(PortCounter.IN_DROPPED_NOWHERE);
        }
    }

    @Override
    public void configured(PortLink link) {
        byIndex[link.index] = link;
        rebuild();
    }

    @Override
    public void detached(PortLink link) {
        byIndex[link.index] = null;
        table.removePort(link.index);
        rebuild();
    }

    private void rebuild() {
        int count = 0;
        PortLink[] all = new PortLink[byIndex.length];
        for (PortLink link : byIndex) {
            if (link != null) {
                all[count++] = link;
            }
        }
        ports = Arrays.copyOf(all, count);
    }

    /// Addresses that are known now.
    public int addresses() {
        return table.size();
    }
}
