package org.splitring.hypervisor.xen;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantCopies;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.MappingBudget;
import org.splitring.hypervisor.linux.AddressRange;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.GntDevice;
import org.splitring.hypervisor.linux.LinuxException;

/// A device's window on pages that a frontend granted to this domain: a range of addresses with a
/// slot for each page, and a descriptor of `/dev/xen/gntdev` that fills slots.
///
/// Neighbours of a batch get neighbouring slots where there are so many in a row, and are mapped
/// by one call then. When Xen refuses one of them the device refuses all, so they are tried again
/// one by one, for a status each: only a guest that grants badly pays for that. There are twice as
/// many slots as may be mapped, so that a row is mostly found.
///
/// A ring has a range of its own: after its end an access throws, instead of ending the process.
///
/// Mapping and unmapping a batch allocate nothing.
final class XenForeignPages implements ForeignPages {
    /// Most pages of one call.
    static final int MOST_AT_ONCE = 256;

    private static final int PAGE_SIZE = GuestMemory.PAGE_SIZE;
    private static final int NOT_MAPPED = -1;
    private static final int LOST = -2;

    /// Status of a piece that the device is about to copy; no `GNTST_*`.
    private static final int LISTED = Integer.MAX_VALUE;

    private final DomId frontend;
    private final GntDevice device;
    private final AddressRange range;
    private final MemorySegment memory;
    private final int maxMappings;
    private final MappingBudget budget;
    private final Runnable onClosed;

    private final int[] slotHandles; // the handle that unmaps the slot, or NOT_MAPPED, or LOST
    private final int slotMask;
    private int nextSlot; // where the next row is looked for
    private int mapped; // pages in slots and in rings
    private int generation;

    private final List<Ring> rings = new ArrayList<>();
    private final GrantCopies oneCopy = new GrantCopies(1);
    private final GrantBatch one = new GrantBatch(1); // of copies that Xen cannot do
    private boolean closed;
    private boolean windowOpen = true;
    private int closeCursor;

    private record Ring(AddressRange range, int pages) {}

    private XenForeignPages(
            DomId frontend,
            GntDevice device,
            AddressRange range,
            int slots,
            int maxMappings,
            MappingBudget budget,
            Runnable onClosed) {
        this.frontend = frontend;
        this.device = device;
        this.range = range;
        this.maxMappings = maxMappings;
        this.budget = budget;
        this.onClosed = onClosed;
        memory = range.segment();
        slotHandles = new int[slots];
        Arrays.fill(slotHandles, NOT_MAPPED);
        slotMask = slots - 1;
    }

    /// @param device of grants
    /// @param mostAtOnce pages of one call
    /// @param budget of the guest, shared with its other devices
    /// @param onClosed runs at the end of the window, once
    /// @throws GrantException when the device or addresses cannot be had
    static XenForeignPages open(
            Path device,
            DomId frontend,
            int maxMappings,
            int mostAtOnce,
            MappingBudget budget,
            Runnable onClosed)
            throws GrantException {
        int slots = Integer.highestOneBit(2 * maxMappings - 1) << 1;
        AddressRange range = null;
        try {
            range = AddressRange.reserve((long) slots * PAGE_SIZE);
            GntDevice opened = GntDevice.open(device, mostAtOnce);
            XenForeignPages pages =
                    new XenForeignPages(
                            frontend, opened, range, slots, maxMappings, budget, onClosed);
            range = null;
            return pages;
        } catch (LinuxException e) {
            throw new GrantException(GrantStatus.NO_DEVICE_SPACE, String.valueOf(e.getMessage()));
        } finally {
            if (range != null) {
                range.close();
            }
        }
    }

    @Override
    public DomId frontend() {
        return frontend;
    }

    @Override
    public boolean map(GrantBatch batch) {
        int size = batch.size();
        for (int i = 0; i < size; i++) {
            if (batch.handle(i) != NOT_MAPPED) {
                throw new IllegalStateException(
                        "element " + i + " is mapped already, handle " + batch.handle(i));
            }
        }
        if (closed) {
            fail(batch, 0, size, GrantStatus.GENERAL_ERROR);
            return size == 0;
        }
        int room = budget.takeUpTo(Math.min(size, maxMappings - mapped));
        int before = mapped;
        int next = 0;
        while (next < room) {
            next += mapRow(batch, next, room);
        }
        fail(batch, room, size, GrantStatus.NO_SPACE);
        int got = mapped - before;
        budget.give(room - got);
        return got == size;
    }

    private static void fail(GrantBatch batch, int from, int to, int status) {
        for (int i = from; i < to; i++) {
            batch.set(i, status, NOT_MAPPED, MemorySegment.NULL, 0);
        }
    }

    /// Maps elements from `first` on that want the same rights and find a row of slots.
    ///
    /// @return how many have their status now, one at least
    private int mapRow(GrantBatch batch, int first, int end) {
        boolean writable = batch.writable(first);
        int most = Math.min(end - first, device.capacity());
        int wanted = 1;
        while (wanted < most && batch.writable(first + wanted) == writable) {
            wanted++;
        }
        int slot = findRow(wanted);
        if (slot < 0) {
            fail(batch, first, first + 1, GrantStatus.NO_SPACE);
            return 1;
        }
        int length = rowAt(slot, wanted);
        nextSlot = slot + length;
        if (mapAt(batch, first, slot, length, writable) != 0 && length > 1) {
            for (int i = 0; i < length; i++) {
                int alone = findRow(1);
                if (alone < 0) {
                    fail(batch, first + i, first + i + 1, GrantStatus.NO_SPACE);
                } else {
                    mapAt(batch, first + i, alone, 1, writable);
                }
            }
        }
        return length;
    }

    /// @return 0, or `-errno`: then no element is mapped
    private int mapAt(GrantBatch batch, int first, int slot, int count, boolean writable) {
        device.clear();
        for (int i = 0; i < count; i++) {
            device.add(frontend.value(), batch.gref(first + i));
        }
        long offset = (long) slot * PAGE_SIZE;
        int result = device.map(range, offset, writable);
        if (result != 0) {
            noteLost(slot, count);
            fail(batch, first, first + count, statusOf(-result));
            return result;
        }
        for (int i = 0; i < count; i++) {
            int handle = ((generation++ * (slotMask + 1)) | (slot + i)) & Integer.MAX_VALUE;
            slotHandles[slot + i] = handle;
            batch.set(first + i, GrantStatus.OKAY, handle, memory, offset + (long) i * PAGE_SIZE);
        }
        mapped += count;
        return 0;
    }

    private void noteLost(int slot, int count) {
        if (range.isLost((long) slot * PAGE_SIZE, (long) count * PAGE_SIZE)) {
            Arrays.fill(slotHandles, slot, slot + count, LOST);
        }
    }

    /// The device tells only that it did not work.
    private static int statusOf(int errno) {
        return switch (errno) {
            case Errno.ENOMEM, Errno.ENOSPC -> GrantStatus.NO_DEVICE_SPACE;
            case Errno.EAGAIN -> GrantStatus.EAGAIN;
            default -> GrantStatus.GENERAL_ERROR;
        };
    }

    /// The next free slot with `wanted` free ones in a row, else with the longest row that a look
    /// around comes by; -1 when none is free.
    private int findRow(int wanted) {
        int slots = slotHandles.length;
        int best = -1;
        int bestLength = 0;
        int at = nextSlot & slotMask;
        for (int seen = 0; seen < slots; ) {
            int length = rowAt(at, wanted);
            if (length > bestLength) {
                best = at;
                bestLength = length;
                if (length == wanted) {
                    return best;
                }
            }
            seen += length + 1;
            at += length + 1;
            if (at >= slots) {
                at = 0;
            }
        }
        return best;
    }

    /// How many slots are free from this one on, up to `most`.
    private int rowAt(int slot, int most) {
        int end = Math.min(slotHandles.length, slot + most);
        int at = slot;
        while (at < end && slotHandles[at] == NOT_MAPPED) {
            at++;
        }
        return at - slot;
    }

    @Override
    public void unmap(GrantBatch batch) {
        int size = batch.size();
        int before = mapped;
        int rowStart = 0;
        int rowLength = 0;
        for (int i = 0; i < size; i++) {
            int handle = batch.handle(i);
            if (handle == NOT_MAPPED && batch.status(i) != GrantStatus.OKAY) {
                continue;
            }
            int slot = handle & slotMask;
            if (handle < 0 || slotHandles[slot] != handle) {
                batch.set(i, GrantStatus.BAD_HANDLE, NOT_MAPPED, MemorySegment.NULL, 0);
                continue;
            }
            if (rowLength == 0 || slot != rowStart + rowLength) {
                clear(rowStart, rowLength);
                rowStart = slot;
                rowLength = 0;
            }
            rowLength++;
            slotHandles[slot] = NOT_MAPPED;
            batch.set(i, GrantStatus.OKAY, NOT_MAPPED, MemorySegment.NULL, 0);
        }
        clear(rowStart, rowLength);
        budget.give(before - mapped);
    }

    /// Takes the pages of slots away that are marked free already.
    private void clear(int slot, int count) {
        if (count > 0) {
            mapped -= count;
            if (!range.clear((long) slot * PAGE_SIZE, (long) count * PAGE_SIZE)) {
                Arrays.fill(slotHandles, slot, slot + count, LOST);
            }
        }
    }

    @Override
    public MemorySegment mapContiguous(int[] grefs) throws GrantException {
        if (grefs.length == 0) {
            throw new IllegalArgumentException("no pages");
        }
        if (closed) {
            throw new GrantException(GrantStatus.GENERAL_ERROR, "the window is closed");
        }
        int count = grefs.length;
        int room = budget.takeUpTo(Math.min(count, maxMappings - mapped));
        AddressRange made = null;
        try {
            if (room < count) {
                throw new GrantException(
                        GrantStatus.NO_SPACE, "no room for " + count + " more mappings");
            }
            made = AddressRange.reserve((long) count * PAGE_SIZE);
            int step = Math.min(count, device.capacity());
            for (int first = 0; first < count; first += step) {
                mapRing(made, grefs, first, Math.min(count, first + step));
            }
            Ring ring = new Ring(made, count);
            rings.add(ring);
            mapped += count;
            made = null;
            room = 0;
            return ring.range().segment();
        } catch (LinuxException e) {
            throw new GrantException(GrantStatus.NO_DEVICE_SPACE, String.valueOf(e.getMessage()));
        } finally {
            if (made != null) {
                made.close();
            }
            budget.give(room);
        }
    }

    private void mapRing(AddressRange to, int[] grefs, int first, int end) throws GrantException {
        device.clear();
        StringBuilder names = new StringBuilder();
        for (int i = first; i < end; i++) {
            device.add(frontend.value(), grefs[i]);
            names.append(' ').append(Integer.toUnsignedString(grefs[i]));
        }
        int result = device.map(to, (long) first * PAGE_SIZE, true);
        if (result != 0) {
            throw new GrantException(statusOf(-result), "gref" + names);
        }
    }

    @Override
    public void unmapContiguous(MemorySegment pages) {
        for (int i = 0; i < rings.size(); i++) {
            if (rings.get(i).range().segment().equals(pages)) {
                undo(rings.remove(i));
                return;
            }
        }
        throw new IllegalArgumentException("not mapped by this window, or no longer: " + pages);
    }

    private void undo(Ring ring) {
        ring.range().close();
        mapped -= ring.pages();
        budget.give(ring.pages());
    }

    @Override
    public int copyFrom(int gref, int pageOffset, MemorySegment to, long toOffset, int sizeBytes) {
        return copyOne(gref, pageOffset, to, toOffset, sizeBytes, false);
    }

    @Override
    public int copyTo(
            int gref, int pageOffset, MemorySegment from, long fromOffset, int sizeBytes) {
        return copyOne(gref, pageOffset, from, fromOffset, sizeBytes, true);
    }

    private int copyOne(
            int gref,
            int pageOffset,
            MemorySegment ours,
            long offset,
            int sizeBytes,
            boolean toGuest) {
        oneCopy.clear();
        oneCopy.add(gref, pageOffset, ours, offset, sizeBytes);
        var ignored = copy(oneCopy, toGuest);
        return oneCopy.status(0);
    }

    @Override
    public boolean copyFrom(GrantCopies copies) {
        return copy(copies, false);
    }

    @Override
    public boolean copyTo(GrantCopies copies) {
        return copy(copies, true);
    }

    @Override
    public boolean isCopyingCheaper() {
        return true;
    }

    private boolean copy(GrantCopies copies, boolean toGuest) {
        boolean all = true;
        int next = 0;
        while (next < copies.size()) {
            int first = next;
            device.clearCopies();
            while (next < copies.size() && device.copies() < GntDevice.copyCapacity()) {
                addCopy(copies, next++, toGuest);
            }
            boolean taken = device.copies() > 0 && device.copyAll() == 0;
            int listed = 0;
            for (int i = first; i < next; i++) {
                int status = copies.status(i);
                if (status == LISTED) {
                    status = taken ? device.copyStatus(listed) : GrantStatus.GENERAL_ERROR;
                    listed++;
                } else if (status == GrantStatus.OKAY) {
                    status = GrantStatus.GENERAL_ERROR; // not for Xen to copy
                } else {
                    all = false;
                    continue;
                }
                // Xen says no, or was not asked: a mapping tells why, or can do it.
                if (status != GrantStatus.OKAY) {
                    status = mapAndCopy(copies, i, toGuest);
                }
                copies.set(i, status);
                all &= status == GrantStatus.OKAY;
            }
        }
        return all;
    }

    /// Puts a copy on the device's list. Its status becomes [#LISTED], or OKAY when Xen cannot copy
    /// it itself, or what is wrong with it.
    private void addCopy(GrantCopies copies, int i, boolean toGuest) {
        int sizeBytes = copies.sizeBytes(i);
        int pageOffset = copies.pageOffset(i);
        MemorySegment ours = copies.memory(i);
        Objects.checkFromIndexSize(copies.offset(i), Math.max(sizeBytes, 0), ours.byteSize());
        int problem = copyProblem(pageOffset, sizeBytes);
        copies.set(i, problem);
        if (problem != GrantStatus.OKAY || !ours.isNative()) {
            return;
        }
        copies.set(i, LISTED);
        long address = ours.address() + copies.offset(i);
        if (toGuest) {
            device.addCopyTo(frontend.value(), copies.gref(i), pageOffset, address, sizeBytes);
        } else {
            device.addCopyFrom(frontend.value(), copies.gref(i), pageOffset, address, sizeBytes);
        }
    }

    private int copyProblem(int pageOffset, int sizeBytes) {
        if (closed) {
            return GrantStatus.GENERAL_ERROR;
        }
        return pageOffset < 0 || sizeBytes < 0 || (long) pageOffset + sizeBytes > PAGE_SIZE
                ? GrantStatus.BAD_COPY_ARG
                : GrantStatus.OKAY;
    }

    /// What Xen cannot copy itself: our side is on the heap, or a page of yet another domain.
    private int mapAndCopy(GrantCopies copies, int i, boolean toGuest) {
        one.clear();
        one.add(copies.gref(i), toGuest);
        if (!map(one)) {
            return one.status(0);
        }
        MemorySegment ours = copies.memory(i);
        long theirs = one.offset(0) + copies.pageOffset(i);
        int sizeBytes = copies.sizeBytes(i);
        if (toGuest) {
            MemorySegment.copy(ours, copies.offset(i), memory, theirs, sizeBytes);
        } else {
            MemorySegment.copy(memory, theirs, ours, copies.offset(i), sizeBytes);
        }
        unmap(one);
        return GrantStatus.OKAY;
    }

    @Override
    public int mappedCount() {
        return mapped;
    }

    @Override
    public boolean closeSome(int most) {
        closed = true;
        int left = most;
        while (!rings.isEmpty()) {
            if (left <= 0) {
                return false;
            }
            Ring ring = rings.removeLast();
            undo(ring);
            left -= ring.pages();
        }
        int before = mapped;
        while (closeCursor < slotHandles.length && before - mapped < left) {
            int slot = closeCursor;
            int length = 0;
            while (slot + length < slotHandles.length
                    && length < left - (before - mapped)
                    && slotHandles[slot + length] >= 0) {
                slotHandles[slot + length++] = NOT_MAPPED;
            }
            clear(slot, length);
            closeCursor = slot + Math.max(length, 1);
        }
        budget.give(before - mapped);
        return mapped == 0;
    }

    @Override
    public void close() {
        while (!closeSome(Integer.MAX_VALUE)) {
            // Two rounds at most: rings, then single pages.
        }
        if (windowOpen) {
            windowOpen = false;
            device.close();
            range.close();
            onClosed.run();
        }
    }
}
