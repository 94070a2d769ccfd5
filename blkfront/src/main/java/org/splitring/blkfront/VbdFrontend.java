package org.splitring.blkfront;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.FrontendMachine;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.store.Store;

/// One virtual block device of a guest: connects to its backend and moves sectors.
///
/// [#connect] and [#close] wait and belong on the control plane; [#connectAsync] and [#closeAsync]
/// are the same without waiting. Everything else is called on the device's loop, unless it says
/// otherwise. The states are those of [FrontendMachine]; what a vbd does at them is in [VbdDevice].
///
/// A transfer ends exactly once, whatever the backend does. When the backend goes away, what it has
/// not answered is sent again to the next one, in order, and callers see only a delay; it ends with
/// an error when no backend comes within [VbdFrontendOptions#backendWait], when the device is
/// unplugged, when the next disk is too small or read-only for it, or when the backend breaks the
/// protocol.
public final class VbdFrontend implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(VbdFrontend.class);
    private static final int SECTOR_SIZE = 512;

    private final String name;
    private final VbdDevice device;
    private final TransferQueue transfers;
    private final FrontendMachine machine;
    private final VbdFrontendOptions options;
    private final Timers timers;
    private @Nullable CompletableFuture<Void> closing; // guarded by this

    private VbdFrontend(
            String name,
            VbdDevice device,
            FrontendMachine machine,
            VbdFrontendOptions options,
            Timers timers) {
        this.name = name;
        this.device = device;
        this.transfers = device.transfers();
        this.machine = machine;
        this.options = options;
        this.timers = timers;
    }

    /// Connects the device that the toolstack has made, and waits until it can be used.
    ///
    /// @param loop owns the device from now on
    /// @throws VbdException when the backend refuses, offers nothing usable, or does not answer
    public static VbdFrontend connect(
            GuestDomain guest,
            Store store,
            int virtualDevice,
            DeviceLoop loop,
            VbdFrontendOptions options)
            throws VbdException {
        try {
            return connectAsync(
                            guest,
                            store,
                            virtualDevice,
                            loop,
                            options,
                            DeviceEnd.VIRTUAL_THREADS,
                            Timers.system())
                    .join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof VbdException failure) {
                throw new VbdException(String.valueOf(failure.getMessage()), failure);
            }
            throw e;
        }
    }

    /// Begins what [#connect] does. Any thread.
    ///
    /// @param control runs the handshake, one task at a time
    /// @param timers the clock of deadlines
    /// @return completes on `control`; with a [VbdException] when the device cannot be used, after
    ///     everything that was taken for it has been given back
    public static CompletableFuture<VbdFrontend> connectAsync(
            GuestDomain guest,
            Store store,
            int virtualDevice,
            DeviceLoop loop,
            VbdFrontendOptions options,
            Executor control,
            Timers timers) {
        String name = "vbd " + virtualDevice;
        VbdDevice device;
        try {
            device = VbdDevice.create(guest, loop, options);
        } catch (VbdException e) {
            return CompletableFuture.failedFuture(
                    new VbdException(name + ": " + e.getMessage(), e));
        }
        FrontendMachine machine =
                FrontendMachine.create(
                        guest,
                        store,
                        "vbd",
                        virtualDevice,
                        device,
                        new FrontendOptions(options.deadline(), options.backendWait()),
                        control,
                        timers);
        VbdFrontend frontend = new VbdFrontend(name, device, machine, options, timers);
        return machine.connectAsync()
                .thenApply(nothing -> frontend)
                .exceptionallyCompose(
                        failure ->
                                device.release()
                                        .thenComposeAsync(
                                                released -> refused(name, failure), control));
    }

    private static CompletableFuture<VbdFrontend> refused(String name, Throwable failure) {
        Throwable reason = failure.getCause(); // a stage before this one wraps it
        String message = (reason == null ? failure : reason).getMessage();
        return CompletableFuture.failedFuture(new VbdException(name + ": " + message, failure));
    }

    /// What the backend said about the disk when it connected, or since. Any thread.
    public VbdGeometry geometry() {
        return device.geometry();
    }

    public DeviceLoop loop() {
        return transfers.loop();
    }

    /// Whether a backend serves the device now; without one transfers wait. Any thread.
    public boolean isConnected() {
        return device.isConnected();
    }

    /// Runs `listener` once, on the loop, when the device has ended and will serve nothing more; at
    /// once when that has happened.
    public void onDisconnect(Runnable listener) {
        transfers.whenEnded(listener);
    }

    /// Most bytes that one buffer can have. Any thread.
    public int maxBufferBytes() {
        return device.poolPages() * GuestMemory.PAGE_SIZE;
    }

    /// Takes a buffer of at least `sizeBytes`; null when not so many adjacent pages are free.
    public @Nullable GuestBuffer acquire(int sizeBytes) {
        return transfers.pool().acquire(sizeBytes);
    }

    /// Gives a buffer back; no transfer is using it.
    public void release(GuestBuffer buffer) {
        transfers.release(buffer);
    }

    /// Runs `listener` once, on the loop, after the next [#release].
    public void onBufferFree(Runnable listener) {
        transfers.onBufferFree(listener);
    }

    /// Reads into the beginning of a buffer.
    ///
    /// @param offsetBytes place on the disk, whole sectors of 512 bytes
    /// @param sizeBytes whole sectors, at least one, at most the buffer
    /// @throws IllegalArgumentException when the range is not of whole sectors, on the disk and in
    ///     the buffer
    public void read(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        checkRange(offsetBytes, buffer, sizeBytes);
        transfers.start(BlkifOp.READ, offsetBytes, buffer, sizeBytes, done);
    }

    /// Writes the beginning of a buffer. As [#read]. On a read-only disk it ends with an error.
    public void write(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        checkRange(offsetBytes, buffer, sizeBytes);
        transfers.start(BlkifOp.WRITE, offsetBytes, buffer, sizeBytes, done);
    }

    /// Makes every write stable that has completed before this call. Ends with
    /// `BLKIF_RSP_EOPNOTSUPP` when the backend does not offer it.
    public void flush(Completion done) {
        if (!geometry().flush()) {
            loop().execute(() -> done.done(BlkifStatus.EOPNOTSUPP));
            return;
        }
        transfers.start(BlkifOp.FLUSH_DISKCACHE, 0, null, 0, done);
    }

    /// Gives up on the backend, for one who knows that it is gone for good: whatever is outstanding
    /// ends with an error. Any thread.
    public void disconnect(String reason) {
        device.abandon(reason);
    }

    /// Lets go of backend and store, which are gone, and waits for [#resume]. Transfers wait. Any
    /// thread.
    public void suspend() {
        machine.suspend();
    }

    /// Goes on with another driver domain behind the same guest memory: what is outstanding is sent
    /// again. Any thread.
    ///
    /// @param attached the domain as it is attached now, with the memory it had
    /// @param store the new connection; it is not closed with the device
    /// @return completes when the device is connected again, or with the reason why it has ended
    public CompletableFuture<Void> resume(GuestDomain attached, Store store) {
        return machine.resume(attached, store);
    }

    /// Waits for what is outstanding, says goodbye to the backend, and gives pages, grants and port
    /// back. Takes no longer than the deadline for each of these. Without a backend what is
    /// outstanding ends with an error. Not on the loop.
    @Override
    public void close() {
        closeAsync().join();
    }

    /// Begins what [#close] does, and completes when that would return. Any thread.
    public synchronized CompletableFuture<Void> closeAsync() {
        CompletableFuture<Void> result = closing;
        if (result == null) {
            result =
                    whenIdle()
                            .thenCompose(nothing -> machine.closeAsync())
                            .thenCompose(nothing -> device.release());
            closing = result;
        }
        return result.copy();
    }

    /// Completes when nothing is outstanding, at the deadline at latest.
    private CompletableFuture<Boolean> whenIdle() {
        CompletableFuture<Boolean> idle = new CompletableFuture<>();
        Runnable late =
                () -> {
                    LOG.warn("{}: still busy after {}", this, options.deadline());
                    idle.complete(false);
                };
        Runnable cancel = timers.schedule(late, options.deadline().toNanos());
        Runnable quiet =
                () -> {
                    cancel.run();
                    idle.complete(true);
                };
        try {
            loop().execute(() -> transfers.whenIdle(quiet));
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: the loop has ended", this);
            quiet.run();
        }
        return idle;
    }

    private void checkRange(long offsetBytes, GuestBuffer buffer, int sizeBytes) {
        VbdGeometry disk = geometry();
        if (offsetBytes % SECTOR_SIZE != 0
                || sizeBytes % SECTOR_SIZE != 0
                || sizeBytes <= 0
                || offsetBytes < 0
                || offsetBytes > disk.sizeBytes() - sizeBytes
                || sizeBytes > buffer.capacityBytes()
                || !buffer.isAcquired()) {
            throw new IllegalArgumentException(
                    "transfer of "
                            + sizeBytes
                            + " bytes at "
                            + offsetBytes
                            + ", disk of "
                            + disk.sizeBytes()
                            + ", buffer of "
                            + buffer.capacityBytes());
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
