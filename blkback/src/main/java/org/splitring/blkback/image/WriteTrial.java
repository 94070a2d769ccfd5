package org.splitring.blkback.image;

import java.util.concurrent.TimeUnit;

/// Decides whether a write is done on a device loop although the file system cannot say whether it
/// will wait (ext4 knows `RWF_NOWAIT` for reads only). The page cache takes most writes in
/// microseconds, while a worker costs two wake-ups; but when too much is dirty, or a journal is
/// being written, one takes long, and then so will the next.
///
/// So: small writes of whole pages, which read nothing before, are tried. After one that took long
/// none is tried for a pause, which doubles each time and is short again after many that were
/// quick. A loop loses one write's time in a pause at worst.
///
/// Any thread; threads that meet may count a write less, which does no harm.
final class WriteTrial {
    /// Largest write that is tried.
    static final int MOST_BYTES = 128 << 10;

    /// What takes longer has waited.
    static final long LONG_NANOS = TimeUnit.MILLISECONDS.toNanos(3);

    static final long FIRST_PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    static final long LONGEST_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(30);

    /// So many quick ones in a row make the next pause a short one.
    static final int QUICK_AGAIN = 1000;

    private static final int PAGE_SIZE = 4096;

    private volatile boolean pausing;
    private volatile long pauseEndNanos;
    private volatile long pauseNanos = FIRST_PAUSE_NANOS;
    private volatile int quickInARow;

    /// Whether a write is to be done now, at a time of [System#nanoTime].
    boolean mayTry(long offset, long sizeBytes, long nowNanos) {
        if (sizeBytes > MOST_BYTES || (offset | sizeBytes) % PAGE_SIZE != 0) {
            return false;
        }
        if (pausing) {
            if (nowNanos - pauseEndNanos < 0) {
                return false;
            }
            pausing = false;
        }
        return true;
    }

    /// One that was tried has been done.
    void tried(long beginNanos, long endNanos) {
        if (endNanos - beginNanos <= LONG_NANOS) {
            int quick = quickInARow + 1;
            quickInARow = quick;
            if (quick == QUICK_AGAIN) {
                pauseNanos = FIRST_PAUSE_NANOS;
            }
            return;
        }
        quickInARow = 0;
        long pause = pauseNanos;
        pauseEndNanos = endNanos + pause;
        pauseNanos = Math.min(2 * pause, LONGEST_PAUSE_NANOS);
        pausing = true;
    }
}
