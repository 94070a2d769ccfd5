package org.splitring.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import org.splitring.p9.back.P9BackendDriver;
import org.splitring.p9.front.P9FrontendDriver;
import org.splitring.testkit.contract.DeviceContract;
import org.splitring.wire.P9Message;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// 9pfs keeps the contract of devices. A piece of work is a client: it connects, makes a file,
/// writes, reads and removes it. One whose connection ends with a backend attaches anew, as clients
/// of 9P do.
public class P9ContractTest extends DeviceContract {
    @Override
    protected BackendDriver backendDriver() {
        return new P9BackendDriver();
    }

    @Override
    protected FrontendDriver frontendDriver() {
        return new P9FrontendDriver();
    }

    @Override
    protected int entryBytes() {
        return 0; // bytes, not requests of one size: HostileStreamsTest attacks them
    }

    @Override
    protected void writeRequest(MemorySegment slot, int id, int gref) {
        throw new UnsupportedOperationException("no ring of requests");
    }

    @Override
    protected Map<String, String> backendParameters(int device) {
        return Map.of("path", files().toString());
    }

    @Override
    protected void work(Instance device) throws Exception {
        Path socket = device.sockets().resolve("9pfs" + device.device() + ".9p");
        String name = UUID.randomUUID().toString();
        while (true) {
            try (Client client = new Client(socket)) {
                client.makeWriteReadRemove(name);
                return;
            } catch (EOFException e) {
                Files.deleteIfExists(files().resolve(name)); // the backend has gone: once more
            }
        }
    }

    /// As little of a client as will do.
    private static final class Client implements AutoCloseable {
        private final SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        private final ByteBuffer message = ByteBuffer.allocate(8192).order(ByteOrder.LITTLE_ENDIAN);

        Client(Path socket) throws IOException {
            channel.connect(UnixDomainSocketAddress.of(socket));
        }

        private Client begin(int type) {
            message.clear().putInt(0).put((byte) type).putShort((short) 1);
            return this;
        }

        private Client u32(int value) {
            message.putInt(value);
            return this;
        }

        private Client text(String value) {
            byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
            message.putShort((short) bytes.length).put(bytes);
            return this;
        }

        /// Sends it, and takes the reply, whose body begins at the position.
        private ByteBuffer ask() throws IOException {
            int type = message.get(P9Message.TYPE);
            message.putInt(P9Message.SIZE, message.position()).flip();
            try {
                while (message.hasRemaining()) {
                    channel.write(message);
                }
            } catch (IOException e) {
                throw gone(e);
            }
            message.clear();
            fill(P9Message.HEADER_BYTES);
            fill(message.getInt(P9Message.SIZE));
            assertEquals(type + 1, message.get(P9Message.TYPE), "reply");
            return message.flip().position(P9Message.HEADER_BYTES);
        }

        private void fill(int end) throws IOException {
            message.limit(end);
            while (message.hasRemaining()) {
                int count;
                try {
                    count = channel.read(message);
                } catch (IOException e) {
                    throw gone(e);
                }
                if (count < 0) {
                    throw new EOFException();
                }
            }
        }

        private static EOFException gone(IOException cause) {
            EOFException gone = new EOFException();
            gone.initCause(cause);
            return gone;
        }

        void makeWriteReadRemove(String name) throws IOException {
            begin(P9Message.TVERSION).u32(8192).text("9P2000.L").ask();
            begin(P9Message.TATTACH).u32(0).u32(-1).text("").text("").u32(0).ask();
            begin(P9Message.TWALK).u32(0).u32(1);
            message.putShort((short) 0);
            ask();
            begin(P9Message.TLCREATE).u32(1).text(name).u32(2).u32(0600).u32(0).ask();
            begin(P9Message.TWRITE).u32(1).u32(0).u32(0).u32(name.length());
            message.put(name.getBytes(StandardCharsets.US_ASCII));
            ask();
            ByteBuffer read = begin(P9Message.TREAD).u32(1).u32(0).u32(0).u32(100).ask();
            byte[] data = new byte[read.getInt()];
            read.get(data);
            assertEquals(name, new String(data, StandardCharsets.US_ASCII));
            begin(P9Message.TREMOVE).u32(1).ask();
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
