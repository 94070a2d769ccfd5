package org.splitring.xenbus.store;

/// How the messages of a [WireSession] reach its peer: a socket, or the page that a guest shares
/// with the store. Everything runs on one thread, that of the session.
interface WireTransport {
    /// Why a session ends.
    enum Ending {
        /// The transport said so.
        ASKED,
        /// The peer has sent what is no message.
        PROTOCOL,
        /// Something is wrong here.
        FAILURE
    }

    /// Queues a message. Never fails; after the end it does nothing.
    void send(WireMessage message);

    /// Hands what is queued to the peer, as far as he takes it. When messages are left over, the
    /// transport calls [WireSession#work] as soon as they are fewer.
    ///
    /// @return how many messages are left over
    int flush();

    /// Whether bytes of the peer are wanted. As long as they are not, the transport leaves them
    /// where they are.
    void wantBytes(boolean wanted);

    /// Runs a task on the session's thread, not within this call. Any thread.
    void execute(Runnable task);

    /// Runs a task on the session's thread in a while.
    void schedule(Runnable task, long delayNanos);

    /// Ends the connection: nothing more goes either way. The session has ended already.
    ///
    /// @param detail what a log line should say; nothing for [Ending#ASKED]
    void end(Ending why, String detail);
}
