package org.splitring.blkback;

import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Serves one vbd of one guest from a disk: lifecycle and handshake.
@SuppressWarnings("DoNotCallSuggester")
public final class VbdBackend implements AutoCloseable {
    private VbdBackend() {}

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
        throw new UnsupportedOperationException();
    }

    /// Where the handshake stands. Any thread.
    public XenbusState state() {
        throw new UnsupportedOperationException();
    }

    /// What the device has done since it was created. Any thread.
    public VbdMetrics metrics() {
        throw new UnsupportedOperationException();
    }

    /// The frontend's domain is gone: stops without asking it. When this returns no page of it is
    /// mapped and no disk operation is under way. Not on the loop.
    public void frontendGone() {
        throw new UnsupportedOperationException();
    }

    /// Closes the device: says so to the frontend, waits for it within the deadline, and stops.
    /// When
    /// this returns every request taken is answered, nothing is mapped, and no disk operation is
    /// under way. Not on the loop.
    @Override
    public void close() {
        throw new UnsupportedOperationException();
    }
}
