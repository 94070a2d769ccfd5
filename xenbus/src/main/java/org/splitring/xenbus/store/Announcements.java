package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;

/// Tells watches what one step of the store has changed. Noted with the lock of the store,
/// delivered by [#send] without it.
final class Announcements {
    private final WatchTable watches;
    private final StoreDomains domains;
    private final LongSupplier nanoClock;
    private final List<PendingEvents> due = new ArrayList<>();

    Announcements(WatchTable watches, StoreDomains domains, LongSupplier nanoClock) {
        this.watches = watches;
        this.domains = domains;
        this.nanoClock = nanoClock;
    }

    /// Notes changes that have made `after` of `before`.
    void changed(List<Change> changes, Node before, Node after) {
        if (watches.count() == 0) {
            return;
        }
        Set<String> fired = changes.size() > 1 ? new HashSet<>() : Set.of();
        for (Change change : changes) {
            StorePath path = change.path();
            if (change instanceof Change.Remove) {
                fireBelow(path, before); // first, as xenstored removes from below
            }
            if (changes.size() == 1 || fired.add(path.text())) {
                fire(path, before, after);
            }
        }
    }

    /// An event tells that a node exists: only for who may read it, before or after the change, or
    /// its folder (hostile catalogue H-105).
    private void fire(StorePath path, Node before, Node after) {
        if (!watches.isWatched(path)) {
            return;
        }
        List<String> parts = path.parts();
        Node then = Draft.find(before, parts);
        Node now = Draft.find(after, parts);
        if (then == null && now == null) {
            return; // made and removed in one transaction
        }
        Node folder = parts.isEmpty() ? null : Draft.find(after, parent(parts));
        watches.onTheWayTo(
                path,
                watch -> {
                    if (watch.reaches(path)
                            && (mayRead(watch, then)
                                    || mayRead(watch, now)
                                    || mayRead(watch, folder))) {
                        note(watch, watch.storePath().event(path));
                    }
                });
    }

    private static List<String> parent(List<String> parts) {
        return parts.subList(0, parts.size() - 1);
    }

    private static boolean mayRead(TreeWatch watch, @Nullable Node node) {
        return node != null && watch.connection().mayRead(node);
    }

    /// A watch below a removed node hears of its own path, if there was such a node that it could
    /// read or list; those above hear of the removed node only.
    private void fireBelow(StorePath removed, Node before) {
        watches.below(
                removed,
                watch -> {
                    List<String> parts = watch.storePath().parts();
                    Node node = Draft.find(before, parts);
                    if (node != null
                            && (mayRead(watch, node)
                                    || mayRead(watch, Draft.find(before, parent(parts))))) {
                        note(watch, watch.path());
                    }
                });
    }

    /// Notes that a domain came or went. Watches with a depth learn which one.
    ///
    /// @param name [StoreDomains#INTRODUCED] or [StoreDomains#RELEASED]
    void domain(String name, DomId domain) {
        StorePath path = StorePath.special(name).belowSpecial(domain.toString());
        watches.onTheWayTo(
                path,
                watch -> {
                    if (domains.maySeeSpecial(watch.connection().account(), name)) {
                        boolean which = watch.depth() > 0 || watch.storePath().parts().size() > 1;
                        note(watch, which ? path.text() : name);
                    }
                });
    }

    private void note(TreeWatch watch, String event) {
        if (watch.events().note(event, nanoClock.getAsLong())) {
            due.add(watch.events());
        }
    }

    /// Tells the watches. Outside the lock: an executor may run its task at once.
    void send() {
        due.forEach(PendingEvents::schedule);
    }
}
