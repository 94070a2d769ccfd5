package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// What the machine can still give, so that a run is refused before the kernel kills somebody.
final class FreeMemory {
    private static final long RESERVE_BYTES = 256L << 20;

    private FreeMemory() {}

    /// @throws StressException when that much is not free
    static void require(long bytes, String whom) throws StressException {
        long available = availableBytes();
        if (available - RESERVE_BYTES < bytes) {
            throw new StressException(
                    "%s: its memory of %.1f MiB is not there (%d MiB are free): fewer guests, or less --depth"
                            .formatted(whom, bytes / 1048576.0, available >> 20));
        }
    }

    private static long availableBytes() throws StressException {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemAvailable:")) {
                    return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
                }
            }
            return Long.MAX_VALUE;
        } catch (IOException e) {
            throw new StressException("/proc/meminfo: " + e.getMessage(), e);
        }
    }
}
