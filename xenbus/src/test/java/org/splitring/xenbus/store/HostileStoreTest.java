package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.xenbus.store.StoreTreeTest.refused;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// The store's part of the hostile catalogue, section 6. What needs the wire is in [WireTest].
class HostileStoreTest {
    private static final DomId SEVEN = new DomId(7);
    private static final DomId EIGHT = new DomId(8);
    private static final String HOME = "/local/domain/7";

    private final StoreTree tree = new StoreTree();
    private final Deque<Runnable> tasks = new ArrayDeque<>();
    private final TreeConnection control = tree.connect(DomId.ZERO, tasks::add);
    private final TreeConnection guest = tree.connect(SEVEN, tasks::add);

    @BeforeEach
    void home() throws StoreException {
        for (DomId domain : List.of(SEVEN, EIGHT)) {
            control.makeNode("/local/domain/" + domain);
            control.setPermissions("/local/domain/" + domain, List.of(Permission.none(domain)));
        }
    }

    @AfterEach
    void booksBalance() {
        tree.checkBooks();
    }

    private void drain() {
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
    }

    @Test
    void h100_watchesAndALargeSubtreeCostABoundedNumberOfEvents() throws StoreException {
        List<String> events = new ArrayList<>();
        for (int i = 0; i < 900; i++) {
            guest.write("d/" + i % 30 + "/" + i, "");
        }
        for (int i = 0; i < 128; i++) {
            guest.watch(i % 2 == 0 ? "d" : "d/" + i % 30 + "/" + i, events::add);
        }
        drain();
        events.clear();
        guest.remove("d");
        assertTrue(tasks.size() <= 128);
        drain();
        assertEquals(128, events.size());
        refused(StoreError.E2BIG, () -> guest.watch("one-more", events::add));
    }

    @Test
    void h100_transactionsAreBoundedInNumberNodesAndBytes() throws StoreException {
        for (int i = 0; i < 10; i++) {
            tree.start(guest);
        }
        refused(StoreError.ENOSPC, () -> tree.start(guest));
        tree.start(control);
        List.copyOf(guest.transactions()).forEach(tree::drop);
        TreeTransaction wide = tree.start(guest);
        refused(
                StoreError.ENOSPC,
                () -> {
                    for (int i = 0; i <= 1024; i++) {
                        tree.read(guest, wide, HOME + "/" + i);
                    }
                });
        tree.drop(wide);
        List<TreeTransaction> heavy = new ArrayList<>();
        refused(
                StoreError.ENOMEM,
                () -> {
                    for (int i = 0; i < 10; i++) {
                        heavy.add(tree.start(guest));
                        for (int j = 0; j < 1000; j++) {
                            tree.write(guest, heavy.getLast(), HOME + "/x", new byte[2000]);
                        }
                    }
                });
        assertEquals(2, heavy.size());
        heavy.forEach(tree::drop);
        String deep = HOME + "/d".repeat(1000);
        List<TreeTransaction> deepOnes = new ArrayList<>();
        refused(
                StoreError.ENOMEM,
                () -> {
                    for (int i = 0; i < 10; i++) {
                        deepOnes.add(tree.start(guest));
                        for (int j = 0; j < 1000; j++) {
                            tree.read(guest, deepOnes.getLast(), deep + "/" + j);
                        }
                    }
                });
        deepOnes.forEach(tree::drop);
        for (int i = 0; i < 2000; i++) { // nothing stays on the account
            TreeTransaction one = tree.start(guest);
            tree.read(guest, one, deep);
            tree.write(guest, one, HOME + "/x", new byte[2000]);
            tree.drop(one);
        }
    }

    @Test
    void h100_deepWatchesAreBounded() throws StoreException {
        String deep = "d/".repeat(1000);
        List<Watch> watches = new ArrayList<>();
        refused(
                StoreError.ENOMEM,
                () -> {
                    for (int i = 0; i < 128; i++) {
                        watches.add(guest.watch(deep + i, changed -> {}));
                    }
                });
        assertTrue(watches.size() > 10 && watches.size() < 100, watches.size() + " watches");
        watches.forEach(Watch::close);
        for (int i = 0; i < 128; i++) {
            guest.watch("device/vbd/" + i + "/state", changed -> {});
        }
    }

    @Test
    void h103_aStateWrittenInALoopIsOnePendingEvent() throws StoreException {
        List<String> events = new ArrayList<>();
        Watch watch = control.watch(HOME + "/device/vbd/1/state", events::add);
        drain();
        events.clear();
        for (int i = 0; i < 100_000; i++) {
            guest.write("device/vbd/1/state", Integer.toString(i % 9));
            assertTrue(tasks.size() <= 1);
        }
        drain();
        assertEquals(List.of(HOME + "/device/vbd/1/state"), events);
        watch.close();
    }

    @Test
    void h103_eventsOnManyPathsAreMergedIntoTheWatchedOne() throws StoreException {
        List<String> events = new ArrayList<>();
        Watch watch = control.watch(HOME, events::add);
        drain();
        events.clear();
        for (int i = 0; i < 900; i++) {
            guest.write("n/" + i % 30 + "/" + i, "");
        }
        assertEquals(1, tasks.size());
        drain();
        assertTrue(events.contains(HOME));
        assertTrue(events.size() < 300, events.size() + " events");
        watch.close();
    }

    @Test
    void h105_aWatchOnTheRootTellsNothingOfOthers() throws StoreException {
        List<String> events = new ArrayList<>();
        Watch watch = guest.watch("/", events::add);
        drain();
        events.clear();
        control.write("/local/domain/8/secret", "1");
        control.remove("/local/domain/8/secret");
        control.write("/tool/x", "1");
        drain();
        assertEquals(List.of(), events);
        guest.write("mine", "1");
        drain();
        assertEquals(List.of(HOME + "/mine"), events);
        watch.close();
        // Watches on domains may be set, and stay silent without the right to hear of them.
        guest.watch("@introduceDomain", events::add);
        guest.watch("@releaseDomain", events::add);
        drain();
        events.clear();
        tree.introduce(EIGHT);
        tree.release(EIGHT);
        drain();
        assertEquals(List.of(), events);
    }

    @Test
    void h106_rightsOfTheDeadAreNotInherited() throws StoreException {
        control.write("/vault", "gold");
        control.setPermissions(
                "/vault", List.of(Permission.none(DomId.ZERO), Permission.read(SEVEN)));
        assertEquals(Optional.of("gold"), guest.read("/vault"));
        guest.close();
        tree.release(SEVEN);
        TreeConnection reborn = tree.connect(SEVEN, tasks::add);
        refused(StoreError.EACCES, () -> reborn.read("/vault"));
        refused(StoreError.EACCES, () -> reborn.write(HOME + "/x", ""));
    }

    @Test
    void h107_nodesOfTheDeadAreRemoved() throws StoreException {
        control.makeNode("/shared");
        control.setPermissions(
                "/shared",
                List.of(
                        Permission.none(DomId.ZERO),
                        new Permission(Permission.Access.BOTH, SEVEN)));
        guest.write("/shared/a/b/c", "1");
        control.write("/shared/a/of-0", "1");
        tree.release(SEVEN);
        assertEquals(List.of(), control.list("/shared"));
        assertEquals(Optional.empty(), control.read(HOME));
        assertEquals(List.of(Permission.none(DomId.ZERO)), control.permissions("/shared"));
    }

    @Test
    void h108_onlyDomain0GivesNodesAway() throws StoreException {
        guest.write("x", "1");
        refused(StoreError.EPERM, () -> guest.setPermissions("x", List.of(Permission.none(EIGHT))));
        refused(
                StoreError.EPERM,
                () -> guest.setPermissions("x", List.of(Permission.none(DomId.ZERO))));
        control.setPermissions(HOME + "/x", List.of(Permission.none(EIGHT)));
        refused(StoreError.EACCES, () -> guest.read("x"));
    }

    @Test
    void h109_theRootIsNoSpecialCase() throws StoreException {
        refused(StoreError.EACCES, () -> guest.read("/"));
        refused(StoreError.EACCES, () -> guest.list("/"));
        refused(StoreError.EACCES, () -> guest.write("/", "x"));
        refused(StoreError.EACCES, () -> guest.remove("/"));
        refused(StoreError.EACCES, () -> guest.makeNode("/new"));
        refused(StoreError.EACCES, () -> guest.permissions("/"));
        refused(
                StoreError.EACCES,
                () -> guest.setPermissions("/", List.of(Permission.none(SEVEN))));
        refused(StoreError.EINVAL, () -> control.remove("/"));
        control.write("/", "root");
        assertEquals(Optional.of("root"), control.read("/"));
    }

    @Test
    void h110_lengthIsThatOfTheWholePath() throws StoreException {
        String longest = "r".repeat(1000) + "/" + "s".repeat(1047);
        guest.write(longest, "1");
        assertEquals(Optional.of("1"), guest.read(longest));
        assertEquals(Optional.of("1"), guest.read(HOME + "/" + longest));
        assertEquals(List.of("s".repeat(1047)), guest.list("r".repeat(1000)));
        refused(StoreError.EINVAL, () -> guest.write(longest + "r", "1"));
        refused(StoreError.EINVAL, () -> guest.write(HOME + "/" + longest + "r", "1"));
        guest.remove("r".repeat(1000));
        control.write("/" + "a".repeat(3071), "1");
        refused(StoreError.EINVAL, () -> control.write("/" + "a".repeat(3072), "1"));
    }

    @Test
    void h115_aCommitThatWouldBreakALimitChangesNothing() throws StoreException {
        TreeTransaction first = tree.start(guest);
        TreeTransaction second = tree.start(guest);
        for (int i = 0; i < 600; i++) {
            tree.write(guest, first, HOME + "/first/" + i % 20 + "/" + i, new byte[0]);
            tree.write(guest, second, HOME + "/second/" + i % 20 + "/" + i, new byte[0]);
        }
        tree.commit(first);
        StoreError how = StoreError.EIO;
        try {
            tree.commit(second);
        } catch (StoreException e) {
            how = e.error();
        }
        assertTrue(how == StoreError.EAGAIN || how == StoreError.ENOSPC, how.name());
        assertEquals(20, guest.list("first").size());
        assertEquals(30, guest.list("first/7").size());
        assertEquals(Optional.empty(), guest.read("second"));
    }

    @Test
    void h116_removingInATransactionWhatIsGoneMeanwhile() throws StoreException {
        guest.write("a/b", "1");
        TreeTransaction transaction = tree.start(guest);
        tree.remove(guest, transaction, HOME + "/a/b");
        guest.remove("a");
        refused(StoreError.EAGAIN, () -> tree.commit(transaction));
        assertEquals(Optional.empty(), guest.read("a/b"));
    }

    @Test
    void h117_theDeepestPathNeedsNoStack() throws Exception {
        StringBuilder path = new StringBuilder("");
        while (path.length() + 2 <= 3072) {
            path.append("/d");
        }
        String deepest = path.toString();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Runnable work =
                () -> {
                    try {
                        control.write(deepest, "1");
                        assertEquals(Optional.of("1"), control.read(deepest));
                        Watch watch = control.watch(deepest, changed -> {});
                        control.setPermissions(deepest, List.of(Permission.none(SEVEN)));
                        tree.checkBooks();
                        tree.release(SEVEN);
                        assertEquals(Optional.empty(), control.read(deepest));
                        control.write(deepest, "2");
                        control.remove("/d");
                        watch.close();
                        assertEquals(1, tree.watchPlaces());
                        tree.checkBooks();
                    } catch (StoreException | RuntimeException | Error e) {
                        failure.set(e);
                    }
                };
        Thread small = new Thread(null, work, "small stack", 160 * 1024);
        small.start();
        small.join();
        if (failure.get() != null) {
            throw new AssertionError(failure.get());
        }
    }

    @Test
    void h121_theLimitOfNodesHoldsForEveryOperationThatMakesThem() throws StoreException {
        StoreTree small = new StoreTree(StoreLimits.DEFAULT.with(Quota.NODES, 5));
        TreeConnection root = small.connect(DomId.ZERO, Runnable::run);
        TreeConnection poor = small.connect(SEVEN, Runnable::run);
        root.makeNode(HOME);
        root.setPermissions(HOME, List.of(Permission.none(SEVEN))); // one of the five
        poor.write("a", "");
        refused(StoreError.ENOSPC, () -> poor.write("b/c/d/e", ""));
        assertEquals(Optional.empty(), poor.read("b"));
        poor.write("b/c/d", "");
        refused(StoreError.ENOSPC, () -> poor.write("e", ""));
        refused(StoreError.ENOSPC, () -> poor.makeNode("e"));
        refused(StoreError.ENOSPC, () -> poor.transaction(t -> t.write("e", "")));
        poor.write("a", "still");
        poor.transaction(
                t -> {
                    t.remove("a");
                    t.write("e", "");
                });
        refused(StoreError.ENOSPC, () -> poor.makeNode("f"));
        root.write(HOME + "/f", ""); // the control domain is not limited, and owns nothing new here
        small.checkBooks();
    }

    @Test
    void h122_pathsThatAreNone() throws StoreException {
        for (String path :
                List.of(
                        "",
                        "//",
                        "/local/domain/",
                        "/local/domain//x",
                        "x/",
                        "@",
                        "@releaseDomain",
                        "@releaseDomain/x",
                        "/a\0b",
                        "/\u00e4",
                        "/\u4e2d",
                        "/a b",
                        "/a.b",
                        "/" + "a".repeat(3072),
                        "a".repeat(3073))) {
            for (TreeConnection connection : List.of(control, guest)) {
                refused(StoreError.EINVAL, () -> connection.read(path));
                refused(StoreError.EINVAL, () -> connection.write(path, ""));
                refused(StoreError.EINVAL, () -> connection.remove(path));
                if (!path.startsWith("@")) {
                    refused(StoreError.EINVAL, () -> connection.watch(path, changed -> {}));
                }
            }
        }
        control.write("/local/domain/7x", "a name like any other");
        refused(StoreError.EACCES, () -> guest.read("/local/domain/7x"));
        control.write("/" + "a".repeat(3071), "");
    }

    @Test
    void h124_countersEndWithTheDomain() throws StoreException {
        fillUp(guest);
        refused(StoreError.ENOSPC, () -> guest.write("more", ""));
        guest.close();
        tree.release(SEVEN);
        home();
        TreeConnection reborn = tree.connect(SEVEN, tasks::add);
        fillUp(reborn);
        refused(StoreError.ENOSPC, () -> reborn.write("more", ""));
    }

    /// With all nodes that it may have; its home is one.
    private static void fillUp(TreeConnection guest) throws StoreException {
        for (int i = 0; i < 999 - 37; i++) {
            guest.write("n" + i % 37 + "/" + i, "");
        }
    }

    @Test
    void valuesAndRightsHaveTheirLimits() throws StoreException {
        // Xen's daemon counts 24 bytes and 8 for each right, and stops before 2048.
        refused(StoreError.ENOSPC, () -> guest.write("x", "v".repeat(2016)));
        guest.write("x", "v".repeat(1950));
        control.write("/x", "v".repeat(4096 - 3));
        refused(StoreError.E2BIG, () -> control.write("/x", "v".repeat(4096 - 2)));
        List<Permission> six = new ArrayList<>(List.of(Permission.none(SEVEN)));
        for (int i = 0; i < 4; i++) {
            six.add(Permission.read(new DomId(10 + i)));
        }
        guest.setPermissions("x", six);
        six.add(Permission.read(EIGHT));
        refused(StoreError.ENOSPC, () -> guest.setPermissions("x", six));
        refused(StoreError.EINVAL, () -> guest.setPermissions("x", List.of()));
        assertFalse(tree.domains().isIntroduced(SEVEN));
    }
}
