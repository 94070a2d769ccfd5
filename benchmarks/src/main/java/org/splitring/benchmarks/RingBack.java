package org.splitring.benchmarks;

/// The answering end of a contender: takes requests, checks each, writes its response.
interface RingBack {
    /// Answers at most `limit` requests as one batch.
    ///
    /// @return how many, and in the sign bit ([#KICK]) whether the other end wants waking
    int serve(int limit);

    /// Spins until there are requests or another command, and answers as [#serve] does.
    ///
    /// @param command the command that is being obeyed
    /// @return as [#serve]; 0 when there is another command
    default int awaitRequests(int limit, Control control, int command) {
        int served = serve(limit);
        while (served == 0 && control.command() == command) {
            Thread.onSpinWait();
            served = serve(limit);
        }
        return served;
    }

    /// Set in the result of [#serve] when the other end wants waking.
    int KICK = Integer.MIN_VALUE;

    /// Before sleeping: asks for an event at the next request and looks again.
    ///
    /// @return `true` when there is one after all
    boolean finalCheck();
}
