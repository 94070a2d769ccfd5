package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// That an operation costs what it concerns, not how many guests there are beside it.
///
/// The same operations on the same few guests in a store with 10 guests and in one with 2000, by
/// the least time of many short batches, which a busy machine hardly changes. What looks at all
/// guests, nodes or watches makes the ratio 10 to 800, and is found from some ten nanoseconds for
/// each guest on; what grows with the logarithm is far below the bound.
class StoreScaleTest {
    private static final int FEW = 10;
    private static final int MANY = 2000;
    private static final double BOUND = 4;
    private static final int NODES = 10; // of each guest
    private static final int WATCHES = 3;
    private static final int BATCH = 20;
    private static final int BATCHES = 60;

    @FunctionalInterface
    private interface Operation {
        void run(Guests guests, int guest) throws StoreException;
    }

    /// A store with guests 1 to `count`.
    private static final class Guests {
        final StoreTree tree = new StoreTree();
        final Store control = tree.connection(DomId.ZERO, task -> {});
        final List<Store> connections = new ArrayList<>();

        Guests(int count) throws StoreException {
            for (int guest = 1; guest <= count; guest++) {
                connections.add(make(guest));
            }
        }

        Store make(int guest) throws StoreException {
            DomId domain = new DomId(guest);
            String home = home(guest);
            control.makeNode(home);
            control.setPermissions(home, List.of(Permission.none(domain)));
            // The toolstack's half, which the guest may read.
            control.write("/tool/" + guest, "x");
            control.setPermissions(
                    "/tool/" + guest,
                    List.of(Permission.none(DomId.ZERO), Permission.read(domain)));
            tree.introduce(domain);
            Store store = tree.connection(domain, task -> {});
            for (int node = 0; node < NODES - 2; node++) {
                store.write("n" + node, "value");
            }
            for (int watch = 0; watch < WATCHES; watch++) {
                store.watch("n" + watch, path -> {});
            }
            return store;
        }

        static String home(int guest) {
            return "/local/domain/" + guest;
        }

        Store of(int guest) {
            return connections.get(guest - 1);
        }
    }

    @Test
    void operationsCostTheSameBesideManyGuests() throws StoreException {
        Guests few = new Guests(FEW);
        Guests many = new Guests(MANY);
        List<String> tooMuch = new ArrayList<>();
        check(tooMuch, "read", few, many, (all, guest) -> all.of(guest).read("n5"));
        check(tooMuch, "write", few, many, (all, guest) -> all.of(guest).write("n5", "other"));
        check(
                tooMuch,
                "write that fires",
                few,
                many,
                (all, guest) -> all.of(guest).write("n1", "a"));
        check(tooMuch, "list", few, many, (all, guest) -> all.control.list(Guests.home(guest)));
        check(
                tooMuch,
                "make and remove",
                few,
                many,
                (all, guest) -> {
                    all.of(guest).makeNode("new");
                    all.of(guest).remove("new");
                });
        check(
                tooMuch,
                "transaction",
                few,
                many,
                (all, guest) ->
                        all.of(guest)
                                .transaction(t -> t.write("n6", t.read("n5").orElseThrow() + "1")));
        check(
                tooMuch,
                "watch and unwatch",
                few,
                many,
                (all, guest) -> all.of(guest).watch("n7", path -> {}).close());
        check(
                tooMuch,
                "watch and unwatch where everybody watches",
                watchedByAll(few),
                watchedByAll(many),
                (all, guest) -> all.of(guest).watch("@releaseDomain", path -> {}).close());
        check(
                tooMuch,
                "rights",
                few,
                many,
                (all, guest) ->
                        all.of(guest)
                                .setPermissions(
                                        "n5",
                                        List.of(
                                                Permission.none(new DomId(guest)),
                                                Permission.read(new DomId(guest % FEW + 1)))));
        assertEquals(List.of(), tooMuch);
        few.tree.checkBooks();
        many.tree.checkBooks();
    }

    /// Every guest watches the same name.
    private static Guests watchedByAll(Guests guests) throws StoreException {
        for (Store guest : guests.connections) {
            guest.watch("@releaseDomain", path -> {});
        }
        return guests;
    }

    private static void check(
            List<String> tooMuch, String what, Guests few, Guests many, Operation operation)
            throws StoreException {
        least(few, operation); // compiled before it is measured
        double ratio = (double) least(many, operation) / least(few, operation);
        if (ratio >= BOUND) {
            tooMuch.add(text(what, ratio));
        }
    }

    private static String text(String what, double ratio) {
        return String.format(
                Locale.ROOT,
                "%s costs %.1f times as much beside %d guests as beside %d",
                what,
                ratio,
                MANY,
                FEW);
    }

    /// @return nanoseconds of one batch, the least of many
    private static long least(Guests guests, Operation operation) throws StoreException {
        long least = Long.MAX_VALUE;
        for (int i = 0; i < BATCHES; i++) {
            long start = System.nanoTime();
            for (int j = 0; j < BATCH; j++) {
                operation.run(guests, 1 + j % FEW);
            }
            least = Math.min(least, System.nanoTime() - start);
        }
        return least;
    }

    @Test
    void aReleaseCostsWhatTheDomainHad() throws StoreException {
        Guests few = new Guests(FEW);
        Guests many = new Guests(MANY);
        release(few);
        double ratio = (double) release(many) / release(few);
        assertTrue(ratio < BOUND, () -> text("release", ratio));
        few.tree.checkBooks();
        many.tree.checkBooks();
    }

    /// @return nanoseconds of one release, the least of many
    private static long release(Guests guests) throws StoreException {
        long least = Long.MAX_VALUE;
        for (int i = 0; i < BATCHES; i++) {
            int guest = 1 + i % FEW;
            long start = System.nanoTime();
            guests.tree.release(new DomId(guest));
            least = Math.min(least, System.nanoTime() - start);
            assertEquals(List.of(), guests.control.list(Guests.home(guest)));
            assertEquals(
                    List.of(Permission.none(DomId.ZERO)),
                    guests.control.permissions("/tool/" + guest));
            guests.connections.set(guest - 1, guests.make(guest));
        }
        return least;
    }
}
