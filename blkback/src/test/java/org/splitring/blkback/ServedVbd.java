package org.splitring.blkback;

import java.time.Duration;
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
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// A backend and its machine, without a bus: for tests that pass in everything.
final class ServedVbd implements AutoCloseable {
    /// Gives a frontend less time than Xen does.
    static final BackendOptions LIFECYCLE =
            BackendOptions.DEFAULT.withDeadline(Duration.ofSeconds(5));

    private final VbdBackend device;
    private final BackendMachine machine;

    private ServedVbd(VbdBackend device, BackendMachine machine) {
        this.device = device;
        this.machine = machine;
    }

    /// Offers the disk to a frontend and serves it whenever the frontend connects, until closed.
    /// The toolstack has made both folders before.
    ///
    /// @param disk stays the caller's: close it after the backend
    /// @param loop owns the ring
    static ServedVbd create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            BackendOptions lifecycle)
            throws StoreException {
        return create(
                domain,
                store,
                frontend,
                virtualDevice,
                disk,
                loop,
                options,
                lifecycle,
                DeviceEnd.VIRTUAL_THREADS,
                Timers.system());
    }

    /// As above, with everything passed in that runs or waits: nothing here blocks but [#close] and
    /// [#frontendGone], and [#closeAsync] stands for both where nobody may wait.
    ///
    /// @param control runs the lifecycle, one task at a time
    /// @param timers the clock of deadlines
    static ServedVbd create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            BackendOptions lifecycle,
            Executor control,
            Timers timers)
            throws StoreException {
        return create(
                domain,
                store,
                frontend,
                virtualDevice,
                disk,
                loop,
                options,
                lifecycle,
                control,
                timers,
                DeviceNotes.NONE,
                QueueNote::new);
    }

    /// As above, with notes of what the backend has begun.
    static ServedVbd create(
            DriverDomain domain,
            Store store,
            DomId frontend,
            int virtualDevice,
            DiskImage disk,
            DeviceLoop loop,
            VbdBackendOptions options,
            BackendOptions lifecycle,
            Executor control,
            Timers timers,
            DeviceNotes notes,
            VbdNote.Maker noteMaker)
            throws StoreException {
        DevicePaths paths = DevicePaths.vbd(frontend, domain.id(), virtualDevice);
        VbdBackend device = new VbdBackend(domain, paths, disk, loop, options, 0, notes, noteMaker);
        BackendMachine machine =
                BackendMachine.create(store, paths, device, lifecycle, control, timers);
        device.watchDisk(failure -> control.execute(() -> note(store, paths, failure)));
        device.watchSize(machine::republish);
        return new ServedVbd(device, machine);
    }

    private static void note(Store store, DevicePaths paths, Object failure) {
        try {
            store.write(paths.backend() + "/disk-failure", failure.toString());
        } catch (StoreException e) {
            throw new AssertionError(e);
        }
    }

    /// Where the handshake stands. Any thread.
    XenbusState state() {
        return machine.state();
    }

    /// What the device has done since it was created. Any thread.
    VbdCounters counters() {
        return device.counters();
    }

    VbdMetrics metrics() {
        return device.metrics();
    }

    /// As [VbdBackend#pause].
    void pause(Runnable quiet) {
        device.pause(quiet);
    }

    /// As [VbdBackend#resume].
    void resume() {
        device.resume();
    }

    /// The frontend's domain is gone: stops without asking it. When this returns no page of it is
    /// mapped and no disk operation is under way. Not on the loop.
    void frontendGone() {
        removeAsync().join(); // without a bound, as VbdConnection says
    }

    /// Begins what [#frontendGone] does, and completes when that would return. Any thread.
    CompletableFuture<Void> removeAsync() {
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
    CompletableFuture<Void> closeAsync() {
        return machine.closeAsync();
    }

    /// Completes when the device has ended, also when it was unplugged by the toolstack.
    CompletableFuture<Void> whenEnded() {
        return machine.whenEnded();
    }
}
