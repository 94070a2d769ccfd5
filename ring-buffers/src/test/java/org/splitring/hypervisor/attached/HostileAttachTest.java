package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.PeerCredentials;
import org.splitring.hypervisor.linux.UnixSocket;

/// Programs that do not keep to the attach protocol: each loses its own connection, and the guest
/// next door does not notice.
class HostileAttachTest {
    private static final long MEMORY = 1 << 20;
    private static final int ALLOC = 2;
    private static final int BIND = 3;
    private static final int CLOSE = 4;
    private static final int STATUS = 5;
    private static final int BIND_STATIC = 6;

    @TempDir Path folder;
    private AttachBed bed;
    private NettyDeviceLoops guestLoops;
    private AttachedGuest neighbour;
    private EventChannel front;
    private final AtomicInteger frontEvents = new AtomicInteger();
    private EventChannel back;

    @BeforeEach
    void start() throws Exception {
        bed = new AttachBed(folder);
        setUp();
    }

    /// All of it again, with a server that soon closes a connection without a hello. Whoever says
    /// hello here may have been too late for it, through no fault of the server: it has to be tried
    /// again then.
    private void startHasty() throws Exception {
        stop();
        bed = new AttachBed(folder, DescriptorBudget.ofProcess(), 300_000_000L);
        setUp();
    }

    private AttachedGuest attach(int domid) {
        return Awaitility.await()
                .ignoreException(IOException.class)
                .until(
                        () ->
                                AttachedGuest.attach(
                                        bed.path(domid), MEMORY, guestLoops.loop(0), () -> {}),
                        Objects::nonNull);
    }

    private void setUp() throws Exception {
        guestLoops = new NettyDeviceLoops("guest", 1, 0);
        bed.listen(1);
        bed.listen(7);
        neighbour = attach(1);
        front = neighbour.eventChannels().allocUnbound(DomId.ZERO);
        back =
                bed.peer(1)
                        .driverDomain()
                        .eventChannels()
                        .bindInterdomain(new DomId(1), front.port());
        back.listen(
                bed.loops.loop(0),
                () -> {
                    back.unmask();
                    back.send();
                });
        front.listen(
                guestLoops.loop(0),
                () -> {
                    frontEvents.incrementAndGet();
                    front.unmask();
                });
    }

    /// The neighbour is served, whatever happened.
    @AfterEach
    void stop() {
        try {
            pingNeighbour();
        } finally {
            neighbour.close();
            bed.close();
            guestLoops.close();
        }
    }

    private void pingNeighbour() {
        int seen = frontEvents.get();
        front.send();
        AttachBed.await(() -> frontEvents.get() > seen);
    }

    private interface Garbage {
        void send(RawGuest guest) throws Exception;
    }

    private void endsTheConnection(String what, boolean afterHello, Garbage garbage)
            throws Exception {
        long before = AttachBed.openDescriptors();
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            if (afterHello) {
                guest.attach(MEMORY);
            }
            garbage.send(guest);
            assertFalse(guest.receive(), what);
        }
        AttachBed.awaitDescriptors(before);
        pingNeighbour();
    }

    private static int[] descriptors(int count) throws LinuxException {
        int[] fds = new int[count];
        Arrays.fill(fds, -1);
        int fd = RawGuest.memory(MEMORY);
        Arrays.fill(fds, fd);
        return fds;
    }

    private static void sendWithDescriptors(RawGuest guest, int size, int count)
            throws LinuxException {
        int[] fds = descriptors(count);
        guest.send(size, fds);
        Fd.close(fds[0]);
    }

    @Test
    void messagesOfWrongShapeEndTheConnection() throws Exception {
        endsTheConnection("empty", false, guest -> guest.send(0));
        endsTheConnection("one byte", false, guest -> guest.send(1));
        endsTheConnection("15 bytes", true, guest -> guest.send(15));
        endsTheConnection("257 bytes", true, guest -> guest.u32(0, 2).u32(12, 241).send(257));
        endsTheConnection("length 2^32-1", true, guest -> guest.u32(0, 2).u32(12, -1).send(20));
        endsTheConnection("length too small", true, guest -> guest.u32(0, 2).u32(12, 0).send(20));
        endsTheConnection(
                "right length, wrong for the type",
                true,
                guest -> guest.u32(0, 2).u32(12, 8).send(24));
        endsTheConnection("type 0", true, guest -> guest.u32(0, 0).u32(12, 4).send(20));
        endsTheConnection("type 7", true, guest -> guest.u32(0, 7).u32(12, 4).send(20));
        endsTheConnection("type 2^31", true, guest -> guest.u32(0, 1 << 31).u32(12, 4).send(20));
    }

    @Test
    void h066_helloTwiceOrOtherRequestsBeforeItEndTheConnection() throws Exception {
        endsTheConnection(
                "second hello",
                true,
                guest -> {
                    guest.hello(MEMORY);
                    sendWithDescriptors(guest, 48, 1);
                });
        endsTheConnection("alloc first", false, guest -> guest.send(guest.request(ALLOC, 0)));
        endsTheConnection("status first", false, guest -> guest.send(guest.request(STATUS, 1)));
    }

    @Test
    void n01_descriptorsThatNobodyAskedForAreClosedWithTheConnection() throws Exception {
        endsTheConnection("hello without", false, guest -> guest.hello(MEMORY).send(48));
        endsTheConnection(
                "hello with two",
                false,
                guest -> {
                    guest.hello(MEMORY);
                    sendWithDescriptors(guest, 48, 2);
                });
        endsTheConnection(
                "hello with 253",
                false,
                guest -> {
                    guest.hello(MEMORY);
                    sendWithDescriptors(guest, 48, 253);
                });
        endsTheConnection(
                "alloc with one",
                true,
                guest -> sendWithDescriptors(guest, guest.request(ALLOC, 0), 1));
        endsTheConnection(
                "empty message with one", true, guest -> sendWithDescriptors(guest, 0, 1));
        endsTheConnection("garbage with 100", false, guest -> sendWithDescriptors(guest, 3, 100));
    }

    @Test
    void n01_floodOfDescriptorsLeavesNoneBehind() throws Exception {
        long before = AttachBed.openDescriptors();
        for (int i = 0; i < 50; i++) {
            try (RawGuest guest = new RawGuest(bed.path(7))) {
                sendWithDescriptors(guest, 20, 200);
                assertFalse(guest.receive());
            }
        }
        AttachBed.awaitDescriptors(before);
    }

    @Test
    void randomPacketsNeverDisturbAnybodyElse() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("randomPacketsNeverDisturbAnybodyElse: seed " + seed);
        Random random = new Random(seed);
        long before = AttachBed.openDescriptors();
        for (int i = 0; i < 300; i++) {
            try (RawGuest guest = new RawGuest(bed.path(7))) {
                boolean hello = random.nextBoolean();
                if (hello) {
                    try {
                        guest.attach(MEMORY);
                    } catch (AssertionError e) {
                        throw new AssertionError("seed " + seed + " round " + i, e);
                    }
                }
                for (int word = 0; word < 80; word++) {
                    guest.u32(
                            word * 4L,
                            random.nextInt(3) == 0 ? random.nextInt() : random.nextInt(8));
                }
                int size = random.nextInt(300);
                if (random.nextBoolean() && size >= 16) {
                    guest.u32(12, size - 16);
                }
                if (random.nextBoolean()) {
                    guest.send(size);
                } else {
                    sendWithDescriptors(guest, size, 1 + random.nextInt(3));
                }
            }
        }
        AttachBed.awaitDescriptors(before);
    }

    @Test
    void n12_domidComesFromTheSocketAndNotFromTheMessage() throws Exception {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            int fd = RawGuest.memory(MEMORY);
            guest.hello(MEMORY).u32(4, 1).u32(8, 1).send(48, fd); // status means nothing here
            Fd.close(fd);
            assertEquals(0, guest.status());
            assertEquals(7, guest.word(20));
            assertEquals(0, guest.word(24));
            guest.packet.closeDescriptors();
        }
    }

    @Test
    void onlyTheSameUserAndRootMayAttach() {
        assertTrue(AttachSocket.mayAttach(new PeerCredentials(1, 1000, 1000), 1000));
        assertTrue(AttachSocket.mayAttach(new PeerCredentials(1, 0, 0), 1000));
        assertFalse(AttachSocket.mayAttach(new PeerCredentials(1, 1001, 1000), 1000));
        assertFalse(AttachSocket.mayAttach(new PeerCredentials(1, 1000, 0), 0));
        assertFalse(AttachSocket.mayAttach(new PeerCredentials(1, -1, 0), 1000));
    }

    @Test
    void n20_connectionWithoutAHelloIsClosed() throws Exception {
        startHasty();
        long before = AttachBed.openDescriptors();
        try (RawGuest silent = new RawGuest(bed.path(7))) {
            assertFalse(silent.receive());
        }
        AttachBed.awaitDescriptors(before);
    }

    @Test
    void h128_silentConnectionsKeepNobodyOutForLong() throws Exception {
        startHasty();
        long before = AttachBed.openDescriptors();
        List<UnixSocket> flood = new ArrayList<>();
        int refused = 0;
        for (int i = 0; i < 200; i++) {
            try {
                flood.add(UnixSocket.connect(bed.path(7)));
            } catch (LinuxException e) {
                assertEquals(Errno.EAGAIN, e.errno());
                refused++;
            }
        }
        assertTrue(refused > 100, "few wait, most are told to come back: " + refused);
        // Ours, the server's, and those that wait in the kernel: bounded by accept and backlog.
        assertTrue(AttachBed.openDescriptors() - before - flood.size() < 8 + 8);
        try (AttachedGuest guest = attach(7)) {
            assertEquals(new DomId(7), guest.id());
            Fd.close(guest.storeFd());
            pingNeighbour();
        }
        flood.forEach(UnixSocket::close);
        AttachBed.awaitDescriptors(before);
    }

    @Test
    void guestThatNeverReadsItsRepliesStopsOnlyItself() throws Exception {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            guest.attach(MEMORY);
            int sent = 0;
            int size = guest.request(STATUS, 1);
            while (guest.send(size) > 0) {
                sent++;
                assertTrue(sent < 1_000_000, "the server reads without end");
            }
            pingNeighbour();
            for (int i = 0; i < sent; i++) {
                assertTrue(guest.receive());
            }
            assertEquals(0, guest.call(ALLOC, 0), "and goes on when it reads again");
            guest.packet.closeDescriptors();
        }
    }

    @Test
    void h066_portNumbersThatDoNotExistAreRefused() throws Exception {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            guest.attach(MEMORY);
            int[] numbers = {0, 1, 31, 32, 33, Integer.MAX_VALUE, Integer.MIN_VALUE, -1};
            for (int port : numbers) {
                assertEquals(-22, guest.call(CLOSE, port), "close " + port);
                assertEquals(0, guest.call(STATUS, port), "status " + port);
                assertEquals(0, guest.word(16), "closed");
                assertEquals(-22, guest.call(BIND, 0, port), "bind " + port);
                assertEquals(-22, guest.call(BIND, 1, port), "bind to the neighbour's " + port);
            }
            assertEquals(-3, guest.call(BIND, 99, 1), "no such domain");
            int[] domains = {0x7FF0, 0x7FFF, 0x8000, Integer.MAX_VALUE, Integer.MIN_VALUE, -1};
            for (int domain : domains) {
                assertEquals(-22, guest.call(ALLOC, domain), "domid " + domain);
                assertEquals(-22, guest.call(BIND, domain, 1), "domid " + domain);
            }
            assertEquals(0, guest.call(ALLOC, 0), "refused calls have used nothing up");
            assertEquals(1, guest.word(16));
            guest.packet.closeDescriptors();
            assertEquals(0, guest.call(CLOSE, 1));
            assertEquals(-22, guest.call(CLOSE, 1), "twice");
        }
    }

    @Test
    void h067_portOfAnotherPairIsNotBoundAndStaysWhatItWas() throws Exception {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            guest.attach(MEMORY);
            EventChannel forNobodyElse = neighbour.eventChannels().allocUnbound(new DomId(5));
            assertEquals(-22, guest.call(BIND, 1, forNobodyElse.port()), "it is for domain 5");
            assertEquals(-22, guest.call(BIND, 1, front.port()), "it is bound");
            EventChannel forUs = neighbour.eventChannels().allocUnbound(new DomId(7));
            assertEquals(0, guest.call(BIND, 1, forUs.port()));
            int port = guest.word(16);
            guest.packet.closeDescriptors();
            assertEquals(-22, guest.call(BIND, 1, forUs.port()), "once only");
            assertEquals(0, guest.call(STATUS, port));
            assertEquals(2, guest.word(16));
            assertEquals(1, guest.word(20));
            assertEquals(forUs.port(), guest.word(24));
            forNobodyElse.close();
            forUs.close();
        }
    }

    @Test
    void h069_guestThatTakesAllPortsLeavesTheReserveToTheControlPlane() throws Exception {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            guest.attach(MEMORY);
            AttachedPeer peer = bed.peer(2);
            int taken = 0;
            int status;
            while ((status = guest.call(ALLOC, 0)) == 0) {
                guest.packet.closeDescriptors();
                taken++;
            }
            assertEquals(-28, status, "ENOSPC");
            assertEquals(30, taken, "one in sixteen of 32 is kept");
            EventChannel offered = peer.driverDomain().eventChannels().allocUnbound(new DomId(7));
            assertEquals(0, guest.call(BIND, 0, offered.port()), "the control plane's channel");
            guest.packet.closeDescriptors();
            offered.close();
        }
    }

    @Test
    void h069_thePortOfTheXenstorePageIsHandedOutOnceAndOnlyToItsGuest() throws Exception {
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            int fd = RawGuest.memory(MEMORY);
            guest.hello(MEMORY).u32(40, 200).send(48, fd);
            assertEquals(0, guest.status());
            guest.packet.closeDescriptors();
            Fd.close(fd);
            long before = AttachBed.openDescriptors();
            for (int port : new int[] {0, 2, 32, 33, -1, 1 << 31, Integer.MAX_VALUE}) {
                assertEquals(-22, guest.call(BIND_STATIC, port), "port " + port);
            }
            assertEquals(-22, guest.call(BIND, 1, 1), "the neighbour's is for the store alone");
            assertEquals(0, guest.call(BIND_STATIC, 1));
            assertEquals(1, guest.word(16));
            assertEquals(2, guest.packet.descriptorCount());
            guest.packet.closeDescriptors();
            assertEquals(-16, guest.call(BIND_STATIC, 1), "EBUSY");
            assertEquals(0, guest.call(ALLOC, 0));
            int own = guest.word(16);
            guest.packet.closeDescriptors();
            assertEquals(-16, guest.call(BIND_STATIC, own), "its descriptors came with it");
            assertEquals(0, guest.call(CLOSE, own));
            assertEquals(0, guest.call(CLOSE, 1));
            assertEquals(-22, guest.call(BIND_STATIC, 1), "closed ports stay closed");
            AttachBed.awaitDescriptors(before - 3);
        }
    }

    @Test
    void h068_everyOperationAtNoMorePortsOrDescriptorsHurtsOnlyTheCaller() throws Exception {
        stop();
        // Neighbour: 1 connection + 3 + 2 for the port of its page + 3 for its bound port; the
        // hostile one: 1 + 3 + its ports.
        DescriptorBudget budget = new DescriptorBudget(9 + 4 + 7);
        bed = new AttachBed(folder, budget, 10_000_000_000L);
        setUp();
        try (RawGuest guest = new RawGuest(bed.path(7))) {
            guest.attach(MEMORY);
            AttachedPeer peer = bed.peer(2);
            assertEquals(13, budget.taken());
            for (int i = 1; i <= 3; i++) {
                assertEquals(0, guest.call(ALLOC, 0));
                assertEquals(i, guest.word(16));
                guest.packet.closeDescriptors();
            }
            assertEquals(19, budget.taken());
            for (int round = 0; round < 3; round++) {
                assertEquals(-24, guest.call(ALLOC, 0), "EMFILE");
                EventChannel offered =
                        peer.driverDomain().eventChannels().allocUnbound(new DomId(7));
                assertEquals(-24, guest.call(BIND, 0, offered.port()), "EMFILE");
                offered.close();
                assertEquals(0, guest.call(STATUS, 1));
                assertEquals(1, guest.word(16), "still unbound");
                assertEquals(19, budget.taken(), "each undo is of what was done");
            }
            EventChannel bound =
                    peer.driverDomain().eventChannels().bindInterdomain(new DomId(7), 1);
            assertEquals(20, budget.taken());
            EventChannelException full =
                    assertThrows(
                            EventChannelException.class,
                            () ->
                                    peer.driverDomain()
                                            .eventChannels()
                                            .bindInterdomain(new DomId(7), 2));
            assertEquals(24, full.errno());
            // Nobody new can connect now, but the neighbour can do everything it has.
            pingNeighbour();
            assertEquals(org.splitring.hypervisor.EventChannelStatus.INTERDOMAIN, front.status());
            bound.close();
            assertEquals(0, guest.call(CLOSE, 2));
            assertEquals(0, guest.call(ALLOC, 0), "what is given back can be had again");
            guest.packet.closeDescriptors();
        }
        AttachBed.await(() -> budget.taken() == 9);
        assertNotNull(neighbour);
    }
}
