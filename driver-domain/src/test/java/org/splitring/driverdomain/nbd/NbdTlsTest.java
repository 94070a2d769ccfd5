package org.splitring.driverdomain.nbd;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.IoEventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Principal;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.NbdSource;
import org.splitring.blkback.nbd.NbdProtocol;
import org.splitring.blkback.nbd.NbdStore;
import org.splitring.driverdomain.TestCertificates;
import org.splitring.hypervisor.linux.VectoredFile;

/// A server that wants TLS.
@Timeout(60)
class NbdTlsTest {
    @TempDir static Path dir;
    private static TestCertificates certificates;
    private static SSLContext anybody;
    private static SSLContext known;

    private final IoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final MemoryDisk disk = new MemoryDisk(64 << 20, group.next());
    private @Nullable NbdServer server;
    private int port;

    @BeforeAll
    static void makeCertificates() throws Exception {
        certificates = new TestCertificates(dir.resolve("tls"));
        anybody = certificates.client("ca");
        known = certificates.client("client");
    }

    private static NbdTls tls(@Nullable Path clientCa) throws IOException {
        return NbdTls.load(
                certificates.file("server-cert.pem"),
                certificates.file("server-key.pem"),
                clientCa);
    }

    private NbdServer serve(@Nullable Path clientCa, NbdLimits limits) throws IOException {
        NbdServer started =
                new NbdServer(
                        group.next(),
                        List.of(new NbdExport("xvda", "", disk)),
                        limits,
                        tls(clientCa));
        server = started;
        port = started.listenOnLoopback(0);
        return started;
    }

    private NbdServer serve() throws IOException {
        return serve(null, NbdLimits.DEFAULT);
    }

    @AfterEach
    void stop() {
        if (server != null) {
            server.close();
            assertEquals(0, server.metrics().connections(), "clients after close");
        }
        assertEquals(0, disk.lentCount, "buffers after close");
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    }

    private void roundTrip(RawNbdClient client, Random random, int size) throws IOException {
        byte[] data = new byte[size];
        random.nextBytes(data);
        client.write(NbdProtocol.CMD_FLAG_FUA, size, 4096, data);
        assertEquals(new RawNbdClient.Reply(0, size), client.reply());
        assertArrayEquals(data, disk.content.asSlice(4096, size).toArray(ValueLayout.JAVA_BYTE));
        client.askToRead(-size, 4096, size);
        assertEquals(new RawNbdClient.Reply(0, -size), client.reply());
        assertArrayEquals(data, client.read(size).array(), "read, size " + size);
    }

    /// The kernel cannot encrypt what leaves the page cache by itself.
    @Test
    void whatIsInThePageCacheIsCopiedForEncryption() throws Exception {
        byte[] other = new byte[1 << 20];
        Path path = Files.write(dir.resolve("cached"), other);
        try (VectoredFile file = VectoredFile.open(path)) {
            disk.cachedFile = file;
            serve();
            try (RawNbdClient client = new RawNbdClient(port).greet()) {
                client.startTls(anybody);
                roundTrip(client.enter("xvda"), new Random(4), 128 << 10);
            }
        }
    }

    /// Our own client of disks, which has no TLS.
    @Test
    void aDiskCannotBeOneOfTheseExportsAndSaysSoInOneLine() throws IOException {
        serve();
        NbdSource source = NbdSource.parse("nbd://localhost:" + port + "/xvda");
        DiskException refused =
                assertThrows(
                        DiskException.class,
                        () -> NbdStore.open(source, DiskAccess.READ_WRITE, false));
        String message = String.valueOf(refused.getMessage());
        assertTrue(message.contains("the server wants TLS, which is not supported"), message);
        assertEquals(1, message.lines().count(), message);
    }

    @Test
    void dataOfEverySizeGoesThroughTls() throws IOException {
        serve();
        Random random = new Random(3);
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            try (RawNbdClient client = new RawNbdClient(port).greet()) {
                SSLSocket tls = client.startTls(anybody, version);
                assertEquals(version, tls.getSession().getProtocol());
                client.enter("xvda");
                for (int size : new int[] {512, 8192, 8704, 131584, 524800, 1 << 20, 5 << 20}) {
                    roundTrip(client, random, size);
                }
                client.request(0, NbdProtocol.CMD_DISC, 0, 0, 0);
                client.awaitClosed();
            }
        }
    }

    @Test
    void structuredRepliesGoThroughTls() throws IOException {
        serve();
        disk.failReadAt = 1 << 20;
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            client.startTls(anybody);
            client.optionAcknowledged(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            client.enter("xvda").askToRead(1, 0, 2 << 20);
            for (int i = 0; i < 8; i++) {
                assertEquals(NbdProtocol.CHUNK_OFFSET_DATA, client.chunk().type());
            }
            assertEquals(NbdProtocol.CHUNK_ERROR_OFFSET, client.chunk().type());
        }
    }

    @Test
    void n22_nothingIsToldAndNothingIsDoneBeforeTls() throws IOException {
        NbdServer served = serve();
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            for (int option : new int[] {3, 6, 7, 8, 9, 10, 11, 99}) {
                for (int size : new int[] {0, 10, 100_000}) {
                    client.option(option, new byte[size]);
                    RawNbdClient.OptionReply reply = client.optionReply();
                    assertEquals(option, reply.option());
                    assertEquals(NbdProtocol.REP_ERR_TLS_REQD, reply.type());
                }
            }
            client.option(NbdProtocol.OPT_GO, RawNbdClient.goData("xvda"));
            assertEquals(NbdProtocol.REP_ERR_TLS_REQD, client.optionReply().type());
            client.option(NbdProtocol.OPT_STARTTLS, new byte[1]);
            assertEquals(NbdProtocol.REP_ERR_INVALID, client.optionReply().type());
            client.option(NbdProtocol.OPT_EXPORT_NAME, "xvda".getBytes(StandardCharsets.UTF_8));
            client.awaitClosed();
        }
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            client.optionAcknowledged(NbdProtocol.OPT_ABORT, new byte[0]);
            client.awaitClosed();
        }
        try (RawNbdClient client = new RawNbdClient(port)) {
            client.read(18);
            client.send(ByteBuffer.allocate(4).putInt(0)); // not the fixed newstyle
            client.awaitClosed();
        }
        await().until(() -> served.metrics().handshakesRefused() == 2);
        assertEquals(0, disk.reads + disk.lentCount);
    }

    @Test
    void n22_whatWasAskedForBeforeTlsDoesNotCount() throws IOException {
        serve();
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            client.option(NbdProtocol.OPT_STRUCTURED_REPLY, new byte[0]);
            assertEquals(NbdProtocol.REP_ERR_TLS_REQD, client.optionReply().type());
            client.option(
                    NbdProtocol.OPT_SET_META_CONTEXT,
                    RawNbdClient.metaData("xvda", "base:allocation"));
            assertEquals(NbdProtocol.REP_ERR_TLS_REQD, client.optionReply().type());
            client.startTls(anybody);
            client.enter("xvda");
            client.request(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 512);
            assertEquals(new RawNbdClient.Reply(NbdProtocol.EINVAL, 1), client.reply());
            client.askToRead(2, 0, 512);
            assertEquals(new RawNbdClient.Reply(0, 2), client.reply());
        }
    }

    @Test
    void n22_whatStandsBehindStartTlsInPlainIsNeverTakenForEncrypted() throws IOException {
        NbdServer served = serve();
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            ByteBuffer both = ByteBuffer.allocate(32);
            both.putLong(NbdProtocol.IHAVEOPT).putInt(NbdProtocol.OPT_STARTTLS).putInt(0);
            both.putLong(NbdProtocol.IHAVEOPT).putInt(NbdProtocol.OPT_LIST).putInt(0);
            client.send(both);
            client.awaitClosed();
        }
        await().until(() -> served.metrics().handshakesRefused() == 1);
    }

    @Test
    void n22_aSecondStartTlsIsRefusedAndTheFirstGoesOn() throws IOException {
        serve();
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            client.startTls(anybody);
            client.option(NbdProtocol.OPT_STARTTLS, new byte[0]);
            assertEquals(NbdProtocol.REP_ERR_INVALID, client.optionReply().type());
            roundTrip(client.enter("xvda"), new Random(4), 4096);
        }
    }

    @Test
    void n22_garbageInsteadOfTlsEndsTheConnection() throws IOException {
        NbdServer served = serve();
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("NbdTlsTest seed " + seed);
        Random random = new Random(seed);
        int count = 20;
        for (int i = 0; i < count; i++) {
            try (RawNbdClient client = new RawNbdClient(port).greet()) {
                client.optionAcknowledged(NbdProtocol.OPT_STARTTLS, new byte[0]);
                byte[] garbage = new byte[16 + random.nextInt(2000)];
                random.nextBytes(garbage);
                if (i % 2 == 0) { // a record and a ClientHello of the right lengths
                    ByteBuffer.wrap(garbage)
                            .put((byte) 22)
                            .putShort((short) 0x303)
                            .putShort((short) (garbage.length - 5))
                            .putInt(1 << 24 | (garbage.length - 9));
                } else {
                    garbage[0] = (byte) 0xFF; // no type of a record
                }
                try {
                    client.send(ByteBuffer.wrap(garbage).position(garbage.length));
                } catch (IOException e) {
                    continue; // closed before all was sent
                }
                client.awaitClosed();
            }
        }
        await().until(() -> served.metrics().connections() == 0);
        assertEquals(count, served.metrics().handshakesRefused());
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            client.startTls(anybody);
            assertEquals(64 << 20, client.enter("").size);
        }
    }

    @Test
    void n20_aTlsHandshakeThatIsNotFinishedHasTheSameDeadline() throws IOException {
        NbdServer served =
                serve(
                        null,
                        new NbdLimits(
                                3,
                                TimeUnit.MILLISECONDS.toNanos(300),
                                TimeUnit.SECONDS.toNanos(30)));
        List<RawNbdClient> idlers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            RawNbdClient idler = new RawNbdClient(port);
            idlers.add(idler);
            try {
                idler.greet().optionAcknowledged(NbdProtocol.OPT_STARTTLS, new byte[0]);
            } catch (IOException e) {
                // Where everything is slow the deadline comes first: counted as well.
            }
        }
        for (RawNbdClient idler : idlers) {
            idler.awaitClosed();
            idler.close();
        }
        await().until(() -> served.metrics().connections() == 0);
        assertEquals(3, served.metrics().handshakesTimedOut());
    }

    @Test
    void n24_aSlowReaderBehindTlsIsBounded() throws Exception {
        serve();
        try (RawNbdClient slow = new RawNbdClient(port).greet();
                RawNbdClient other = new RawNbdClient(port).greet()) {
            slow.startTls(anybody);
            other.startTls(anybody);
            slow.enter("");
            other.enter("");
            Thread sender = slow.askWithoutEnd();
            await().until(() -> disk.reads >= 4);
            for (int i = 0; i < 50; i++) {
                other.write(0, i, 0, new byte[64 << 10]);
                assertEquals(new RawNbdClient.Reply(0, i), other.reply());
            }
            await().during(300, TimeUnit.MILLISECONDS)
                    .until(() -> disk.reads, reads -> reads <= 100); // the port's own buffers
            slow.cut(); // closing TLS in order would wait for the sender
            sender.join();
        }
    }

    @Test
    void clientsWithoutACertificateOfTheAuthorityAreRefused() throws Exception {
        serve(certificates.file("ca-cert.pem"), NbdLimits.DEFAULT);
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            client.startTls(known);
            roundTrip(client.enter("xvda"), new Random(5), 4096);
        }
        assertRefused(anybody);
        TestCertificates others = new TestCertificates(dir.resolve("others"));
        assertRefused(certificates.clientOf(others));
        assertEquals(1, disk.reads);
    }

    /// A list of authorities would keep GnuTLS from showing a certificate with an RSA key.
    @Test
    void theRequestForACertificateNamesNoAuthorities() throws Exception {
        serve(certificates.file("ca-cert.pem"), NbdLimits.DEFAULT);
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            List<Principal> named = new ArrayList<>();
            try (RawNbdClient client = new RawNbdClient(port).greet()) {
                client.startTls(certificates.clientThatNotes(named), version);
                client.enter("xvda");
            }
            assertEquals(List.of(), named, version);
        }
    }

    private void assertRefused(SSLContext context) throws IOException {
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            // With TLS 1.3 the client learns of it after its own end of the handshake.
            assertThrows(
                    IOException.class,
                    () -> {
                        client.startTls(context);
                        client.enter("xvda");
                    });
        }
    }

    @Test
    void n22_anotherHandshakeOnTheSameConnectionIsRefused() throws IOException {
        serve();
        try (RawNbdClient client = new RawNbdClient(port).greet()) {
            SSLSocket tls = client.startTls(anybody, "TLSv1.2");
            client.enter("xvda");
            assertThrows(
                    IOException.class,
                    () -> {
                        tls.startHandshake();
                        client.askToRead(1, 0, 512);
                        client.reply();
                    });
        }
    }

    @Test
    void filesThatAreNotWhatTheyAreToBeAreNamed() throws IOException {
        Path cert = certificates.file("server-cert.pem");
        Path key = certificates.file("server-key.pem");
        Path rubbish = Files.writeString(dir.resolve("rubbish.pem"), "nothing");
        Path missing = dir.resolve("missing.pem");
        assertNamed(missing, missing, key, null);
        assertNamed(missing, cert, missing, null);
        assertNamed(missing, cert, key, missing);
        assertNamed(rubbish, rubbish, key, null);
        assertNamed(rubbish, cert, rubbish, null);
        assertNamed(rubbish, cert, key, rubbish);
        assertNamed(cert, cert, cert, null);
    }

    private static void assertNamed(Path named, Path cert, Path key, @Nullable Path clientCa) {
        IOException e = assertThrows(IOException.class, () -> NbdTls.load(cert, key, clientCa));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains(named.toString()), message);
        assertEquals(1, message.lines().count(), message);
    }
}
