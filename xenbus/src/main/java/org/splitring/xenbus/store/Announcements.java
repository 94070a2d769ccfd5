package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
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
            if (changes.size() == 1 || fired.add(path.text())) {
                fire(path, before, after);
            }
            if (change instanceof Change.Remove) {
                fireBelow(path, before);
            }
        }
    }

    private void fire(StorePath path, Node before, Node after) {
        watches.onTheWayTo(
                path,
                watch -> {
                    if (watch.reaches(path) && maySee(watch, path.parts(), before, after)) {
                        note(watch, watch.storePath().event(path));
                    }
                });
    }

    /// A watch below a removed node hears of its own path; those above hear of the removed node
    /// only.
    private void fireBelow(StorePath removed, Node before) {
        watches.below(
                removed,
                watch -> {
                    Node node = Draft.find(before, watch.storePath().parts());
                    if (node != null && watch.connection().mayRead(node)) {
                        note(watch, watch.path());
                    }
                });
    }

    /// An event tells that a node exists: only for who may read it, before or after the change, or
    /// its folder (hostile catalogue H-105).
    private static boolean maySee(TreeWatch watch, List<String> parts, Node before, Node after) {
        return readable(watch, before, parts)
                || readable(watch, after, parts)
                || (!parts.isEmpty() && readable(watch, after, parts.subList(0, parts.size() - 1)));
    }

    private static boolean readable(TreeWatch watch, Node root, List<String> parts) {
        Node node = Draft.find(root, parts);
        return node != null && watch.connection().mayRead(node);
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
