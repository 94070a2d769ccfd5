package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Shared, writable memory mapped from a descriptor.
///
/// The segment belongs to an arena of its own: once [#retire] has returned, an access through the
/// segment throws, and only then may the addresses go. What holds bare addresses (a system call in
/// progress) is not seen by the arena: its owner waits for it before.
@SuppressWarnings("restricted")
public final class Mapping implements AutoCloseable {
    private static final int READ_WRITE = Mmap.PROT_READ | Mmap.PROT_WRITE;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;
    private final long address;
    private final long sizeBytes;
    private long unmappedBytes;
    private boolean retired;

    private Mapping(long address, long sizeBytes) {
        this.address = address;
        this.sizeBytes = sizeBytes;
        this.segment = MemorySegment.ofAddress(address).reinterpret(sizeBytes, arena, null);
    }

    /// Maps the first `sizeBytes` of a file.
    public static Mapping of(int fd, long sizeBytes) throws LinuxException {
        return part(fd, 0, sizeBytes);
    }

    /// Maps a part of what a descriptor stands for.
    static Mapping part(int fd, long offset, long sizeBytes) throws LinuxException {
        return new Mapping(
                mmap("mmap", 0, sizeBytes, READ_WRITE, Mmap.MAP_SHARED, fd, offset), sizeBytes);
    }

    /// As [#of], and has every page made now: whoever does this pays for the memory, and nobody
    /// waits for it or is refused it later.
    public static Mapping populated(int fd, long sizeBytes) throws LinuxException {
        return new Mapping(
                mmap("mmap", 0, sizeBytes, READ_WRITE, Mmap.MAP_SHARED | Mmap.MAP_POPULATE, fd, 0),
                sizeBytes);
    }

    /// Maps pieces of a file, wherever they are in it, one after the other.
    ///
    /// @param fileOffsets where each piece starts in the file
    /// @param pieceBytes size of each, a multiple of the page size of the machine
    public static Mapping window(int fd, long[] fileOffsets, long pieceBytes)
            throws LinuxException {
        long size = fileOffsets.length * pieceBytes;
        // Reserve the range first, so that each piece replaces addresses that are ours.
        long address = mmap("mmap window", 0, size, Mmap.PROT_NONE, Mmap.NOTHING, -1, 0);
        try {
            for (int i = 0; i < fileOffsets.length; i++) {
                mmap(
                        "mmap window page",
                        address + i * pieceBytes,
                        pieceBytes,
                        READ_WRITE,
                        Mmap.MAP_SHARED | Mmap.MAP_FIXED,
                        fd,
                        fileOffsets[i]);
            }
        } catch (LinuxException e) {
            munmap(address, size);
            throw e;
        }
        return new Mapping(address, size);
    }

    /// The memory. Any thread may use it.
    public MemorySegment segment() {
        return segment;
    }

    /// Ends access through the segment; the addresses stay taken. Waits for the other threads to
    /// pass a safepoint. Once done, it does nothing.
    ///
    /// @throws IllegalStateException when a call that was given the segment is in progress; try
    /// later
    public synchronized void retire() {
        if (!retired) {
            arena.close();
            retired = true;
        }
    }

    /// Gives up to `bytes` of a retired mapping back. Unmapping is work for each page, so that a
    /// large mapping is given back in slices.
    ///
    /// @return `true` when nothing is left
    public synchronized boolean unmapSlice(long bytes) {
        if (!retired) {
            throw new IllegalStateException("unmapped before it was retired");
        }
        long slice = Math.min(bytes, sizeBytes - unmappedBytes);
        if (slice > 0) {
            munmap(address + unmappedBytes, slice);
            unmappedBytes += slice;
        }
        return unmappedBytes == sizeBytes;
    }

    /// Retires the mapping and gives all of it back.
    @Override
    public void close() {
        retire();
        unmapSlice(sizeBytes);
    }

    private static long mmap(
            String what, long at, long sizeBytes, int protection, int flags, int fd, long offset)
            throws LinuxException {
        long result = Mmap.map(at, sizeBytes, protection, flags, fd, offset);
        if (result < 0) {
            throw new LinuxException(what + " of " + sizeBytes + " bytes", (int) -result);
        }
        return result;
    }

    private static void munmap(long address, long sizeBytes) {
        int result = Mmap.unmap(address, sizeBytes);
        if (result < 0) {
            throw new IllegalStateException(
                    "munmap of " + sizeBytes + " bytes: " + Errno.describe(-result));
        }
    }
}
