package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.xenbus.store.StoreTreeTest.refused;
import static org.splitring.xenbus.store.WireTest.ask;
import static org.splitring.xenbus.store.WireTest.message;
import static org.splitring.xenbus.store.WireTest.next;

import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;

/// Clients that disturb others or the server: what hostile catalogue, section 6, says of them.
class HostileClientsTest {
    private static final DomId SEVEN = new DomId(7);
    private static final DomId EIGHT = new DomId(8);
    private static final long MILLI = 1_000_000;

    private final AtomicLong clock = new AtomicLong(1_000_000_000L);
    private final StoreTree tree =
            new StoreTree(StoreSnapshot.empty(StoreLimits.DEFAULT), clock::get);
    private final Deque<Runnable> tasks = new ArrayDeque<>();
    private final TreeConnection control = tree.connect(DomId.ZERO, tasks::add);

    @AfterEach
    void booksBalance() {
        tree.checkBooks();
    }

    private void drain() {
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
    }

    private EmbeddedChannel channel(DomId domain) {
        return new EmbeddedChannel(new StoreWireServer(tree).handler(domain));
    }

    /// A folder that both guests may write in.
    private void share() throws StoreException {
        control.makeNode("/shared");
        control.setPermissions(
                "/shared",
                List.of(
                        Permission.none(DomId.ZERO),
                        new Permission(Permission.Access.BOTH, SEVEN),
                        new Permission(Permission.Access.BOTH, EIGHT)));
    }

    @Test
    void h100_eventsNobodyReadsAreMergedAfterTwentySeconds() throws StoreException {
        List<String> events = new ArrayList<>();
        PendingEvents pending = new PendingEvents("/a", "t", e -> {});
        Watch watch = tree.watch(control, "/a", TreeWatch.UNLIMITED, pending);
        for (int i = 0; i < 50; i++) {
            control.write("/a/" + i, "");
        }
        assertEquals(51, pending.count());
        clock.addAndGet(PendingEvents.MAX_WAIT_NANOS + 1);
        control.write("/a/x", "");
        assertEquals(1, pending.count());
        for (String event = pending.take(); event != null; event = pending.take()) {
            events.add(event);
        }
        assertEquals(List.of("/a"), events);
        // Whoever reads, however slowly, is told each path.
        for (int i = 0; i < 50; i++) {
            control.write("/a/" + i, "again");
            clock.addAndGet(MILLI * 1000);
            if (i % 10 == 9) {
                pending.take();
            }
        }
        assertEquals(45, pending.count());
        watch.close();
    }

    @Test
    void h101_whatIsAnsweredCostsNothingUntilTheAnswerIsRead() throws StoreException {
        share();
        HeldTransport guest = new HeldTransport(tree, SEVEN, clock);
        guest.reads = false;
        long before = tree.domains().usage(DomId.ZERO).getOrDefault("memory", 0L);
        int sent = 0;
        while (guest.request(11, 0, "/shared\0" + "v".repeat(1900))) {
            sent++;
            assertTrue(sent <= 20, "requests beyond the limit were taken");
        }
        assertEquals(20, sent);
        assertEquals(20, guest.queued.size());
        // One value, however often it was written, and nothing of the requests.
        tree.introduce(SEVEN);
        assertEquals(0L, tree.domains().usage(SEVEN).getOrDefault("memory", -1L));
        assertEquals(before + 1900, tree.domains().usage(DomId.ZERO).getOrDefault("memory", 0L));
        assertEquals(20, guest.take().size());
        assertTrue(guest.request(2, 0, "/shared\0"));
        guest.end();
    }

    /// A toolstack works 20 ms at each transaction; the guest writes each millisecond, more when it
    /// can, for as long as the test lasts.
    @Test
    void h102_aGuestThatWritesAllTheTimeDoesNotKeepATransactionFromCommitting()
            throws StoreException {
        share();
        HeldTransport hostile = new HeldTransport(tree, SEVEN, clock);
        HeldTransport honest = new HeldTransport(tree, EIGHT, clock);
        control.makeNode("/local/domain/8");
        control.setPermissions("/local/domain/8", List.of(Permission.none(EIGHT)));
        for (int run = 0; run < 20; run++) {
            long begin = clock.get();
            int attempts = 0;
            boolean committed = false;
            while (!committed) {
                attempts++;
                TreeTransaction transaction = tree.start(control);
                for (int step = 0; step < 20; step++) {
                    tree.write(control, transaction, "/shared/toolstack", new byte[step]);
                    hostile.request(11, 0, "/shared/x" + step + "\0" + clock.get());
                    hostile.request(13, 0, "/shared/x" + step + "\0");
                    assertTrue(honest.request(11, 0, "name\0" + step), "the honest one waits");
                    clock.addAndGet(MILLI);
                }
                try {
                    tree.commit(transaction);
                    committed = true;
                } catch (StoreException e) {
                    assertEquals(StoreError.EAGAIN, e.error());
                }
                assertTrue(clock.get() - begin < 1000 * MILLI, attempts + " attempts in 1 s");
            }
        }
        // It goes on when nobody is in its way any more.
        clock.addAndGet(1000 * MILLI);
        assertTrue(hostile.request(11, 0, "/shared/x\0after"));
        assertEquals(Optional.of("after"), control.read("/shared/x"));
        hostile.end();
        honest.end();
    }

    /// A guest that fails on purpose makes nobody pay twice for one change.
    @Test
    void h102_aGuestCannotMakeAnotherWaitByConflictingOnPurpose() throws StoreException {
        share();
        HeldTransport victim = new HeldTransport(tree, EIGHT, clock);
        TreeConnection guest = tree.connect(SEVEN, tasks::add);
        List<TreeTransaction> open = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            TreeTransaction transaction = tree.start(guest);
            tree.read(guest, transaction, "/shared");
            open.add(transaction);
        }
        assertTrue(victim.request(11, 0, "/shared/x\0" + "1"));
        for (TreeTransaction transaction : open) {
            refused(StoreError.EAGAIN, () -> tree.commit(transaction));
        }
        assertTrue(victim.request(11, 0, "/shared/x\0" + "2"));
        assertEquals(Optional.of("2"), control.read("/shared/x"));
        victim.end();
        guest.close();
    }

    @Test
    void h104_aToolstackThatWatchesEverythingHasOneTaskForEachWatch() throws StoreException {
        new Toolstack(control).createDomain(SEVEN, "seven");
        List<String> events = new ArrayList<>();
        List<Watch> watches = new ArrayList<>();
        for (String path : List.of("/", "/local/domain", "/local/domain/7", "@releaseDomain")) {
            watches.add(control.watch(path, events::add));
        }
        drain();
        TreeConnection guest = tree.connect(SEVEN, tasks::add);
        for (int i = 0; i < 100_000; i++) {
            guest.write("data/" + i % 40, Integer.toString(i));
            assertTrue(tasks.size() <= 4, tasks.size() + " tasks");
        }
        events.clear();
        drain();
        assertTrue(events.size() <= 3 * 41, events.size() + " events");
        watches.forEach(Watch::close);
        guest.close();
    }

    @Test
    void h114_aMisbehavingClientIsIgnoredAndItsDomainLivesUntilItIsReleased()
            throws StoreException {
        tree.introduce(SEVEN);
        new Toolstack(control).createDomain(SEVEN, "seven");
        List<String> events = new ArrayList<>();
        Watch watch = control.watch("@releaseDomain", events::add);
        drain();
        events.clear();
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("11 OK|", ask(guest, 11, 0, "data/x\0" + "1"));
        guest.writeInbound(Unpooled.buffer().writeZero(12).writeIntLE(5000));
        guest.runPendingTasks();
        assertFalse(guest.isOpen());
        drain();
        assertEquals(List.of(), events);
        assertTrue(tree.domains().isIntroduced(SEVEN));
        assertEquals(Optional.of("1"), control.read("/local/domain/7/data/x"));
        tree.release(SEVEN);
        drain();
        assertEquals(List.of("@releaseDomain"), events);
        assertFalse(tree.domains().isIntroduced(SEVEN));
        watch.close();
    }

    @Test
    void h119_oneClientsRequestEndsOthersWhereverTheyAre() {
        EmbeddedChannel tools = channel(DomId.ZERO);
        List<EmbeddedChannel> all = new ArrayList<>();
        for (int domain = 1; domain <= 9; domain++) {
            assertEquals("8 OK|", ask(tools, 8, 0, domain + "\0" + "1\0" + "5\0"));
            all.add(channel(new DomId(domain)));
            assertEquals("6 1|", ask(all.getLast(), 6, 0, "\0"));
        }
        // Before, at and behind each other; one of them twice, with half a request in it.
        all.get(3).writeInbound(message(11, 1, 0, "x\0y").readRetainedSlice(18));
        tools.writeInbound(
                Unpooled.wrappedBuffer(
                        message(9, 1, 0, "9\0"),
                        message(9, 2, 0, "1\0"),
                        message(9, 3, 0, "4\0"),
                        message(9, 4, 0, "4\0")));
        for (String expected : List.of("9 OK|", "9 OK|", "9 OK|", "16 ENOENT|")) {
            assertEquals(expected, WireTest.show(next(tools)));
        }
        for (int i = 0; i < 9; i++) {
            EmbeddedChannel channel = all.get(i);
            channel.runPendingTasks();
            boolean gone = i == 8 || i == 0 || i == 3;
            assertEquals(!gone, channel.isOpen(), "domain " + (i + 1));
            if (!gone) {
                assertEquals("6 2|", ask(channel, 6, 0, "\0"));
            }
        }
        all.forEach(EmbeddedChannel::finishAndReleaseAll);
        tools.finishAndReleaseAll();
    }

    @Test
    void h120_aConnectionThatEndsFromTwoSidesEndsOnce() throws StoreException {
        tree.introduce(SEVEN);
        new Toolstack(control).createDomain(SEVEN, "seven");
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("4 OK|", ask(guest, 4, 0, "data\0t\0"));
        tree.release(SEVEN);
        guest.close().syncUninterruptibly();
        guest.runPendingTasks();
        guest.finishAndReleaseAll();
        tree.release(SEVEN);
        assertEquals(1, tree.watchPlaces());
        // A newborn of that number is another one: nothing of it was counted off.
        EmbeddedChannel reborn = channel(SEVEN);
        assertEquals("4 OK|", ask(reborn, 4, 0, "data\0t\0"));
        tree.introduce(SEVEN);
        assertEquals(1L, tree.domains().usage(SEVEN).getOrDefault("watches", 0L));
        reborn.finishAndReleaseAll();
    }

    /// What a toolstack reads must not be what a guest may write.
    @Test
    void h125_aGuestWritesOnlyInTheFoldersThatAreItsOwn() throws StoreException {
        Toolstack toolstack = new Toolstack(control);
        toolstack.createDomain(SEVEN, "seven");
        toolstack.createDomain(EIGHT, "eight");
        DevicePaths paths = DevicePaths.vbd(SEVEN, DomId.ZERO, 51712);
        toolstack.createVbd(paths, "xvda", false, "/images/seven");
        control.write("/libxl/7/device/vbd/51712/params", "/images/seven");
        control.write("/splitring/7/socket", "/run/seven");
        control.write("/tool/xenstored", "");
        TreeConnection guest = tree.connect(SEVEN, tasks::add);
        List<String> all = new ArrayList<>();
        NodeWalk.walk(tree.snapshot().root(), node -> all.add(node.place().path().text()));
        List<String> mayWrite = new ArrayList<>();
        for (String path : all) {
            String below = path.equals("/") ? "/evil" : path + "/evil";
            try {
                guest.write(path, "evil");
                mayWrite.add(path);
                guest.write(below, "evil");
            } catch (StoreException e) {
                assertEquals(StoreError.EACCES, e.error(), path);
                refused(StoreError.EACCES, () -> guest.write(below, "evil"));
                refused(StoreError.EACCES, () -> guest.remove(path));
            }
        }
        assertTrue(mayWrite.size() > 5, mayWrite.toString());
        for (String path : mayWrite) {
            assertTrue(
                    path.matches(
                            "/local/domain/7/"
                                    + "(device/vbd/51712|attr|control/(shutdown|feature-suspend)|data|drivers|error|feature)"
                                    + "(/.*)?"),
                    path);
        }
        assertEquals(
                Optional.of("/images/seven"), control.read("/libxl/7/device/vbd/51712/params"));
        assertEquals(Optional.of("/images/seven"), control.read(paths.backend() + "/params"));
        refused(StoreError.EACCES, () -> guest.read("/libxl/7/device/vbd/51712/params"));
        refused(StoreError.EACCES, () -> guest.list("/splitring"));
        guest.close();
    }

    @Test
    void h129_aGuestThatComesBackWithGarbageHasOneLine() {
        for (int i = 0; i < 100; i++) {
            EmbeddedChannel guest = channel(SEVEN);
            guest.writeInbound(Unpooled.buffer().writeZero(12).writeIntLE(5000));
            guest.runPendingTasks();
            assertFalse(guest.isOpen());
            guest.finishAndReleaseAll();
            tree.release(SEVEN);
        }
        assertTrue(tree.domains().suppressedLines(SEVEN) >= 98);
    }

    @Test
    void aGuestsTransactionIsGivenUpAfterAMinute() throws StoreException {
        share();
        TreeConnection guest = tree.connect(SEVEN, tasks::add);
        TreeTransaction old = tree.start(guest);
        tree.write(guest, old, "/shared/x", new byte[1]);
        TreeTransaction ofControl = tree.start(control);
        tree.write(control, ofControl, "/y", new byte[1]);
        clock.addAndGet(OpenTransactions.MAX_NANOS);
        tree.drop(tree.start(guest));
        refused(StoreError.EAGAIN, () -> tree.read(guest, old, "/shared"));
        refused(StoreError.EAGAIN, () -> tree.commit(old));
        refused(StoreError.ENOENT, () -> tree.commit(old));
        tree.commit(ofControl);
        assertEquals(Optional.empty(), control.read("/shared/x"));
        guest.close();
    }
}
