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
public record FrontendHost(
        Supplier<? extends DeviceLoop> loops,
        Path sockets,
        Executor executor,
        Timers timers,
        MeterRegistry meters) {
    /// On virtual threads and real time.
    public FrontendHost(Supplier<? extends DeviceLoop> loops, Path sockets, MeterRegistry meters) {
        this(loops, sockets, DeviceEnd.VIRTUAL_THREADS, Timers.system(), meters);
    }
}
