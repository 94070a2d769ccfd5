package org.splitring.bridge;

import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Which client has which address of a range. Clients are known by their MAC address and the port
/// they are at. Bounded by the range and by a number for each port: a guest with many MAC
/// addresses takes away only its own share. The network's loop.
final class DhcpLeases {
    /// How long an address is kept for a client that was offered it.
    private static final int OFFER_SECONDS = 30;

    /// How long an address is not given out after a client found somebody else using it.
    private static final int DECLINED_SECONDS = 600;

    /// One address that is not free.
    static final class Lease {
        final int address;
        final long mac;
        final int port;
        int untilSecond;

        Lease(int address, long mac, int port, int untilSecond) {
            this.address = address;
            this.mac = mac;
            this.port = port;
            this.untilSecond = untilSecond;
        }
    }

    private final DhcpSettings settings;
    private final Map<Long, Integer> fixed = new HashMap<>();
    private final Map<Integer, Lease> byAddress = new HashMap<>();
    private final Map<Long, Lease> byMac = new HashMap<>();
    private final Map<Integer, Integer> countOfPort = new HashMap<>();
    /// Free addresses of the range; those that were given back go to the end.
    private final ArrayDeque<Integer> free = new ArrayDeque<>();

    /// @param taken addresses that are somebody's already: the router's, those of host routes
    DhcpLeases(DhcpSettings settings, Set<Integer> taken) {
        this.settings = settings;
        settings.fixed().forEach((mac, address) -> fixed.put(mac.value(), IpWords.v4(address)));
        int last = IpWords.v4(settings.last());
        for (int address = IpWords.v4(settings.first()); ; address++) {
            if (!taken.contains(address) && !fixed.containsValue(address)) {
                free.add(address);
            }
            if (address == last) {
                break;
            }
        }
    }

    /// The lease of a client that is still valid.
    @Nullable Lease of(long mac, int port, int now) {
        Lease found = byMac.get(mac);
        return found != null && found.port == port && found.untilSecond - now > 0 ? found : null;
    }

    /// The port that an address is leased at; -1 when it is not.
    int portOf(int address, int now) {
        Lease found = byAddress.get(address);
        return found != null && found.mac != 0 && found.untilSecond - now > 0 ? found.port : -1;
    }

    /// Keeps an address for a client: its fixed one, the one it has, the one it wishes for, or any.
    ///
    /// @param wished 0 for none
    /// @return `null` when there is none for it
    @Nullable Lease offer(long mac, int port, int wished, int now) {
        Lease has = of(mac, port, now);
        if (has != null) {
            return has;
        }
        Integer own = fixed.get(mac);
        if (own != null) {
            return take(own, mac, port, now);
        }
        if (countOfPort.getOrDefault(port, 0) >= settings.leasesPerPort()) {
            expire(now);
            if (countOfPort.getOrDefault(port, 0) >= settings.leasesPerPort()) {
                return null;
            }
        }
        if (free.isEmpty()) {
            expire(now);
        }
        if (wished != 0 && free.remove(wished)) {
            return take(wished, mac, port, now);
        }
        Integer any = free.poll();
        return any == null ? null : take(any, mac, port, now);
    }

    private @Nullable Lease take(int address, long mac, int port, int now) {
        Lease before = byAddress.get(address);
        if (before != null) {
            if (before.port != port && before.untilSecond - now > 0) {
                return null; // a fixed address, at another port still
            }
            drop(before);
            free.remove(address);
        }
        Lease old = byMac.get(mac);
        if (old != null) {
            drop(old);
        }
        Lease lease = new Lease(address, mac, port, now + OFFER_SECONDS);
        byAddress.put(address, lease);
        byMac.put(mac, lease);
        countOfPort.merge(port, 1, Integer::sum);
        return lease;
    }

    /// Makes an offer a lease, or a lease longer.
    void confirm(Lease lease, int now) {
        lease.untilSecond = now + settings.leaseSeconds();
    }

    /// Ends a lease.
    void release(Lease lease) {
        drop(lease);
    }

    /// Somebody else uses the address: nobody gets it for a while.
    void decline(Lease lease, int now) {
        drop(lease);
        free.remove(lease.address);
        byAddress.put(
                lease.address, new Lease(lease.address, 0, lease.port, now + DECLINED_SECONDS));
        countOfPort.merge(lease.port, 1, Integer::sum);
    }

    private void drop(Lease lease) {
        byAddress.remove(lease.address);
        byMac.remove(lease.mac, lease);
        countOfPort.merge(lease.port, -1, (a, b) -> a + b == 0 ? null : a + b);
        if (!fixed.containsValue(lease.address)) {
            free.add(lease.address);
        }
    }

    private void expire(int now) {
        for (Lease each : List.copyOf(byAddress.values())) {
            if (each.untilSecond - now <= 0) {
                drop(each);
            }
        }
    }

    /// Gives an address to nobody any more.
    void exclude(int address) {
        free.remove(address);
    }

    /// Forgets what is leased at a port that is gone.
    void forget(int port) {
        for (Lease each : List.copyOf(byAddress.values())) {
            if (each.port == port) {
                drop(each);
            }
        }
    }

    int size() {
        return byAddress.size();
    }
}
