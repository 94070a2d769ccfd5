package org.splitring.p9.back;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.p9.back.P9Client.Reply;
import org.splitring.wire.P9Message;

/// Somebody who wants out of the shared folder: by `..`, by symbolic links, and by changing the
/// tree between two requests or while they run.
class P9ConfinementTest {
    private static final String SECRET = "not for guests";

    @TempDir private Path dir;
    private Path shared;
    private Path secret;
    private P9Client client;

    @BeforeEach
    void share() throws Exception {
        shared = Files.createDirectory(dir.resolve("shared"));
        secret = Files.writeString(dir.resolve("secret"), SECRET);
        Files.createDirectory(dir.resolve("outside"));
        Files.writeString(dir.resolve("outside/file"), SECRET);
        client = P9Client.attached(shared);
    }

    @AfterEach
    void nothingOutsideHasChanged() throws Exception {
        client.close();
        assertEquals(SECRET, Files.readString(secret));
        assertEquals(SECRET, Files.readString(dir.resolve("outside/file")));
        try (Stream<Path> files = Files.list(dir.resolve("outside"))) {
            assertEquals(List.of(dir.resolve("outside/file")), files.toList());
        }
    }

    @Test
    void dotsEndAtTheFolder() throws Exception {
        Files.createDirectories(shared.resolve("a/b"));
        long root = (long) Files.getAttribute(shared, "unix:ino");
        String[] ups = new String[16];
        Arrays.fill(ups, "..");
        Reply reply = client.walk(0, 1, ups);
        assertEquals(16, reply.body().getShort());
        for (int i = 0; i < 16; i++) {
            assertEquals(root, reply.body().getLong(2 + i * ReplyWriter.QID_BYTES + 5));
        }
        assertEquals(0, client.walk(0, 2, "a", "b", "..", "..", "..", "..").errno());
        assertEquals(Errno.ENOENT, client.walk(2, 3, "secret").errno());
        assertEquals(1, client.walk(2, 3, "..", "secret").body().getShort());
    }

    @Test
    void whatIsAboveIsNotEvenNamedByItsInode() throws Exception {
        client.to(1);
        assertEquals(0, client.open(1, 0));
        Reply reply = client.ok(P9Message.TREADDIR, m -> m.u32(1).u64(0).u32(4096));
        long root = (long) Files.getAttribute(shared, "unix:ino");
        int at = 4;
        while (at < reply.body().limit()) {
            assertEquals(root, reply.body().getLong(at + 5)); // only `.` and `..` are there
            at += ReplyWriter.QID_BYTES + 8 + 1;
            at += 2 + reply.body().getShort(at);
        }
    }

    @Test
    void namesThatArePathsAreRefused() {
        for (String name :
                List.of("../secret", "/etc/passwd", "a/../../secret", "", "a\0b", "a/", "/")) {
            assertEquals(Errno.EINVAL, client.walk(0, 1, name).errno(), name);
            assertEquals(Errno.EINVAL, create(name), name);
        }
        for (String name : List.of(".", "..")) {
            assertEquals(Errno.EINVAL, create(name), name);
            assertEquals(
                    Errno.EINVAL,
                    client.errno(P9Message.TMKDIR, m -> m.u32(0).text(name).u32(0777).u32(0)));
            assertEquals(
                    Errno.EINVAL,
                    client.errno(P9Message.TUNLINKAT, m -> m.u32(0).text(name).u32(0x200)));
            assertEquals(
                    Errno.EINVAL,
                    client.errno(P9Message.TRENAMEAT, m -> m.u32(0).text(name).u32(0).text("x")));
            assertEquals(
                    Errno.EINVAL,
                    client.errno(P9Message.TRENAMEAT, m -> m.u32(0).text("x").u32(0).text(name)));
        }
        assertEquals(Errno.ENAMETOOLONG, client.walk(0, 1, "x".repeat(256)).errno());
    }

    private int create(String name) {
        assertEquals(0, client.walk(0, 99).errno());
        try {
            return client.create(99, name, 2, 0600);
        } finally {
            client.clunk(99);
        }
    }

    @Test
    void symbolicLinksAreNotFollowedWhoeverMadeThem() throws Exception {
        Files.createSymbolicLink(shared.resolve("byHost"), secret);
        client.ok(P9Message.TSYMLINK, m -> m.u32(0).text("byGuest").text("../secret").u32(0));
        client.ok(P9Message.TSYMLINK, m -> m.u32(0).text("up").text("../outside").u32(0));
        client.ok(P9Message.TSYMLINK, m -> m.u32(0).text("self").text("/etc").u32(0));
        int fid = 10;
        for (String link : List.of("byHost", "byGuest", "up", "self")) {
            fid++;
            client.to(fid, link); // the link itself can be held and read
            assertEquals(Errno.ELOOP, client.open(fid, 0), link);
            assertEquals(Errno.ELOOP, client.open(fid, 2 | 0x200), link);
            int link1 = fid;
            assertEquals(
                    Errno.ELOOP,
                    client.errno(P9Message.TSETATTR, m -> m.u32(link1).u32(8).raw(new byte[60])));
            assertEquals(
                    Errno.EOPNOTSUPP,
                    client.errno(P9Message.TSETATTR, m -> m.u32(link1).u32(1).raw(new byte[60])));
            assertNotEquals(0, create(link), link);
        }
        Reply through = client.walk(0, 1, "up", "file");
        assertEquals(1, through.body().getShort()); // it stops at the link
        client.to(2, "up");
        assertEquals(Errno.ELOOP, client.walk(2, 3, "file").errno());
        assertNotEquals(0, client.create(2, "new", 2, 0600));
        assertNotEquals(
                0, client.errno(P9Message.TMKDIR, m -> m.u32(2).text("new").u32(0777).u32(0)));
        assertNotEquals(0, client.errno(P9Message.TUNLINKAT, m -> m.u32(2).text("file").u32(0)));
        assertNotEquals(
                0,
                client.errno(P9Message.TRENAMEAT, m -> m.u32(2).text("file").u32(0).text("mine")));
        client.to(4);
        assertNotEquals(0, client.errno(P9Message.TLINK, m -> m.u32(2).u32(4).text("hard")));
    }

    @Test
    void aFolderReplacedByALinkBetweenWalkAndUseLeadsNowhere() throws Exception {
        Files.createDirectory(shared.resolve("d"));
        Files.writeString(shared.resolve("d/file"), "inside");
        client.to(1, "d").to(2, "d", "file").to(3, "d", "file");
        Files.move(shared.resolve("d"), shared.resolve("gone"));
        Files.createSymbolicLink(shared.resolve("d"), dir.resolve("outside"));
        assertEquals(Errno.ELOOP, client.open(2, 2));
        assertEquals(Errno.ELOOP, client.walk(1, 4, "file").errno());
        assertNotEquals(0, client.create(1, "new", 2, 0600));
        assertEquals(
                Errno.ELOOP,
                client.errno(P9Message.TSETATTR, m -> m.u32(3).u32(8).raw(new byte[60])));
        assertNotEquals(0, client.errno(P9Message.TUNLINKAT, m -> m.u32(1).text("file").u32(0)));
        assertNotEquals(0, client.errno(P9Message.TREMOVE, m -> m.u32(3)));
    }

    /// Two guests with one folder inside the other: the outer one takes a subtree away.
    @Test
    void aFolderMovedOutIsOutAlsoForHandlesOnIt() throws Exception {
        Files.createDirectories(shared.resolve("d/e"));
        client.to(1, "d", "e");
        Files.move(shared.resolve("d"), dir.resolve("taken"), StandardCopyOption.ATOMIC_MOVE);
        Files.writeString(dir.resolve("taken/e/later"), SECRET);
        assertEquals(Errno.ENOENT, client.walk(1, 2, "later").errno());
        assertEquals(Errno.ENOENT, client.walk(1, 2, "..").errno());
        assertEquals(Errno.ENOENT, client.open(1, 0));
        assertEquals(Errno.ENOENT, client.create(1, "x", 2, 0600));
        assertFalse(Files.exists(dir.resolve("taken/e/x")));
    }

    @Test
    void pipesAndDevicesAreNotOpened() throws Exception {
        Process made = new ProcessBuilder("mkfifo", shared.resolve("pipe").toString()).start();
        assertTrue(made.waitFor(10, TimeUnit.SECONDS));
        client.to(1, "pipe").to(2);
        assertEquals(Errno.EPERM, client.open(1, 0));
        assertEquals(Errno.EPERM, client.open(1, 1));
        assertEquals(Errno.EPERM, client.create(2, "pipe", 1, 0600));
    }

    /// One thread swaps a folder for a link and back as fast as it can, another walks, opens,
    /// reads, makes and removes through it: whatever is reached lies inside.
    @Test
    void swappingALinkInWhileRequestsRunReachesNothingOutside() throws Exception {
        Files.createDirectory(shared.resolve("d"));
        Files.writeString(shared.resolve("d/file"), "inside");
        Path link = Files.createSymbolicLink(shared.resolve("l"), dir.resolve("outside"));
        AtomicBoolean stop = new AtomicBoolean();
        Thread swapper = Thread.ofPlatform().start(() -> swap(shared, link, stop));
        int read = 0;
        int refused = 0;
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
        try {
            while (System.nanoTime() - end < 0) {
                Reply walked = client.walk(0, 1, "d", "file");
                if (walked.errno() != 0 || walked.body().getShort() != 2) {
                    refused++;
                    continue;
                }
                if (client.open(1, 0) == 0) {
                    assertEquals("inside", client.read(1, 0, 100));
                    read++;
                } else {
                    refused++;
                }
                client.clunk(1);
                if (client.walk(0, 2, "d").errno() == 0) {
                    client.create(2, "made", 2, 0600);
                    client.clunk(2);
                }
                client.walk(0, 3, "d");
                client.errno(P9Message.TUNLINKAT, m -> m.u32(3).text("made").u32(0));
                client.clunk(3);
            }
        } finally {
            stop.set(true);
            swapper.join();
        }
        assertTrue(read > 0 && refused > 0, read + " reads, " + refused + " refused");
    }

    private static void swap(Path shared, Path link, AtomicBoolean stop) {
        Path folder = shared.resolve("d");
        Path aside = shared.resolve("aside");
        try {
            while (!stop.get()) {
                Files.move(folder, aside, StandardCopyOption.ATOMIC_MOVE);
                Files.move(link, folder, StandardCopyOption.ATOMIC_MOVE);
                Files.move(folder, link, StandardCopyOption.ATOMIC_MOVE);
                Files.move(aside, folder, StandardCopyOption.ATOMIC_MOVE);
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
