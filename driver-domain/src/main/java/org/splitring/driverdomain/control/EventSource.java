package org.splitring.driverdomain.control;

/// Something that goes on telling, as `text/event-stream`, until the listener has gone.
public interface EventSource {
    /// One listener. Any thread.
    interface Listener {
        /// Sends an event, or drops it when the listener is slow: he is told how many he has missed
        /// before the next one that he gets.
        ///
        /// @param type one word
        /// @param data one line, usually JSON
        void send(String type, String data);

        /// Ends the stream: there is nothing more to come.
        void end();
    }

    /// Begins to tell.
    ///
    /// @return what is closed once when the listener has gone
    /// @throws ControlException when there are too many already
    AutoCloseable open(Listener listener) throws ControlException;
}
