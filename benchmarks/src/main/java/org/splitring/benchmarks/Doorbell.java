package org.splitring.benchmarks;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.Fd;

/// An eventfd to sleep on, as in `ringbench.c`: one end rings, the other waits.
final class Doorbell implements AutoCloseable {
    private final EventFd eventFd;
    private final MemorySegment count = Arena.global().allocate(Long.BYTES, Long.BYTES);

    private Doorbell(EventFd eventFd) throws IOException {
        this.eventFd = eventFd;
        Fd.setNonBlocking(eventFd.fd(), false);
    }

    static Doorbell create() throws IOException {
        return new Doorbell(EventFd.create());
    }

    /// Takes over a descriptor that came from the other process.
    static Doorbell adopt(int fd) throws IOException {
        return new Doorbell(EventFd.adopt(fd));
    }

    int fd() {
        return eventFd.fd();
    }

    void ring() {
        eventFd.signal();
    }

    /// Waits until the doorbell has rung since the last time.
    void await() {
        long read = Fd.read(eventFd.fd(), count.address(), Long.BYTES);
        if (read != Long.BYTES) {
            throw new IllegalStateException("read of an eventfd: " + read);
        }
    }

    @Override
    public void close() {
        eventFd.close();
    }
}
