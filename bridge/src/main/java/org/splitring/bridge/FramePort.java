package org.splitring.bridge;

/// Where a network sends frames: a vif, a TAP, a socket, Java code. Implemented by those.
///
/// **Threads.** A network and all its ports live on one event loop, and everything here is called
/// on it. A port whose device lives on another loop is attached through [LoopCrossing], which
/// copies into a bounded queue.
///
/// **Back-pressure** is the port's: it keeps what it cannot deliver at once in a bounded queue of
/// its own or refuses it. A refused frame is a tail drop, counted by the network. Nobody waits for
/// a slow port.
public interface FramePort {
    /// Takes one frame: copies it, or gathers it into one write, before returning. The frame, its
    /// header and its pieces are valid during this call only, and must not be changed.
    ///
    /// The network has already made the frame one that the port can take, as
    /// [PortLink#capabilities] says: not larger than the MTU unless it is a GSO frame, and neither
    /// GSO nor partial checksum where the port cannot have it.
    ///
    /// Must not call [FrameSink#receive], and must not throw for what a peer can cause.
    ///
    /// @return whether it was taken; `false` when there is no room
    boolean offer(Frame frame);

    /// Ends a batch of offers: the moment to publish responses and to notify the peer, once.
    /// Called only when at least one frame was offered, also if none was taken. Must not call
    /// [FrameSink#receive] either.
    void flush();
}
