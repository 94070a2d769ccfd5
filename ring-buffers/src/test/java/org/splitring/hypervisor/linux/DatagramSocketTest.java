package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class DatagramSocketTest {
    private static final long SEED = Long.getLong("splitring.seed", 20_261_128L);

    @TempDir Path folder;

    private static int send(
            DatagramSocket from, OutgoingDatagrams queue, SockAddr to, byte... bytes) {
        int at = queue.reserve(bytes.length, 1);
        assertTrue(at >= 0);
        MemorySegment.copy(bytes, 0, queue.memory(), ValueLayout.JAVA_BYTE, at, bytes.length);
        queue.add(to);
        return queue.send(from);
    }

    private static byte[] bytes(IncomingDatagrams from, int i) {
        return from.memory()
                .asSlice(from.offset(i), from.sizeBytes(i))
                .toArray(ValueLayout.JAVA_BYTE);
    }

    private static InetSocketAddress free(String address) throws IOException {
        try (var probe = new java.net.DatagramSocket(new InetSocketAddress(address, 0))) {
            return new InetSocketAddress(address, probe.getLocalPort());
        }
    }

    @Test
    void severalAreReceivedInOneCallAndSendersAreTold() throws Exception {
        for (String host : new String[] {"127.0.0.1", "::1"}) {
            InetSocketAddress here = free(host);
            InetSocketAddress there = free(host);
            try (DatagramSocket one = DatagramSocket.bind(here);
                    DatagramSocket two = DatagramSocket.bind(there)) {
                OutgoingDatagrams outgoing = new OutgoingDatagrams(8, 1024);
                for (byte i = 1; i <= 5; i++) {
                    assertEquals(0, send(two, outgoing, two.peer(here), i, (byte) -i));
                }
                IncomingDatagrams incoming = new IncomingDatagrams(3, 64);
                assertEquals(3, incoming.receive(one));
                assertArrayEquals(new byte[] {3, -3}, bytes(incoming, 2));
                assertTrue(incoming.isFrom(2, one.peer(there)));
                assertFalse(incoming.isFrom(2, one.peer(here)), "another port");
                assertTrue(incoming.isFromHost(2, one.peer(here)));
                SockAddr others = one.peer(new InetSocketAddress("127.0.0.2", there.getPort()));
                assertFalse(incoming.isFrom(2, others));
                assertFalse(incoming.isFromHost(2, others));
                assertEquals(2, incoming.receive(one));
                assertArrayEquals(new byte[] {5, -5}, bytes(incoming, 1));
                assertTrue(incoming.isFrom(1, one.peer(there)));
                assertEquals(-Errno.EAGAIN, incoming.receive(one));
            }
        }
    }

    @Test
    void whatIsLongerThanItsPlaceIsCutAndSaysSo() throws Exception {
        Path here = folder.resolve("here");
        try (DatagramSocket one = DatagramSocket.bind(here);
                DatagramSocket two = DatagramSocket.bind(folder.resolve("there"))) {
            OutgoingDatagrams outgoing = new OutgoingDatagrams(8, 1024);
            SockAddr to = SockAddr.of(here);
            assertEquals(0, send(two, outgoing, to, new byte[100]));
            assertEquals(0, send(two, outgoing, to, new byte[101]));
            assertEquals(0, send(two, outgoing, to, new byte[1]));
            IncomingDatagrams incoming = new IncomingDatagrams(8, 100);
            assertEquals(3, incoming.receive(one));
            assertEquals(100, incoming.sizeBytes(0));
            assertFalse(incoming.isCut(0));
            assertEquals(100, incoming.sizeBytes(1));
            assertTrue(incoming.isCut(1));
            assertEquals(1, incoming.sizeBytes(2));
            assertFalse(incoming.isCut(2));
        }
    }

    @Test
    void unixSendersAreToldByTheWholePath() throws Exception {
        Path here = folder.resolve("here");
        try (DatagramSocket one = DatagramSocket.bind(here);
                DatagramSocket two = DatagramSocket.bind(folder.resolve("there"))) {
            send(two, new OutgoingDatagrams(1, 16), SockAddr.of(here), (byte) 1);
            IncomingDatagrams incoming = new IncomingDatagrams(1, 16);
            assertEquals(1, incoming.receive(one));
            for (String name : new String[] {"ther", "there2", "here", "thfre"}) {
                assertFalse(incoming.isFrom(0, SockAddr.of(folder.resolve(name))), name);
            }
            assertTrue(incoming.isFrom(0, SockAddr.of(folder.resolve("there"))));
        }
    }

    @Test
    void oneThatCannotBeSentIsTheFirstAfterwards() throws Exception {
        Path here = folder.resolve("here");
        try (DatagramSocket one = DatagramSocket.bind(here);
                DatagramSocket two = DatagramSocket.bind(folder.resolve("there"))) {
            OutgoingDatagrams outgoing = new OutgoingDatagrams(4, 64);
            SockAddr[] receivers = {
                SockAddr.of(here), SockAddr.of(folder.resolve("nobody")), SockAddr.of(here)
            };
            for (int i = 0; i < 3; i++) {
                int at = outgoing.reserve(1, 1);
                outgoing.memory().set(ValueLayout.JAVA_BYTE, at, (byte) i);
                outgoing.add(receivers[i]);
            }
            assertEquals(-Errno.ENOENT, outgoing.send(two));
            assertEquals(2, outgoing.count());
            outgoing.dropFirst();
            assertEquals(0, outgoing.send(two));
            IncomingDatagrams incoming = new IncomingDatagrams(4, 16);
            assertEquals(2, incoming.receive(one));
            assertArrayEquals(new byte[] {2}, bytes(incoming, 1));
        }
    }

    /// Random sizes through a small queue whose socket often has no room: everything that was taken
    /// comes, in order and unharmed, and what was refused had no room.
    @Test
    void everythingThatHadRoomComesInOrder() throws Exception {
        Random random = new Random(SEED);
        Path here = folder.resolve("here");
        try (DatagramSocket one = DatagramSocket.bind(here);
                DatagramSocket two = DatagramSocket.bind(folder.resolve("there"))) {
            OutgoingDatagrams outgoing = new OutgoingDatagrams(16, 2000);
            IncomingDatagrams incoming = new IncomingDatagrams(4, 2000);
            SockAddr to = SockAddr.of(here);
            ArrayDeque<byte[]> expected = new ArrayDeque<>();
            int refused = 0;
            for (int step = 0; step < 50_000; step++) {
                int size = 1 + random.nextInt(random.nextInt(8) == 0 ? 2000 : 300);
                int copies = 1 + random.nextInt(4);
                int at = outgoing.reserve(size, copies);
                if (at == OutgoingDatagrams.NO_ROOM) {
                    refused++;
                    assertTrue(outgoing.count() > 0, "seed " + SEED + " step " + step);
                } else {
                    byte[] bytes = new byte[size];
                    random.nextBytes(bytes);
                    MemorySegment.copy(
                            bytes, 0, outgoing.memory(), ValueLayout.JAVA_BYTE, at, size);
                    for (int i = 0; i < copies; i++) {
                        outgoing.add(to);
                        expected.add(bytes);
                    }
                }
                if (random.nextInt(3) == 0) {
                    int result = outgoing.send(two);
                    assertTrue(result == 0 || result == -Errno.EAGAIN, "result " + result);
                }
                if (random.nextInt(9) == 0) {
                    takeSome(incoming, one, expected);
                }
            }
            while (!expected.isEmpty()) {
                outgoing.send(two);
                takeSome(incoming, one, expected);
            }
            assertEquals(0, outgoing.count());
            assertTrue(refused > 0);
        }
    }

    private static void takeSome(
            IncomingDatagrams incoming, DatagramSocket socket, ArrayDeque<byte[]> expected) {
        int count = incoming.receive(socket);
        for (int i = 0; i < count; i++) {
            assertArrayEquals(expected.remove(), bytes(incoming, i), "seed " + SEED);
        }
    }

    @Test
    void onlyASocketOfNobodyIsReplaced() throws Exception {
        Path left = folder.resolve("left");
        DatagramSocket.bind(left).close();
        DatagramSocket.bind(left).close();
        Path file = Files.writeString(folder.resolve("file"), "kept");
        Path sub = Files.createDirectory(folder.resolve("folder"));
        Path link = Files.createSymbolicLink(folder.resolve("link"), left);
        for (Path path : new Path[] {file, sub, link}) {
            IOException e = assertThrows(IOException.class, () -> DatagramSocket.bind(path));
            assertEquals(path + " is there and is no socket", e.getMessage());
        }
        try (UnixSocket stream = UnixSocket.listen(folder.resolve("stream"), 1);
                DatagramSocket living = DatagramSocket.bind(left)) {
            for (Path path : new Path[] {left, folder.resolve("stream")}) {
                IOException e = assertThrows(IOException.class, () -> DatagramSocket.bind(path));
                assertEquals(path + " is in use", e.getMessage());
            }
            assertTrue(stream.fd() != living.fd());
        }
        LinuxException nowhere =
                assertThrows(
                        LinuxException.class,
                        () -> DatagramSocket.bind(folder.resolve("no/where")));
        assertEquals(Errno.ENOENT, nowhere.errno());
    }

    @Test
    void closedOneSaysSo() throws Exception {
        Path here = folder.resolve("here");
        DatagramSocket closed = DatagramSocket.bind(here);
        closed.close();
        assertEquals(-Errno.EBADF, new IncomingDatagrams(1, 16).receive(closed));
        assertEquals(
                -Errno.EBADF,
                send(closed, new OutgoingDatagrams(1, 16), SockAddr.of(here), (byte) 1));
    }

    @Test
    void addressesOfOthersAreRefused() {
        LinuxException e =
                assertThrows(
                        LinuxException.class,
                        () -> DatagramSocket.bind(new InetSocketAddress("192.0.2.1", 9)));
        assertEquals(Errno.EADDRNOTAVAIL, e.errno());
    }
}
