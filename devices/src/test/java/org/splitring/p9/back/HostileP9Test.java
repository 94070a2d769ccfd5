package org.splitring.p9.back;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.p9.back.P9Client.Reply;
import org.splitring.wire.P9Message;

/// Messages that no client of good will sends. Every one is answered, once, within its length, and
/// the session goes on.
class HostileP9Test {
    private static final int[] EVERY_TYPE = {
        6, 8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 100, 102, 104,
        108, 110, 112, 114, 116, 118, 120, 122, 124, 126
    };

    /// Nobody but these tests has anything in it.
    @TempDir private Path own;

    private Path dir;
    private P9Client client;

    @BeforeEach
    void attach() throws Exception {
        dir = Files.createDirectory(own.resolve("share"));
        client = P9Client.attached(dir);
    }

    @AfterEach
    void close() {
        client.close();
        assertEquals(0, client.session.openFiles());
    }

    @Test
    void messagesCutShortAnywhereAreRefused() throws Exception {
        Files.writeString(dir.resolve("f"), "data");
        for (int type : EVERY_TYPE) {
            for (int length = 0; length < 70; length++) {
                if (type == P9Message.TVERSION && length >= 6) {
                    continue; // zeros are a whole one
                }
                client.sendRaw(type, new byte[length]);
            }
        }
        client.ok(P9Message.TVERSION, m -> m.u32(8192).text("9P2000.L"));
        assertEquals(Errno.EPROTO, client.errno(P9Message.TATTACH, m -> m.u32(0).u32(-1).u16(500)));
        assertEquals("data", Files.readString(dir.resolve("f")));
    }

    @Test
    void everyNumberOfATypeIsAnswered() {
        for (int type = 0; type < 255; type++) {
            if (type == P9Message.TVERSION || type == P9Message.RLERROR - 1) {
                continue;
            }
            client.sendRaw(type, new byte[64]);
        }
    }

    @Test
    void sizesAndCountsOfAnyValueStayInTheMessage() throws Exception {
        Files.writeString(dir.resolve("f"), "data");
        client.to(1, "f").to(2);
        assertEquals(0, client.open(1, 2));
        assertEquals(0, client.open(2, 0));
        for (int count : new int[] {0, 1, 5, 1 << 20, Integer.MAX_VALUE, Integer.MIN_VALUE, -1}) {
            Reply read = client.ok(P9Message.TREAD, m -> m.u32(1).u64(0).u32(count));
            assertTrue(read.body().getInt() <= 4);
            client.send(P9Message.TREADDIR, m -> m.u32(2).u64(0).u32(count));
            if (count > 4 || count < 0) {
                assertEquals(
                        Errno.EPROTO,
                        client.errno(
                                P9Message.TWRITE,
                                m -> m.u32(1).u64(0).u32(count).raw(new byte[4])));
            }
        }
        for (long offset : new long[] {-1, Long.MIN_VALUE}) {
            assertEquals(
                    Errno.EINVAL, client.errno(P9Message.TREAD, m -> m.u32(1).u64(offset).u32(1)));
            assertEquals(Errno.EINVAL, client.write(1, offset, "x"));
            assertEquals(
                    Errno.EINVAL,
                    client.errno(P9Message.TREADDIR, m -> m.u32(2).u64(offset).u32(100)));
            assertEquals(
                    Errno.EINVAL,
                    client.errno(
                            P9Message.TSETATTR,
                            m ->
                                    m.u32(1)
                                            .u32(8)
                                            .u32(0)
                                            .u32(0)
                                            .u32(0)
                                            .u64(offset)
                                            .raw(new byte[32])));
        }
        assertEquals("", client.read(1, Long.MAX_VALUE - 10, 5));
        assertTrue(client.write(1, Long.MAX_VALUE - 1, "x") > 0);
        assertEquals(Errno.EINVAL, client.walk(0, 3, "a".repeat(17).split("")).errno());
    }

    @Test
    void handlesAreCountedAndSoAreOpenFiles() throws Exception {
        Files.writeString(dir.resolve("f"), "data");
        int fids = 0;
        for (int i = 1; i < 100_000; i++) {
            int errno = client.walk(0, i, "f").errno();
            if (errno != 0) {
                assertEquals(Errno.EMFILE, errno);
                break;
            }
            fids++;
        }
        assertEquals(P9Limits.DEFAULT.fids() - 1, fids);
        int open = 0;
        for (int i = 1; i <= fids; i++) {
            int errno = client.open(i, 0);
            if (errno != 0) {
                assertEquals(Errno.EMFILE, errno);
                break;
            }
            open++;
        }
        assertEquals(P9Limits.DEFAULT.openFiles(), open);
        assertEquals(Errno.EMFILE, client.create(0, "new", 2, 0600));
        assertEquals(0, client.clunk(1));
        assertEquals(0, client.walk(0, 1, "f").errno());
        assertEquals(0, client.open(1, 0));
    }

    @Test
    void handlesThatAreNoneTakenOrOpenAreRefused() throws Exception {
        Files.createDirectory(dir.resolve("d"));
        client.to(1, "d");
        assertEquals(Errno.EBADF, client.walk(0, -1).errno());
        assertEquals(Errno.EBADF, client.walk(7, 8).errno());
        assertEquals(Errno.EBADF, client.walk(0, 1).errno());
        assertEquals(
                Errno.EBADF,
                client.errno(P9Message.TATTACH, m -> m.u32(0).u32(-1).text("").text("").u32(0)));
        assertEquals(0, client.open(1, 0));
        assertEquals(Errno.EBADF, client.open(1, 0));
        assertEquals(Errno.EBADF, client.create(1, "x", 2, 0600));
        assertEquals(Errno.EBADF, client.walk(1, 1, "..").errno());
        assertEquals(Errno.EBADF, client.write(0, 0, "x"));
        assertEquals(0, client.clunk(1));
        assertEquals(Errno.EBADF, client.clunk(1));
        for (int type : new int[] {P9Message.TREMOVE, P9Message.TREADLINK, P9Message.TSTATFS}) {
            assertEquals(Errno.EBADF, client.errno(type, m -> m.u32(1)));
        }
    }

    @Test
    void walkingDeeperThanAPathCanBeIsRefused() throws Exception {
        String name = "n".repeat(250);
        int fid = 0;
        int errno = 0;
        int depth = 0;
        while (errno == 0 && depth < 100) {
            int parent = fid;
            errno = client.errno(P9Message.TMKDIR, m -> m.u32(parent).text(name).u32(0700).u32(0));
            if (errno == 0) {
                errno = client.walk(parent, parent + 1, name).errno();
            }
            fid++;
            depth++;
        }
        assertEquals(Errno.ENAMETOOLONG, errno);
        assertTrue(depth < 20, depth + " levels");
    }

    @Test
    void theFolderItselfStays() throws Exception {
        client.to(1).to(2).to(3);
        assertEquals(Errno.EBUSY, client.errno(P9Message.TREMOVE, m -> m.u32(1)));
        assertEquals(Errno.EBUSY, client.errno(P9Message.TRENAME, m -> m.u32(2).u32(0).text("x")));
        assertEquals(Errno.EBUSY, client.errno(P9Message.TLINK, m -> m.u32(0).u32(2).text("x")));
        assertTrue(Files.isDirectory(dir));
    }

    /// Bodies of random bytes, and of random fields that make sense more often. Seed printed.
    @Test
    void randomMessagesAreAnsweredAndHarmNothing() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("HostileP9Test seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < 5; i++) {
            Files.writeString(dir.resolve("f" + i), "data");
        }
        for (int round = 0; round < 20_000; round++) {
            int type = EVERY_TYPE[random.nextInt(EVERY_TYPE.length)];
            if (type == P9Message.TVERSION && random.nextInt(50) > 0) {
                continue;
            }
            if (random.nextInt(4) == 0) {
                byte[] body = new byte[random.nextInt(100)];
                random.nextBytes(body);
                client.sendRaw(type, body);
            } else {
                client.send(type, body -> likely(body, random));
            }
            if (random.nextInt(500) == 0) {
                client.send(P9Message.TVERSION, m -> m.u32(8192).text("9P2000.L"));
                client.send(P9Message.TATTACH, m -> m.u32(0).u32(-1).text("").text("").u32(0));
            }
        }
        try (Stream<Path> beside = Files.list(own)) {
            assertEquals(List.of(dir), beside.toList());
        }
    }

    private static void likely(P9Client.Body body, Random random) {
        int fields = random.nextInt(8);
        for (int i = 0; i < fields; i++) {
            switch (random.nextInt(5)) {
                case 0, 1 -> body.u32(random.nextInt(6));
                case 2 -> body.text(new String[] {"..", "x", "f1", "/", "f2"}[random.nextInt(5)]);
                case 3 -> body.u64(random.nextInt(100));
                default -> body.u16(random.nextInt(4));
            }
        }
        body.raw(new byte[random.nextInt(40)]);
    }
}
