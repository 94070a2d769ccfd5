package org.splitring.blkback;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.blkfront.VbdGeometry;
import org.splitring.blkfront.VbdUser;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.FrontendMachine;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.store.Store;

/// A frontend and its machine, without a bus: for tests that pass in everything.
final class ConnectedVbd implements AutoCloseable {
    private final VbdFrontend disk;
    private final FrontendMachine machine;
    private final Duration deadline;
    private final Timers timers;
    private @Nullable CompletableFuture<Void> closing; // guarded by this

    private ConnectedVbd(
            VbdFrontend disk, FrontendMachine machine, Duration deadline, Timers timers) {
        this.disk = disk;
        this.machine = machine;
        this.deadline = deadline;
        this.timers = timers;
    }

    /// Connects the device that the toolstack has made, and waits until it can be used.
    static ConnectedVbd connect(
            GuestDomain guest,
            Store store,
            int device,
            DeviceLoop loop,
            VbdFrontendOptions options,
            FrontendOptions lifecycle)
            throws HandshakeException {
        try {
            return connectAsync(
                            guest,
                            store,
                            device,
                            loop,
                            options,
                            lifecycle,
                            DeviceEnd.VIRTUAL_THREADS,
                            Timers.system())
                    .join();
        } catch (CompletionException e) {
            throw new HandshakeException(String.valueOf(e.getCause()), e);
        }
    }

    /// Begins what [#connect] does.
    ///
    /// @param control runs the handshake, one task at a time
    /// @return fails after everything that was taken for the device has been given back
    static CompletableFuture<ConnectedVbd> connectAsync(
            GuestDomain guest,
            Store store,
            int device,
            DeviceLoop loop,
            VbdFrontendOptions options,
            FrontendOptions lifecycle,
            Executor control,
            Timers timers) {
        VbdUser user =
                new VbdUser() {
                    @Override
                    public VbdFrontendOptions options(int asked) {
                        return options;
                    }
                };
        VbdFrontend disk;
        try {
            disk = VbdFrontend.create(device, guest, loop, user);
        } catch (DeviceException e) {
            return CompletableFuture.failedFuture(e);
        }
        FrontendMachine machine =
                FrontendMachine.create(
                        guest, store, "vbd", device, disk, lifecycle, control, timers);
        ConnectedVbd connected = new ConnectedVbd(disk, machine, lifecycle.deadline(), timers);
        return machine.connectAsync()
                .thenApply(nothing -> connected)
                .exceptionallyCompose(
                        failure ->
                                disk.release()
                                        .thenComposeAsync(
                                                released -> CompletableFuture.failedFuture(failure),
                                                control));
    }

    void suspend() {
        machine.suspend();
    }

    CompletableFuture<Void> resume(GuestDomain attached, Store store) {
        return machine.resume(attached, store);
    }

    /// Waits for what is outstanding, says goodbye to the backend, and gives everything back.
    @Override
    public void close() {
        closeAsync().join();
    }

    synchronized CompletableFuture<Void> closeAsync() {
        CompletableFuture<Void> result = closing;
        if (result == null) {
            result =
                    whenIdle()
                            .thenCompose(nothing -> machine.closeAsync())
                            .thenCompose(nothing -> disk.release());
            closing = result;
        }
        return result.copy();
    }

    /// Completes when nothing is outstanding, at the deadline at latest.
    private CompletableFuture<Void> whenIdle() {
        CompletableFuture<Void> idle = new CompletableFuture<>();
        Runnable cancel = timers.schedule(() -> idle.complete(null), deadline.toNanos());
        loop().execute(
                        () ->
                                disk.whenIdle(
                                        () -> {
                                            cancel.run();
                                            idle.complete(null);
                                        }));
        return idle;
    }

    // What the tests do with the disk.

    VbdFrontend disk() {
        return disk;
    }

    VbdGeometry geometry() {
        return disk.geometry();
    }

    DeviceLoop loop() {
        return disk.loop();
    }

    boolean isConnected() {
        return disk.isConnected();
    }

    void onDisconnect(Runnable listener) {
        disk.onDisconnect(listener);
    }

    int maxBufferBytes() {
        return disk.maxBufferBytes();
    }

    @Nullable GuestBuffer acquire(int sizeBytes) {
        return disk.acquire(sizeBytes);
    }

    void release(GuestBuffer buffer) {
        disk.release(buffer);
    }

    void read(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        disk.read(offsetBytes, buffer, sizeBytes, done);
    }

    void write(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        disk.write(offsetBytes, buffer, sizeBytes, done);
    }

    void flush(Completion done) {
        disk.flush(done);
    }

    void disconnect(String reason) {
        disk.disconnect(reason);
    }
}
