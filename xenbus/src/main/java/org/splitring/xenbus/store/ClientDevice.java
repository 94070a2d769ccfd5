package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import org.splitring.hypervisor.attached.FdWatch;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;

/// A client's way through `/dev/xen/xenbus`: the kernel passes messages on to the store, with the
/// rights of this domain. A write takes a whole message and does not wait; a read gives what has
/// come.
final class ClientDevice implements ClientTransport {
    private static final int BYTES = 1 << 16; // a message has 4112 at most

    private final StoreWireClient client;
    private final NettyDeviceLoop loop;
    private final int fd;
    private final MemorySegment incoming = Arena.ofAuto().allocate(BYTES);
    private final MemorySegment outgoing = Arena.ofAuto().allocate(BYTES);
    private final ByteBuf in = Unpooled.buffer(256, 1 << 20);
    private final FdWatch watch;
    private boolean closed; // guarded by this

    @SuppressWarnings("ThisEscaped") // the last statement; nothing comes before it is registered
    private ClientDevice(StoreWireClient client, NettyDeviceLoop loop, int fd) {
        this.client = client;
        this.loop = loop;
        this.fd = fd;
        watch =
                FdWatch.reading(
                        loop,
                        fd,
                        this::ready,
                        () -> client.fail("the store is not heard any more"));
    }

    static ClientDevice open(Path path, NettyDeviceLoop loop, StoreWireClient client)
            throws IOException {
        int fd = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING).fd();
        return new ClientDevice(client, loop, fd);
    }

    @Override
    public boolean inLoop() {
        return loop.inLoop();
    }

    @Override
    public synchronized void send(WireMessage message) {
        if (closed) {
            return;
        }
        ByteBuf bytes = message.encode(UnpooledByteBufAllocator.DEFAULT);
        try {
            int length = bytes.readableBytes();
            for (int i = 0; i < length; i++) {
                outgoing.set(ValueLayout.JAVA_BYTE, i, bytes.readByte());
            }
            long written = Fd.write(fd, outgoing.address(), length);
            if (written != length) {
                client.fail(
                        "the kernel does not pass messages to the store: "
                                + (written < 0 ? Errno.describe((int) -written) : "cut"));
            }
        } finally {
            bytes.release();
        }
    }

    private void ready() {
        while (true) {
            long count = Fd.read(fd, incoming.address(), BYTES);
            if (count == -Errno.EAGAIN) {
                return;
            }
            if (count <= 0) {
                client.fail("the store has hung up");
                close();
                return;
            }
            in.writeBytes(incoming.asSlice(0, count).asByteBuffer());
            if (!client.received(in)) {
                in.clear();
                close();
                return;
            }
        }
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            watch.stop(() -> Fd.close(fd));
        }
    }
}
