package org.splitring.xenbus.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.xenbus.Timers;

/// Keeps the dump of a store up to date: when something has changed it is written, at most once a
/// second, and once more at the end. So whoever takes over after a crash finds a store that is at
/// most about a second old.
public final class StoreCheckpoints implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(StoreCheckpoints.class);
    private static final long INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final StoreTree tree;
    private final Path file;
    private final Timers timers;
    private final Executor worker;
    private final Object writing = new Object();
    // Guarded by this.
    private Runnable cancel = () -> {};
    private boolean closed;
    // Guarded by writing.
    private long written = -1;
    private boolean failed;

    private StoreCheckpoints(StoreTree tree, Path file, Timers timers, Executor worker) {
        this.tree = tree;
        this.file = file;
        this.timers = timers;
        this.worker = worker;
    }

    /// Writes the dump now and begins to keep it.
    ///
    /// @param worker writes and waits for the disk
    /// @throws IOException when it cannot be written even once
    public static StoreCheckpoints start(StoreTree tree, Path file, Timers timers, Executor worker)
            throws IOException {
        StoreCheckpoints checkpoints = new StoreCheckpoints(tree, file, timers, worker);
        checkpoints.write();
        checkpoints.scheduleNext();
        return checkpoints;
    }

    private synchronized void scheduleNext() {
        if (!closed) {
            cancel = timers.schedule(() -> worker.execute(this::turn), INTERVAL_NANOS);
        }
    }

    private void turn() {
        try {
            synchronized (writing) { // not after the last dump: the file may be a successor's
                if (!isClosed()) {
                    write();
                }
            }
        } catch (IOException e) {
            synchronized (writing) {
                if (!failed) {
                    LOG.error("the store is not saved for now, tried again each second", e);
                }
                failed = true;
            }
        } finally {
            scheduleNext();
        }
    }

    /// Writes the dump now if the store has changed since the last time.
    ///
    /// @throws IOException when it could not be written: the older one is still there; or after
    ///     [#close]
    public void writeIfChanged() throws IOException {
        synchronized (writing) { // as in `turn`
            if (isClosed()) {
                throw new IOException("store " + file + " is kept no longer");
            }
            write();
        }
    }

    private void write() throws IOException {
        synchronized (writing) {
            StoreSnapshot snapshot = tree.snapshot();
            if (snapshot.version() != written) {
                StoreDump.write(snapshot, file);
                written = snapshot.version();
                if (failed) {
                    LOG.info("the store is saved again in {}", file);
                }
                failed = false;
            }
        }
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    /// Ends it, with a last dump.
    ///
    /// @throws IOException when the last dump could not be written
    @Override
    public void close() throws IOException {
        synchronized (writing) {
            synchronized (this) {
                if (closed) {
                    return;
                }
                closed = true;
                cancel.run();
            }
            write();
        }
    }
}
