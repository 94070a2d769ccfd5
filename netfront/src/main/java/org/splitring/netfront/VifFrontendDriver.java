package org.splitring.netfront;

import java.util.Set;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceMeters;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;

/// Makes frontends of vifs. What uses a vif in the guest is for its [Users] to say, so this driver
/// is made by hand and not found by the service loader.
public final class VifFrontendDriver implements FrontendDriver {
    private final Users users;
    private final VifFrontendOptions options;

    /// Says what uses each vif.
    @FunctionalInterface
    public interface Users {
        /// Makes the vif ([VifFrontend#create]) with its user. What must be given back at the end
        /// is registered with [FrontendContext#onEnd].
        ///
        /// @param context also reads what the toolstack wrote: `mac`, `mtu`
        /// @throws DeviceException when the guest cannot have such a vif
        VifFrontend open(FrontendContext context, VifFrontendOptions options)
                throws DeviceException;
    }

    public VifFrontendDriver(Users users, VifFrontendOptions options) {
        this.users = users;
        this.options = options;
    }

    @Override
    public String deviceClass() {
        return "vif";
    }

    @Override
    public Set<String> parameters() {
        return Set.of("mac", "handle", "mtu");
    }

    @Override
    public FrontendHooks create(FrontendContext context) throws DeviceException {
        VifFrontend vif = users.open(context, options);
        meters(context.meters(), vif.counters());
        return vif.hooks();
    }

    private static void meters(DeviceMeters meters, VifCounters counters) {
        meters.counter("tx.packets", counters, c -> c.txPackets.getAcquire());
        meters.counter("tx.bytes", counters, c -> c.txBytes.getAcquire());
        meters.counter("tx.errors", counters, c -> c.txErrors.getAcquire());
        meters.counter("tx.lost", counters, c -> c.txLost.getAcquire());
        meters.counter("rx.packets", counters, c -> c.rxPackets.getAcquire());
        meters.counter("rx.bytes", counters, c -> c.rxBytes.getAcquire());
        meters.counter("rx.errors", counters, c -> c.rxErrors.getAcquire());
        meters.counter("rx.gso.checksum.fixup", counters, c -> c.rxGsoChecksumFixup.getAcquire());
    }
}
