package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

/// A terminal in raw mode: each key is a byte at once, nothing is echoed, no key means anything to
/// the kernel. It is put back as it was at [#close].
public final class RawTerminal implements AutoCloseable {
    /// More than `struct termios` has on any machine (60); only the C library looks into it.
    private static final int TERMIOS_BYTES = 256;

    private static final int TCSADRAIN = 1;

    private static final Native.Function TCGETATTR = Native.function("tcgetattr");
    private static final Native.Function TCSETATTR = Native.function("tcsetattr");
    private static final Native.Plain CFMAKERAW = Native.plainFunction("cfmakeraw");
    private static final Native.Function ISATTY = Native.function("isatty");

    private final int fd;
    private final MemorySegment before;

    private RawTerminal(int fd, MemorySegment before) {
        this.fd = fd;
        this.before = before;
    }

    /// Whether the descriptor is a terminal.
    public static boolean isTerminal(int fd) {
        return ISATTY.callInt(fd) == 1;
    }

    /// Switches a terminal to raw mode.
    public static RawTerminal open(int fd) throws LinuxException {
        MemorySegment before = Arena.ofAuto().allocate(TERMIOS_BYTES, 8);
        MemorySegment raw = Arena.ofAuto().allocate(TERMIOS_BYTES, 8);
        Fd.check("tcgetattr", TCGETATTR.callInt(fd, before.address()));
        raw.copyFrom(before);
        long ignored = CFMAKERAW.call(raw.address(), 0, 0, 0, 0, 0); // gives nothing
        Fd.check("tcsetattr", set(fd, raw));
        return new RawTerminal(fd, before);
    }

    /// Puts the terminal back. Any thread; a second call does the same again.
    @Override
    public void close() {
        set(fd, before);
    }

    private static int set(int fd, MemorySegment termios) {
        try {
            return TCSETATTR.callInt(fd, TCSADRAIN, termios.address());
        } finally {
            Reference.reachabilityFence(termios);
        }
    }
}
