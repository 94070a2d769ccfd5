package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.util.concurrent.Future;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The transmission phase of one client: requests in, disk operations, replies out.
///
/// Requests run side by side and are answered as they end, as the protocol allows. A READ waits for
/// pieces before it starts and keeps them until its data is sent. Up to four large pieces of it are
/// read before the reply begins, so that an error can still be told; a longer READ then moves
/// through these four, and because a simple reply cannot take back its header, an error in its
/// later part ends the connection. A WRITE fills piece after piece as its payload comes in, each
/// goes to the disk at once, and the reply follows the last; with FUA a flush comes in between.
/// WRITE_ZEROES is a discard where that is known to leave zeros; otherwise one piece of zeros is
/// written from end to end.
///
/// When pieces, requests or the socket's buffer run out, no more is read from the socket: the
/// client waits, and nothing grows.
@SuppressWarnings(
        "FutureReturnValueIgnored") // a failed write ends the channel, and that is heard of
final class NbdTransmission extends ChannelInboundHandlerAdapter {
    /// Requests of one client in flight at once.
    private static final int MAX_REQUESTS = 128;

    private enum Reading {
        HEADER,
        PAYLOAD,
        SKIP,
        ENDED
    }

    private final NbdServer server;
    private final NbdMetrics metrics;
    private final ExportedDisk disk;
    private final PieceShare share;
    private final ArrayDeque<NbdRequest> idle = new ArrayDeque<>(MAX_REQUESTS);
    private final ArrayDeque<NbdRequest> answerable = new ArrayDeque<>();
    private final ByteBuf partialHeader = Unpooled.directBuffer(NbdProtocol.REQUEST_BYTES);
    private final Runnable pass = this::pass;
    private ChannelHandlerContext ctx;

    private Reading reading = Reading.HEADER;
    private @Nullable ByteBuf backlog; // received, not looked at: the client has to wait
    private @Nullable NbdRequest incoming; // the WRITE whose payload is being received
    private @Nullable NbdRequest waitingRead; // parsed, waits for pieces
    private final ArrayDeque<NbdRequest> waitingZeroes = new ArrayDeque<>(); // for a piece
    private final ArrayDeque<Piece> zeroing = new ArrayDeque<>(); // for the next pass
    private @Nullable Piece filling;
    private @Nullable ByteBuf direct; // window on `filling` that the socket reads into now
    private long toSkip;

    private @Nullable NbdRequest streaming; // its reply is on the wire in part
    private int requestsMade;
    private int active;
    private int diskOperations;
    private int sending;
    private boolean passScheduled;
    private boolean draining;
    private boolean closed;
    private boolean givenBack;

    private long received;
    private long receivedAtLastTick;
    private @Nullable Future<?> stallTick;

    @SuppressWarnings("NullAway.Init") // ctx comes with handlerAdded, before anything else
    NbdTransmission(NbdServer server, ExportedDisk disk, PieceShare share) {
        this.server = server;
        this.disk = disk;
        this.share = share;
        metrics = server.metrics();
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        ctx = context;
        server.started(this);
        if (ctx.channel().config().getRecvByteBufAllocator() instanceof ReceiveBuffers buffers) {
            buffers.transmission = this;
        }
        long tick = server.limits().stallNanos();
        stallTick =
                ctx.executor()
                        .scheduleWithFixedDelay(this::stallTick, tick, tick, TimeUnit.NANOSECONDS);
        if (!ctx.channel().isActive()) {
            end();
        }
    }

    // ---- what comes in -------------------------------------------------------------------------

    /// Where the socket is to read into: straight into guest pages when a good part of a payload is
    /// still to come and nothing lies before it.
    @Nullable ByteBuf directTarget() {
        Piece piece = filling;
        if (reading != Reading.PAYLOAD || backlog != null || piece == null || direct != null) {
            return null;
        }
        int room = piece.length - piece.filled;
        if (room < PieceShare.SMALL_BYTES) {
            return null; // together with the next requests it costs fewer system calls
        }
        direct = piece.bytes.retainedSlice(piece.filled, room).writerIndex(0);
        return direct;
    }

    @Override
    @SuppressWarnings("ReferenceEquality") // the very buffer that the socket was given
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf in = (ByteBuf) message;
        received += in.readableBytes();
        if (in == direct) {
            int size = in.readableBytes();
            direct = null;
            in.release();
            if (reading == Reading.PAYLOAD && filling != null) {
                payloadArrived(size);
            }
            return;
        }
        ByteBuf old = backlog;
        if (old != null) {
            old.writeBytes(in);
            in.release();
            return;
        }
        consume(in);
        if (in.isReadable()) {
            keep(in);
        } else {
            in.release();
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        direct = null; // an attempt that read nothing has released it
        ctx.flush();
    }

    private void keep(ByteBuf in) {
        // Reading stops with this, so what is kept is at most what one pass of the loop received.
        backlog = ctx.alloc().buffer(in.readableBytes()).writeBytes(in);
        in.release();
        ctx.channel().config().setAutoRead(false);
    }

    /// Takes as much of `in` as can be worked on.
    private void consume(ByteBuf in) {
        while (in.isReadable()) {
            switch (reading) {
                case HEADER -> {
                    if (!mayStart()) {
                        return;
                    }
                    header(in);
                }
                case PAYLOAD -> {
                    Piece piece = filling;
                    if (piece == null) {
                        piece = nextPayloadPiece();
                        if (piece == null) {
                            return;
                        }
                    }
                    int step = Math.min(in.readableBytes(), piece.length - piece.filled);
                    piece.bytes.setBytes(piece.filled, in, step);
                    payloadArrived(step);
                }
                case SKIP -> {
                    int step = (int) Math.min(toSkip, in.readableBytes());
                    in.skipBytes(step);
                    toSkip -= step;
                    if (toSkip == 0) {
                        reading = afterRequest();
                        finishRefused();
                    }
                }
                case ENDED -> in.skipBytes(in.readableBytes());
            }
        }
    }

    private boolean mayStart() {
        return waitingRead == null
                && ctx.channel().isWritable()
                && (requestsMade < MAX_REQUESTS || !idle.isEmpty());
    }

    private void header(ByteBuf in) {
        if (!partialHeader.isReadable() && in.readableBytes() >= NbdProtocol.REQUEST_BYTES) {
            start(in);
            return;
        }
        int missing = NbdProtocol.REQUEST_BYTES - partialHeader.readableBytes();
        partialHeader.writeBytes(in, Math.min(missing, in.readableBytes()));
        if (partialHeader.readableBytes() == NbdProtocol.REQUEST_BYTES) {
            start(partialHeader);
            partialHeader.clear();
        }
    }

    private void start(ByteBuf in) {
        int magic = in.readInt();
        int flags = in.readUnsignedShort();
        NbdRequest request = idle.poll();
        if (request == null) {
            request = new NbdRequest(this);
            requestsMade++;
        }
        request.reset();
        request.type = in.readUnsignedShort();
        request.cookie = in.readLong();
        request.offset = in.readLong();
        long length = in.readUnsignedInt();
        active++;
        metrics.requests++;
        if (magic != NbdProtocol.REQUEST_MAGIC) {
            recycle(request);
            metrics.requestsRefused++;
            reading = Reading.ENDED;
            ctx.close(); // out of step with the client: nothing after this can be trusted
            return;
        }
        if (request.type == NbdProtocol.CMD_DISC) {
            recycle(request);
            reading = Reading.ENDED;
            closeWhenIdle();
            return;
        }
        int error = check(request, flags, length);
        if (error != 0) {
            refuse(request, error, length);
            return;
        }
        request.fua = (flags & NbdProtocol.CMD_FLAG_FUA) != 0;
        if (request.type == NbdProtocol.CMD_TRIM || request.type == NbdProtocol.CMD_WRITE_ZEROES) {
            request.range = length;
            request.mayPunch =
                    request.type == NbdProtocol.CMD_TRIM
                            || ((flags & NbdProtocol.CMD_FLAG_NO_HOLE) == 0
                                    && disk.discardZeroes());
            request.fastOnly = (flags & NbdProtocol.CMD_FLAG_FAST_ZERO) != 0;
            startRange(request);
            return;
        }
        request.length = (int) length;
        switch (request.type) {
            case NbdProtocol.CMD_READ -> startRead(request);
            case NbdProtocol.CMD_WRITE -> startWrite(request);
            default -> {
                request.outstanding = 1;
                diskOperations++;
                disk.flush(request);
            }
        }
    }

    /// What is wrong with a request; every number in it is the client's.
    private int check(NbdRequest request, int flags, long length) {
        int type = request.type;
        int known = disk.flushes() ? NbdProtocol.CMD_FLAG_FUA : 0;
        if (type == NbdProtocol.CMD_WRITE_ZEROES) {
            known |= NbdProtocol.CMD_FLAG_NO_HOLE;
            known |= disk.discardZeroes() ? NbdProtocol.CMD_FLAG_FAST_ZERO : 0;
        }
        if ((flags & ~known) != 0) {
            return NbdProtocol.EINVAL;
        }
        if (type == NbdProtocol.CMD_FLUSH) {
            boolean plain = request.offset == 0 && length == 0;
            return disk.flushes() && plain ? 0 : NbdProtocol.EINVAL;
        }
        boolean payload = type == NbdProtocol.CMD_READ || type == NbdProtocol.CMD_WRITE;
        boolean trim = type == NbdProtocol.CMD_TRIM;
        if (!payload && !trim && type != NbdProtocol.CMD_WRITE_ZEROES) {
            return NbdProtocol.EINVAL;
        }
        if (type != NbdProtocol.CMD_READ && disk.readOnly()) {
            return NbdProtocol.EPERM;
        }
        if (trim && !disk.discards()) {
            return NbdProtocol.EINVAL;
        }
        if ((payload && length > NbdProtocol.MAX_PAYLOAD_BYTES)
                || ((request.offset | length) & (disk.blockSizeBytes() - 1)) != 0) {
            return NbdProtocol.EINVAL;
        }
        // One comparison without a sum that could wrap; a negative offset is one of 2^63 and more.
        if (request.offset < 0 || request.offset > disk.sizeBytes() - length) {
            boolean writes = type != NbdProtocol.CMD_READ && !trim;
            return writes ? NbdProtocol.ENOSPC : NbdProtocol.EINVAL;
        }
        return 0;
    }

    private void refuse(NbdRequest request, int error, long length) {
        metrics.requestsRefused++;
        request.error = error;
        if (request.type != NbdProtocol.CMD_WRITE || length == 0) {
            answer(request);
            return;
        }
        incoming = request;
        if (length > NbdProtocol.MAX_PAYLOAD_BYTES) {
            // Gigabytes that nobody wants would keep the connection for ever.
            reading = Reading.ENDED;
            finishRefused();
            closeWhenIdle();
            return;
        }
        reading = Reading.SKIP;
        toSkip = length;
    }

    private void finishRefused() {
        NbdRequest request = incoming;
        incoming = null;
        if (request != null) {
            answer(request);
        }
    }

    // ---- READ ----------------------------------------------------------------------------------

    private void startRead(NbdRequest request) {
        if (request.length == 0) {
            answer(request);
        } else if (!tryRead(request)) {
            waitingRead = request;
        }
    }

    /// Takes the pieces that the READ will move through and starts on each; `false` when there are
    /// not enough yet.
    private boolean tryRead(NbdRequest request) {
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
        // All are counted before the first is issued: completions may come at once.
        request.outstanding = request.windowSize;
        for (int i = 0; i < request.windowSize; i++) {
            Piece piece = request.window[i];
            if (piece != null) {
                piece.request = request;
                piece.transmission = this;
                issueRead(request, piece);
            }
        }
        return true;
    }

    private void issueRead(NbdRequest request, Piece piece) {
        piece.offset = request.issued;
        piece.length = Math.min(piece.capacity(), request.length - request.issued);
        piece.done = false;
        piece.serial = request.serial;
        request.issued += piece.length;
        diskOperations++;
        disk.read(request.offset + piece.offset, piece.buffer, piece.length, piece);
    }

    private void readDone(NbdRequest request, Piece piece) {
        piece.done = true;
        if (request.answering) {
            if (request.error != 0) {
                closeNow(); // the header said that all is well
            } else {
                sendPieces(request);
            }
        } else if (request.outstanding == 0) {
            answer(request);
        }
    }

    /// Hands over to the socket what is complete and next in order.
    private void sendPieces(NbdRequest request) {
        while (request.moved < request.length) {
            int slot = request.next & (NbdRequest.WINDOW - 1);
            Piece piece = request.window[slot];
            if (piece == null || !piece.done) {
                return;
            }
            piece.done = false;
            request.window[slot] = null;
            request.moved += piece.length;
            request.next++;
            sending++;
            ByteBuf data = piece.bytes.retain().setIndex(0, piece.length);
            ctx.write(data).addListener(piece);
        }
        streaming = null;
        recycle(request);
    }

    /// The socket has taken a piece, or will not any more.
    void pieceSent(Piece piece) {
        sending--;
        NbdRequest request = piece.request;
        // The object may serve another request by now: hence the serial.
        if (!closed
                && request != null
                && request == streaming
                && piece.serial == request.serial
                && request.issued < request.length) {
            int slot = request.next;
            while (request.window[slot & (NbdRequest.WINDOW - 1)] != null) {
                slot++;
            }
            request.window[slot & (NbdRequest.WINDOW - 1)] = piece;
            request.outstanding++;
            issueRead(request, piece);
        } else {
            share.free(piece);
        }
        schedulePass();
    }

    // ---- WRITE ---------------------------------------------------------------------------------

    private void startWrite(NbdRequest request) {
        if (request.length == 0) {
            endWrite(request);
            return;
        }
        incoming = request;
        reading = Reading.PAYLOAD;
        nextPayloadPiece();
    }

    private @Nullable Piece nextPayloadPiece() {
        NbdRequest request = incoming;
        if (request == null) {
            return null;
        }
        int rest = request.length - request.moved;
        Piece piece = share.forWriting(rest);
        if (piece != null) {
            piece.request = request;
            piece.transmission = this;
            piece.offset = request.moved;
            piece.length = Math.min(piece.capacity(), rest);
            piece.filled = 0;
        }
        filling = piece;
        return piece;
    }

    private void payloadArrived(int size) {
        Piece piece = filling;
        NbdRequest request = incoming;
        if (piece == null || request == null) {
            return;
        }
        piece.filled += size;
        if (piece.filled < piece.length) {
            return;
        }
        filling = null;
        request.moved += piece.length;
        boolean last = request.moved == request.length;
        if (last) {
            incoming = null;
            reading = afterRequest();
        }
        request.outstanding++;
        diskOperations++;
        disk.write(request.offset + piece.offset, piece.buffer, piece.length, piece);
        if (!last) {
            nextPayloadPiece();
        }
    }

    private void writeDone(NbdRequest request, Piece piece) {
        share.free(piece);
        if (request.outstanding == 0 && request.moved == request.length) {
            endWrite(request);
        }
    }

    private void endWrite(NbdRequest request) {
        if (request.fua && request.error == 0) {
            request.mayPunch = false;
            request.outstanding = 1;
            diskOperations++;
            disk.flush(request);
        } else {
            answer(request);
        }
    }

    // ---- TRIM and WRITE_ZEROES -----------------------------------------------------------------

    private void startRange(NbdRequest request) {
        if (request.range == 0) {
            endWrite(request);
        } else if (request.mayPunch) {
            request.outstanding = 1;
            diskOperations++;
            disk.discard(request.offset, request.range, request);
        } else if (request.fastOnly) {
            request.error = NbdProtocol.ENOTSUP;
            answer(request);
        } else if (!tryWriteZeroes(request)) {
            waitingZeroes.add(request);
        }
    }

    private void discarded(NbdRequest request, int error) {
        request.mayPunch = false;
        if (error != NbdProtocol.ENOTSUP) {
            request.error = error;
            endWrite(request);
        } else if (request.type == NbdProtocol.CMD_TRIM) {
            endWrite(request); // a hint, which has been looked at
        } else {
            startRange(request); // zeros all the same
        }
    }

    /// Begins to write zeros; `false` when there is no piece to write them from yet.
    private boolean tryWriteZeroes(NbdRequest request) {
        Piece piece = share.forWriting((int) Math.min(request.range, PieceShare.LARGE_BYTES));
        if (piece == null) {
            return false;
        }
        piece.request = request;
        piece.transmission = this;
        piece.buffer.bytes().fill((byte) 0);
        writeZeroes(request, piece);
        return true;
    }

    private void writeZeroes(NbdRequest request, Piece piece) {
        piece.length = (int) Math.min(piece.capacity(), request.range - request.zeroed);
        request.outstanding = 1;
        diskOperations++;
        disk.write(request.offset + request.zeroed, piece.buffer, piece.length, piece);
    }

    private void zeroesDone(NbdRequest request, Piece piece) {
        request.zeroed += piece.length;
        if (request.error == 0 && request.zeroed < request.range) {
            zeroing.add(piece); // goes on with the next pass: completions may come at once
        } else {
            share.free(piece);
            endWrite(request);
        }
    }

    // ---- ends of operations --------------------------------------------------------------------

    void pieceDone(Piece piece, int error) {
        diskOperations--;
        NbdRequest request = piece.request;
        if (request == null) {
            throw new IllegalStateException("completion for a piece that is free");
        }
        request.outstanding--;
        if (error != 0 && request.error == 0) {
            request.error = error;
        }
        if (closed) {
            share.free(piece);
        } else if (request.type == NbdProtocol.CMD_READ) {
            readDone(request, piece);
        } else if (request.type == NbdProtocol.CMD_WRITE_ZEROES) {
            zeroesDone(request, piece);
        } else {
            writeDone(request, piece);
        }
        schedulePass();
    }

    /// A flush or a discard has ended.
    void operationDone(NbdRequest request, int error) {
        diskOperations--;
        request.outstanding--;
        if (!closed) {
            if (request.mayPunch) {
                discarded(request, error);
            } else {
                request.error = error;
                answer(request);
            }
        }
        schedulePass();
    }

    // ---- what goes out -------------------------------------------------------------------------

    /// Answers a request whose outcome is known; behind a reply that is under way it waits.
    private void answer(NbdRequest request) {
        if (streaming != null) {
            answerable.add(request);
            return;
        }
        ByteBuf header = ctx.alloc().directBuffer(NbdProtocol.REPLY_BYTES);
        header.writeInt(NbdProtocol.REPLY_MAGIC).writeInt(request.error).writeLong(request.cookie);
        ctx.write(header);
        if (request.type == NbdProtocol.CMD_READ && request.error == 0 && request.length > 0) {
            request.answering = true;
            streaming = request;
            sendPieces(request);
        } else {
            freeWindow(request);
            recycle(request);
        }
        schedulePass();
    }

    private void freeWindow(NbdRequest request) {
        for (int i = 0; i < NbdRequest.WINDOW; i++) {
            Piece piece = request.window[i];
            request.window[i] = null;
            if (piece != null) {
                share.free(piece);
            }
        }
    }

    void recycle(NbdRequest request) {
        idle.add(request);
        active--;
    }

    /// One pass after completions: answers what waited, starts what waited, reads on, flushes once.
    private void schedulePass() {
        if (!passScheduled) {
            passScheduled = true;
            ctx.executor().execute(pass);
        }
    }

    private void pass() {
        passScheduled = false;
        if (closed) {
            zeroing.clear(); // the pieces go back with all others
            giveBackWhenQuiet();
            return;
        }
        while (streaming == null && !answerable.isEmpty()) {
            answer(answerable.removeFirst());
        }
        for (int left = zeroing.size(); left > 0; left--) {
            Piece piece = zeroing.removeFirst();
            NbdRequest request = piece.request;
            if (request != null) {
                writeZeroes(request, piece);
            }
        }
        while (!waitingZeroes.isEmpty() && tryWriteZeroes(waitingZeroes.getFirst())) {
            waitingZeroes.removeFirst();
        }
        NbdRequest read = waitingRead;
        if (read != null && tryRead(read)) {
            waitingRead = null;
        }
        ctx.flush();
        readOn();
        closeWhenIdle();
    }

    private void readOn() {
        ByteBuf rest = backlog;
        if (rest == null) {
            return;
        }
        consume(rest);
        if (!rest.isReadable()) {
            rest.release();
            backlog = null;
            ctx.channel().config().setAutoRead(true);
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
        schedulePass();
    }

    // ---- the end -------------------------------------------------------------------------------

    /// Takes no more requests, but for the rest of a WRITE whose payload is coming in; closes when
    /// all are answered.
    void drain() {
        draining = true;
        if (incoming == null) {
            reading = Reading.ENDED;
            closeWhenIdle();
        }
    }

    private Reading afterRequest() {
        return draining ? Reading.ENDED : Reading.HEADER;
    }

    ExportedDisk disk() {
        return disk;
    }

    private void closeWhenIdle() {
        if (reading == Reading.ENDED && active == 0 && !closed) {
            // After what has been written: the listener runs when the socket has taken it all.
            ctx.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
        }
    }

    void closeNow() {
        reading = Reading.ENDED;
        ctx.close();
    }

    private void stallTick() {
        boolean midRequest =
                partialHeader.isReadable()
                        || reading == Reading.SKIP
                        || (reading == Reading.PAYLOAD && (filling != null || direct != null));
        if (midRequest && backlog == null && received == receivedAtLastTick) {
            metrics.stalled++;
            closeNow();
        }
        receivedAtLastTick = received;
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        end();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        closeNow();
    }

    private void end() {
        if (closed) {
            return;
        }
        closed = true;
        reading = Reading.ENDED;
        if (stallTick != null) {
            stallTick.cancel(false);
        }
        ByteBuf rest = backlog;
        backlog = null;
        if (rest != null) {
            rest.release();
        }
        partialHeader.release();
        giveBackWhenQuiet();
    }

    /// The disk may still read into or write from the pieces; they go back after that.
    private void giveBackWhenQuiet() {
        if (closed && !givenBack && diskOperations == 0 && sending == 0) {
            givenBack = true;
            share.giveBack();
            server.ended(this);
        }
    }
}
