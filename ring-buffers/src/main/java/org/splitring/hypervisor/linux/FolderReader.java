package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/// Lists open folders (`getdents64`), from any place that an earlier entry gave as the next one.
/// One thread.
public final class FolderReader {
    private static final int BUFFER_BYTES = 8192;
    private static final int SEEK_SET = 0;
    private static final Native.Function GETDENTS = Native.function("getdents64");
    private static final Native.Function LSEEK = Native.function("lseek");

    /// Hears of the entries.
    @FunctionalInterface
    public interface Entries {
        /// One entry more.
        ///
        /// @param name bytes, one in each `char`
        /// @param type `d_type`: the upper four bits of the mode's type
        /// @param next where the entry after this one is
        /// @return `false` to end the listing; this entry does not count then
        boolean entry(String name, long inode, int type, long next);
    }

    private final MemorySegment buffer = Arena.ofAuto().allocate(BUFFER_BYTES, 8);

    /// With a buffer of its own.
    public FolderReader() {}

    /// Gives entries from a place on, `.` and `..` among them.
    ///
    /// @param fd a folder, open for reading
    /// @param place 0, or the `next` of an entry
    /// @return 0, or `-errno`
    public int list(int fd, long place, Entries entries) {
        if (place < 0) {
            return -Errno.EINVAL;
        }
        long at = LSEEK.call(fd, place, SEEK_SET);
        if (at < 0) {
            return (int) at;
        }
        while (true) {
            long count = GETDENTS.call(fd, buffer.address(), (long) BUFFER_BYTES);
            if (count <= 0) {
                return (int) count;
            }
            if (!give(entries, count)) {
                return 0;
            }
        }
    }

    private boolean give(Entries entries, long count) {
        // struct linux_dirent64: ino 0 (u64), off 8 (s64), reclen 16 (u16), type 18 (u8), name 19
        for (long at = 0; at < count; ) {
            int length = Short.toUnsignedInt(buffer.get(ValueLayout.JAVA_SHORT, at + 16));
            boolean more =
                    entries.entry(
                            buffer.getString(at + 19, StandardCharsets.ISO_8859_1),
                            buffer.get(ValueLayout.JAVA_LONG, at),
                            Byte.toUnsignedInt(buffer.get(ValueLayout.JAVA_BYTE, at + 18)),
                            buffer.get(ValueLayout.JAVA_LONG, at + 8));
            if (!more) {
                return false;
            }
            at += length;
        }
        return true;
    }
}
