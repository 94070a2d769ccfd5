package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Path;
import org.splitring.wire.XsdSockmsgLayout;

/// A store under measurement, in a process of its own.
interface StoreDaemon extends AutoCloseable {
    /// Where domain 0 connects.
    Path socket();

    Process process();

    /// Processor time that it has taken so far, with all its threads.
    default long cpuNanos() {
        return process()
                .toHandle()
                .info()
                .totalCpuDuration()
                .orElseThrow(() -> new IllegalStateException("the store has ended"))
                .toNanos();
    }

    /// Connects guests that are known, each as guests connect, with watches in its folder.
    void connectGuests(int first, int last) throws IOException;

    /// Makes a guest known, which it has to be before it can own a node.
    ///
    /// @param control a connection of domain 0
    default void introduce(StoreClient control, int guest) throws IOException {
        control.call(
                XsdSockmsgLayout.INTRODUCE, StoreClient.strings(Integer.toString(guest), "1", "1"));
    }

    @Override
    void close() throws IOException;
}
