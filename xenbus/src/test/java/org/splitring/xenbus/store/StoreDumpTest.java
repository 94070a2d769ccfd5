package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.Timers;

class StoreDumpTest {
    private static final DomId SEVEN = new DomId(7);

    private static final int[] FLIPS = {1, 0x80, 'x' ^ '\n'};

    @TempDir private Path folder;

    private final StoreTree tree = new StoreTree();
    private final TreeConnection control = tree.connect(DomId.ZERO, Runnable::run);

    private Path file() {
        return folder.resolve("store");
    }

    private void fill() throws StoreException {
        tree.introduce(SEVEN);
        control.write("/local/domain/7/zebra", "first made");
        control.write("/local/domain/7/ant", "made second");
        control.setPermissions(
                "/local/domain/7", List.of(Permission.none(SEVEN), Permission.read(new DomId(8))));
        tree.connect(SEVEN, Runnable::run).write("data/x", "of seven");
        control.watch("/", changed -> {});
        tree.introduce(new DomId(8));
        tree.domains().setLimit(Quota.NODES, 950);
        tree.domains().setLimit(SEVEN, Quota.WATCHES, 5);
        tree.domains().setTarget(SEVEN, new DomId(8));
        tree.domains().setFeatures(SEVEN, 4);
        tree.setSpecialPermissions(
                control,
                "@releaseDomain",
                List.of(Permission.none(DomId.ZERO), Permission.read(SEVEN)));
    }

    @Test
    void everythingButWatchesAndTransactionsSurvives() throws Exception {
        fill();
        byte[] bytes = new byte[256];
        for (int i = 0; i < 256; i++) {
            bytes[i] = (byte) i;
        }
        tree.write(control, null, "/every-byte", bytes);
        tree.start(control);
        StoreDump.write(tree, file());
        StoreTree loaded = StoreDump.load(file());
        loaded.checkBooks();
        TreeConnection again = loaded.connect(DomId.ZERO, Runnable::run);
        assertEquals(List.of("zebra", "ant", "data"), again.list("/local/domain/7"));
        assertEquals(Optional.of("of seven"), again.read("/local/domain/7/data/x"));
        assertEquals(
                List.of(Permission.none(SEVEN), Permission.read(new DomId(8))),
                again.permissions("/local/domain/7"));
        assertEquals(SEVEN, again.permissions("/local/domain/7/data/x").getFirst().domain());
        assertTrue(
                Arrays.equals(
                        bytes, Objects.requireNonNull(loaded.read(again, null, "/every-byte"))));
        assertTrue(loaded.domains().isIntroduced(SEVEN));
        assertTrue(loaded.domains().isIntroduced(new DomId(8)));
        assertFalse(loaded.domains().isIntroduced(new DomId(9)));
        assertEquals(950, loaded.domains().limits().get(Quota.NODES));
        assertEquals(5, loaded.domains().limits(SEVEN).get(Quota.WATCHES));
        assertEquals(4, loaded.domains().features(SEVEN));
        assertEquals(tree.domains().specials(), loaded.domains().specials());
        assertEquals(1, loaded.watchPlaces());
        Path second = folder.resolve("second");
        StoreDump.write(loaded, second);
        assertEquals(withoutHead(file()), withoutHead(second));
        Node before = Objects.requireNonNull(tree.nodeToRead(control, null, "/local/domain/7"));
        Node after = Objects.requireNonNull(loaded.nodeToRead(again, null, "/local/domain/7"));
        assertTrue(after.generation() > before.generation(), "lists of two servers can be mixed");
    }

    /// Without generation and checksum.
    private static List<String> withoutHead(Path file) throws IOException {
        List<String> lines = Files.readAllLines(file, StandardCharsets.US_ASCII);
        return lines.subList(1, lines.size() - 1);
    }

    @Test
    void quotasHoldAfterwards() throws Exception {
        fill();
        TreeConnection guest = tree.connect(SEVEN, Runnable::run);
        for (int i = 0; i < 900; i++) {
            guest.write("data/" + (i % 30) + "/" + i, "");
        }
        StoreDump.write(tree, file());
        StoreTree loaded = StoreDump.load(file());
        TreeConnection again = loaded.connect(SEVEN, Runnable::run);
        StoreTreeTest.refused(
                StoreError.ENOSPC,
                () -> {
                    for (int i = 0; i < 900; i++) {
                        again.write("data/more/" + (i % 30) + "/" + i, "");
                    }
                });
        loaded.checkBooks();
    }

    @Test
    void theDeepestPathSurvives() throws Exception {
        String deepest = "/d".repeat(1536);
        control.write(deepest, "1");
        StoreDump.write(tree, file());
        assertEquals(
                Optional.of("1"),
                StoreDump.load(file()).connect(DomId.ZERO, Runnable::run).read(deepest));
    }

    @Test
    void aFileCutOffAnywhereIsRefused() throws Exception {
        fill();
        StoreDump.write(tree, file());
        byte[] whole = Files.readAllBytes(file());
        for (int length = 0; length < whole.length; length++) {
            Files.write(file(), Arrays.copyOf(whole, length));
            assertRefused("a file of " + length + " of " + whole.length + " bytes");
        }
    }

    @Test
    void aFileWithOneWrongByteIsRefused() throws Exception {
        fill();
        StoreDump.write(tree, file());
        byte[] whole = Files.readAllBytes(file());
        for (int i = 0; i < whole.length; i++) {
            byte[] damaged = whole.clone();
            damaged[i] ^= (byte) FLIPS[i % FLIPS.length];
            Files.write(file(), damaged);
            assertRefused("byte " + i + " is " + damaged[i]);
        }
    }

    private void assertRefused(String what) {
        IOException e = assertThrows(IOException.class, () -> StoreDump.load(file()), what);
        assertTrue(e.toString().contains(file().toString()), e.toString());
        assertTrue(e.toString().contains(": line "), e.toString());
    }

    @Test
    void aRefusalSaysWhereAndWhat() throws Exception {
        String head = "splitring-store 1 5\nnode / n0 \n";
        for (String[] one :
                new String[][] {
                    {"splitring-store 2 5\n", "line 1 is of version 2"},
                    {"hello\n", "line 1 does not begin with splitring-store"},
                    {head + "node /a/b n0 x\n", "line 3 comes before the node above /a/b"},
                    {head + "node /a. n0 x\n", "line 3 has a path that is none"},
                    {head + "node /a n0,r1x x\n", "line 3 has strange rights: r1x"},
                    {head + "node /a n0 %4\n", "line 3 has a value with a strange %"},
                    {head + "node /a n0 x\nnode /a n0 x\n", "line 4 is the second of /a"},
                    {head + "domain 0 features=7\n", "line 3 names domain 0"},
                    {head + "domain 7\n", "line 3 is a domain without number and features"},
                    {head + "limits much=1\n", "line 3 has a strange quota: much=1"},
                    {head + "domain 32752 features=7\n", "line 3 names domain 32752"},
                    {head + "what 7\n", "line 3 is none of limits, domain, special"},
                    {head + "node /a n0", "line 3 is cut off"},
                    {head + "end 3 00000000\n", "line 3 says 3 lines"},
                    {head + "end 2 00000000\n", "line 3 has checksum 00000000"},
                }) {
            Files.writeString(file(), one[0]);
            IOException e = assertThrows(IOException.class, () -> StoreDump.load(file()));
            assertTrue(e.toString().contains("store: " + one[1]), e.toString());
        }
    }

    /// Whatever a guest writes, it reads back as one value of one node.
    @Test
    void h130_noValueBecomesALineOfItsOwn() throws Exception {
        String evil = "x\nnode /libxl n7 owned\nend 1 00000000\n% %41\r\0";
        control.write("/evil", evil);
        StoreDump.write(tree, file());
        TreeConnection again = StoreDump.load(file()).connect(DomId.ZERO, Runnable::run);
        assertEquals(Optional.of(evil), again.read("/evil"));
        assertEquals(List.of("evil"), again.list("/"));
    }

    @Test
    void aDumpThatCannotBeWrittenLeavesTheOldOne() throws Exception {
        fill();
        StoreDump.write(tree, file());
        byte[] whole = Files.readAllBytes(file());
        Files.createDirectories(folder.resolve("store.new/in-the-way"));
        control.write("/more", "1");
        IOException e = assertThrows(IOException.class, () -> StoreDump.write(tree, file()));
        assertTrue(e.toString().contains(file().toString()), e.toString());
        assertTrue(Arrays.equals(whole, Files.readAllBytes(file())));
    }

    @Test
    void checkpointsAreWrittenWhenSomethingHasChangedAndAtTheEnd() throws Exception {
        Deque<Runnable> due = new ArrayDeque<>();
        Timers timers =
                new Timers() {
                    @Override
                    public long nanoTime() {
                        return 0;
                    }

                    @Override
                    public Runnable schedule(Runnable task, long delayNanos) {
                        assertEquals(1_000_000_000L, delayNanos);
                        due.add(task);
                        return () -> due.remove(task);
                    }
                };
        StoreCheckpoints checkpoints = StoreCheckpoints.start(tree, file(), timers, Runnable::run);
        Object first = Files.readAttributes(file(), "unix:ino").get("ino");
        due.remove().run();
        assertEquals(first, Files.readAttributes(file(), "unix:ino").get("ino"));
        control.write("/a", "1");
        due.remove().run();
        assertEquals(Optional.of("1"), reread("/a"));
        control.write("/a", "2");
        assertEquals(Optional.of("1"), reread("/a"));
        tree.introduce(SEVEN);
        checkpoints.close();
        assertEquals(Optional.of("2"), reread("/a"));
        assertTrue(StoreDump.load(file()).domains().isIntroduced(SEVEN));
        assertEquals(0, due.size());
    }

    private Optional<String> reread(String path) throws Exception {
        return StoreDump.load(file()).connect(DomId.ZERO, Runnable::run).read(path);
    }
}
