package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// fio as the one who reads and writes.
final class Fio {
    // Fields of its terse output, version 3, counted from 0: `HOWTO`, "Terse output".
    private static final int ERROR = 4;
    private static final int READ_RATE = 7;
    private static final int READ_MILLIS = 8;
    private static final int WRITE_RATE = 48;
    private static final int WRITE_MILLIS = 49;
    private static final int USER_PERCENT = 87;
    private static final int SYSTEM_PERCENT = 88;

    private Fio() {}

    /// What a run came to.
    ///
    /// @param clientCpuNanos processor time of fio itself for each operation
    record Result(double operationsPerSecond, double operations, double clientCpuNanos) {}

    /// @param target the engine, and what it works on
    static Result run(BlockTest test, long sizeBytes, double seconds, List<String> target)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of("fio", "--name=bench", "--terse-version=3"));
        command.addAll(List.of("--output-format=terse", "--time_based", "--randrepeat=0"));
        command.add("--invalidate=0"); // it empties the page cache otherwise
        command.add("--mem=mmap"); // whole pages: to odd addresses some machines copy slowly
        command.add(String.format(Locale.ROOT, "--runtime=%.0fms", seconds * 1000));
        command.add(
                "--rw=" + (test.sequential() ? "" : "rand") + (test.write() ? "write" : "read"));
        command.add("--bs=" + test.sizeBytes());
        command.add("--iodepth=" + test.depth());
        command.add("--size=" + sizeBytes);
        command.addAll(target);
        String said = ToolProgram.run(command, Map.of(), (long) (30 + 3 * seconds));
        String line =
                said.lines()
                        .filter(text -> text.startsWith("3;fio"))
                        .findFirst()
                        .orElseThrow(() -> new IOException("fio printed: " + said.strip()));
        String[] fields = line.split(";", -1);
        if (!fields[ERROR].equals("0")) {
            throw new IOException("fio failed with error " + fields[ERROR] + ": " + command);
        }
        double rate = Double.parseDouble(fields[test.write() ? WRITE_RATE : READ_RATE]);
        double millis = Double.parseDouble(fields[test.write() ? WRITE_MILLIS : READ_MILLIS]);
        double busy = percent(fields[USER_PERCENT]) + percent(fields[SYSTEM_PERCENT]);
        return new Result(rate, rate * millis / 1e3, busy / 100 * 1e9 / rate);
    }

    private static double percent(String field) {
        return Double.parseDouble(field.replace("%", ""));
    }
}
