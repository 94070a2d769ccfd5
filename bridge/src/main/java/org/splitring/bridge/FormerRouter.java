package org.splitring.bridge;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a learning switch remembers of the router that was in its place: hosts go on sending to
/// its MAC addresses what is for their neighbours now, until their caches age. For each such frame
/// the switch asks, in the name of its sender, who has the address; the answer goes to the sender,
/// and corrects what it knows. The network's loop.
///
/// The question passes the sender's port as a frame of its own would: pins, rules, VLAN and limits
/// are the sender's.
final class FormerRouter {
    private final List<RouterSide> sides;
    private final RoutingTable table;
    private final OutgoingPacket out = new OutgoingPacket();

    FormerRouter(List<RouterSide> sides, RoutingTable table) {
        this.sides = sides;
        this.table = table;
    }

    /// Whom it remembers that was in the place before; null for a switch that knows of no router.
    static @Nullable FormerRouter of(Forwarder before) {
        return switch (before) {
            case LearningSwitch another -> another.formerRouter();
            case RoutedForwarder router -> router.engine.asFormer();
        };
    }

    /// Its interface of that MAC address; null when it had none.
    @Nullable RouterSide at(long mac) {
        for (int i = 0; i < sides.size(); i++) {
            if (sides.get(i).mac == mac) {
                return sides.get(i);
            }
        }
        return null;
    }

    /// The question that the sender of a frame should ask anew.
    ///
    /// @param to the interface that the frame was for
    /// @return without a tag; null when the frame is about no address of a host
    @Nullable Frame question(RouterSide to, Frame frame) {
        FrameLayers layers = frame.layers();
        int at = layers.l3At;
        if (layers.ipVersion == 4) {
            return questionV4(to, frame, frame.i32(at + 12), frame.i32(at + 16));
        }
        if (layers.ipVersion == 6) {
            return questionV6(to, frame);
        }
        if (Neighbourhood.isArpRequest(frame, layers)) {
            return questionV4(to, frame, frame.i32(at + 14), frame.i32(at + 24));
        }
        return null;
    }

    private @Nullable Frame questionV4(RouterSide to, Frame frame, int source, int destination) {
        int asked = isBeside(to, 0, IpWords.ofV4(destination)) ? destination : to.v4Beside(source);
        if (asked == 0 || asked == source || !Ipv4Path.isHost(source)) {
            return null;
        }
        return out.arpRequest(LearningSwitch.BROADCAST, frame.mac(6), source, asked).raw();
    }

    private @Nullable Frame questionV6(RouterSide to, Frame frame) {
        int at = frame.layers().l3At;
        long sourceHigh = frame.i64(at + 8);
        long sourceLow = frame.i64(at + 16);
        long high = frame.i64(at + 24);
        long low = frame.i64(at + 32);
        if (!Ipv6Path.isLinkLocal(high) && !isBeside(to, high, low)) {
            high = to.v6High;
            low = to.v6Low;
        }
        boolean asksItself = sourceHigh == high && sourceLow == low;
        boolean mayAsk = Ipv6Path.isLinkLocal(sourceHigh) || Ipv6Path.isHost(sourceHigh, sourceLow);
        if (asksItself || !mayAsk) {
            return null;
        }
        return out.solicitation(frame.mac(6), sourceHigh, sourceLow, high, low).packet();
    }

    /// Whether hosts on that side asked for the address itself, not for a gateway.
    private boolean isBeside(RouterSide side, long high, long low) {
        Route route = table.find(high, low);
        return route != null
                && route.side == side
                && (route.kind == Route.Kind.LOCAL || route.kind == Route.Kind.ON_LINK);
    }
}
