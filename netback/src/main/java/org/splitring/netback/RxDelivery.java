package org.splitring.netback;

import org.splitring.hypervisor.GrantCopies;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.wire.NetifRxLayout;

/// One frame on its way into slots that were taken for it. Reused.
///
///     slot 0        slots of extras     slots of data 1 ..
///     +-----------+-------------------+--------------------+
///     | first     | GSO, hash, XDP    | further pages      |
///     +-----------+-------------------+--------------------+
final class RxDelivery {
    /// 65557 bytes in pages of 2048, and extras.
    static final int MAX_SLOTS = 40;

    private static final int NO_COPY = -1;

    final RxMark mark;
    int sizeBytes;

    /// Slots of data, and of extras.
    int dataSlots;

    int extras;

    /// Of each slot: private copies.
    final long[] requests = new long[MAX_SLOTS];

    private final boolean[] refused = new boolean[MAX_SLOTS];
    private final int[] copies = new int[MAX_SLOTS]; // of each slot of data: its place in a list

    /// @param mark where this one's mark is kept; the very one that [#begin] gets when a frame is
    ///     delivered before the next one comes
    RxDelivery(RxMark mark) {
        this.mark = mark;
    }

    void begin(RxMark of, int frameBytes, int slotsOfData, int slotsOfExtras) {
        if (of != mark) {
            mark.of(of);
        }
        sizeBytes = frameBytes;
        dataSlots = slotsOfData;
        extras = slotsOfExtras;
        for (int i = 0; i < slotsOfData; i++) {
            copies[i] = NO_COPY;
            refused[i] = false;
        }
    }

    int slots() {
        return dataSlots + extras;
    }

    /// Which slot a slot of data is: the extras come after the first.
    int slotOf(int dataSlot) {
        return dataSlot == 0 ? 0 : dataSlot + extras;
    }

    int gref(int dataSlot) {
        return NetifRxLayout.grefOf(requests[slotOf(dataSlot)]);
    }

    /// What a slot of data gets is a piece of that list.
    void copiedBy(int dataSlot, int piece) {
        copies[dataSlot] = piece;
    }

    void refuse(int dataSlot) {
        refused[dataSlot] = true;
    }

    boolean isRefused(int dataSlot) {
        return refused[dataSlot];
    }

    /// Looks what came of its copies.
    ///
    /// @return whether no slot is refused
    boolean settle(GrantCopies list) {
        boolean good = true;
        for (int i = 0; i < dataSlots; i++) {
            if (copies[i] != NO_COPY && list.status(copies[i]) != GrantStatus.OKAY) {
                refused[i] = true;
            }
            good &= !refused[i];
        }
        return good;
    }
}
