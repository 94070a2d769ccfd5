package org.splitring.blkback.image;

/// Tells when every operation has ended that began before a certain moment. Operations go in with
/// one of two tickets; [#turn] changes which one is given out, as soon as nobody has the other.
///
/// Any thread.
final class OperationGate {
    // Guarded by this.
    private final int[] inside = new int[2];
    private int current;

    /// Begins an operation.
    ///
    /// @return the ticket for [#leave]
    synchronized int enter() {
        inside[current]++;
        return current;
    }

    synchronized void leave(int ticket) {
        inside[ticket]--;
    }

    /// Begins a new time, unless an operation from before the last turn is still under way.
    ///
    /// @return whether every operation has ended that began before the last turn
    synchronized boolean turn() {
        if (inside[1 - current] > 0) {
            return false;
        }
        current = 1 - current;
        return true;
    }
}
