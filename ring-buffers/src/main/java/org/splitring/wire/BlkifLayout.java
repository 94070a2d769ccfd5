package org.splitring.wire;

import static org.splitring.wire.WireTypes.BYTE;
import static org.splitring.wire.WireTypes.INT;
import static org.splitring.wire.WireTypes.LONG;
import static org.splitring.wire.WireTypes.SHORT;
import static org.splitring.wire.WireTypes.U16;
import static org.splitring.wire.WireTypes.U32;
import static org.splitring.wire.WireTypes.U64;
import static org.splitring.wire.WireTypes.U64_ALIGNED_4;
import static org.splitring.wire.WireTypes.U8;
import static org.splitring.wire.WireTypes.offset;
import static org.splitring.wire.WireTypes.struct;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Slots of a vbd's ring, as the machine of the frontend lays them out.
///
/// There are two ABIs: i386 aligns a u64 to 4 bytes, x86_64 and arm to 8. The frontend says in
/// its `protocol` node which one its ring has. All integers are little-endian.
///
///     request   x86_64, arm: 112 bytes                          x86_32: 108 bytes
///     byte  0    1    2      8        16       24      112      0    1    2      4     12     20
///           +----+----+------+--------+--------+--------+       +----+----+------+-----+------+---
///           | op | nr |handle| id     | sector | seg[11]|       | op | nr |handle| id  |sector|seg
///           +----+----+------+--------+--------+--------+       +----+----+------+-----+------+---
///
///     segment   8 bytes, in a request and in an indirect page (512 in 4096 bytes)
///     byte  0         4            5           6
///           +---------+------------+-----------+--------+
///           | gref    | first_sect | last_sect | (pad)  |    sectors of 512 bytes, both inclusive
///           +---------+------------+-----------+--------+
///
///     discard   x86_64, arm: 32 bytes                           x86_32: 28 bytes
///     byte  0    1    2      8        16       24        32     0    1    2      4     12     20
///           +----+----+------+--------+--------+----------+     +----+----+------+-----+------+---
///           | op |flag|handle| id     | sector |nr_sectors|     | op |flag|handle| id  |sector|nr_
///           +----+----+------+--------+--------+----------+     +----+----+------+-----+------+---
///
///     indirect  x86_64, arm: 64 bytes                           x86_32: 64 bytes, the last 8 pad
///     byte  0    1    2      8        16       24      28       0    1    2      4     12     20
///           +----+-----+----+--------+--------+------+-------+  +----+-----+----+-----+------+----
///           | op |i_op |nr  | id     | sector |handle|gref[8]|  | op |i_op |nr  | id  |sector|hand
///           +----+-----+----+--------+--------+------+-------+  +----+-----+----+-----+------+----
///
///     response  x86_64, arm: 16 bytes, x86_32: 12
///     byte  0        8    9     10       12
///           +--------+----+-----+--------+-----------------
///           | id     | op |(pad)| status | (pad to the end)
///           +--------+----+-----+--------+-----------------
///
/// The frontend writes requests, and the pages of segments; the backend writes responses over
/// them. The distance of slots is the size of the request: a ring of 1, 2, 4, 8 or 16 pages has
/// 32, 64, 128, 256 or 512 slots with either ABI. The id is the frontend's and comes back
/// unchanged. Padding is left as it is: what a backend writes into a slot is the three fields.
///
/// The accessors take a segment and the byte offset where the structure begins in it. They are
/// meant for a private copy of a slot (never for a second look at the shared one) and for filling
/// a slot. Unsigned fields come back widened.
///
/// Source: Xen `public/io/blkif.h`; of the two ABIs, `public/io/protocols.h`.
public final class BlkifLayout {
    /// `BLKIF_MAX_SEGMENTS_PER_REQUEST`: how many segments a request carries itself.
    public static final int MAX_SEGMENTS_PER_REQUEST = 11;

    /// `BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST`: how many pages of segments an indirect one has.
    public static final int MAX_INDIRECT_PAGES_PER_REQUEST = 8;

    /// A segment, the same with every ABI.
    public static final StructLayout SEGMENT =
            struct(
                    "blkif_request_segment",
                    U32.withName("gref"),
                    U8.withName("first_sect"),
                    U8.withName("last_sect"));

    /// Segments in an indirect page of 4096 bytes: 512.
    public static final int SEGMENTS_PER_INDIRECT_PAGE = (int) (4096 / SEGMENT.byteSize());

    /// What Xen calls the native ABI of x86_64; `protocol` is `x86_64-abi`.
    public static final BlkifLayout X86_64 = new BlkifLayout("x86_64-abi", U64);

    /// The ABI of 32-bit x86 frontends; `protocol` is `x86_32-abi`.
    public static final BlkifLayout X86_32 = new BlkifLayout("x86_32-abi", U64_ALIGNED_4);

    /// The ABI of arm, both 32 and 64 bits; `protocol` is `arm-abi`; bytes as [#X86_64].
    public static final BlkifLayout ARM = new BlkifLayout("arm-abi", U64);

    private static final long OPERATION = 0; // of all three requests; LayoutTest compares it
    private static final long SEGMENT_SIZE = SEGMENT.byteSize();
    private static final long GREF = offset(SEGMENT, "gref");
    private static final long FIRST_SECT = offset(SEGMENT, "first_sect");
    private static final long LAST_SECT = offset(SEGMENT, "last_sect");

    private final String protocol;
    private final StructLayout request;
    private final StructLayout discard;
    private final StructLayout indirect;
    private final StructLayout response;

    private final long nrSegments;
    private final long handle;
    private final long id;
    private final long sectorNumber;
    private final long seg;
    private final long discardFlag;
    private final long discardNrSectors;
    private final long indirectOp;
    private final long indirectNrSegments;
    private final long indirectHandle;
    private final long indirectGrefs;
    private final long responseId;
    private final long responseOperation;
    private final long responseStatus;

    private BlkifLayout(String protocol, ValueLayout.OfLong u64) {
        this.protocol = protocol;
        this.request =
                struct(
                        "blkif_request",
                        U8.withName("operation"),
                        U8.withName("nr_segments"),
                        U16.withName("handle"),
                        u64.withName("id"),
                        u64.withName("sector_number"),
                        MemoryLayout.sequenceLayout(MAX_SEGMENTS_PER_REQUEST, SEGMENT)
                                .withName("seg"));
        this.discard =
                struct(
                        "blkif_request_discard",
                        U8.withName("operation"),
                        U8.withName("flag"),
                        U16.withName("handle"),
                        u64.withName("id"),
                        u64.withName("sector_number"),
                        u64.withName("nr_sectors"));
        List<MemoryLayout> indirectFields =
                new ArrayList<>(
                        List.of(
                                U8.withName("operation"),
                                U8.withName("indirect_op"),
                                U16.withName("nr_segments"),
                                u64.withName("id"),
                                u64.withName("sector_number"),
                                U16.withName("handle"),
                                MemoryLayout.sequenceLayout(MAX_INDIRECT_PAGES_PER_REQUEST, U32)
                                        .withName("indirect_grefs")));
        if (u64.byteAlignment() == 4) {
            indirectFields.add(u64.withName("pad")); // only i386 has it, to come to 64 bytes too
        }
        this.indirect =
                struct("blkif_request_indirect", indirectFields.toArray(MemoryLayout[]::new));
        this.response =
                struct(
                        "blkif_response",
                        u64.withName("id"),
                        U8.withName("operation"),
                        U16.withName("status"));

        this.nrSegments = offset(request, "nr_segments");
        this.handle = offset(request, "handle");
        this.id = offset(request, "id");
        this.sectorNumber = offset(request, "sector_number");
        this.seg = offset(request, "seg");
        this.discardFlag = offset(discard, "flag");
        this.discardNrSectors = offset(discard, "nr_sectors");
        this.indirectOp = offset(indirect, "indirect_op");
        this.indirectNrSegments = offset(indirect, "nr_segments");
        this.indirectHandle = offset(indirect, "handle");
        this.indirectGrefs = offset(indirect, "indirect_grefs");
        this.responseId = offset(response, "id");
        this.responseOperation = offset(response, "operation");
        this.responseStatus = offset(response, "status");
    }

    /// The layout that a frontend's `protocol` node names; empty for a name that nobody has.
    public static Optional<BlkifLayout> ofProtocol(String protocol) {
        return switch (protocol) {
            case "x86_64-abi" -> Optional.of(X86_64);
            case "x86_32-abi" -> Optional.of(X86_32);
            case "arm-abi" -> Optional.of(ARM);
            default -> Optional.empty();
        };
    }

    /// The value of the `protocol` node.
    public String protocol() {
        return protocol;
    }

    /// Distance of the ring's slots: the size of a request, which is the larger of the two.
    public int entrySizeBytes() {
        return (int) request.byteSize();
    }

    public StructLayout request() {
        return request;
    }

    public StructLayout discard() {
        return discard;
    }

    public StructLayout indirect() {
        return indirect;
    }

    public StructLayout response() {
        return response;
    }

    // Fields that the three requests have at the same place.

    public int operation(MemorySegment s, long base) {
        return u8(s, base + OPERATION);
    }

    public long id(MemorySegment s, long base) {
        return (long) LONG.get(s, base + id);
    }

    /// First 512-byte sector on the disk; unsigned.
    public long sectorNumber(MemorySegment s, long base) {
        return (long) LONG.get(s, base + sectorNumber);
    }

    // Fields of a plain request.

    /// As it is on the wire: 0 to 255, not checked against [#MAX_SEGMENTS_PER_REQUEST].
    public int nrSegments(MemorySegment s, long base) {
        return u8(s, base + nrSegments);
    }

    public int handle(MemorySegment s, long base) {
        return u16(s, base + handle);
    }

    /// Where segment `i` of a request begins, for [#gref], [#firstSect] and [#lastSect].
    public long segmentOffset(long base, int i) {
        return base + seg + i * SEGMENT_SIZE;
    }

    // Fields of a segment, in a request or in an indirect page.

    /// The page's grant reference.
    ///
    /// @param segment where the segment begins: see [#segmentOffset]
    public static int gref(MemorySegment s, long segment) {
        return (int) INT.get(s, segment + GREF);
    }

    /// First sector of the page to transfer.
    ///
    /// @param segment where the segment begins: see [#segmentOffset]
    public static int firstSect(MemorySegment s, long segment) {
        return u8(s, segment + FIRST_SECT);
    }

    /// Last sector of the page to transfer, inclusive.
    ///
    /// @param segment where the segment begins: see [#segmentOffset]
    public static int lastSect(MemorySegment s, long segment) {
        return u8(s, segment + LAST_SECT);
    }

    /// Fills a segment.
    ///
    /// @param segment where the segment begins: see [#segmentOffset]
    /// @param lastSect last sector of the page to transfer, inclusive
    public static void writeSegment(
            MemorySegment s, long segment, int gref, int firstSect, int lastSect) {
        INT.set(s, segment + GREF, gref);
        BYTE.set(s, segment + FIRST_SECT, (byte) firstSect);
        BYTE.set(s, segment + LAST_SECT, (byte) lastSect);
    }

    // Fields of a discard.

    public int discardFlag(MemorySegment s, long base) {
        return u8(s, base + discardFlag);
    }

    public long discardNrSectors(MemorySegment s, long base) {
        return (long) LONG.get(s, base + discardNrSectors);
    }

    // Fields of an indirect request.

    public int indirectOp(MemorySegment s, long base) {
        return u8(s, base + indirectOp);
    }

    /// As it is on the wire: 0 to 65535.
    public int indirectNrSegments(MemorySegment s, long base) {
        return u16(s, base + indirectNrSegments);
    }

    public int indirectHandle(MemorySegment s, long base) {
        return u16(s, base + indirectHandle);
    }

    /// Reference of the `i`-th page of segments.
    public int indirectGref(MemorySegment s, long base, int i) {
        return (int) INT.get(s, base + indirectGrefs + (long) i * Integer.BYTES);
    }

    // Requests written by a frontend.

    /// Fills a plain request, without its segments: see [#writeSegment].
    public void writeRequest(
            MemorySegment s,
            long base,
            int operation,
            int nrSegments,
            int handle,
            long id,
            long sectorNumber) {
        BYTE.set(s, base + OPERATION, (byte) operation);
        BYTE.set(s, base + this.nrSegments, (byte) nrSegments);
        SHORT.set(s, base + this.handle, (short) handle);
        LONG.set(s, base + this.id, id);
        LONG.set(s, base + this.sectorNumber, sectorNumber);
    }

    /// Fills a discard.
    public void writeDiscard(
            MemorySegment s,
            long base,
            int flag,
            int handle,
            long id,
            long sectorNumber,
            long nrSectors) {
        writeRequest(s, base, BlkifOp.DISCARD, flag, handle, id, sectorNumber);
        LONG.set(s, base + discardNrSectors, nrSectors);
    }

    /// Fills an indirect request, without its references: see [#writeIndirectGref].
    public void writeIndirect(
            MemorySegment s,
            long base,
            int indirectOp,
            int nrSegments,
            int handle,
            long id,
            long sectorNumber) {
        BYTE.set(s, base + OPERATION, (byte) BlkifOp.INDIRECT);
        BYTE.set(s, base + this.indirectOp, (byte) indirectOp);
        SHORT.set(s, base + indirectNrSegments, (short) nrSegments);
        LONG.set(s, base + this.id, id);
        LONG.set(s, base + this.sectorNumber, sectorNumber);
        SHORT.set(s, base + indirectHandle, (short) handle);
    }

    public void writeIndirectGref(MemorySegment s, long base, int i, int gref) {
        INT.set(s, base + indirectGrefs + (long) i * Integer.BYTES, gref);
    }

    // Responses.

    public long responseId(MemorySegment s, long base) {
        return (long) LONG.get(s, base + responseId);
    }

    public int responseOperation(MemorySegment s, long base) {
        return u8(s, base + responseOperation);
    }

    /// One of [BlkifStatus], or whatever else a backend wrote.
    public int responseStatus(MemorySegment s, long base) {
        return (short) SHORT.get(s, base + responseStatus);
    }

    /// Fills a response: the three fields, and not one byte more.
    public void writeResponse(MemorySegment s, long base, long id, int operation, int status) {
        LONG.set(s, base + responseId, id);
        BYTE.set(s, base + responseOperation, (byte) operation);
        SHORT.set(s, base + responseStatus, (short) status);
    }

    private static int u8(MemorySegment s, long offset) {
        return Byte.toUnsignedInt((byte) BYTE.get(s, offset));
    }

    private static int u16(MemorySegment s, long offset) {
        return Short.toUnsignedInt((short) SHORT.get(s, offset));
    }

    @Override
    public String toString() {
        return protocol;
    }
}
