package org.splitring.xenbus;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.PortPoller;
import org.splitring.ring.BackRing;
import org.splitring.ring.RingLook;

/// Looks at the rings of a connection for somebody who is not on their loop.
///
/// A task of the loop copies the indices, between two passes, into memory that was made before: no
/// pass takes a lock, reads a clock or allocates for it, and what is seen belongs to one moment.
/// Where nobody looks it costs nothing. A look that was begun before the connection is closed is
/// over before the rings are unmapped, since closing goes over the same loop.
public final class RingObserver {
    private final DeviceLoop loop;
    private final List<Observed> rings;

    /// A ring, and who hears of its events.
    ///
    /// @param name see [RingView]
    public record Observed(String name, BackRing ring, EventChannel port, PortPoller poller) {}

    public RingObserver(DeviceLoop loop, List<Observed> rings) {
        this.loop = loop;
        this.rings = List.copyOf(rings);
    }

    /// Where they stand. Before the connection is told to close; any thread.
    ///
    /// @param executor makes the views
    public CompletableFuture<RingViews> look(Executor executor) {
        List<RingLook> looks = new ArrayList<>();
        rings.forEach(ring -> looks.add(new RingLook()));
        CompletableFuture<Void> seen = new CompletableFuture<>();
        try {
            loop.execute(
                    () -> {
                        for (int i = 0; i < looks.size(); i++) {
                            rings.get(i).ring().look(looks.get(i));
                        }
                        seen.complete(null);
                    });
        } catch (RejectedExecutionException e) {
            return CompletableFuture.completedFuture(RingViews.NONE); // the loop has ended
        }
        return seen.thenApplyAsync(done -> views(looks), executor);
    }

    private RingViews views(List<RingLook> looks) {
        List<RingView> views = new ArrayList<>();
        for (int i = 0; i < looks.size(); i++) {
            views.add(RingView.of(rings.get(i), looks.get(i)));
        }
        return new RingViews(views, List.of());
    }
}
