package org.splitring.hypervisor;

/// A domain's event channels. Any thread; calls may wait for the control plane, so not from a loop.
///
/// Source: Xen `public/event_channel.h`.
public interface EventChannels {
    /// `EVTCHNOP_alloc_unbound`: a new port that `remote` may bind to.
    ///
    /// @throws EventChannelException at the limit of ports or descriptors
    EventChannel allocUnbound(DomId remote) throws EventChannelException;

    /// `EVTCHNOP_bind_interdomain`: a new port connected to an unbound port of `remote`. The new
    /// port is left pending, so that an event sent before is not missed.
    ///
    /// @throws EventChannelException when there is no such port, it is not for us, or a limit is
    /// reached
    EventChannel bindInterdomain(DomId remote, int remotePort) throws EventChannelException;
}
