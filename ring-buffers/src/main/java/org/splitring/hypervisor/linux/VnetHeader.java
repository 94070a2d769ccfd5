package org.splitring.hypervisor.linux;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// What stands before each frame that goes through a [TapDevice]: where its checksum is still to be
/// computed, and whether it is one large segment.
///
///     byte  0       1          2         4          6            8             10
///           +-------+----------+---------+----------+------------+-------------+
///           | flags | gso_type | hdr_len | gso_size | csum_start | csum_offset |
///           +-------+----------+---------+----------+------------+-------------+
///     writer  kernel for a frame that is read, we for one that is written
///
/// Offsets count from the first byte of the frame. Little-endian on the machines that we run on:
/// the machine's own order.
///
/// Source: Linux `include/uapi/linux/virtio_net.h`, `struct virtio_net_hdr`.
public final class VnetHeader {
    /// The checksum is partial: summed up from `csum_start`, written at `csum_offset` from there.
    public static final int F_NEEDS_CSUM = 1;

    /// The checksum has been verified.
    public static final int F_DATA_VALID = 2;

    public static final int GSO_NONE = 0;
    public static final int GSO_TCPV4 = 1;
    public static final int GSO_TCPV6 = 4;

    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.nativeOrder());

    static final StructLayout LAYOUT =
            MemoryLayout.structLayout(
                            ValueLayout.JAVA_BYTE.withName("flags"),
                            ValueLayout.JAVA_BYTE.withName("gso_type"),
                            U16.withName("hdr_len"),
                            U16.withName("gso_size"),
                            U16.withName("csum_start"),
                            U16.withName("csum_offset"))
                    .withName("virtio_net_hdr");

    public static final int BYTES = (int) LAYOUT.byteSize();

    private static final VarHandle FLAGS = field("flags");
    private static final VarHandle GSO_TYPE = field("gso_type");
    private static final VarHandle HDR_LEN = field("hdr_len");
    private static final VarHandle GSO_SIZE = field("gso_size");
    private static final VarHandle CSUM_START = field("csum_start");
    private static final VarHandle CSUM_OFFSET = field("csum_offset");

    private VnetHeader() {}

    private static VarHandle field(String name) {
        return LAYOUT.varHandle(PathElement.groupElement(name)).withInvokeExactBehavior();
    }

    /// The header of a frame whose checksum is in it.
    ///
    /// @param verified whether somebody has looked at it
    public static void complete(MemorySegment header, long at, boolean verified) {
        set(header, at, verified ? F_DATA_VALID : 0, GSO_NONE, 0, 0, 0, 0);
    }

    /// The header of a frame with a partial checksum, which may be one large segment.
    ///
    /// @param gsoType one of the `GSO_` values
    /// @param headerBytes of all headers up to the payload, 0 without GSO
    /// @param gsoSizeBytes payload of each segment, 0 without GSO
    /// @param checksumStart first byte that is summed up
    /// @param checksumOffset of the field, from `checksumStart`
    public static void partial(
            MemorySegment header,
            long at,
            int gsoType,
            int headerBytes,
            int gsoSizeBytes,
            int checksumStart,
            int checksumOffset) {
        set(
                header,
                at,
                F_NEEDS_CSUM,
                gsoType,
                headerBytes,
                gsoSizeBytes,
                checksumStart,
                checksumOffset);
    }

    private static void set(
            MemorySegment header,
            long at,
            int flags,
            int gsoType,
            int headerBytes,
            int gsoSizeBytes,
            int checksumStart,
            int checksumOffset) {
        FLAGS.set(header, at, (byte) flags);
        GSO_TYPE.set(header, at, (byte) gsoType);
        HDR_LEN.set(header, at, (short) headerBytes);
        GSO_SIZE.set(header, at, (short) gsoSizeBytes);
        CSUM_START.set(header, at, (short) checksumStart);
        CSUM_OFFSET.set(header, at, (short) checksumOffset);
    }

    /// Bits `F_`.
    public static int flags(MemorySegment header, long at) {
        return Byte.toUnsignedInt((byte) FLAGS.get(header, at));
    }

    /// One of the `GSO_` values, or another that the device was not allowed to use.
    public static int gsoType(MemorySegment header, long at) {
        return Byte.toUnsignedInt((byte) GSO_TYPE.get(header, at));
    }

    /// Bytes of all headers, as far as the kernel knows.
    public static int headerBytes(MemorySegment header, long at) {
        return Short.toUnsignedInt((short) HDR_LEN.get(header, at));
    }

    /// Payload bytes of each segment.
    public static int gsoSizeBytes(MemorySegment header, long at) {
        return Short.toUnsignedInt((short) GSO_SIZE.get(header, at));
    }

    /// First byte that the checksum sums up, with [#F_NEEDS_CSUM].
    public static int checksumStart(MemorySegment header, long at) {
        return Short.toUnsignedInt((short) CSUM_START.get(header, at));
    }

    /// Where the checksum is, from [#checksumStart].
    public static int checksumOffset(MemorySegment header, long at) {
        return Short.toUnsignedInt((short) CSUM_OFFSET.get(header, at));
    }
}
