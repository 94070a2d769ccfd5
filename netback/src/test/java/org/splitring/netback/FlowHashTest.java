package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.bridge.Frame;

/// Toeplitz against the vectors of Microsoft's "Verifying the RSS Hash Calculation".
class FlowHashTest {
    private static final byte[] KEY =
            HexFormat.of()
                    .parseHex(
                            "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b4"
                                    + "77cb2da38030f20c6a42b73bbeac01fa");
    private static final int IPV4 = 1;
    private static final int IPV4_TCP = 2;
    private static final int IPV6 = 4;
    private static final int IPV6_TCP = 8;

    private final FlowHash hash = new FlowHash();

    FlowHashTest() {
        hash.key(KEY);
    }

    private static Frame frame(byte[] bytes) {
        MemorySegment memory = Arena.ofAuto().allocate(bytes.length);
        memory.copyFrom(MemorySegment.ofArray(bytes));
        Frame frame = new Frame();
        frame.reset();
        frame.append(memory, 0, bytes.length);
        return frame;
    }

    private static Frame v4(long from, long to, int fromPort, int toPort) {
        byte[] bytes = Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 10, false);
        ByteBuffer.wrap(bytes)
                .putInt(26, (int) from)
                .putInt(30, (int) to)
                .putShort(34, (short) fromPort)
                .putShort(36, (short) toPort);
        return frame(bytes);
    }

    @ParameterizedTest
    @CsvSource({
        "42.09.95.bb, a1.8e.64.50, 2794, 1766, 323e8fc2, 51ccc178",
        "c7.5c.6f.02, 41.45.8c.53, 14230, 4739, d718262a, c626b0ea",
        "18.13.c6.5f, 0c.16.cf.b8, 12898, 38024, d2d0a5de, 5c2b394a",
        "26.1b.cd.1e, d1.8e.a3.06, 48228, 2217, 82989176, afc7327f",
        "99.27.a3.bf, ca.bc.7f.02, 44251, 1303, 5d1809c5, 10e828a2"
    })
    void toeplitzOverIpv4(
            String from, String to, int fromPort, int toPort, String addresses, String ports) {
        Frame frame = v4(address(from), address(to), fromPort, toPort);
        hash.toeplitz(frame, IPV4);
        assertEquals(IPV4, hash.type());
        assertEquals((int) Long.parseLong(addresses, 16), hash.hash());
        hash.toeplitz(frame, IPV4 | IPV4_TCP);
        assertEquals(IPV4_TCP, hash.type());
        assertEquals((int) Long.parseLong(ports, 16), hash.hash());
        hash.toeplitz(frame, IPV6 | IPV6_TCP);
        assertEquals(0, hash.type());
    }

    private static long address(String dotted) {
        return Long.parseLong(dotted.replace(".", ""), 16);
    }

    @ParameterizedTest
    @CsvSource({
        "3ffe250102001fff0000000000000007, 3ffe2501020000030000000000000001, 2794, 1766,"
                + " 2cc18cd5, 40207d3d",
        "3ffe050100080000026097fffe40efab, ff020000000000000000000000000001, 14230, 4739,"
                + " 0f0c461c, dde51bbf",
        "3ffe1900454500030200f8fffe2167cf, fe80000000000000020 0f8fffe2167cf, 44251, 38024,"
                + " 4b61e985, 02d1feef"
    })
    void toeplitzOverIpv6(
            String from, String to, int fromPort, int toPort, String addresses, String ports) {
        byte[] bytes = Packets.ip6(Packets.mac(2), Packets.mac(1), 6, 10, false);
        ByteBuffer.wrap(bytes)
                .put(22, HexFormat.of().parseHex(from))
                .put(38, HexFormat.of().parseHex(to.replace(" ", "")))
                .putShort(54, (short) fromPort)
                .putShort(56, (short) toPort);
        Frame frame = frame(bytes);
        hash.toeplitz(frame, IPV6);
        assertEquals((int) Long.parseLong(addresses, 16), hash.hash());
        hash.toeplitz(frame, IPV6 | IPV6_TCP);
        assertEquals((int) Long.parseLong(ports, 16), hash.hash());
        assertEquals(IPV6_TCP, hash.type());
    }

    @Test
    void aFragmentHasNoPorts() {
        byte[] bytes = Packets.ip4(Packets.mac(2), Packets.mac(1), 6, 10, false);
        bytes[20] = 0x20; // more fragments
        hash.toeplitz(frame(bytes), IPV4_TCP);
        assertEquals(0, hash.type());
        hash.toeplitz(frame(bytes), IPV4_TCP | IPV4);
        assertEquals(IPV4, hash.type());
    }

    @Test
    void theSimpleHashIsOneOfTheFlow() {
        int one = hash.simple(v4(1, 2, 3, 4));
        assertEquals(one, hash.simple(v4(1, 2, 3, 4)));
        assertNotEquals(one, hash.simple(v4(1, 2, 3, 5)));
        assertNotEquals(one, hash.simple(v4(1, 3, 3, 4)));
        for (int size = 0; size < 80; size++) { // whatever is cut off
            byte[] cut = new byte[size];
            byte[] whole = Packets.ip6(Packets.mac(2), Packets.mac(1), 6, 10, false);
            System.arraycopy(whole, 0, cut, 0, size);
            assertEquals(hash.simple(frame(cut)), hash.simple(frame(cut)));
        }
    }
}
