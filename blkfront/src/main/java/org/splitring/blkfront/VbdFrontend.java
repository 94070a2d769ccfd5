package org.splitring.blkfront;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.store.Store;

/// One virtual block device of a guest: connects to its backend and moves sectors.
///
/// [#connect] and [#close] wait and belong on the control plane; everything else is called on the
/// device's loop.
@SuppressWarnings("DoNotCallSuggester")
public final class VbdFrontend implements AutoCloseable {
    private VbdFrontend() {}

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
        throw new UnsupportedOperationException();
    }

    public VbdGeometry geometry() {
        throw new UnsupportedOperationException();
    }

    public DeviceLoop loop() {
        throw new UnsupportedOperationException();
    }

    /// Whether requests are served; once `false` it stays so. Any thread.
    public boolean isConnected() {
        throw new UnsupportedOperationException();
    }

    /// Runs `listener` once, on the loop, when the backend has gone or the device is broken; at
    /// once when that has happened. Not for a close that we started.
    public void onDisconnect(Runnable listener) {
        throw new UnsupportedOperationException();
    }

    /// Most bytes that one buffer can have.
    public int maxBufferBytes() {
        throw new UnsupportedOperationException();
    }

    /// Takes a buffer of at least `sizeBytes`; null when not so many adjacent pages are free.
    public @Nullable GuestBuffer acquire(int sizeBytes) {
        throw new UnsupportedOperationException();
    }

    /// Gives a buffer back; no transfer is using it.
    public void release(GuestBuffer buffer) {
        throw new UnsupportedOperationException();
    }

    /// Runs `listener` once, on the loop, after the next [#release].
    public void onBufferFree(Runnable listener) {
        throw new UnsupportedOperationException();
    }

    /// Reads into the beginning of a buffer.
    ///
    /// @param offsetBytes place on the disk, whole sectors of 512 bytes
    /// @param sizeBytes whole sectors, at most the buffer
    public void read(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        throw new UnsupportedOperationException();
    }

    /// Writes the beginning of a buffer. As [#read].
    public void write(long offsetBytes, GuestBuffer buffer, int sizeBytes, Completion done) {
        throw new UnsupportedOperationException();
    }

    /// Makes every write stable that has completed before this call.
    public void flush(Completion done) {
        throw new UnsupportedOperationException();
    }

    /// Gives up on the backend, for one who knows that it is gone: whatever is outstanding ends
    /// with an error. Any thread.
    public void disconnect(String reason) {
        throw new UnsupportedOperationException();
    }

    /// Waits for what is outstanding, says goodbye to the backend, and gives pages, grants and port
    /// back. Takes no longer than the deadline for each of these. Not on the loop.
    @Override
    public void close() {
        throw new UnsupportedOperationException();
    }
}
