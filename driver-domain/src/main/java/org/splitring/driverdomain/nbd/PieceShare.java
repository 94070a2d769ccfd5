package org.splitring.driverdomain.nbd;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The guest pages that one client works in, taken when it enters the transmission phase and given
/// back when it has gone and its last operation has ended.
///
/// A fixed share for each is what keeps clients apart: whoever sends reads and never takes the
/// answers runs out of his own pieces and then waits for himself (hostile catalogue N-24).
final class PieceShare {
    static final int SMALL_BYTES = 8 << 10;
    static final int LARGE_BYTES = 128 << 10;

    static final int SMALL_PIECES = 64;
    static final int LARGE_PIECES = 12;

    /// Large pieces that reads leave alone, so that a write always gets on.
    static final int KEPT_FOR_WRITES = 2;

    /// What a share takes of the disk's memory.
    static final int TOTAL_BYTES = SMALL_PIECES * SMALL_BYTES + LARGE_PIECES * LARGE_BYTES;

    private final ExportedDisk disk;
    private final List<Piece> all = new ArrayList<>();
    private final ArrayDeque<Piece> small = new ArrayDeque<>(SMALL_PIECES);
    private final ArrayDeque<Piece> large = new ArrayDeque<>(LARGE_PIECES);

    private PieceShare(ExportedDisk disk) {
        this.disk = disk;
    }

    /// Takes a share of the disk's memory; `null` when there is not enough left.
    static @Nullable PieceShare take(ExportedDisk disk) {
        PieceShare share = new PieceShare(disk);
        for (int i = 0; i < SMALL_PIECES + LARGE_PIECES; i++) {
            boolean isLarge = i < LARGE_PIECES;
            DiskBuffer buffer = disk.acquire(isLarge ? LARGE_BYTES : SMALL_BYTES);
            if (buffer == null) {
                share.giveBack();
                return null;
            }
            Piece piece = new Piece(buffer, isLarge);
            share.all.add(piece);
            share.free(piece);
        }
        return share;
    }

    /// A piece for `sizeBytes` or a part of it; `null` when the client has to wait.
    @Nullable Piece forWriting(int sizeBytes) {
        Piece piece = sizeBytes <= SMALL_BYTES ? small.pollLast() : null;
        return piece != null ? piece : large.pollLast();
    }

    /// A piece for a read of at most [#SMALL_BYTES].
    @Nullable Piece forSmallRead() {
        Piece piece = small.pollLast();
        return piece != null ? piece : largeForReading() > 0 ? large.pollLast() : null;
    }

    /// A piece to read `sizeBytes` or a part of it; `null` when the client has to wait.
    @Nullable Piece forReading(int sizeBytes) {
        if (sizeBytes <= SMALL_BYTES) {
            return forSmallRead();
        }
        return largeForReading() > 0 ? large.pollLast() : null;
    }

    /// How many large pieces reads may take now.
    int largeForReading() {
        return large.size() - KEPT_FOR_WRITES;
    }

    Piece takeLarge() {
        return large.removeLast();
    }

    void free(Piece piece) {
        piece.request = null;
        (piece.large ? large : small).addLast(piece);
    }

    /// Gives everything back to the disk. No operation and no send may be under way.
    void giveBack() {
        for (Piece piece : all) {
            piece.bytes.release();
            disk.release(piece.buffer);
        }
        all.clear();
        small.clear();
        large.clear();
    }
}
