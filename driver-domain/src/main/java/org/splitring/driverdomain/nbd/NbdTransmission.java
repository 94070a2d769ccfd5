package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.unix.UnixChannel;
import io.netty.util.concurrent.Future;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.LocalDisk;
import org.splitring.blkback.nbd.NbdProtocol;

/// The transmission phase of one client: requests in, disk operations, replies out.
///
/// Requests run side by side and are answered as they end, as the protocol allows: READs as
/// [NbdReads] has it, TRIM, WRITE_ZEROES and CACHE as [NbdRanges], BLOCK_STATUS as the disk says.
/// A WRITE fills piece after piece as its payload comes in, each goes to the disk at once, and the
/// reply follows the last; with FUA a flush comes in between.
///
/// When pieces, requests or the socket's buffer run out, no more is read from the socket: the
/// client waits, and nothing grows.
@SuppressWarnings(
        "FutureReturnValueIgnored") // a failed write ends the channel, and that is heard of
final class NbdTransmission extends ChannelInboundHandlerAdapter {
    /// Requests of one client in flight at once.
    private static final int MAX_REQUESTS = 128;

    /// Data handed to the socket after which it is told to send, whatever else is to be done: the
    /// client takes it while the next is read.
    private static final int FLUSH_BYTES = 64 << 10;

    /// WRITEs whose header is worth a system call of its own.
    private static final int LARGE_WRITE_BYTES = 32 << 10;

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
    private final Channel channel;
    private final NbdTerms terms;
    private final RequestRules rules;
    private final NbdReplies replies;
    private final NbdReads reads;
    private final NbdRanges ranges;
    private final @Nullable StraightWrites straight;
    private final ArrayDeque<NbdRequest> idle = new ArrayDeque<>(MAX_REQUESTS);
    private final ArrayDeque<NbdRequest> answerable = new ArrayDeque<>(); // behind a long READ
    private final ByteBuf partialHeader = Unpooled.directBuffer(NbdProtocol.REQUEST_BYTES);
    private final Runnable pass = this::pass;

    private Reading reading = Reading.HEADER;
    private @Nullable ByteBuf backlog; // received, not looked at: the client has to wait
    private @Nullable NbdRequest incoming; // the WRITE whose payload is being received
    private @Nullable Piece filling;
    private @Nullable ByteBuf direct; // window on `filling` that the socket reads into now
    private long toSkip;

    private boolean largeWrites; // of late
    private int requestsMade;
    private int unflushedBytes; // of data
    private int active;
    private int diskOperations;
    private boolean passScheduled;
    private boolean draining;
    private boolean closed;
    private boolean givenBack;

    private long received;
    private long receivedAtLastTick;
    private @Nullable Future<?> stallTick;

    NbdTransmission(
            NbdServer server,
            Channel channel,
            ExportedDisk disk,
            PieceShare share,
            NbdTerms terms) {
        this.server = server;
        this.channel = channel;
        this.disk = disk;
        this.share = share;
        this.terms = terms;
        metrics = server.metrics();
        rules = new RequestRules(disk, terms);
        replies = new NbdReplies(channel, terms);
        reads = new NbdReads(this, channel, replies, disk, share, terms);
        ranges = new NbdRanges(this, disk, share);
        straight =
                !terms.encrypted()
                                && disk.cachedFile() != null
                                && channel instanceof UnixChannel socket
                        ? new StraightWrites(server, disk, socket.fd().intValue())
                        : null;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        server.started(this);
        // What comes in encrypted is no payload yet.
        if (!terms.encrypted()
                && channel.config().getRecvByteBufAllocator() instanceof ReceiveBuffers buffers) {
            buffers.transmission = this;
        }
        long tick = server.limits().stallNanos();
        stallTick =
                channel.eventLoop()
                        .scheduleWithFixedDelay(this::stallTick, tick, tick, TimeUnit.NANOSECONDS);
        if (!channel.isActive()) {
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

    /// Whether more of a payload is to come straight into its piece: it most likely lies in the
    /// socket already.
    boolean awaitsPayload() {
        return reading == Reading.PAYLOAD && backlog == null && filling != null;
    }

    /// How much is to be read when nothing of a payload is awaited: no more than the next header,
    /// when that of a large WRITE is likely. So its payload is read into its piece, and not beside.
    ///
    /// @return 0 for as much as there is
    int headerTarget() {
        return largeWrites && reading == Reading.HEADER && !partialHeader.isReadable()
                ? NbdProtocol.REQUEST_BYTES
                : 0;
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
        flushReplies();
        server.noteActivity();
    }

    private void keep(ByteBuf in) {
        // Reading stops with this, so what is kept is at most what one pass of the loop received.
        backlog = channel.alloc().buffer(in.readableBytes()).writeBytes(in);
        in.release();
        channel.config().setAutoRead(false);
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
                    if (unflushedBytes >= FLUSH_BYTES) {
                        flushReplies();
                    }
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
                    skipped();
                }
                case ENDED -> in.skipBytes(in.readableBytes());
            }
        }
    }

    private void skipped() {
        if (toSkip == 0) {
            reading = afterRequest();
            finishRefused();
        }
    }

    private boolean mayStart() {
        return !reads.isWaiting()
                && channel.isWritable()
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
            channel.close(); // out of step with the client: nothing after this can be trusted
            return;
        }
        if (request.type == NbdProtocol.CMD_DISC) {
            recycle(request);
            reading = Reading.ENDED;
            closeWhenIdle();
            return;
        }
        Refusal refusal = rules.check(request, flags, length);
        if (refusal != null) {
            refuse(request, refusal, length);
            return;
        }
        request.fua = (flags & NbdProtocol.CMD_FLAG_FUA) != 0;
        switch (request.type) {
            case NbdProtocol.CMD_READ -> {
                request.length = (int) length;
                reads.start(request);
            }
            case NbdProtocol.CMD_WRITE -> {
                request.length = (int) length;
                startWrite(request, !in.isReadable());
            }
            case NbdProtocol.CMD_TRIM, NbdProtocol.CMD_WRITE_ZEROES, NbdProtocol.CMD_CACHE ->
                    ranges.start(request, flags, length);
            case NbdProtocol.CMD_BLOCK_STATUS -> {
                request.range = length;
                boolean one = (flags & NbdProtocol.CMD_FLAG_REQ_ONE) != 0;
                describe(request, one ? 1 : AllocationMap.MAX_EXTENTS);
            }
            default -> flush(request);
        }
    }

    private void refuse(NbdRequest request, Refusal refusal, long length) {
        metrics.requestsRefused++;
        request.error = refusal.error;
        request.refusal = refusal;
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

    // ---- WRITE ---------------------------------------------------------------------------------

    /// @param isAhead whether none of the payload has been read yet
    private void startWrite(NbdRequest request, boolean isAhead) {
        if (request.length == 0) {
            endChange(request);
            return;
        }
        incoming = request;
        reading = Reading.PAYLOAD;
        largeWrites = request.length >= LARGE_WRITE_BYTES;
        StraightWrites way = straight;
        if (way == null || !isAhead || !largeWrites) {
            nextPayloadPiece();
            return;
        }
        long taken = way.take(request.offset, request.length);
        received += way.goneBytes();
        if (taken == LocalDisk.TAKE_FAILED) {
            request.error = NbdProtocol.EIO;
            reading = Reading.SKIP;
            toSkip = request.length - way.goneBytes();
            skipped();
            return;
        }
        request.moved = (int) taken;
        if (request.moved < request.length) {
            nextPayloadPiece();
            return;
        }
        incoming = null;
        reading = afterRequest();
        unflushedBytes += request.length; // the client may send the next when it hears of this
        endChange(request);
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
            piece.filled = straight == null ? 0 : straight.handOver(piece.buffer);
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
        write(request.offset + piece.offset, piece);
        if (!last) {
            nextPayloadPiece();
        }
    }

    private void pieceWritten(NbdRequest request, Piece piece) {
        share.free(piece);
        if (request.outstanding == 0 && request.moved == request.length) {
            endChange(request);
        }
    }

    /// What changes the disk has been done: with FUA the answer comes after a flush.
    void endChange(NbdRequest request) {
        if (request.fua && request.error == 0) {
            request.mayPunch = false;
            flush(request);
        } else {
            answer(request);
        }
    }

    // ---- operations of the disk ----------------------------------------------------------------

    /// Reads into a piece; [#pieceDone] follows.
    void read(long offset, Piece piece) {
        diskOperations++;
        disk.read(offset, piece.buffer, piece.length, piece);
    }

    /// Writes from a piece; [#pieceDone] follows.
    void write(long offset, Piece piece) {
        diskOperations++;
        disk.write(offset, piece.buffer, piece.length, piece);
    }

    /// Discards the range of a request; [#operationDone] follows.
    void discard(NbdRequest request) {
        request.outstanding = 1;
        diskOperations++;
        disk.discard(request.offset, request.range, request);
    }

    private void describe(NbdRequest request, int extents) {
        request.map().clear(extents);
        request.outstanding = 1;
        diskOperations++;
        disk.describe(request.offset, request.range, request.map(), request);
    }

    private void flush(NbdRequest request) {
        request.outstanding = 1;
        diskOperations++;
        disk.flush(request);
    }

    void pieceDone(Piece piece, int error) {
        diskOperations--;
        NbdRequest request = piece.request;
        if (request == null) {
            throw new IllegalStateException("completion for a piece that is free");
        }
        request.outstanding--;
        piece.failed = error != 0;
        if (piece.failed && request.error == 0) {
            request.error = error;
        }
        if (closed) {
            share.free(piece);
        } else {
            switch (request.type) {
                case NbdProtocol.CMD_READ -> reads.pieceRead(request, piece);
                case NbdProtocol.CMD_WRITE -> pieceWritten(request, piece);
                default -> ranges.stepDone(request, piece);
            }
        }
        schedulePass();
    }

    /// A flush, a discard or a question for the allocation has ended.
    void operationDone(NbdRequest request, int error) {
        diskOperations--;
        request.outstanding--;
        if (!closed) {
            if (request.mayPunch) {
                ranges.discarded(request, error);
            } else {
                request.error = error;
                answer(request);
            }
        }
        schedulePass();
    }

    // ---- what goes out -------------------------------------------------------------------------

    /// Answers a request whose outcome is known; behind a reply that is under way it waits.
    void answer(NbdRequest request) {
        if (reads.isStreaming()) {
            answerable.add(request);
            return;
        }
        replies.write(request);
        if (request.type == NbdProtocol.CMD_READ && request.error == 0 && request.length > 0) {
            reads.begin(request);
        } else {
            freeWindow(request);
            recycle(request);
        }
        schedulePass();
    }

    /// The socket has taken a piece, or will not any more.
    void pieceSent(Piece piece) {
        reads.pieceSent(piece, closed);
        schedulePass();
    }

    /// The socket has taken data from the page cache, or will not any more.
    void partSent(CachedPart part) {
        reads.partSent(part);
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
            channel.eventLoop().execute(pass);
        }
    }

    private void pass() {
        passScheduled = false;
        if (closed) {
            ranges.clear();
            giveBackWhenQuiet();
            return;
        }
        while (!reads.isStreaming() && !answerable.isEmpty()) {
            answer(answerable.removeFirst());
        }
        ranges.pass();
        reads.startWaiting();
        flushReplies();
        readOn();
        closeWhenIdle();
    }

    /// Data of a READ has been given to the socket.
    void dataWritten(int sizeBytes) {
        unflushedBytes += sizeBytes;
    }

    private void flushReplies() {
        unflushedBytes = 0;
        replies.handOver();
        channel.flush();
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
            channel.config().setAutoRead(true);
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
            replies.handOver();
            // After what has been written: the listener runs when the socket has taken it all.
            channel.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
        }
    }

    void closeNow() {
        reading = Reading.ENDED;
        channel.close();
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
        if (straight != null) {
            straight.close();
        }
        replies.release();
        giveBackWhenQuiet();
    }

    /// The disk may still read into or write from the pieces; they go back after that.
    private void giveBackWhenQuiet() {
        if (closed && !givenBack && diskOperations == 0 && reads.sending() == 0) {
            givenBack = true;
            share.giveBack();
            server.ended(this);
        }
    }
}
