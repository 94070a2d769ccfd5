package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.LONG;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
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

    private static final MethodHandle PLAIN_PREADV2 =
            Native.plainFunction("preadv2", LONG, INT, LONG, INT, LONG, INT);
    private static final MethodHandle PLAIN_PWRITEV2 =
            Native.plainFunction("pwritev2", LONG, INT, LONG, INT, LONG, INT);

    private static final MethodHandle PREADV2 =
            Native.function("preadv2", LONG, INT, LONG, INT, LONG, INT);
    private static final MethodHandle PWRITEV2 =
            Native.function("pwritev2", LONG, INT, LONG, INT, LONG, INT);
    private static final MethodHandle FDATASYNC = Native.function("fdatasync", INT, INT);
    private static final MethodHandle FSYNC = Native.function("fsync", INT, INT);
    private static final MethodHandle FTRUNCATE = Native.function("ftruncate", INT, INT, LONG);
    private static final MethodHandle FALLOCATE =
            Native.function("fallocate", INT, INT, INT, LONG, LONG);

    private final boolean synchronous;

    KernelFileCalls(boolean synchronous) {
        this.synchronous = synchronous;
    }

    @Override
    public long preadv2(int fd, IoVector into, long fileOffset, int flags) {
        long plain;
        try {
            plain =
                    (long)
                            PLAIN_PREADV2.invokeExact(
                                    fd,
                                    into.address(),
                                    Math.min(into.size(), IOV_MAX),
                                    fileOffset,
                                    flags);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        } finally {
            Reference.reachabilityFence(into);
        }
        if (plain >= 0) {
            return plain;
        }
        if (flags == VectoredFile.RWF_NOWAIT) {
            return -Errno.EAGAIN; // hardly ever anything else; reading again says what
        }
        MemorySegment state = Native.state();
        long result;
        do {
            try {
                result =
                        Native.orErrno(
                                (long)
                                        PREADV2.invokeExact(
                                                state,
                                                fd,
                                                into.address(),
                                                Math.min(into.size(), IOV_MAX),
                                                fileOffset,
                                                flags),
                                state);
            } catch (Throwable t) {
                throw Native.unexpected(t);
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
                        (long)
                                PLAIN_PWRITEV2.invokeExact(
                                        fd,
                                        from.address(),
                                        Math.min(from.size(), IOV_MAX),
                                        fileOffset,
                                        flags);
            } catch (Throwable t) {
                throw Native.unexpected(t);
            } finally {
                Reference.reachabilityFence(from);
            }
            if (plain >= 0) {
                return plain;
            }
        }
        MemorySegment state = Native.state();
        long result;
        do {
            try {
                result =
                        Native.orErrno(
                                (long)
                                        PWRITEV2.invokeExact(
                                                state,
                                                fd,
                                                from.address(),
                                                Math.min(from.size(), IOV_MAX),
                                                fileOffset,
                                                flags),
                                state);
            } catch (Throwable t) {
                throw Native.unexpected(t);
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
        return Native.retried(state -> (int) FDATASYNC.invokeExact(state, fd));
    }

    @Override
    public int fsync(int fd) {
        return Native.retried(state -> (int) FSYNC.invokeExact(state, fd));
    }

    @Override
    public int ftruncate(int fd, long sizeBytes) {
        return Native.retried(state -> (int) FTRUNCATE.invokeExact(state, fd, sizeBytes));
    }

    @Override
    public int fallocate(int fd, int mode, long offset, long sizeBytes) {
        return Native.retried(
                state -> (int) FALLOCATE.invokeExact(state, fd, mode, offset, sizeBytes));
    }
}
