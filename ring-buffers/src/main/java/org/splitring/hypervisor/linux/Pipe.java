package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A pipe used as a doorbell. Its two ends are two open files: whoever has the reading end cannot
/// change how writing behaves.
public final class Pipe {
    private static final Native.Function PIPE2 = Native.function("pipe2");

    private final Reader reader;
    private final Writer writer;

    private Pipe(Reader reader, Writer writer) {
        this.reader = reader;
        this.writer = writer;
    }

    /// A new pipe, both ends non-blocking and close-on-exec.
    public static Pipe create() throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment fds = arena.allocate(8, 4);
            int result = PIPE2.callInt(fds.address(), Fd.O_NONBLOCK | Fd.O_CLOEXEC);
            Fd.check("pipe2", result);
            return new Pipe(
                    new Reader(fds.get(ValueLayout.JAVA_INT, 0)),
                    new Writer(fds.get(ValueLayout.JAVA_INT, 4)));
        }
    }

    public Reader reader() {
        return reader;
    }

    public Writer writer() {
        return writer;
    }

    /// The end that waits.
    public static final class Reader implements AutoCloseable {
        private static final int DRAIN_BYTES = 64;
        private static final ThreadLocal<MemorySegment> SCRATCH =
                ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(DRAIN_BYTES));

        private final SharedFd fd;

        private Reader(int fd) {
            this.fd = new SharedFd(fd);
        }

        /// Takes over a descriptor that came from somewhere else, and makes it non-blocking.
        public static Reader adopt(int fd) throws LinuxException {
            Fd.setNonBlocking(fd, true);
            return new Reader(fd);
        }

        public int fd() {
            return fd.number();
        }

        /// Reads everything away.
        ///
        /// @return `false` when the other end is closed, or this one
        public boolean drain() {
            if (!fd.enter()) {
                return false;
            }
            try {
                long count;
                do {
                    count = Fd.read(fd.number(), SCRATCH.get().address(), DRAIN_BYTES);
                } while (count == DRAIN_BYTES);
                return count > 0 || count == -Errno.EAGAIN;
            } finally {
                fd.exit();
            }
        }

        /// Closes it once no [#drain] is in progress. Closing twice does nothing.
        @Override
        public void close() {
            fd.close();
        }
    }

    /// The end that wakes.
    public static final class Writer implements AutoCloseable {
        private static final MemorySegment BYTE = Arena.global().allocate(1);

        private final SharedFd fd;

        private Writer(int fd) {
            this.fd = new SharedFd(fd);
        }

        public int fd() {
            return fd.number();
        }

        /// Writes one byte. Any thread; never waits: in a full pipe an event is pending anyway.
        public void signal() {
            if (fd.enter()) {
                try {
                    Fd.write(fd.number(), BYTE.address(), 1);
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
}
