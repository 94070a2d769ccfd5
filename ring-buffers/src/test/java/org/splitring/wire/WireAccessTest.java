package org.splitring.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/// The accessors read and write the bytes that the header says, in both ABIs, at odd addresses too.
class WireAccessTest {
    private final MemorySegment memory = Arena.ofAuto().allocate(256, 8);

    private String bytes(long base, int count) {
        return HexFormat.of().formatHex(memory.asSlice(base, count).toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void requestBytesOfTheLargerAbi() {
        BlkifLayout.X86_64.writeRequest(
                memory, 8, 1, 2, 0xCA00, 0x0102030405060708L, 0x1122334455L);
        BlkifLayout.writeSegment(memory, BlkifLayout.X86_64.segmentOffset(8, 0), 0x80000001, 1, 7);
        BlkifLayout.writeSegment(memory, BlkifLayout.X86_64.segmentOffset(8, 10), 5, 0, 3);
        assertEquals(
                "010200ca"
                        + "00000000"
                        + "0807060504030201"
                        + "5544332211000000"
                        + "0100008001070000"
                        + "0000000000000000",
                bytes(8, 40));
        assertEquals("0500000000030000", bytes(8 + 104, 8));
        check(BlkifLayout.X86_64, 8);
    }

    @Test
    void requestBytesOfTheSmallerAbi() {
        long base = 64 + 108 + 1; // unaligned: a private copy may lie anywhere
        BlkifLayout.X86_32.writeRequest(
                memory, base - 108, 1, 2, 0xCA00, 0x0102030405060708L, 0x1122334455L);
        BlkifLayout.writeSegment(
                memory, BlkifLayout.X86_32.segmentOffset(base - 108, 0), 0x80000001, 1, 7);
        assertEquals(
                "010200ca" + "0807060504030201" + "5544332211000000" + "0100008001070000",
                bytes(base - 108, 28));
        check(BlkifLayout.X86_32, base - 108);
    }

    private void check(BlkifLayout blkif, long base) {
        assertEquals(1, blkif.operation(memory, base));
        assertEquals(2, blkif.nrSegments(memory, base));
        assertEquals(0xCA00, blkif.handle(memory, base));
        assertEquals(0x0102030405060708L, blkif.id(memory, base));
        assertEquals(0x1122334455L, blkif.sectorNumber(memory, base));
        assertEquals(0x80000001, BlkifLayout.gref(memory, blkif.segmentOffset(base, 0)));
        assertEquals(1, BlkifLayout.firstSect(memory, blkif.segmentOffset(base, 0)));
        assertEquals(7, BlkifLayout.lastSect(memory, blkif.segmentOffset(base, 0)));
    }

    @Test
    void discardAndIndirectBytes() {
        BlkifLayout.X86_64.writeDiscard(memory, 0, 1, 2, 3, 4, 0xFFFFFFFFFFL);
        assertEquals(
                "05010200"
                        + "00000000"
                        + "0300000000000000"
                        + "0400000000000000"
                        + "ffffffffff000000",
                bytes(0, 32));
        assertEquals(1, BlkifLayout.X86_64.discardFlag(memory, 0));
        assertEquals(0xFFFFFFFFFFL, BlkifLayout.X86_64.discardNrSectors(memory, 0));
        memory.fill((byte) 0);
        BlkifLayout.X86_32.writeDiscard(memory, 0, 1, 2, 3, 4, 5);
        assertEquals(
                "05010200" + "0300000000000000" + "0400000000000000" + "0500000000000000",
                bytes(0, 28));
        memory.fill((byte) 0);
        BlkifLayout.X86_32.writeIndirect(memory, 0, 1, 0x1234, 6, 7, 8);
        BlkifLayout.X86_32.writeIndirectGref(memory, 0, 7, 0xAABBCCDD);
        assertEquals(
                "06013412" + "0700000000000000" + "0800000000000000" + "06000000", bytes(0, 24));
        assertEquals("ddccbbaa", bytes(24 + 28, 4));
        memory.fill((byte) 0);
        BlkifLayout.X86_64.writeIndirect(memory, 0, 1, 0x1234, 6, 7, 8);
        BlkifLayout.X86_64.writeIndirectGref(memory, 0, 0, 0xAABBCCDD);
        assertEquals(
                "06013412"
                        + "00000000"
                        + "0700000000000000"
                        + "0800000000000000"
                        + "06000000"
                        + "ddccbbaa",
                bytes(0, 32));
        assertEquals(1, BlkifLayout.X86_64.indirectOp(memory, 0));
        assertEquals(0x1234, BlkifLayout.X86_64.indirectNrSegments(memory, 0));
        assertEquals(6, BlkifLayout.X86_64.indirectHandle(memory, 0));
        assertEquals(0xAABBCCDD, BlkifLayout.X86_64.indirectGref(memory, 0, 0));
    }

    @Test
    void h008_responseWritesItsThreeFieldsAndNothingElse() {
        for (BlkifLayout blkif : new BlkifLayout[] {BlkifLayout.X86_64, BlkifLayout.X86_32}) {
            memory.fill((byte) 0xA5);
            blkif.writeResponse(memory, 16, 0x0102030405060708L, 1, BlkifStatus.EOPNOTSUPP);
            assertEquals(
                    "a5a5a5a5" + "0807060504030201" + "01" + "a5" + "feff" + "a5a5a5a5a5a5a5a5",
                    bytes(12, 24));
            assertEquals(0x0102030405060708L, blkif.responseId(memory, 16));
            assertEquals(1, blkif.responseOperation(memory, 16));
            assertEquals(BlkifStatus.EOPNOTSUPP, blkif.responseStatus(memory, 16));
        }
    }

    @Test
    void netifSlotsHaveTheHeadersBytes() {
        NetifTxLayout.writeRequest(memory, 0, 0x11223344, 0xF00, 4, 0xFFFE, 0xFFFF);
        assertEquals("44332211" + "000f" + "0400" + "feff" + "ffff", bytes(0, 12));
        long head = NetifTxLayout.readHead(memory, 0);
        int tail = NetifTxLayout.readTail(memory, 0);
        assertEquals(0x11223344, NetifTxLayout.grefOf(head));
        assertEquals(0xF00, NetifTxLayout.offsetOf(head));
        assertEquals(NetifTxLayout.MORE_DATA, NetifTxLayout.flagsOf(head));
        assertEquals(0xFFFE, NetifTxLayout.idOf(tail));
        assertEquals(0xFFFF, NetifTxLayout.sizeOf(tail));
        NetifTxLayout.writeRequest(memory, 0, -1, 1, -1, 2, 3); // each within its field
        assertEquals("ffffffff" + "0100" + "ffff" + "0200" + "0300", bytes(0, 12));
        memory.fill((byte) 0xA5);
        NetifTxLayout.writeResponse(memory, 0, 0xFFFE, NetifStatus.ERROR);
        assertEquals("feff" + "ffff" + "a5a5a5a5", bytes(0, 8));
        NetifRxLayout.writeRequest(memory, 0, 7, 8);
        assertEquals("0700" + "0000" + "08000000", bytes(0, 8));
        NetifRxLayout.writeResponse(memory, 0, 7, 64, NetifRxLayout.EXTRA_INFO, 1500);
        assertEquals("0700" + "4000" + "0800" + "dc05", bytes(0, 8));
        NetifRxLayout.writeResponse(memory, 0, 7, 0, 0, NetifStatus.ERROR);
        assertEquals("0700" + "0000" + "0000" + "ffff", bytes(0, 8));
        XsdSockmsgLayout.write(memory, 0, XsdSockmsgLayout.READ, 2, 3, -1);
        assertEquals("02000000" + "02000000" + "03000000" + "ffffffff", bytes(0, 16));
        assertEquals(XsdSockmsgLayout.READ, XsdSockmsgLayout.type(memory, 0));
        assertEquals(2, XsdSockmsgLayout.reqId(memory, 0));
        assertEquals(3, XsdSockmsgLayout.txId(memory, 0));
        assertEquals(0xFFFFFFFFL, XsdSockmsgLayout.len(memory, 0));
    }

    @Test
    void slotsReadInOnePieceSayWhatTheirFieldsSay() {
        NetifTxLayout.writeResponse(memory, 64, 0xFFFE, NetifStatus.DROPPED);
        int response = NetifTxLayout.readResponse(memory, 64);
        assertEquals(0xFFFE, NetifTxLayout.responseIdOf(response));
        assertEquals(NetifStatus.DROPPED, NetifTxLayout.responseStatusOf(response));
        NetifRxLayout.writeRequest(memory, 64, 0xFFFD, 0x81223344);
        long slot = NetifRxLayout.readSlot(memory, 64);
        assertEquals(0xFFFD, NetifRxLayout.idOf(slot));
        assertEquals(0x81223344, NetifRxLayout.grefOf(slot));
        NetifRxLayout.writeResponse(memory, 64, 7, 0xFEDC, 0x8765, NetifStatus.ERROR);
        slot = NetifRxLayout.readSlot(memory, 64);
        assertEquals(7, NetifRxLayout.idOf(slot));
        assertEquals(0xFEDC, NetifRxLayout.offsetOf(slot));
        assertEquals(0x8765, NetifRxLayout.flagsOf(slot));
        assertEquals(NetifStatus.ERROR, NetifRxLayout.statusOf(slot));
    }

    @Test
    void extrasHaveTheHeadersBytes() {
        memory.fill((byte) 0xA5);
        NetifExtraLayout.writeGso(memory, 1, 1, NetifExtraLayout.GSO_TYPE_TCPV6, 0xFEDC);
        assertEquals("a5" + "0101" + "dcfe" + "02" + "00" + "0000" + "a5", bytes(0, 10));
        assertEquals(NetifExtraLayout.TYPE_GSO, NetifExtraLayout.type(memory, 1));
        assertEquals(1, NetifExtraLayout.flags(memory, 1));
        assertEquals(0xFEDC, NetifExtraLayout.gsoSize(memory, 1));
        assertEquals(NetifExtraLayout.GSO_TYPE_TCPV6, NetifExtraLayout.gsoType(memory, 1));
        NetifExtraLayout.writeMcast(memory, 1, NetifExtraLayout.TYPE_MCAST_DEL, 0, 0x01005E7FFFFAL);
        assertEquals("a5" + "0300" + "01005e7ffffa" + "a5", bytes(0, 10));
        assertEquals(0x01005E7FFFFAL, NetifExtraLayout.mcastAddress(memory, 1));
        NetifExtraLayout.writeHash(memory, 1, 0, 3, 1, 0x81223344);
        assertEquals("a5" + "0400" + "0301" + "44332281" + "a5", bytes(0, 10));
        assertEquals(3, NetifExtraLayout.hashType(memory, 1));
        assertEquals(1, NetifExtraLayout.hashAlgorithm(memory, 1));
        assertEquals(0x81223344, NetifExtraLayout.hashValue(memory, 1));
        NetifExtraLayout.writeXdp(memory, 1, 0, 256); // Linux's header alone has it
        assertEquals("a5" + "0500" + "0001" + "00000000" + "a5", bytes(0, 10));
        assertTrue(NetifExtraLayout.isXdp(memory, 1));
        assertEquals(256, NetifExtraLayout.xdpHeadroom(memory, 1));
    }

    @Test
    void controlSlotsHaveTheHeadersBytes() {
        NetifCtrlLayout.writeRequest(memory, 0, 0xFFFE, 6, 1, -2, 0x11223344);
        assertEquals("feff" + "0600" + "01000000" + "feffffff" + "44332211", bytes(0, 16));
        assertEquals(0xFFFE, NetifCtrlLayout.id(memory, 0));
        assertEquals(6, NetifCtrlLayout.type(memory, 0));
        assertEquals(1, NetifCtrlLayout.data(memory, 0, 0));
        assertEquals(-2, NetifCtrlLayout.data(memory, 0, 1));
        assertEquals(0x11223344, NetifCtrlLayout.data(memory, 0, 2));
        memory.fill((byte) 0xA5);
        NetifCtrlLayout.writeResponse(memory, 0, 0xFFFE, 4, 2, 128);
        assertEquals("feff" + "0400" + "02000000" + "80000000" + "a5a5a5a5", bytes(0, 16));
        assertEquals(0xFFFE, NetifCtrlLayout.responseId(memory, 0));
        assertEquals(4, NetifCtrlLayout.responseType(memory, 0));
        assertEquals(2, NetifCtrlLayout.responseStatus(memory, 0));
        assertEquals(128, NetifCtrlLayout.responseData(memory, 0));
    }
}
