package org.splitring.bridge;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.CorruptedFrameException;
import io.netty.handler.codec.dns.DefaultDnsPtrRecord;
import io.netty.handler.codec.dns.DefaultDnsRawRecord;
import io.netty.handler.codec.dns.DnsQuestion;
import io.netty.handler.codec.dns.DnsRecord;
import io.netty.handler.codec.dns.DnsRecordDecoder;
import io.netty.handler.codec.dns.DnsRecordEncoder;
import io.netty.handler.codec.dns.DnsRecordType;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Answers DNS questions of a router's guests: the names of the settings itself, others by asking
/// upstream (RFC 1035). Seldom enough that it may allocate; each port has a rate and a number of
/// questions under way. The network's loop.
final class DnsRelay {
    /// Questions are short; EDNS options make them a little longer.
    static final int MAX_QUERY_BYTES = 512;

    private static final int HEADER_BYTES = 12;
    private static final int FORMAT_ERROR = 1;
    private static final int SERVER_FAILURE = 2;
    private static final int NOT_IMPLEMENTED = 4;
    private static final int REFUSED = 5;
    private static final int RESPONSE = 0x8000;
    private static final int AUTHORITATIVE = 0x0400;
    private static final int TRUNCATED = 0x0200;
    private static final int RECURSION_DESIRED = 0x0100;
    private static final int RECURSION_AVAILABLE = 0x0080;

    /// Who has asked, and where: what an answer needs when it comes later.
    private record Asker(
            RouterPort port,
            long mac,
            boolean v4,
            long high,
            long low,
            long ownHigh,
            long ownLow,
            int udpPort,
            int id) {}

    private final RouterEngine engine;
    private final DnsUpstream upstream;
    private DnsSettings settings;
    private final Map<String, String> pointers = new HashMap<>();

    DnsRelay(RouterEngine engine, DnsSettings settings, DnsUpstream upstream) {
        this.engine = engine;
        this.upstream = upstream;
        this.settings = settings;
        configure(settings);
    }

    void configure(DnsSettings now) {
        settings = now;
        pointers.clear();
        now.hosts()
                .forEach((name, all) -> all.forEach(a -> pointers.putIfAbsent(reverse(a), name)));
    }

    /// The name under which an address's own name is found, as RFC 1035 §3.5 and RFC 3596 §2.5
    /// write it.
    static String reverse(InetAddress address) {
        StringBuilder text = new StringBuilder();
        byte[] bytes = address.getAddress();
        for (int i = bytes.length - 1; i >= 0; i--) {
            int value = bytes[i] & 0xFF;
            if (bytes.length == 4) {
                text.append(value).append('.');
            } else {
                text.append(Character.forDigit(value & 15, 16)).append('.');
                text.append(Character.forDigit(value >>> 4, 16)).append('.');
            }
        }
        return text.append(bytes.length == 4 ? "in-addr.arpa" : "ip6.arpa").toString();
    }

    /// Takes a UDP datagram to port 53 of one of the router's addresses.
    void receive(RouterPort from, Frame frame) {
        FrameLayers layers = frame.layers();
        int at = layers.l4At + 8;
        int size = layers.ipEnd - at;
        if (size < HEADER_BYTES
                || size > MAX_QUERY_BYTES
                || !from.queries.take(1, engine.nanos())) {
            engine.drop(from, RouterCounter.DNS_REFUSED);
            return;
        }
        byte[] query = new byte[size];
        frame.copyTo(MemorySegment.ofArray(query), 0, at, size);
        ByteBuf in = Unpooled.wrappedBuffer(query);
        int flags = in.getUnsignedShort(2);
        if ((flags & RESPONSE) != 0) {
            engine.drop(from, RouterCounter.DNS_REFUSED);
            return;
        }
        Asker asker = asker(from, frame, layers, in.getUnsignedShort(0));
        DnsQuestion question = question(in);
        if ((flags & 0x7800) != 0 || question == null) {
            engine.drop(from, RouterCounter.DNS_REFUSED);
            fail(asker, query, (flags & 0x7800) != 0 ? NOT_IMPLEMENTED : FORMAT_ERROR);
            return;
        }
        engine.counters.add(RouterCounter.ANSWERED);
        if (!answerOwn(asker, question, flags)) {
            relay(asker, query);
        }
    }

    private static Asker asker(RouterPort from, Frame frame, FrameLayers layers, int id) {
        int at = layers.l3At;
        boolean v4 = layers.ipVersion == 4;
        return new Asker(
                from,
                frame.mac(6),
                v4,
                v4 ? 0 : frame.i64(at + 8),
                v4 ? frame.i32(at + 12) : frame.i64(at + 16),
                v4 ? 0 : frame.i64(at + 24),
                v4 ? frame.i32(at + 16) : frame.i64(at + 32),
                frame.u16(layers.l4At),
                id);
    }

    /// The one question of a query; null when there is not exactly one that can be read.
    private static @Nullable DnsQuestion question(ByteBuf in) {
        if (in.getUnsignedShort(4) != 1 || in.getUnsignedShort(6) != 0) {
            return null;
        }
        try {
            return DnsRecordDecoder.DEFAULT.decodeQuestion(in.readerIndex(HEADER_BYTES));
        } catch (CorruptedFrameException | IndexOutOfBoundsException e) {
            return null;
        } catch (Exception e) {
            // The decoder declares any; what it throws is about these bytes only.
            return null;
        }
    }

    /// Answers a question about the settings' names.
    ///
    /// @return `false` when it is about others
    private boolean answerOwn(Asker asker, DnsQuestion question, int flags) {
        String dotted = question.name().toLowerCase(Locale.ROOT);
        String name = dotted.endsWith(".") ? dotted.substring(0, dotted.length() - 1) : dotted;
        List<InetAddress> addresses = settings.hosts().get(name);
        String pointer = pointers.get(name);
        if (question.dnsClass() != DnsRecord.CLASS_IN || (addresses == null && pointer == null)) {
            return false;
        }
        ByteBuf out = Unpooled.buffer(512);
        int kept = flags & RECURSION_DESIRED;
        out.writeShort(asker.id)
                .writeShort(RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | kept)
                .writeShort(1)
                .writeZero(6);
        int count = 0;
        try {
            DnsRecordEncoder.DEFAULT.encodeQuestion(question, out);
            if (addresses != null) {
                for (InetAddress each : addresses) {
                    DnsRecordType type = IpWords.isV4(each) ? DnsRecordType.A : DnsRecordType.AAAA;
                    if (type.equals(question.type()) || question.type().equals(DnsRecordType.ANY)) {
                        ByteBuf content = Unpooled.wrappedBuffer(each.getAddress());
                        encode(new DefaultDnsRawRecord(dotted, type, ttl(), content), out);
                        count++;
                    }
                }
            } else if (question.type().equals(DnsRecordType.PTR) && pointer != null) {
                encode(
                        new DefaultDnsPtrRecord(dotted, DnsRecord.CLASS_IN, ttl(), pointer + "."),
                        out);
                count++;
            }
        } catch (Exception e) {
            throw new IllegalStateException("cannot write an answer about " + name, e);
        }
        out.setShort(6, count);
        byte[] message = new byte[out.readableBytes()];
        out.readBytes(message);
        send(asker, message);
        return true;
    }

    private static void encode(DnsRecord answer, ByteBuf out) throws Exception {
        DnsRecordEncoder.DEFAULT.encodeRecord(answer, out);
    }

    private long ttl() {
        return settings.ttlSeconds();
    }

    private void relay(Asker asker, byte[] query) {
        RouterPort port = asker.port;
        if (port.asking >= settings.queriesPerPort()) {
            engine.counters.add(RouterCounter.DNS_REFUSED);
            fail(asker, query, REFUSED);
            return;
        }
        if (!upstream.ask(query.clone(), message -> answered(asker, query, message))) {
            fail(asker, query, SERVER_FAILURE);
            return;
        }
        port.asking++;
    }

    private void answered(Asker asker, byte[] query, byte[] message) {
        asker.port.asking--;
        if (message.length < HEADER_BYTES) {
            fail(asker, query, SERVER_FAILURE);
        } else {
            send(asker, message.clone());
        }
        asker.port.link.endBatch();
    }

    /// Answers with the question and an error, if the question can be read, else with the error.
    private void fail(Asker asker, byte[] query, int code) {
        byte[] message = Arrays.copyOf(query, HEADER_BYTES);
        int kept = (query[2] & 0x79) << 8;
        int flags = kept | RESPONSE | RECURSION_AVAILABLE | code;
        ByteBuf header = Unpooled.wrappedBuffer(message);
        header.setShort(2, flags).setZero(4, 8);
        ByteBuf in = Unpooled.wrappedBuffer(query);
        if (question(in) != null) {
            message = Arrays.copyOf(query, in.readerIndex());
            Unpooled.wrappedBuffer(message).setShort(2, flags).setZero(6, 6);
        }
        send(asker, message);
    }

    private void send(Asker to, byte[] message) {
        RouterPort port = to.port;
        if (engine.port(port.index) != port) {
            return; // it is gone, and what is there now has not asked
        }
        OutgoingPacket out = engine.out;
        if (to.v4) {
            out.ipv4(to.mac, port.side.mac, FrameLayers.UDP, (int) to.ownLow, (int) to.low);
        } else {
            out.ipv6(
                    to.mac,
                    port.side.mac,
                    FrameLayers.UDP,
                    OutgoingPacket.TTL,
                    to.ownHigh,
                    to.ownLow,
                    to.high,
                    to.low);
        }
        out.u16(LocalV4.DNS).u16(to.udpPort).u16(0).u16(0);
        int room = Math.min(out.room(), port.link.mtu() - (to.v4 ? 28 : 48));
        ByteBuf whole = Unpooled.wrappedBuffer(message);
        whole.setShort(0, to.id);
        int length = message.length;
        if (length > room) {
            // Only the header: whoever wants more has to ask over TCP, which is not served here.
            whole.setShort(2, whole.getUnsignedShort(2) | TRUNCATED).setZero(4, 8);
            length = HEADER_BYTES;
        }
        out.bytes(message, length);
        out.sendTo(port.link);
    }
}
