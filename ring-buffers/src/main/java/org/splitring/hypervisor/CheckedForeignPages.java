package org.splitring.hypervisor;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/// A device's window on granted pages, for platforms where the driver domain can reach all of the
/// guest's memory: mapping is checking and pinning, and the page is used where it lies.
///
/// What it has mapped is kept in a table of its own (Xen's maptrack): a slot per mapping, a free
/// list through an array, and a handle that is worth nothing after its unmapping. Mapping and
/// unmapping allocate nothing and take constant time (hostile catalogue H-081).
///
/// Made by [GrantPins#open]. One thread at a time; the shared part is in [GrantPins].
public final class CheckedForeignPages implements ForeignPages {
    private static final int NOT_MAPPED = -1;

    private final GrantPins pins;
    private final DomId backend;
    private final ContiguousMapper mapper;
    private final MemorySegment memory;
    private final int firstGref; // what lies below is refused

    private final int[] slotHandles; // the handle that unmaps the slot, or NOT_MAPPED
    private final int[] slotGrefs;
    private final boolean[] slotWritable;
    private final int[] freeSlots;
    private final int slotMask;
    private int freeCount;
    private int generation;

    private final List<LongMapping> longMappings = new ArrayList<>();
    private boolean closed;
    private boolean windowOpen = true;
    private int closeCursor;

    /// Pages mapped for long, in order. `pieced` when a [ContiguousMapper] made the segment.
    private static final class LongMapping {
        final MemorySegment segment;
        final int[] handles;
        final boolean pieced;

        LongMapping(MemorySegment segment, int[] handles, boolean pieced) {
            this.segment = segment;
            this.handles = handles;
            this.pieced = pieced;
        }
    }

    CheckedForeignPages(
            GrantPins pins,
            DomId backend,
            int maxMappings,
            ContiguousMapper mapper,
            int firstGref) {
        this.pins = pins;
        this.backend = backend;
        this.mapper = mapper;
        this.firstGref = firstGref;
        memory = pins.memory().segment();
        slotHandles = new int[maxMappings];
        slotGrefs = new int[maxMappings];
        slotWritable = new boolean[maxMappings];
        freeSlots = new int[maxMappings];
        slotMask = maxMappings == 1 ? 0 : -1 >>> Integer.numberOfLeadingZeros(maxMappings - 1);
        for (int slot = maxMappings - 1; slot >= 0; slot--) {
            slotHandles[slot] = NOT_MAPPED;
            freeSlots[freeCount++] = slot;
        }
    }

    @Override
    public DomId frontend() {
        return pins.guest();
    }

    @Override
    public boolean map(GrantBatch batch) {
        int size = batch.size();
        for (int i = 0; i < size; i++) {
            if (batch.handles[i] != NOT_MAPPED) {
                throw new IllegalStateException(
                        "element " + i + " is mapped already, handle " + batch.handles[i]);
            }
        }
        if (closed) {
            for (int i = 0; i < size; i++) {
                batch.set(i, GrantStatus.GENERAL_ERROR, NOT_MAPPED, MemorySegment.NULL, 0);
            }
            return size == 0;
        }
        int room = pins.takeRoom(Math.min(size, freeCount));
        int mapped = 0;
        for (int i = 0; i < size; i++) {
            boolean forWriting = batch.writable[i];
            int gref = batch.grefs[i];
            int gfn = mapped < room ? pin(gref, forWriting) : GrantStatus.NO_SPACE;
            if (gfn < 0) {
                batch.set(i, gfn, NOT_MAPPED, MemorySegment.NULL, 0);
            } else {
                int handle = track(gref, forWriting);
                batch.set(i, GrantStatus.OKAY, handle, memory, GuestMemory.offsetOf(gfn));
                mapped++;
            }
        }
        pins.giveRoom(room - mapped);
        return mapped == size;
    }

    @Override
    public void unmap(GrantBatch batch) {
        int size = batch.size();
        int unmapped = 0;
        for (int i = 0; i < size; i++) {
            int handle = batch.handles[i];
            if (handle == NOT_MAPPED && batch.statuses[i] != GrantStatus.OKAY) {
                continue;
            }
            int status = drop(handle);
            if (status == GrantStatus.OKAY) {
                unmapped++;
            }
            batch.set(i, status, NOT_MAPPED, MemorySegment.NULL, 0);
        }
        pins.giveRoom(unmapped);
    }

    @Override
    public MemorySegment mapContiguous(int[] grefs) throws GrantException {
        if (grefs.length == 0) {
            throw new IllegalArgumentException("no pages");
        }
        if (closed) {
            throw new GrantException(GrantStatus.GENERAL_ERROR, "the window is closed");
        }
        int wanted = grefs.length;
        int room = pins.takeRoom(Math.min(wanted, freeCount));
        int[] handles = new int[wanted];
        int[] gfns = new int[wanted];
        int mapped = 0;
        try {
            if (room < wanted) {
                throw new GrantException(
                        GrantStatus.NO_SPACE, "no room for " + wanted + " more mappings");
            }
            boolean adjacent = true;
            while (mapped < wanted) {
                int gfn = pin(grefs[mapped], true);
                if (gfn < 0) {
                    throw new GrantException(
                            gfn, "gref " + Integer.toUnsignedString(grefs[mapped]));
                }
                handles[mapped] = track(grefs[mapped], true);
                gfns[mapped] = gfn;
                adjacent &= gfn == gfns[0] + mapped;
                mapped++;
            }
            MemorySegment segment =
                    adjacent ? pins.memory().pages(gfns[0], wanted) : mapper.map(gfns);
            longMappings.add(new LongMapping(segment, handles, !adjacent));
            wanted = 0; // done: nothing to undo
            return segment;
        } finally {
            if (wanted > 0) {
                for (int i = 0; i < mapped; i++) {
                    drop(handles[i]);
                }
                pins.giveRoom(room);
            }
        }
    }

    @Override
    public void unmapContiguous(MemorySegment pages) {
        for (int i = 0; i < longMappings.size(); i++) {
            LongMapping mapping = longMappings.get(i);
            if (mapping.segment.equals(pages)) {
                longMappings.remove(i);
                undo(mapping);
                return;
            }
        }
        throw new IllegalArgumentException("not mapped by this window, or no longer: " + pages);
    }

    /// The address space first, then the pins: nothing reaches a page that is no longer held.
    private void undo(LongMapping mapping) {
        if (mapping.pieced) {
            mapper.unmap(mapping.segment);
        }
        for (int handle : mapping.handles) {
            drop(handle);
        }
        pins.giveRoom(mapping.handles.length);
    }

    @Override
    public int copyFrom(int gref, int pageOffset, MemorySegment to, long toOffset, int sizeBytes) {
        Objects.checkFromIndexSize(toOffset, Math.max(sizeBytes, 0), to.byteSize());
        int gfn = startCopy(gref, pageOffset, sizeBytes, false);
        if (gfn < 0) {
            return gfn;
        }
        try {
            MemorySegment.copy(
                    memory, GuestMemory.offsetOf(gfn) + pageOffset, to, toOffset, sizeBytes);
        } finally {
            pins.unpin(gref, false);
        }
        return GrantStatus.OKAY;
    }

    @Override
    public int copyTo(
            int gref, int pageOffset, MemorySegment from, long fromOffset, int sizeBytes) {
        Objects.checkFromIndexSize(fromOffset, Math.max(sizeBytes, 0), from.byteSize());
        int gfn = startCopy(gref, pageOffset, sizeBytes, true);
        if (gfn < 0) {
            return gfn;
        }
        try {
            MemorySegment.copy(
                    from, fromOffset, memory, GuestMemory.offsetOf(gfn) + pageOffset, sizeBytes);
        } finally {
            pins.unpin(gref, true);
        }
        return GrantStatus.OKAY;
    }

    private int startCopy(int gref, int pageOffset, int sizeBytes, boolean forWriting) {
        if (closed) {
            return GrantStatus.GENERAL_ERROR;
        }
        if (pageOffset < 0
                || sizeBytes < 0
                || (long) pageOffset + sizeBytes > GuestMemory.PAGE_SIZE) {
            return GrantStatus.BAD_COPY_ARG;
        }
        return pin(gref, forWriting);
    }

    private int pin(int gref, boolean forWriting) {
        // 2^31 and above are negative here.
        return gref < firstGref ? GrantStatus.BAD_GNTREF : pins.pin(gref, backend, forWriting);
    }

    @Override
    public int mappedCount() {
        return slotHandles.length - freeCount;
    }

    @Override
    public boolean closeSome(int budget) {
        closed = true;
        int left = budget;
        while (!longMappings.isEmpty()) {
            if (left <= 0) {
                return false;
            }
            LongMapping mapping = longMappings.removeLast();
            undo(mapping);
            left -= mapping.handles.length;
        }
        int dropped = 0;
        while (closeCursor < slotHandles.length && dropped < left) {
            int handle = slotHandles[closeCursor];
            if (handle != NOT_MAPPED) {
                drop(handle);
                dropped++;
            }
            closeCursor++;
        }
        pins.giveRoom(dropped);
        return mappedCount() == 0;
    }

    @Override
    public void close() {
        while (!closeSome(Integer.MAX_VALUE)) {
            // Two rounds at most: long mappings, then single ones.
        }
        if (windowOpen) {
            windowOpen = false;
            pins.windowClosed();
        }
    }

    /// Records a mapping. The handle is the slot and, above it, a number that differs from the last
    /// one of this slot: an old handle does not unmap a new mapping.
    private int track(int gref, boolean forWriting) {
        int slot = freeSlots[--freeCount];
        int handle = ((generation++ * (slotMask + 1)) | slot) & Integer.MAX_VALUE;
        slotHandles[slot] = handle;
        slotGrefs[slot] = gref;
        slotWritable[slot] = forWriting;
        return handle;
    }

    /// Forgets a mapping and unpins its page. The caller gives its room back.
    private int drop(int handle) {
        int slot = handle & slotMask;
        if (handle < 0 || slot >= slotHandles.length || slotHandles[slot] != handle) {
            return GrantStatus.BAD_HANDLE;
        }
        slotHandles[slot] = NOT_MAPPED;
        freeSlots[freeCount++] = slot;
        pins.unpin(slotGrefs[slot], slotWritable[slot]);
        return GrantStatus.OKAY;
    }
}
