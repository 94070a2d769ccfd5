package org.splitring.netfront;

/// What uses a vif in the guest: a TAP device, a Netty channel, a program. All calls are made on
/// the loop of the vif.
public interface VifUser {
    /// A backend serves the vif from now on: frames may be sent and come.
    default void carrierOn(VifFeatures features) {}

    /// The backend is gone or going, or the guest's side was closed. Frames that were sent and not
    /// taken are lost, as on a wire. The carrier may come back.
    default void carrierOff() {}

    /// A frame has come. It lies in pages that are the backend's to write, and goes back to it when
    /// this returns: whatever is decided on is copied first, and what is kept is copied.
    void received(ReceivedFrame frame);

    /// A batch of frames has been passed to [#received]: the moment for what is done once for many.
    default void batchEnd() {}

    /// There is room again in a queue on which [VifFrontend#acquire] has found none.
    default void writable(int queue) {}
}
