package org.splitring.driverdomain.nbd;

import org.jspecify.annotations.Nullable;
import org.splitring.blkback.nbd.NbdProtocol;

/// Which requests are carried out. Every number in them is the client's.
final class RequestRules {
    /// Longest READ that is answered in one fragment: all of it is in pieces before the answer
    /// begins.
    static final int MAX_FRAGMENT_BYTES = NbdRequest.WINDOW * PieceShare.LARGE_BYTES;

    private final ExportedDisk disk;
    private final NbdTerms terms;

    RequestRules(ExportedDisk disk, NbdTerms terms) {
        this.disk = disk;
        this.terms = terms;
    }

    /// What is wrong with a request; `null` when nothing is.
    ///
    /// @param length u32
    @Nullable Refusal check(NbdRequest request, int flags, long length) {
        int type = request.type;
        if ((flags & ~knownFlags(type)) != 0) {
            return Refusal.FLAGS;
        }
        if (type == NbdProtocol.CMD_FLUSH) {
            boolean plain = request.offset == 0 && length == 0;
            return !disk.flushes() ? Refusal.COMMAND : plain ? null : Refusal.UNALIGNED;
        }
        if (!isOffered(type)) {
            return Refusal.COMMAND;
        }
        if (changes(type) && disk.readOnly()) {
            return Refusal.READ_ONLY;
        }
        if (type == NbdProtocol.CMD_TRIM && !disk.discards()) {
            return Refusal.COMMAND;
        }
        if (isBounded(type) && length > NbdProtocol.MAX_PAYLOAD_BYTES) {
            return Refusal.TOO_LONG;
        }
        if (type == NbdProtocol.CMD_BLOCK_STATUS && length == 0) {
            return Refusal.NOTHING; // an extent cannot be empty
        }
        if (((request.offset | length) & (disk.blockSizeBytes() - 1)) != 0) {
            return Refusal.UNALIGNED;
        }
        // One comparison without a sum that could wrap; a negative offset is one of 2^63 and more.
        if (request.offset < 0 || request.offset > disk.sizeBytes() - length) {
            boolean writes = changes(type) && type != NbdProtocol.CMD_TRIM;
            return writes ? Refusal.NO_SPACE : Refusal.BEHIND_THE_END;
        }
        if ((flags & NbdProtocol.CMD_FLAG_DF) != 0 && length > MAX_FRAGMENT_BYTES) {
            return Refusal.FRAGMENTS; // of READ alone
        }
        return null;
    }

    private int knownFlags(int type) {
        int known = disk.flushes() ? NbdProtocol.CMD_FLAG_FUA : 0;
        if (type == NbdProtocol.CMD_WRITE_ZEROES) {
            known |= NbdProtocol.CMD_FLAG_NO_HOLE;
            known |= disk.discardZeroes() ? NbdProtocol.CMD_FLAG_FAST_ZERO : 0;
        } else if (type == NbdProtocol.CMD_READ && terms.structured()) {
            known |= NbdProtocol.CMD_FLAG_DF;
        } else if (type == NbdProtocol.CMD_BLOCK_STATUS) {
            known |= NbdProtocol.CMD_FLAG_REQ_ONE;
        }
        return known;
    }

    private boolean isOffered(int type) {
        return type == NbdProtocol.CMD_READ
                || type == NbdProtocol.CMD_CACHE
                || (type == NbdProtocol.CMD_BLOCK_STATUS && terms.allocation())
                || changes(type);
    }

    private static boolean changes(int type) {
        return type == NbdProtocol.CMD_WRITE
                || type == NbdProtocol.CMD_TRIM
                || type == NbdProtocol.CMD_WRITE_ZEROES;
    }

    /// Whether [NbdProtocol#MAX_PAYLOAD_BYTES] bounds its length.
    private static boolean isBounded(int type) {
        return type == NbdProtocol.CMD_READ
                || type == NbdProtocol.CMD_WRITE
                || type == NbdProtocol.CMD_CACHE;
    }
}
