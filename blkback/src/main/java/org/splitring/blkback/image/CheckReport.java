package org.splitring.blkback.image;

import java.util.List;

/// What a check of an image found.
///
/// @param damages one line each, the first [#MAX_LINES] of them
/// @param damageCount how many there are: what was flushed may be lost, or be lost by a write
/// @param leakedClusters room that counts as used and is not; nothing is lost by it
/// @param usedClusters clusters of data and tables in the file
/// @param clusterBytes size of each
public record CheckReport(
        List<String> damages,
        long damageCount,
        long leakedClusters,
        long usedClusters,
        int clusterBytes) {
    /// Most lines about damages.
    public static final int MAX_LINES = 20;

    public CheckReport {
        damages = List.copyOf(damages);
    }

    /// Neither damaged nor leaking.
    public boolean isClean() {
        return damageCount == 0 && leakedClusters == 0;
    }
}
