package org.splitring.blkback.nbd;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.image.NbdSource;
import org.splitring.hypervisor.RateLimitedLog;
import org.splitring.hypervisor.linux.IoVector;

/// The requests of a disk to its server, over one connection after the other.
///
/// A thread that has a request sends it and waits. One thread of the link, the reader, receives
/// every answer, straight into the pieces of who waits. When the connection ends, the reader tells
/// those that wait, makes another, replays the log, and only then lets them send again.
///
/// A request is answered, or the link has failed for good, after which each fails at once. Nothing
/// makes it work again.
final class NbdLink implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(NbdLink.class);

    /// Requests at once. Their threads are bounded where they are made.
    private static final int PLACES = 128;

    /// How often one request is sent: a server that ends whenever it sees it is left.
    private static final int MAX_SENDS = 16;

    private static final int SHUTTING_DOWN = 108; // ESHUTDOWN
    private static final long CHECK_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final NbdSource source;
    private final NbdTimes times;
    private final NbdExport export;
    private final int flagsInUse;
    private final WriteLog log;
    private final Thread reader;

    // Guarded by this.
    private final NbdRequest[] places = new NbdRequest[PLACES];
    private final ArrayDeque<NbdRequest> idle = new ArrayDeque<>();
    private @Nullable NbdConnection connection; // null while there is none
    private @Nullable String failure;
    private boolean closed;
    private long cookies;

    // Of the reader.
    private final RateLimitedLog losses = new RateLimitedLog(LOG);
    private final RateLimitedLog returns = new RateLimitedLog(LOG);
    private final NbdConnection.Patience patience = this::checkAnswers;
    private long checkedNanos = System.nanoTime();
    private boolean outage; // since there was an answer, or nobody waited
    private long outageNanos;
    private long pauseNanos = NbdTimes.FIRST_PAUSE;

    /// Starts the reader.
    ///
    /// @param first after the handshake
    /// @param export what was agreed on
    /// @param flagsInUse without which of its flags the disk cannot go on
    /// @param log of the same disk; what is answered is noted there
    NbdLink(
            NbdSource source,
            NbdTimes times,
            NbdConnection first,
            NbdExport export,
            int flagsInUse,
            WriteLog log) {
        this.source = source;
        this.times = times;
        this.connection = first;
        this.export = export;
        this.flagsInUse = flagsInUse;
        this.log = log;
        for (int i = 0; i < PLACES; i++) {
            places[i] = new NbdRequest(i);
            idle.push(places[i]);
        }
        reader =
                Thread.ofPlatform()
                        .daemon()
                        .name("nbd " + source.name())
                        .unstarted(() -> run(first));
        reader.start();
    }

    /// Why nothing works any more, if that is so.
    synchronized @Nullable String failure() {
        return failure;
    }

    /// Takes a place, waiting for one.
    synchronized NbdRequest take() throws IOException {
        while (idle.isEmpty()) {
            await();
        }
        return idle.pop();
    }

    synchronized void give(NbdRequest request) {
        request.idle();
        idle.push(request);
        notifyAll();
    }

    /// Sends a request, again if need be, and waits for its answer.
    ///
    /// @param target for a READ: its first bytes are where the answer goes; it is not advanced
    /// @return the server's error number, 0 for success
    /// @throws IOException when the link has failed
    int transact(NbdRequest request, @Nullable IoVector target) throws IOException {
        for (int i = 0; i < MAX_SENDS; i++) {
            if (target != null) {
                request.vector().clear();
                request.vector().addFrom(target, request.length);
            }
            NbdConnection used = register(request);
            try {
                send(used, request);
            } catch (IOException e) {
                used.shutDown(); // the reader notices, and says that the request is lost
            }
            if (request.await()) {
                return request.error();
            }
        }
        fail(
                "a "
                        + request.words()
                        + " was sent "
                        + MAX_SENDS
                        + " times, and each time the connection ended");
        throw failed();
    }

    private void send(NbdConnection used, NbdRequest request) throws IOException {
        boolean payload = request.type == NbdProtocol.CMD_WRITE;
        used.send(
                request.flags,
                request.type,
                request.cookie,
                request.offset,
                request.length,
                payload ? log.memory() : null,
                payload ? log.start(request.entry) : 0);
    }

    /// Waits for a connection, and lets the reader know the request before its answer can come.
    private synchronized NbdConnection register(NbdRequest request) throws IOException {
        while (connection == null) {
            await();
        }
        request.cookie = ++cookies * PLACES + request.index;
        request.sentNanos = System.nanoTime();
        request.state = NbdRequest.State.SENT;
        return connection;
    }

    /// Waits until something changes; holding the lock.
    @SuppressWarnings("WaitNotInLoop") // the loops are its callers'
    private void await() throws IOException {
        if (failure != null || closed) {
            throw failed();
        }
        try {
            wait();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(source.name() + ": interrupted", e);
        }
    }

    private synchronized IOException failed() {
        return new IOException(source.name() + ": " + (failure == null ? "closed" : failure));
    }

    private void fail(String why) {
        NbdConnection last;
        synchronized (this) {
            if (failure != null || closed) {
                return;
            }
            failure = why;
            last = connection;
            connection = null;
            notifyAll();
        }
        LOG.error("{}: {}; nothing succeeds until it is opened again", source.name(), why);
        if (last != null) {
            last.shutDown();
        }
        synchronized (log) {
            log.notifyAll(); // for those that wait for room
        }
    }

    // From here on: the reader.

    private void run(NbdConnection first) {
        try {
            NbdConnection now = first;
            while (now != null) {
                String why;
                try (NbdConnection used = now) {
                    why = receive(used);
                } finally {
                    lose();
                }
                now = reconnect(why);
            }
        } catch (RuntimeException | Error e) { // whoever waits must not do so for ever
            fail("unexpected: " + e);
            throw e;
        }
    }

    /// Receives answers until the connection ends.
    ///
    /// @return why it ended
    private String receive(NbdConnection from) {
        try {
            while (true) {
                long cookie = from.receiveReply(patience);
                int error = from.error();
                NbdRequest request = sent(cookie);
                if (error == SHUTTING_DOWN) {
                    return "the server is shutting down";
                }
                if (request.type == NbdProtocol.CMD_READ && error == 0) {
                    from.receiveAll(request.vector(), patience);
                }
                outage = false;
                pauseNanos = NbdTimes.FIRST_PAUSE;
                noteInLog(request, error);
                request.end(NbdRequest.State.ANSWERED, error);
            }
        } catch (NbdRefusal e) {
            fail(text(e));
            return text(e);
        } catch (IOException e) {
            return text(e);
        }
    }

    private synchronized NbdRequest sent(long cookie) throws NbdRefusal {
        NbdRequest request = places[(int) Long.remainderUnsigned(cookie, PLACES)];
        if (request.state != NbdRequest.State.SENT || request.cookie != cookie) {
            throw new NbdRefusal(
                    "the server answers request %016x, which is not under way".formatted(cookie));
        }
        return request;
    }

    /// Before its thread knows of the answer, so that a flush which it makes then covers it.
    private void noteInLog(NbdRequest request, int error) {
        if (request.entry < 0) {
            return;
        }
        if (error == 0 && export.has(NbdProtocol.SEND_FLUSH) && request.flags == 0) {
            log.acknowledged(request.entry);
        } else {
            log.forget(request.entry);
        }
    }

    private void checkAnswers() throws IOException {
        long now = System.nanoTime();
        if (now - checkedNanos < Math.min(CHECK_NANOS, times.answer())) {
            return;
        }
        checkedNanos = now;
        synchronized (this) {
            for (NbdRequest request : places) {
                if (request.state == NbdRequest.State.SENT
                        && now - request.sentNanos > times.answer()) {
                    throw new IOException(
                            "no answer to a "
                                    + request.words()
                                    + " in "
                                    + TimeUnit.NANOSECONDS.toSeconds(times.answer())
                                    + " s");
                }
            }
        }
    }

    /// Tells those that wait for an answer that there will be none.
    private synchronized void lose() {
        connection = null;
        for (NbdRequest request : places) {
            if (request.state == NbdRequest.State.SENT) {
                request.end(NbdRequest.State.LOST, 0);
            }
        }
    }

    /// @return a connection on which everything goes on, or `null` when there is an end
    private @Nullable NbdConnection reconnect(String lost) {
        if (isOver()) {
            return null;
        }
        if (!outage) {
            outage = true;
            outageNanos = System.nanoTime();
        }
        losses.warn(source.name(), "connection lost: " + lost + "; trying again");
        String why = lost;
        while (System.nanoTime() - outageNanos < times.reconnect()) {
            if (!pause()) {
                return null;
            }
            long now = System.nanoTime();
            NbdConnection made = null;
            try {
                long end = now + times.handshake();
                made = NbdConnection.connect(source.server(), end);
                NbdExport again = NbdHandshake.agree(made, source.export(), end);
                again.checkReplaces(export, flagsInUse);
                int writes = new NbdReplay(made, log, times.answer()).run();
                if (publish(made)) {
                    returns.warn(
                            source.name(),
                            "connected again; writes that were sent again: " + writes);
                    return made;
                }
                made.close();
                return null;
            } catch (IOException e) {
                why = text(e);
                if (made != null) {
                    made.close();
                }
                if (e instanceof NbdRefusal) {
                    fail(why);
                    return null;
                }
            }
        }
        fail(
                "no server for "
                        + TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - outageNanos)
                        + " s: "
                        + why);
        return null;
    }

    private synchronized boolean isOver() {
        return failure != null || closed;
    }

    private synchronized boolean publish(NbdConnection made) {
        if (failure != null || closed) {
            return false;
        }
        boolean waiting = false;
        for (NbdRequest request : places) {
            waiting |= request.state == NbdRequest.State.LOST;
        }
        outage = waiting; // an answer ends it
        connection = made;
        notifyAll();
        return true;
    }

    /// @return `false` when the disk is closed or has failed
    private synchronized boolean pause() {
        long end = System.nanoTime() + pauseNanos;
        pauseNanos = Math.min(2 * pauseNanos, NbdTimes.LONGEST_PAUSE);
        for (long left = 1; left > 0 && !closed && failure == null; ) {
            left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
            try {
                if (left > 0) {
                    wait(left);
                }
            } catch (InterruptedException e) {
                LOG.debug("nobody interrupts the reader for a reason", e);
            }
        }
        return !closed && failure == null;
    }

    private static String text(IOException e) {
        String message = e.getMessage();
        return message == null ? e.toString() : message;
    }

    /// Ends the connection. Nobody has a request.
    @Override
    public void close() {
        NbdConnection last;
        synchronized (this) {
            closed = true;
            last = connection;
            notifyAll();
        }
        if (last != null) {
            last.disconnect();
        }
        boolean interrupted = false;
        while (reader.isAlive()) {
            try {
                reader.join();
            } catch (InterruptedException e) {
                interrupted = true; // at most the end of a handshake is waited for
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
