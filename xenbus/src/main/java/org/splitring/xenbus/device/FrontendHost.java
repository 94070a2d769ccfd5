package org.splitring.xenbus.device;

import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.function.Supplier;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.Timers;

/// What a guest gives to the frontends in it, as long as it lives.
///
/// @param loops gives each device the loop that will own it
/// @param sockets folder in which devices show themselves to the guest's users
/// @param executor runs handshakes, one task at a time for each device
/// @param timers the clock of deadlines
/// @param services what the program lends to drivers of its own classes
public record FrontendHost(
        Supplier<? extends DeviceLoop> loops,
        Path sockets,
        Executor executor,
        Timers timers,
        MeterRegistry meters,
        HostServices services) {
    /// On virtual threads and real time, without services.
    public FrontendHost(Supplier<? extends DeviceLoop> loops, Path sockets, MeterRegistry meters) {
        this(loops, sockets, DeviceEnd.VIRTUAL_THREADS, Timers.system(), meters, HostServices.NONE);
    }

    /// The same host, lending other services.
    public FrontendHost with(HostServices lent) {
        return new FrontendHost(loops, sockets, executor, timers, meters, lent);
    }
}
