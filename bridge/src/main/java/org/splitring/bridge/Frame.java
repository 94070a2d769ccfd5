package org.splitring.bridge;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// One Ethernet frame on its way: a view that its sender owns and uses again for the next one.
///
///     byte 0                     headerBytes()                        sizeBytes()
///          +---------------------+-----------+-------- - - -----------+
///          | private header      | piece 0   | piece 1 ..             |
///          +---------------------+-----------+-------- - - -----------+
///     memory of this frame        of the sender: granted pages, may change at any moment
///
/// **Bytes.** The first bytes are a private copy, and all decisions are made on them. The rest
/// stays where the sender has it, as pieces; nobody looks at those bytes, they are only copied,
/// once, into the receiver's memory. No FCS, no preamble.
///
/// **Life.** The sender calls [#reset], [#appendHeader], [#appendPiece] and sets the metadata,
/// then passes it to [FrameSink#receive]. It is valid for others during the call that passes it
/// on. Nothing here allocates after construction. One loop only; no method may be called by
/// another thread.
///
/// **Offsets** named `at` or `from` count from the first byte of the frame as it is now; pushing
/// or popping a tag moves what follows it by four bytes, and the checksum's start with it.
public final class Frame {
    /// How much of a frame the sender copies into the private header, or the whole frame if that
    /// is shorter. Ethernet, two tags, IPv6 with extension headers and TCP with options fit.
    public static final int HEADER_BYTES = 256;

    /// Most pieces of a frame: 18 slots of netif.h, and room for those who cut them.
    public static final int MAX_PIECES = 32;

    /// Largest frame: Ethernet header, two tags, 65535 bytes.
    public static final int MAX_BYTES = 14 + 2 * 4 + 65_535;

    /// Bytes of an Ethernet header without tags.
    public static final int ETHERNET_BYTES = 14;

    /// Bytes of a VLAN tag.
    public static final int TAG_BYTES = 4;

    /// What [#appendHeader] takes in all: tags that were pushed stay in the header when a frame
    /// is cut.
    private static final int HEADER_CAPACITY = HEADER_BYTES + 2 * TAG_BYTES;

    /// Before the header, for tags that are pushed. The IP header of an untagged frame is aligned.
    private static final int HEADROOM = 18;

    private static final int TAG_AT = 12;

    private static final ValueLayout.OfShort U16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfInt I32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfLong I64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private final MemorySegment memory = Arena.ofAuto().allocate(HEADROOM + HEADER_CAPACITY, 64);
    private int headerStart = HEADROOM;
    private int headerBytes;
    private int sizeBytes;

    private final MemorySegment[] pieceMemory = new MemorySegment[MAX_PIECES];
    private final long[] pieceOffset = new long[MAX_PIECES];
    private final int[] pieceBytes = new int[MAX_PIECES];
    private int pieceCount;
    // Where the last copyTo stopped: receivers copy a frame from front to back.
    private int cursorPiece;
    private int cursorAt;

    private ChecksumState checksumState = ChecksumState.COMPLETE_UNKNOWN;
    private int checksumStart;
    private int checksumOffset;
    private GsoType gsoType = GsoType.NONE;
    private int gsoSizeBytes;
    private int flowHash;
    private int flowHashType;

    private final FrameLayers layers = new FrameLayers();
    private boolean layersParsed;

    /// Allocates the private header; it goes when the frame is no longer reachable.
    public Frame() {}

    /// Forgets the frame that was here. The state is then: empty, complete and unknown checksum,
    /// no GSO, no hash.
    public void reset() {
        headerStart = HEADROOM;
        headerBytes = 0;
        sizeBytes = 0;
        pieceCount = 0;
        cursorPiece = 0;
        cursorAt = 0;
        checksumState = ChecksumState.COMPLETE_UNKNOWN;
        gsoType = GsoType.NONE;
        flowHashType = 0;
        layersParsed = false;
    }

    // ---- what the sender says

    /// Copies the next bytes of the frame into the private header; all calls before the first
    /// [#appendPiece]. The sender copies `min(sizeBytes, HEADER_BYTES)` bytes in all, also if
    /// they come in slots of one byte each.
    ///
    /// @throws IllegalArgumentException when the header gets longer than [#HEADER_BYTES] and
    ///     two tags
    public void appendHeader(MemorySegment from, long offset, int length) {
        checkHeader(length);
        MemorySegment.copy(from, offset, memory, headerStart + headerBytes, length);
        headerAppended(length);
    }

    private void checkHeader(int length) {
        if (length < 0 || length > HEADER_CAPACITY - headerBytes || pieceCount != 0) {
            throw new IllegalArgumentException(
                    "header of " + headerBytes + " + " + length + ", pieces " + pieceCount);
        }
    }

    /// As [#appendHeader], of bytes that the sender has put into [#header] itself, at
    /// [#headerEnd].
    ///
    /// @throws IllegalArgumentException as [#appendHeader]
    public void headerAppended(int length) {
        checkHeader(length);
        headerBytes += length;
        sizeBytes += length;
        cursorAt = headerBytes;
        layersParsed = false;
    }

    /// Appends bytes that stay where they are. Pieces of length 0 are left out.
    ///
    /// @param from stays valid until the call that the frame is passed to returns; may be
    ///     changed by
    ///     the peer at any moment
    /// @throws IllegalArgumentException when the frame gets larger than [#MAX_BYTES] or has more
    ///     than [#MAX_PIECES]
    /// @throws IndexOutOfBoundsException when the piece is not inside `from`
    public void appendPiece(MemorySegment from, long offset, int length) {
        if (length == 0) {
            return;
        }
        if (offset < 0 || length < 0 || offset > from.byteSize() - length) {
            throw new IndexOutOfBoundsException(
                    "offset " + offset + " length " + length + " of " + from.byteSize());
        }
        if (pieceCount == MAX_PIECES || length > MAX_BYTES - sizeBytes) {
            throw new IllegalArgumentException(
                    "piece " + pieceCount + " of " + length + " after " + sizeBytes + " bytes");
        }
        pieceMemory[pieceCount] = from;
        pieceOffset[pieceCount] = offset;
        pieceBytes[pieceCount] = length;
        pieceCount++;
        sizeBytes += length;
        layersParsed = false;
    }

    /// Appends a frame that lies in one piece: its first [#HEADER_BYTES] into the header, the rest
    /// as a piece.
    public void append(MemorySegment from, long offset, int length) {
        int header = Math.min(length, HEADER_BYTES - headerBytes);
        appendHeader(from, offset, header);
        appendPiece(from, offset + header, length - header);
    }

    /// Says that the checksum is complete.
    ///
    /// @param state not [ChecksumState#PARTIAL], which needs to know where it is
    public void completeChecksum(ChecksumState state) {
        if (state == ChecksumState.PARTIAL) {
            throw new IllegalArgumentException("partial: where is it?");
        }
        checksumState = state;
    }

    /// Says that the checksum is partial, and where, as virtio's header does: its field holds the
    /// folded sum of the pseudo header. After all bytes were appended.
    ///
    /// Only the field of a whole TCP or UDP packet is believed, and what lies behind the header
    /// of a UDP one (a tunnel's inner packet). Any other place would let the sender have
    /// addresses, ports or tags written after they were checked.
    ///
    /// @param start first byte that is summed up
    /// @param offset of the field, from `start`
    /// @return `false` when that is no place for it, or not in the private header; the frame is
    ///     then marked as unknown, and its sender counts and drops it
    public boolean partialChecksum(int start, int offset) {
        if (!layers().isChecksumPlace(this, start, offset)) {
            checksumState = ChecksumState.COMPLETE_UNKNOWN;
            return false;
        }
        checksumState = ChecksumState.PARTIAL;
        checksumStart = start;
        checksumOffset = offset;
        return true;
    }

    /// Says that the checksum is partial without saying where, as netif.h's `csum_blank` does: the
    /// place is found in the headers, and the sum of the pseudo header is written, whatever was
    /// there.
    ///
    /// @return `false` when the frame is not TCP or UDP over IP, is a fragment, or its headers
    ///     do not fit in
    ///     the private header; the frame is then marked as unknown, and its sender counts and
    ///     drops it
    public boolean partialChecksumFromHeaders() {
        FrameLayers found = layers();
        if (!found.checksumCanBePartial(this)) {
            checksumState = ChecksumState.COMPLETE_UNKNOWN;
            return false;
        }
        int offset = found.checksumOffset();
        putU16(
                found.l4At + offset,
                InternetChecksum.fold(InternetChecksum.pseudoHeader(this, found)));
        return partialChecksum(found.l4At, offset);
    }

    /// Says that the frame is one large TCP segment. Its checksum must be partial. The network
    /// checks that the headers agree and drops the frame where they do not.
    ///
    /// @param sizeBytes of the payload of each segment, netif.h `gso.size`
    public void gso(GsoType type, int sizeBytes) {
        gsoType = type;
        gsoSizeBytes = type == GsoType.NONE ? 0 : sizeBytes;
    }

    /// Passes on a hash that the sender's side computed.
    ///
    /// @param type one of netif.h's `XEN_NETIF_CTRL_HASH_TYPE_*` bits as a mask (1 IPv4, 2 TCP
    ///     over IPv4, 4 IPv6, 8 TCP over IPv6), 0 for none
    public void flowHash(int hash, int type) {
        flowHash = hash;
        flowHashType = type;
    }

    /// Appends a range of another frame's bytes: to the header what lies in the other's header,
    /// the rest as pieces.
    void appendRange(Frame from, int first, int length) {
        int at = first;
        int end = first + length;
        if (at < from.headerBytes) {
            int n = Math.min(end, from.headerBytes) - at;
            appendHeader(from.memory, from.headerStart + at, n);
            at += n;
        }
        int pieceAt = from.headerBytes;
        for (int i = 0; at < end; i++) {
            int pieceEnd = pieceAt + from.pieceBytes[i];
            if (at < pieceEnd) {
                int n = Math.min(end, pieceEnd) - at;
                appendPiece(from.pieceMemory[i], from.pieceOffset[i] + (at - pieceAt), n);
                at += n;
            }
            pieceAt = pieceEnd;
        }
    }

    // ---- what others read

    /// All bytes of the frame.
    public int sizeBytes() {
        return sizeBytes;
    }

    /// How many of them are in the private header.
    public int headerBytes() {
        return headerBytes;
    }

    /// The memory of the private header; its first byte is at [#headerStart].
    public MemorySegment header() {
        return memory;
    }

    /// Where in [#header] the frame begins.
    public int headerStart() {
        return headerStart;
    }

    /// Where in [#header] the next bytes go that are appended to it.
    public int headerEnd() {
        return headerStart + headerBytes;
    }

    public int pieceCount() {
        return pieceCount;
    }

    /// The memory that piece `i` lies in, at [#pieceOffset].
    public MemorySegment pieceMemory(int i) {
        return pieceMemory[i];
    }

    public long pieceOffset(int i) {
        return pieceOffset[i];
    }

    public int pieceBytes(int i) {
        return pieceBytes[i];
    }

    public ChecksumState checksumState() {
        return checksumState;
    }

    /// First byte that a partial checksum sums up; only with [ChecksumState#PARTIAL].
    public int checksumStart() {
        return checksumStart;
    }

    /// Where the partial checksum goes, from [#checksumStart].
    public int checksumOffset() {
        return checksumOffset;
    }

    public GsoType gsoType() {
        return gsoType;
    }

    /// Payload bytes of each segment; 0 without GSO.
    public int gsoSizeBytes() {
        return gsoSizeBytes;
    }

    public int flowHash() {
        return flowHash;
    }

    /// Which hash [#flowHash] is, 0 when there is none.
    public int flowHashType() {
        return flowHashType;
    }

    /// Copies bytes of the frame.
    ///
    /// @param from first byte of the frame to copy
    /// @throws IndexOutOfBoundsException when the frame or the target ends before
    public void copyTo(MemorySegment target, long targetOffset, int from, int length) {
        if (from < 0 || length < 0 || from > sizeBytes - length) {
            throw new IndexOutOfBoundsException(
                    "from " + from + " length " + length + " of " + sizeBytes);
        }
        int left = length;
        int at = from;
        long to = targetOffset;
        if (at < headerBytes) {
            int n = Math.min(left, headerBytes - at);
            MemorySegment.copy(memory, headerStart + at, target, to, n);
            left -= n;
            at += n;
            to += n;
        }
        if (left > 0) {
            copyPieces(target, to, at, left);
        }
    }

    private void copyPieces(MemorySegment target, long targetOffset, int from, int length) {
        if (from < cursorAt) {
            cursorPiece = 0;
            cursorAt = headerBytes;
        }
        int piece = cursorPiece;
        int pieceAt = cursorAt;
        int at = from;
        int end = from + length;
        long to = targetOffset;
        while (true) {
            int pieceEnd = pieceAt + pieceBytes[piece];
            if (at < pieceEnd) {
                int n = Math.min(end, pieceEnd) - at;
                MemorySegment.copy(
                        pieceMemory[piece], pieceOffset[piece] + (at - pieceAt), target, to, n);
                at += n;
                to += n;
                if (at == end) {
                    break;
                }
            }
            pieceAt = pieceEnd;
            piece++;
        }
        cursorPiece = piece;
        cursorAt = pieceAt;
    }

    /// One byte of the private header. The caller has compared with [#headerBytes]: beyond it lie
    /// bytes of earlier frames.
    public int u8(int at) {
        return Byte.toUnsignedInt(memory.get(ValueLayout.JAVA_BYTE, headerStart + at));
    }

    /// Two bytes of the private header, in network order; see [#u8].
    public int u16(int at) {
        return Short.toUnsignedInt(memory.get(U16, headerStart + at));
    }

    /// Four bytes of the private header, in network order; see [#u8].
    public int i32(int at) {
        return memory.get(I32, headerStart + at);
    }

    /// Eight bytes of the private header, in network order; see [#u8].
    public long i64(int at) {
        return memory.get(I64, headerStart + at);
    }

    /// A MAC address, in the low 48 bits; see [#u8].
    public long mac(int at) {
        return memory.get(I64, headerStart + at - 2) & 0xFFFF_FFFF_FFFFL;
    }

    // ---- what the network changes on the way

    void putU8(int at, int value) {
        memory.set(ValueLayout.JAVA_BYTE, headerStart + at, (byte) value);
    }

    void putU16(int at, int value) {
        memory.set(U16, headerStart + at, (short) value);
    }

    void putI32(int at, int value) {
        memory.set(I32, headerStart + at, value);
    }

    /// Writes a MAC address.
    void putMac(int at, long mac) {
        putU16(at, (int) (mac >>> 32));
        putI32(at + 2, (int) mac);
    }

    /// The headers of the frame; parsed once, and again after a change of tags.
    FrameLayers layers() {
        if (!layersParsed) {
            layers.parse(this);
            layersParsed = true;
        }
        return layers;
    }

    /// To be called after the headers were changed beyond the addresses.
    void headersChanged() {
        layersParsed = false;
    }

    /// Puts a tag in front of the frame's type: the MAC addresses move, the payload stays.
    ///
    /// @param protocol 0x8100 or 0x88a8
    void pushTag(int protocol, int tci) {
        if (headerStart < TAG_BYTES) {
            throw new IllegalStateException("no room for a tag: header at " + headerStart);
        }
        MemorySegment.copy(memory, headerStart, memory, headerStart - TAG_BYTES, TAG_AT);
        headerStart -= TAG_BYTES;
        moved(TAG_BYTES);
        putU16(TAG_AT, protocol);
        putU16(TAG_AT + 2, tci);
    }

    /// Takes the outermost tag out; the caller has seen that there is one.
    void popTag() {
        MemorySegment.copy(memory, headerStart, memory, headerStart + TAG_BYTES, TAG_AT);
        headerStart += TAG_BYTES;
        moved(-TAG_BYTES);
    }

    private void moved(int by) {
        headerBytes += by;
        sizeBytes += by;
        checksumStart += by;
        cursorPiece = 0;
        cursorAt = headerBytes;
        layersParsed = false;
    }
}
