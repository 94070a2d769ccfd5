package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/// Transfers that the kernel makes while the thread does something else (`io_uring`).
///
/// Two rings in memory that is shared with the kernel, indices free-running as in Xen's:
///
///     submission  tail: ours (release)     head: the kernel's (acquire)   entries of 64 bytes
///     completion  tail: the kernel's (acquire)   head: ours (release)     entries of 16 bytes
///
/// One thread opens it, uses it and closes it; the kernel holds it to that where it can
/// (`IORING_SETUP_SINGLE_ISSUER`). No call allocates.
///
/// Source: Linux `include/uapi/linux/io_uring.h`.
public final class IoUring implements AutoCloseable {
    private static final long SYS_IO_URING_SETUP = 425; // the same on x86-64 and aarch64
    private static final long SYS_IO_URING_ENTER = 426;

    private static final int IORING_SETUP_SINGLE_ISSUER = 1 << 12; // both since Linux 6.1
    private static final int IORING_SETUP_DEFER_TASKRUN = 1 << 13;
    private static final int IORING_FEAT_SINGLE_MMAP = 1;
    private static final int IORING_FEAT_NODROP = 1 << 1;
    private static final int IORING_FEAT_SUBMIT_STABLE = 1 << 2;
    private static final int NEEDED_FEATURES =
            IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
    private static final long IORING_OFF_SQ_RING = 0;
    private static final long IORING_OFF_SQES = 0x1000_0000L;
    private static final int IORING_ENTER_GETEVENTS = 1;

    private static final byte IORING_OP_READV = 1;
    private static final byte IORING_OP_WRITEV = 2;
    private static final byte IORING_OP_POLL_ADD = 6;
    private static final int IORING_POLL_ADD_MULTI = 1;
    private static final int IORING_CQE_F_MORE = 2;
    private static final int POLLIN = 1;

    private static final long PARAMS_SIZE = 120; // struct io_uring_params
    private static final long SQ_OFF = 40; // struct io_sqring_offsets in it
    private static final long CQ_OFF = 80; // struct io_cqring_offsets in it
    private static final long SQE_SIZE = 64;
    private static final long CQE_SIZE = 16;

    private static final Native.Function SETUP = Native.function("syscall");
    private static final Native.Function ENTER = Native.function("syscall");

    private static final VarHandle U32 = INT.varHandle().withInvokeExactBehavior();

    /// Told of what has ended, on the thread of the ring.
    @FunctionalInterface
    public interface Completions {
        /// One has ended.
        ///
        /// @param token as it was given
        /// @param result bytes moved, 0 at the end of a file, or `-errno`; for a poll what is ready
        void completed(long token, int result);
    }

    private final int fd;
    private final Mapping rings;
    private final Mapping entries;
    private final MemorySegment ring;
    private final MemorySegment sqes;
    private final long sqHead;
    private final long sqTail;
    private final int sqMask;
    private final int sqEntries;
    private final long cqHead;
    private final long cqTail;
    private final int cqMask;
    private final long cqes;

    private int tail; // of the submission ring, with what is not published yet
    private int submitted; // what the kernel has taken, of `tail`
    private int polledFd = -1;
    private long polledToken;

    private IoUring(int fd, Mapping rings, Mapping entries, MemorySegment params) {
        this.fd = fd;
        this.rings = rings;
        this.entries = entries;
        this.ring = rings.segment();
        this.sqes = entries.segment();
        this.sqHead = unsigned(params, SQ_OFF);
        this.sqTail = unsigned(params, SQ_OFF + 4);
        this.sqMask = ring.get(INT, unsigned(params, SQ_OFF + 8));
        this.sqEntries = params.get(INT, 0);
        long array = unsigned(params, SQ_OFF + 24);
        this.cqHead = unsigned(params, CQ_OFF);
        this.cqTail = unsigned(params, CQ_OFF + 4);
        this.cqMask = ring.get(INT, unsigned(params, CQ_OFF + 8));
        this.cqes = unsigned(params, CQ_OFF + 20);
        for (int i = 0; i < sqEntries; i++) {
            ring.set(INT, array + 4L * i, i); // place i of the ring is entry i, for ever
        }
    }

    /// Opens one for the thread that calls.
    ///
    /// @param entryCount how many submissions it can hold, 1 to 4096; twice as many completions
    /// @throws LinuxException when the kernel has none (`ENOSYS`), an administrator or a container
    ///     forbids it (`EPERM`), or it is older than Linux 5.5
    public static IoUring open(int entryCount) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment params = arena.allocate(PARAMS_SIZE, 8);
            params.set(INT, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
            long result = setup(entryCount, params);
            if (result == -Errno.EINVAL) { // an older kernel: without what makes it cheaper
                params.fill((byte) 0);
                result = setup(entryCount, params);
            }
            int fd = Fd.check("io_uring_setup", (int) result);
            try {
                return map(fd, params);
            } catch (LinuxException e) {
                Fd.close(fd);
                throw e;
            }
        }
    }

    private static long setup(int entryCount, MemorySegment params) {
        long address = params.address();
        return SETUP.call(SYS_IO_URING_SETUP, entryCount, address);
    }

    private static IoUring map(int fd, MemorySegment params) throws LinuxException {
        int missing = NEEDED_FEATURES & ~params.get(INT, 20);
        if (missing != 0) {
            throw new LinuxException("io_uring without features " + missing, Errno.EOPNOTSUPP);
        }
        long sqSize = unsigned(params, SQ_OFF + 24) + 4L * params.get(INT, 0);
        long cqSize = unsigned(params, CQ_OFF + 20) + CQE_SIZE * params.get(INT, 4);
        Mapping rings = Mapping.part(fd, IORING_OFF_SQ_RING, Math.max(sqSize, cqSize));
        try {
            Mapping entries = Mapping.part(fd, IORING_OFF_SQES, SQE_SIZE * params.get(INT, 0));
            return new IoUring(fd, rings, entries, params);
        } catch (LinuxException e) {
            rings.close();
            throw e;
        }
    }

    private static long unsigned(MemorySegment params, long offset) {
        return Integer.toUnsignedLong(params.get(INT, offset));
    }

    /// How many submissions it can hold.
    public int capacity() {
        return sqEntries;
    }

    /// Queues a read at a position of a file. Its memory and the file stay as they are until it is
    /// completed; the vector itself may be changed after the next [#submit].
    ///
    /// @param token not negative
    /// @throws IllegalStateException when more is queued than it can hold
    public void read(VectoredFile file, IoVector into, long fileOffset, long token) {
        transfer(IORING_OP_READV, file.fd(), into, fileOffset, token);
    }

    /// Queues a write, as [#read].
    public void write(VectoredFile file, IoVector from, long fileOffset, long token) {
        transfer(IORING_OP_WRITEV, file.fd(), from, fileOffset, token);
    }

    private void transfer(byte operation, int file, IoVector vector, long offset, long token) {
        long entry = nextEntry();
        sqes.set(Native.BYTE, entry, operation);
        sqes.set(INT, entry + 4, file);
        sqes.set(LONG, entry + 8, offset);
        sqes.set(LONG, entry + 16, vector.address());
        sqes.set(INT, entry + 24, vector.size());
        sqes.set(LONG, entry + 32, token);
    }

    /// Completes `token` whenever somebody signals, from now on; one descriptor at a time. Once
    /// more when the kernel lets go of it, which is no signal.
    public void watch(EventFd signals, long token) {
        polledFd = signals.fd();
        polledToken = token;
        armPoll();
    }

    private void armPoll() {
        long entry = nextEntry();
        sqes.set(Native.BYTE, entry, IORING_OP_POLL_ADD);
        sqes.set(INT, entry + 4, polledFd);
        sqes.set(INT, entry + 24, IORING_POLL_ADD_MULTI);
        sqes.set(INT, entry + 28, POLLIN);
        sqes.set(LONG, entry + 32, polledToken);
    }

    private long nextEntry() {
        if (tail - (int) U32.getAcquire(ring, sqHead) >= sqEntries) {
            throw new IllegalStateException("io_uring holds " + sqEntries + " submissions already");
        }
        long entry = (tail++ & sqMask) * SQE_SIZE;
        sqes.asSlice(entry, SQE_SIZE).fill((byte) 0);
        return entry;
    }

    /// Gives the kernel what is queued.
    ///
    /// @param wait also waits until something is completed
    /// @throws LinuxException with `EAGAIN` or `EBUSY` when the kernel is short of something: what
    ///     it did not take stays queued
    public void submit(boolean wait) throws LinuxException {
        int count = tail - submitted;
        if (count == 0 && !wait) {
            return;
        }
        U32.setRelease(ring, sqTail, tail); // pairs with the kernel's acquire of the tail
        int least = wait ? 1 : 0;
        int flags = IORING_ENTER_GETEVENTS; // also runs what the kernel has put off for us
        long result = ENTER.call(SYS_IO_URING_ENTER, fd, count, least, flags, 0);
        submitted = (int) U32.getAcquire(ring, sqHead);
        if (result < 0 && result != -Errno.EINTR) {
            throw new LinuxException("io_uring_enter", (int) -result);
        }
    }

    /// Tells of everything that is completed by now.
    ///
    /// @return how many
    public int drain(Completions completions) {
        int head = (int) U32.getOpaque(ring, cqHead);
        int end = (int) U32.getAcquire(ring, cqTail); // pairs with the kernel's release
        int count = end - head;
        while (head != end) {
            long entry = cqes + (head & cqMask) * CQE_SIZE;
            long token = ring.get(LONG, entry);
            int result = ring.get(INT, entry + 8);
            int flags = ring.get(INT, entry + 12);
            head++;
            U32.setRelease(ring, cqHead, head); // what follows may need its place
            if (polledFd >= 0 && token == polledToken && (flags & IORING_CQE_F_MORE) == 0) {
                armPoll();
            }
            completions.completed(token, result);
        }
        return count;
    }

    /// Closes it. Nothing may be under way: the kernel would go on with that.
    @Override
    public void close() {
        entries.close();
        rings.close();
        Fd.close(fd);
    }
}
