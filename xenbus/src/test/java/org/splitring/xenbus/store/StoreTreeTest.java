package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.splitring.hypervisor.DomId;

class StoreTreeTest {
    private static final DomId SEVEN = new DomId(7);
    private static final DomId EIGHT = new DomId(8);

    private final StoreTree tree = new StoreTree();
    private final Deque<Runnable> tasks = new ArrayDeque<>();
    private final Store control = tree.connection(DomId.ZERO, tasks::add);
    private final Store guest = tree.connection(SEVEN, tasks::add);

    @AfterEach
    void booksBalance() {
        tree.checkBooks();
    }

    @Test
    void whatWasWrittenIsRead() throws StoreException {
        control.write("/a/b", "hällo");
        assertEquals(Optional.of("hällo"), control.read("/a/b"));
        assertEquals(Optional.of(""), control.read("/a"));
        assertEquals(Optional.empty(), control.read("/a/c"));
    }

    @Test
    void relativePathsBeginInTheFolderOfTheDomain() throws StoreException {
        home(SEVEN);
        guest.write("x", "1");
        assertEquals(Optional.of("1"), control.read("/local/domain/7/x"));
    }

    @Test
    void childrenAreListedInTheOrderOfTheirMaking() throws StoreException {
        for (String name : List.of("z", "b", "a", "y")) {
            control.write("/dir/" + name, "");
        }
        control.remove("/dir/b");
        control.write("/dir/b", "");
        assertEquals(List.of("z", "a", "y", "b"), control.list("/dir"));
        assertEquals(List.of(), control.list("/nothing"));
    }

    @Test
    void removeTakesEverythingBelow() throws StoreException {
        control.write("/a/b/c/d", "1");
        control.remove("/a/b");
        assertEquals(Optional.empty(), control.read("/a/b/c/d"));
        assertEquals(List.of(), control.list("/a"));
        control.remove("/a/b");
        control.remove("/not/there/at/all");
    }

    @Test
    void aGuestIsKeptToWhatItsRightsAllow() throws StoreException {
        home(SEVEN);
        control.write("/local/domain/8/secret", "s");
        refused(StoreError.EACCES, () -> guest.read("/local/domain/8/secret"));
        refused(StoreError.EACCES, () -> guest.read("/local/domain/8/nothing"));
        refused(StoreError.EACCES, () -> guest.write("/local/domain/8/x", ""));
        refused(StoreError.EACCES, () -> guest.remove("/local/domain/8/secret"));
        refused(StoreError.EACCES, () -> guest.list("/local/domain"));
        control.setPermissions(
                "/local/domain/8/secret", List.of(Permission.none(EIGHT), Permission.read(SEVEN)));
        assertEquals(Optional.of("s"), guest.read("/local/domain/8/secret"));
        refused(StoreError.EACCES, () -> guest.write("/local/domain/8/secret", ""));
        refused(
                StoreError.EACCES,
                () ->
                        guest.setPermissions(
                                "/local/domain/8/secret", List.of(Permission.none(SEVEN))));
    }

    @Test
    void newNodesInheritRightsAndBelongToTheirMaker() throws StoreException {
        control.makeNode("/shared");
        control.setPermissions(
                "/shared",
                List.of(
                        Permission.none(DomId.ZERO),
                        new Permission(Permission.Access.BOTH, SEVEN),
                        Permission.read(EIGHT)));
        guest.write("/shared/a/b", "1");
        List<Permission> expected =
                List.of(
                        Permission.none(SEVEN),
                        new Permission(Permission.Access.BOTH, SEVEN),
                        Permission.read(EIGHT));
        assertEquals(expected, control.permissions("/shared/a"));
        assertEquals(expected, control.permissions("/shared/a/b"));
    }

    @Test
    void whatOutlivesItsOwnerBelongsToDomain0() throws StoreException {
        TreeConnection toolstack = tree.connect(DomId.ZERO, tasks::add);
        List<Permission> ofSeven = List.of(Permission.none(SEVEN), Permission.read(EIGHT));
        List<Permission> left = List.of(Permission.none(DomId.ZERO), Permission.read(EIGHT));
        control.write("/a", "1");
        control.setPermissions("/a", List.of(Permission.none(DomId.ZERO)));
        control.setPermissions("/", ofSeven);
        tree.setSpecialPermissions(toolstack, StoreDomains.RELEASED, ofSeven);
        tree.release(SEVEN);
        assertEquals(left, control.permissions("/"));
        assertEquals(left, tree.snapshot().specials().get(StoreDomains.RELEASED));
        assertEquals(Optional.of("1"), control.read("/a"));
    }

    @Test
    void aWatchFiresAtOnceAndForEverythingBelow() throws StoreException {
        control.write("/a/b", "1");
        List<String> events = new ArrayList<>();
        Watch watch = control.watch("/a", events::add);
        assertEquals(List.of("/a"), drain(events));
        control.write("/a/b/c", "1");
        control.write("/ab", "1");
        control.write("/a", "1");
        assertEquals(List.of("/a/b/c", "/a"), drain(events));
        control.remove("/a/b");
        assertEquals(List.of("/a/b"), drain(events));
        watch.close();
        control.write("/a", "2");
        assertEquals(List.of(), drain(events));
        assertEquals(1, tree.watchPlaces());
    }

    @Test
    void aRelativeWatchHasRelativeEvents() throws StoreException {
        home(SEVEN);
        List<String> events = new ArrayList<>();
        Watch watch = guest.watch("device", events::add);
        guest.write("device/vbd/1", "1");
        assertEquals(List.of("device", "device/vbd/1"), drain(events));
        watch.close();
    }

    @Test
    void aWatchBelowARemovedNodeHearsItsOwnPath() throws StoreException {
        control.write("/a/b/c", "1");
        List<String> events = new ArrayList<>();
        Watch there = control.watch("/a/b/c", events::add);
        Watch missing = control.watch("/a/b/x", events::add);
        drain(events);
        control.remove("/a");
        assertEquals(List.of("/a/b/c"), drain(events));
        there.close();
        missing.close();
    }

    @Test
    void aTransactionShowsItsOwnChangesAndHidesThemFromOthers() throws StoreException {
        control.write("/a", "1");
        List<String> events = new ArrayList<>();
        Watch watch = control.watch("/a", events::add);
        drain(events);
        control.transaction(
                t -> {
                    t.write("/a", "2");
                    t.write("/a/b", "3");
                    assertEquals(Optional.of("2"), t.read("/a"));
                    assertEquals(Optional.of("1"), control.read("/a"));
                    assertEquals(List.of(), drain(events));
                });
        assertEquals(List.of("/a", "/a/b"), drain(events));
        assertEquals(Optional.of("3"), control.read("/a/b"));
        watch.close();
    }

    @Test
    void aConflictRunsTheBodyAgain() throws StoreException {
        control.write("/counter", "1");
        int[] runs = {0};
        control.transaction(
                t -> {
                    int value = Integer.parseInt(t.read("/counter").orElseThrow());
                    if (runs[0]++ == 0) {
                        control.write("/counter", "10");
                    }
                    t.write("/counter", Integer.toString(value + 1));
                });
        assertEquals(2, runs[0]);
        assertEquals(Optional.of("11"), control.read("/counter"));
    }

    @Test
    void transactionsThatTouchDifferentNodesDoNotConflict() throws StoreException {
        control.write("/a/x", "1");
        control.write("/b/x", "1");
        int[] runs = {0};
        control.transaction(
                t -> {
                    runs[0]++;
                    t.write("/a/x", "2");
                    t.remove("/a/none");
                    control.write("/b/y", "2");
                    control.write("/b/x", "2");
                });
        assertEquals(1, runs[0]);
        assertEquals(Optional.of("2"), control.read("/a/x"));
        assertEquals(Optional.of("2"), control.read("/b/x"));
    }

    @Test
    void twoThatMakeTheSameNodeConflict() throws StoreException {
        control.makeNode("/dir");
        int[] runs = {0};
        control.transaction(
                t -> {
                    if (t.read("/dir/one").isEmpty()) {
                        if (runs[0]++ == 0) {
                            control.write("/dir/one", "other");
                        }
                        t.write("/dir/one", "mine");
                    }
                });
        assertEquals(Optional.of("other"), control.read("/dir/one"));
    }

    @Test
    void aBodyThatFailsLeavesNothing() throws StoreException {
        refused(
                StoreError.EINVAL,
                () ->
                        control.transaction(
                                t -> {
                                    t.write("/a", "1");
                                    t.write("//", "1");
                                }));
        assertEquals(Optional.empty(), control.read("/a"));
    }

    @Test
    void closingEndsWatchesAndTransactions() throws StoreException {
        home(SEVEN);
        List<String> events = new ArrayList<>();
        Watch watch = guest.watch("x", events::add);
        TreeTransaction open = tree.start((TreeConnection) guest);
        guest.close();
        control.write("/local/domain/7/x", "1");
        assertEquals(List.of(), drain(events));
        assertTrue(!open.open());
        refused(StoreError.EIO, () -> guest.read("x"));
        watch.close();
        assertEquals(1, tree.watchPlaces());
    }

    private void home(DomId domain) throws StoreException {
        String folder = "/local/domain/" + domain;
        control.makeNode(folder);
        control.setPermissions(folder, List.of(Permission.none(domain)));
    }

    private List<String> drain(List<String> events) {
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
        List<String> seen = List.copyOf(events);
        events.clear();
        return seen;
    }

    static void refused(StoreError error, Executable call) {
        assertEquals(error, assertThrows(StoreException.class, call).error());
    }
}
