package org.splitring.p9.back;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.wire.P9Message;

/// Reads the fields of one request, in order, from private memory; none lies behind its end.
final class MessageReader {
    static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfLong U64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// Longest name of a file on any file system of Linux.
    static final int LONGEST_NAME = 255;

    private MemorySegment bytes = MemorySegment.NULL;
    private int end;
    private int at;

    /// Begins with a message.
    ///
    /// @param message private, native
    /// @param sizeBytes of the message, at least a header
    void start(MemorySegment message, int sizeBytes) {
        bytes = message;
        end = sizeBytes;
        at = P9Message.HEADER_BYTES;
    }

    int type() {
        return Byte.toUnsignedInt(bytes.get(ValueLayout.JAVA_BYTE, P9Message.TYPE));
    }

    short tag() {
        return bytes.get(U16, P9Message.TAG);
    }

    int u8() throws P9Exception {
        return Byte.toUnsignedInt(bytes.get(ValueLayout.JAVA_BYTE, take(1)));
    }

    int u16() throws P9Exception {
        return Short.toUnsignedInt(bytes.get(U16, take(2)));
    }

    int u32() throws P9Exception {
        return bytes.get(U32, take(4));
    }

    long u64() throws P9Exception {
        return bytes.get(U64, take(8));
    }

    /// A string, whatever is in it: bytes, one in each `char`.
    String text() throws P9Exception {
        int length = u16();
        byte[] copy = new byte[length];
        MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, take(length), copy, 0, length);
        return new String(copy, StandardCharsets.ISO_8859_1);
    }

    /// The name of one entry of a folder: nothing that leads anywhere else.
    String name() throws P9Exception {
        String name = nameOrDots();
        if (name.equals(".") || name.equals("..")) {
            throw new P9Exception(Errno.EINVAL);
        }
        return name;
    }

    /// As [#name], or `.` or `..`.
    String nameOrDots() throws P9Exception {
        String name = text();
        if (name.isEmpty() || name.indexOf('/') >= 0 || name.indexOf('\0') >= 0) {
            throw new P9Exception(Errno.EINVAL);
        }
        if (name.length() > LONGEST_NAME) {
            throw new P9Exception(Errno.ENAMETOOLONG);
        }
        return name;
    }

    MemorySegment message() {
        return bytes;
    }

    /// Passes over `length` bytes.
    ///
    /// @return where they start in [#message]
    int take(int length) throws P9Exception {
        if (length < 0 || length > end - at) {
            throw new P9Exception(Errno.EPROTO); // the message is shorter than it says
        }
        int start = at;
        at += length;
        return start;
    }
}
