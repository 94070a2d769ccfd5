package org.splitring.driverdomain.nbd;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.LocalDisk;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.SocketPipe;

/// The payloads of one client's large WRITEs on their way from the socket to the page cache,
/// without memory of ours between. As much is moved as comes in while its header is looked at; the
/// rest goes the ordinary way. On the loop.
final class StraightWrites implements AutoCloseable {
    /// Most that is moved at once, before others of the loop have their turn.
    private static final int MOST_BYTES = 1 << 20;

    /// For so long at most, whatever comes: a client that sends a few bytes at a time, each just
    /// before it is waited for no longer, would keep the others of the loop waiting.
    private static final long MOST_NANOS = 1_000_000;

    private static final int PAGE_BYTES = 4096;
    private static final Logger LOG = LoggerFactory.getLogger(StraightWrites.class);

    private final NbdServer server;
    private final ExportedDisk disk;
    private final int socket;
    private @Nullable SocketPipe pipe;
    private boolean unusable;
    private long goneBytes;

    /// @param disk one that has a page cache
    /// @param socket the client's
    StraightWrites(NbdServer server, ExportedDisk disk, int socket) {
        this.server = server;
        this.disk = disk;
        this.socket = socket;
    }

    /// Moves the beginning of a payload to the disk, of which nothing has been read yet.
    ///
    /// @return bytes that are there, whole pages and perhaps none; [LocalDisk#TAKE_FAILED] when the
    ///     write has failed
    long take(long offset, int sizeBytes) {
        goneBytes = 0;
        SocketPipe through = (offset | sizeBytes) % PAGE_BYTES == 0 ? pipe() : null;
        return through == null ? 0 : take(through, offset, Math.min(sizeBytes, MOST_BYTES));
    }

    private long take(SocketPipe through, long offset, int mostBytes) {
        long before = through.receivedBytes();
        long seen = before;
        long begin = System.nanoTime();
        long now = begin;
        long seenAt = begin;
        long done = 0;
        while (done < mostBytes && now - begin < MOST_NANOS) {
            long count = disk.take(through, offset + done, mostBytes - done);
            goneBytes = through.receivedBytes() - before;
            if (count == LocalDisk.TAKE_FAILED) {
                close(); // with what it holds
                return count;
            }
            if (count == LocalDisk.NOT_TAKEN) {
                break;
            }
            done += count;
            now = System.nanoTime();
            if (through.receivedBytes() != seen) {
                seen = through.receivedBytes();
                seenAt = now;
            } else if (now - seenAt >= server.patienceNanos()) {
                break;
            } else {
                Thread.onSpinWait(); // whoever sends is most likely copying more of it
            }
        }
        return done;
    }

    /// Bytes of the payload that the last [#take] has taken from the socket.
    long goneBytes() {
        return goneBytes;
    }

    /// Hands over what is left in the pipe, less than a page, when the payload goes on the ordinary
    /// way.
    ///
    /// @param into with room for a page
    int handOver(DiskBuffer into) {
        SocketPipe through = pipe;
        return through == null ? 0 : (int) through.read(into.bytes());
    }

    private @Nullable SocketPipe pipe() {
        if (pipe == null && !unusable) {
            try {
                pipe = SocketPipe.of(socket);
            } catch (LinuxException e) {
                LOG.warn("large writes of an NBD client are copied once more: {}", e.getMessage());
                unusable = true;
            }
        }
        return pipe;
    }

    /// Takes no more.
    @Override
    public void close() {
        SocketPipe old = pipe;
        pipe = null;
        unusable = true;
        if (old != null) {
            old.close();
        }
    }
}
