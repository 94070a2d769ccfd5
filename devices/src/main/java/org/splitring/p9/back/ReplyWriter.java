package org.splitring.p9.back;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.FileAttributes;
import org.splitring.wire.P9Message;

/// Writes one reply, never longer than was agreed.
final class ReplyWriter {
    static final int QID_BYTES = 13;
    static final int QID_FOLDER = 0x80;
    static final int QID_LINK = 0x02;
    static final int QID_FILE = 0;

    private MemorySegment bytes = MemorySegment.NULL;
    private int limit;
    private int at;

    void start(MemorySegment reply, int limitBytes) {
        bytes = reply;
        limit = limitBytes;
        at = P9Message.HEADER_BYTES;
    }

    /// Puts the header before the body.
    ///
    /// @return the length of the message
    int finish(int type, short tag) {
        bytes.set(MessageReader.U32, P9Message.SIZE, at);
        bytes.set(ValueLayout.JAVA_BYTE, P9Message.TYPE, (byte) type);
        bytes.set(MessageReader.U16, P9Message.TAG, tag);
        return at;
    }

    /// Makes an error of whatever was written.
    int finishWithError(int errno, short tag) {
        at = P9Message.HEADER_BYTES;
        bytes.set(MessageReader.U32, at, errno);
        at += 4;
        return finish(P9Message.RLERROR, tag);
    }

    int room() {
        return limit - at;
    }

    MemorySegment message() {
        return bytes;
    }

    /// Takes room for the next field.
    ///
    /// @return where the `length` bytes start in [#message]
    int take(int length) throws P9Exception {
        if (length > room()) {
            throw new P9Exception(Errno.EMSGSIZE);
        }
        int start = at;
        at += length;
        return start;
    }

    /// Where the next field goes.
    int position() {
        return at;
    }

    void u8(int value) throws P9Exception {
        bytes.set(ValueLayout.JAVA_BYTE, take(1), (byte) value);
    }

    void u16(int value) throws P9Exception {
        bytes.set(MessageReader.U16, take(2), (short) value);
    }

    void u32(int value) throws P9Exception {
        bytes.set(MessageReader.U32, take(4), value);
    }

    void u16At(int position, int value) {
        bytes.set(MessageReader.U16, position, (short) value);
    }

    void u32At(int position, int value) {
        bytes.set(MessageReader.U32, position, value);
    }

    void u64(long value) throws P9Exception {
        bytes.set(MessageReader.U64, take(8), value);
    }

    void text(String text) throws P9Exception {
        byte[] copy = text.getBytes(StandardCharsets.ISO_8859_1);
        u16(copy.length);
        MemorySegment.copy(copy, 0, bytes, ValueLayout.JAVA_BYTE, take(copy.length), copy.length);
    }

    void qid(int type, int version, long path) throws P9Exception {
        u8(type);
        u32(version);
        u64(path);
    }

    /// What a file is known by: its inode; the version changes with its contents.
    void qid(FileAttributes.All file) throws P9Exception {
        int type = file.isFolder() ? QID_FOLDER : file.isSymbolicLink() ? QID_LINK : QID_FILE;
        long modified = file.modified().seconds() * 1_000_000_000 + file.modified().nanos();
        qid(type, Long.hashCode(modified * 31 + file.sizeBytes()), file.inode());
    }

    void time(FileAttributes.Time time) throws P9Exception {
        u64(time.seconds());
        u64(time.nanos());
    }
}
