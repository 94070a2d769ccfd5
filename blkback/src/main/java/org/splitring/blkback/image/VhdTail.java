package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.IoVector;

/// The footer of a fixed VHD, which is behind its data, and how it comes to another place.
///
/// A loss of power may keep the new length of a file and lose what was written at its new end. So
/// the file grows in steps, each ends with a footer that says the old size, and the one before is
/// taken away when the new one is stable. What has no footer in its last sector has one before
/// zeros, at most a step away ([#find]). The size itself changes in one sector, when everything
/// else is stable.
final class VhdTail {
    private static final long STEP_BYTES = 1L << 30;
    private static final int CHUNK_BYTES = 1 << 20;

    private VhdTail() {}

    /// Looks for a footer of a fixed disk with nothing but zeros behind it, where growing was cut
    /// off.
    ///
    /// @return where it is, or -1
    static long find(ImageFile file) throws IOException {
        long end = file.sizeBytes() & -VhdFooter.BYTES;
        long limit = Math.max(0, end - STEP_BYTES - CHUNK_BYTES);
        IoVector vector = new IoVector(1);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment chunk = arena.allocate(CHUNK_BYTES, 4096);
            MemorySegment zeros = arena.allocate(CHUNK_BYTES, 4096);
            for (long at = end; at > limit; ) {
                long size = Math.min(CHUNK_BYTES, at);
                at -= size;
                vector.clear();
                vector.add(chunk, 0, size);
                if (file.read(vector, at) < size) {
                    return -1; // somebody shortens it
                }
                if (MemorySegment.mismatch(chunk, 0, size, zeros, 0, size) >= 0) {
                    long sector = lastWithContents(chunk, size);
                    byte[] bytes =
                            chunk.asSlice(sector, VhdFooter.BYTES).toArray(ValueLayout.JAVA_BYTE);
                    return isFixed(bytes, at + sector) ? at + sector : -1;
                }
            }
        }
        return -1;
    }

    private static long lastWithContents(MemorySegment chunk, long size) {
        long sector = size;
        boolean empty = true;
        while (empty) {
            sector -= VhdFooter.BYTES;
            for (long i = 0; i < VhdFooter.BYTES; i += Long.BYTES) {
                empty &= chunk.get(ValueLayout.JAVA_LONG, sector + i) == 0;
            }
        }
        return sector;
    }

    private static boolean isFixed(byte[] sector, long place) {
        VhdFooter footer = parsed(sector);
        return footer != null
                && footer.type() == VhdFooter.FIXED
                && footer.sizeBytes() > 0
                && footer.sizeBytes() <= place;
    }

    /// What a sector says if it is a sound footer.
    static @Nullable VhdFooter parsed(byte[] sector) {
        try {
            return VhdFooter.isOne(sector) ? VhdFooter.parse(sector) : null;
        } catch (IllegalArgumentException e) {
            return null;
        }
    }

    /// Takes away what growing left behind a footer that was found.
    static void cutBehind(ImageFile file, long footerAt) throws IOException {
        file.truncate(footerAt + VhdFooter.BYTES);
        file.sync();
    }

    /// Changes the size. Everything is stable when this returns.
    ///
    /// @param footer says the old size, and is in the last sector of the file
    /// @return the new footer
    static byte[] resize(
            ImageFile file, BigEndianFile numbers, byte[] footer, long sizeBytes, long newBytes)
            throws IOException {
        long end = file.sizeBytes() - VhdFooter.BYTES;
        if (newBytes > sizeBytes && end > sizeBytes) {
            // Belongs to nobody: what was cut off, or footers from when growing was cut off.
            file.zero(sizeBytes, end - sizeBytes);
        }
        while (end < newBytes) {
            long next = Math.min(newBytes, end + STEP_BYTES);
            try {
                numbers.writeBytes(next, footer);
                file.sync();
            } catch (IOException e) {
                takeBack(file, end, e);
                throw e;
            }
            file.zero(end, VhdFooter.BYTES);
            end = next;
        }
        file.sync();
        byte[] changed = VhdFooter.resized(footer, newBytes);
        numbers.writeBytes(end, changed);
        file.sync();
        if (end > newBytes) {
            numbers.writeBytes(newBytes, changed);
            file.sync();
            file.truncate(newBytes + VhdFooter.BYTES);
            file.sync();
        }
        return changed;
    }

    private static void takeBack(ImageFile file, long footerAt, IOException reason) {
        try {
            file.truncate(footerAt + VhdFooter.BYTES);
        } catch (IOException e) {
            reason.addSuppressed(e); // it can be found by the next one who opens it
        }
    }
}
