package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Queue;
import org.splitring.hypervisor.DescriptorLoop;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.xenbus.SerialTasks;

/// A client's way through `/dev/xen/xenbus`: the kernel passes messages on to the store, with the
/// rights of this domain.
///
/// One request at a time: a write of WATCH or UNWATCH waits inside the kernel for the store, with a
/// lock that the kernel's own reader of answers takes to pass on the answer to any other request of
/// this file. With both under way, neither the file nor anything else of this kernel's hears from
/// the store again (Linux 6.1, `xenbus_file_write` and `xenbus_dev_queue_reply`).
final class ClientDevice implements ClientTransport {
    private static final int BYTES = 1 << 16; // a message has 4112 at most

    private final StoreWireClient client;
    private final DescriptorLoop loop;
    private final int fd;
    private final MemorySegment incoming = Arena.ofAuto().allocate(BYTES);
    private final MemorySegment outgoing = Arena.ofAuto().allocate(BYTES);
    private final ByteBuf in = Unpooled.buffer(256, 1 << 20);
    private final DescriptorLoop.Waiting watch;
    private final SerialTasks writes = new SerialTasks("xenbus", Thread::startVirtualThread);
    private final Queue<WireMessage> waiting = new ArrayDeque<>(); // guarded by itself
    private boolean underWay; // guarded by waiting
    private boolean closed; // guarded by waiting

    @SuppressWarnings("ThisEscaped") // the last statement; nothing comes before it is registered
    private ClientDevice(StoreWireClient client, DescriptorLoop loop, int fd) {
        this.client = client;
        this.loop = loop;
        this.fd = fd;
        watch =
                loop.awaitReadable(
                        fd, this::ready, () -> client.fail("the store is not heard any more"));
    }

    static ClientDevice open(Path path, DescriptorLoop loop, StoreWireClient client)
            throws IOException {
        int fd = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING).fd();
        return new ClientDevice(client, loop, fd);
    }

    @Override
    public boolean inLoop() {
        return loop.inLoop();
    }

    @Override
    public void send(WireMessage message) {
        synchronized (waiting) {
            waiting.add(message);
            if (underWay) {
                return;
            }
            underWay = true;
        }
        writes.execute(this::writeNext);
    }

    @Override
    public void answered() {
        synchronized (waiting) {
            underWay = !waiting.isEmpty();
            if (!underWay) {
                return;
            }
        }
        writes.execute(this::writeNext); // it may wait, so not on the loop
    }

    private void writeNext() {
        WireMessage message;
        synchronized (waiting) {
            message = waiting.poll();
            if (closed || message == null) {
                return;
            }
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
            in.writeBytes(incoming.asSlice(0, count).toArray(ValueLayout.JAVA_BYTE));
            if (!client.received(in)) {
                in.clear();
                close();
                return;
            }
        }
    }

    @Override
    public void close() {
        synchronized (waiting) {
            if (closed) {
                return;
            }
            closed = true;
            waiting.clear();
        }
        // After the last write: its number must not be another file's by then.
        writes.execute(() -> watch.stop(() -> Fd.close(fd)));
    }
}
