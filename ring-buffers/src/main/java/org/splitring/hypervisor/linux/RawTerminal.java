package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.POINTER;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// A terminal in raw mode: each key is a byte at once, nothing is echoed, no key means anything to
/// the kernel. It is put back as it was at [#close].
public final class RawTerminal implements AutoCloseable {
    /// More than `struct termios` has on any machine (60); only the C library looks into it.
    private static final int TERMIOS_BYTES = 256;

    private static final int TCSADRAIN = 1;

    private static final MethodHandle TCGETATTR = Native.function("tcgetattr", INT, INT, POINTER);
    private static final MethodHandle TCSETATTR =
            Native.function("tcsetattr", INT, INT, INT, POINTER);
    private static final MethodHandle CFMAKERAW = Native.procedure("cfmakeraw", POINTER);
    private static final MethodHandle ISATTY = Native.function("isatty", INT, INT);

    private final int fd;
    private final MemorySegment before;

    private RawTerminal(int fd, MemorySegment before) {
        this.fd = fd;
        this.before = before;
    }

    /// Whether the descriptor is a terminal.
    public static boolean isTerminal(int fd) {
        return Native.call(state -> (int) ISATTY.invokeExact(state, fd)) == 1;
    }

    /// Switches a terminal to raw mode.
    public static RawTerminal open(int fd) throws LinuxException {
        MemorySegment before = Arena.ofAuto().allocate(TERMIOS_BYTES, 8);
        MemorySegment raw = Arena.ofAuto().allocate(TERMIOS_BYTES, 8);
        Fd.check("tcgetattr", Native.call(state -> (int) TCGETATTR.invokeExact(state, fd, before)));
        raw.copyFrom(before);
        try {
            CFMAKERAW.invokeExact(raw);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
        Fd.check("tcsetattr", set(fd, raw));
        return new RawTerminal(fd, before);
    }

    /// Puts the terminal back. Any thread; a second call does the same again.
    @Override
    public void close() {
        set(fd, before);
    }

    private static int set(int fd, MemorySegment termios) {
        return Native.call(state -> (int) TCSETATTR.invokeExact(state, fd, TCSADRAIN, termios));
    }
}
