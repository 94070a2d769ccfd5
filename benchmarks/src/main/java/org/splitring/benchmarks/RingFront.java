package org.splitring.benchmarks;

/// The requesting end of a contender: writes requests, takes responses, checks each.
interface RingFront {
    /// How many requests may be outstanding: the same for every contender with the same entry size.
    int capacity();

    /// Sends `count` requests as one batch. The caller knows that there is room.
    ///
    /// @return whether the other end wants waking
    boolean send(int count);

    /// Takes every response that is there and checks it.
    ///
    /// @return how many
    int receive();

    /// Spins until there are responses, and takes them as [#receive] does.
    ///
    /// @return how many, at least one
    default int awaitResponses() {
        int count = receive();
        while (count == 0) {
            Thread.onSpinWait();
            count = receive();
        }
        return count;
    }

    /// Before sleeping: asks for an event at the next response and looks again.
    ///
    /// @return `true` when there is one after all
    boolean finalCheck();
}
