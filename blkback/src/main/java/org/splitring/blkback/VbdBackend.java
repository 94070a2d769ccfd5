package org.splitring.blkback;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.xenbus.BackendMachine;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Serves one vbd of one guest from a disk. The states are those of [BackendMachine]; what a vbd
/// does at them is in [VbdDevice]. The ring belongs to the loop; the two meet in [VbdConnection].
public final class VbdBackend implements AutoCloseable {
    private final VbdDevice device;
    private final BackendMachine machine;

    private VbdBackend(VbdDevice device, BackendMachine machine) {
        this.device = device;
        this.machine = machine;
    }

    /// Offers the disk to a frontend and serves it whenever the frontend connects, until closed.
    /// The toolstack has made both folders before.
    ///
    /// @param disk stays the caller's: close it after the backend
    /// @param loop owns the ring
    public static VbdBackend create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options)
            throws StoreException {
        return create(
                domain,
                store,
                frontend,
                virtualDevice,
                disk,
                loop,
                options,
                DeviceEnd.VIRTUAL_THREADS,
                Timers.system());
    }

    /// As above, with everything passed in that runs or waits: nothing here blocks but [#close] and
    /// [#frontendGone], and [#closeAsync] stands for both where nobody may wait.
    ///
    /// @param control runs the lifecycle, one task at a time
    /// @param timers the clock of deadlines
    public static VbdBackend create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            Executor control,
            Timers timers)
            throws StoreException {
        DevicePaths paths = DevicePaths.vbd(frontend, domain.id(), virtualDevice);
        VbdDevice device = new VbdDevice(domain, frontend, disk, loop, options);
        BackendMachine machine =
                BackendMachine.create(
                        store,
                        paths,
                        device,
                        BackendOptions.DEFAULT.withDeadline(options.deadline()),
                        control,
                        timers);
        device.watchDisk(failure -> machine.note("disk-failure", failure.toString()));
        return new VbdBackend(device, machine);
    }

    /// Where the handshake stands. Any thread.
    public XenbusState state() {
        return machine.state();
    }

    /// What the device has done since it was created. Any thread.
    public VbdMetrics metrics() {
        return device.metrics();
    }

    /// The disk behind it.
    public DiskImage disk() {
        return device.disk();
    }

    /// The frontend's domain is gone: stops without asking it. When this returns no page of it is
    /// mapped and no disk operation is under way. Not on the loop.
    public void frontendGone() {
        removeAsync().join(); // without a bound, as VbdConnection says
    }

    /// Begins what [#frontendGone] does, and completes when that would return. Any thread.
    public CompletableFuture<Void> removeAsync() {
        return machine.removeAsync();
    }

    /// Closes the device: says so to the frontend, waits for it within the deadline, and stops.
    /// When this returns every request taken is answered, nothing is mapped, and no disk operation
    /// is under way. Not on the loop.
    @Override
    public void close() {
        closeAsync().join();
    }

    /// Begins what [#close] does, and completes when that would return. Any thread.
    public CompletableFuture<Void> closeAsync() {
        return machine.closeAsync();
    }

    /// Completes when the device has ended, also when it was unplugged by the toolstack.
    public CompletableFuture<Void> whenEnded() {
        return machine.whenEnded();
    }
}
