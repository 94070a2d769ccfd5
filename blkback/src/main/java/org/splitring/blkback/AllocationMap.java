package org.splitring.blkback;

/// What a range of a disk is from its beginning on: data, or holes, which read as zeros and take no
/// storage. Neighbours of the same kind are one extent. There are no more than were allowed, and
/// what follows them is left open. Reused.
///
/// One thread at a time: whoever made it, or the disk that was asked to fill it.
public final class AllocationMap {
    /// Most extents that it has room for.
    public static final int MAX_EXTENTS = 64;

    private final long[] sizes = new long[MAX_EXTENTS];
    private final boolean[] holes = new boolean[MAX_EXTENTS];
    private int allowed = MAX_EXTENTS;
    private int count;
    private long coveredBytes;
    private boolean cut;

    /// An empty one, with room for all extents.
    public AllocationMap() {}

    /// Empties it.
    ///
    /// @param extents how many it may get, from 1 to [#MAX_EXTENTS]
    public void clear(int extents) {
        if (extents < 1 || extents > MAX_EXTENTS) {
            throw new IllegalArgumentException("extents not in 1.." + MAX_EXTENTS + ": " + extents);
        }
        allowed = extents;
        count = 0;
        coveredBytes = 0;
        cut = false;
    }

    /// What comes next may be anything.
    ///
    /// @param sizeBytes whole sectors, at least one
    public void addData(long sizeBytes) {
        add(sizeBytes, false);
    }

    /// What comes next reads as zeros.
    ///
    /// @param sizeBytes whole sectors, at least one
    public void addHole(long sizeBytes) {
        add(sizeBytes, true);
    }

    private void add(long sizeBytes, boolean hole) {
        if (sizeBytes <= 0 || sizeBytes % DiskImage.SECTOR_SIZE != 0) {
            throw new IllegalArgumentException("an extent of " + sizeBytes + " bytes");
        }
        if (cut) {
            return;
        }
        if (count > 0 && holes[count - 1] == hole) {
            sizes[count - 1] += sizeBytes;
        } else if (count < allowed) {
            sizes[count] = sizeBytes;
            holes[count] = hole;
            count++;
        } else {
            cut = true;
            return;
        }
        coveredBytes += sizeBytes;
    }

    /// How many extents there are.
    public int count() {
        return count;
    }

    /// Size of an extent; the first begins where the range does.
    public long sizeBytes(int index) {
        return sizes[index];
    }

    public boolean isHole(int index) {
        return holes[index];
    }

    /// Size of all extents together.
    public long coveredBytes() {
        return coveredBytes;
    }

    /// Whether there was no room for the next extent: whatever is added now is left away.
    public boolean isCut() {
        return cut;
    }
}
