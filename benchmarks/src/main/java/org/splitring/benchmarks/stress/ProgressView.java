package org.splitring.benchmarks.stress;

import java.io.Console;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/// How far a run is, for whoever waits: a bar on a terminal, lines elsewhere. Of one thread.
final class ProgressView {
    private static final int WIDTH = 24;
    private static final long LINE_NANOS = 1_000_000_000; // at most one in that time

    private final PrintWriter err;
    private final boolean terminal;
    private boolean drawn;
    private long lastLine = System.nanoTime() - LINE_NANOS;

    ProgressView(PrintWriter err, boolean terminal) {
        this.err = err;
        this.terminal = terminal;
    }

    /// Whether there is a terminal to draw on.
    static boolean isTerminal() {
        return isTerminal(System.console());
    }

    private static boolean isTerminal(@Nullable Console console) {
        return console != null && console.isTerminal();
    }

    /// Something without a known end has begun.
    void stage(String what) {
        show(what);
    }

    /// @param share of the whole, 0 to 1
    void at(double share, String what) {
        if (!terminal) {
            long now = System.nanoTime();
            if (now - lastLine >= LINE_NANOS) {
                lastLine = now;
                show(what);
            }
            return;
        }
        int full = (int) Math.round(Math.clamp(share, 0.0, 1.0) * WIDTH);
        show(
                "[%s%s] %3d %%  %s"
                        .formatted(
                                "#".repeat(full),
                                "-".repeat(WIDTH - full),
                                Math.round(share * 100),
                                what));
    }

    private void show(String line) {
        if (terminal) {
            err.print("\r\u001b[K" + line);
            drawn = true;
        } else {
            err.println(line);
        }
        err.flush();
    }

    /// Takes the bar away, before something else is printed.
    void clear() {
        if (drawn) {
            err.print("\r\u001b[K");
            err.flush();
            drawn = false;
        }
    }
}
