package org.splitring.driverdomain;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/// Lines at the foot of a terminal that are painted again and again, while other lines go up above
/// them. Long lines are cut off at the terminal's edge, by the terminal.
final class LiveLines {
    private static final String NO_WRAP = "\u001b[?7l";
    private static final String WRAP = "\u001b[?7h";

    private final PrintStream terminal;
    private int shown;

    LiveLines(PrintStream terminal) {
        this.terminal = terminal;
    }

    /// Paints these in place of the last ones.
    synchronized void show(List<String> lines) {
        StringBuilder text = new StringBuilder(erasure()).append(NO_WRAP);
        for (String line : lines) {
            text.append(line).append('\n');
        }
        terminal.print(text.append(WRAP));
        terminal.flush();
        shown = lines.size();
    }

    /// Prints a line that stays.
    synchronized void say(String line) {
        terminal.println(erasure() + line);
        shown = 0;
    }

    /// Another stream on the same terminal: what is printed there takes the place of the lines,
    /// which come back below it when they are painted next.
    PrintStream beside(PrintStream other) {
        OutputStream stream =
                new OutputStream() {
                    @Override
                    public void write(int b) throws IOException {
                        write(new byte[] {(byte) b}, 0, 1);
                    }

                    @Override
                    public void write(byte[] bytes, int from, int count) {
                        synchronized (LiveLines.this) {
                            terminal.print(erasure());
                            terminal.flush();
                            shown = 0;
                            other.write(bytes, from, count);
                            other.flush();
                        }
                    }
                };
        return new PrintStream(stream, true, StandardCharsets.UTF_8);
    }

    private String erasure() {
        return shown == 0 ? "" : "\u001b[" + shown + "A\r\u001b[J";
    }
}
