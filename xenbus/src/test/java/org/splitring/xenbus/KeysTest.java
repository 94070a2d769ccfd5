package org.splitring.xenbus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// What a hostile frontend writes into its keys and states.
class KeysTest {
    private static final DevicePaths PATHS = DevicePaths.vbd(new DomId(1), DomId.ZERO, 51712);
    private static final String FOLDER = PATHS.frontend();

    private final Deque<Runnable> tasks = new ArrayDeque<>();
    private final StoreTree tree = new StoreTree();
    private final Store store = tree.connection(DomId.ZERO, tasks::add);
    private final Keys keys = new Keys(store, FOLDER);

    @BeforeEach
    void goodKeys() throws StoreException {
        store.write(FOLDER + "/ring-ref", "8");
        store.write(FOLDER + "/event-channel", "3");
        store.write(FOLDER + "/state", "3");
    }

    private void set(String key, String value) throws StoreException {
        store.write(FOLDER + "/" + key, value);
    }

    private static String message(Executable call) {
        return "" + assertThrows(KeyException.class, call).getMessage();
    }

    @Test
    void numbersAreCheckedAndNamed() throws Exception {
        set("n", "31");
        assertEquals(
                "key " + FOLDER + "/n is \"31\": out of range 0..4",
                message(() -> keys.number("n", 0, 4)));
        for (String junk : List.of("1junk", "", " 1", "1 ", "+1", "0x1", "1.0", "--1", "1e3")) {
            set("n", junk);
            assertEquals(
                    "key " + FOLDER + "/n is \"" + junk + "\": not a whole number",
                    message(() -> keys.number("n", 0, 4)));
        }
        for (String far : List.of("-1", "5", "4294967296", "4294967297", "999999999999999999")) {
            set("n", far);
            assertTrue(message(() -> keys.number("n", 0, 4)).endsWith("out of range 0..4"));
        }
        set("n", "9".repeat(4000));
        assertTrue(message(() -> keys.number("n", 0, 4)).length() < 200);
        set("n", "4\0");
        assertEquals(4, keys.number("n", 0, 4));
        assertEquals(
                "key " + FOLDER + "/none is missing", message(() -> keys.number("none", 0, 4)));
        assertEquals(7, keys.number("none", 0, 4, 7));
        assertFalse(keys.flag("none"));
        set("n", "2");
        assertThrows(KeyException.class, () -> keys.flag("n"));
    }

    @Test
    void h009_protocolStringsThatAreNone() throws Exception {
        for (String protocol : List.of("", "x86_64", "X86_64-ABI", "x".repeat(3000), "\0")) {
            set("protocol", protocol);
            assertTrue(
                    message(() -> RingKeys.read(keys, 4)).startsWith("key " + FOLDER + "/protocol"),
                    protocol);
        }
        store.remove(FOLDER + "/protocol");
        assertEquals(RingKeys.X86_64, RingKeys.read(keys, 4).protocol());
    }

    @Test
    void h010_ringGeometryThatMakesNoSense() throws Exception {
        assertEquals(List.of(8), RingKeys.read(keys, 4).grefs());
        for (String order : List.of("31", "5", "-1", "4294967296", "1junk", "", "32", "64")) {
            set("ring-page-order", order);
            assertTrue(
                    message(() -> RingKeys.read(keys, 4)).contains("/ring-page-order is"), order);
        }
        set("ring-page-order", "2");
        for (String queues : List.of("0", "2", "2147483648", "1junk")) {
            set("multi-queue-num-queues", queues);
            assertTrue(
                    message(() -> RingKeys.read(keys, 4)).contains("/multi-queue-num-queues is"),
                    queues);
        }
        set("multi-queue-num-queues", "1");
        set("ring-ref0", "10");
        set("ring-ref1", "10");
        set("ring-ref2", "4294967295");
        assertEquals(
                "key " + FOLDER + "/ring-ref3 is missing", message(() -> RingKeys.read(keys, 4)));
        set("ring-ref3", "4294967296");
        assertThrows(KeyException.class, () -> RingKeys.read(keys, 4));
        set("ring-ref3", "11");
        assertEquals(List.of(10, 10, -1, 11), RingKeys.read(keys, 4).grefs());
        assertThrows(KeyException.class, () -> RingKeys.read(keys, 1));
        set("ring-page-order", "0");
        store.remove(FOLDER + "/ring-ref0");
        assertEquals(List.of(8), RingKeys.read(keys, 4).grefs());
        set("event-channel", "0");
        assertThrows(KeyException.class, () -> RingKeys.read(keys, 4));
    }

    /// The older name of a ring's size.
    @Test
    void h010_numbersOfRingPagesThatMakeNoSense() throws Exception {
        for (String pages : List.of("0", "3", "6", "17", "32", "-1", "1junk")) {
            set("num-ring-pages", pages);
            assertTrue(message(() -> RingKeys.read(keys, 4)).contains("/num-ring-pages is"), pages);
        }
        set("num-ring-pages", "3");
        assertTrue(message(() -> RingKeys.read(keys, 4)).endsWith("not a power of two"));
        set("num-ring-pages", "2");
        set("ring-ref0", "10");
        set("ring-ref1", "11");
        assertEquals(List.of(10, 11), RingKeys.read(keys, 4).grefs());
        set("ring-page-order", "1");
        assertEquals(List.of(10, 11), RingKeys.read(keys, 4).grefs());
        set("ring-page-order", "2");
        assertTrue(
                message(() -> RingKeys.read(keys, 4)).endsWith("disagrees with ring-page-order 2"));
    }

    @Test
    void ringKeysAreReadAsTheyWereWritten() throws Exception {
        for (List<Integer> grefs : List.of(List.of(9), List.of(8, 9), List.of(8, 9, -1, 12))) {
            RingKeys ring = new RingKeys(grefs, 77, RingKeys.ARM);
            ring.write(store, FOLDER);
            assertEquals(ring, RingKeys.read(keys, 4));
        }
    }

    @Test
    void severalRingsAreReadAsTheyWereWrittenInWhateverFormWasThereBefore() throws Exception {
        for (int order : List.of(0, 2, 0, 1)) {
            for (int count : List.of(3, 1, 4)) {
                List<RingKeys> rings = new ArrayList<>();
                for (int i = 0; i < count; i++) {
                    List<Integer> grefs = new ArrayList<>();
                    for (int page = 0; page < 1 << order; page++) {
                        grefs.add(100 + i * 16 + page);
                    }
                    rings.add(new RingKeys(grefs, 70 + i, RingKeys.X86_64));
                }
                RingKeys.writeQueues(rings, store, FOLDER);
                assertEquals(rings, RingKeys.readQueues(keys, 4, 4));
                if (count > 1) {
                    assertTrue(store.read(FOLDER + "/event-channel").isEmpty());
                    assertThrows(KeyException.class, () -> RingKeys.readQueues(keys, 4, 2));
                }
            }
        }
    }

    @Test
    void h010_queuesThatShareAPageOrAPortAreRefused() throws Exception {
        RingKeys first = new RingKeys(List.of(100, 101), 70, RingKeys.X86_64);
        RingKeys.writeQueues(
                List.of(first, new RingKeys(List.of(102, 101), 71, RingKeys.X86_64)),
                store,
                FOLDER);
        assertTrue(message(() -> RingKeys.readQueues(keys, 4, 4)).contains("stands there twice"));
        RingKeys.writeQueues(
                List.of(first, new RingKeys(List.of(102, 103), 70, RingKeys.X86_64)),
                store,
                FOLDER);
        assertTrue(message(() -> RingKeys.readQueues(keys, 4, 4)).contains("another queue has"));
        set("queue-1/event-channel", "0");
        assertThrows(KeyException.class, () -> RingKeys.readQueues(keys, 4, 4));
        store.remove(FOLDER + "/queue-1");
        assertTrue(message(() -> RingKeys.readQueues(keys, 4, 4)).contains("queue-1"));
    }

    @Test
    void h126_whatIsNotAStateIsIgnoredAndCounted() throws Exception {
        store.write(PATHS.backend() + "/state", "2");
        DeviceEnd back =
                DeviceEnd.open(store, DeviceEnd.Side.BACKEND, PATHS, tasks::add, Timers.system());
        List<XenbusState> seen = new ArrayList<>();
        drain();
        back.onPeerState(seen::add);
        drain();
        assertEquals(List.of(XenbusState.INITIALISED), seen);
        long odd = 0;
        for (XenbusState own : XenbusState.values()) {
            back.switchTo(own);
            for (String text :
                    List.of("9", "-1", "", "4 ", " 4", "4294967300", "04", "4\n", "x", "44")) {
                seen.clear();
                set("state", text);
                drain();
                assertEquals(List.of(), seen, text);
                assertEquals(++odd, back.oddStates());
                assertEquals(XenbusState.INITIALISED, back.peerState());
                assertEquals(own, back.state());
            }
        }
        for (XenbusState from : XenbusState.values()) {
            for (XenbusState to : XenbusState.values()) {
                set("state", Integer.toString(from.number()));
                drain();
                seen.clear();
                set("state", to.number() + "\0");
                drain();
                boolean unknown = to == XenbusState.UNKNOWN;
                assertEquals(unknown ? List.of() : List.of(to), seen, from + " to " + to);
            }
            set("state", "1");
            drain();
            seen.clear();
            store.remove(FOLDER);
            drain();
            assertEquals(List.of(XenbusState.UNKNOWN), seen);
            goodKeys();
            drain();
            assertEquals(XenbusState.INITIALISED, back.peerState());
        }
        back.close();
        drain();
    }

    private void drain() {
        while (!tasks.isEmpty()) {
            tasks.remove().run();
        }
    }
}
