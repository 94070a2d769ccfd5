package org.splitring.blkfront;

import java.time.Duration;

/// Choices of a frontend.
///
/// @param ringPageOrder the ring has two to this power pages, 0 to 4, unless the backend takes
///     fewer
/// @param bufferBytes how much memory is set aside for data in flight, a multiple of 4096
/// @param deadline how long each step of connecting and closing may take
/// @param backendWait how long transfers wait for another backend when theirs is gone, before they
///     end with an error; zero for not at all
public record VbdFrontendOptions(
        int ringPageOrder, int bufferBytes, Duration deadline, Duration backendWait) {
    /// Four pages of ring, 8 MiB of buffers, 10 seconds, a minute.
    public static final VbdFrontendOptions DEFAULT =
            new VbdFrontendOptions(2, 8 << 20, Duration.ofSeconds(10), Duration.ofMinutes(1));

    public VbdFrontendOptions {
        if (ringPageOrder < 0 || ringPageOrder > 4) {
            throw new IllegalArgumentException("ringPageOrder not in 0..4: " + ringPageOrder);
        }
        if (bufferBytes <= 0 || bufferBytes % 4096 != 0) {
            throw new IllegalArgumentException("bufferBytes not whole pages: " + bufferBytes);
        }
    }

    public VbdFrontendOptions withRingPageOrder(int order) {
        return new VbdFrontendOptions(order, bufferBytes, deadline, backendWait);
    }

    public VbdFrontendOptions withBufferBytes(int bytes) {
        return new VbdFrontendOptions(ringPageOrder, bytes, deadline, backendWait);
    }

    public VbdFrontendOptions withDeadline(Duration limit) {
        return new VbdFrontendOptions(ringPageOrder, bufferBytes, limit, backendWait);
    }

    public VbdFrontendOptions withBackendWait(Duration limit) {
        return new VbdFrontendOptions(ringPageOrder, bufferBytes, deadline, limit);
    }
}
