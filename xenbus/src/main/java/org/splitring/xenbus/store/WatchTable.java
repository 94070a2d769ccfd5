package org.splitring.xenbus.store;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// All watches by path, as a tree of names, so that a change costs the depth of its path and not
/// the number of watches. Guarded by the lock of the store.
final class WatchTable {
    private static final class Place {
        final Map<String, Place> below = new HashMap<>();
        final Set<TreeWatch> watches = new LinkedHashSet<>(2);
        final @Nullable Place above;
        final String name;

        Place(@Nullable Place above, String name) {
            this.above = above;
            this.name = name;
        }
    }

    private final Place root = new Place(null, "");
    private int count;

    int count() {
        return count;
    }

    /// Places that exist only to hold watches; for tests of what an unwatch leaves behind.
    int placeCount() {
        int places = 0;
        Deque<Place> open = new ArrayDeque<>();
        open.push(root);
        while (!open.isEmpty()) {
            Place place = open.pop();
            places++;
            place.below.values().forEach(open::push);
        }
        return places;
    }

    void add(TreeWatch watch) {
        Place at = root;
        for (String part : watch.storePath().parts()) {
            Place above = at;
            at = at.below.computeIfAbsent(part, name -> new Place(above, name));
        }
        at.watches.add(watch);
        count++;
    }

    void remove(TreeWatch watch) {
        Place at = place(watch.storePath());
        if (at == null || !at.watches.remove(watch)) {
            return;
        }
        count--;
        while (at.above != null && at.watches.isEmpty() && at.below.isEmpty()) {
            at.above.below.remove(at.name);
            at = at.above;
        }
    }

    /// Whether there are watches on the path itself or on a node above it.
    boolean isWatched(StorePath path) {
        Place at = root;
        List<String> parts = path.parts();
        for (int i = 0; at.watches.isEmpty(); i++) {
            Place next = i == parts.size() ? null : at.below.get(parts.get(i));
            if (next == null) {
                return false;
            }
            at = next;
        }
        return true;
    }

    /// Watches on the path itself and on every node above it.
    void onTheWayTo(StorePath path, Consumer<TreeWatch> action) {
        Place at = root;
        if (!path.special()) {
            at.watches.forEach(action);
        }
        for (String part : path.parts()) {
            at = at.below.get(part);
            if (at == null) {
                return;
            }
            at.watches.forEach(action);
        }
    }

    /// Watches on nodes below the path, not on it.
    void below(StorePath path, Consumer<TreeWatch> action) {
        Place start = place(path);
        if (start == null) {
            return;
        }
        Deque<Place> open = new ArrayDeque<>(start.below.values());
        while (!open.isEmpty()) {
            Place place = open.pop();
            place.watches.forEach(action);
            place.below.values().forEach(open::push);
        }
    }

    private @Nullable Place place(StorePath path) {
        Place at = root;
        for (String part : path.parts()) {
            at = at.below.get(part);
            if (at == null) {
                return null;
            }
        }
        return at;
    }
}
