package org.splitring.hypervisor;

/// One end of an event channel.
///
/// An event is one bit: many sends before the peer looks are one event. The port can be masked; an
/// event that comes while masked stays pending and is delivered at [#unmask].
public interface EventChannel extends AutoCloseable {
    /// Local port number.
    int port();

    EventChannelStatus status();

    /// `EVTCHNOP_send`. Any thread; neither blocks nor allocates; on a port without a peer it does
    /// nothing.
    void send();

    /// Chooses who hears of events, once. Before that events stay pending. `onEvent` runs on `loop`
    /// **with the port masked**; whoever handled the event calls [#unmask] when the work is done
    /// (late re-arm: a noisy peer gets its next event only after the last one was served).
    void listen(DeviceLoop loop, Runnable onEvent);

    /// Stops delivery. Any thread.
    void mask();

    /// Allows delivery; an event that is pending is delivered at once, on the loop. Any thread.
    void unmask();

    /// Closes this end; the remote end becomes unbound. `onEvent` does not start after this has
    /// returned on the loop of the port. Closing twice does nothing.
    @Override
    void close();
}
