package org.splitring.p9.back;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.p9.back.P9Client.Reply;
import org.splitring.wire.P9Message;

/// What an honest client does.
class P9SessionTest {
    private static final int READ_WRITE = 2;

    @TempDir private Path dir;
    private P9Client client;

    @BeforeEach
    void attach() throws Exception {
        client = P9Client.attached(dir);
    }

    @AfterEach
    void close() {
        client.close();
        assertEquals(0, client.session.fidCount());
        assertEquals(0, client.session.openFiles());
    }

    @Test
    void aFileIsMadeWrittenReadAndMeasured() throws Exception {
        client.to(1);
        assertEquals(0, client.create(1, "naïve.txt", READ_WRITE, 0640));
        assertEquals(0, client.write(1, 0, "hello"));
        assertEquals(0, client.write(1, 10, "world"));
        assertEquals("hello\0\0\0\0\0world", client.read(1, 0, 100));
        assertEquals("world", client.read(1, 10, 100));
        assertEquals("", client.read(1, 15, 100));
        assertEquals(0, client.errno(P9Message.TFSYNC, m -> m.u32(1).u32(0)));
        assertEquals(0, client.errno(P9Message.TFSYNC, m -> m.u32(1).u32(1)));
        Path file = dir.resolve("naïve.txt");
        assertEquals("hello\0\0\0\0\0world", Files.readString(file));
        assertEquals(
                "rw-r-----", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
        client.to(2, "naïve.txt");
        Reply attributes = client.ok(P9Message.TGETATTR, m -> m.u32(2).u64(0x7FF));
        assertEquals(0x7FF, attributes.body().getLong(0));
        assertEquals((long) Files.getAttribute(file, "unix:ino"), attributes.body().getLong(13));
        assertEquals(0x81A0, attributes.body().getInt(21));
        assertEquals(15, attributes.body().getLong(49));
    }

    @Test
    void anExistingFileIsOpenedByCreateUnlessItMustBeNew() throws Exception {
        Files.writeString(dir.resolve("there"), "old");
        client.to(1);
        assertEquals(Errno.EEXIST, client.create(1, "there", READ_WRITE | 0x80, 0600));
        assertEquals(0, client.create(1, "there", READ_WRITE, 0600));
        assertEquals("old", client.read(1, 0, 10));
        client.to(2);
        assertEquals(0, client.create(2, "there", READ_WRITE | 0x200, 0600));
        assertEquals("", client.read(1, 0, 10));
    }

    @Test
    void appendedDataGoesToTheEnd() throws Exception {
        Files.writeString(dir.resolve("log"), "one ");
        client.to(1, "log");
        assertEquals(0, client.open(1, 1 | 0x400));
        assertEquals(0, client.write(1, 0, "two"));
        assertEquals("one two", Files.readString(dir.resolve("log")));
    }

    @Test
    void aFolderIsListedInPiecesOfAnySize() throws Exception {
        Set<String> expected = new TreeSet<>(List.of(".", ".."));
        for (int i = 0; i < 300; i++) {
            Files.createFile(dir.resolve("file-with-a-long-name-" + i));
            expected.add("file-with-a-long-name-" + i);
        }
        client.to(1);
        assertEquals(0, client.open(1, 0));
        for (int piece : new int[] {64, 200, 4096, 1 << 30}) {
            List<String> names = client.list(1, piece);
            assertEquals(expected.size(), names.size());
            assertEquals(expected, new TreeSet<>(names));
        }
        assertEquals(Errno.EINVAL, client.errno(P9Message.TREADDIR, m -> m.u32(1).u64(0).u32(20)));
        assertEquals(Errno.EISDIR, client.errno(P9Message.TREAD, m -> m.u32(1).u64(0).u32(20)));
    }

    @Test
    void foldersLinksAndNamesAreMadeMovedAndRemoved() throws Exception {
        client.ok(P9Message.TMKDIR, m -> m.u32(0).text("sub").u32(0777).u32(0));
        assertEquals(
                "rwxrwxrwx",
                PosixFilePermissions.toString(Files.getPosixFilePermissions(dir.resolve("sub"))));
        client.to(1, "sub");
        client.ok(P9Message.TSYMLINK, m -> m.u32(1).text("link").text("../secret").u32(0));
        client.to(2, "sub", "link");
        assertEquals("../secret", client.ok(P9Message.TREADLINK, m -> m.u32(2)).text());
        assertEquals("../secret", Files.readSymbolicLink(dir.resolve("sub/link")).toString());
        Files.writeString(dir.resolve("file"), "x");
        client.to(3, "file");
        client.ok(P9Message.TLINK, m -> m.u32(1).u32(3).text("same"));
        assertEquals(
                Files.getAttribute(dir.resolve("file"), "unix:ino"),
                Files.getAttribute(dir.resolve("sub/same"), "unix:ino"));
        client.ok(P9Message.TRENAME, m -> m.u32(3).u32(1).text("moved"));
        assertFalse(Files.exists(dir.resolve("file")));
        assertEquals(0, client.open(3, 0)); // the handle went with the file
        client.ok(P9Message.TRENAMEAT, m -> m.u32(0).text("sub").u32(0).text("other"));
        assertEquals(0, client.errno(P9Message.TGETATTR, m -> m.u32(2).u64(0)));
        assertEquals(
                Errno.ENOTEMPTY,
                client.errno(P9Message.TUNLINKAT, m -> m.u32(0).text("other").u32(0x200)));
        assertEquals(
                Errno.EISDIR,
                client.errno(P9Message.TUNLINKAT, m -> m.u32(0).text("other").u32(0)));
        for (String name : List.of("same", "moved")) {
            client.ok(P9Message.TUNLINKAT, m -> m.u32(1).text(name).u32(0));
        }
        client.ok(P9Message.TREMOVE, m -> m.u32(2));
        assertEquals(Errno.EBADF, client.clunk(2)); // remove took the handle too
        client.ok(P9Message.TREMOVE, m -> m.u32(1));
        assertFalse(Files.exists(dir.resolve("other")));
    }

    @Test
    void attributesAreSetAndOwnersAreNot() throws Exception {
        Path file = Files.writeString(dir.resolve("f"), "0123456789");
        Object owner = Files.getAttribute(file, "unix:uid");
        client.to(1, "f");
        setAttributes(1, 0x1 | 0x2 | 0x4 | 0x8, 06755, 12345, 4, 0);
        assertEquals(
                0755, (int) Files.getAttribute(file, "unix:mode") & 07777, "no setuid, no setgid");
        assertEquals(owner, Files.getAttribute(file, "unix:uid"));
        assertEquals("0123", Files.readString(file));
        setAttributes(1, 0x20 | 0x100, 0, 0, 0, 1_000_000);
        assertEquals(1_000_000, Files.getLastModifiedTime(file).toMillis() / 1000);
        setAttributes(1, 0x20, 0, 0, 0, 0);
        assertTrue(Files.getLastModifiedTime(file).toMillis() > 1_000_000_000_000L);
    }

    private void setAttributes(int fid, int valid, int mode, int uid, long size, long modified) {
        client.ok(
                P9Message.TSETATTR,
                m ->
                        m.u32(fid)
                                .u32(valid)
                                .u32(mode)
                                .u32(uid)
                                .u32(uid)
                                .u64(size)
                                .u64(0)
                                .u64(0)
                                .u64(modified)
                                .u64(0));
    }

    @Test
    void anOpenFileLivesOnWithoutItsName() throws Exception {
        Path file = Files.writeString(dir.resolve("f"), "data");
        client.to(1, "f");
        assertEquals(0, client.open(1, READ_WRITE));
        Files.delete(file);
        assertEquals("data", client.read(1, 0, 10));
        assertEquals(4, client.ok(P9Message.TGETATTR, m -> m.u32(1).u64(0)).body().getLong(49));
        setAttributes(1, 0x8, 0, 0, 2, 0);
        assertEquals("da", client.read(1, 0, 10));
    }

    @Test
    void versionStartsAnewAndAgreesOnALength() {
        client.to(1).to(2);
        assertEquals(3, client.session.fidCount());
        Reply reply = client.ok(P9Message.TVERSION, m -> m.u32(8192).text("9P2000.L"));
        assertEquals(8192, reply.body().getInt());
        assertEquals("9P2000.L", reply.text());
        assertEquals(0, client.session.fidCount());
        assertEquals(8192, client.session.messageBytes());
        reply = client.ok(P9Message.TVERSION, m -> m.u32(-1).text("9P2000.L"));
        assertEquals(P9Limits.DEFAULT.messageBytes(), reply.body().getInt());
        reply = client.ok(P9Message.TVERSION, m -> m.u32(8192).text("9P2000.u"));
        reply.body().getInt();
        assertEquals("unknown", reply.text());
        assertEquals(
                Errno.EPROTO,
                client.errno(
                        P9Message.TATTACH,
                        m -> m.u32(0).u32(P9Client.NO_FID).text("").text("").u32(0)));
        assertEquals(
                Errno.EMSGSIZE, client.errno(P9Message.TVERSION, m -> m.u32(100).text("9P2000.L")));
    }

    @Test
    void aReadIsAsLongAsTheMessageAllows() throws Exception {
        Files.write(dir.resolve("big"), new byte[100_000]);
        client.ok(P9Message.TVERSION, m -> m.u32(4096).text("9P2000.L"));
        client.ok(P9Message.TATTACH, m -> m.u32(0).u32(P9Client.NO_FID).text("").text("").u32(0));
        client.to(1, "big");
        assertEquals(0, client.open(1, 0));
        assertEquals(4096 - 11, client.read(1, 0, -1).length());
    }

    @Test
    void walkGoesAsFarAsItCan() throws Exception {
        Files.createDirectories(dir.resolve("a/b"));
        Reply reply = client.walk(0, 1, "a", "b", "missing", "x");
        assertEquals(2, reply.body().getShort());
        assertEquals(Errno.EBADF, client.clunk(1)); // so there is no such handle
        assertEquals(Errno.ENOENT, client.walk(0, 1, "missing").errno());
        assertEquals(0, client.walk(0, 1, "a", "b", "..", "b", ".").errno());
        assertEquals(0, client.walk(1, 1, "..").errno()); // onto itself
        assertEquals(0, client.walk(1, 2, "b").errno());
    }

    @Test
    void locksAreTheHosts() throws Exception {
        Path file = Files.writeString(dir.resolve("f"), "data");
        client.to(1, "f");
        assertEquals(0, client.open(1, READ_WRITE));
        assertEquals(0, lock(client, 1, 1, 0, 100));
        try (P9Client other = P9Client.attached(dir)) {
            other.to(1, "f");
            assertEquals(0, other.open(1, READ_WRITE));
            assertEquals(1, lock(other, 1, 0, 50, 10));
            assertEquals(0, lock(other, 1, 1, 100, 10));
            Reply held =
                    other.ok(
                            P9Message.TGETLOCK,
                            m -> m.u32(1).u8(0).u64(0).u64(0).u32(7).text("me"));
            assertEquals(1, held.body().get(0));
            assertEquals(100, held.body().getLong(9));
            assertEquals(0, lock(client, 1, 2, 0, 0));
            assertEquals(0, lock(other, 1, 0, 50, 10));
        }
        assertTrue(Files.exists(file));
    }

    private static int lock(P9Client client, int fid, int kind, long start, long length) {
        return client.ok(
                        P9Message.TLOCK,
                        m -> m.u32(fid).u8(kind).u32(0).u64(start).u64(length).u32(7).text("me"))
                .body()
                .get();
    }

    @Test
    void whatIsNotOfferedIsRefused() {
        assertEquals(
                Errno.EPERM,
                client.errno(
                        P9Message.TMKNOD,
                        m -> m.u32(0).text("null").u32(020666).u32(1).u32(3).u32(0)));
        assertEquals(
                Errno.EOPNOTSUPP,
                client.errno(P9Message.TXATTRWALK, m -> m.u32(0).u32(1).text("user.x")));
        assertEquals(
                Errno.EOPNOTSUPP,
                client.errno(P9Message.TXATTRCREATE, m -> m.u32(0).text("user.x").u64(1).u32(0)));
        assertEquals(0, client.errno(P9Message.TFLUSH, m -> m.u16(5)));
        assertTrue(client.ok(P9Message.TSTATFS, m -> m.u32(0)).body().getInt(4) > 0);
    }

    @Test
    void aReadOnlyFolderIsNotChanged() throws Exception {
        Path file = Files.writeString(dir.resolve("f"), "data");
        try (P9Client reader = new P9Client(dir, true, P9Limits.DEFAULT)) {
            reader.ok(P9Message.TVERSION, m -> m.u32(8192).text("9P2000.L"));
            reader.ok(
                    P9Message.TATTACH, m -> m.u32(0).u32(P9Client.NO_FID).text("").text("").u32(0));
            reader.to(1, "f").to(2);
            for (int flags : new int[] {1, 2, 0x200}) {
                assertEquals(Errno.EROFS, reader.open(1, flags));
            }
            assertEquals(Errno.EROFS, reader.create(2, "new", 0, 0600));
            assertEquals(
                    Errno.EROFS,
                    reader.errno(P9Message.TMKDIR, m -> m.u32(0).text("d").u32(0777).u32(0)));
            assertEquals(
                    Errno.EROFS,
                    reader.errno(P9Message.TSYMLINK, m -> m.u32(0).text("l").text("x").u32(0)));
            assertEquals(
                    Errno.EROFS, reader.errno(P9Message.TLINK, m -> m.u32(0).u32(1).text("l")));
            assertEquals(
                    Errno.EROFS, reader.errno(P9Message.TRENAME, m -> m.u32(1).u32(0).text("l")));
            assertEquals(
                    Errno.EROFS, reader.errno(P9Message.TUNLINKAT, m -> m.u32(0).text("f").u32(0)));
            assertEquals(
                    Errno.EROFS,
                    reader.errno(P9Message.TSETATTR, m -> m.u32(1).u32(1).raw(new byte[60])));
            assertEquals(0, reader.open(1, 0));
            assertEquals("data", reader.read(1, 0, 10));
            assertEquals(Errno.EROFS, reader.write(1, 0, "x"));
            assertEquals(Errno.EROFS, reader.errno(P9Message.TREMOVE, m -> m.u32(1)));
        }
        assertTrue(Files.exists(file, LinkOption.NOFOLLOW_LINKS));
    }
}
