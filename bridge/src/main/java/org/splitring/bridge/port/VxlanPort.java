package org.splitring.bridge.port;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.epoll.EpollDatagramChannel;
import io.netty.channel.socket.DatagramPacket;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.Frame;
import org.splitring.bridge.FramePort;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;

/// A port to other machines: one VXLAN segment (RFC 7348) over UDP, with a fixed list of peers.
///
/// A frame for an address that was seen behind a peer goes to that one, every other to all. What
/// comes from a peer is never sent to another: all of them reach each other directly, and a frame
/// that went round would come twice. For the network the peers together are one port.
///
/// VXLAN has no protection of its own (N-49). What we can ask for: a sender on the list, our VNI
/// and no other, and that a frame is unpacked once, here; what is in it is a frame like any other.
/// Whoever can forge a peer's address can send into the segment: on a network that is not trusted,
/// put it over WireGuard or IPsec.
public final class VxlanPort extends ChannelInboundHandlerAdapter
        implements FramePort, AutoCloseable {
    /// The port that IANA has given to it.
    public static final int UDP_PORT = 4789;

    /// Most peers of one segment.
    public static final int MAX_PEERS = 64;

    private static final int MAX_UDP_BYTES = 65_507;
    private static final int ADDRESSES_BYTES = 12;
    private static final long GROUP_BIT = 1L << 40;

    private final EventLoop loop;
    private final int vni;
    private final InetSocketAddress[] peers;
    private final PeerTable table = new PeerTable();
    private final InboundFrame inbound = new InboundFrame(MAX_UDP_BYTES);
    private @Nullable Channel channel;
    private @Nullable PortLink link;

    private VxlanPort(EventLoop loop, int vni, List<InetSocketAddress> peers) {
        this.loop = loop;
        this.vni = vni;
        this.peers = peers.toArray(InetSocketAddress[]::new);
    }

    /// Opens the socket and plugs the port in.
    ///
    /// @param mtu of frames in the segment; what the way to the peers takes, less 50 bytes (70 over
    ///     IPv6)
    /// @param loop the network's; not called from it
    /// @param local address and UDP port; one socket for each segment
    /// @param vni 0 to 16777215
    /// @param peers address and UDP port of each
    /// @throws IOException when the local address is in use or not ours: the message says where
    public static VxlanPort open(
            VirtualNetwork network,
            PortSettings settings,
            int mtu,
            EventLoop loop,
            InetSocketAddress local,
            int vni,
            List<InetSocketAddress> peers)
            throws IOException {
        if (vni < 0 || vni > VxlanHeader.MAX_VNI) {
            throw new IllegalArgumentException(
                    "VNI " + vni + " is not between 0 and " + VxlanHeader.MAX_VNI);
        }
        if (peers.isEmpty() || peers.size() > MAX_PEERS) {
            throw new IllegalArgumentException(
                    peers.size() + " peers: not between 1 and " + MAX_PEERS);
        }
        for (InetSocketAddress peer : peers) {
            if (peer.isUnresolved()) {
                throw new IllegalArgumentException("peer " + peer + " is no address");
            }
        }
        VxlanPort port = new VxlanPort(loop, vni, peers);
        ChannelFuture bound =
                new Bootstrap()
                        .group(loop)
                        .channel(EpollDatagramChannel.class)
                        .option(
                                ChannelOption.RECVBUF_ALLOCATOR,
                                new FixedRecvByteBufAllocator(MAX_UDP_BYTES))
                        .handler(port)
                        .bind(local)
                        .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "port " + settings.name() + ": cannot bind " + local + ": " + bound.cause(),
                    bound.cause());
        }
        try {
            loop.submit(() -> port.attach(network, settings, mtu, bound.channel())).sync();
        } catch (InterruptedException e) {
            port.close();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
        return port;
    }

    private void attach(VirtualNetwork network, PortSettings settings, int mtu, Channel bound) {
        channel = bound;
        try {
            link = network.attach(this, settings, PortCapabilities.plain(mtu));
        } catch (IllegalArgumentException | IllegalStateException e) {
            var ignored = bound.close();
            throw e;
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        try {
            PortLink to = link;
            if (to != null && message instanceof DatagramPacket packet) {
                take(packet.content(), packet.sender(), to);
            }
        } finally {
            ReferenceCountUtil.release(message);
        }
    }

    private void take(ByteBuf bytes, InetSocketAddress sender, PortLink to) {
        int peer = peer(sender.getAddress());
        if (peer < 0
                || bytes.readableBytes() < VxlanHeader.BYTES
                || VxlanHeader.vni(bytes) != vni) {
            to.drop(PortCounter.IN_DROPPED_PEER);
            return;
        }
        bytes.skipBytes(VxlanHeader.BYTES);
        inbound.begin();
        inbound.take(bytes, bytes.readableBytes());
        if (inbound.sizeBytes() >= ADDRESSES_BYTES && (inbound.source() & GROUP_BIT) == 0) {
            table.learn(inbound.source(), peer);
        }
        to.receive(inbound.frame());
    }

    /// By address alone: the outer source port is a hash of the flow (RFC 7348 §5).
    private int peer(InetAddress address) {
        for (int i = 0; i < peers.length; i++) {
            if (peers[i].getAddress().equals(address)) {
                return i;
            }
        }
        return PeerTable.UNKNOWN;
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        PortLink to = link;
        if (to != null) {
            to.endBatch();
        }
    }

    /// A peer that is not there answers with ICMP; that is the peer's trouble.
    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        PortLink to = link;
        if (to != null) {
            to.drop(PortCounter.OUT_DROPPED_FULL);
        }
    }

    @Override
    public boolean offer(Frame frame) {
        Channel open = channel;
        if (open == null
                || !open.isWritable()
                || frame.sizeBytes() > MAX_UDP_BYTES - VxlanHeader.BYTES) {
            return false;
        }
        int known = table.find(frame.mac(0));
        ByteBuf bytes = OutboundFrames.copy(open.alloc(), VxlanHeader.BYTES, frame);
        VxlanHeader.write(bytes, vni);
        if (known != PeerTable.UNKNOWN) {
            var ignored = open.write(new DatagramPacket(bytes, peers[known]), open.voidPromise());
            return true;
        }
        for (InetSocketAddress peer : peers) {
            var ignored =
                    open.write(
                            new DatagramPacket(bytes.retainedDuplicate(), peer),
                            open.voidPromise());
        }
        bytes.release();
        return true;
    }

    @Override
    public void flush() {
        Channel open = channel;
        if (open != null) {
            open.flush();
        }
    }

    /// Unplugs the port. Any thread but the loop.
    @Override
    public void close() {
        loop.submit(
                        () -> {
                            PortLink attached = link;
                            Channel open = channel;
                            link = null;
                            channel = null;
                            if (attached != null) {
                                attached.detach();
                            }
                            if (open != null) {
                                var ignored = open.close();
                            }
                        })
                .awaitUninterruptibly();
    }

    @Override
    public String toString() {
        return "VNI " + vni + " to " + peers.length + " peers";
    }
}
