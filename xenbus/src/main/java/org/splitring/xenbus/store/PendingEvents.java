package org.splitring.xenbus.store;

import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Events of one watch that nobody has been told yet. Any thread.
///
/// Paths are a set: each is there once (hostile catalogue H-103), and beyond 4096 characters they
/// are merged into the watched path, which means "look at everything again". So they are when they
/// have waited for 20 seconds, the time after which Xen's daemon drops them: whoever does not read
/// keeps no memory (hostile catalogue H-100). So a watch has a bound whatever happens in the tree,
/// and no event is lost.
final class PendingEvents {
    private static final int MAX_PENDING_CHARS = 4096;
    static final long MAX_WAIT_NANOS = 20_000_000_000L;

    private final String path;
    private final String token;
    private final Consumer<PendingEvents> whenPending;
    private final Set<String> pending = new LinkedHashSet<>();
    private int pendingChars;
    private long waitingSinceNanos; // since when nothing was taken
    private long notedNanos;
    private boolean scheduled;
    private boolean ended;

    /// @param path as it was given at registration
    /// @param token as it was given at registration
    /// @param whenPending told by [#schedule]; it then calls [#take] until there is nothing
    PendingEvents(String path, String token, Consumer<PendingEvents> whenPending) {
        this.path = path;
        this.token = token;
        this.whenPending = whenPending;
    }

    /// Events for a listener.
    ///
    /// @param executor runs the listener, one call at a time
    static PendingEvents listening(String path, WatchListener listener, Executor executor) {
        return new PendingEvents(
                path, "", events -> executor.execute(() -> events.deliver(listener)));
    }

    String path() {
        return path;
    }

    String token() {
        return token;
    }

    /// Notes an event.
    ///
    /// @return whether the caller has to call [#schedule], outside of its locks
    synchronized boolean note(String event, long nowNanos) {
        if (ended) {
            return false;
        }
        if (pending.isEmpty()) {
            waitingSinceNanos = nowNanos;
        }
        notedNanos = nowNanos;
        if (pending.add(event)) {
            pendingChars += event.length();
        }
        boolean much = pendingChars > MAX_PENDING_CHARS;
        boolean old = nowNanos - waitingSinceNanos > MAX_WAIT_NANOS;
        if ((much || old) && pending.size() > 1) {
            pending.clear();
            pending.add(path);
            pendingChars = path.length();
        }
        boolean first = !scheduled;
        scheduled = true;
        return first;
    }

    void schedule() {
        whenPending.accept(this);
    }

    /// Takes the oldest event.
    ///
    /// @return null when there is none, or the watch has ended; whoever was told that events are
    ///     pending is told again when there are new ones
    synchronized @Nullable String take() {
        String event = oldest();
        scheduled = event != null;
        return event;
    }

    private synchronized @Nullable String oldest() {
        Iterator<String> events = pending.iterator();
        if (!events.hasNext()) {
            return null;
        }
        String event = events.next();
        events.remove();
        pendingChars -= event.length();
        waitingSinceNanos = notedNanos;
        return event;
    }

    /// Calls the listener for what is pending; comes again later for what is added meanwhile.
    private void deliver(WatchListener listener) {
        try {
            for (int left = count(); left > 0; left--) {
                String event = oldest(); // still ours to deliver
                if (event == null) {
                    return;
                }
                listener.changed(event);
            }
        } finally {
            if (isStillPending()) {
                schedule();
            }
        }
    }

    private synchronized boolean isStillPending() {
        scheduled = !pending.isEmpty();
        return scheduled;
    }

    synchronized int count() {
        return pending.size();
    }

    /// Forgets what is pending and takes no more.
    ///
    /// @return whether it had not ended yet
    synchronized boolean end() {
        boolean first = !ended;
        ended = true;
        pending.clear();
        pendingChars = 0;
        return first;
    }
}
