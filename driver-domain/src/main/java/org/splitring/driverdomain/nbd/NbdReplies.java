package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkback.nbd.NbdProtocol;

/// Writes replies to one client, but for the data of READs, which [NbdReads] sends behind what is
/// written here. Short ones are gathered and given to the socket together ([#handOver]): in one
/// buffer they cost it less than each in its own. Nothing is flushed.
///
/// A client that has asked for structured replies gets one for each READ, as it must, and for each
/// error, so that it has words; whatever else succeeds is answered by a simple reply, which is
/// shorter.
@SuppressWarnings(
        "FutureReturnValueIgnored") // a failed write ends the channel, and that is heard of
final class NbdReplies {
    private static final int GATHERED_BYTES = 2048;

    private final Channel channel;
    private final NbdTerms terms;
    private @Nullable ByteBuf gathered;

    NbdReplies(Channel channel, NbdTerms terms) {
        this.channel = channel;
        this.terms = terms;
    }

    /// All of a reply without data, or what stands before the data of a READ that goes out in one
    /// fragment.
    void write(NbdRequest request) {
        if (!terms.structured()) {
            simple(request);
        } else if (request.error != 0) {
            error(request);
        } else if (request.type == NbdProtocol.CMD_BLOCK_STATUS) {
            blockStatus(request);
        } else if (request.type != NbdProtocol.CMD_READ) {
            simple(request);
        } else if (request.length == 0) {
            none(request);
        } else {
            data(request, request.offset, request.length, true);
        }
    }

    private void simple(NbdRequest request) {
        room(NbdProtocol.REPLY_BYTES)
                .writeInt(NbdProtocol.REPLY_MAGIC)
                .writeInt(request.error)
                .writeLong(request.cookie);
    }

    private ByteBuf room(int sizeBytes) {
        ByteBuf buffer = gathered;
        if (buffer != null && buffer.writableBytes() < sizeBytes) {
            handOver();
            buffer = null;
        }
        if (buffer == null) {
            buffer = channel.alloc().directBuffer(Math.max(GATHERED_BYTES, sizeBytes));
            gathered = buffer;
        }
        return buffer;
    }

    /// Gives the socket what is gathered: before anything else is written, and before a flush.
    void handOver() {
        ByteBuf buffer = gathered;
        if (buffer != null) {
            gathered = null;
            channel.write(buffer);
        }
    }

    /// Gives up what is gathered: nobody can be answered any more.
    void release() {
        ByteBuf buffer = gathered;
        if (buffer != null) {
            gathered = null;
            buffer.release();
        }
    }

    /// What stands before a fragment.
    ///
    /// @param offset of its first byte on the disk
    /// @param last whether it is the last of its request
    void data(NbdRequest request, long offset, int length, boolean last) {
        chunk(request, NbdProtocol.CHUNK_OFFSET_DATA, last, 8 + length, 8).writeLong(offset);
    }

    /// What the disk has said. Nothing is remembered of what clients have discarded, because other
    /// users of the image may have written there since.
    private void blockStatus(NbdRequest request) {
        AllocationMap map = request.map();
        int length = 4 + 8 * map.count();
        ByteBuf reply =
                chunk(request, NbdProtocol.CHUNK_BLOCK_STATUS, true, length, length)
                        .writeInt(MetaContextQuery.NUMBER);
        for (int i = 0; i < map.count(); i++) {
            int state =
                    map.isHole(i)
                            ? NbdProtocol.STATE_HOLE | NbdProtocol.STATE_ZERO
                            : NbdProtocol.STATE_DATA;
            reply.writeInt((int) map.sizeBytes(i)).writeInt(state);
        }
    }

    private void none(NbdRequest request) {
        var ignored = chunk(request, NbdProtocol.CHUNK_NONE, true, 0, 0);
    }

    /// The last chunk of a request that has failed. Of a READ it says where.
    private void error(NbdRequest request) {
        Refusal refusal = request.refusal;
        String words = refusal == null ? "" : refusal.message;
        boolean placed = request.errorAt >= 0;
        int type = placed ? NbdProtocol.CHUNK_ERROR_OFFSET : NbdProtocol.CHUNK_ERROR;
        int length = 6 + words.length() + (placed ? 8 : 0);
        ByteBuf reply = chunk(request, type, true, length, length);
        reply.writeInt(request.error).writeShort(words.length());
        reply.writeCharSequence(words, StandardCharsets.US_ASCII);
        if (placed) {
            reply.writeLong(request.offset + request.errorAt);
        }
    }

    /// @param length of what follows the header
    /// @param room for how much of that there is to be room
    private ByteBuf chunk(NbdRequest request, int type, boolean last, int length, int room) {
        return room(NbdProtocol.CHUNK_BYTES + room)
                .writeInt(NbdProtocol.CHUNK_MAGIC)
                .writeShort(last ? NbdProtocol.CHUNK_DONE : 0)
                .writeShort(type)
                .writeLong(request.cookie)
                .writeInt(length);
    }
}
