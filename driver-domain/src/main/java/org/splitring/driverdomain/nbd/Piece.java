package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.nbd.NbdProtocol;
import org.splitring.blkfront.Completion;
import org.splitring.wire.BlkifStatus;

/// One buffer of a client's share, seen as disk memory and as Netty memory: the same pages, so that
/// data goes from the socket to the pages and back without another copy.
///
/// It is its own completion and listener: nothing is allocated for that per request.
final class Piece implements Completion, ChannelFutureListener {
    final DiskBuffer buffer;
    final ByteBuf bytes; // holds one reference of its own for the piece's life
    final boolean large;

    /// The request that has the piece now, and who answers it.
    @Nullable NbdRequest request;

    @Nullable NbdTransmission transmission;

    /// Which use of the request object this is: it is used again while its last piece is being
    /// sent.
    int serial;

    /// What part of the request it carries now.
    int offset;

    int length;

    /// Bytes of a WRITE received into it.
    int filled;

    /// Whether its part of a READ is here, and whether there was an error instead.
    boolean done;

    boolean failed;

    Piece(DiskBuffer buffer, boolean large) {
        this.buffer = buffer;
        this.large = large;
        bytes = Unpooled.wrappedBuffer(buffer.bytes().asByteBuffer());
    }

    int capacity() {
        return (int) buffer.bytes().byteSize();
    }

    @Override
    public void done(int blkifStatus) {
        NbdTransmission owner = transmission;
        if (owner != null) {
            owner.pieceDone(this, error(blkifStatus));
        }
    }

    /// The error number for the status of a blkif response: 0, or EIO, or ENOTSUP.
    static int error(int blkifStatus) {
        return switch (blkifStatus) {
            case BlkifStatus.OKAY -> 0;
            case BlkifStatus.EOPNOTSUPP -> NbdProtocol.ENOTSUP;
            default -> NbdProtocol.EIO;
        };
    }

    @Override
    public void operationComplete(ChannelFuture future) {
        NbdTransmission owner = transmission;
        if (owner != null) {
            owner.pieceSent(this);
        }
    }
}
