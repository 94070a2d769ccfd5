package org.splitring.xenbus.store;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/// One watch of a connection to the tree, with its pending events.
///
/// Pending paths are a set: each is there once (hostile catalogue H-103), and beyond 4096
/// characters they are merged into the watched path, which means "look at everything again". So a
/// watch has a bound whatever happens in the tree, and no event is lost.
final class TreeWatch implements Watch {
    private static final int MAX_PENDING_CHARS = 4096;

    private final TreeConnection connection;
    private final StorePath storePath;
    private final String path;
    private final WatchListener listener;
    private final Set<String> pending = new LinkedHashSet<>();
    private int pendingChars;
    private boolean scheduled;
    private boolean closed;

    TreeWatch(TreeConnection connection, StorePath storePath, String path, WatchListener listener) {
        this.connection = connection;
        this.storePath = storePath;
        this.path = path;
        this.listener = listener;
    }

    @Override
    public String path() {
        return path;
    }

    StorePath storePath() {
        return storePath;
    }

    TreeConnection connection() {
        return connection;
    }

    /// Notes an event.
    ///
    /// @return whether the caller has to hand [#deliver] to the executor
    synchronized boolean note(String event) {
        if (closed) {
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

    /// Calls the listener for what is pending; comes again later for what is added meanwhile.
    void deliver() {
        List<String> events;
        synchronized (this) {
            events = List.copyOf(pending);
            pending.clear();
            pendingChars = 0;
        }
        try {
            for (String event : events) {
                if (isClosed()) {
                    return;
                }
                listener.changed(event);
            }
        } finally {
            boolean more;
            synchronized (this) {
                more = !closed && !pending.isEmpty();
                scheduled = more;
            }
            if (more) {
                connection.schedule(this);
            }
        }
    }

    synchronized int pendingCount() {
        return pending.size();
    }

    synchronized boolean isClosed() {
        return closed;
    }

    /// Marks it ended; the caller takes it out of the table.
    ///
    /// @return whether it was open
    synchronized boolean end() {
        boolean wasOpen = !closed;
        closed = true;
        pending.clear();
        return wasOpen;
    }

    @Override
    public void close() {
        connection.unwatch(this);
    }
}
