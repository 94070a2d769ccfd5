package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.unix.UnixChannel;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.CachedFile;
import org.splitring.hypervisor.linux.VectoredFile;

/// READs of one client: pieces, the disk, and the data of the answers.
///
/// A READ waits for pieces before it starts and keeps them until its data is sent. One of up to
/// [RequestRules#MAX_FRAGMENT_BYTES] is read completely before its answer begins, so that an error
/// can still be told. A longer one moves through as many pieces. With simple replies its header
/// cannot be taken back, so an error in its later part ends the connection, and other answers have
/// to wait for its end. With structured replies each piece is a fragment of its own, other answers
/// may come in between, and an error is the last chunk.
@SuppressWarnings(
        "FutureReturnValueIgnored") // a failed write ends the channel, and that is heard of
final class NbdReads {
    /// Shortest READ that is answered from the page cache.
    private static final int LEAST_CACHED_BYTES = 16 << 10;

    /// READs of one client that are on their way from there at once; others are copied.
    private static final int CACHED_PARTS = 16;

    private final NbdTransmission transmission;
    private final Channel channel;
    private final NbdReplies replies;
    private final PieceShare share;
    private final @Nullable CachedFile cache;
    private final ArrayDeque<CachedPart> freeParts = new ArrayDeque<>(CACHED_PARTS);
    private final boolean structured;
    private final boolean encrypted;
    private @Nullable NbdRequest waiting; // parsed, waits for pieces
    private @Nullable NbdRequest streaming; // its simple reply is on the wire in part
    private int sending;

    NbdReads(
            NbdTransmission transmission,
            Channel channel,
            NbdReplies replies,
            ExportedDisk disk,
            PieceShare share,
            NbdTerms terms) {
        this.transmission = transmission;
        this.channel = channel;
        this.replies = replies;
        this.share = share;
        structured = terms.structured();
        encrypted = terms.encrypted();
        VectoredFile file = encrypted ? null : disk.cachedFile();
        if (file != null && channel instanceof UnixChannel socket) {
            cache = new CachedFile(file);
            for (int i = 0; i < CACHED_PARTS; i++) {
                freeParts.add(new CachedPart(transmission, cache, socket.fd().intValue()));
            }
        } else {
            cache = null;
        }
    }

    /// Whether a READ waits for pieces: no request is taken before it has them.
    boolean isWaiting() {
        return waiting != null;
    }

    /// Whether nothing may be written but the rest of a READ.
    boolean isStreaming() {
        return streaming != null;
    }

    /// Pieces that the socket has and will give back.
    int sending() {
        return sending;
    }

    void start(NbdRequest request) {
        if (request.length == 0 || isCached(request)) {
            transmission.answer(request);
        } else if (!tryStart(request)) {
            waiting = request;
        }
    }

    /// Whether the READ can be answered from the page cache, without a copy. What is small is
    /// copied sooner than sent alone.
    private boolean isCached(NbdRequest request) {
        if (cache == null || request.length < LEAST_CACHED_BYTES || freeParts.isEmpty()) {
            return false;
        }
        if (!cache.isCached(request.offset, request.length)) {
            return false;
        }
        request.cached = freeParts.removeLast().of(request.offset, request.length);
        return true;
    }

    /// Starts the READ that has waited, if there are pieces now.
    void startWaiting() {
        NbdRequest request = waiting;
        if (request != null && tryStart(request)) {
            waiting = null;
        }
    }

    /// Takes the pieces that the READ will move through and starts on each; `false` when there are
    /// not enough yet.
    private boolean tryStart(NbdRequest request) {
        int length = request.length;
        if (length <= PieceShare.SMALL_BYTES) {
            Piece piece = share.forSmallRead();
            if (piece == null) {
                return false;
            }
            request.window[0] = piece;
            request.windowSize = 1;
        } else {
            int count =
                    Math.min(
                            NbdRequest.WINDOW,
                            (length + PieceShare.LARGE_BYTES - 1) / PieceShare.LARGE_BYTES);
            if (share.largeForReading() < count) {
                return false;
            }
            for (int i = 0; i < count; i++) {
                request.window[i] = share.takeLarge();
            }
            request.windowSize = count;
        }
        request.fragmented = structured && length > RequestRules.MAX_FRAGMENT_BYTES;
        request.answering = request.fragmented;
        // All are counted before the first is issued: completions may come at once.
        request.outstanding = request.windowSize;
        for (int i = 0; i < request.windowSize; i++) {
            Piece piece = request.window[i];
            if (piece != null) {
                piece.request = request;
                piece.transmission = transmission;
                issue(request, piece);
            }
        }
        return true;
    }

    private void issue(NbdRequest request, Piece piece) {
        piece.offset = request.issued;
        piece.length = Math.min(piece.capacity(), request.length - request.issued);
        piece.done = false;
        piece.serial = request.serial;
        request.issued += piece.length;
        transmission.read(request.offset + piece.offset, piece);
    }

    /// A piece has been read, or could not be.
    void pieceRead(NbdRequest request, Piece piece) {
        piece.done = true;
        if (piece.failed && (request.errorAt < 0 || piece.offset < request.errorAt)) {
            request.errorAt = piece.offset;
        }
        if (request.fragmented || (request.answering && request.error == 0)) {
            send(request);
        } else if (request.answering) {
            transmission.closeNow(); // the header said that all is well
        } else if (request.outstanding == 0) {
            transmission.answer(request);
        }
    }

    /// Sends the data of a READ whose header is written, all of it or what is here.
    void begin(NbdRequest request) {
        CachedPart part = request.cached;
        if (part != null) {
            request.cached = null;
            sending++;
            replies.handOver();
            channel.write(part).addListener(part);
            transmission.dataWritten(request.length);
            transmission.recycle(request);
            return;
        }
        request.answering = true;
        streaming = structured ? null : request;
        send(request);
    }

    /// Hands over to the socket what is complete and next in order.
    private void send(NbdRequest request) {
        while (request.moved < request.length) {
            int slot = request.next & (NbdRequest.WINDOW - 1);
            Piece piece = request.window[slot];
            if (piece == null || !piece.done) {
                return;
            }
            if (request.error != 0 && piece.offset >= request.errorAt) {
                // Nothing more is issued, so all that is before it has been sent when the last one
                // comes back.
                if (request.outstanding == 0) {
                    transmission.answer(request);
                }
                return;
            }
            piece.done = false;
            request.window[slot] = null;
            request.moved += piece.length;
            request.next++;
            sending++;
            if (request.fragmented) {
                boolean last = request.moved == request.length;
                replies.data(request, request.offset + piece.offset, piece.length, last);
            }
            replies.handOver();
            channel.write(data(piece)).addListener(piece);
            transmission.dataWritten(piece.length);
        }
        streaming = null;
        transmission.recycle(request);
    }

    /// The socket has taken data from the page cache, or will not any more.
    void partSent(CachedPart part) {
        sending--;
        freeParts.add(part);
    }

    /// What the socket is given of a piece: the guest's pages themselves. For encryption, which
    /// needs a copy anyway, and the addresses of its buffers, it is a copy.
    private ByteBuf data(Piece piece) {
        return encrypted
                ? channel.alloc()
                        .directBuffer(piece.length)
                        .writeBytes(piece.bytes, 0, piece.length)
                : piece.bytes.retain().setIndex(0, piece.length);
    }

    /// The socket has taken a piece, or will not any more.
    void pieceSent(Piece piece, boolean closed) {
        sending--;
        NbdRequest request = piece.request;
        // The object may serve another request by now: hence the serial.
        if (!closed
                && request != null
                && piece.serial == request.serial
                && request.error == 0
                && request.issued < request.length) {
            int slot = request.next;
            while (request.window[slot & (NbdRequest.WINDOW - 1)] != null) {
                slot++;
            }
            request.window[slot & (NbdRequest.WINDOW - 1)] = piece;
            request.outstanding++;
            issue(request, piece);
        } else {
            share.free(piece);
        }
    }
}
