package org.splitring.blkback.nbd;

import java.io.IOException;
import org.splitring.hypervisor.linux.Errno;

/// Sends the writes of a log again that were acknowledged and may be lost. Several are under way
/// at once, but never two that overlap: a server may do them in any order, and the later has to
/// win.
final class NbdReplay {
    private static final int WINDOW = 32;
    private static final int SHUTTING_DOWN = 108; // ESHUTDOWN

    private final NbdConnection connection;
    private final WriteLog log;
    private final long answerNanos;

    /// Numbers of the log, which are the cookies too.
    private final long[] underWay = new long[WINDOW];

    private int count;

    /// @param connection after the handshake, and nobody else's yet
    /// @param answerNanos how long one answer may take
    NbdReplay(NbdConnection connection, WriteLog log, long answerNanos) {
        this.connection = connection;
        this.log = log;
        this.answerNanos = answerNanos;
    }

    /// @return how many were sent
    /// @throws NbdRefusal when one was refused: acknowledged data is lost
    /// @throws IOException when this connection has ended too; nothing is lost by that
    int run() throws IOException {
        int sent = 0;
        for (long entry = log.nextAcknowledged(0);
                entry >= 0;
                entry = log.nextAcknowledged(entry + 1)) {
            while (count == WINDOW || overlaps(entry)) {
                receive();
            }
            int start = log.start(entry);
            connection.send(
                    0,
                    start < 0 ? NbdProtocol.CMD_WRITE_ZEROES : NbdProtocol.CMD_WRITE,
                    entry,
                    log.offset(entry),
                    log.length(entry),
                    start < 0 ? null : log.memory(),
                    Math.max(start, 0));
            underWay[count++] = entry;
            sent++;
        }
        while (count > 0) {
            receive();
        }
        return sent;
    }

    private boolean overlaps(long entry) {
        long offset = log.offset(entry);
        long end = offset + log.length(entry);
        for (int i = 0; i < count; i++) {
            long other = log.offset(underWay[i]);
            if (offset < other + log.length(underWay[i]) && other < end) {
                return true;
            }
        }
        return false;
    }

    private void receive() throws IOException {
        long entry =
                connection.receiveReply(
                        NbdConnection.until(System.nanoTime() + answerNanos, "a write sent again"));
        int error = connection.error();
        int at = 0;
        while (at < count && underWay[at] != entry) {
            at++;
        }
        if (at == count) {
            throw new NbdRefusal(
                    "the server answers request %016x, which is not under way".formatted(entry));
        }
        if (error == SHUTTING_DOWN) {
            throw new IOException("the server is shutting down");
        }
        if (error != 0) {
            throw new NbdRefusal(
                    "a write of "
                            + log.length(entry)
                            + " bytes at "
                            + log.offset(entry)
                            + " had been acknowledged, and was refused when it was sent again: "
                            + Errno.describe(error));
        }
        underWay[at] = underWay[--count];
    }
}
