package org.splitring.xenbus;

import java.time.Duration;

/// Choices of a frontend's machine.
///
/// @param deadline how long each step of connecting and closing may take
/// @param backendWait how long a device that has lost its backend waits for another; zero to give
///     up at once
public record FrontendOptions(Duration deadline, Duration backendWait) {
    /// Xen's 10 seconds for a step, a minute for another backend.
    public static final FrontendOptions DEFAULT =
            new FrontendOptions(Duration.ofSeconds(10), Duration.ofMinutes(1));

    public FrontendOptions {
        if (deadline.isNegative() || deadline.isZero()) {
            throw new IllegalArgumentException("deadline " + deadline);
        }
        if (backendWait.isNegative()) {
            throw new IllegalArgumentException("backendWait " + backendWait);
        }
    }

    public FrontendOptions withDeadline(Duration limit) {
        return new FrontendOptions(limit, backendWait);
    }

    public FrontendOptions withBackendWait(Duration limit) {
        return new FrontendOptions(deadline, limit);
    }
}
