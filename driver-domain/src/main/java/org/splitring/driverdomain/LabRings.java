package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.RingView;
import org.splitring.xenbus.RingViews;
import org.splitring.xenbus.StreamView;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Where the rings of guests' devices stand. Nothing is looked at unless somebody asks.
final class LabRings {
    /// How long all loops together have for their answers. One that is at work answers between two
    /// passes.
    private static final long PATIENCE_NANOS = 1_000_000_000L;

    private final Store control;

    LabRings(Store control) {
        this.control = control;
    }

    /// The rings of one device.
    ///
    /// @param name as people call it: `vbd/xvda`
    /// @param answered whether the loop that serves it has answered in time
    /// @param rings of requests; none while nobody is connected
    /// @param streams pairs of rings of bytes
    record DeviceRings(
            String domain,
            String type,
            int id,
            String name,
            boolean answered,
            List<RingView> rings,
            List<StreamView> streams) {}

    private record Asked(
            LabGuest guest, DeviceNodes.Attached device, CompletableFuture<RingViews> answer) {}

    /// Those of some guests' devices, as far as guests are attached.
    List<DeviceRings> of(List<LabGuest> guests) throws StoreException, InterruptedException {
        List<Asked> asked = new ArrayList<>();
        for (LabGuest guest : guests) {
            Map<DevicePaths, CompletableFuture<RingViews>> rings = guest.rings();
            if (rings.isEmpty()) {
                continue;
            }
            for (DeviceNodes.Attached device : new DeviceNodes(control).remembered(guest.domid())) {
                CompletableFuture<RingViews> answer = rings.get(device.paths());
                if (answer != null) {
                    asked.add(new Asked(guest, device, answer));
                }
            }
        }
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        List<DeviceRings> all = new ArrayList<>();
        for (Asked each : asked) {
            all.add(await(each, deadline));
        }
        return all;
    }

    private static DeviceRings await(Asked asked, long deadline) throws InterruptedException {
        long left = Math.max(0, deadline - System.nanoTime());
        boolean answered = true;
        RingViews views = RingViews.NONE;
        try {
            views = asked.answer().get(left, TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            answered = false;
        } catch (ExecutionException e) {
            throw new IllegalStateException("rings of " + asked.device().paths(), e);
        }
        DevicePaths paths = asked.device().paths();
        return new DeviceRings(
                asked.guest().domain().name(),
                paths.type(),
                paths.device(),
                DeviceNodes.name(asked.device()),
                answered,
                views.rings(),
                views.streams());
    }
}
