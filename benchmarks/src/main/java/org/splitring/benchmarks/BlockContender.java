package org.splitring.benchmarks;

import java.io.IOException;
import java.util.List;

/// One way to a disk under one test.
///
/// @param way `ring/tmpfs`
record BlockContender(String way, String subject, BlockTest test, Runner runner)
        implements Contender {
    /// Does a test once.
    @FunctionalInterface
    interface Runner {
        List<Figure> run(BlockTest test, double seconds) throws IOException, InterruptedException;
    }

    @Override
    public String variant(String name) {
        return way + "/" + name;
    }

    List<Figure> run(double seconds) throws IOException, InterruptedException {
        return runner.run(test, seconds);
    }

    @Override
    public String toString() {
        return subject + " " + way + " " + test;
    }
}
