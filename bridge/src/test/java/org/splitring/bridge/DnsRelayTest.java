package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// The DNS relay: the lab's own names, and what goes upstream and comes back.
class DnsRelayTest {
    private static final int A = 1;
    private static final int PTR = 12;
    private static final int AAAA = 28;

    /// Keeps what it is asked until the test answers.
    private static final class Upstream implements DnsUpstream {
        final List<byte[]> queries = new ArrayList<>();
        final List<Answer> answers = new ArrayList<>();
        int room = 1000;

        @Override
        public boolean ask(byte[] query, Answer answer) {
            if (queries.size() >= room) {
                return false;
            }
            queries.add(query);
            answers.add(answer);
            return true;
        }
    }

    private final Upstream upstream = new Upstream();
    private final Nat nat =
            new Nat(
                    NatSettings.of(
                                    RouterInterface.of("guests", "10.0.0.1/24"),
                                    RouterInterface.of("uplink", "198.51.100.2/24", "up"),
                                    "198.51.100.1")
                            .withDns(
                                    new DnsSettings(
                                            Map.of(
                                                    "Web.lab",
                                                    List.of(
                                                            InetAddress.ofLiteral("10.0.0.7"),
                                                            InetAddress.ofLiteral("2001:db8::7"))),
                                            77,
                                            4)),
                    upstream);
    private final Lab lab = new Lab(nat);
    private final Guest a = new Guest(lab, "a", 1, "10.0.0.2");
    private final Guest up = new Guest(lab, "up", 3, "198.51.100.1");

    DnsRelayTest() {
        a.announce();
        up.announce();
    }

    static byte[] query(int id, String name, int type) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(
                ByteBuffer.allocate(12)
                        .putShort((short) id)
                        .putShort((short) 0x0100)
                        .putShort((short) 1)
                        .array());
        for (String label : name.split("\\.", -1)) {
            out.write(label.length());
            out.writeBytes(label.getBytes(StandardCharsets.US_ASCII));
        }
        out.writeBytes(new byte[] {0, 0, (byte) type, 0, 1});
        return out.toByteArray();
    }

    private void send(Guest from, String source, String to, byte[] message) {
        byte[] udp = RoutedPackets.udp(source, 3333, to, 53, message);
        from.send(RoutedPackets.v4(source, to, 17, udp, 64, 0));
    }

    private byte[] answer(Guest at) {
        List<Lab.Got> got = at.port.take();
        assertEquals(1, got.size());
        byte[] packet = RoutedPackets.packet(got.getFirst().bytes());
        assertTrue(RoutedPackets.isSound(packet));
        assertEquals(53, Packets.u16(packet, 20));
        assertEquals(3333, Packets.u16(packet, 22));
        assertArrayEquals(Packets.address("10.0.0.1"), Arrays.copyOfRange(packet, 12, 16));
        return Arrays.copyOfRange(packet, 28, packet.length);
    }

    private byte[] ask(byte[] query) {
        send(a, "10.0.0.2", "10.0.0.1", query);
        return answer(a);
    }

    private static int code(byte[] message) {
        assertTrue(message[2] < 0, "a response");
        return message[3] & 15;
    }

    @Test
    void theLabsNamesAreAnsweredInBothDirections() {
        byte[] v4 = ask(query(0xABCD, "WEB.lab", A));
        assertEquals(0xABCD, Packets.u16(v4, 0));
        assertEquals(0, code(v4));
        assertEquals(1, Packets.u16(v4, 6));
        assertArrayEquals(
                Packets.address("10.0.0.7"), Arrays.copyOfRange(v4, v4.length - 4, v4.length));
        assertEquals(77, Packets.u16(v4, v4.length - 8));
        byte[] v6 = ask(query(1, "web.lab", AAAA));
        assertArrayEquals(
                Packets.address("2001:db8::7"), Arrays.copyOfRange(v6, v6.length - 16, v6.length));
        byte[] none = ask(query(1, "web.lab", 15));
        assertEquals(0, code(none));
        assertEquals(0, Packets.u16(none, 6), "the name is there, without such a record");
        byte[] pointer = ask(query(2, "7.0.0.10.in-addr.arpa", PTR));
        assertEquals(1, Packets.u16(pointer, 6));
        byte[] name = {3, 'w', 'e', 'b', 3, 'l', 'a', 'b', 0};
        assertArrayEquals(name, Arrays.copyOfRange(pointer, pointer.length - 9, pointer.length));
        assertEquals(0, upstream.queries.size());
    }

    @Test
    void otherQuestionsGoUpstreamAndComeBackWithTheirId() {
        byte[] query = query(0x7777, "example.org", A);
        send(a, "10.0.0.2", "10.0.0.1", query);
        assertEquals(0, a.port.take().size());
        byte[] response = upstream.queries.getFirst().clone();
        response[0] = 9;
        response[2] = (byte) 0x81;
        upstream.answers.getFirst().answered(response);
        byte[] answer = answer(a);
        assertEquals(0x7777, Packets.u16(answer, 0));
        assertArrayEquals(
                Arrays.copyOfRange(response, 2, response.length),
                Arrays.copyOfRange(answer, 2, answer.length));
        send(a, "10.0.0.2", "10.0.0.1", query);
        upstream.answers.getLast().answered(new byte[0]);
        assertEquals(2, code(answer(a)), "SERVFAIL");
        upstream.room = 0;
        assertEquals(2, code(ask(query)));
    }

    @Test
    void answersThatAreTooLongSaySo() {
        send(a, "10.0.0.2", "10.0.0.1", query(1, "example.org", A));
        byte[] large = Arrays.copyOf(upstream.queries.getFirst(), 1900);
        large[2] = (byte) 0x81;
        upstream.answers.getFirst().answered(large);
        byte[] answer = answer(a);
        assertEquals(12, answer.length);
        assertEquals(2, answer[2] & 2);
    }

    @Test
    void n46_questionsOfOneGuestAreBoundedAndAnswersGoToNobodyElse() {
        for (int i = 0; i < 4; i++) {
            send(a, "10.0.0.2", "10.0.0.1", query(i, "example.org", A));
        }
        assertEquals(5, code(ask(query(5, "example.org", A))), "REFUSED");
        a.port.link.detach();
        Guest other = new Guest(lab, "other", 5, "10.0.0.2");
        assertEquals(a.port.link.index, other.port.link.index);
        byte[] response = upstream.queries.getFirst();
        response[2] = (byte) 0x81;
        upstream.answers.forEach(each -> each.answered(response));
        assertEquals(0, other.port.take().size());
        assertEquals(0, a.port.take().size());
        other.announce();
        for (int i = 0; i < 1000; i++) {
            send(other, "10.0.0.2", "10.0.0.1", query(i, "web.lab", A));
        }
        assertEquals(256, other.port.take().size(), "a rate");
    }

    @Test
    void nonsenseIsRefusedAndOutsideNobodyIsServed() {
        byte[] notify = query(1, "web.lab", A);
        notify[2] = 0x20;
        assertEquals(4, code(ask(notify)));
        byte[] two = query(1, "web.lab", A);
        two[5] = 2;
        assertEquals(1, code(ask(two)));
        byte[] loop = query(1, "web.lab", A);
        loop[12] = (byte) 0xC0;
        loop[13] = 12;
        assertEquals(1, code(ask(loop)));
        byte[] response = query(1, "web.lab", A);
        response[2] = (byte) 0x81;
        send(a, "10.0.0.2", "10.0.0.1", response);
        send(a, "10.0.0.2", "10.0.0.1", new byte[5]);
        assertEquals(0, a.port.take().size());
        send(up, "198.51.100.1", "198.51.100.2", query(1, "web.lab", A));
        byte[] error = up.port.take().getFirst().bytes();
        assertEquals(1, error[23]);
        assertEquals(3, error[34]);
    }
}
