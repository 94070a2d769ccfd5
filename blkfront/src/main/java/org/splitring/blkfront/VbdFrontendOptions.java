package org.splitring.blkfront;

/// Choices of a frontend.
///
/// @param ringPageOrder the ring has two to this power pages, 0 to 4, unless the backend takes
///     fewer
/// @param bufferBytes how much memory is set aside for data in flight, a multiple of 4096
/// @param persistentGrants whether all of that is granted to the backend as long as it is
///     connected, if it offers that (`feature-persistent`), and not only what a transfer is using
/// @param queues rings, 1 to 16, unless the backend takes fewer; all are used by the device's
///     loop
public record VbdFrontendOptions(
        int ringPageOrder, int bufferBytes, boolean persistentGrants, int queues) {
    /// One ring of four pages, 8 MiB of buffers, granted for each request.
    public static final VbdFrontendOptions DEFAULT = new VbdFrontendOptions(2, 8 << 20, false, 1);

    public VbdFrontendOptions {
        if (queues < 1 || queues > 16) {
            throw new IllegalArgumentException("queues not in 1..16: " + queues);
        }
        if (ringPageOrder < 0 || ringPageOrder > 4) {
            throw new IllegalArgumentException("ringPageOrder not in 0..4: " + ringPageOrder);
        }
        if (bufferBytes <= 0 || bufferBytes % 4096 != 0) {
            throw new IllegalArgumentException("bufferBytes not whole pages: " + bufferBytes);
        }
    }

    public VbdFrontendOptions withRingPageOrder(int order) {
        return new VbdFrontendOptions(order, bufferBytes, persistentGrants, queues);
    }

    public VbdFrontendOptions withBufferBytes(int bytes) {
        return new VbdFrontendOptions(ringPageOrder, bytes, persistentGrants, queues);
    }

    public VbdFrontendOptions withPersistentGrants(boolean wanted) {
        return new VbdFrontendOptions(ringPageOrder, bufferBytes, wanted, queues);
    }

    public VbdFrontendOptions withQueues(int count) {
        return new VbdFrontendOptions(ringPageOrder, bufferBytes, persistentGrants, count);
    }
}
