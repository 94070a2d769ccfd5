package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// What a figure was measured on: goes into every report.
///
/// @param load of the last minute, before the run began
public record Machine(String processor, int processors, String kernel, String jdk, String load) {
    /// Looks at this machine.
    public static Machine now() throws IOException {
        return new Machine(
                Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
                        .filter(line -> line.startsWith("model name"))
                        .map(line -> line.substring(line.indexOf(':') + 1).strip())
                        .findFirst()
                        .orElse(System.getProperty("os.arch")),
                Runtime.getRuntime().availableProcessors(),
                System.getProperty("os.version"),
                System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version"),
                List.of(Files.readString(Path.of("/proc/loadavg")).split(" ")).getFirst());
    }

    /// Whether others were using the processors when the run began.
    public boolean isBusy() {
        return Double.parseDouble(load) > 0.5;
    }

    @Override
    public String toString() {
        String text =
                "%s, %d processors, Linux %s, %s, load %s"
                        .formatted(processor, processors, kernel, jdk, load);
        return isBusy() ? text + "\nnote: the machine is busy, so the figures mean little" : text;
    }
}
