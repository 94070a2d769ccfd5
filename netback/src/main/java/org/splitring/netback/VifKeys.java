package org.splitring.netback;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.splitring.xenbus.KeyException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// What a frontend has written about its vif, read and checked once, at connect.
///
/// Source: Xen `public/io/netif.h`; what Linux's `xen-netfront` writes.
///
/// @param queues one or more
/// @param control references and port of the control ring, if there is one
/// @param rxNotify whether it sends an event when it has put requests on the rx ring
/// @param scatterGather whether it takes frames of more than one page
/// @param multicastControl whether it names the groups that it wants
/// @param xdpHeadroom bytes that it wants free before the data in each page
record VifKeys(
        List<QueueKeys> queues,
        Optional<ControlKeys> control,
        boolean rxNotify,
        boolean scatterGather,
        boolean gsoV4,
        boolean gsoV6,
        boolean checksumV4,
        boolean checksumV6,
        boolean multicastControl,
        int xdpHeadroom) {
    /// More would leave too little of a page; Linux's `XEN_NETIF_MAX_XDP_HEADROOM` is far beyond
    /// one, and its frontend asks for 256.
    private static final int MAX_XDP_HEADROOM = 2048;

    /// References and ports of one queue; both ports are the same without split channels.
    record QueueKeys(int txRing, int rxRing, int txPort, int rxPort) {
        boolean isSplit() {
            return txPort != rxPort;
        }
    }

    record ControlKeys(int ring, int port) {}

    /// @param maxQueues as it was offered
    static VifKeys read(Keys frontend, int maxQueues) throws StoreException, KeyException {
        if (!isSet(frontend, "request-rx-copy")) {
            throw frontend.wrong(
                    "request-rx-copy",
                    frontend.text("request-rx-copy").orElse(""),
                    "must be 1: pages are not exchanged here");
        }
        return new VifKeys(
                queues(frontend, (int) frontend.number("multi-queue-num-queues", 1, maxQueues, 1)),
                control(frontend),
                isSet(frontend, "feature-rx-notify"),
                isSet(frontend, "feature-sg"),
                isSet(frontend, "feature-gso-tcpv4"),
                isSet(frontend, "feature-gso-tcpv6"),
                !isSet(frontend, "feature-no-csum-offload"),
                isSet(frontend, "feature-ipv6-csum-offload"),
                isSet(frontend, "request-multicast-control"),
                (int) frontend.number("xdp-headroom", 0, MAX_XDP_HEADROOM, 0));
    }

    /// Frontends write 1 and 0; any other number is true, as in C.
    private static boolean isSet(Keys keys, String key) throws StoreException, KeyException {
        return keys.number(key, Integer.MIN_VALUE, 0xFFFF_FFFFL, 0) != 0;
    }

    private static List<QueueKeys> queues(Keys frontend, int count)
            throws StoreException, KeyException {
        List<QueueKeys> queues = new ArrayList<>();
        Set<Integer> ports = new HashSet<>();
        Set<Integer> rings = new HashSet<>();
        for (int i = 0; i < count; i++) {
            // With one queue its keys stand above, whatever the frontend knows of queues.
            Keys keys =
                    count == 1
                            ? frontend
                            : new Keys(frontend.store(), frontend.folder() + "/queue-" + i);
            QueueKeys queue = queue(keys);
            boolean portIsNew =
                    ports.add(queue.txPort) && (!queue.isSplit() || ports.add(queue.rxPort));
            if (!portIsNew) {
                throw new KeyException(
                        "keys in " + keys.folder() + ": an event channel that another queue has");
            }
            if (!rings.add(queue.txRing) || !rings.add(queue.rxRing)) {
                throw new KeyException(
                        "keys in " + keys.folder() + ": one ring reference stands there twice");
            }
            queues.add(queue);
        }
        return queues;
    }

    private static QueueKeys queue(Keys keys) throws StoreException, KeyException {
        int txRing = gref(keys, "tx-ring-ref");
        int rxRing = gref(keys, "rx-ring-ref");
        if (keys.text("event-channel-tx").isPresent()) {
            return new QueueKeys(
                    txRing, rxRing, port(keys, "event-channel-tx"), port(keys, "event-channel-rx"));
        }
        int both = port(keys, "event-channel");
        return new QueueKeys(txRing, rxRing, both, both);
    }

    private static Optional<ControlKeys> control(Keys frontend)
            throws StoreException, KeyException {
        if (frontend.text("ctrl-ring-ref").isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(
                new ControlKeys(
                        gref(frontend, "ctrl-ring-ref"), port(frontend, "event-channel-ctrl")));
    }

    private static int gref(Keys keys, String key) throws StoreException, KeyException {
        return (int) keys.number(key, 0, 0xFFFF_FFFFL);
    }

    private static int port(Keys keys, String key) throws StoreException, KeyException {
        return (int) keys.number(key, 1, Integer.MAX_VALUE);
    }
}
