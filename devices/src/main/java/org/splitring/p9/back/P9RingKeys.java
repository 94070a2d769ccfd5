package org.splitring.p9.back;

import java.util.ArrayList;
import java.util.List;
import org.splitring.xenbus.KeyException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// What a frontend of 9pfs publishes: `version`, `num-rings`, and for each ring N the reference of
/// its index page in `ring-refN` and its port in `event-channel-N`.
///
/// Source: Xen `docs/misc/9pfs.pandoc`, "Frontend XenBus Nodes".
record P9RingKeys(List<Ring> rings) {
    /// The only version there is.
    static final String VERSION = "1";

    /// One ring.
    ///
    /// @param gref of the index page, which has the references of the others
    record Ring(int gref, int eventChannel) {}

    /// Reads and checks the keys once; what is written later is not looked at.
    static P9RingKeys read(Keys frontend, int maxRings) throws StoreException, KeyException {
        frontend.oneOf("version", List.of(VERSION));
        int count = (int) frontend.number("num-rings", 1, maxRings);
        List<Ring> rings = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            rings.add(
                    new Ring(
                            (int) frontend.number("ring-ref" + i, 0, 0xFFFF_FFFFL),
                            (int) frontend.number("event-channel-" + i, 1, Integer.MAX_VALUE)));
        }
        return new P9RingKeys(rings);
    }
}
