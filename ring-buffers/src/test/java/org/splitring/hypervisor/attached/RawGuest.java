package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Memfd;
import org.splitring.hypervisor.linux.Packet;
import org.splitring.hypervisor.linux.UnixSocket;

/// A guest that sends whatever it likes, with numbers written out as `docs/abi.md` has them and not
/// taken from our own constants.
final class RawGuest implements AutoCloseable {
    static final int SEALS = 7;

    final UnixSocket socket;
    final Packet packet = new Packet(512);
    private final MemorySegment message = Arena.ofAuto().allocate(1024, 8);
    private int seq = 100;

    RawGuest(Path path) throws IOException {
        socket = UnixSocket.connect(path);
    }

    static int memory(long sizeBytes) throws LinuxException {
        int fd = Memfd.create("raw-guest", sizeBytes);
        Memfd.addSeals(fd, SEALS);
        return fd;
    }

    RawGuest u32(long offset, int value) {
        message.set(ValueLayout.JAVA_INT, offset, value);
        return this;
    }

    RawGuest u64(long offset, long value) {
        message.set(ValueLayout.JAVA_LONG, offset, value);
        return this;
    }

    /// Prepares a correct hello.
    RawGuest hello(long memoryBytes) {
        return u32(0, 1)
                .u32(4, ++seq)
                .u32(8, 0)
                .u32(12, 32)
                .u32(16, 0x524C5053)
                .u32(20, 1)
                .u64(24, memoryBytes)
                .u32(32, 0)
                .u32(36, 1)
                .u32(40, -1)
                .u32(44, 0);
    }

    long send(int sizeBytes, int... fds) {
        return socket.send(message, sizeBytes, fds);
    }

    /// Says hello and expects to be welcome; the store connection is closed.
    void attach(long memoryBytes) throws LinuxException {
        int fd = memory(memoryBytes);
        hello(memoryBytes).send(48, fd);
        Fd.close(fd);
        assertEquals(0, status());
        assertEquals(1, packet.descriptorCount());
        packet.closeDescriptors();
    }

    /// Says hello with a descriptor and returns the status of the answer.
    int tryHello(long memoryBytes, int fd) throws LinuxException {
        hello(memoryBytes).send(48, fd);
        int status = status();
        if (status != 0) {
            assertEquals(0, packet.descriptorCount());
            assertEquals(32, packet.sizeBytes());
            assertEquals(1, word(16), "version");
        }
        packet.closeDescriptors();
        return status;
    }

    /// Waits for the reply to what was sent last.
    int status() throws LinuxException {
        assertTrue(receive(), "no reply, the connection ended");
        assertEquals(packet.sizeBytes() - 16, word(12));
        assertEquals(message.get(ValueLayout.JAVA_INT, 4), word(4), "seq");
        assertEquals(message.get(ValueLayout.JAVA_INT, 0), word(0), "type");
        return word(8);
    }

    int word(long offset) {
        return packet.data().get(ValueLayout.JAVA_INT, offset);
    }

    /// Receives a packet.
    ///
    /// @return `false` when the connection has ended
    boolean receive() throws LinuxException {
        while (true) {
            long got = socket.receive(packet);
            if (got != -Errno.EAGAIN) {
                return got > 0;
            }
            assertTrue(socket.awaitReadable(10_000), "neither reply nor end after 10 s");
        }
    }

    /// Sends a request of words and returns the status.
    int call(int type, int... words) throws LinuxException {
        send(request(type, words));
        return status();
    }

    int request(int type, int... words) {
        u32(0, type).u32(4, ++seq).u32(8, 0).u32(12, words.length * 4);
        for (int i = 0; i < words.length; i++) {
            u32(16 + i * 4L, words[i]);
        }
        return 16 + words.length * 4;
    }

    List<Integer> takeDescriptors() {
        List<Integer> fds = new ArrayList<>();
        while (packet.descriptorCount() > 0) {
            fds.add(packet.takeDescriptor());
        }
        return fds;
    }

    @Override
    public void close() {
        packet.closeDescriptors();
        socket.close();
    }
}
