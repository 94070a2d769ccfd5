package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.wire.XsdSockmsgLayout;

/// One message of the store's wire format, in private memory.
///
/// Text on the wire is bytes; each becomes the character of the same number (ISO 8859-1), so that
/// nothing is lost before it is checked.
///
/// @param type of [XsdSockmsgLayout]
/// @param requestId chosen by the client, repeated in the answer
/// @param transactionId 0 outside a transaction
@SuppressWarnings("ArrayRecordComponent") // never compared
record WireMessage(int type, int requestId, int transactionId, byte[] payload) {
    private static final byte[] NOTHING = {};

    /// The header says more than 4096 bytes: whoever sent it is not to be listened to any more.
    static final class TooLongException extends Exception {
        private static final long serialVersionUID = 1L;

        TooLongException(long length) {
            super("message of " + length + " bytes", null, false, false);
        }
    }

    /// Takes the next message out of `in`.
    ///
    /// @return null when it is not complete yet; nothing is taken then
    static @Nullable WireMessage take(ByteBuf in) throws TooLongException {
        int start = in.readerIndex();
        if (in.readableBytes() < XsdSockmsgLayout.SIZE_BYTES) {
            return null;
        }
        long length = in.getUnsignedIntLE(start + 12); // unsigned: 2^31 is not a small number
        if (length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            throw new TooLongException(length);
        }
        if (in.readableBytes() < XsdSockmsgLayout.SIZE_BYTES + length) {
            return null;
        }
        int type = in.readIntLE();
        int requestId = in.readIntLE();
        int transactionId = in.readIntLE();
        in.skipBytes(4);
        byte[] payload = length == 0 ? NOTHING : new byte[(int) length];
        in.readBytes(payload);
        return new WireMessage(type, requestId, transactionId, payload);
    }

    ByteBuf encode(ByteBufAllocator allocator) {
        return allocator
                .ioBuffer(XsdSockmsgLayout.SIZE_BYTES + payload.length)
                .writeIntLE(type)
                .writeIntLE(requestId)
                .writeIntLE(transactionId)
                .writeIntLE(payload.length)
                .writeBytes(payload);
    }

    /// Lays the message out at the beginning of `to`.
    ///
    /// @return how many bytes it takes
    int encode(MemorySegment to) {
        XsdSockmsgLayout.write(to, 0, type, requestId, transactionId, payload.length);
        MemorySegment.copy(
                payload, 0, to, ValueLayout.JAVA_BYTE, XsdSockmsgLayout.SIZE_BYTES, payload.length);
        return XsdSockmsgLayout.SIZE_BYTES + payload.length;
    }

    WireMessage answer(byte[] answerPayload) {
        return new WireMessage(type, requestId, transactionId, answerPayload);
    }

    WireMessage error(StoreError error) {
        return new WireMessage(
                XsdSockmsgLayout.ERROR, requestId, transactionId, strings(error.name()));
    }

    /// The payload as strings, each of which must end with a NUL.
    List<String> strings() throws StoreException {
        List<String> found = new ArrayList<>(2);
        int start = 0;
        for (int i = 0; i < payload.length; i++) {
            if (payload[i] == 0) {
                found.add(new String(payload, start, i - start, StandardCharsets.ISO_8859_1));
                start = i + 1;
            }
        }
        if (start != payload.length) {
            throw new StoreException(StoreError.EINVAL, "payload does not end with NUL");
        }
        return found;
    }

    /// The payload as one string.
    String string() throws StoreException {
        int end = payload.length - 1;
        if (end < 0 || payload[end] != 0 || indexOfNul() != end) {
            throw new StoreException(StoreError.EINVAL, "not one string");
        }
        return new String(payload, 0, end, StandardCharsets.ISO_8859_1);
    }

    /// Where the first NUL of the payload is; its length when there is none.
    int indexOfNul() {
        int at = 0;
        while (at < payload.length && payload[at] != 0) {
            at++;
        }
        return at;
    }

    /// Exactly `count` strings.
    List<String> strings(int count) throws StoreException {
        List<String> found = strings();
        if (found.size() != count) {
            throw new StoreException(StoreError.EINVAL, found.size() + " strings, not " + count);
        }
        return found;
    }

    /// Strings as a payload, each with a NUL after it.
    static byte[] strings(String... strings) {
        return strings(List.of(strings));
    }

    static byte[] strings(List<String> strings) {
        StringBuilder text = new StringBuilder();
        for (String string : strings) {
            text.append(string).append('\0');
        }
        return text.toString().getBytes(StandardCharsets.ISO_8859_1);
    }
}
