package org.splitring.netfront;

import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceMeters;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;

/// Makes frontends of vifs. What uses a vif in the guest is for its [Users] to say, which the
/// guest's program lends.
public final class VifFrontendDriver implements FrontendDriver {
    private final @Nullable Users users; // null: the program lends them
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

    /// For the service loader.
    public VifFrontendDriver() {
        users = null;
        options = VifFrontendOptions.DEFAULT;
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
        VifFrontend vif = users(context).open(context, options);
        meters(context.meters(), vif.counters());
        return vif.hooks();
    }

    private Users users(FrontendContext context) throws DeviceException {
        if (users != null) {
            return users;
        }
        return context.service(Users.class)
                .orElseThrow(() -> new DeviceException("nothing uses a vif in this guest"));
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
