package org.splitring.netback;

import java.util.concurrent.TimeUnit;

/// How long frames wait for a guest that offers no pages for them, in nanoseconds.
///
/// @param drainNanos after which a frame is dropped
/// @param stallNanos after which, without any progress, the carrier goes off
/// @param silentDrainNanos as `drainNanos`, for a frontend that sends no event for its pages (no
///     `feature-rx-notify`); its carrier stays on
public record VifTimeouts(long drainNanos, long stallNanos, long silentDrainNanos) {
    /// Linux's 10 seconds, 60 seconds and 30 milliseconds.
    public static final VifTimeouts DEFAULT =
            new VifTimeouts(
                    TimeUnit.SECONDS.toNanos(10),
                    TimeUnit.SECONDS.toNanos(60),
                    TimeUnit.MILLISECONDS.toNanos(30));

    public VifTimeouts {
        if (drainNanos <= 0 || stallNanos <= 0 || silentDrainNanos <= 0) {
            throw new IllegalArgumentException(
                    "timeouts " + drainNanos + ", " + stallNanos + ", " + silentDrainNanos);
        }
    }
}
