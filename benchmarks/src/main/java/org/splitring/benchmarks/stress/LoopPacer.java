package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;

/// Wakes the streams of one loop when something of theirs is due: one timer for all. State is
/// that of the loop.
final class LoopPacer {
    /// Asks for what is due.
    interface Stream {
        /// Sends what is due and possible.
        void pump();

        /// When the next request is due that could be sent; `Long.MAX_VALUE` when none can be.
        long nextDue();
    }

    private final DeviceLoop loop;
    private final List<Stream> streams = new ArrayList<>();
    private final Runnable onTimer = this::onTimer;
    private @Nullable Runnable armed; // cancels the timer that is running
    private long armedFor;

    LoopPacer(DeviceLoop loop) {
        this.loop = loop;
    }

    DeviceLoop loop() {
        return loop;
    }

    void add(Stream stream) {
        streams.add(stream);
    }

    void clear() {
        streams.clear();
    }

    private void onTimer() {
        armed = null;
        long next = Long.MAX_VALUE;
        for (Stream stream : streams) {
            stream.pump();
            next = Math.min(next, stream.nextDue());
        }
        if (next != Long.MAX_VALUE) {
            wakeAt(next);
        }
    }

    /// Has the streams pumped at that time or before. The timer of the event loop is an object
    /// for each time that it sleeps, not for each request.
    void wakeAt(long nanoTime) {
        Runnable other = armed;
        if (other != null) {
            if (armedFor - nanoTime <= 0) {
                return;
            }
            other.run();
        }
        armedFor = nanoTime;
        armed = loop.schedule(onTimer, Math.max(0, nanoTime - loop.nanoTime()));
    }
}
