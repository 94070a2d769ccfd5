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

/// The control ring of a vif: serves what a frontend asks for about its hash. Whatever is in a
/// request, it gets one response. What lies in a page of the frontend is copied, checked, and only
/// then put in place (H-048). On the loop.
///
/// Static grants (`GET_GREF_MAPPING_SIZE` and the two after it) are answered with NOT_SUPPORTED, as
/// Linux does.
///
/// Source: Xen `public/io/netif.h`, "Control Ring"; Linux `xen-netback/hash.c`.
final class ControlQueue implements RingWork {
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final BackRing ring;
    private final ForeignPages pages;
    private final EventChannel channel;
    private final HashConfig config;
    private final MemorySegment request =
            Arena.ofAuto().allocate(NetifCtrlLayout.ENTRY_SIZE_BYTES, 8);
    private final MemorySegment copy = Arena.ofAuto().allocate(GuestMemory.PAGE_SIZE, 8);
    private int answer; // the response's data

    ControlQueue(BackRing ring, ForeignPages pages, EventChannel channel, HashConfig config) {
        this.ring = ring;
        this.pages = pages;
        this.channel = channel;
        this.config = config;
    }

    @Override
    public int poll(int budget) {
        int count = Math.min(ring.unconsumedRequests(), budget);
        for (int i = 0; i < count; i++) {
            ring.copyRequest(request);
            int id = NetifCtrlLayout.id(request, 0);
            int type = NetifCtrlLayout.type(request, 0);
            answer = 0;
            int status = serve(type);
            NetifCtrlLayout.writeResponse(
                    ring.segment(),
                    ring.slotOffset(ring.takeResponseIndex()),
                    id,
                    type,
                    status,
                    answer);
        }
        if (ring.pushResponsesAndCheckNotify()) {
            channel.send();
        }
        return count;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForRequests();
    }

    private int serve(int type) {
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
}
