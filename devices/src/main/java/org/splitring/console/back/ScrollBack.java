package org.splitring.console.back;

/// The last bytes that a guest has printed, in memory of a fixed size. Each reader has its own
/// place; one that is too slow misses what was overwritten, and holds up nobody.
///
/// Any thread.
final class ScrollBack {
    private final byte[] bytes;

    // Guarded by this.
    private long written; // counts on, also what was overwritten
    private boolean closed;

    ScrollBack(int sizeBytes) {
        bytes = new byte[sizeBytes];
    }

    synchronized void append(byte[] from, int offset, int length) {
        int skipped = Math.max(0, length - bytes.length); // more than there is room for
        written += skipped;
        int at = (int) (written % bytes.length);
        int kept = length - skipped;
        int first = Math.min(kept, bytes.length - at);
        System.arraycopy(from, offset + skipped, bytes, at, first);
        System.arraycopy(from, offset + skipped + first, bytes, 0, kept - first);
        written += kept;
        notifyAll();
    }

    /// Where the oldest byte is that is still there.
    synchronized long start() {
        return Math.max(0, written - bytes.length);
    }

    /// Readers get what is left, then the end.
    synchronized void close() {
        closed = true;
        notifyAll();
    }

    /// A reader who starts at the oldest byte.
    Reader reader() {
        return new Reader(start());
    }

    /// One reader's place. One thread.
    final class Reader {
        private long place;
        private long missed;

        private Reader(long place) {
            this.place = place;
        }

        /// Waits until there is something new, and copies it.
        ///
        /// @return how many bytes, or -1 at the end
        int read(byte[] to) throws InterruptedException {
            synchronized (ScrollBack.this) {
                while (written <= place && !closed) {
                    ScrollBack.this.wait();
                }
                if (written <= place) {
                    return -1;
                }
                long from = Math.max(place, start());
                int count = (int) Math.min(to.length, written - from);
                int at = (int) (from % bytes.length);
                int first = Math.min(count, bytes.length - at);
                System.arraycopy(bytes, at, to, 0, first);
                System.arraycopy(bytes, 0, to, first, count - first);
                missed = from - place;
                place = from + count;
                return count;
            }
        }

        /// How many bytes were overwritten before the last reading could have them.
        long missed() {
            return missed;
        }
    }
}
