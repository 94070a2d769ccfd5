package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// An eventfd: a counter that whoever has the descriptor can add to, and wait for.
///
/// The counter and the flags of the descriptor are shared by all who have it. Who waits for
/// somebody he does not trust therefore only waits (edge-triggered), and neither reads nor writes.
public final class EventFd implements AutoCloseable {
    private static final int EFD_NONBLOCK = 0x800;
    private static final int EFD_CLOEXEC = 0x80000;
    private static final Native.Function EVENTFD = Native.function("eventfd");
    private static final MemorySegment ONE = Arena.global().allocate(8, 8);

    static {
        ONE.set(ValueLayout.JAVA_LONG, 0, 1);
    }

    private final SharedFd fd;

    private EventFd(int fd) {
        this.fd = new SharedFd(fd);
    }

    /// A new one, count 0, non-blocking.
    public static EventFd create() throws LinuxException {
        int result = EVENTFD.callInt(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return new EventFd(Fd.check("eventfd", result));
    }

    /// Takes over a descriptor that came from somewhere else.
    public static EventFd adopt(int fd) {
        return new EventFd(fd);
    }

    public int fd() {
        return fd.number();
    }

    /// Adds one. Any thread; nothing happens when it is closed, or when the counter is full: then
    /// an event is pending anyway.
    public void signal() {
        if (fd.enter()) {
            try {
                Fd.write(fd.number(), ONE.address(), 8);
            } finally {
                fd.exit();
            }
        }
    }

    /// Closes it once no [#signal] is in progress. Closing twice does nothing.
    @Override
    public void close() {
        fd.close();
    }
}
