package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A pipe that brings what a socket has received into a file (`splice`). It holds the socket's own
/// pages, so that the copy into the page cache is the only one. A sender that changes what it has
/// sent, as it can by `vmsplice`, changes what is written and nothing else.
///
/// One thread at a time.
public final class SocketPipe implements AutoCloseable {
    private static final Native.Function SPLICE = Native.function("splice");
    private static final int SPLICE_F_NONBLOCK = 2;
    private static final int F_SETPIPE_SZ = 1031;

    /// A pipe has a place for each of so many pages, and a piece of a socket's data takes one
    /// however small it is. More than an ordinary user may have without being asked.
    private static final int WISHED_BYTES = 1 << 20;

    private final Pipe pipe;
    private final int socket;
    private final MemorySegment offset = Arena.ofAuto().allocate(Long.BYTES, Long.BYTES);
    private long heldBytes;
    private long receivedBytes;

    private SocketPipe(Pipe pipe, int socket) {
        this.pipe = pipe;
        this.socket = socket;
    }

    /// A pipe for what a socket receives.
    ///
    /// @param socket a stream's descriptor, which stays the caller's
    public static SocketPipe of(int socket) throws LinuxException {
        Pipe pipe = Pipe.create();
        int ignored = Fd.fcntl(pipe.writer().fd(), F_SETPIPE_SZ, WISHED_BYTES); // or as it is
        return new SocketPipe(pipe, socket);
    }

    /// Bytes that have left the socket and are not in a file yet.
    public long heldBytes() {
        return heldBytes;
    }

    /// Bytes that have ever left the socket.
    public long receivedBytes() {
        return receivedBytes;
    }

    /// Takes what the socket has now, as far as there is room.
    ///
    /// @return bytes taken; 0 also when the socket has ended or failed, which whoever reads it
    ///     finds out
    public long receive(long mostBytes) {
        long count = splice(socket, 0, pipe.writer().fd(), 0, mostBytes);
        if (count <= 0) {
            return 0;
        }
        heldBytes += count;
        receivedBytes += count;
        return count;
    }

    /// Writes the first bytes that it holds to a file, all of them.
    ///
    /// @param sizeBytes at most [#heldBytes]
    /// @throws LinuxException when the kernel reports an error; a part may have been written then,
    ///     and is not held any more
    public void write(VectoredFile file, long fileOffset, long sizeBytes) throws LinuxException {
        offset.set(Native.LONG, 0, fileOffset);
        long left = sizeBytes;
        while (left > 0) {
            long count = splice(pipe.reader().fd(), 0, file.fd(), offset.address(), left);
            if (count <= 0) {
                throw new LinuxException(
                        "write " + file.path(), count == 0 ? Errno.EIO : (int) -count);
            }
            heldBytes -= count;
            left -= count;
        }
    }

    /// Reads the first bytes that it holds, for whom they are not to go to a file.
    ///
    /// @return bytes read, 0 when it holds none
    public long read(MemorySegment into) {
        long most = Math.min(into.byteSize(), heldBytes);
        long count = most == 0 ? 0 : Fd.read(pipe.reader().fd(), into.address(), most);
        if (count < 0) {
            throw new IllegalStateException(
                    "a pipe lost what it held: " + Errno.describe((int) -count));
        }
        heldBytes -= count;
        return count;
    }

    private static long splice(int from, long fromOffset, int to, long toOffset, long mostBytes) {
        long count;
        do {
            count = SPLICE.call(from, fromOffset, to, toOffset, mostBytes, SPLICE_F_NONBLOCK);
        } while (count == -Errno.EINTR);
        return count;
    }

    /// Gives up what it holds, too.
    @Override
    public void close() {
        pipe.reader().close();
        pipe.writer().close();
    }
}
