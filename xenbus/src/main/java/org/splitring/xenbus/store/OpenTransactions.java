package org.splitring.xenbus.store;

import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/// Transactions in the books of their domains. Guests' are given up after a minute: each keeps a
/// version of the whole tree alive. Guarded by the lock of the store.
final class OpenTransactions {
    static final long MAX_NANOS = TimeUnit.SECONDS.toNanos(60);

    private final Set<TreeTransaction> ofGuests = new LinkedHashSet<>(); // eldest first

    void begin(TreeTransaction transaction) {
        TreeConnection connection = transaction.connection();
        connection.transactions().add(transaction);
        connection.account().transactions++;
        if (connection.account().isLimited()) {
            ofGuests.add(transaction);
        }
    }

    /// Closes a transaction in the books.
    ///
    /// @return whether it was open
    boolean end(TreeTransaction transaction) {
        boolean wasOpen = transaction.end();
        if (wasOpen) {
            TreeConnection connection = transaction.connection();
            connection.transactions().remove(transaction);
            connection.account().transactions--;
            connection.account().refund(transaction.bytes());
            ofGuests.remove(transaction);
        }
        return wasOpen;
    }

    /// Gives up those that are too old: they stay open, and can only fail.
    ///
    /// @param root of the tree as it is
    void expire(long nowNanos, Node root) {
        Iterator<TreeTransaction> eldest = ofGuests.iterator();
        while (eldest.hasNext()) {
            TreeTransaction transaction = eldest.next();
            if (nowNanos - transaction.startNanos() < MAX_NANOS) {
                return;
            }
            transaction.expire(root);
            eldest.remove();
        }
    }
}
