package org.splitring.hypervisor;

import static org.splitring.wire.GrantEntryV1Layout.ENTRIES_PER_PAGE;
import static org.splitring.wire.GrantEntryV1Layout.FLAGS_AND_DOMID;
import static org.splitring.wire.GrantEntryV1Layout.FLAGS_OFFSET;
import static org.splitring.wire.GrantEntryV1Layout.FRAME;
import static org.splitring.wire.GrantEntryV1Layout.FRAME_OFFSET;
import static org.splitring.wire.GrantEntryV1Layout.GTF_PERMIT_ACCESS;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READING;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READONLY;
import static org.splitring.wire.GrantEntryV1Layout.GTF_WRITING;
import static org.splitring.wire.GrantEntryV1Layout.SIZE_SHIFT;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/// The guest's half of granting: writes the entries, and believes nothing that the backend may have
/// written into them.
///
/// What is granted and claimed is remembered privately, so a backend that scribbles over the table
/// can make a revocation fail but cannot make a page come back twice (hostile catalogue H-085). A
/// page that a backend keeps is quarantined: neither it nor its reference is used again until a
/// later try finds it let go.
///
/// [#grant] and [#tryRevoke] are called by whoever claimed the reference, one thread at a time per
/// reference, without a lock. Everything else takes this object's monitor and is for the control
/// plane.
public final class GuestGrantTable implements GrantTable {
    /// How often a revocation tries its compare-and-set against somebody who keeps changing the
    /// word. A backend that behaves changes it twice per mapping; one that does not makes us
    /// quarantine the page, not wait (hostile catalogue H-075).
    static final int REVOKE_ATTEMPTS = 64;

    /// How many quarantined entries a [#claim] looks at, so that its cost does not grow with them.
    private static final int RETRIES_PER_CLAIM = 4;

    private static final byte FREE = 0;
    private static final byte CLAIMED = 1;
    private static final byte GRANTED = 2;
    private static final byte QUARANTINED = 3;

    private final GuestMemory memory;
    private final MemorySegment table;
    private final int firstGfn;
    private final int frames;
    private final int entries;
    private final PageAllocator pages;

    private final byte[] states;
    private final int[] freeRefs;
    private int freeCount;

    private final int[] quarantineRefs;
    private final int[] quarantineGfns;
    private int quarantineCount;
    private int quarantineCursor;

    /// How many quarantined references name each page: it is free when the last one is.
    private final Map<Integer, Integer> quarantinedPages = new HashMap<>();

    /// Clears the table's pages and takes them into use.
    ///
    /// @param memory the guest's memory
    /// @param firstGfn first page of the table
    /// @param frames pages of the table, 512 entries each
    /// @param pages gets quarantined pages back when their backend has let go
    public GuestGrantTable(GuestMemory memory, int firstGfn, int frames, PageAllocator pages) {
        if (frames < 1 || firstGfn < 0 || firstGfn > memory.pageCount() - frames) {
            throw new IllegalArgumentException(
                    "grant table outside the memory: gfn " + firstGfn + " frames " + frames);
        }
        this.memory = memory;
        this.firstGfn = firstGfn;
        this.frames = frames;
        this.pages = pages;
        table = memory.pages(firstGfn, frames);
        table.fill((byte) 0);
        entries = frames * ENTRIES_PER_PAGE;
        states = new byte[entries];
        freeRefs = new int[entries - FIRST_FREE];
        quarantineRefs = new int[entries];
        quarantineGfns = new int[entries];
        for (int gref = entries - 1; gref >= FIRST_FREE; gref--) {
            freeRefs[freeCount++] = gref;
        }
    }

    /// First page of the table.
    public int firstGfn() {
        return firstGfn;
    }

    /// Pages of the table.
    public int frames() {
        return frames;
    }

    @Override
    public synchronized int claim() {
        if (quarantineCount > 0) {
            retry(freeCount == 0 ? quarantineCount : RETRIES_PER_CLAIM);
        }
        if (freeCount == 0) {
            return -1;
        }
        int gref = freeRefs[--freeCount];
        states[gref] = CLAIMED;
        return gref;
    }

    @Override
    public synchronized void unclaim(int gref) {
        expect(gref, CLAIMED, "unclaim");
        states[gref] = FREE;
        freeRefs[freeCount++] = gref;
    }

    @Override
    public void grant(int gref, DomId backend, int gfn, boolean readOnly) {
        expect(gref, CLAIMED, "grant");
        if (gfn < 0 || gfn >= memory.pageCount() || isTablePage(gfn)) {
            throw new IllegalArgumentException("gfn " + gfn + " cannot be granted");
        }
        states[gref] = GRANTED;
        long entry = (long) gref << SIZE_SHIFT;
        int flags = GTF_PERMIT_ACCESS | (readOnly ? GTF_READONLY : 0);
        FRAME.set(table, entry + FRAME_OFFSET, gfn);
        // Release: page bytes and frame before flags and domid, which are one word. Pairs with the
        // compare-and-set in GrantPins.firstPin, after which the frame is read.
        FLAGS_AND_DOMID.setRelease(
                table, entry + FLAGS_OFFSET, flags | (backend.value() << Short.SIZE));
    }

    @Override
    public boolean tryRevoke(int gref) {
        byte state = states[gref];
        if (state == CLAIMED) {
            return true;
        }
        expect(gref, GRANTED, "revoke");
        if (!endAccess(gref)) {
            return false;
        }
        states[gref] = CLAIMED;
        return true;
    }

    /// Asking first whether the page is in use and ending the grant afterwards would leave a gap in
    /// which the backend maps it; so the end is one compare-and-set, and its result is the answer.
    private boolean endAccess(int gref) {
        long word = ((long) gref << SIZE_SHIFT) + FLAGS_OFFSET;
        for (int attempt = 0; attempt < REVOKE_ATTEMPTS; attempt++) {
            int seen = (int) FLAGS_AND_DOMID.getAcquire(table, word);
            if ((seen & (GTF_READING | GTF_WRITING)) != 0) {
                return false;
            }
            // Full order: the end of the grant before any reuse of the page. Pairs with the
            // compare-and-set in GrantPins, which fails once this one has succeeded.
            if (FLAGS_AND_DOMID.compareAndSet(table, word, seen, 0)) {
                return true;
            }
            Thread.onSpinWait();
        }
        return false;
    }

    @Override
    public synchronized void quarantine(int gref, int gfn) {
        expect(gref, GRANTED, "quarantine");
        states[gref] = QUARANTINED;
        quarantineRefs[quarantineCount] = gref;
        quarantineGfns[quarantineCount] = gfn;
        quarantineCount++;
        quarantinedPages.merge(gfn, 1, Integer::sum);
    }

    @Override
    public synchronized int retryQuarantined() {
        return retry(quarantineCount);
    }

    private int retry(int limit) {
        int released = 0;
        for (int i = Math.min(limit, quarantineCount); i > 0; i--) {
            if (quarantineCursor >= quarantineCount) {
                quarantineCursor = 0;
            }
            int gref = quarantineRefs[quarantineCursor];
            if (!endAccess(gref)) {
                quarantineCursor++;
                continue;
            }
            int gfn = quarantineGfns[quarantineCursor];
            quarantineCount--;
            quarantineRefs[quarantineCursor] = quarantineRefs[quarantineCount];
            quarantineGfns[quarantineCursor] = quarantineGfns[quarantineCount];
            states[gref] = FREE;
            freeRefs[freeCount++] = gref;
            if (quarantinedPages.merge(gfn, -1, GuestGrantTable::sumOrNothing) == null) {
                pages.free(gfn, 1);
            }
            released++;
        }
        return released;
    }

    @SuppressWarnings("NullAway") // Map.merge removes the key when this answers null
    private static Integer sumOrNothing(Integer a, Integer b) {
        int sum = a + b;
        return sum == 0 ? null : sum;
    }

    @Override
    public synchronized int quarantinedCount() {
        return quarantineCount;
    }

    /// How many references can be claimed now.
    public synchronized int freeCount() {
        return freeCount;
    }

    private boolean isTablePage(int gfn) {
        return gfn >= firstGfn && gfn - firstGfn < frames;
    }

    private void expect(int gref, byte wanted, String operation) {
        if (states[gref] != wanted) {
            throw new IllegalStateException(
                    operation + " of gref " + gref + " in state " + name(states[gref]));
        }
    }

    private static String name(byte state) {
        return switch (state) {
            case FREE -> "free";
            case CLAIMED -> "claimed";
            case GRANTED -> "granted";
            default -> "quarantined";
        };
    }
}
