package org.splitring.xenbus.store;

/// How the requests of a [StoreWireClient] reach the store: a socket, or the page of a guest. What
/// comes back goes to [StoreWireClient#received], and the end of it all to [StoreWireClient#fail].
interface ClientTransport {
    /// Whether the caller is the thread that reads the answers.
    boolean inLoop();

    /// Sends a message. Any thread; waits for nobody.
    void send(WireMessage message);

    /// A request has its answer. On the thread that reads them.
    default void answered() {}

    /// Ends the connection. Any thread; closing twice does nothing.
    void close();
}
