package org.splitring.benchmarks.stress;

import org.splitring.benchmarks.StressCommand;
import picocli.CommandLine;

/// `stress` in a process of its own.
final class StressProgram {
    private StressProgram() {}

    public static void main(String[] args) {
        System.exit(new CommandLine(new StressCommand()).execute(args));
    }
}
