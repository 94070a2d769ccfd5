package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Path;
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

    private static final int BLOCK_BYTES = 4096;

    private static final int ATTEMPTS = 4;

    private Fio() {}

    /// What a run came to.
    ///
    /// @param clientCpuNanos processor time of fio itself for each operation
    record Result(double operationsPerSecond, double operations, double clientCpuNanos) {}

    /// Runs it so long, and longer when nothing was done in that time: on a busy machine it may
    /// take as long as that to begin.
    ///
    /// @param target the engine, and what it works on
    static Result run(BlockTest test, long sizeBytes, double seconds, List<String> target)
            throws IOException, InterruptedException {
        double time = seconds;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Result result = once(test, sizeBytes, time, target);
            if (result.operations() > 0) {
                return result;
            }
            time *= 4;
        }
        throw new IOException("fio has done nothing: " + target);
    }

    private static Result once(BlockTest test, long sizeBytes, double seconds, List<String> target)
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
        String[] fields = fields(command, (long) (30 + 3 * seconds));
        double rate = Double.parseDouble(fields[test.write() ? WRITE_RATE : READ_RATE]);
        double millis = Double.parseDouble(fields[test.write() ? WRITE_MILLIS : READ_MILLIS]);
        double busy = percent(fields[USER_PERCENT]) + percent(fields[SYSTEM_PERCENT]);
        return new Result(rate, rate * millis / 1e3, busy / 100 * 1e9 / rate);
    }

    /// Writes a file in a random order, then reads all of it and checks a CRC in each block.
    ///
    /// @return blocks written and read in a second
    static double verifiedPerSecond(Path folder, long sizeBytes)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of("fio", "--name=paper", "--terse-version=3"));
        command.addAll(List.of("--output-format=terse", "--directory=" + folder));
        command.addAll(List.of("--size=" + sizeBytes, "--bs=" + BLOCK_BYTES, "--rw=randwrite"));
        command.addAll(List.of("--ioengine=io_uring", "--iodepth=16", "--direct=1"));
        command.addAll(List.of("--verify=crc32c", "--verify_fatal=1", "--do_verify=1"));
        command.add("--verify_state_save=0"); // a file where it was started
        String[] fields = fields(command, 120);
        double millis =
                Double.parseDouble(fields[WRITE_MILLIS]) + Double.parseDouble(fields[READ_MILLIS]);
        double reads =
                Double.parseDouble(fields[READ_RATE])
                        * Double.parseDouble(fields[READ_MILLIS])
                        / 1e3;
        double blocks = (double) sizeBytes / BLOCK_BYTES;
        if (reads < 0.95 * blocks) { // fio rounds its rate
            throw new IOException("fio has read " + (long) reads + " of " + (long) blocks);
        }
        return 2 * blocks / (millis / 1e3);
    }

    private static String[] fields(List<String> command, long limitSeconds)
            throws IOException, InterruptedException {
        String said = ToolProgram.run(command, Map.of(), limitSeconds);
        String line =
                said.lines()
                        .filter(text -> text.startsWith("3;fio"))
                        .findFirst()
                        .orElseThrow(() -> new IOException("fio printed: " + said.strip()));
        String[] fields = line.split(";", -1);
        if (!fields[ERROR].equals("0")) {
            throw new IOException("fio failed with error " + fields[ERROR] + ": " + command);
        }
        return fields;
    }

    private static double percent(String field) {
        return Double.parseDouble(field.replace("%", ""));
    }
}
