package org.splitring.bridge;

/// Takes what a port has received from its peer: the way from a port into the network.
///
/// The normal one is the [PortLink] that [VirtualNetwork#attach] returns. All calls are made on
/// the network's loop, and never from within [FramePort#offer] or [FramePort#flush]: what a frame
/// causes is sent by a task of its own, so that two ports which answer each other cannot hold the
/// loop.
public interface FrameSink {
    /// Takes one frame. When the call returns, everything that will be copied of it has been
    /// copied, and the frame is the caller's again, with other contents: checksums may be filled
    /// in and tags moved. The caller resets it before the next use.
    ///
    /// Nothing is thrown for what a peer can cause: a bad frame is dropped and counted.
    void receive(Frame frame);

    /// Ends a batch: every port that was offered frames since the last call is flushed. Callers
    /// make batches as large as they come (all that is on the ring, up to the budget), since
    /// receivers notify their peers once for each.
    void endBatch();
}
