package org.splitring.blkback.nbd;

import java.util.concurrent.TimeUnit;

/// How long things may take, in nanoseconds.
///
/// @param handshake from the first packet to the end of the handshake
/// @param answer from a request to the end of its answer; then the connection counts as lost
/// @param reconnect from the loss of a connection to an answer on another; then the disk fails
record NbdTimes(long handshake, long answer, long reconnect) {
    static final long FIRST_PAUSE = TimeUnit.MILLISECONDS.toNanos(100);
    static final long LONGEST_PAUSE = TimeUnit.SECONDS.toNanos(2);

    /// Slow storage may take minutes to make much data stable. A machine that is gone is noticed
    /// sooner, by its TCP.
    static NbdTimes reconnecting(int seconds) {
        return new NbdTimes(
                TimeUnit.SECONDS.toNanos(5),
                TimeUnit.MINUTES.toNanos(3),
                TimeUnit.SECONDS.toNanos(seconds));
    }
}
