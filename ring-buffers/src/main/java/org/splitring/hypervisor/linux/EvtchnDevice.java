package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/// `/dev/xen/evtchn` with one port: a descriptor that can be waited for.
///
/// An event makes the descriptor readable and masks the port; [#take] takes the event, and
/// [#unmask] lets the next one come. A descriptor could hold many ports; with one each, the end of
/// the descriptor is the end of the port, and no port waits behind another's events.
///
/// Source: Linux `include/uapi/xen/evtchn.h`, `drivers/xen/evtchn.c`.
public final class EvtchnDevice implements AutoCloseable {
    /// Where the device is, unless told otherwise.
    public static final Path PATH = Path.of("/dev/xen/evtchn");

    private static final long BIND_INTERDOMAIN = 0x00084501L;
    private static final long BIND_UNBOUND_PORT = 0x00044502L;
    private static final long NOTIFY = 0x00044504L;
    private static final int MOST_EVENTS = 16;

    private static final Native.Function IOCTL = Native.function("ioctl");

    private final SharedFd fd;
    private final int port;

    // Freed by the collector: a late send may still be reading it.
    private final MemorySegment portWord = Arena.ofAuto().allocate(4, 4);
    private final MemorySegment events = Arena.ofAuto().allocate(4L * MOST_EVENTS, 4);

    private EvtchnDevice(int fd, int port) {
        this.fd = new SharedFd(fd);
        this.port = port;
        portWord.set(ValueLayout.JAVA_INT, 0, port);
    }

    /// A new port connected to an unbound one of `domid`. An event is pending on it.
    ///
    /// @throws LinuxException `EINVAL` or `ESRCH` when there is no such port for us
    public static EvtchnDevice bindInterdomain(Path path, int domid, int remotePort)
            throws LinuxException {
        return bind(path, BIND_INTERDOMAIN, domid, remotePort);
    }

    /// A new port that `domid` may bind to.
    public static EvtchnDevice allocUnbound(Path path, int domid) throws LinuxException {
        return bind(path, BIND_UNBOUND_PORT, domid, 0);
    }

    private static EvtchnDevice bind(Path path, long request, int domid, int remotePort)
            throws LinuxException {
        int fd = VectoredFile.open(path, OpenFlag.READ_WRITE, OpenFlag.NON_BLOCKING).fd();
        boolean bound = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argument = arena.allocate(8, 4);
            argument.set(ValueLayout.JAVA_INT, 0, domid);
            argument.set(ValueLayout.JAVA_INT, 4, remotePort);
            int result = IOCTL.callInt(fd, request, argument.address());
            Fd.check(
                    "event channel " + Integer.toUnsignedString(remotePort) + " of domain " + domid,
                    result);
            bound = true;
            return new EvtchnDevice(fd, result);
        } finally {
            if (!bound) {
                Fd.close(fd);
            }
        }
    }

    /// Number of our port.
    public int port() {
        return port;
    }

    /// To wait for an event.
    public int fd() {
        return fd.number();
    }

    /// Sends an event to the other end; nothing happens when there is none. Any thread.
    public void send() {
        if (!fd.enter()) {
            return;
        }
        try {
            int ignored = IOCTL.callInt(fd.number(), NOTIFY, portWord.address());
        } finally {
            fd.exit();
        }
    }

    /// Takes what has come. One thread at a time.
    ///
    /// @return whether an event had come; the port is masked then
    public boolean take() {
        if (!fd.enter()) {
            return false;
        }
        try {
            return Fd.read(fd.number(), events.address(), 4L * MOST_EVENTS) > 0;
        } finally {
            fd.exit();
        }
    }

    /// Lets the next event come, after [#take] has taken one. Any thread.
    public void unmask() {
        if (fd.enter()) {
            try {
                Fd.write(fd.number(), portWord.address(), 4);
            } finally {
                fd.exit();
            }
        }
    }

    /// Closes the port, once no call is in progress. Closing twice does nothing.
    @Override
    public void close() {
        fd.close();
    }
}
