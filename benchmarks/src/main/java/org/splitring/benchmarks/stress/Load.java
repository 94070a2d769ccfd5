package org.splitring.benchmarks.stress;

import java.util.Map;

/// Something that asks and checks the answers, on threads of its own.
interface Load {
    LoadLogs logs();

    /// Begins to ask.
    ///
    /// @param end is told what must not be
    void start(RunEnd end) throws StressException, InterruptedException;

    /// Asks for nothing more, and returns when everything that was asked is answered.
    ///
    /// @throws StressException when an answer does not come
    void stop() throws StressException, InterruptedException;

    /// What was counted since the last [#start] besides times, by names that say what: `checked`,
    /// `lost`. After [#stop].
    Map<String, Long> counts();
}
