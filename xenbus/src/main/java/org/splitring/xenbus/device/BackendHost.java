package org.splitring.xenbus.device;

import io.micrometer.core.instrument.MeterRegistry;
import java.util.concurrent.Executor;
import java.util.function.Supplier;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.store.Store;

/// What a driver domain gives to the backends in it.
///
/// @param domain reaches the pages of the guest
/// @param store with the rights of the driver domain
/// @param loops gives each device the loop that will own it
/// @param executor runs handshakes, one task at a time for each device
/// @param timers the clock of deadlines
public record BackendHost(
        DriverDomain domain,
        Store store,
        Supplier<? extends DeviceLoop> loops,
        Executor executor,
        Timers timers,
        MeterRegistry meters) {
    /// On virtual threads and real time.
    public BackendHost(
            DriverDomain domain,
            Store store,
            Supplier<? extends DeviceLoop> loops,
            MeterRegistry meters) {
        this(domain, store, loops, DeviceEnd.VIRTUAL_THREADS, Timers.system(), meters);
    }
}
