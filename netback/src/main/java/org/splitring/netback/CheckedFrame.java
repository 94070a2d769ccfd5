package org.splitring.netback;

/// One frame off the tx ring after all checks of its slots: private memory, filled by
/// [RequestReader] and used again for a later one. [TxQueue] has a few, for as many frames as it
/// takes at a time.
///
///     slot 0        slots of extras     slots 1 .. count-1
///     +-----------+-------------------+--------------------+
///     | first     | GSO, hash, ...    | further pieces     |
///     +-----------+-------------------+--------------------+
final class CheckedFrame {
    /// Slots of data that a frame may have before its vif is taken for a malicious one; those
    /// beyond `XEN_NETIF_NR_SLOTS_MIN` make the frame a dropped one only.
    static final int FATAL_SLOTS = 20;

    /// Slots of data: 1 to [#FATAL_SLOTS].
    int count;

    /// Slots of extras, right after the first.
    int extras;

    /// Of each slot of data; the frontend's, echoed unchanged.
    final int[] ids = new int[FATAL_SLOTS];

    final int[] grefs = new int[FATAL_SLOTS];

    /// With [#sizes] it stays within the page.
    final int[] offsets = new int[FATAL_SLOTS];

    /// Bytes of each piece. They add up to [#sizeBytes], when the frame is good.
    final int[] sizes = new int[FATAL_SLOTS];

    /// Bytes of the whole frame, as its first slot says.
    int sizeBytes;

    /// `NetifTxLayout` flags of the first slot.
    int flags;

    /// `NetifExtraLayout.GSO_TYPE_*`, checked.
    int gsoType;

    /// Not 0 when there is a type.
    int gsoSizeBytes;

    /// Bit of the hash's type (`NetifCtrlLayout.HASH_TYPE_*`), 0 when the frontend sent none.
    int hashType;

    int hash;

    /// What [RequestReader#read] has said of it.
    int verdict;

    /// Of [FrameCopies#plan]: a `GrantStatus`.
    int headerStatus;

    /// Of the same: the first byte that is not in the header lies in this slot, so many
    /// bytes after its offset.
    int nextSlot;

    int nextByte;

    /// Of the same: which of the planned copies are this frame's, and where its rest begins.
    int firstCopy;

    int endCopy;
    int restAt;

    /// For [RequestReader#MULTICAST]: the address, and whether it is added.
    long multicastAddress;

    boolean multicastAdded;
}
