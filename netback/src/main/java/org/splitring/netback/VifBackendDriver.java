package org.splitring.netback;

import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceMeters;
import org.splitring.xenbus.device.DeviceNotes;

/// Makes backends of vifs. Which network a vif belongs to is for whoever has the networks to say:
/// the program lends a [VifPlace.Finder].
///
/// Of the keys that a toolstack gives, it reads `rate` (`BYTES,MICROSECONDS`) itself, at any
/// time; all others are for the [VifPlace.Finder].
public class VifBackendDriver implements BackendDriver {
    private static final Logger LOG = LoggerFactory.getLogger(VifBackendDriver.class);

    private final VifPlace.@Nullable Finder places; // null: the program lends one
    private final VifBackendOptions options;

    /// For the service loader.
    public VifBackendDriver() {
        places = null;
        options = VifBackendOptions.DEFAULT;
    }

    public VifBackendDriver(VifPlace.Finder places, VifBackendOptions options) {
        this.places = places;
        this.options = options;
    }

    @Override
    public String deviceClass() {
        return "vif";
    }

    @Override
    public Set<String> parameters() {
        return Set.of(
                "bridge", "mac", "ip", "rate", "vifname", "mtu", "vlan", "script", "handle", "type",
                "domain");
    }

    @Override
    public BackendHooks create(BackendContext context) throws DeviceException {
        VifPlace place = finder(context).find(context);
        VifDevice device = device(context, place);
        context.onEnd(device::ended);
        String folder = context.paths().backend();
        context.watch(
                "rate",
                text -> {
                    try {
                        device.port().limit(rate(text));
                    } catch (IllegalArgumentException e) {
                        LOG.warn("vif {}: {}: not limited", folder, e.getMessage());
                        device.port().limit(VifRate.UNLIMITED);
                    }
                });
        meters(context.meters(), device.counters());
        return device;
    }

    private VifPlace.Finder finder(BackendContext context) throws DeviceException {
        if (places != null) {
            return places;
        }
        return context.service(VifPlace.Finder.class)
                .orElseThrow(() -> new DeviceException("there is no network to plug a vif into"));
    }

    /// For tests, which look into the device.
    VifDevice device(BackendContext context, VifPlace place) {
        return new VifDevice(
                context.domain(),
                context.paths(),
                place,
                options,
                context.service(DeviceNotes.class).orElse(DeviceNotes.NONE),
                OrderedNote::new);
    }

    private static VifRate rate(Optional<String> text) {
        return text.map(VifRate::parse).orElse(VifRate.UNLIMITED);
    }

    private static void meters(DeviceMeters meters, VifCounters counters) {
        meters.counter("tx.packets", counters, c -> c.txPackets.getAcquire());
        meters.counter("tx.bytes", counters, c -> c.txBytes.getAcquire());
        meters.counter("tx.errors", counters, c -> c.txErrors.getAcquire());
        meters.counter("tx.grant.errors", counters, c -> c.txGrantErrors.getAcquire());
        meters.counter("tx.checksum.errors", counters, c -> c.txChecksumErrors.getAcquire());
        meters.counter("tx.gso.checksum.fixup", counters, c -> c.txGsoChecksumFixup.getAcquire());
        meters.counter("tx.rate.limited", counters, c -> c.txRateLimited.getAcquire());
        meters.counter("rx.packets", counters, c -> c.rxPackets.getAcquire());
        meters.counter("rx.bytes", counters, c -> c.rxBytes.getAcquire());
        meters.counter("rx.errors", counters, c -> c.rxErrors.getAcquire());
        meters.counter("rx.dropped", counters, c -> c.rxDropped.getAcquire());
        meters.counter("rx.expired", counters, c -> c.rxExpired.getAcquire());
        meters.counter("rx.not.connected", counters, c -> c.rxNotConnected.getAcquire());
        meters.counter("rx.multicast.filtered", counters, c -> c.rxMulticastFiltered.getAcquire());
        meters.counter("rx.stalls", counters, c -> c.stalls.getAcquire());
        meters.gauge("rx.queued.packets", counters, c -> c.rxQueuedPackets.getAcquire());
        meters.gauge("rx.queued.bytes", counters, c -> c.rxQueuedBytes.getAcquire());
    }
}
