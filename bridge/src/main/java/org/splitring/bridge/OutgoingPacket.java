package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// A packet that the router makes itself: written front to back into memory that is used again for
/// the next one, then sent. Lengths and checksums are filled in last. The network's loop.
final class OutgoingPacket {
    static final int TTL = 64;

    private static final int CAPACITY = 2048;
    private static final int IP_AT = Frame.ETHERNET_BYTES;
    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfInt I32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfLong I64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private final MemorySegment memory = Arena.ofAuto().allocate(CAPACITY, 64);
    private final Frame frame = new Frame();
    private int end;
    private int id;

    OutgoingPacket u8(int value) {
        memory.set(ValueLayout.JAVA_BYTE, end, (byte) value);
        end++;
        return this;
    }

    OutgoingPacket u16(int value) {
        memory.set(U16, end, (short) value);
        end += 2;
        return this;
    }

    OutgoingPacket i32(int value) {
        memory.set(I32, end, value);
        end += 4;
        return this;
    }

    OutgoingPacket i64(long value) {
        memory.set(I64, end, value);
        end += 8;
        return this;
    }

    OutgoingPacket mac(long value) {
        return u16((int) (value >>> 32)).i32((int) value);
    }

    /// Appends bytes of a frame.
    OutgoingPacket bytes(Frame from, int at, int length) {
        from.copyTo(memory, end, at, length);
        end += length;
        return this;
    }

    OutgoingPacket bytes(byte[] from, int length) {
        MemorySegment.copy(from, 0, memory, ValueLayout.JAVA_BYTE, end, length);
        end += length;
        return this;
    }

    OutgoingPacket zeros(int count) {
        memory.asSlice(end, count).fill((byte) 0);
        end += count;
        return this;
    }

    /// Appends zeros up to a size.
    void padTo(int size) {
        if (end < size) {
            zeros(size - end);
        }
    }

    /// How many bytes may still be appended.
    int room() {
        return CAPACITY - end;
    }

    OutgoingPacket ethernet(long to, long from, int type) {
        end = 0;
        return mac(to).mac(from).u16(type);
    }

    /// Begins an IPv4 packet without options.
    OutgoingPacket ipv4(long toMac, long fromMac, int protocol, int source, int destination) {
        ethernet(toMac, fromMac, FrameLayers.IPV4);
        u16(0x4500).u16(0).u16(id++).u16(0).u8(TTL).u8(protocol).u16(0);
        return i32(source).i32(destination);
    }

    /// Begins an IPv6 packet without extension headers.
    OutgoingPacket ipv6(
            long toMac,
            long fromMac,
            int protocol,
            int hopLimit,
            long sourceHigh,
            long sourceLow,
            long destinationHigh,
            long destinationLow) {
        ethernet(toMac, fromMac, FrameLayers.IPV6);
        i32(0x6000_0000).u16(0).u8(protocol).u8(hopLimit);
        return i64(sourceHigh).i64(sourceLow).i64(destinationHigh).i64(destinationLow);
    }

    /// Writes an ARP request.
    ///
    /// @param sender the asker's IPv4 address; `asked` itself announces it instead (RFC 5227)
    OutgoingPacket arpRequest(long toMac, long fromMac, int sender, int asked) {
        ethernet(toMac, fromMac, FrameLayers.ARP).i32(0x0001_0800).u16(0x0604).u16(1);
        return mac(fromMac).i32(sender).mac(0).i32(asked);
    }

    /// Writes a neighbour solicitation (RFC 4861 §4.3), the address of its asker in it.
    OutgoingPacket solicitation(
            long fromMac, long sourceHigh, long sourceLow, long high, long low) {
        int last = (int) low & 0xFF_FFFF;
        ipv6(
                0x3333_FF00_0000L | last,
                fromMac,
                FrameLayers.ICMPV6,
                255,
                sourceHigh,
                sourceLow,
                0xFF02_0000_0000_0000L,
                0x0000_0001_FF00_0000L | last);
        u8(Icmp.SOLICITATION).u8(0).u16(0).i32(0).i64(high).i64(low);
        return u8(1).u8(1).mac(fromMac);
    }

    /// Fills in the lengths and checksums and sends the packet.
    boolean sendTo(PortLink link) {
        return link.send(packet());
    }

    /// Fills in the lengths and checksums.
    ///
    /// @return the packet, until the next one is begun
    Frame packet() {
        boolean v4 = memory.get(U16, 12) == FrameLayers.IPV4;
        int l4At = IP_AT + (v4 ? 20 : 40);
        int protocol = Byte.toUnsignedInt(memory.get(ValueLayout.JAVA_BYTE, IP_AT + (v4 ? 9 : 6)));
        int payload = end - l4At;
        if (protocol == FrameLayers.UDP) {
            memory.set(U16, l4At + 4, (short) payload);
        }
        int place =
                l4At
                        + switch (protocol) {
                            case FrameLayers.TCP -> 16;
                            case FrameLayers.UDP -> 6;
                            default -> 2;
                        };
        memory.set(U16, place, (short) 0);
        long sum = InternetChecksum.sum(memory, l4At, payload);
        if (!v4) {
            memory.set(U16, IP_AT + 4, (short) payload);
            sum += InternetChecksum.sum(memory, IP_AT + 8, 32) + payload + protocol;
        } else {
            memory.set(U16, IP_AT + 2, (short) (end - IP_AT));
            if (protocol != FrameLayers.ICMP) {
                sum += InternetChecksum.sum(memory, IP_AT + 12, 8) + payload + protocol;
            }
            memory.set(U16, IP_AT + 10, (short) ~InternetChecksum.sum(memory, IP_AT, l4At - IP_AT));
        }
        int field = InternetChecksum.field(sum);
        boolean icmp = protocol == FrameLayers.ICMP || protocol == FrameLayers.ICMPV6;
        memory.set(U16, place, (short) (icmp && field == 0xFFFF ? 0 : field));
        return raw();
    }

    /// Sends what was written as it is.
    boolean sendRaw(PortLink link) {
        return link.send(raw());
    }

    /// What was written as it is, until the next packet is begun.
    Frame raw() {
        frame.reset();
        frame.append(memory, 0, end);
        frame.completeChecksum(ChecksumState.COMPLETE_VERIFIED);
        return frame;
    }
}
