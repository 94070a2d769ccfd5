package org.splitring.netback;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;
import org.splitring.wire.NetifCtrlLayout;

/// The control ring of a vif: serves what a frontend asks for about its hash, and about pages that
/// are to be kept mapped ([StaticGrants]). Whatever is in a request, it gets one response. What
/// lies in a page of the frontend is copied, checked, and only then put in place (H-048). On the
/// loop.
///
/// Source: Xen `public/io/netif.h`, "Control Ring"; Linux `xen-netback/hash.c`, which has no static
/// grants.
final class ControlQueue implements RingWork {
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final BackRing ring;
    private final OrderedNote note;
    private final ForeignPages pages;
    private final EventChannel channel;
    private final HashConfig config;
    private final StaticGrants[] kept; // of each queue
    private final MemorySegment request =
            Arena.ofAuto().allocate(NetifCtrlLayout.ENTRY_SIZE_BYTES, 8);
    private final MemorySegment copy = Arena.ofAuto().allocate(GuestMemory.PAGE_SIZE, 8);
    private int answer; // the response's data

    /// @param note of the ring; what a predecessor has left without an answer is served first
    /// @param kept of each queue
    ControlQueue(
            BackRing ring,
            OrderedNote note,
            ForeignPages pages,
            EventChannel channel,
            HashConfig config,
            StaticGrants[] kept) {
        this.ring = ring;
        this.note = note;
        this.pages = pages;
        this.channel = channel;
        this.config = config;
        this.kept = kept;
    }

    @Override
    public int poll(int budget) {
        int taken = 0;
        while (taken < budget && ring.unansweredRequests() > 0) { // by a predecessor
            serve(ring.responseIndex());
            taken++;
        }
        int count = Math.min(ring.unconsumedRequests(), budget - taken);
        for (int i = 0; i < count; i++) {
            int index = ring.copyRequest(request);
            MemorySegment.copy(
                    request, 0, note.copies(), copyAt(index), NetifCtrlLayout.ENTRY_SIZE_BYTES);
            note.taken(index + 1);
            serve(index);
        }
        return taken + count;
    }

    private long copyAt(int index) {
        return (long) (index & (ring.entries() - 1)) * NetifCtrlLayout.ENTRY_SIZE_BYTES;
    }

    /// Serves the request of which there is a copy, and answers it. The answer is published before
    /// the next request is served: a successor may serve one again without telling, but of two the
    /// first would meet what the second has changed.
    private void serve(int index) {
        MemorySegment.copy(
                note.copies(), copyAt(index), request, 0, NetifCtrlLayout.ENTRY_SIZE_BYTES);
        int id = NetifCtrlLayout.id(request, 0);
        int type = NetifCtrlLayout.type(request, 0);
        answer = 0;
        int status = statusOf(type);
        NetifCtrlLayout.writeResponse(
                ring.segment(),
                ring.slotOffset(ring.takeResponseIndex()),
                id,
                type,
                status,
                answer);
        note.publishing(ring.responseIndex());
        if (ring.pushResponsesAndCheckNotify()) {
            channel.send();
        }
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForRequests();
    }

    private int statusOf(int type) {
        int first = NetifCtrlLayout.data(request, 0, 0);
        int second = NetifCtrlLayout.data(request, 0, 1);
        int third = NetifCtrlLayout.data(request, 0, 2);
        return switch (type) {
            case NetifCtrlLayout.TYPE_GET_HASH_FLAGS -> value(HashConfig.ALL_TYPES);
            case NetifCtrlLayout.TYPE_SET_HASH_FLAGS -> config.setTypes(first);
            case NetifCtrlLayout.TYPE_SET_HASH_KEY -> setKey(first, second);
            case NetifCtrlLayout.TYPE_GET_HASH_MAPPING_SIZE -> value(HashConfig.MAX_MAPPING_SIZE);
            case NetifCtrlLayout.TYPE_SET_HASH_MAPPING_SIZE -> config.setMappingSize(first);
            case NetifCtrlLayout.TYPE_SET_HASH_MAPPING -> setMapping(first, second, third);
            case NetifCtrlLayout.TYPE_SET_HASH_ALGORITHM -> config.setAlgorithm(first);
            case NetifCtrlLayout.TYPE_GET_GREF_MAPPING_SIZE ->
                    isQueue(first)
                            ? value(StaticGrants.MAX_PAGES)
                            : NetifCtrlLayout.STATUS_INVALID_PARAMETER;
            case NetifCtrlLayout.TYPE_ADD_GREF_MAPPING -> keepPages(first, second, third);
            case NetifCtrlLayout.TYPE_DEL_GREF_MAPPING -> givePagesBack(first, second, third);
            default -> NetifCtrlLayout.STATUS_NOT_SUPPORTED;
        };
    }

    private int value(int data) {
        answer = data;
        return NetifCtrlLayout.STATUS_SUCCESS;
    }

    private int setKey(int gref, int length) {
        if (length < 0 || length > FlowHash.KEY_BYTES) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        byte[] key = new byte[FlowHash.KEY_BYTES];
        if (length > 0) { // of nothing, the reference is not looked at
            if (pages.copyFrom(gref, 0, copy, 0, length) != GrantStatus.OKAY) {
                return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
            }
            MemorySegment.copy(copy, ValueLayout.JAVA_BYTE, 0, key, 0, length);
        }
        config.setKey(key);
        return NetifCtrlLayout.STATUS_SUCCESS;
    }

    private int setMapping(int gref, int length, int offset) {
        // Both halves are at most 128 before they are added: the sum does not wrap.
        if (length < 0
                || length > HashConfig.MAX_MAPPING_SIZE
                || offset < 0
                || offset > HashConfig.MAX_MAPPING_SIZE
                || offset + length > config.mappingSize()) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        int[] entries = new int[length];
        if (length > 0) {
            if (pages.copyFrom(gref, 0, copy, 0, length * Integer.BYTES) != GrantStatus.OKAY) {
                return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
            }
            MemorySegment.copy(copy, U32, 0, entries, 0, length);
        }
        return config.setMapping(entries, offset);
    }

    private boolean isQueue(int index) {
        return index >= 0 && index < kept.length;
    }

    /// Copies the list of references that `gref` has.
    private boolean hasList(int queue, int gref, int length) {
        return isQueue(queue)
                && length > 0
                && length <= StaticGrants.MAX_PAGES
                && pages.copyFrom(gref, 0, copy, 0, length * NetifCtrlLayout.GREF_SIZE_BYTES)
                        == GrantStatus.OKAY;
    }

    private int keepPages(int queue, int gref, int length) {
        if (!hasList(queue, gref, length)) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        int[] wanted = new int[length];
        boolean[] readOnly = new boolean[length];
        for (int i = 0; i < length; i++) {
            long at = (long) i * NetifCtrlLayout.GREF_SIZE_BYTES;
            int flags = NetifCtrlLayout.grefFlags(copy, at);
            if ((flags & ~NetifCtrlLayout.GREF_READONLY) != 0) {
                return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
            }
            wanted[i] = NetifCtrlLayout.gref(copy, at);
            readOnly[i] = flags != 0;
        }
        return kept[queue].add(wanted, readOnly)
                ? NetifCtrlLayout.STATUS_SUCCESS
                : NetifCtrlLayout.STATUS_INVALID_PARAMETER;
    }

    /// The statuses go back into the list; the frontend that has made it read-only, or has changed
    /// it meanwhile, reads what it finds.
    private int givePagesBack(int queue, int gref, int length) {
        if (!hasList(queue, gref, length)) {
            return NetifCtrlLayout.STATUS_INVALID_PARAMETER;
        }
        int[] wanted = new int[length];
        boolean[] removed = new boolean[length];
        for (int i = 0; i < length; i++) {
            wanted[i] = NetifCtrlLayout.gref(copy, (long) i * NetifCtrlLayout.GREF_SIZE_BYTES);
        }
        answer = kept[queue].remove(wanted, removed);
        for (int i = 0; i < length; i++) {
            NetifCtrlLayout.writeGrefStatus(
                    copy,
                    (long) i * NetifCtrlLayout.GREF_SIZE_BYTES,
                    removed[i]
                            ? NetifCtrlLayout.STATUS_SUCCESS
                            : NetifCtrlLayout.STATUS_INVALID_PARAMETER);
        }
        int told = pages.copyTo(gref, 0, copy, 0, length * NetifCtrlLayout.GREF_SIZE_BYTES);
        return told == GrantStatus.OKAY
                ? NetifCtrlLayout.STATUS_SUCCESS
                : NetifCtrlLayout.STATUS_INVALID_PARAMETER;
    }
}
