package org.splitring.hypervisor.linux;

import java.lang.ref.Reference;

/// [FileCalls] of the C library, repeated when a signal interrupts them.
///
/// Reads and writes are made without asking for `errno` first, which costs no object
/// ([Native#plainFunction]). One that fails has moved nothing, and is made again to learn why. Two
/// kinds are made once: synchronous writes, since the kernel tells of a failed write to storage one
/// time only; and reads that must not wait, since the one that may wait finds out.
final class KernelFileCalls implements FileCalls {
    /// For files that are open with `O_DSYNC`, or perhaps are.
    static final FileCalls ONCE = new KernelFileCalls(false);

    private static final int IOV_MAX = 1024;

    private static final Native.Plain PLAIN_PREADV2 = Native.plainFunction("preadv2");
    private static final Native.Plain PLAIN_PWRITEV2 = Native.plainFunction("pwritev2");

    private static final Native.Function PREADV2 = Native.function("preadv2");
    private static final Native.Function PWRITEV2 = Native.function("pwritev2");
    private static final Native.Function FDATASYNC = Native.function("fdatasync");
    private static final Native.Function FSYNC = Native.function("fsync");
    private static final Native.Function FTRUNCATE = Native.function("ftruncate");
    private static final Native.Function FALLOCATE = Native.function("fallocate");

    private final boolean repeats;

    /// @param repeats whether a transfer that failed may be made again
    KernelFileCalls(boolean repeats) {
        this.repeats = repeats;
    }

    @Override
    public long preadv2(int fd, IoVector into, long fileOffset, int flags) {
        if (repeats) {
            long result;
            try {
                result =
                        PLAIN_PREADV2.call(
                                fd,
                                into.address(),
                                Math.min(into.size(), IOV_MAX),
                                fileOffset,
                                flags,
                                0);
            } finally {
                Reference.reachabilityFence(into);
            }
            if (result >= 0) {
                return result;
            }
            if (flags == VectoredFile.RWF_NOWAIT) {
                return -Errno.EAGAIN; // hardly ever anything else; reading again says what
            }
        }
        long result;
        do {
            try {
                result =
                        PREADV2.call(
                                fd,
                                into.address(),
                                Math.min(into.size(), IOV_MAX),
                                fileOffset,
                                flags);
            } finally {
                Reference.reachabilityFence(into);
            }
        } while (result == -Errno.EINTR);
        return result;
    }

    @Override
    public long pwritev2(int fd, IoVector from, long fileOffset, int flags) {
        if (repeats) {
            long result;
            try {
                result =
                        PLAIN_PWRITEV2.call(
                                fd,
                                from.address(),
                                Math.min(from.size(), IOV_MAX),
                                fileOffset,
                                flags,
                                0);
            } finally {
                Reference.reachabilityFence(from);
            }
            if (result >= 0) {
                return result;
            }
        }
        long result;
        do {
            try {
                result =
                        PWRITEV2.call(
                                fd,
                                from.address(),
                                Math.min(from.size(), IOV_MAX),
                                fileOffset,
                                flags);
            } finally {
                Reference.reachabilityFence(from);
            }
        } while (result == -Errno.EINTR);
        return result;
    }

    @Override
    public int fdatasync(int fd) {
        return Native.retried(() -> FDATASYNC.callInt(fd));
    }

    @Override
    public int fsync(int fd) {
        return Native.retried(() -> FSYNC.callInt(fd));
    }

    @Override
    public int ftruncate(int fd, long sizeBytes) {
        return Native.retried(() -> FTRUNCATE.callInt(fd, sizeBytes));
    }

    @Override
    public int fallocate(int fd, int mode, long offset, long sizeBytes) {
        return Native.retried(() -> FALLOCATE.callInt(fd, mode, offset, sizeBytes));
    }
}
