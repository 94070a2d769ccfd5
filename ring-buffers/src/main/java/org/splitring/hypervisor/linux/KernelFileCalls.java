package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.LONG;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
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
            if (result >= 0) {
                return result;
            }
            if (flags == VectoredFile.RWF_NOWAIT) {
                return -Errno.EAGAIN; // hardly ever anything else; reading again says what
            }
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
        if (repeats) {
            long result;
            try {
                result =
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
            if (result >= 0) {
                return result;
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
        return result;
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
