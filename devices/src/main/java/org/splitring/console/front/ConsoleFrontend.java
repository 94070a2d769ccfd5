package org.splitring.console.front;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.ring.ConsoleRing;
import org.splitring.wire.ConsoleRingLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.device.StreamRing;
import org.splitring.xenbus.device.StreamServer;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Frontend of one console: programs in the guest connect to its socket. What any of them writes is
/// printed; what is typed goes to the one that came last, as to the foreground of a terminal.
///
/// While the backend is away programs wait with what they print, and go on with the next backend.
/// What the old one had not taken from the page goes first, so that all of it is printed; a part of
/// it twice, if the old backend took it while we left.
final class ConsoleFrontend implements FrontendHooks, StreamServer {
    private final DeviceLoop loop;
    private final Object monitor = new Object();

    // Guarded by monitor.
    private final ArrayDeque<OutputStream> programs = new ArrayDeque<>(); // the last one first
    private @Nullable StreamRing ring;
    private byte[] leftOver = {}; // printed, and taken by no backend
    private boolean ended;

    ConsoleFrontend(DeviceLoop loop) {
        this.loop = loop;
    }

    @Override
    public Connection prepare(
            GuestDomain guest, DevicePaths paths, Keys backend, Consumer<String> broken)
            throws StoreException, HandshakeException, EventChannelException {
        GrantedPages page = GrantedPages.grant(guest, paths.backendDomain(), 1, false);
        try {
            EventChannel port = guest.eventChannels().allocUnbound(paths.backendDomain());
            return new Page(page, port, broken);
        } catch (EventChannelException e) {
            page.close();
            throw e;
        }
    }

    /// The socket goes with the device, and with it whoever is connected.
    @Override
    public void ended(String reason) {
        synchronized (monitor) {
            ended = true;
            monitor.notifyAll();
        }
    }

    /// The page of one connection.
    private final class Page implements Connection {
        private final GrantedPages page;
        private final EventChannel port;
        private final Consumer<String> broken;
        private @Nullable StreamRing stream;

        Page(GrantedPages page, EventChannel port, Consumer<String> broken) {
            this.page = page;
            this.port = port;
            this.broken = broken;
        }

        @Override
        public void publish(StoreAccess keys, String folder) throws StoreException {
            keys.write(folder + "/ring-ref", Integer.toUnsignedString(page.gref(0)));
            keys.write(folder + "/port", Integer.toString(port.port()));
        }

        @Override
        public void connected(Keys backend) {
            StreamRing opened =
                    StreamRing.start(
                            ConsoleRing.frontend(page.memory()), port, loop, new Object(), broken);
            stream = opened;
            printLeftOver(opened);
            show(opened);
            Thread.ofVirtual().name("console input").start(() -> type(opened));
        }

        @Override
        public void pause(Executor executor, Runnable quiet) {
            show(null);
            executor.execute(quiet); // a console owes no answers
        }

        @Override
        public void close(Executor executor, Runnable closed) {
            show(null);
            StreamRing started = stream;
            if (started == null) {
                port.close();
            } else {
                started.close();
                keep(started.unread());
            }
            executor.execute(
                    () -> {
                        page.close();
                        closed.run();
                    });
        }
    }

    private void show(@Nullable StreamRing next) {
        synchronized (monitor) {
            ring = next;
            monitor.notifyAll();
        }
    }

    /// Prints what one program writes.
    @Override
    public void serve(InputStream in, OutputStream out) throws IOException, InterruptedException {
        synchronized (monitor) {
            programs.push(out);
            monitor.notifyAll();
        }
        byte[] bytes = new byte[ConsoleRingLayout.OUT_SIZE_BYTES];
        MemorySegment view = MemorySegment.ofArray(bytes);
        try {
            for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
                print(view, count);
            }
        } finally {
            remove(out);
        }
    }

    private void print(MemorySegment bytes, int length)
            throws ClosedChannelException, InterruptedException {
        int done = 0;
        StreamRing present = null;
        while (done < length) {
            present = ringAfter(present);
            int count = 0;
            while (done < length && count != StreamRing.CLOSED) {
                count = present.writeSome(bytes, done, length - done);
                done += Math.max(count, 0);
            }
        }
    }

    /// The ring of the backend that is there, or of the next one.
    ///
    /// @param closed the one that was used before
    private StreamRing ringAfter(@Nullable StreamRing closed)
            throws ClosedChannelException, InterruptedException {
        synchronized (monitor) {
            StreamRing present = ring;
            while (present == null || present == closed) {
                if (ended) {
                    throw new ClosedChannelException();
                }
                monitor.wait();
                present = ring;
            }
            return present;
        }
    }

    private void keep(byte[] unread) {
        synchronized (monitor) {
            leftOver = unread;
        }
    }

    /// On a new page, which has room for all that a page can leave over.
    private void printLeftOver(StreamRing empty) {
        synchronized (monitor) {
            int printed = empty.writeNow(MemorySegment.ofArray(leftOver), 0, leftOver.length);
            leftOver = Arrays.copyOfRange(leftOver, Math.max(printed, 0), leftOver.length);
        }
    }

    /// Gives what is typed to the program that came last. While there is none it stays on the page.
    private void type(StreamRing from) {
        byte[] bytes = new byte[ConsoleRingLayout.IN_SIZE_BYTES];
        MemorySegment view = MemorySegment.ofArray(bytes);
        try {
            while (true) {
                from.awaitReadable();
                OutputStream program = foreground(from);
                int count = from.readNow(view, 0, bytes.length);
                if (program == null || count == StreamRing.CLOSED) {
                    return;
                }
                try {
                    program.write(bytes, 0, count);
                    program.flush();
                } catch (IOException e) {
                    remove(program); // it has ended, and what it was to read with it
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// Waits for a program, as long as the page is in use.
    private @Nullable OutputStream foreground(StreamRing of) throws InterruptedException {
        synchronized (monitor) {
            while (programs.isEmpty() && ring == of) {
                monitor.wait();
            }
            return ring == of ? programs.peek() : null;
        }
    }

    private void remove(OutputStream program) {
        synchronized (monitor) {
            programs.remove(program);
        }
    }
}
