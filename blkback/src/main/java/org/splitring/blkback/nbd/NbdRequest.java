package org.splitring.blkback.nbd;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.IoVector;

/// A request that one thread makes and waits for. Places for as many as there may be at once are
/// made with the link; a place is its thread's until it is given back.
final class NbdRequest {
    private static final int PIECES = 1024;

    enum State {
        IDLE,
        /// The reader answers it, or says that it is lost.
        SENT,
        ANSWERED,
        /// The connection it was sent on has ended.
        LOST
    }

    final int index;

    // Set by its thread before it is sent.
    int type;
    int flags;
    long offset;
    int length;
    long entry; // in the log, or -1
    private @Nullable IoVector vector;

    // Set under the link's lock when it is sent.
    volatile State state = State.IDLE;
    long cookie;
    long sentNanos;

    private int error; // guarded by this

    NbdRequest(int index) {
        this.index = index;
    }

    /// Where what is read goes. Made when it is needed first, and kept.
    IoVector vector() {
        IoVector made = vector;
        if (made == null) {
            made = new IoVector(PIECES);
            vector = made;
        }
        return made;
    }

    /// Its thread needs it no more.
    void idle() {
        if (vector != null) {
            vector.clear();
        }
        state = State.IDLE;
    }

    /// On the reader's thread.
    synchronized void end(State how, int errorNumber) {
        error = errorNumber;
        state = how;
        notifyAll();
    }

    /// Waits for the reader. Nobody can give up: the reader may be writing into the pieces.
    ///
    /// @return whether it was answered
    boolean await() {
        boolean interrupted = false;
        synchronized (this) {
            while (state == State.SENT) {
                try {
                    wait();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return state == State.ANSWERED;
    }

    /// The number with which it was answered, 0 for success.
    synchronized int error() {
        return error;
    }

    /// What it is, for people: `write of 4096 bytes at 512`.
    String words() {
        String what =
                switch (type) {
                    case NbdProtocol.CMD_READ -> "read";
                    case NbdProtocol.CMD_WRITE -> "write";
                    case NbdProtocol.CMD_FLUSH -> "flush";
                    case NbdProtocol.CMD_TRIM -> "trim";
                    default -> "write of zeros";
                };
        return type == NbdProtocol.CMD_FLUSH
                ? what
                : what + " of " + length + " bytes at " + offset;
    }
}
