package org.splitring.netfront;

import java.time.Duration;

/// Choices of a network frontend. What the backend does not offer is not used.
///
/// @param queues most queues, 1 to 8
/// @param splitChannels whether each ring has an event channel of its own
/// @param scatterGather whether frames of more than one page may come and be sent
/// @param offloads whether frames may come, and be sent, with partial checksums and as large
///     segments; needs `scatterGather` for the latter
/// @param staticGrants whether a backend that has a control ring is asked to keep the pages of all
///     queues mapped
/// @param deadline how long each step of connecting and closing may take
/// @param backendWait how long a vif waits for another backend when its own is gone
public record VifFrontendOptions(
        int queues,
        boolean splitChannels,
        boolean scatterGather,
        boolean offloads,
        boolean staticGrants,
        Duration deadline,
        Duration backendWait) {
    /// One queue, everything that there is, 10 seconds, a minute.
    public static final VifFrontendOptions DEFAULT =
            new VifFrontendOptions(
                    1, true, true, true, true, Duration.ofSeconds(10), Duration.ofMinutes(1));

    public VifFrontendOptions {
        if (queues < 1 || queues > 8) {
            throw new IllegalArgumentException("queues not in 1..8: " + queues);
        }
    }

    public VifFrontendOptions withQueues(int count) {
        return new VifFrontendOptions(
                count, splitChannels, scatterGather, offloads, staticGrants, deadline, backendWait);
    }

    /// Whole frames with complete checksums only, both ways: for those who look into frames
    /// themselves.
    public VifFrontendOptions withoutOffloads() {
        return new VifFrontendOptions(
                queues, splitChannels, scatterGather, false, staticGrants, deadline, backendWait);
    }

    /// Every page is granted for each frame anew, as with a backend without a control ring.
    public VifFrontendOptions withoutStaticGrants() {
        return new VifFrontendOptions(
                queues, splitChannels, scatterGather, offloads, false, deadline, backendWait);
    }

    /// One page for a frame, one event channel, one queue, no offload: what every peer has.
    public VifFrontendOptions withLeast() {
        return new VifFrontendOptions(1, false, false, false, false, deadline, backendWait);
    }
}
