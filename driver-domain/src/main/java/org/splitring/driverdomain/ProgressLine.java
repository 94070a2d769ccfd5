package org.splitring.driverdomain;

import java.io.Console;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.Progress;

/// A line at the terminal that says how far something has come, and goes when it is done. Without a
/// terminal, or when it takes no time, there is none.
final class ProgressLine implements Progress {
    private static final long PATIENCE_NANOS = 500_000_000;

    private final String what;
    private final boolean shown = isTerminal(System.console());
    private long lastNanos = System.nanoTime();
    private boolean written;

    ProgressLine(String what) {
        this.what = what;
    }

    private static boolean isTerminal(@Nullable Console console) {
        return console != null && console.isTerminal();
    }

    @Override
    public void at(long done, long all) {
        long now = System.nanoTime();
        if (shown && now - lastNanos > PATIENCE_NANOS && all > 0) {
            lastNanos = now;
            written = true;
            System.err.printf("\r%s %d %%", what, (int) (100.0 * done / all));
            System.err.flush();
        }
    }

    /// Takes the line away.
    void end() {
        if (written) {
            System.err.print("\r\u001b[K");
            System.err.flush();
        }
    }
}
