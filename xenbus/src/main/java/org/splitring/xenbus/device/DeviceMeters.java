package org.splitring.xenbus.device;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ToDoubleFunction;
import org.splitring.hypervisor.DomId;

/// The meters of one device: named `splitring.CLASS.NAME`, tagged with the side, the guest and
/// the device's number, and gone from the registry with the device. Any thread.
///
/// Asking again for a name gives the same meter, so a device that reconnects goes on counting.
public final class DeviceMeters {
    private final MeterRegistry registry;
    private final String deviceClass;
    private final String prefix;
    private final Tags tags;
    private final Set<Meter> made = ConcurrentHashMap.newKeySet();

    /// For tests of a driver; otherwise the context has them.
    ///
    /// @param side `frontend` or `backend`
    public DeviceMeters(
            MeterRegistry registry, String side, String deviceClass, DomId guest, int device) {
        this.registry = registry;
        this.deviceClass = deviceClass;
        prefix = "splitring." + deviceClass + ".";
        tags =
                Tags.of(
                        "side", side,
                        "guest", guest.toString(),
                        "device", Integer.toString(device));
    }

    /// A counter that its caller increments: once for each batch, not for each request.
    public Counter counter(String name) {
        return note(
                Counter.builder(prefix + name)
                        .description(description(name))
                        .tags(tags)
                        .register(registry));
    }

    /// A counter that somebody else keeps.
    ///
    /// @param source is not kept alive by the meter
    /// @param more tags, by name and value
    public <T> void counter(String name, T source, ToDoubleFunction<T> value, String... more) {
        note(
                FunctionCounter.builder(prefix + name, source, value)
                        .description(description(name))
                        .tags(tags.and(more))
                        .register(registry));
    }

    /// A value that goes up and down.
    ///
    /// @param source is not kept alive by the meter
    public <T> void gauge(String name, T source, ToDoubleFunction<T> value) {
        note(
                Gauge.builder(prefix + name, source, value)
                        .description(description(name))
                        .tags(tags)
                        .register(registry));
    }

    /// A timer for what happens seldom: attaching, flushing, opening.
    public Timer timer(String name) {
        return note(
                Timer.builder(prefix + name)
                        .description(description(name))
                        .tags(tags)
                        .register(registry));
    }

    /// Prometheus wants one for each meter; what it means stands in the documents.
    private String description(String name) {
        return name + " of a " + deviceClass + ", see docs/metrics.md";
    }

    private <M extends Meter> M note(M meter) {
        made.add(meter);
        return meter;
    }

    /// Takes the device's meters out of the registry.
    void close() {
        made.forEach(registry::remove);
        made.clear();
    }
}
