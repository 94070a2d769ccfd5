package org.splitring.blkback.nbd;

import java.util.ArrayList;
import java.util.List;
import org.splitring.blkback.DiskImage;

/// What a server says of an export, checked.
///
/// @param sizeBytes whole sectors, at least one
/// @param flags transmission flags
/// @param preferredBytes block size that suits it: a power of two, at least a sector
/// @param maxPayloadBytes most bytes of a READ or WRITE: whole sectors
record NbdExport(long sizeBytes, int flags, int preferredBytes, int maxPayloadBytes) {

    /// Most that is asked for at once, whatever the server would take.
    static final int LARGEST_PAYLOAD = 1 << 20;

    /// Takes what was received.
    ///
    /// @param blockSizes minimum, preferred, maximum as unsigned 32 bits; empty when the server
    ///     did not say
    static NbdExport of(long size, int flags, int[] blockSizes) throws NbdRefusal {
        if ((flags & NbdProtocol.HAS_FLAGS) == 0) {
            throw new NbdRefusal("the server says nothing about what it can do");
        }
        if (size < 0) {
            throw new NbdRefusal(
                    "the export has " + Long.toUnsignedString(size) + " bytes, which cannot be");
        }
        if (size == 0 || size % DiskImage.SECTOR_SIZE != 0) {
            throw new NbdRefusal(
                    "the export has "
                            + size
                            + " bytes, which are not one or more whole sectors of "
                            + DiskImage.SECTOR_SIZE);
        }
        if (blockSizes.length == 0) {
            return new NbdExport(size, flags, DiskImage.SECTOR_SIZE, LARGEST_PAYLOAD);
        }
        long min = Integer.toUnsignedLong(blockSizes[0]);
        long preferred = Integer.toUnsignedLong(blockSizes[1]);
        long max = Integer.toUnsignedLong(blockSizes[2]);
        if (Long.bitCount(min) != 1
                || Long.bitCount(preferred) != 1
                || preferred < min
                || preferred > NbdProtocol.MAX_PAYLOAD_BYTES
                || max < min) {
            throw new NbdRefusal(
                    "block sizes of %d, %d and %d bytes cannot be".formatted(min, preferred, max));
        }
        if (min > DiskImage.SECTOR_SIZE || max < DiskImage.SECTOR_SIZE) {
            throw new NbdRefusal(
                    "the server takes %d to %d bytes at once, and a disk has sectors of %d"
                            .formatted(min, max, DiskImage.SECTOR_SIZE));
        }
        int largest = (int) Math.min(max, LARGEST_PAYLOAD);
        return new NbdExport(
                size,
                flags,
                (int) Math.max(preferred, DiskImage.SECTOR_SIZE),
                largest - largest % DiskImage.SECTOR_SIZE);
    }

    boolean has(int flag) {
        return (flags & flag) != 0;
    }

    /// Whether this can take the place of another after a reconnect.
    ///
    /// @param flagsInUse what of the other is used; 0 when nothing is written
    void checkReplaces(NbdExport other, int flagsInUse) throws NbdRefusal {
        if (sizeBytes != other.sizeBytes) {
            throw new NbdRefusal(
                    "the server came back with "
                            + sizeBytes
                            + " bytes instead of "
                            + other.sizeBytes);
        }
        if (flagsInUse != 0 && has(NbdProtocol.READ_ONLY)) {
            throw new NbdRefusal("the server came back read-only");
        }
        int missing = other.flags & flagsInUse & ~flags;
        if (missing != 0) {
            throw new NbdRefusal("the server came back without " + words(missing));
        }
        if (maxPayloadBytes < other.maxPayloadBytes) {
            throw new NbdRefusal(
                    "the server came back and takes only "
                            + maxPayloadBytes
                            + " bytes at once instead of "
                            + other.maxPayloadBytes);
        }
    }

    /// What it can do, for people: `read-only, flush, trim`.
    String words() {
        return words(flags);
    }

    private static String words(int flags) {
        List<String> words = new ArrayList<>();
        if ((flags & NbdProtocol.READ_ONLY) != 0) {
            words.add("read-only");
        }
        if ((flags & NbdProtocol.SEND_FLUSH) != 0) {
            words.add("flush");
        }
        if ((flags & NbdProtocol.SEND_FUA) != 0) {
            words.add("FUA");
        }
        if ((flags & NbdProtocol.SEND_TRIM) != 0) {
            words.add("trim");
        }
        if ((flags & NbdProtocol.SEND_WRITE_ZEROES) != 0) {
            words.add("write zeroes");
        }
        return String.join(", ", words);
    }
}
