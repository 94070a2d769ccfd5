package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/// The parts of a file that the page cache has, for sending them to a socket without a copy: the
/// pages themselves go (`sendfile`), and the receiver copies them out. What is written to them
/// until then is what he gets.
///
/// One thread at a time. It is of no more use when the file is closed.
public final class CachedFile {
    private static final int SYS_CACHESTAT = 451; // on all machines; since Linux 6.5
    private static final long PAGE_SIZE = 4096; // where it is larger, nothing is ever cached
    private static final Native.Function SYSCALL = Native.function("syscall");
    private static final Native.Function SENDFILE = Native.function("sendfile");

    // struct cachestat_range { u64 off, len }, struct cachestat { u64 nr_cache, and four more },
    // and the offset of sendfile.
    private static final int RANGE = 0;
    private static final int CACHED_PAGES = 16;
    private static final int OFFSET = 56;

    private final Path path;
    private final int fd;
    private final MemorySegment scratch = Arena.ofAuto().allocate(64, 8);
    private boolean asks = true;

    public CachedFile(VectoredFile file) {
        path = file.path();
        fd = file.fd();
    }

    /// Whether all of a range is in the page cache now.
    ///
    /// @return `false` also where the kernel cannot say
    public boolean isCached(long offset, long sizeBytes) {
        if (!asks) {
            return false;
        }
        scratch.set(ValueLayout.JAVA_LONG, RANGE, offset);
        scratch.set(ValueLayout.JAVA_LONG, RANGE + 8, sizeBytes);
        long result =
                SYSCALL.call(
                        SYS_CACHESTAT,
                        fd,
                        scratch.address() + RANGE,
                        scratch.address() + CACHED_PAGES,
                        0);
        if (result < 0) {
            asks = false; // ENOSYS before 6.5, EOPNOTSUPP for hugetlbfs, EPERM in a container
            return false;
        }
        long first = offset / PAGE_SIZE;
        long last = (offset + sizeBytes - 1) / PAGE_SIZE;
        return scratch.get(ValueLayout.JAVA_LONG, CACHED_PAGES) >= last - first + 1;
    }

    /// Sends as much of a range as the socket takes now. What is not in the page cache any more is
    /// waited for.
    ///
    /// @param socket a descriptor that does not block
    /// @return bytes sent, 0 when the socket is full
    /// @throws LinuxException also with `EIO` when the file has become shorter
    public long send(int socket, long offset, long sizeBytes) throws LinuxException {
        scratch.set(ValueLayout.JAVA_LONG, OFFSET, offset);
        long result = SENDFILE.call(socket, fd, scratch.address() + OFFSET, sizeBytes);
        if (result > 0) {
            return result;
        }
        if (result == -Errno.EAGAIN || result == -Errno.EINTR) {
            return 0;
        }
        throw new LinuxException("send " + path, result == 0 ? Errno.EIO : (int) -result);
    }
}
