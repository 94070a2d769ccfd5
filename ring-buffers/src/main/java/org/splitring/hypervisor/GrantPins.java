package org.splitring.hypervisor;

import static org.splitring.wire.GrantEntryV1Layout.ENTRIES_PER_PAGE;
import static org.splitring.wire.GrantEntryV1Layout.FLAGS_AND_DOMID;
import static org.splitring.wire.GrantEntryV1Layout.FLAGS_OFFSET;
import static org.splitring.wire.GrantEntryV1Layout.FRAME;
import static org.splitring.wire.GrantEntryV1Layout.FRAME_OFFSET;
import static org.splitring.wire.GrantEntryV1Layout.GTF_PERMIT_ACCESS;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READING;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READONLY;
import static org.splitring.wire.GrantEntryV1Layout.GTF_SUB_PAGE;
import static org.splitring.wire.GrantEntryV1Layout.GTF_TYPE_MASK;
import static org.splitring.wire.GrantEntryV1Layout.GTF_WRITING;
import static org.splitring.wire.GrantEntryV1Layout.RESERVED_ENTRIES;
import static org.splitring.wire.GrantEntryV1Layout.SIZE_SHIFT;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import org.jspecify.annotations.Nullable;

/// What the driver domain knows of one guest's grants: who holds which page, and how often.
///
/// One per guest, shared by all its devices, any thread. The guest's table says what it offers;
/// this record says what was taken, and only it is believed afterwards. From the first pin of a
/// reference to the last unpin, domid and frame come from here, whatever the guest writes into its
/// entry meanwhile (hostile catalogue H-079).
///
/// ## The record of one reference
///
///     bit   0          20         40              55   56   57     58
///           +----------+----------+---------------+----+----+------+
///           | readers  | writers  | domid         | r  | w  | busy |
///           +----------+----------+---------------+----+----+------+
///
/// `readers` and `writers` count pins. `r` and `w` say that a pin of that kind may join without
/// looking at the guest's entry: the bits `GTF_reading` and `GTF_writing` are set there. `busy` is
/// held by the one thread that moves the entry between those states; it touches the guest's word a
/// bounded number of times and never waits. Who unpins meanwhile only counts down: the holder of
/// `busy` looks at the counts before it lets go, and clears what nobody needs. So unpinning never
/// waits for anybody, and a pin that finds `busy` looks again a bounded number of times and then
/// answers `GNTST_eagain`.
///
/// Order of an unpin: the mapping is forgotten, the count drops, the bits in the entry are cleared
/// last (H-071, H-072).
public final class GrantPins {
    /// How often a compare-and-set on a word of the guest is tried. A guest that behaves changes
    /// the word only while nothing is pinned; one that stores into it in a loop gets `GNTST_eagain`
    /// (H-075).
    static final int ENTRY_ATTEMPTS = 64;

    /// How often a pin looks again at a record that another device is just changing.
    private static final int BUSY_ATTEMPTS = 4096;

    private static final int COUNT_BITS = 20;
    private static final long COUNT_MASK = (1L << COUNT_BITS) - 1;
    private static final long ONE_READER = 1L;
    private static final long ONE_WRITER = 1L << COUNT_BITS;
    private static final long READERS = COUNT_MASK;
    private static final long WRITERS = COUNT_MASK << COUNT_BITS;
    private static final long COUNTS = READERS | WRITERS;
    private static final int DOMID_SHIFT = 2 * COUNT_BITS;
    private static final long DOMID_MASK = 0x7FFFL << DOMID_SHIFT;
    private static final long READ_OPEN = 1L << 55;
    private static final long WRITE_OPEN = 1L << 56;
    private static final long BUSY = 1L << 57;

    /// Most mappings a guest can have: the counts of one reference must not overflow, also with
    /// every device copying from it.
    public static final int MAX_MAPPINGS = (int) (COUNT_MASK >> 1);

    private final GuestMemory memory;
    private final MemorySegment segment;
    private final DomId guest;
    private final int pageCount;
    private final int tableGfn;
    private final int maxFrames;
    private final int entryAttempts;
    private final MappingBudget guestBudget;
    private final MappingBudget totalBudget;
    private final AtomicLong contendedEntries = new AtomicLong();

    /// Replaced as a whole when the table grows; a reference that was valid stays valid.
    private volatile Table table;

    private int windows;
    private @Nullable Runnable whenUnused;
    private boolean retired;

    /// Records of as many entries as there are frames. Growing shares what is there.
    private static final class Table {
        final int entries;
        final AtomicLongArray[] states;
        final AtomicIntegerArray[] frames;

        private Table(int entries, AtomicLongArray[] states, AtomicIntegerArray[] frames) {
            this.entries = entries;
            this.states = states;
            this.frames = frames;
        }

        static Table of(int frameCount, @Nullable Table before) {
            AtomicLongArray[] states = new AtomicLongArray[frameCount];
            AtomicIntegerArray[] frames = new AtomicIntegerArray[frameCount];
            int shared = 0;
            if (before != null) {
                shared = before.states.length;
                System.arraycopy(before.states, 0, states, 0, shared);
                System.arraycopy(before.frames, 0, frames, 0, shared);
            }
            for (int i = shared; i < frameCount; i++) {
                states[i] = new AtomicLongArray(ENTRIES_PER_PAGE);
                frames[i] = new AtomicIntegerArray(ENTRIES_PER_PAGE);
            }
            return new Table(frameCount * ENTRIES_PER_PAGE, states, frames);
        }
    }

    /// Clears the marks that an earlier driver domain has left in a table when it was killed: a
    /// page that they name would be lost to its guest for ever. Only for one who knows that nobody
    /// maps anything of this memory, and who has not yet told the guest that it is attached.
    ///
    /// @param tableGfn first page of the table, which lies in the memory with all its frames
    public static void forgetMappings(GuestMemory memory, int tableGfn, int tableFrames) {
        MemorySegment table = memory.pages(tableGfn, tableFrames);
        for (int gref = 0; gref < tableFrames * ENTRIES_PER_PAGE; gref++) {
            long word = ((long) gref << SIZE_SHIFT) + FLAGS_OFFSET;
            int seen = (int) FLAGS_AND_DOMID.getOpaque(table, word);
            if ((seen & (GTF_READING | GTF_WRITING)) != 0) {
                // Atomic, so that a guest that writes there meanwhile loses only these two bits.
                int ignored =
                        (int)
                                FLAGS_AND_DOMID.getAndBitwiseAnd(
                                        table, word, ~(GTF_READING | GTF_WRITING));
            }
        }
    }

    /// @param memory of the guest
    /// @param guest whose grants these are
    /// @param tableGfn first page of its grant table, as it announced
    /// @param tableFrames pages of its grant table, as it announced
    /// @param limits what it may use
    /// @param total the limit over all guests
    /// @throws GrantException when the announced table is not inside the memory or too large
    public GrantPins(
            GuestMemory memory,
            DomId guest,
            int tableGfn,
            int tableFrames,
            DomainLimits limits,
            MappingBudget total)
            throws GrantException {
        this(memory, guest, tableGfn, tableFrames, limits, total, ENTRY_ATTEMPTS);
    }

    /// For tests: with so many attempts at a word that the guest writes too.
    GrantPins(
            GuestMemory memory,
            DomId guest,
            int tableGfn,
            int tableFrames,
            DomainLimits limits,
            MappingBudget total,
            int entryAttempts)
            throws GrantException {
        this.entryAttempts = entryAttempts;
        this.memory = memory;
        this.guest = guest;
        this.tableGfn = tableGfn;
        segment = memory.segment();
        pageCount = memory.pageCount();
        maxFrames = limits.maxGrantFrames();
        if (limits.maxMappings() > MAX_MAPPINGS) {
            throw new IllegalArgumentException("maxMappings " + limits.maxMappings());
        }
        guestBudget = new MappingBudget(limits.maxMappings());
        totalBudget = total;
        checkFrames(tableFrames);
        table = Table.of(tableFrames, null);
    }

    private void checkFrames(int frames) throws GrantException {
        if (frames < 1 || frames > maxFrames) {
            throw new GrantException(
                    GrantStatus.NO_SPACE, frames + " frames of grant table, allowed " + maxFrames);
        }
        if (tableGfn < 0 || tableGfn > pageCount - frames) {
            throw new GrantException(
                    GrantStatus.BAD_PAGE,
                    "grant table outside the memory: gfn " + tableGfn + " frames " + frames);
        }
    }

    /// Takes more of the guest's pages as grant table. What is in flight does not notice; a smaller
    /// number changes nothing.
    ///
    /// @param frames pages of the whole table from now on
    /// @throws GrantException beyond the limit or the memory; then nothing has changed
    public synchronized void grow(int frames) throws GrantException {
        checkFrames(frames);
        Table now = table;
        if (frames > now.states.length) {
            // Built whole before it is published: a failure half way leaves the old one (H-083).
            table = Table.of(frames, now);
        }
    }

    public DomId guest() {
        return guest;
    }

    public GuestMemory memory() {
        return memory;
    }

    /// Entries of the table that are in use now.
    public int entries() {
        return table.entries;
    }

    /// Grants of this guest that are mapped now.
    public int mapped() {
        return guestBudget.taken();
    }

    /// How often an operation gave up on an entry that the guest kept changing.
    public long contendedEntries() {
        return contendedEntries.get();
    }

    /// Opens a device's window.
    ///
    /// @param backend the domain that maps
    /// @param maxMappings of this window
    /// @param mapper makes pages adjacent, see [ContiguousMapper]
    /// @throws GrantException when the guest is gone, or the limit asked for is above the guest's
    public CheckedForeignPages open(DomId backend, int maxMappings, ContiguousMapper mapper)
            throws GrantException {
        return open(backend, maxMappings, mapper, RESERVED_ENTRIES);
    }

    /// Opens a window that may map one page by a reserved reference: the page that the platform
    /// shares between the guest and the store from the start.
    CheckedForeignPages openReserved(DomId backend) throws GrantException {
        return open(backend, 1, ContiguousMapper.NONE, 0);
    }

    private CheckedForeignPages open(
            DomId backend, int maxMappings, ContiguousMapper mapper, int firstGref)
            throws GrantException {
        if (maxMappings < 1 || maxMappings > guestBudget.limit()) {
            throw new GrantException(
                    GrantStatus.NO_SPACE,
                    maxMappings + " mappings asked for, allowed " + guestBudget.limit());
        }
        CheckedForeignPages window =
                new CheckedForeignPages(this, backend, maxMappings, mapper, firstGref);
        synchronized (this) {
            if (retired) {
                throw new GrantException(
                        GrantStatus.BAD_DOMAIN, "domain " + guest + " is no longer there");
            }
            windows++;
        }
        return window;
    }

    /// Lets no further window open. When the last one has closed, nothing here touches the guest's
    /// memory any more, and `unused` runs: on the caller's thread, or on that of the last close.
    public void retire(Runnable unused) {
        synchronized (this) {
            if (retired) {
                throw new IllegalStateException("domain " + guest + " retired twice");
            }
            retired = true;
            if (windows > 0) {
                whenUnused = unused;
                return;
            }
        }
        unused.run();
    }

    void windowClosed() {
        Runnable unused = null;
        synchronized (this) {
            windows--;
            if (windows == 0) {
                unused = whenUnused;
                whenUnused = null;
            }
        }
        if (unused != null) {
            unused.run();
        }
    }

    /// Takes room for up to `wanted` mappings from the limits of the guest and of all guests.
    int takeRoom(int wanted) {
        int fromGuest = guestBudget.takeUpTo(wanted);
        int fromAll = totalBudget.takeUpTo(fromGuest);
        if (fromAll < fromGuest) {
            guestBudget.give(fromGuest - fromAll);
        }
        return fromAll;
    }

    void giveRoom(int count) {
        if (count > 0) {
            totalBudget.give(count);
            guestBudget.give(count);
        }
    }

    /// Pins a reference.
    ///
    /// @param gref from the guest, unchecked
    /// @return the gfn, 0 or more, or a [GrantStatus], which is negative
    int pin(int gref, DomId backend, boolean forWriting) {
        Table now = table;
        if (gref < 0 || gref >= now.entries) {
            return GrantStatus.BAD_GNTREF; // 2^31 and above are negative here
        }
        AtomicLongArray states = now.states[gref / ENTRIES_PER_PAGE];
        AtomicIntegerArray frames = now.frames[gref / ENTRIES_PER_PAGE];
        int slot = gref % ENTRIES_PER_PAGE;
        long one = forWriting ? ONE_WRITER : ONE_READER;
        long needed = forWriting ? WRITE_OPEN : READ_OPEN;
        for (int attempt = 0; attempt < BUSY_ATTEMPTS; attempt++) {
            long state = states.get(slot);
            if ((state & needed) != 0) {
                if ((state & DOMID_MASK) >>> DOMID_SHIFT != backend.value()) {
                    return GrantStatus.PERMISSION_DENIED;
                }
                if (states.compareAndSet(slot, state, state + one)) {
                    return frames.get(slot); // stands still while anybody has it pinned
                }
            } else if ((state & BUSY) != 0) {
                Thread.onSpinWait();
            } else if (states.compareAndSet(slot, state, state | BUSY)) {
                return (state & COUNTS) == 0
                        ? firstPin(gref, states, frames, slot, backend, forWriting)
                        : addWriting(gref, states, frames, slot, backend);
            }
        }
        return GrantStatus.EAGAIN;
    }

    /// With `busy` held and no pins: nobody else changes the record until this returns.
    private int firstPin(
            int gref,
            AtomicLongArray states,
            AtomicIntegerArray frames,
            int slot,
            DomId backend,
            boolean forWriting) {
        int result = enter(gref, backend, forWriting);
        if (result == GrantStatus.OKAY) {
            // Once, after the bits are set: a guest that behaves leaves it alone from there on.
            int frame = (int) FRAME.getAcquire(segment, entryOffset(gref) + FRAME_OFFSET);
            if (frame < 0 || frame >= pageCount || isTablePage(frame)) {
                leave(gref, GTF_READING | GTF_WRITING);
                result = GrantStatus.BAD_PAGE;
            } else {
                frames.setPlain(slot, frame);
                long state =
                        (forWriting ? ONE_WRITER | WRITE_OPEN : ONE_READER)
                                | READ_OPEN
                                | (long) backend.value() << DOMID_SHIFT;
                // Release: the frame before the record that says it is known. Pairs with the
                // compare-and-set of whoever joins.
                states.setRelease(slot, state);
                return frame;
            }
        }
        states.setRelease(slot, 0);
        return result;
    }

    /// With `busy` held and readers there, which may go meanwhile.
    private int addWriting(
            int gref, AtomicLongArray states, AtomicIntegerArray frames, int slot, DomId backend) {
        if ((states.get(slot) & DOMID_MASK) >>> DOMID_SHIFT != backend.value()) {
            settle(gref, states, slot);
            return GrantStatus.PERMISSION_DENIED;
        }
        int result = enter(gref, backend, true);
        if (result == GrantStatus.OKAY) {
            int frame = frames.get(slot);
            long state = states.getAndAdd(slot, ONE_WRITER) + ONE_WRITER;
            while (!states.compareAndSet(slot, state, state | WRITE_OPEN | READ_OPEN)) {
                state = states.get(slot);
            }
            result = frame;
        }
        settle(gref, states, slot);
        return result;
    }

    /// Checks the guest's entry and sets the bits that say it is in use, as one step.
    private int enter(int gref, DomId backend, boolean forWriting) {
        long word = entryOffset(gref) + FLAGS_OFFSET;
        int bits = forWriting ? GTF_READING | GTF_WRITING : GTF_READING;
        for (int attempt = 0; attempt < entryAttempts; attempt++) {
            int seen = (int) FLAGS_AND_DOMID.getAcquire(segment, word);
            // Transfers, transitive and sub-page grants are not offered (H-076, H-084).
            if ((seen & (GTF_TYPE_MASK | GTF_SUB_PAGE)) != GTF_PERMIT_ACCESS) {
                return GrantStatus.BAD_GNTREF;
            }
            if (seen >>> Short.SIZE != backend.value()) {
                return GrantStatus.PERMISSION_DENIED;
            }
            if (forWriting && (seen & GTF_READONLY) != 0) {
                return GrantStatus.PERMISSION_DENIED;
            }
            // Pairs with GuestGrantTable: its release store of this word, and its compare-and-set
            // to 0, which fails from here on.
            if (FLAGS_AND_DOMID.compareAndSet(segment, word, seen, seen | bits)) {
                return GrantStatus.OKAY;
            }
            Thread.onSpinWait();
        }
        contendedEntries.incrementAndGet();
        return GrantStatus.EAGAIN;
    }

    /// Clears bits in the guest's entry. A guest that keeps changing the word keeps its bits: its
    /// own revocations suffer for it.
    private void leave(int gref, int bits) {
        long word = entryOffset(gref) + FLAGS_OFFSET;
        for (int attempt = 0; attempt < entryAttempts; attempt++) {
            int seen = (int) FLAGS_AND_DOMID.getAcquire(segment, word);
            if ((seen & bits) == 0
                    // Full order: our last access to the page before the bits go. Pairs with
                    // the guest's compare-and-set in GuestGrantTable.endAccess.
                    || FLAGS_AND_DOMID.compareAndSet(segment, word, seen, seen & ~bits)) {
                return;
            }
            Thread.onSpinWait();
        }
        contendedEntries.incrementAndGet();
    }

    /// Undoes one [#pin]. Never fails and never waits.
    void unpin(int gref, boolean forWriting) {
        Table now = table;
        AtomicLongArray states = now.states[gref / ENTRIES_PER_PAGE];
        int slot = gref % ENTRIES_PER_PAGE;
        long one = forWriting ? ONE_WRITER : ONE_READER;
        long mask = forWriting ? WRITERS : READERS;
        while (true) {
            long state = states.get(slot);
            if ((state & mask) == 0) {
                throw new IllegalStateException("unpin of gref " + gref + " which is not pinned");
            }
            long next = state - one;
            if ((next & (BUSY | COUNTS)) == 0) {
                // The last one: closed and busy in one step. Nobody else touches the record until
                // it is free again, since there is nothing to join and nothing to count down.
                if (states.compareAndSet(slot, state, BUSY)) {
                    leave(gref, bitsOf(state));
                    states.setRelease(slot, 0);
                    return;
                }
                continue;
            }
            boolean settle = (next & BUSY) == 0 && superfluous(next) != 0;
            if (settle) {
                next |= BUSY;
            }
            if (states.compareAndSet(slot, state, next)) {
                if (settle) {
                    settle(gref, states, slot);
                }
                return;
            }
        }
    }

    /// The bits in the guest's entry that stand for the record's open bits.
    private static int bitsOf(long open) {
        return ((open & READ_OPEN) != 0 ? GTF_READING : 0)
                | ((open & WRITE_OPEN) != 0 ? GTF_WRITING : 0);
    }

    /// Which of the record's open bits no pin needs any more.
    private static long superfluous(long state) {
        if ((state & COUNTS) == 0) {
            return state & (READ_OPEN | WRITE_OPEN);
        }
        return (state & WRITERS) == 0 ? state & WRITE_OPEN : 0;
    }

    /// With `busy` held: brings the entry to what the counts say, and lets go of `busy`.
    private void settle(int gref, AtomicLongArray states, int slot) {
        while (true) {
            long state = states.get(slot);
            long close = superfluous(state);
            if (close != 0) {
                // Closed in the record first, so that nobody joins while the bits are cleared.
                if (states.compareAndSet(slot, state, state & ~close)) {
                    leave(gref, bitsOf(close));
                }
            } else {
                long next = state & ~BUSY;
                if ((next & COUNTS) == 0) {
                    next = 0;
                }
                if (states.compareAndSet(slot, state, next)) {
                    return;
                }
            }
        }
    }

    /// Pins of a reference now, for tests and metrics: readers and writers together.
    int pinCount(int gref) {
        Table now = table;
        long state = now.states[gref / ENTRIES_PER_PAGE].get(gref % ENTRIES_PER_PAGE);
        return (int) ((state & READERS) + ((state & WRITERS) >>> COUNT_BITS));
    }

    private long entryOffset(int gref) {
        return GuestMemory.offsetOf(tableGfn) + ((long) gref << SIZE_SHIFT);
    }

    private boolean isTablePage(int gfn) {
        return gfn >= tableGfn && gfn - tableGfn < table.states.length;
    }
}
