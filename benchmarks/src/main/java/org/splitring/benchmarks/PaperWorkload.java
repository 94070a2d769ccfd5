package org.splitring.benchmarks;

import java.io.IOException;
import java.util.List;

/// A program that people run, on one side or the other. What it answers is checked; a wrong result
/// is an [IOException], as one is that does not come.
interface PaperWorkload {
    String name();

    /// What is compared, for people.
    String description();

    List<Needed> needs();

    /// Whether the file system has a part in it; otherwise there is no `bare` side of it.
    boolean usesDisk();

    /// Runs it once.
    ///
    /// @param seconds about how long, for those that go on for a time
    /// @return how much was done in a second
    Figure run(PaperSide side, int seconds) throws IOException, InterruptedException;
}
