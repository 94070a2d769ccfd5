package org.splitring.bridge;

import java.net.InetAddress;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/// What the router answers itself when its guests ask for names; other questions go to its
/// [DnsUpstream].
///
/// @param hosts names, lower case and without a dot at the end, with their addresses of either
///     family; the reverse is answered too (PTR)
/// @param ttlSeconds how long guests may keep the answers
/// @param queriesPerPort most questions of one port that are under way upstream
public record DnsSettings(
        Map<String, List<InetAddress>> hosts, int ttlSeconds, int queriesPerPort) {
    /// Most names.
    public static final int MAX_HOSTS = 1 << 16;

    public DnsSettings {
        Map<String, List<InetAddress>> all = new TreeMap<>();
        hosts.forEach(
                (name, addresses) -> {
                    checkName(name);
                    if (all.put(name.toLowerCase(Locale.ROOT), List.copyOf(addresses)) != null) {
                        throw new IllegalArgumentException("DNS name " + name + " is given twice");
                    }
                    if (addresses.isEmpty() || addresses.size() > 16) {
                        throw new IllegalArgumentException(
                                "DNS name " + name + ": " + addresses.size() + " addresses");
                    }
                });
        hosts = Map.copyOf(all);
        if (hosts.size() > MAX_HOSTS) {
            throw new IllegalArgumentException(hosts.size() + " DNS names, at most " + MAX_HOSTS);
        }
        if (ttlSeconds < 0 || queriesPerPort < 1 || queriesPerPort > 4096) {
            throw new IllegalArgumentException(
                    "DNS ttlSeconds " + ttlSeconds + ", queriesPerPort " + queriesPerPort);
        }
    }

    /// Answers that may be kept for a minute, and 64 questions of a port under way.
    public static DnsSettings of(Map<String, List<InetAddress>> hosts) {
        return new DnsSettings(hosts, 60, 64);
    }

    private static void checkName(String name) {
        boolean good = !name.isEmpty() && name.length() <= 253;
        for (String label : name.split("\\.", -1)) {
            good &=
                    !label.isEmpty()
                            && label.length() <= 63
                            && label.chars().allMatch(c -> c < 128);
        }
        if (!good) {
            throw new IllegalArgumentException("'" + name + "' is no DNS name");
        }
    }
}
