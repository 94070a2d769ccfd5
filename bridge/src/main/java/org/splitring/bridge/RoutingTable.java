package org.splitring.bridge;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// Finds the route with the longest prefix: one look for each length that occurs in the settings,
/// whatever the packet (N-51). Immutable.
final class RoutingTable {
    /// Prefixes of IPv4 have at least so many bits, in the space of [IpWords].
    private static final int V4_BITS = 96;

    private final int[] lengths;
    private final int v4Lengths;
    private final KeyIndex index;
    private final List<Route> routes = new ArrayList<>();

    /// @param sides in the order of the settings' interfaces
    RoutingTable(RouteSettings settings, List<RouterSide> sides) {
        record Entry(long high, long low, int bits, Route route) {}
        List<Entry> entries = new ArrayList<>();
        for (int i = 0; i < sides.size(); i++) {
            RouterInterface config = settings.interfaces().get(i);
            RouterSide side = sides.get(i);
            for (InterfaceAddress each : config.addresses()) {
                long high = IpWords.high(each.address());
                long low = IpWords.low(each.address());
                entries.add(new Entry(high, low, 128, Route.of(Route.Kind.LOCAL, side)));
                IpPrefix subnet = each.subnet();
                int bits = IpWords.bits(subnet);
                if (bits < 128) {
                    entries.add(
                            new Entry(
                                    IpWords.high(subnet.address()),
                                    IpWords.low(subnet.address()),
                                    bits,
                                    Route.of(Route.Kind.ON_LINK, side)));
                }
                if (IpWords.isV4(high, low) && bits < 127) {
                    Route broadcast = Route.of(Route.Kind.BROADCAST, side);
                    long first = IpWords.low(subnet.address());
                    entries.add(new Entry(0, first, 128, broadcast));
                    entries.add(new Entry(0, first | ~IpWords.lowMask(bits), 128, broadcast));
                }
            }
            for (HostRoute host : config.hosts()) {
                entries.add(
                        new Entry(
                                IpWords.high(host.address()),
                                IpWords.low(host.address()),
                                128,
                                new Route(Route.Kind.ON_LINK, side, 0, 0, host.port())));
            }
        }
        for (StaticRoute each : settings.routes()) {
            RouterSide side = sideOf(settings, sides, each.via());
            entries.add(
                    new Entry(
                            IpWords.high(each.prefix().address()),
                            IpWords.low(each.prefix().address()),
                            IpWords.bits(each.prefix()),
                            new Route(
                                    Route.Kind.VIA,
                                    side,
                                    IpWords.high(each.via()),
                                    IpWords.low(each.via()),
                                    null)));
        }
        TreeSet<Integer> found = new TreeSet<>(Comparator.reverseOrder());
        index = new KeyIndex(Math.max(1, entries.size()));
        for (Entry each : entries) {
            found.add(each.bits);
            if (index.find(each.high, each.low, each.bits) == KeyIndex.NONE) {
                index.put(each.high, each.low, each.bits, routes.size());
                routes.add(each.route);
            }
        }
        lengths = found.stream().mapToInt(Integer::intValue).toArray();
        v4Lengths = (int) found.stream().filter(bits -> bits >= V4_BITS).count();
    }

    private static RouterSide sideOf(
            RouteSettings settings, List<RouterSide> sides, InetAddress via) {
        for (int i = 0; i < sides.size(); i++) {
            if (RouteSettings.isOnLink(settings.interfaces().get(i), via)) {
                return sides.get(i);
            }
        }
        throw new IllegalArgumentException(via.getHostAddress() + " is in no subnet");
    }

    /// The route to an address; null when there is none.
    @Nullable Route find(long high, long low) {
        int count = IpWords.isV4(high, low) ? v4Lengths : lengths.length;
        for (int i = 0; i < count; i++) {
            int bits = lengths[i];
            int found =
                    index.find(high & IpWords.highMask(bits), low & IpWords.lowMask(bits), bits);
            if (found != KeyIndex.NONE) {
                return routes.get(found);
            }
        }
        return null;
    }
}
