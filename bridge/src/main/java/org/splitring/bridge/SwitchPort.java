package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// What a learning switch keeps of one port, settings made ready for the data path included. The
/// network's loop.
final class SwitchPort {
    /// So many addresses that move to a port within a second are a loop, not guests that migrate.
    private static final int LOOP_MOVES = 32;

    private static final int LOOP_SHUT_SECONDS = 10;

    final PortLink link;
    final PortVlans vlans;
    final boolean isolated;
    final boolean sticky;
    final GroupMembers groups;

    /// For what the switch asks in this port's name.
    final TokenBucket questions;

    private final @Nullable TokenBucket broadcast;
    private final @Nullable TokenBucket multicast;
    private final @Nullable TokenBucket unknownUnicast;

    private final boolean loopGuard;
    private int moves;
    private int movesSecond;
    private int shutUntilSecond;
    private boolean shut;

    SwitchPort(PortLink link, GroupMembers groups, long nowNanos) {
        this.link = link;
        this.groups = groups;
        PortSettings settings = link.settings();
        vlans = settings.vlans();
        questions = new TokenBucket(64, 64, nowNanos);
        isolated = settings.isolated();
        sticky = settings.sticky();
        loopGuard = settings.loopGuard();
        broadcast = bucket(settings.storm().broadcast(), nowNanos);
        multicast = bucket(settings.storm().multicast(), nowNanos);
        unknownUnicast = bucket(settings.storm().unknownUnicast(), nowNanos);
    }

    private static @Nullable TokenBucket bucket(int perSecond, long nowNanos) {
        return perSecond == 0 ? null : new TokenBucket(perSecond, perSecond, nowNanos);
    }

    /// Whether a frame to more than one port is within the limits.
    boolean admitsFlood(long destination, long nowNanos) {
        TokenBucket bucket =
                (destination & MacAddress.GROUP_BIT) == 0
                        ? unknownUnicast
                        : destination == LearningSwitch.BROADCAST ? broadcast : multicast;
        return bucket == null || bucket.take(1, nowNanos);
    }

    /// Notes that an address has moved here from another port.
    void moved(int nowSecond) {
        if (!loopGuard) {
            return;
        }
        if (movesSecond != nowSecond) {
            movesSecond = nowSecond;
            moves = 0;
        }
        moves++;
        if (moves >= LOOP_MOVES) {
            shut = true;
            shutUntilSecond = nowSecond + LOOP_SHUT_SECONDS;
            moves = 0;
        }
    }

    /// Whether the loop guard has shut the port, in both directions.
    boolean isShut(int nowSecond) {
        if (shut && nowSecond - shutUntilSecond >= 0) {
            shut = false;
        }
        return shut;
    }

    /// Whether a frame of `vlan` from `from` may leave here.
    boolean takes(SwitchPort from, int vlan, int nowSecond) {
        return this != from
                && vlans.isMember(vlan)
                && !(isolated && from.isolated)
                && !(shut && isShut(nowSecond));
    }

    /// Sends a frame with the tag that this port's members of the VLAN expect.
    ///
    /// @param tci the tag as it came, or the PVID
    /// @return whether the frame has a tag now
    boolean send(Frame frame, int vlan, int tci, boolean tagged) {
        boolean wanted = !vlans.isUntagged(vlan);
        if (wanted != tagged) {
            if (wanted) {
                frame.pushTag(FrameLayers.VLAN, tci);
            } else {
                frame.popTag();
            }
        }
        link.send(frame);
        return wanted;
    }
}
