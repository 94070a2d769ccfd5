package org.splitring.driverdomain.nbd;

import java.util.ArrayDeque;
import org.splitring.blkback.nbd.NbdProtocol;

/// TRIM, WRITE_ZEROES and CACHE of one client: requests for a range, without data.
///
/// WRITE_ZEROES is a discard where that is known to leave zeros; otherwise one piece of zeros is
/// written from end to end. CACHE reads into one piece, again and again, and drops it: what the
/// backend's host has read it has in its cache. Each step goes on with the next pass: completions
/// may come at once.
final class NbdRanges {
    private final NbdTransmission transmission;
    private final ExportedDisk disk;
    private final PieceShare share;
    private final ArrayDeque<NbdRequest> waiting = new ArrayDeque<>(); // for a piece
    private final ArrayDeque<Piece> underWay = new ArrayDeque<>(); // for the next pass

    NbdRanges(NbdTransmission transmission, ExportedDisk disk, PieceShare share) {
        this.transmission = transmission;
        this.disk = disk;
        this.share = share;
    }

    void start(NbdRequest request, int flags, long length) {
        request.range = length;
        boolean zeroes = request.type == NbdProtocol.CMD_WRITE_ZEROES;
        boolean holesWillDo = (flags & NbdProtocol.CMD_FLAG_NO_HOLE) == 0 && disk.discardZeroes();
        request.mayPunch = request.type == NbdProtocol.CMD_TRIM || (zeroes && holesWillDo);
        request.fastOnly = (flags & NbdProtocol.CMD_FLAG_FAST_ZERO) != 0;
        start(request);
    }

    private void start(NbdRequest request) {
        if (request.range == 0) {
            end(request);
        } else if (request.mayPunch) {
            transmission.discard(request);
        } else if (request.fastOnly) {
            request.error = NbdProtocol.ENOTSUP;
            transmission.answer(request);
        } else if (!tryStep(request)) {
            waiting.add(request);
        }
    }

    void discarded(NbdRequest request, int error) {
        request.mayPunch = false;
        if (error != NbdProtocol.ENOTSUP) {
            request.error = error;
            end(request);
        } else if (request.type == NbdProtocol.CMD_TRIM) {
            end(request); // a hint, which has been looked at
        } else {
            start(request); // zeros all the same
        }
    }

    /// Begins to work from end to end; `false` when there is no piece for it yet.
    private boolean tryStep(NbdRequest request) {
        boolean zeroes = request.type == NbdProtocol.CMD_WRITE_ZEROES;
        int wanted = (int) Math.min(request.range, PieceShare.LARGE_BYTES);
        Piece piece = zeroes ? share.forWriting(wanted) : share.forReading(wanted);
        if (piece == null) {
            return false;
        }
        piece.request = request;
        piece.transmission = transmission;
        if (zeroes) {
            piece.buffer.bytes().fill((byte) 0);
        }
        step(request, piece);
        return true;
    }

    private void step(NbdRequest request, Piece piece) {
        piece.length = (int) Math.min(piece.capacity(), request.range - request.rangeDone);
        request.outstanding = 1;
        long offset = request.offset + request.rangeDone;
        if (request.type == NbdProtocol.CMD_CACHE) {
            transmission.read(offset, piece);
        } else {
            transmission.write(offset, piece);
        }
    }

    void stepDone(NbdRequest request, Piece piece) {
        request.rangeDone += piece.length;
        if (request.error == 0 && request.rangeDone < request.range) {
            underWay.add(piece);
        } else {
            share.free(piece);
            end(request);
        }
    }

    private void end(NbdRequest request) {
        if (request.type == NbdProtocol.CMD_CACHE) {
            transmission.answer(request); // nothing that a flush could make stable
        } else {
            transmission.endChange(request);
        }
    }

    /// Goes on with what is under way, and starts what has waited for pieces.
    void pass() {
        for (int left = underWay.size(); left > 0; left--) {
            Piece piece = underWay.removeFirst();
            NbdRequest request = piece.request;
            if (request != null) {
                step(request, piece);
            }
        }
        while (!waiting.isEmpty() && tryStep(waiting.getFirst())) {
            waiting.removeFirst();
        }
    }

    /// Forgets everything: the client has gone. The pieces go back with all others.
    void clear() {
        underWay.clear();
        waiting.clear();
    }
}
