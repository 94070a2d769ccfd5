package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/// Addresses that are taken and lead nowhere, until pages of a device are put there.
///
/// One segment spans all of them for as long as the range is open, so that pages come and go
/// without an object for each. What touches a place with nothing in it is a bug of ours: a system
/// call answers `EFAULT`, and Java code ends the process, rather than read somebody else's bytes.
///
/// The kernel takes away what lay at an address before it asks the device for the new page. When
/// the device refuses, the address is free for a moment, and another thread of this process may
/// get it: such addresses are **lost**, and never touched again.
///
/// [#segment] may be used by any thread; the rest by one at a time.
@SuppressWarnings("restricted")
public final class AddressRange implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;
    private final long address;
    private final long sizeBytes;
    private final List<Piece> lost = new ArrayList<>();
    private boolean closed;

    private record Piece(long offset, long sizeBytes) {
        boolean touches(long from, long bytes) {
            return from < offset + sizeBytes && offset < from + bytes;
        }
    }

    private AddressRange(long address, long sizeBytes) {
        this.address = address;
        this.sizeBytes = sizeBytes;
        segment = MemorySegment.ofAddress(address).reinterpret(sizeBytes, arena, null);
    }

    /// Takes addresses wherever the kernel has some.
    ///
    /// @param sizeBytes a multiple of the page size of the machine
    public static AddressRange reserve(long sizeBytes) throws LinuxException {
        long address = Mmap.map(0, sizeBytes, Mmap.PROT_NONE, Mmap.NOTHING, -1, 0);
        if (address < 0) {
            throw new LinuxException("mmap of " + sizeBytes + " addresses", (int) -address);
        }
        return new AddressRange(address, sizeBytes);
    }

    /// All of it; only what was put there may be touched.
    public MemorySegment segment() {
        return segment;
    }

    /// Puts pages of a device at a place where nothing is.
    ///
    /// @return 0, or `-errno`: then nothing is there, or the place [#isLost]
    int put(long offset, long bytes, int protection, int fd, long deviceOffset) {
        long result =
                Mmap.map(
                        address + offset,
                        bytes,
                        protection,
                        Mmap.MAP_SHARED | Mmap.MAP_FIXED,
                        fd,
                        deviceOffset);
        if (result < 0) {
            reserveAgain(offset, bytes);
            return (int) result;
        }
        return 0;
    }

    /// Takes away what is there.
    ///
    /// @return `false` when the place is lost now
    public boolean clear(long offset, long bytes) {
        long result =
                Mmap.map(
                        address + offset,
                        bytes,
                        Mmap.PROT_NONE,
                        Mmap.NOTHING | Mmap.MAP_FIXED,
                        -1,
                        0);
        if (result < 0) { // out of mappings, after or before the old one went
            var ignored = Mmap.unmap(address + offset, bytes);
            reserveAgain(offset, bytes);
        }
        return result >= 0 || !isLost(offset, bytes);
    }

    /// Whether any of these addresses may be another's by now.
    public boolean isLost(long offset, long bytes) {
        for (int i = 0; i < lost.size(); i++) {
            if (lost.get(i).touches(offset, bytes)) {
                return true;
            }
        }
        return false;
    }

    private void reserveAgain(long offset, long bytes) {
        long wanted = address + offset;
        long result =
                Mmap.map(
                        wanted,
                        bytes,
                        Mmap.PROT_NONE,
                        Mmap.NOTHING | Mmap.MAP_FIXED_NOREPLACE,
                        -1,
                        0);
        if (result == wanted) {
            return;
        }
        if (result > 0) { // a kernel before 4.17 takes the address as a wish
            var ignored = Mmap.unmap(result, bytes);
        }
        lost.add(new Piece(offset, bytes));
    }

    /// Takes everything away and gives the addresses back, except lost ones. Closing twice does
    /// nothing.
    ///
    /// @throws IllegalStateException when a call that was given the segment is in progress
    @Override
    public void close() {
        if (closed) {
            return;
        }
        arena.close();
        closed = true;
        long from = 0;
        lost.sort((a, b) -> Long.compare(a.offset, b.offset));
        for (Piece piece : lost) {
            unmapUpTo(from, piece.offset);
            from = piece.offset + piece.sizeBytes;
        }
        unmapUpTo(from, sizeBytes);
    }

    private void unmapUpTo(long from, long to) {
        if (from < to) {
            var ignored = Mmap.unmap(address + from, to - from);
        }
    }
}
