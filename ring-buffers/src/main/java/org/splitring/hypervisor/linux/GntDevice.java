package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;

/// `/dev/xen/gntdev`: pages that other domains granted to this one.
///
/// Several grants are mapped by one call, one after the other; the device takes all of them or
/// none, and does not say which one Xen refused. A mapping is kept by its addresses alone: the
/// device forgets it as soon as they hold it, so that taking the addresses away ([AddressRange])
/// gives the grants back, and the end of the process does so too.
///
///     struct ioctl_gntdev_map_grant_ref         struct gntdev_grant_copy_segment
///       0  u32 count                              0  source: u64 address of ours,
///       4  u32 pad                                   or u32 ref, u16 offset, u16 domid
///       8  u64 index (out)                        8  dest: likewise
///      16  count times {u32 domid, u32 ref}      16  u16 len, u16 flags, s16 status (out), u16 pad
///
/// One thread at a time. Source: Linux `include/uapi/xen/gntdev.h`.
public final class GntDevice implements AutoCloseable {
    /// Where the device is, unless told otherwise.
    public static final Path PATH = Path.of("/dev/xen/gntdev");

    private static final long MAP_GRANT_REF = 0x00184700L;
    private static final long UNMAP_GRANT_REF = 0x00104701L;
    private static final long GRANT_COPY = 0x00104708L;

    private static final int PAGE_SIZE = 4096;
    private static final int COUNT = 0;
    private static final int INDEX = 8;
    private static final int REFS = 16;
    private static final int REF_BYTES = 8;

    private static final int COPY_LIST = 8;
    private static final int SEGMENTS = 16;
    private static final int SEGMENT_BYTES = 24;
    private static final int DEST = 8;
    private static final int LENGTH = 16;
    private static final int FLAGS = 18;
    private static final int STATUS = 20;

    /// Copies of one call.
    private static final int MOST_COPIES = 64;

    private static final short SOURCE_GREF = 1;
    private static final short DEST_GREF = 2;

    private static final ValueLayout.OfInt U32 = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong U64 = ValueLayout.JAVA_LONG;
    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT.withOrder(ByteOrder.nativeOrder());

    private static final Native.Function IOCTL = Native.function("ioctl");

    private final int fd;
    private final int most;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment map;
    private final MemorySegment unmap;
    private final MemorySegment copy;
    private int count;
    private int copies;
    private boolean closed;

    private GntDevice(int fd, int most) {
        this.fd = fd;
        this.most = most;
        map = arena.allocate(REFS + (long) most * REF_BYTES, 8);
        unmap = arena.allocate(16, 8);
        copy = arena.allocate(SEGMENTS + (long) MOST_COPIES * SEGMENT_BYTES, 8);
        copy.set(U64, COPY_LIST, copy.address() + SEGMENTS);
    }

    /// Opens the device.
    ///
    /// @param most grants of one call of [#map]
    public static GntDevice open(Path path, int most) throws LinuxException {
        return new GntDevice(VectoredFile.open(path, OpenFlag.READ_WRITE).fd(), most);
    }

    /// Begins the list of what is to be mapped.
    public void clear() {
        count = 0;
    }

    /// Appends a grant to the list.
    ///
    /// @param gref unchecked
    public void add(int domid, int gref) {
        long at = REFS + (long) count * REF_BYTES;
        map.set(U32, at, domid);
        map.set(U32, at + 4, gref);
        count++;
    }

    /// How many grants are in the list.
    public int size() {
        return count;
    }

    /// Longest list.
    public int capacity() {
        return most;
    }

    /// Maps all grants of the list, one after the other.
    ///
    /// @param offset of the first page in `range`
    /// @param writable whether the pages are to be written: a grant for reading is refused then
    /// @return 0, or `-errno` when any of them is refused: none is mapped then, and the addresses
    ///     may be lost
    public int map(AddressRange range, long offset, boolean writable) {
        map.set(U32, COUNT, count);
        int result = ioctl(MAP_GRANT_REF, map.address());
        if (result < 0) {
            return result;
        }
        long index = map.get(U64, INDEX);
        result =
                range.put(
                        offset,
                        (long) count * PAGE_SIZE,
                        Mmap.PROT_READ | (writable ? Mmap.PROT_WRITE : 0),
                        fd,
                        index);
        // The addresses hold it, or nobody does.
        unmap.set(U64, 0, index);
        unmap.set(U32, 8, count);
        ioctl(UNMAP_GRANT_REF, unmap.address());
        return result;
    }

    /// Begins the list of what is to be copied.
    public void clearCopies() {
        copies = 0;
    }

    /// Appends a copy out of a granted page to the list, without mapping it.
    ///
    /// @param gref unchecked
    /// @param pageOffset with `sizeBytes` within the page
    public void addCopyFrom(int domid, int gref, int pageOffset, long toAddress, int sizeBytes) {
        long at = segment(sizeBytes, SOURCE_GREF);
        foreign(at, domid, gref, pageOffset);
        copy.set(U64, at + DEST, toAddress);
    }

    /// Appends a copy into a granted page. As [#addCopyFrom].
    public void addCopyTo(int domid, int gref, int pageOffset, long fromAddress, int sizeBytes) {
        long at = segment(sizeBytes, DEST_GREF);
        copy.set(U64, at, fromAddress);
        foreign(at + DEST, domid, gref, pageOffset);
    }

    private long segment(int sizeBytes, short flags) {
        long at = SEGMENTS + (long) copies++ * SEGMENT_BYTES;
        copy.set(U16, at + LENGTH, (short) sizeBytes);
        copy.set(U16, at + FLAGS, flags);
        copy.set(U16, at + STATUS, (short) -1);
        return at;
    }

    private void foreign(long at, int domid, int gref, int pageOffset) {
        copy.set(U32, at, gref);
        copy.set(U16, at + 4L, (short) pageOffset);
        copy.set(U16, at + 6L, (short) domid);
    }

    /// How many copies are in the list.
    public int copies() {
        return copies;
    }

    /// Longest list of copies.
    public static int copyCapacity() {
        return MOST_COPIES;
    }

    /// Copies all of the list.
    ///
    /// @return 0, or `-errno` when the device refused the call: some may have been copied
    public int copyAll() {
        copy.set(U32, COUNT, copies);
        return ioctl(GRANT_COPY, copy.address());
    }

    /// `GNTST_*` status of a copy, after [#copyAll].
    public int copyStatus(int index) {
        return copy.get(U16, SEGMENTS + (long) index * SEGMENT_BYTES + STATUS);
    }

    private int ioctl(long request, long argument) {
        return IOCTL.callInt(fd, request, argument);
    }

    /// What is mapped stays so. Closing twice does nothing.
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            Fd.close(fd);
            arena.close();
        }
    }
}
