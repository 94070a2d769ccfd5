package org.splitring.blkback;

import java.util.concurrent.Executor;

/// What one disk gets of threads that it shares with others. Any thread.
@FunctionalInterface
public interface WorkShare extends Executor {
    /// Changes what it gets beside others, from now on.
    ///
    /// @param weight 1 to [WorkShares#MAX_WEIGHT]
    default void weigh(int weight) {}
}
