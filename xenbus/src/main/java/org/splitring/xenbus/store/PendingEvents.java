package org.splitring.xenbus.store;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executor;

/// Events of one watch that its listener has not heard yet. Any thread.
///
/// Paths are a set: each is there once (hostile catalogue H-103), and beyond 4096 characters they
/// are merged into the watched path, which means "look at everything again". So a watch has a bound
/// whatever happens in the tree, and no event is lost.
final class PendingEvents {
    private static final int MAX_PENDING_CHARS = 4096;

    private final String path;
    private final WatchListener listener;
    private final Executor executor;
    private final Set<String> pending = new LinkedHashSet<>();
    private int pendingChars;
    private boolean scheduled;
    private boolean ended;

    /// @param path as it was given at registration
    /// @param executor runs the listener, one call at a time
    PendingEvents(String path, WatchListener listener, Executor executor) {
        this.path = path;
        this.listener = listener;
        this.executor = executor;
    }

    String path() {
        return path;
    }

    /// Notes an event.
    ///
    /// @return whether the caller has to call [#schedule], outside of its locks
    synchronized boolean note(String event) {
        if (ended) {
            return false;
        }
        if (pending.add(event)) {
            pendingChars += event.length();
            if (pendingChars > MAX_PENDING_CHARS && pending.size() > 1) {
                pending.clear();
                pending.add(path);
                pendingChars = path.length();
            }
        }
        boolean first = !scheduled;
        scheduled = true;
        return first;
    }

    void schedule() {
        executor.execute(this::deliver);
    }

    /// Calls the listener for what is pending; comes again later for what is added meanwhile.
    private void deliver() {
        List<String> events;
        synchronized (this) {
            events = List.copyOf(pending);
            pending.clear();
            pendingChars = 0;
        }
        try {
            for (String event : events) {
                if (hasEnded()) {
                    return;
                }
                listener.changed(event);
            }
        } finally {
            boolean more;
            synchronized (this) {
                more = !ended && !pending.isEmpty();
                scheduled = more;
            }
            if (more) {
                schedule();
            }
        }
    }

    synchronized int count() {
        return pending.size();
    }

    private synchronized boolean hasEnded() {
        return ended;
    }

    /// Forgets what is pending and takes no more.
    ///
    /// @return whether it had not ended yet
    synchronized boolean end() {
        boolean first = !ended;
        ended = true;
        pending.clear();
        return first;
    }
}
