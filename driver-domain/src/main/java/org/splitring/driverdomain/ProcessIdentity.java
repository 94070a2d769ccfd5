package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// One process and no other: its number together with the time at which it started, because numbers
/// are given out again.
///
/// @param startTicks field 22 of `/proc/PID/stat`: clock ticks since the machine started
record ProcessIdentity(long pid, long startTicks) {
    private static final Pattern TEXT = Pattern.compile("(\\d{1,10}) (\\d{1,19})");
    private static final int STATE = 0; // of the fields after the name
    private static final int START_TIME = 19;

    /// Of a process that lives; nothing when there is none of that number, or only its number is
    /// left because its parent has not looked yet.
    static Optional<ProcessIdentity> of(long pid) {
        return stat(pid)
                .filter(fields -> !fields[STATE].equals("Z") && !fields[STATE].equals("X"))
                .map(fields -> new ProcessIdentity(pid, Long.parseLong(fields[START_TIME])));
    }

    static ProcessIdentity ofThisProcess() {
        return of(ProcessHandle.current().pid()).orElseThrow();
    }

    /// Reads what [#toString] has written.
    static Optional<ProcessIdentity> parse(String text) {
        Matcher matcher = TEXT.matcher(text);
        return matcher.matches()
                ? Optional.of(
                        new ProcessIdentity(
                                Long.parseLong(matcher.group(1)), Long.parseLong(matcher.group(2))))
                : Optional.empty();
    }

    /// The fields after the name in parentheses, which may have blanks and parentheses itself.
    private static Optional<String[]> stat(long pid) {
        try {
            String stat = Files.readString(Path.of("/proc", pid + "", "stat"), ISO_8859_1);
            return Optional.of(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1));
        } catch (IOException e) {
            return Optional.empty(); // gone, perhaps between open and read
        }
    }

    boolean isAlive() {
        return of(pid).filter(this::equals).isPresent();
    }

    /// Whether it has been stopped (SIGSTOP): it lives, and does nothing.
    boolean isStopped() {
        return isAlive()
                && stat(pid)
                        .filter(fields -> fields[STATE].equals("T") || fields[STATE].equals("t"))
                        .isPresent();
    }

    /// While it lives.
    Optional<ProcessHandle> handle() {
        return isAlive() ? ProcessHandle.of(pid) : Optional.empty();
    }

    /// SIGTERM.
    void askToEnd() {
        handle().ifPresent(ProcessHandle::destroy);
    }

    /// SIGKILL, which also ends a process that is stopped.
    void kill() {
        handle().ifPresent(ProcessHandle::destroyForcibly);
    }

    @Override
    public String toString() {
        return pid + " " + startTicks;
    }
}
