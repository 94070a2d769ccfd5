package org.splitring.blkback.nbd;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.BlockStore;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.image.NbdSource;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;

/// A disk that is an export of an NBD server.
///
/// Requests wait while the server is gone, for as long as the name says, and then everything fails
/// until the disk is opened again. What was acknowledged and not yet flushed is kept
/// ([WriteLog]) and sent again to a server that has come back. There is no lock: a server is
/// trusted to have no other writer for the export.
///
/// A server without FLUSH gets each write with FUA. One that has neither cannot make anything
/// stable, and the log says so when the disk is opened.
public final class NbdStore implements BlockStore {
    private static final Logger LOG = LoggerFactory.getLogger(NbdStore.class);

    /// Most that is discarded with one request, so that none takes very long.
    private static final int LARGEST_DISCARD = 32 << 20;

    private static final int LARGEST_GRANULARITY = 1 << 20;

    private final NbdSource source;
    private final NbdExport export;
    private final boolean readOnly;
    private final boolean syncEachWrite;
    private final int writeFlags;
    private final WriteLog log;
    private final NbdLink link;

    // Guarded by log.
    private boolean makingRoom;
    private @Nullable String flushFailure;

    private NbdStore(
            NbdSource source,
            NbdExport export,
            boolean readOnly,
            boolean syncEachWrite,
            WriteLog log,
            NbdLink link) {
        this.source = source;
        this.export = export;
        this.readOnly = readOnly;
        this.syncEachWrite = syncEachWrite;
        this.log = log;
        this.link = link;
        boolean fua = syncEachWrite || !export.has(NbdProtocol.SEND_FLUSH);
        this.writeFlags = fua && export.has(NbdProtocol.SEND_FUA) ? NbdProtocol.CMD_FLAG_FUA : 0;
    }

    /// Connects to a server, which has to be there now.
    ///
    /// @param syncEachWrite every write is stable when it returns
    /// @throws DiskException one line that names the server and the cause
    public static NbdStore open(NbdSource source, DiskAccess access, boolean syncEachWrite)
            throws DiskException {
        return open(
                source,
                access,
                syncEachWrite,
                NbdTimes.reconnecting(source.reconnectSeconds()),
                WriteLog.DEFAULT_BYTES);
    }

    /// As [#open(NbdSource, DiskAccess, boolean)].
    ///
    /// @param logBytes how much may be acknowledged and not stable, at least
    ///     [NbdExport#LARGEST_PAYLOAD]
    static NbdStore open(
            NbdSource source,
            DiskAccess access,
            boolean syncEachWrite,
            NbdTimes times,
            int logBytes)
            throws DiskException {
        boolean readOnly = access == DiskAccess.READ_ONLY;
        NbdConnection connection = null;
        try {
            long end = System.nanoTime() + times.handshake();
            connection = NbdConnection.connect(source.server(), end);
            NbdExport export = NbdHandshake.agree(connection, source.export(), end);
            if (!readOnly && export.has(NbdProtocol.READ_ONLY)) {
                throw new NbdRefusal("the export is read-only, and the disk is not");
            }
            if (!readOnly
                    && !export.has(NbdProtocol.SEND_FLUSH)
                    && !export.has(NbdProtocol.SEND_FUA)) {
                LOG.warn(
                        "{}: the server has neither FLUSH nor FUA: flushed data may be lost",
                        source.name());
            }
            WriteLog log = new WriteLog(logBytes);
            NbdLink link =
                    new NbdLink(
                            source, times, connection, export, flagsInUse(export, readOnly), log);
            return new NbdStore(source, export, readOnly, syncEachWrite, log, link);
        } catch (IOException e) {
            if (connection != null) {
                connection.close();
            }
            throw new DiskException("disk " + source.name() + ": " + e.getMessage(), e);
        }
    }

    private static int flagsInUse(NbdExport export, boolean readOnly) {
        if (readOnly) {
            return 0;
        }
        return NbdProtocol.SEND_FLUSH
                | NbdProtocol.SEND_FUA
                | (export.has(NbdProtocol.SEND_TRIM)
                        ? NbdProtocol.SEND_TRIM | NbdProtocol.SEND_WRITE_ZEROES
                        : 0);
    }

    /// What the server can do, for people.
    public String details() {
        String words = export.words();
        return "an NBD server's export" + (words.isEmpty() ? "" : ", " + words);
    }

    @Override
    public String name() {
        return source.name();
    }

    @Override
    public long sizeBytes() {
        return export.sizeBytes();
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        long done = 0;
        while (into.remainingBytes() > 0 && offsetBytes + done < export.sizeBytes()) {
            NbdRequest request = link.take();
            try {
                long at = offsetBytes + done;
                long wanted =
                        Math.min(
                                Math.min(into.remainingBytes(), export.maxPayloadBytes()),
                                export.sizeBytes() - at);
                int length = (int) request.vector().addFrom(into, wanted);
                if (length < wanted) { // more pieces than fit
                    length -= length % DiskImage.SECTOR_SIZE;
                }
                fill(request, NbdProtocol.CMD_READ, 0, at, length, -1);
                check(request, link.transact(request, into));
                into.advance(length);
                done += length;
            } finally {
                link.give(request);
            }
        }
        return done;
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) {
        return WOULD_BLOCK;
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        checkRange(offsetBytes, from.remainingBytes());
        for (long at = offsetBytes; from.remainingBytes() > 0; ) {
            int length = (int) Math.min(from.remainingBytes(), export.maxPayloadBytes());
            long entry = begin(at, length, false);
            from.take(log.memory(), log.start(entry), length);
            transact(NbdProtocol.CMD_WRITE, writeFlags, at, length, entry);
            at += length;
        }
        if (syncEachWrite && writeFlags == 0) {
            sync();
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) {
        return WOULD_BLOCK;
    }

    /// Without FLUSH there is nothing to do: writes had FUA, or cannot be made stable.
    @Override
    public void sync() throws IOException {
        if (readOnly || !export.has(NbdProtocol.SEND_FLUSH)) {
            return;
        }
        checkWritable();
        long flush = log.beginFlush();
        try {
            transact(NbdProtocol.CMD_FLUSH, 0, 0, 0, -1);
        } catch (IOException e) {
            synchronized (log) {
                flushFailure = flushFailure == null ? e.getMessage() : flushFailure;
            }
            throw e;
        }
        log.flushed(flush);
    }

    /// The server's preferred block size, where it takes TRIM.
    @Override
    public int discardGranularityBytes() {
        return readOnly || !export.has(NbdProtocol.SEND_TRIM)
                ? 0
                : Math.min(export.preferredBytes(), LARGEST_GRANULARITY);
    }

    /// With WRITE_ZEROES, which gives storage back too where the server can do that.
    @Override
    public boolean discardZeroes() {
        return discardGranularityBytes() > 0 && export.has(NbdProtocol.SEND_WRITE_ZEROES);
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes) throws IOException {
        if (discardGranularityBytes() == 0) {
            throw new UnsupportedOperationException("discard of " + name());
        }
        checkRange(offsetBytes, sizeBytes);
        boolean zeroes = discardZeroes();
        for (long done = 0; done < sizeBytes; ) {
            long at = offsetBytes + done;
            int length = (int) Math.min(sizeBytes - done, LARGEST_DISCARD - at % LARGEST_DISCARD);
            // What a TRIM leaves behind is not known anyway: it need not be sent again.
            long entry = zeroes ? begin(at, length, true) : -1;
            int type = zeroes ? NbdProtocol.CMD_WRITE_ZEROES : NbdProtocol.CMD_TRIM;
            transact(type, writeFlags, at, length, entry);
            done += length;
        }
        if (syncEachWrite && writeFlags == 0) {
            sync();
        }
    }

    private void checkRange(long offset, long size) throws IOException {
        checkWritable();
        if (offset < 0 || size > export.sizeBytes() - offset) {
            throw new IOException(
                    name() + ": " + size + " bytes at " + offset + " are not on the disk");
        }
    }

    private void checkWritable() throws IOException {
        if (readOnly) {
            throw new IOException(name() + " is read-only");
        }
        synchronized (log) {
            if (flushFailure != null) {
                throw new IOException(name() + ": an earlier flush failed: " + flushFailure);
            }
        }
    }

    /// Makes room in the log, with a flush if there is none.
    private long begin(long offset, int length, boolean zeroes) throws IOException {
        while (true) {
            synchronized (log) {
                long entry = log.begin(offset, length, zeroes);
                if (entry != WriteLog.NO_ROOM) {
                    return entry;
                }
                if (makingRoom || !log.hasAcknowledged()) {
                    awaitRoom();
                    continue;
                }
                makingRoom = true;
            }
            try {
                sync();
            } finally {
                synchronized (log) {
                    makingRoom = false;
                    log.notifyAll();
                }
            }
        }
    }

    /// Until writes are acknowledged, or a flush ends, or the link fails; holding the log's lock.
    @SuppressWarnings("WaitNotInLoop") // the loop is in begin
    private void awaitRoom() throws IOException {
        String failure = link.failure();
        if (failure != null) {
            throw new IOException(name() + ": " + failure);
        }
        checkWritable();
        try {
            log.wait();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(name() + ": interrupted", e);
        }
    }

    /// @param entry in the log, or -1
    private void transact(int type, int flags, long offset, int length, long entry)
            throws IOException {
        try {
            NbdRequest request = link.take();
            try {
                fill(request, type, flags, offset, length, entry);
                check(request, link.transact(request, null));
            } finally {
                link.give(request);
            }
        } catch (IOException e) {
            log.forget(entry); // an entry that stayed pending would keep its room for ever
            throw e;
        }
    }

    private static void fill(
            NbdRequest request, int type, int flags, long offset, int length, long entry) {
        request.type = type;
        request.flags = flags;
        request.offset = offset;
        request.length = length;
        request.entry = entry;
    }

    private void check(NbdRequest request, int error) throws IOException {
        if (error != 0) {
            throw new LinuxException(name() + ": " + request.words(), error);
        }
    }

    /// Nobody uses it any more. What was not flushed is the server's to keep or to lose.
    @Override
    public void close() {
        link.close();
        log.close();
    }
}
