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
/// @param services what the program lends to drivers of its own classes
public record BackendHost(
        DriverDomain domain,
        Store store,
        Supplier<? extends DeviceLoop> loops,
        Executor executor,
        Timers timers,
        MeterRegistry meters,
        HostServices services) {
    /// On virtual threads and real time, without services.
    public BackendHost(
            DriverDomain domain,
            Store store,
            Supplier<? extends DeviceLoop> loops,
            MeterRegistry meters) {
        this(
                domain,
                store,
                loops,
                DeviceEnd.VIRTUAL_THREADS,
                Timers.system(),
                meters,
                HostServices.NONE);
    }

    /// The same host, lending other services.
    public BackendHost with(HostServices lent) {
        return new BackendHost(domain, store, loops, executor, timers, meters, lent);
    }
}
