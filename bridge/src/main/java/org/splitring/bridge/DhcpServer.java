package org.splitring.bridge;

import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.DhcpLeases.Lease;

/// The DHCP server of one interface (RFC 2131). Seldom enough that it may allocate; each port has
/// a rate. A lease says where the address lives: other ports can then not have it. The network's
/// loop.
final class DhcpServer {
    private final RouterEngine engine;
    private final DhcpSettings settings;
    private final DhcpLeases leases;
    private final InterfaceAddress gateway;
    private final int own;
    private final boolean answersDns;

    DhcpServer(RouterEngine engine, RouterInterface config, boolean answersDns) {
        this.engine = engine;
        this.answersDns = answersDns;
        settings = config.dhcp().orElseThrow();
        gateway = settings.gateway(config.addresses());
        own = IpWords.v4(gateway.address());
        Set<Integer> taken = new HashSet<>();
        for (InterfaceAddress each : config.addresses()) {
            if (IpWords.isV4(each.address())) {
                int first = IpWords.v4(each.subnet().address());
                taken.add(IpWords.v4(each.address()));
                taken.add(first);
                taken.add(first | ~(-1 << (32 - each.bits())));
            }
        }
        for (HostRoute each : config.hosts()) {
            if (IpWords.isV4(each.address())) {
                taken.add(IpWords.v4(each.address()));
            }
        }
        leases = new DhcpLeases(settings, taken);
    }

    DhcpLeases leases() {
        return leases;
    }

    /// The port that an address is leased at; -1 when it is not.
    int portOf(long high, long low, int now) {
        return IpWords.isV4(high, low) ? leases.portOf((int) low, now) : -1;
    }

    /// Gives addresses of host routes to nobody.
    void exclude(List<HostRoute> hosts) {
        for (HostRoute each : hosts) {
            if (IpWords.isV4(each.address())) {
                leases.exclude(IpWords.v4(each.address()));
            }
        }
    }

    /// Takes a UDP datagram to port 67.
    void receive(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int at = layers.l4At + 8;
        int size = layers.ipEnd - at;
        if (size > DhcpMessage.MAX_BYTES || !from.requests.take(1, engine.nanos())) {
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            return;
        }
        byte[] bytes = new byte[size];
        frame.copyTo(MemorySegment.ofArray(bytes), 0, at, size);
        DhcpMessage message = new DhcpMessage(bytes);
        // No relay is asked for, and a guest speaks for the MAC address that it sends from.
        if (message.type == 0 || message.relayAddress != 0 || message.mac != frame.mac(6)) {
            engine.drop(from, RouterCounter.DROPPED_LOCAL);
            return;
        }
        engine.counters.add(RouterCounter.ANSWERED);
        int now = engine.second();
        Lease has = leases.of(message.mac, from.index, now);
        switch (message.type) {
            case DhcpMessage.DISCOVER -> discover(from, message, now);
            case DhcpMessage.REQUEST -> request(from, message, has, now);
            case DhcpMessage.DECLINE -> {
                if (has != null && message.requestedAddress == has.address) {
                    leases.decline(has, now);
                }
            }
            case DhcpMessage.RELEASE -> {
                if (has != null && message.clientAddress == has.address) {
                    leases.release(has);
                }
            }
            case DhcpMessage.INFORM -> answer(from, message, DhcpMessage.ACK, 0);
            default -> {}
        }
    }

    private void discover(RouterPort from, DhcpMessage message, int now) {
        Lease lease = offer(from, message, now);
        if (lease == null) {
            engine.counters.add(RouterCounter.DHCP_EXHAUSTED);
        } else {
            answer(from, message, DhcpMessage.OFFER, lease.address);
        }
    }

    private @Nullable Lease offer(RouterPort from, DhcpMessage message, int now) {
        return leases.offer(message.mac, from.index, message.requestedAddress, now);
    }

    /// RFC 2131 §4.3.2: a choice among offers, a reboot with a known address, or a renewal.
    private void request(RouterPort from, DhcpMessage message, @Nullable Lease has, int now) {
        if (message.server != 0 && message.server != own) {
            if (has != null) {
                leases.release(has); // it has chosen another server
            }
            return;
        }
        int wanted =
                message.requestedAddress != 0 ? message.requestedAddress : message.clientAddress;
        Lease lease = has;
        if (lease == null && message.server == 0) {
            // A lease that we have forgotten, in an earlier life: it may stay when it is free.
            lease = leases.offer(message.mac, from.index, wanted, now);
        }
        if (lease == null || lease.address != wanted) {
            answer(from, message, DhcpMessage.NAK, 0);
            return;
        }
        leases.confirm(lease, now);
        answer(from, message, DhcpMessage.ACK, lease.address);
        engine.hops.learn(from, 0, IpWords.ofV4(lease.address), message.mac);
    }

    /// @param address that the client gets; 0 when it gets none
    private void answer(RouterPort to, DhcpMessage asked, int type, int address) {
        boolean nak = type == DhcpMessage.NAK;
        // RFC 2131 §4.1: to the address it has, else to the one it gets, unless it cannot hear
        // that yet and says so.
        int ip = asked.clientAddress;
        if (nak || (ip == 0 && (asked.broadcast || address == 0))) {
            ip = -1;
        } else if (ip == 0) {
            ip = address;
        }
        OutgoingPacket out = engine.out;
        out.ipv4(
                ip == -1 ? LearningSwitch.BROADCAST : asked.mac,
                to.side.mac,
                FrameLayers.UDP,
                own,
                ip);
        out.u16(LocalV4.DHCP_SERVER).u16(LocalV4.DHCP_CLIENT).u16(0).u16(0);
        out.i32(0x0201_0600).i32(asked.xid).u16(0).u16(asked.broadcast ? 0x8000 : 0);
        out.i32(nak ? 0 : asked.clientAddress).i32(address).i32(nak ? 0 : own).i32(0);
        out.mac(asked.mac).zeros(10 + 64 + 128).i32(DhcpMessage.COOKIE);
        out.u8(53).u8(1).u8(type).u8(54).u8(4).i32(own);
        if (!nak) {
            if (address != 0) {
                int seconds = settings.leaseSeconds();
                out.u8(51).u8(4).i32(seconds);
                out.u8(58).u8(4).i32(seconds / 2).u8(59).u8(4).i32((int) (seconds * 7L / 8));
            }
            out.u8(1).u8(4).i32(-1 << (32 - gateway.bits()));
            out.u8(3).u8(4).i32(own);
            nameServers(out);
            Optional<String> domain = settings.domain();
            if (domain.isPresent()) {
                byte[] text = domain.get().getBytes(StandardCharsets.US_ASCII);
                out.u8(15).u8(text.length).bytes(text, text.length);
            }
            if (settings.mtu().isPresent()) {
                out.u8(26).u8(2).u16(settings.mtu().get());
            }
        }
        if (asked.clientId.length > 0) {
            out.u8(61).u8(asked.clientId.length).bytes(asked.clientId, asked.clientId.length);
        }
        out.u8(255);
        // Old clients want at least as much as BOOTP had (RFC 1542 §2.1).
        out.padTo(Frame.ETHERNET_BYTES + 28 + 300);
        out.sendTo(to.link);
    }

    private void nameServers(OutgoingPacket out) {
        List<InetAddress> servers = settings.dnsServers();
        if (!servers.isEmpty()) {
            out.u8(6).u8(4 * servers.size());
            servers.forEach(each -> out.i32(IpWords.v4(each)));
        } else if (answersDns) {
            out.u8(6).u8(4).i32(own);
        }
    }
}
