package org.splitring.xenbus;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What a frontend publishes so that the backend finds its ring: `ring-ref` for one page, or
/// `ring-page-order` (some write `num-ring-pages` instead, or both) and `ring-ref0` to
/// `ring-ref(2^order - 1)`; `event-channel`; `protocol`.
///
/// Source: Xen `public/io/blkif.h`, "Frontend XenBus Nodes".
///
/// @param grefs of the ring's pages in order
/// @param eventChannel port to bind
/// @param protocol the ABI of the entries: `x86_64-abi`, `x86_32-abi`, `arm-abi`
public record RingKeys(List<Integer> grefs, int eventChannel, String protocol) {
    public static final String X86_64 = "x86_64-abi";
    public static final String X86_32 = "x86_32-abi";
    public static final String ARM = "arm-abi";

    public RingKeys {
        grefs = List.copyOf(grefs);
        if (Integer.bitCount(grefs.size()) != 1) {
            throw new IllegalArgumentException("ring of " + grefs.size() + " pages");
        }
    }

    /// The references as an array, as mapping wants them.
    public int[] grefArray() {
        return grefs.stream().mapToInt(Integer::intValue).toArray();
    }

    /// Reads and checks the frontend's keys, once, at connect: what it writes later is not looked
    /// at. The order is checked before anything is shifted by it (hostile catalogue H-009,
    /// H-010).
    ///
    /// @param maxPageOrder what the backend offered as `max-ring-page-order`
    public static RingKeys read(Keys frontend, int maxPageOrder)
            throws StoreException, KeyException {
        return readQueues(frontend, maxPageOrder, 1).getFirst();
    }

    /// As [#read], for a frontend that may have several rings, each in a folder `queue-N` of its
    /// own; protocol and size stand above and are the same for all. One ring stands above
    /// altogether, whatever the frontend knows of queues.
    ///
    /// @param maxQueues what the backend offered as `multi-queue-max-queues`
    public static List<RingKeys> readQueues(Keys frontend, int maxPageOrder, int maxQueues)
            throws StoreException, KeyException {
        String protocol = frontend.oneOf("protocol", List.of(X86_64, X86_32, ARM));
        int queues = (int) frontend.number("multi-queue-num-queues", 1, maxQueues, 1);
        int order = pageOrder(frontend, maxPageOrder);
        List<RingKeys> rings = new ArrayList<>();
        Set<Integer> ports = new HashSet<>();
        Set<Integer> grefs = new HashSet<>();
        for (int i = 0; i < queues; i++) {
            Keys keys =
                    queues == 1
                            ? frontend
                            : new Keys(frontend.store(), frontend.folder() + "/queue-" + i);
            RingKeys ring = readOne(keys, order, protocol);
            if (queues > 1 && !ports.add(ring.eventChannel)) {
                throw new KeyException(
                        "keys in " + keys.folder() + ": an event channel that another queue has");
            }
            for (int gref : ring.grefs) {
                if (queues > 1 && !grefs.add(gref)) {
                    throw new KeyException(
                            "keys in " + keys.folder() + ": a ring page that stands there twice");
                }
            }
            rings.add(ring);
        }
        return rings;
    }

    private static RingKeys readOne(Keys queue, int order, String protocol)
            throws StoreException, KeyException {
        int eventChannel = (int) queue.number("event-channel", 1, Integer.MAX_VALUE);
        if (order == 0 && (hasRingRef(queue) || queue.text("ring-ref0").isEmpty())) {
            return new RingKeys(List.of(gref(queue, "ring-ref")), eventChannel, protocol);
        }
        Integer[] grefs = new Integer[1 << order];
        for (int i = 0; i < grefs.length; i++) {
            grefs[i] = gref(queue, "ring-ref" + i);
        }
        return new RingKeys(Arrays.asList(grefs), eventChannel, protocol);
    }

    private static boolean hasRingRef(Keys frontend) throws StoreException {
        return frontend.text("ring-ref").isPresent();
    }

    private static int pageOrder(Keys frontend, int maxPageOrder)
            throws StoreException, KeyException {
        long order = frontend.number("ring-page-order", 0, maxPageOrder, 0);
        Optional<String> pagesText = frontend.text("num-ring-pages");
        if (pagesText.isEmpty()) {
            return (int) order;
        }
        long pages = frontend.number("num-ring-pages", 1, 1L << maxPageOrder);
        if (Long.bitCount(pages) != 1) {
            throw frontend.wrong("num-ring-pages", pagesText.get(), "not a power of two");
        }
        if (frontend.text("ring-page-order").isPresent() && pages != 1L << order) {
            throw frontend.wrong(
                    "num-ring-pages", pagesText.get(), "disagrees with ring-page-order " + order);
        }
        return Long.numberOfTrailingZeros(pages);
    }

    /// Writes the keys into the frontend's folder; keys of another ring form are removed.
    public void write(StoreAccess store, String folder) throws StoreException {
        int order = Integer.numberOfTrailingZeros(grefs.size());
        if (order == 0) {
            store.remove(folder + "/ring-page-order");
            store.remove(folder + "/num-ring-pages");
            store.write(folder + "/ring-ref", unsigned(grefs.getFirst()));
        } else {
            store.remove(folder + "/ring-ref");
            store.write(folder + "/ring-page-order", Integer.toString(order));
            store.write(folder + "/num-ring-pages", Integer.toString(grefs.size()));
            for (int i = 0; i < grefs.size(); i++) {
                store.write(folder + "/ring-ref" + i, unsigned(grefs.get(i)));
            }
        }
        store.write(folder + "/event-channel", Integer.toString(eventChannel));
        store.write(folder + "/protocol", protocol);
    }

    /// Writes the keys of one ring or of several into the frontend's folder, in the form that
    /// [#readQueues] reads; keys of another form are removed.
    ///
    /// @param rings of the same size and protocol
    public static void writeQueues(List<RingKeys> rings, StoreAccess store, String folder)
            throws StoreException {
        for (String name : store.list(folder)) {
            if (name.startsWith("queue-") || name.startsWith("ring-ref")) {
                store.remove(folder + "/" + name);
            }
        }
        if (rings.size() == 1) {
            store.remove(folder + "/multi-queue-num-queues");
            rings.getFirst().write(store, folder);
            return;
        }
        store.remove(folder + "/event-channel");
        store.write(folder + "/multi-queue-num-queues", Integer.toString(rings.size()));
        RingKeys first = rings.getFirst();
        store.write(folder + "/protocol", first.protocol);
        int pages = first.grefs.size();
        store.write(
                folder + "/ring-page-order",
                Integer.toString(Integer.numberOfTrailingZeros(pages)));
        store.write(folder + "/num-ring-pages", Integer.toString(pages));
        for (int i = 0; i < rings.size(); i++) {
            RingKeys ring = rings.get(i);
            String queue = folder + "/queue-" + i;
            for (int page = 0; page < pages; page++) {
                String name = pages == 1 ? "/ring-ref" : "/ring-ref" + page;
                store.write(queue + name, unsigned(ring.grefs.get(page)));
            }
            store.write(queue + "/event-channel", Integer.toString(ring.eventChannel));
        }
    }

    private static int gref(Keys frontend, String key) throws StoreException, KeyException {
        return (int) frontend.number(key, 0, 0xFFFF_FFFFL);
    }

    private static String unsigned(int gref) {
        return Integer.toUnsignedString(gref);
    }
}
