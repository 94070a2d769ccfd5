package org.splitring.xenbus.device;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

class NoteFolderTest {
    private static final DevicePaths XVDA = DevicePaths.vbd(new DomId(5), DomId.ZERO, 51712);
    private static final long SIZE = 5000;

    @TempDir Path dir;
    private Path folder;
    private Path file;
    private NoteFolder notes;
    private Store store;

    @BeforeEach
    void open() throws Exception {
        folder = dir.resolve("splitring");
        file = folder.resolve("vbd-5-51712");
        notes = NoteFolder.open(folder);
        store = new StoreTree().connection(DomId.ZERO, Runnable::run);
    }

    @AfterEach
    void close() {
        notes.close();
    }

    /// The next process.
    private void reopen() throws IOException {
        notes.close();
        notes = NoteFolder.open(folder);
    }

    private String made() throws Exception {
        DeviceNote note = notes.make(XVDA, SIZE);
        store.transaction(keys -> note.publish(keys, XVDA.backend()));
        note.memory().set(ValueLayout.JAVA_LONG, 4992, 77);
        return DeviceNote.published(new Keys(store, XVDA.backend()));
    }

    private void isRefused(String id, long sizeBytes, String why) {
        DeviceException refused =
                assertThrows(DeviceException.class, () -> notes.find(XVDA, id, sizeBytes));
        String message = String.valueOf(refused.getMessage());
        assertTrue(message.contains(why), message);
        assertFalse(message.contains("\n"), message);
    }

    @Test
    void whatOneProcessNotesTheNextOneFinds() throws Exception {
        String id = made();
        reopen();
        MemorySegment found = notes.find(XVDA, id, SIZE).memory();
        assertEquals(SIZE, found.byteSize());
        assertEquals(0, found.address() % 64);
        assertEquals(0, found.get(ValueLayout.JAVA_LONG, 0));
        assertEquals(77, found.get(ValueLayout.JAVA_LONG, 4992));
    }

    @Test
    void aConnectionThatEndedLeavesNothing() throws Exception {
        String id = made();
        DeviceNote found = notes.find(XVDA, id, SIZE);
        found.forget();
        assertFalse(Files.exists(file));
        assertThrows(
                IllegalStateException.class, () -> found.memory().get(ValueLayout.JAVA_INT, 0));
        isRefused(id, SIZE, "is not there");
        store.transaction(keys -> DeviceNote.unpublish(keys, XVDA.backend()));
        assertThrows(
                DeviceException.class, () -> DeviceNote.published(new Keys(store, XVDA.backend())));
    }

    @Test
    void theNoteOfAnotherConnectionIsRefused() throws Exception {
        String first = made();
        String second = made();
        isRefused(first, SIZE, "another connection");
        notes.find(XVDA, second, SIZE);
        isRefused("", SIZE, "another connection");
        isRefused("../../../etc/passwd", SIZE, "another connection");
    }

    @Test
    void aNoteOfAnotherSizeVersionOrProgramIsRefused() throws Exception {
        String id = made();
        isRefused(id, SIZE + 1, "bytes");
        isRefused(id, SIZE - 64, "bytes");
        try (RandomAccessFile changed = new RandomAccessFile(file.toFile(), "rw")) {
            changed.seek(32);
            changed.write(1);
            isRefused(id, SIZE, "another size");
            changed.seek(8);
            changed.write(2);
            isRefused(id, SIZE, "version 2, not 1");
            changed.seek(0);
            changed.write('x');
            isRefused(id, SIZE, "another program");
            changed.setLength(100);
            isRefused(id, SIZE, "100 bytes");
            changed.setLength(0);
            isRefused(id, SIZE, "0 bytes");
        }
    }

    @Test
    void aLinkAFolderOrAFileOfOthersIsRefused() throws Exception {
        String id = made();
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-rw----"));
        isRefused(id, SIZE, "open to others");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        notes.find(XVDA, id, SIZE);
        Path aside = dir.resolve("aside");
        Files.move(file, aside);
        Files.createSymbolicLink(file, aside);
        isRefused(id, SIZE, "not a file");
        notes.make(XVDA, SIZE); // not through the link
        assertFalse(Files.isSymbolicLink(file));
        assertTrue(Files.exists(aside));
        Files.delete(file);
        Files.createDirectory(file);
        isRefused(id, SIZE, "not a file");
    }

    @Test
    void aFileOfAnotherUserIsRefused() throws Exception {
        Assumptions.assumeTrue(
                Integer.valueOf(0).equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid")),
                "only root can give a file away");
        String id = made();
        Files.setAttribute(file, "unix:uid", 65534, LinkOption.NOFOLLOW_LINKS);
        isRefused(id, SIZE, "another user");
        notes.close();
        Files.setAttribute(folder, "unix:uid", 65534, LinkOption.NOFOLLOW_LINKS);
        IOException refused = assertThrows(IOException.class, () -> NoteFolder.open(folder));
        assertTrue(String.valueOf(refused.getMessage()).contains("another user"));
    }

    @Test
    void aFolderThatIsOpenToOthersOrALinkIsRefused() throws Exception {
        notes.close();
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-x---"));
        IOException refused = assertThrows(IOException.class, () -> NoteFolder.open(folder));
        assertTrue(String.valueOf(refused.getMessage()).contains("chmod 700"));
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
        Path link = Files.createSymbolicLink(dir.resolve("link"), folder);
        refused = assertThrows(IOException.class, () -> NoteFolder.open(link));
        assertTrue(String.valueOf(refused.getMessage()).contains("not a folder"));
        refused = assertThrows(IOException.class, () -> NoteFolder.open(dir.resolve("no/where")));
        assertTrue(String.valueOf(refused.getMessage()).contains("there is no"));
    }

    @Test
    void aFolderIsOneProcesss() throws Exception {
        IOException refused = assertThrows(IOException.class, () -> NoteFolder.open(folder, 2));
        assertTrue(String.valueOf(refused.getMessage()).contains("in use"));
        reopen();
    }

    @Test
    void whatASuccessorNotesItsSuccessorFinds() throws Exception {
        String id = made();
        reopen();
        notes.find(XVDA, id, SIZE).memory().set(ValueLayout.JAVA_LONG, 0, 78);
        reopen();
        assertEquals(78, notes.find(XVDA, id, SIZE).memory().get(ValueLayout.JAVA_LONG, 0));
    }

    /// The kernel's lock, which ends with its process, and not only what this one remembers.
    @Test
    void aFolderIsAnotherProcesssAsLongAsThatLives() throws Exception {
        notes.close();
        Path program =
                Files.writeString(
                        dir.resolve("Holder.java"),
                        """
                        import java.nio.channels.FileChannel;
                        import java.nio.file.Path;
                        import java.nio.file.StandardOpenOption;

                        class Holder {
                            public static void main(String[] args) throws Exception {
                                FileChannel.open(Path.of(args[0]), StandardOpenOption.WRITE).lock();
                                System.out.println("locked");
                                System.in.read();
                            }
                        }
                        """);
        Process other =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                program.toString(),
                                folder.resolve("lock").toString())
                        .redirectErrorStream(true)
                        .start();
        try (BufferedReader said = other.inputReader()) {
            assertEquals("locked", said.readLine());
            IOException refused = assertThrows(IOException.class, () -> NoteFolder.open(folder, 2));
            assertTrue(String.valueOf(refused.getMessage()).contains("in use"));
        } finally {
            other.destroyForcibly();
        }
        notes = NoteFolder.open(folder); // waits for its end
    }

    @Test
    void whoWaitsForAFolderCanBeInterrupted() throws Exception {
        Thread.currentThread().interrupt();
        IOException refused = assertThrows(IOException.class, () -> NoteFolder.open(folder));
        assertTrue(Thread.interrupted());
        assertTrue(String.valueOf(refused.getMessage()).contains("interrupted"));
        reopen();
    }

    @Test
    void aLinkIsNoLock() throws Exception {
        notes.close();
        Files.delete(folder.resolve("lock"));
        Path elsewhere = dir.resolve("elsewhere");
        Files.createSymbolicLink(folder.resolve("lock"), elsewhere);
        assertThrows(IOException.class, () -> NoteFolder.open(folder));
        assertFalse(Files.exists(elsewhere));
        Files.delete(folder.resolve("lock"));
        notes = NoteFolder.open(folder);
    }

    /// A store to a page for which there is no room would end the process.
    @Test
    void thereIsRoomForAllOfANote() throws Exception {
        long sizeBytes = 1 << 20;
        notes.make(XVDA, sizeBytes);
        Process stat = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
        String blocks = new String(stat.getInputStream().readAllBytes(), US_ASCII).strip();
        assertTrue(512 * Long.parseLong(blocks) >= sizeBytes + 64, blocks + " blocks of 512");
    }

    @Test
    void aNoteThatNobodyCanFindTakesAnEarlierNumberAway() throws Exception {
        made();
        store.transaction(keys -> DeviceNote.unkept(64).publish(keys, XVDA.backend()));
        assertThrows(
                DeviceException.class, () -> DeviceNote.published(new Keys(store, XVDA.backend())));
    }

    @Test
    void whatIsSweptIsThisDomains() throws Exception {
        DomId self = new DomId(3);
        DevicePaths ours = new DevicePaths("vbd", "disk-9_q", new DomId(5), self, 51712);
        notes.make(ours, 64);
        store.write(ours.backend() + "/state", "4");
        notes.sweep(store, self);
        assertTrue(Files.exists(folder.resolve("disk-9_q-5-51712")));
        notes.sweep(store, DomId.ZERO);
        assertFalse(Files.exists(folder.resolve("disk-9_q-5-51712")));
    }

    @Test
    void notesOfDevicesThatAreGoneAreSwept() throws Exception {
        made();
        DevicePaths other = DevicePaths.vbd(new DomId(6), DomId.ZERO, 51712);
        DevicePaths named = new DevicePaths("vbd", "qdisk", new DomId(6), DomId.ZERO, 51713);
        for (DevicePaths paths : List.of(other, named)) {
            notes.make(paths, 64);
        }
        store.write(named.backend() + "/state", "4");
        notes.sweep(store, DomId.ZERO);
        assertFalse(Files.exists(file));
        assertFalse(Files.exists(folder.resolve("vbd-6-51712")));
        assertTrue(Files.exists(folder.resolve("qdisk-6-51713")));
        assertTrue(Files.exists(folder.resolve("lock")));
    }
}
