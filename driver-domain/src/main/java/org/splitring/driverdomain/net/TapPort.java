package org.splitring.driverdomain.net;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.ChecksumState;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.GsoType;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.LookOut;
import org.splitring.hypervisor.attached.FdWatch;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.TapDevice;
import org.splitring.hypervisor.linux.VnetHeader;

/// A port of a switch that is an interface of this machine: the way from guests to its network, and
/// back. Partial checksums and large segments pass as they are, both ways.
///
/// A frame for the interface is gathered from where it lies in one write. The kernel takes all that
/// it is given. On the network's loop, except where a method says otherwise.
public final class TapPort implements FramePort, AutoCloseable {
    private static final int BUDGET = 64;
    private static final int LARGEST = 14 + 4 + 65_535;
    private static final Logger LOG = LoggerFactory.getLogger(TapPort.class);

    private final NettyDeviceLoop loop;
    private final TapDevice tap;
    private final TapCounters counters = new TapCounters();
    private final MemorySegment header = Arena.ofAuto().allocate(VnetHeader.BYTES, 8);
    private final MemorySegment buffer = Arena.ofAuto().allocate(LARGEST + 1, 64);
    private final IoVector incoming = new IoVector(2);
    private final IoVector outgoing = new IoVector(Frame.MAX_PIECES + 2);
    private final Frame frame = new Frame();
    private final Runnable readOn = this::readFrames;
    private final LookOut lookOut;
    private @Nullable PortLink link;
    private @Nullable FdWatch watch;

    private TapPort(NettyDeviceLoop loop, TapDevice tap) {
        this.loop = loop;
        this.tap = tap;
        lookOut = new LookOut(loop);
    }

    /// Plugs an interface in.
    ///
    /// @param loop the network's; not called from it
    /// @param tap taken over: closed with this
    /// @throws IOException when the network does not take the port
    public static TapPort plugIn(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            NettyDeviceLoop loop,
            TapDevice tap)
            throws IOException {
        TapPort port = new TapPort(loop, tap);
        CompletableFuture<Void> done =
                CompletableFuture.runAsync(() -> port.attach(network, settings, mtu), loop);
        try {
            done.get();
        } catch (ExecutionException e) {
            tap.close();
            throw new IOException("port " + settings.name() + ": " + e.getCause(), e);
        } catch (InterruptedException e) {
            port.close();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
        return port;
    }

    private void attach(VirtualNetwork network, PortSettings settings, int mtu) {
        link = network.attach(this, settings, PortCapabilities.everything(mtu));
        watch =
                FdWatch.reading(
                        loop,
                        tap.fd(),
                        readOn,
                        () -> LOG.error("interface {} is not served any more", tap));
    }

    /// Any thread.
    public TapCounters counters() {
        return counters;
    }

    private void readFrames() {
        PortLink to = link;
        if (to == null) {
            return;
        }
        int left = BUDGET;
        while (left > 0 && readFrame(to)) {
            left--;
        }
        if (left < BUDGET) {
            to.endBatch();
            lookOut.noteActivity();
        }
        if (left == 0) {
            loop.execute(readOn); // edge-triggered: there is no further event for what is left
        }
    }

    private boolean readFrame(PortLink to) {
        incoming.clear();
        incoming.add(header, 0, VnetHeader.BYTES);
        incoming.add(buffer, 0, LARGEST + 1);
        long result = tap.read(incoming);
        if (result <= 0) {
            return false;
        }
        int sizeBytes = (int) result - VnetHeader.BYTES;
        frame.reset();
        if (sizeBytes < 0 || sizeBytes > LARGEST) {
            counters.unsent.increment();
            return true;
        }
        frame.append(buffer, 0, sizeBytes);
        if (describe()) {
            to.receive(frame);
        } else {
            counters.unsent.increment();
        }
        return true;
    }

    /// @return `false` when the header says what it was not allowed to
    private boolean describe() {
        int flags = VnetHeader.flags(header, 0);
        if ((flags & VnetHeader.F_NEEDS_CSUM) != 0) {
            if (!frame.partialChecksum(
                    VnetHeader.checksumStart(header, 0), VnetHeader.checksumOffset(header, 0))) {
                return false;
            }
        } else if ((flags & VnetHeader.F_DATA_VALID) != 0) {
            frame.completeChecksum(ChecksumState.COMPLETE_VERIFIED);
        }
        int segment = VnetHeader.gsoSizeBytes(header, 0);
        switch (VnetHeader.gsoType(header, 0)) {
            case VnetHeader.GSO_NONE -> {
                // as the frame is
            }
            case VnetHeader.GSO_TCPV4 -> frame.gso(GsoType.TCPV4, segment);
            case VnetHeader.GSO_TCPV6 -> frame.gso(GsoType.TCPV6, segment);
            default -> {
                return false;
            }
        }
        return true;
    }

    @Override
    public boolean offer(Frame offered) {
        if (offered.checksumState() == ChecksumState.PARTIAL) {
            int type =
                    switch (offered.gsoType()) {
                        case NONE -> VnetHeader.GSO_NONE;
                        case TCPV4 -> VnetHeader.GSO_TCPV4;
                        case TCPV6 -> VnetHeader.GSO_TCPV6;
                    };
            VnetHeader.partial(
                    header,
                    0,
                    type,
                    type == VnetHeader.GSO_NONE ? 0 : tcpPayloadAt(offered),
                    offered.gsoSizeBytes(),
                    offered.checksumStart(),
                    offered.checksumOffset());
        } else {
            VnetHeader.complete(
                    header, 0, offered.checksumState() == ChecksumState.COMPLETE_VERIFIED);
        }
        outgoing.clear();
        outgoing.add(header, 0, VnetHeader.BYTES);
        outgoing.add(offered.header(), offered.headerStart(), offered.headerBytes());
        for (int i = 0; i < offered.pieceCount(); i++) {
            outgoing.add(offered.pieceMemory(i), offered.pieceOffset(i), offered.pieceBytes(i));
        }
        if (tap.write(outgoing) < 0) {
            counters.unwritten
                    .increment(); // the interface is down, or the kernel finds fault with it
            return false;
        }
        return true;
    }

    /// Where the payload of a TCP segment begins; the network has checked that its header is there.
    private static int tcpPayloadAt(Frame segment) {
        return segment.checksumStart() + (segment.u8(segment.checksumStart() + 12) >>> 4) * 4;
    }

    @Override
    public void flush() {
        // Each frame has been written already.
    }

    /// Unplugs the interface and takes it away. Any thread.
    @Override
    public void close() {
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
            watching.stop(tap::close);
        } else {
            tap.close();
        }
    }
}
