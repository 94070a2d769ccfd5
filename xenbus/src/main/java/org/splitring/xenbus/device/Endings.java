package org.splitring.xenbus.device;

import java.util.ArrayDeque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What is given back at the end of a device, in the opposite order of its making. Any thread.
final class Endings {
    private static final Logger LOG = LoggerFactory.getLogger(Endings.class);

    private final String device;
    private final ArrayDeque<AutoCloseable> closeables = new ArrayDeque<>();
    private boolean ended;

    Endings(String device) {
        this.device = device;
    }

    /// Registers one; at once closed when the device has ended already.
    void add(AutoCloseable closeable) {
        synchronized (this) {
            if (!ended) {
                closeables.push(closeable);
                return;
            }
        }
        close(closeable);
    }

    /// Closes everything, once.
    void run() {
        while (true) {
            AutoCloseable next;
            synchronized (this) {
                ended = true;
                next = closeables.poll();
            }
            if (next == null) {
                return;
            }
            close(next);
        }
    }

    @SuppressWarnings("InterruptedExceptionSwallowed") // whatever it throws, the others follow
    private void close(AutoCloseable closeable) {
        try {
            closeable.close();
        } catch (Exception e) {
            LOG.warn("{}: not quite closed", device, e);
        }
    }
}
