package org.splitring.driverdomain.net;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.attached.FdWatch;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.TapDevice;
import org.splitring.hypervisor.linux.VnetHeader;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFeatures;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifUser;

/// What uses a vif in a guest of ours: a TAP, behind which is a real network stack.
///
/// A frame of the guest is read from the TAP straight into granted pages; one for the guest is
/// written to it from the pages that the backend filled. Each is one system call and no copy of
/// ours. Without room on the ring the TAP is not read: its queue fills up, and the guest's stack
/// waits as it does for a slow card. The other way the kernel takes every frame, at the price of
/// the time that takes, and meanwhile the ring is not served.
///
/// The interface's carrier is that of the vif. On the loop of the vif, except where a method says
/// otherwise.
public final class TapVif implements VifUser, AutoCloseable {
    /// Frames that are read before others on the loop have their turn.
    private static final int BUDGET = 64;

    /// Of the largest frame, and the vnet header, and what is one byte too many.
    private static final int MAX_PIECES = 20;

    private static final int QUEUE = 0;
    private static final Logger LOG = LoggerFactory.getLogger(TapVif.class);

    private final NettyDeviceLoop loop;
    private final TapDevice tap;
    private final TapCounters counters = new TapCounters();
    private final MemorySegment header = Arena.ofAuto().allocate(VnetHeader.BYTES, 8);
    private final MemorySegment surplus = Arena.ofAuto().allocate(8, 8);
    private final IoVector outgoing = new IoVector(MAX_PIECES);
    private final IoVector incoming = new IoVector(MAX_PIECES);
    private final Runnable readOn = this::readFrames;
    private final FdWatch watch;
    private @Nullable VifFrontend vif;
    private @Nullable VifFeatures features;
    private boolean closed;

    /// @param tap taken over: closed with this
    public TapVif(NettyDeviceLoop loop, TapDevice tap) {
        this.loop = loop;
        this.tap = tap;
        watch =
                FdWatch.reading(
                        loop,
                        tap.fd(),
                        readOn,
                        () -> LOG.error("interface {} is not served any more", tap));
    }

    /// Says which vif it is, before it connects.
    public void serve(VifFrontend frontend) {
        vif = frontend;
    }

    /// Any thread.
    public TapCounters counters() {
        return counters;
    }

    @Override
    public void carrierOn(VifFeatures now) {
        features = now;
        try {
            tap.setOffloads(
                    now.checksumV4() && now.checksumV6(),
                    now.checksumV6() && now.gsoV4(),
                    now.checksumV4() && now.gsoV6());
            tap.setCarrier(true);
        } catch (LinuxException e) {
            LOG.error("interface {}: {}", tap, e.getMessage());
        }
        readFrames(); // what came meanwhile has brought its event already
    }

    @Override
    public void carrierOff() {
        features = null;
        if (!closed) {
            try {
                tap.setCarrier(false);
            } catch (LinuxException e) {
                LOG.error("interface {}: {}", tap, e.getMessage());
            }
        }
    }

    /// There is something to read, or room again.
    private void readFrames() {
        VifFrontend to = vif;
        VifFeatures now = features;
        if (to == null || now == null || closed) {
            return;
        }
        int left = BUDGET;
        while (left > 0 && readFrame(to, now)) {
            left--;
        }
        if (left < BUDGET) {
            to.flush();
        }
        if (left == 0) {
            loop.execute(readOn); // edge-triggered: there is no further event for what is left
        }
    }

    /// @return whether there may be another
    private boolean readFrame(VifFrontend to, VifFeatures now) {
        TxFrame frame = to.acquire(QUEUE, now.maxFrameBytes());
        if (frame == null) {
            return false; // writable() comes
        }
        outgoing.clear();
        outgoing.add(header, 0, VnetHeader.BYTES);
        int room = now.maxFrameBytes();
        for (int i = 0; i < frame.pages() && room > 0; i++) {
            int n = Math.min(room, GuestMemory.PAGE_SIZE);
            outgoing.add(frame.memory(), frame.offset(i), n);
            room -= n;
        }
        outgoing.add(surplus, 0, 1);
        long result = tap.read(outgoing);
        if (result <= 0) {
            frame.cancel();
            return false;
        }
        int sizeBytes = (int) result - VnetHeader.BYTES;
        if (sizeBytes < 14 || sizeBytes > now.maxFrameBytes() || !describe(frame, now)) {
            frame.cancel();
            counters.unsent.increment();
            return true;
        }
        frame.send(sizeBytes);
        return true;
    }

    /// @return `false` when the backend does not take it: offloads were changed while it waited
    private boolean describe(TxFrame frame, VifFeatures now) {
        int flags = VnetHeader.flags(header, 0);
        boolean partial = (flags & VnetHeader.F_NEEDS_CSUM) != 0;
        switch (VnetHeader.gsoType(header, 0)) {
            case VnetHeader.GSO_NONE -> {
                // as the frame is
            }
            case VnetHeader.GSO_TCPV4 -> {
                if (!now.gsoV4()) {
                    return false;
                }
                frame.segmentation(FrameSegmentation.TCPV4, VnetHeader.gsoSizeBytes(header, 0));
            }
            case VnetHeader.GSO_TCPV6 -> {
                if (!now.gsoV6()) {
                    return false;
                }
                frame.segmentation(FrameSegmentation.TCPV6, VnetHeader.gsoSizeBytes(header, 0));
            }
            default -> {
                return false;
            }
        }
        if (partial && !now.checksumV4() && !now.checksumV6()) {
            return false;
        }
        frame.checksum(
                partial
                        ? FrameChecksum.PARTIAL
                        : (flags & VnetHeader.F_DATA_VALID) != 0
                                ? FrameChecksum.COMPLETE
                                : FrameChecksum.UNKNOWN);
        return true;
    }

    @Override
    public void writable(int queue) {
        readFrames();
    }

    @Override
    public void received(ReceivedFrame frame) {
        if (frame.checksum() == FrameChecksum.PARTIAL) {
            if (!frame.findChecksum()) {
                counters.unwritten.increment();
                return;
            }
            VnetHeader.partial(
                    header,
                    0,
                    gsoType(frame.segmentation()),
                    frame.segmentation() == FrameSegmentation.NONE ? 0 : frame.headerBytes(),
                    frame.segmentBytes(),
                    frame.checksumStart(),
                    frame.checksumOffset());
        } else {
            VnetHeader.complete(header, 0, frame.checksum() == FrameChecksum.COMPLETE);
        }
        incoming.clear();
        incoming.add(header, 0, VnetHeader.BYTES);
        for (int i = 0; i < frame.pieces(); i++) {
            incoming.add(frame.memory(), frame.offset(i), frame.size(i));
        }
        if (tap.write(incoming) < 0) {
            counters.unwritten
                    .increment(); // the interface is down, or the kernel finds fault with it
        }
    }

    private static int gsoType(FrameSegmentation segmentation) {
        return switch (segmentation) {
            case NONE -> VnetHeader.GSO_NONE;
            case TCPV4 -> VnetHeader.GSO_TCPV4;
            case TCPV6 -> VnetHeader.GSO_TCPV6;
        };
    }

    /// Takes the interface away. Any thread.
    @Override
    public void close() {
        watch.stop(
                () -> {
                    closed = true;
                    tap.close();
                });
    }
}
