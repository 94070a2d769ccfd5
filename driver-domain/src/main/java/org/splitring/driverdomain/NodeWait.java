package org.splitring.driverdomain;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// Waits for what others do to a node of the store.
final class NodeWait {
    private NodeWait() {}

    /// A name for a node that nobody else makes.
    static String uniqueName() {
        return ProcessHandle.current().pid() + "-" + Math.abs(System.nanoTime());
    }

    /// Waits until a node is gone.
    ///
    /// @return the node's value, when it is still there at the end of the time
    static Optional<String> awaitGone(Store store, String node, Duration limit)
            throws StoreException, InterruptedException {
        return await(store, node, limit, Optional::isEmpty);
    }

    /// Waits until a node's value is as it is wanted; empty when there is no node.
    ///
    /// @return the node's value, as it was wanted or as it is at the end of the time
    static Optional<String> await(
            Store store, String node, Duration limit, Predicate<Optional<String>> wanted)
            throws StoreException, InterruptedException {
        Semaphore changes = new Semaphore(0);
        long end = System.nanoTime() + limit.toNanos();
        Watch watch = store.watch(node, path -> changes.release());
        try {
            while (true) {
                changes.drainPermits();
                Optional<String> value = store.read(node);
                if (wanted.test(value)
                        || !changes.tryAcquire(end - System.nanoTime(), TimeUnit.NANOSECONDS)) {
                    return value;
                }
            }
        } finally {
            watch.close();
        }
    }
}
