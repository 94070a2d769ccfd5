package org.splitring.p9.back;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.wire.P9Message;

/// A client of a session in the same thread: says anything, and takes replies apart.
final class P9Client implements AutoCloseable {
    static final int NO_FID = -1;

    final P9Session session;
    private final SharedFolder shared;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment request;
    private final MemorySegment reply;
    private final int limit;

    P9Client(Path folder, boolean readOnly, P9Limits limits) throws LinuxException {
        shared = new SharedFolder(folder, readOnly);
        session = new P9Session(shared, limits);
        limit = limits.messageBytes();
        request = arena.allocate(limit, 8);
        reply = arena.allocate(limit, 8);
    }

    /// A session that is attached, with the folder as fid 0.
    static P9Client attached(Path folder) throws LinuxException {
        P9Client client = new P9Client(folder, false, P9Limits.DEFAULT);
        client.ok(P9Message.TVERSION, m -> m.u32(1 << 20).text("9P2000.L"));
        client.ok(P9Message.TATTACH, m -> m.u32(0).u32(NO_FID).text("nobody").text("").u32(0));
        return client;
    }

    /// The body of a message.
    static final class Body {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        Body u8(int value) {
            bytes.write(value);
            return this;
        }

        Body u16(int value) {
            return u8(value).u8(value >> 8);
        }

        Body u32(int value) {
            return u16(value).u16(value >> 16);
        }

        Body u64(long value) {
            return u32((int) value).u32((int) (value >> 32));
        }

        Body raw(byte[] value) {
            bytes.writeBytes(value);
            return this;
        }

        Body text(String value) {
            byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
            return u16(utf8.length).raw(utf8);
        }
    }

    /// Writes a body.
    @FunctionalInterface
    interface Writer {
        void write(Body body);
    }

    /// A reply: its type and body.
    record Reply(int type, ByteBuffer body) {
        int errno() {
            return type == P9Message.RLERROR ? body.getInt(0) : 0;
        }

        String text() {
            byte[] bytes = new byte[Short.toUnsignedInt(body.getShort())];
            body.get(bytes);
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }

    Reply send(int type, Writer writer) {
        Body body = new Body();
        writer.write(body);
        return sendRaw(type, body.bytes.toByteArray());
    }

    Reply sendRaw(int type, byte[] body) {
        int size = P9Message.HEADER_BYTES + body.length;
        request.set(MessageReader.U32, P9Message.SIZE, size);
        request.set(ValueLayout.JAVA_BYTE, P9Message.TYPE, (byte) type);
        request.set(MessageReader.U16, P9Message.TAG, (short) 0x1234);
        MemorySegment.copy(
                body, 0, request, ValueLayout.JAVA_BYTE, P9Message.HEADER_BYTES, body.length);
        int length = session.serve(request, size, reply);
        if (length < P9Message.HEADER_BYTES
                || length > limit
                || reply.get(MessageReader.U32, P9Message.SIZE) != length
                || reply.get(MessageReader.U16, P9Message.TAG) != 0x1234) {
            throw new AssertionError("reply of length " + length);
        }
        int replyType = Byte.toUnsignedInt(reply.get(ValueLayout.JAVA_BYTE, P9Message.TYPE));
        if (replyType != P9Message.RLERROR && replyType != type + 1) {
            throw new AssertionError("type " + replyType + " answers " + type);
        }
        byte[] copy =
                reply.asSlice(P9Message.HEADER_BYTES, length - P9Message.HEADER_BYTES)
                        .toArray(ValueLayout.JAVA_BYTE);
        return new Reply(replyType, ByteBuffer.wrap(copy).order(ByteOrder.LITTLE_ENDIAN));
    }

    Reply ok(int type, Writer writer) {
        Reply answer = send(type, writer);
        if (answer.type() == P9Message.RLERROR) {
            throw new AssertionError("type " + type + " was answered errno " + answer.errno());
        }
        return answer;
    }

    int errno(int type, Writer writer) {
        return send(type, writer).errno();
    }

    Reply walk(int fid, int newFid, String... names) {
        return send(
                P9Message.TWALK,
                m -> {
                    m.u32(fid).u32(newFid).u16(names.length);
                    for (String name : names) {
                        m.text(name);
                    }
                });
    }

    /// Walks the whole way.
    P9Client to(int newFid, String... names) {
        Reply reply = walk(0, newFid, names);
        if (reply.type() == P9Message.RLERROR || reply.body().getShort() != names.length) {
            throw new AssertionError("cannot walk to " + List.of(names));
        }
        return this;
    }

    int open(int fid, int flags) {
        return errno(P9Message.TLOPEN, m -> m.u32(fid).u32(flags));
    }

    int create(int fid, String name, int flags, int mode) {
        return errno(P9Message.TLCREATE, m -> m.u32(fid).text(name).u32(flags).u32(mode).u32(0));
    }

    int write(int fid, long offset, String data) {
        byte[] bytes = data.getBytes(StandardCharsets.UTF_8);
        return errno(P9Message.TWRITE, m -> m.u32(fid).u64(offset).u32(bytes.length).raw(bytes));
    }

    String read(int fid, long offset, int count) {
        Reply reply = ok(P9Message.TREAD, m -> m.u32(fid).u64(offset).u32(count));
        byte[] bytes = new byte[reply.body().getInt()];
        reply.body().get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    int clunk(int fid) {
        return errno(P9Message.TCLUNK, m -> m.u32(fid));
    }

    /// Names in the open folder `fid`, asked for in pieces.
    List<String> list(int fid, int pieceBytes) {
        List<String> names = new ArrayList<>();
        long place = 0;
        while (true) {
            long from = place;
            Reply reply = ok(P9Message.TREADDIR, m -> m.u32(fid).u64(from).u32(pieceBytes));
            if (reply.body().getInt() == 0) {
                return names;
            }
            while (reply.body().hasRemaining()) {
                reply.body().position(reply.body().position() + ReplyWriter.QID_BYTES);
                place = reply.body().getLong();
                reply.body().get();
                names.add(reply.text());
            }
        }
    }

    @Override
    public void close() {
        session.close();
        shared.close();
        arena.close();
    }
}
