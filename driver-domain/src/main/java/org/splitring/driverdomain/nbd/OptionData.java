package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import org.splitring.blkback.nbd.NbdProtocol;

/// Reads the data of an option, in which every length and every byte is the client's.
final class OptionData {
    private final ByteBuf data;

    OptionData(ByteBuf data) {
        this.data = data;
    }

    /// A string behind its length, u32.
    ///
    /// @param what names it in messages
    String string(String what) throws BadOption {
        long length = unsignedInt(what);
        if (length > NbdProtocol.MAX_STRING_BYTES) {
            throw new BadOption(
                    NbdProtocol.REP_ERR_TOO_BIG,
                    what + " is longer than " + NbdProtocol.MAX_STRING_BYTES + " bytes");
        }
        checkRoom(length, what);
        return text((int) length, what);
    }

    /// As [#string], for a query: one that the option cannot hold is invalid, however long.
    String query() throws BadOption {
        if (data.readableBytes() >= 4) {
            checkRoom(data.getUnsignedInt(data.readerIndex()) + 4, "query");
        }
        return string("query");
    }

    /// A string that takes the rest.
    String rest(String what) throws BadOption {
        if (data.readableBytes() > NbdProtocol.MAX_STRING_BYTES) {
            throw new BadOption(NbdProtocol.REP_ERR_TOO_BIG, what + " is too long");
        }
        return text(data.readableBytes(), what);
    }

    private String text(int length, String what) throws BadOption {
        ByteBuffer bytes = data.readSlice(length).nioBuffer();
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
            if (text.indexOf('\0') >= 0) {
                throw BadOption.invalid(what + " has a NUL in it");
            }
            return text;
        } catch (CharacterCodingException e) {
            throw BadOption.invalid(what + " is not UTF-8");
        }
    }

    long unsignedInt(String what) throws BadOption {
        checkRoom(4, what);
        return data.readUnsignedInt();
    }

    int unsignedShort(String what) throws BadOption {
        checkRoom(2, what);
        return data.readUnsignedShort();
    }

    private void checkRoom(long size, String what) throws BadOption {
        if (size > data.readableBytes()) {
            throw BadOption.invalid(what + " reaches behind the end of the option");
        }
    }

    int remaining() {
        return data.readableBytes();
    }

    void checkEmpty() throws BadOption {
        if (data.isReadable()) {
            throw BadOption.invalid("the option has " + data.readableBytes() + " bytes too many");
        }
    }
}
