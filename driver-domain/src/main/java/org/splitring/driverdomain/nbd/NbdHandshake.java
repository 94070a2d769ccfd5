package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.util.concurrent.Future;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.nbd.NbdProtocol;

/// The option phase of one client: greeting, client flags, options, until one of them enters the
/// transmission phase; [NbdTransmission] then takes this handler's place.
///
/// Data of an option is looked at only when all of it is here, and only up to [#MAX_OPTION_BYTES];
/// what is longer is skipped without being kept. The whole phase has one deadline, so a client can
/// make it neither long nor expensive.
@SuppressWarnings(
        "FutureReturnValueIgnored") // a failed write ends the channel, and that is heard of
final class NbdHandshake extends ByteToMessageDecoder {
    /// A name of full length and more queries than any client has.
    private static final int MAX_OPTION_BYTES = 16 << 10;

    /// Far more than any client sends.
    private static final int MAX_OPTIONS = 1024;

    private enum Phase {
        CLIENT_FLAGS,
        OPTION,
        DATA,
        SKIP,
        OVER
    }

    private final NbdServer server;
    private Phase phase = Phase.CLIENT_FLAGS;
    private boolean zeroes = true;
    private int option;
    private long remaining; // bytes of this option's data, u32
    private int options;
    private boolean encrypted;
    private boolean structured;
    private @Nullable NbdExport allocationOf; // whose BLOCK_STATUS the client has selected
    private @Nullable Future<?> deadline;

    NbdHandshake(NbdServer server) {
        this.server = server;
    }

    @Override
    public void channelActive(ChannelHandlerContext ctx) {
        deadline =
                ctx.executor()
                        .schedule(
                                () -> {
                                    server.metrics().handshakesTimedOut++;
                                    ctx.close();
                                },
                                server.limits().handshakeNanos(),
                                TimeUnit.NANOSECONDS);
        ByteBuf greeting = ctx.alloc().buffer(18);
        greeting.writeLong(NbdProtocol.NBDMAGIC).writeLong(NbdProtocol.IHAVEOPT);
        greeting.writeShort(NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES);
        ctx.writeAndFlush(greeting);
    }

    @Override
    protected void handlerRemoved0(ChannelHandlerContext ctx) {
        if (deadline != null) {
            deadline.cancel(false);
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        end(ctx);
        ctx.close();
    }

    @Override
    protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out) {
        switch (phase) {
            case CLIENT_FLAGS -> clientFlags(ctx, in);
            case OPTION -> optionHeader(ctx, in);
            case DATA -> {
                if (in.readableBytes() >= remaining) {
                    phase = Phase.OPTION;
                    ByteBuf data = in.readSlice((int) remaining);
                    serve(ctx, data);
                }
            }
            case SKIP -> {
                int step = (int) Math.min(remaining, in.readableBytes());
                in.skipBytes(step);
                remaining -= step;
                if (remaining == 0) {
                    skipped(ctx);
                }
            }
            case OVER -> in.skipBytes(in.readableBytes());
        }
    }

    /// An option that nobody wants to know more of is over.
    private void skipped(ChannelHandlerContext ctx) {
        phase = Phase.OPTION;
        if (option == NbdProtocol.OPT_EXPORT_NAME) {
            end(ctx); // has no reply that could carry an error
        } else if (isTooEarly()) {
            refuse(ctx, NbdProtocol.REP_ERR_TLS_REQD, "TLS has to be started first");
        } else {
            refuse(ctx, NbdProtocol.REP_ERR_TOO_BIG, "option data is too long");
        }
    }

    /// Whether the option has to wait for TLS.
    private boolean isTooEarly() {
        return server.tls() != null
                && !encrypted
                && option != NbdProtocol.OPT_STARTTLS
                && option != NbdProtocol.OPT_ABORT;
    }

    private void clientFlags(ChannelHandlerContext ctx, ByteBuf in) {
        if (in.readableBytes() < 4) {
            return;
        }
        int flags = in.readInt();
        boolean unknown =
                (flags & ~(NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES)) != 0;
        boolean fixed = (flags & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
        if (unknown || (server.tls() != null && !fixed)) { // TLS is of the fixed newstyle
            end(ctx);
            return;
        }
        zeroes = (flags & NbdProtocol.FLAG_NO_ZEROES) == 0;
        phase = Phase.OPTION;
    }

    private void optionHeader(ChannelHandlerContext ctx, ByteBuf in) {
        if (in.readableBytes() < NbdProtocol.OPTION_BYTES) {
            return;
        }
        if (in.readLong() != NbdProtocol.IHAVEOPT || ++options > MAX_OPTIONS) {
            end(ctx);
            return;
        }
        option = in.readInt();
        remaining = in.readUnsignedInt();
        if (isTooEarly() && remaining == 0) {
            skipped(ctx);
        } else if (isTooEarly() || remaining > MAX_OPTION_BYTES) {
            phase = Phase.SKIP;
        } else if (remaining > 0) {
            phase = Phase.DATA;
        } else {
            serve(ctx, in.readSlice(0));
        }
    }

    private void serve(ChannelHandlerContext ctx, ByteBuf bytes) {
        try {
            serve(ctx, new OptionData(bytes));
        } catch (BadOption e) {
            if (option == NbdProtocol.OPT_EXPORT_NAME) {
                end(ctx); // has no reply that could carry an error
            } else {
                refuse(ctx, e.reply, e.message());
            }
        }
    }

    private void serve(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        switch (option) {
            case NbdProtocol.OPT_EXPORT_NAME -> exportName(ctx, data);
            case NbdProtocol.OPT_ABORT -> {
                phase = Phase.OVER;
                reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0))
                        .addListener(ChannelFutureListener.CLOSE);
            }
            case NbdProtocol.OPT_LIST -> list(ctx, data);
            case NbdProtocol.OPT_INFO, NbdProtocol.OPT_GO -> infoOrGo(ctx, data);
            case NbdProtocol.OPT_STRUCTURED_REPLY -> structuredReply(ctx, data);
            case NbdProtocol.OPT_STARTTLS -> startTls(ctx, data);
            case NbdProtocol.OPT_LIST_META_CONTEXT -> listMetaContexts(ctx, data);
            case NbdProtocol.OPT_SET_META_CONTEXT -> setMetaContexts(ctx, data);
            default -> throw unsupported();
        }
    }

    private static BadOption unsupported() {
        return new BadOption(NbdProtocol.REP_ERR_UNSUP, "option is not supported");
    }

    private void startTls(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        NbdTls tls = server.tls();
        if (tls == null) {
            throw unsupported();
        }
        data.checkEmpty();
        if (encrypted) {
            throw BadOption.invalid("TLS has been started already");
        }
        if (actualReadableBytes() > 0) {
            // Whoever sits between the client and us can put something behind this option, which
            // would seem to have come encrypted.
            end(ctx);
            return;
        }
        reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0));
        encrypted = true;
        structured = false; // nothing that was said before counts; isTooEarly has refused it all
        allocationOf = null;
        ctx.pipeline()
                .addFirst("tls", tls.newHandler(ctx.alloc(), server.limits().handshakeNanos()));
    }

    private void exportName(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        NbdExport export = export(data.rest("name"));
        PieceShare share = share(export);
        ByteBuf answer = ctx.alloc().buffer(134);
        answer.writeLong(export.disk().sizeBytes()).writeShort(export.flags(terms(export)));
        if (zeroes) {
            answer.writeZero(124);
        }
        ctx.writeAndFlush(answer);
        transmit(ctx, export, share);
    }

    private NbdExport export(String name) throws BadOption {
        NbdExport export = server.export(name);
        if (export == null) {
            throw new BadOption(NbdProtocol.REP_ERR_UNKNOWN, "no such export");
        }
        return export;
    }

    private static PieceShare share(NbdExport export) throws BadOption {
        PieceShare share = PieceShare.take(export.disk());
        if (share == null) {
            throw new BadOption(NbdProtocol.REP_ERR_POLICY, "no memory left for one more client");
        }
        return share;
    }

    private void list(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        data.checkEmpty();
        for (NbdExport export : server.exports()) {
            byte[] name = export.name().getBytes(StandardCharsets.UTF_8);
            ByteBuf body = ctx.alloc().buffer(4 + name.length);
            body.writeInt(name.length).writeBytes(name);
            body.writeCharSequence(export.description(), StandardCharsets.UTF_8);
            reply(ctx, NbdProtocol.REP_SERVER, body);
        }
        reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0));
    }

    private void structuredReply(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        data.checkEmpty();
        structured = true;
        reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0));
    }

    private void listMetaContexts(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        MetaContextQuery query = metaContextQuery(data);
        export(query.export());
        if (query.named() || query.wildcard()) {
            metaContext(ctx, 0); // the number means nothing here
        }
        reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0));
    }

    private void setMetaContexts(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        allocationOf = null; // also when this fails
        MetaContextQuery query = metaContextQuery(data);
        NbdExport export = export(query.export());
        if (query.named()) {
            allocationOf = export;
            metaContext(ctx, MetaContextQuery.NUMBER);
        }
        reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0));
    }

    private MetaContextQuery metaContextQuery(OptionData data) throws BadOption {
        if (!structured) {
            throw BadOption.invalid("structured replies have to be asked for first");
        }
        return MetaContextQuery.read(data);
    }

    private void metaContext(ChannelHandlerContext ctx, int id) {
        ByteBuf body = ctx.alloc().buffer(32);
        body.writeInt(id);
        body.writeCharSequence(MetaContextQuery.ALLOCATION, StandardCharsets.US_ASCII);
        reply(ctx, NbdProtocol.REP_META_CONTEXT, body);
    }

    private void infoOrGo(ChannelHandlerContext ctx, OptionData data) throws BadOption {
        String name = data.string("name");
        int requests = data.unsignedShort("number of information requests");
        if (data.remaining() != 2 * requests) {
            throw BadOption.invalid("number of information requests is wrong");
        }
        NbdExport export = export(name);
        boolean wantsName = false;
        boolean wantsDescription = false;
        for (int i = 0; i < requests; i++) {
            int type = data.unsignedShort("information request");
            wantsName |= type == NbdProtocol.INFO_NAME;
            wantsDescription |= type == NbdProtocol.INFO_DESCRIPTION;
        }
        PieceShare share = option == NbdProtocol.OPT_GO ? share(export) : null;
        inform(ctx, export, wantsName, wantsDescription);
        reply(ctx, NbdProtocol.REP_ACK, ctx.alloc().buffer(0));
        if (share != null) {
            transmit(ctx, export, share);
        }
    }

    private void inform(
            ChannelHandlerContext ctx,
            NbdExport export,
            boolean wantsName,
            boolean wantsDescription) {
        ByteBuf size = ctx.alloc().buffer(12);
        size.writeShort(NbdProtocol.INFO_EXPORT);
        size.writeLong(export.disk().sizeBytes()).writeShort(export.flags(terms(export)));
        reply(ctx, NbdProtocol.REP_INFO, size);
        if (wantsName) {
            text(ctx, NbdProtocol.INFO_NAME, export.name());
        }
        if (wantsDescription) {
            text(ctx, NbdProtocol.INFO_DESCRIPTION, export.description());
        }
        // Always told: requests that are not whole blocks are refused.
        ByteBuf blocks = ctx.alloc().buffer(14);
        blocks.writeShort(NbdProtocol.INFO_BLOCK_SIZE);
        blocks.writeInt(export.disk().blockSizeBytes());
        blocks.writeInt(Math.max(4096, export.disk().blockSizeBytes()));
        blocks.writeInt(NbdProtocol.MAX_PAYLOAD_BYTES);
        reply(ctx, NbdProtocol.REP_INFO, blocks);
    }

    private void text(ChannelHandlerContext ctx, int type, String text) {
        ByteBuf body = ctx.alloc().buffer(64);
        body.writeShort(type).writeCharSequence(text, StandardCharsets.UTF_8);
        reply(ctx, NbdProtocol.REP_INFO, body);
    }

    private void refuse(ChannelHandlerContext ctx, int error, String message) {
        ByteBuf body = ctx.alloc().buffer(64);
        body.writeCharSequence(message, StandardCharsets.US_ASCII);
        reply(ctx, error, body);
    }

    private ChannelFuture reply(ChannelHandlerContext ctx, int type, ByteBuf body) {
        ByteBuf header = ctx.alloc().buffer(20);
        header.writeLong(NbdProtocol.OPTION_REPLY_MAGIC).writeInt(option).writeInt(type);
        header.writeInt(body.readableBytes());
        ctx.write(header);
        return ctx.writeAndFlush(body);
    }

    private NbdTerms terms(NbdExport export) {
        return new NbdTerms(structured, export.equals(allocationOf), encrypted);
    }

    private void transmit(ChannelHandlerContext ctx, NbdExport export, PieceShare share) {
        phase = Phase.OVER;
        NbdTransmission transmission =
                new NbdTransmission(server, ctx.channel(), export.disk(), share, terms(export));
        // Taking this handler out hands over what was received behind the option.
        ctx.pipeline().replace(this, "transmission", transmission);
    }

    private void end(ChannelHandlerContext ctx) {
        if (phase == Phase.OVER) {
            return;
        }
        phase = Phase.OVER;
        server.metrics().handshakesRefused++;
        ctx.close();
    }
}
