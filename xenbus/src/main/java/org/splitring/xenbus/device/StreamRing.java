package org.splitring.xenbus.device;

import java.lang.foreign.MemorySegment;
import java.nio.channels.ClosedChannelException;
import java.util.Optional;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.ByteRingEnd;
import org.splitring.ring.ByteRingReader;
import org.splitring.ring.ByteRingWriter;
import org.splitring.xenbus.StreamView;

/// Either half's end of a pair of byte rings, with its event channel: for devices that carry bytes,
/// and whose work may wait (files, sockets) and so is done by a thread of their own.
///
/// What arrives stays on the ring until somebody reads it, so a slow reader holds up its peer and
/// nobody else, and no memory is needed for it. An index that cannot be breaks the ring: it is told
/// once, and nothing moves any more.
///
/// Any thread; several may write, and each call's bytes stay together only as far as they fit.
public final class StreamRing {
    /// Answer of [#readNow] and [#read]: nothing will come any more.
    public static final int CLOSED = -1;

    private static final int EVENTS_PER_PASS = 64;

    private final ByteRingEnd ring;
    private final EventChannel port;
    private final DeviceLoop loop;
    private final Object monitor;
    private final Consumer<String> broken;
    private final PortPoller poller;

    // Guarded by monitor.
    private boolean closed;
    private boolean moved; // since the last event
    private int waiting;
    private long eventsSent;
    private long readTotal;
    private long writtenTotal;
    // How far the peer had come when we last heard of it.
    private long producedSeen;
    private long consumedSeen;
    private boolean brokenSeen;

    private StreamRing(
            ByteRingEnd ring,
            EventChannel port,
            DeviceLoop loop,
            Object monitor,
            Consumer<String> broken) {
        this.ring = ring;
        this.port = port;
        this.loop = loop;
        this.monitor = monitor;
        this.broken = broken;
        poller =
                new PortPoller(
                        port,
                        loop,
                        new RingWork() {
                            @Override
                            public int poll(int budget) {
                                return heard() ? 1 : 0;
                            }

                            @Override
                            public boolean finalCheck() {
                                return false; // whoever waits has looked after he was counted
                            }
                        },
                        EVENTS_PER_PASS,
                        cause -> broken.accept("event channel: " + cause));
    }

    /// Begins to listen.
    ///
    /// @param port not listened to yet; closed with the ring
    /// @param monitor is notified when something may be read or written; one may serve several
    ///     rings of a device
    /// @param broken is told, once at most and by any thread, that the peer has broken the ring
    public static StreamRing start(
            ByteRingEnd ring,
            EventChannel port,
            DeviceLoop loop,
            Object monitor,
            Consumer<String> broken) {
        StreamRing stream = new StreamRing(ring, port, loop, monitor, broken);
        stream.poller.start();
        return stream;
    }

    /// How many bytes the ring holds in the direction that this end reads.
    public int readSizeBytes() {
        return ring.reader().sizeBytes();
    }

    /// Whether a read would give something, or an end.
    public boolean isReadable() {
        synchronized (monitor) {
            return closed || ring.reader().readableBytes() > 0 || ring.reader().isBroken();
        }
    }

    /// Takes what is there, without waiting.
    ///
    /// @param to private memory
    /// @return how many bytes, 0 for none now, or [#CLOSED]
    public int readNow(MemorySegment to, long offset, int maxBytes) {
        int count;
        synchronized (monitor) {
            if (closed) {
                return CLOSED;
            }
            count = ring.reader().read(to, offset, maxBytes);
            if (count > 0) {
                moved = true;
                readTotal += count;
                send(); // it may be waiting for room
                return count;
            }
            if (!ring.reader().isBroken()) {
                return 0;
            }
            end();
        }
        broken.accept("ring: impossible index of what we read");
        return CLOSED;
    }

    /// Waits until there is something, and takes it.
    ///
    /// @return how many bytes, or [#CLOSED]
    public int read(MemorySegment to, long offset, int maxBytes) throws InterruptedException {
        while (true) {
            int count = readNow(to, offset, maxBytes);
            if (count != 0) {
                return count;
            }
            awaitReadable();
        }
    }

    /// Waits until there is something to read, or an end.
    public void awaitReadable() throws InterruptedException {
        synchronized (monitor) {
            while (!isReadable()) {
                await();
            }
        }
    }

    /// Leaves what arrives on the ring for a while: the peer is slowed down. Ends early when the
    /// ring is closed.
    public void pause(long nanos) throws InterruptedException {
        long end = System.nanoTime() + nanos;
        synchronized (monitor) {
            for (long left = nanos; left > 0 && !closed; left = end - System.nanoTime()) {
                monitor.wait(TimeUnit.NANOSECONDS.toMillis(left) + 1);
            }
        }
    }

    /// Puts all of it on the ring, as room comes.
    ///
    /// @throws ClosedChannelException when the ring is closed, perhaps after a part was written
    public void write(MemorySegment from, long offset, int length)
            throws ClosedChannelException, InterruptedException {
        int done = 0;
        while (done < length) {
            int count = writeSome(from, offset + done, length - done);
            if (count == CLOSED) {
                throw new ClosedChannelException();
            }
            done += count;
        }
    }

    /// Waits until there is room, and puts as much of it on the ring as fits.
    ///
    /// @param length at least 1
    /// @return how many bytes, or [#CLOSED]
    public int writeSome(MemorySegment from, long offset, int length) throws InterruptedException {
        while (true) {
            int count = writeNow(from, offset, length);
            if (count != 0) {
                return count;
            }
            awaitWritable();
        }
    }

    private void awaitWritable() throws InterruptedException {
        synchronized (monitor) {
            while (!closed && ring.writer().writableBytes() == 0 && !ring.writer().isBroken()) {
                await();
            }
        }
    }

    /// Puts as much of it on the ring as fits, without waiting.
    ///
    /// @return how many bytes, 0 for none now, or [#CLOSED]
    public int writeNow(MemorySegment from, long offset, int length) {
        synchronized (monitor) {
            if (closed) {
                return CLOSED;
            }
            int count = ring.writer().write(from, offset, length);
            if (count > 0) {
                moved = true;
                writtenTotal += count;
                send();
            }
            if (!ring.writer().isBroken()) {
                return count;
            }
            end();
        }
        broken.accept("ring: impossible index of what we write");
        return CLOSED;
    }

    /// With the monitor.
    private void send() {
        eventsSent++;
        port.send();
    }

    /// Where a backend's end stands, for people who look for a fault.
    ///
    /// @param name see [StreamView]
    /// @return nothing once the ring is closed
    public Optional<StreamView> view(String name) {
        ByteRingReader reader = ring.reader();
        ByteRingWriter writer = ring.writer();
        synchronized (monitor) {
            if (closed) {
                return Optional.empty();
            }
            return Optional.of(
                    new StreamView(
                            name,
                            reader.sizeBytes(),
                            Integer.toUnsignedLong(reader.sharedProd()),
                            Integer.toUnsignedLong(reader.cons()),
                            writer.sizeBytes(),
                            Integer.toUnsignedLong(writer.prod()),
                            Integer.toUnsignedLong(writer.sharedCons()),
                            reader.isBroken() || writer.isBroken(),
                            port.port(),
                            eventsSent,
                            poller.events(),
                            poller.spuriousEvents()));
        }
    }

    /// What was written and the peer has not taken, once the ring is closed and as long as its
    /// memory is there. A peer that has not left yet may take it as well.
    public byte[] unread() {
        synchronized (monitor) {
            if (!closed) {
                throw new IllegalStateException("the ring is in use");
            }
            return ring.writer().unread();
        }
    }

    /// Waits for the next change on any ring of the monitor. The caller has the monitor, and has
    /// seen under it that there is nothing to do.
    @SuppressWarnings("WaitNotInLoop") // every caller looks again
    public void await() throws InterruptedException {
        waiting++;
        try {
            monitor.wait();
        } finally {
            waiting--;
        }
    }

    /// Ends reading and writing; the port is closed. Nobody touches the ring's memory once this has
    /// returned. A second call does nothing.
    public void close() {
        synchronized (monitor) {
            end();
        }
        try {
            loop.execute(
                    () -> {
                        poller.stop();
                        port.close();
                    });
        } catch (RejectedExecutionException e) {
            port.close(); // the loop has ended before the device, so nobody polls
        }
    }

    /// With the monitor.
    private void end() {
        closed = true;
        monitor.notifyAll();
    }

    /// An event has come, or may have. On the loop, which calls again and again while this is of
    /// use: so only what has changed since the last call counts, not what can be done.
    ///
    /// @return whether the peer has come further, or bytes have moved since the last call
    private boolean heard() {
        synchronized (monitor) {
            if (closed) {
                return false; // its memory may be gone
            }
            long produced = readTotal + ring.reader().readableBytes();
            long consumed = writtenTotal + ring.writer().writableBytes();
            boolean isBroken = ring.reader().isBroken() || ring.writer().isBroken();
            boolean peerMoved =
                    produced != producedSeen || consumed != consumedSeen || isBroken != brokenSeen;
            producedSeen = produced;
            consumedSeen = consumed;
            brokenSeen = isBroken;
            if (peerMoved && waiting > 0) {
                monitor.notifyAll();
            }
            boolean useful = moved || peerMoved;
            moved = false;
            return useful;
        }
    }
}
