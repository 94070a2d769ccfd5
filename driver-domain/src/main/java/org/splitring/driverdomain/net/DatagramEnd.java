package org.splitring.driverdomain.net;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.attached.FdWatch;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.DatagramSocket;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.IncomingDatagrams;
import org.splitring.hypervisor.linux.OutgoingDatagrams;
import org.splitring.hypervisor.linux.SockAddr;

/// A datagram socket and the port's link that it feeds: what ports over UDP and over Unix datagrams
/// have in common. On the network's loop, except where a method says otherwise.
///
/// A frame that comes in is passed on from where the kernel has put it. One that goes out is
/// copied once, and sent with the others of its batch. What the socket has no room for waits, up to
/// [#QUEUE_BYTES]; further frames are refused. Nothing is allocated for a frame.
final class DatagramEnd {
    /// What may wait for the socket: as much as a Linux device of 1500 bytes has in its ring.
    static final int QUEUE_BYTES = 1 << 18;

    /// Datagrams that may wait, four times the most receivers of one frame.
    static final int QUEUE_DATAGRAMS = 256;

    private static final int BUDGET = 64;
    private static final int BATCH = 8;
    private static final Logger LOG = LoggerFactory.getLogger(DatagramEnd.class);

    private final NettyDeviceLoop loop;
    private final DatagramSocket socket;
    private final Receiver receiver;
    private final IncomingDatagrams incoming = new IncomingDatagrams(BATCH, Frame.MAX_BYTES);
    private final OutgoingDatagrams outgoing = new OutgoingDatagrams(QUEUE_DATAGRAMS, QUEUE_BYTES);
    private final Frame frame = new Frame();
    private final Runnable readOn = this::readOn;
    private boolean readsOn;
    private boolean awaitsRoom;
    private @Nullable PortLink link;
    private @Nullable FdWatch watch;

    /// Takes what comes in.
    @FunctionalInterface
    interface Receiver {
        /// Passes a datagram on to the link as a frame, or drops it there.
        ///
        /// @param i of `from`
        /// @param frame empty, to be filled and passed on
        void take(IncomingDatagrams from, int i, Frame frame, PortLink link);
    }

    /// @param loop the network's
    /// @param socket taken over: closed with this
    DatagramEnd(NettyDeviceLoop loop, DatagramSocket socket, Receiver receiver) {
        this.loop = loop;
        this.socket = socket;
        this.receiver = receiver;
    }

    /// Plugs the port in. Any thread but the loop.
    ///
    /// @throws IOException when the network does not take the port, which is to be closed then
    void plugIn(VirtualNetwork network, FramePort port, PortSettings settings, int mtu)
            throws IOException {
        CompletableFuture<Void> done =
                CompletableFuture.runAsync(() -> attach(network, port, settings, mtu), loop);
        try {
            done.get();
        } catch (ExecutionException e) {
            throw new IOException("port " + settings.name() + ": " + e.getCause(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    private void attach(VirtualNetwork network, FramePort port, PortSettings settings, int mtu) {
        link = network.attach(port, settings, PortCapabilities.plain(mtu));
        watch =
                FdWatch.reading(
                        loop,
                        socket.fd(),
                        this::serve,
                        () -> LOG.error("port {} is not served any more", settings.name()));
    }

    private void serve() {
        if (awaitsRoom) {
            send();
        }
        receive();
    }

    private void readOn() {
        readsOn = false;
        receive();
    }

    private void receive() {
        PortLink to = link;
        if (to == null) {
            return;
        }
        int left = BUDGET;
        int count;
        do {
            count = incoming.receive(socket);
            for (int i = 0; i < count; i++) {
                frame.reset();
                receiver.take(incoming, i, frame, to);
            }
            if (count < 0 && count != -Errno.EAGAIN) {
                to.drop(PortCounter.OUT_DROPPED_FULL); // what has become of an earlier frame
            }
            left -= Math.max(count, 1);
        } while (left > 0 && (count == BATCH || (count < 0 && count != -Errno.EAGAIN)));
        if (left < BUDGET) {
            to.endBatch();
        }
        if (left <= 0 && !readsOn) {
            readsOn = true;
            loop.execute(readOn); // edge-triggered: there is no further event for what is left
        }
    }

    /// Finds room for the bytes of a datagram, as [OutgoingDatagrams#reserve] does. What waits only
    /// for the end of its batch makes room.
    int reserve(int sizeBytes, int copies) {
        int at = outgoing.reserve(sizeBytes, copies);
        if (at == OutgoingDatagrams.NO_ROOM && !awaitsRoom) {
            send();
            at = outgoing.reserve(sizeBytes, copies);
        }
        return link == null ? OutgoingDatagrams.NO_ROOM : at;
    }

    /// Where the bytes go.
    MemorySegment memory() {
        return outgoing.memory();
    }

    /// Sends what was reserved last, at the next flush.
    void add(SockAddr to) {
        outgoing.add(to);
    }

    void flush() {
        send();
    }

    /// A peer that is not there, or whose queue is full, is what a cable without an end is.
    private void send() {
        PortLink from = link;
        FdWatch watching = watch;
        if (from == null || watching == null) {
            return;
        }
        int result = outgoing.send(socket);
        while (result < 0 && result != -Errno.EAGAIN) {
            outgoing.dropFirst();
            from.drop(PortCounter.OUT_DROPPED_FULL);
            result = outgoing.send(socket);
        }
        boolean full = result < 0;
        if (full != awaitsRoom) {
            awaitsRoom = full;
            watching.awaitRoom(full);
        }
    }

    /// Unplugs the port and closes the socket. Any thread but the loop.
    void close() {
        CompletableFuture.runAsync(this::closeNow, loop).join();
    }

    private void closeNow() {
        PortLink attached = link;
        FdWatch watching = watch;
        link = null;
        if (attached != null) {
            attached.detach();
        }
        if (watching != null) {
            watching.stop(socket::close);
        } else {
            socket.close();
        }
    }
}
