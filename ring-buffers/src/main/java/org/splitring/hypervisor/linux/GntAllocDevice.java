package org.splitring.hypervisor.linux;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;

/// `/dev/xen/gntalloc`: pages of this domain that another one may map.
///
/// Linux grants a page when it makes it, to one domain, and takes the grant back when the page
/// goes. It says to nobody whether the other domain has the page mapped; one that is mapped still
/// when it goes is kept by the kernel until it is let go.
///
///     struct ioctl_gntalloc_alloc_gref
///       0  u16 domid
///       2  u16 flags: 1 the other may write
///       4  u32 count
///       8  u64 index (out): where to map them
///      16  count times u32 gref (out)
///
/// Source: Linux `include/uapi/xen/gntalloc.h`, `drivers/xen/gntalloc.c`.
public final class GntAllocDevice implements AutoCloseable {
    /// Where the device is, unless told otherwise.
    public static final Path PATH = Path.of("/dev/xen/gntalloc");

    /// How many pages all programs of a domain may have together.
    public static final Path LIMIT = Path.of("/sys/module/xen_gntalloc/parameters/limit");

    private static final long ALLOC_GREF = 0x00184705L;
    private static final long INDEX = 8;
    private static final long GREFS = 16;
    private static final short WRITABLE = 1;
    private static final int PAGE_SIZE = 4096;

    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT.withOrder(ByteOrder.nativeOrder());

    private static final Native.Function IOCTL = Native.function("ioctl");

    private final int fd;
    private final Mapping mapping;
    private final int[] grefs;

    private GntAllocDevice(int fd, Mapping mapping, int[] grefs) {
        this.fd = fd;
        this.mapping = mapping;
        this.grefs = grefs;
    }

    /// Makes pages of zeroes, next to each other, which `domid` may read and write.
    ///
    /// @throws LinuxException `ENOSPC` beyond [#LIMIT]
    public static GntAllocDevice allocate(Path path, int domid, int count) throws LinuxException {
        int fd = VectoredFile.open(path, OpenFlag.READ_WRITE).fd();
        GntAllocDevice made = null;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argument = arena.allocate(GREFS + 4L * Math.max(count, 2), 8);
            argument.set(U16, 0, (short) domid);
            argument.set(U16, 2, WRITABLE);
            argument.set(JAVA_INT, 4, count);
            long address = argument.address();
            Fd.check(count + " pages for domain " + domid, IOCTL.callInt(fd, ALLOC_GREF, address));
            int[] grefs = argument.asSlice(GREFS, 4L * count).toArray(JAVA_INT);
            long index = argument.get(JAVA_LONG, INDEX);
            made = new GntAllocDevice(fd, Mapping.part(fd, index, (long) count * PAGE_SIZE), grefs);
            return made;
        } finally {
            if (made == null) {
                Fd.close(fd); // and the pages with it
            }
        }
    }

    /// All pages, one after the other. Any thread.
    public MemorySegment pages() {
        return mapping.segment();
    }

    /// The reference of each page.
    public int[] grefs() {
        return grefs.clone();
    }

    /// Gives the pages and their grants back.
    @Override
    public void close() {
        mapping.close();
        Fd.close(fd);
    }
}
