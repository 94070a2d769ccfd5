package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.LONG;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;

/// [FileCalls] of the C library, repeated when a signal interrupts them.
final class KernelFileCalls implements FileCalls {
    private static final int IOV_MAX = 1024;

    private static final MethodHandle PREADV2 =
            Native.function("preadv2", LONG, INT, LONG, INT, LONG, INT);
    private static final MethodHandle PWRITEV2 =
            Native.function("pwritev2", LONG, INT, LONG, INT, LONG, INT);
    private static final MethodHandle FDATASYNC = Native.function("fdatasync", INT, INT);
    private static final MethodHandle FSYNC = Native.function("fsync", INT, INT);
    private static final MethodHandle FTRUNCATE = Native.function("ftruncate", INT, INT, LONG);
    private static final MethodHandle FALLOCATE =
            Native.function("fallocate", INT, INT, INT, LONG, LONG);

    @Override
    public long preadv2(int fd, IoVector into, long fileOffset, int flags) {
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
