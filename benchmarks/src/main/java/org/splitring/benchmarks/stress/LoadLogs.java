package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;

/// The logs of a load: for each thread that records, one of each kind.
final class LoadLogs {
    private final List<RequestKind> kinds;
    private final boolean paced;
    private final List<List<KindLog>> threads = new ArrayList<>();

    /// @param paced whether requests have an intended start that is not that of their sending
    LoadLogs(List<RequestKind> kinds, boolean paced) {
        this.kinds = List.copyOf(kinds);
        this.paced = paced;
    }

    List<RequestKind> kinds() {
        return kinds;
    }

    /// Logs of another thread, in the order of the kinds. Before the load starts.
    List<KindLog> addThread() {
        List<KindLog> logs = kinds.stream().map(kind -> new KindLog(paced)).toList();
        threads.add(logs);
        return logs;
    }

    /// Moves what was recorded since the last call.
    ///
    /// @param into one for each kind
    void drain(List<KindTimes> into) {
        for (List<KindLog> logs : threads) {
            for (int i = 0; i < logs.size(); i++) {
                logs.get(i).drain(into.get(i));
            }
        }
    }
}
