package org.splitring.bridge;

/// Where a router sends the DNS questions that it cannot answer itself.
public interface DnsUpstream {
    /// Nobody: every question fails.
    DnsUpstream NONE = (query, answer) -> false;

    /// Takes the answer to a question.
    @FunctionalInterface
    interface Answer {
        /// Called once for each question that was taken, on the network's loop, and not from
        /// within [DnsUpstream#ask].
        ///
        /// @param message the whole DNS message; an empty array when there was no answer in time
        void answered(byte[] message);
    }

    /// Sends a question. Called on the network's loop; does not block.
    ///
    /// @param query a DNS message with one question; its id means nothing upstream
    /// @return whether it was taken; `false` when as many as can be are under way
    boolean ask(byte[] query, Answer answer);
}
