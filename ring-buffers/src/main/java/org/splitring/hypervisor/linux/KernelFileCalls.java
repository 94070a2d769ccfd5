package org.splitring.hypervisor.linux;

import java.lang.ref.Reference;

/// [FileCalls] of the C library, repeated when a signal interrupts them.
///
/// Reads and writes are made without asking for `errno` first, which costs no object
/// ([Native#plainFunction]). One that fails has moved nothing, and is made again to learn why; but
/// not a read that must not wait, since the one that may wait finds out.
///
/// The kernel tells of a failed write to storage one time only. So a synchronous write that failed
/// has failed, whatever comes of it when it is made again; one that must not wait is made once.
final class KernelFileCalls implements FileCalls {
    /// For files that are open with `O_DSYNC`, or perhaps are.
    static final FileCalls SYNCHRONOUS = new KernelFileCalls(true);

    private static final int IOV_MAX = 1024;

    private static final Native.Plain PLAIN_PREADV2 = Native.plainFunction("preadv2");
    private static final Native.Plain PLAIN_PWRITEV2 = Native.plainFunction("pwritev2");

    private static final Native.Function PREADV2 = Native.function("preadv2");
    private static final Native.Function PWRITEV2 = Native.function("pwritev2");
    private static final Native.Function FDATASYNC = Native.function("fdatasync");
    private static final Native.Function FSYNC = Native.function("fsync");
    private static final Native.Function FTRUNCATE = Native.function("ftruncate");
    private static final Native.Function FALLOCATE = Native.function("fallocate");

    private final boolean synchronous;

    KernelFileCalls(boolean synchronous) {
        this.synchronous = synchronous;
    }

    @Override
    public long preadv2(int fd, IoVector into, long fileOffset, int flags) {
        long plain;
        try {
            plain =
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
        if (plain >= 0) {
            return plain;
        }
        if (flags == VectoredFile.RWF_NOWAIT) {
            return -Errno.EAGAIN; // hardly ever anything else; reading again says what
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
        if (!synchronous || flags != VectoredFile.RWF_NOWAIT) {
            long plain;
            try {
                plain =
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
            if (plain >= 0) {
                return plain;
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
        return outcome(result, flags);
    }

    /// What comes of a write that has failed and was made again.
    long outcome(long again, int flags) {
        boolean lost = synchronous && again >= 0 && flags != VectoredFile.RWF_NOWAIT;
        return lost ? -Errno.EIO : again;
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
