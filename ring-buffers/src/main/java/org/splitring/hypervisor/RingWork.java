package org.splitring.hypervisor;

/// Work behind an event channel: a queue that is polled with a budget. Called on the device's loop.
///
/// A device that cannot take more at the moment (no free descriptors, a throttle) takes nothing and
/// answers `false` to the final check; when that has passed it calls [PortPoller#wake].
public interface RingWork {
    /// Takes at most `budget` items.
    ///
    /// @return how many were taken; fewer than `budget` means that the ring was empty
    int poll(int budget);

    /// The final check before sleeping: asks the peer for an event at its next item, then looks
    /// again.
    ///
    /// @return `true` when there is work after all
    boolean finalCheck();
}
