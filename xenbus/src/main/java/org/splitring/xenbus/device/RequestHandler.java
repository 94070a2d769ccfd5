package org.splitring.xenbus.device;

/// What one request of a device means.
@FunctionalInterface
public interface RequestHandler {
    /// Takes one request, and has it answered exactly once: now, or later from any thread, with
    /// [RingRequest#answer]. Called on the device's loop, which must not wait.
    ///
    /// A request that makes no sense is answered with the device's own error status. An exception
    /// from here is a broken device: it closes, with the message in its error node.
    ///
    /// @param request the same objects come again and again: not to be kept after the answer
    void take(RingRequest request);
}
