package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class MacTableTest {
    private static final int CAPACITY = 40;
    private static final int PER_PORT = 8;
    private static final int PORTS = 7;

    private record Entry(int port, int seen, boolean sticky, boolean fixed) {}

    /// Against a map, near its bounds all the time: chains that run into each other and are
    /// closed again, lists from both ends, the free list.
    @Test
    void n42_agreesWithAPlainMap() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("MacTableTest seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 20; round++) {
            MacTable table = new MacTable(CAPACITY);
            Map<Long, Entry> model = new HashMap<>();
            for (int now = 0; now < 5000; now++) {
                long key = LearningSwitch.key(1 + random.nextInt(2), Lab.mac(random.nextInt(60)));
                int port = random.nextInt(PORTS);
                int what = random.nextInt(100);
                if (what == 0) {
                    table.removePort(port);
                    model.values().removeIf(e -> e.port() == port);
                } else if (what < 3) {
                    Entry before = model.remove(key);
                    boolean room = model.size() < CAPACITY;
                    assertEquals(room, table.addStatic(key, port), "seed " + seed);
                    if (room) {
                        model.put(key, new Entry(port, 0, false, true));
                    } else {
                        assertTrue(before == null);
                    }
                } else {
                    learn(table, model, key, port, now, what < 10, seed);
                }
                check(table, model, now, seed);
            }
        }
    }

    /// Nothing ages here: the clock goes up by one with each step, so no two are equally old.
    private static void learn(
            MacTable table,
            Map<Long, Entry> model,
            long key,
            int port,
            int now,
            boolean sticky,
            long seed) {
        Entry before = model.get(key);
        int expected = MacTable.HERE;
        if (before != null && before.port() != port) {
            expected = before.sticky() || before.fixed() ? MacTable.REFUSED : MacTable.MOVED;
        }
        assertEquals(
                expected,
                table.learn(key, port, now, PER_PORT, sticky, Integer.MAX_VALUE),
                "seed " + seed);
        if (expected == MacTable.REFUSED) {
            return;
        }
        if (before != null && before.port() == port) {
            model.put(key, new Entry(port, now, before.sticky(), before.fixed()));
            return;
        }
        model.remove(key);
        long mine = model.values().stream().filter(e -> e.port() == port && !e.fixed()).count();
        if (mine >= PER_PORT || model.size() == CAPACITY) {
            Long oldest =
                    model.entrySet().stream()
                            .filter(e -> e.getValue().port() == port)
                            .filter(e -> !e.getValue().fixed() && !e.getValue().sticky())
                            .min(Comparator.comparingInt(e -> e.getValue().seen()))
                            .map(Map.Entry::getKey)
                            .orElse(null);
            if (oldest == null) {
                return;
            }
            model.remove(oldest);
        }
        model.put(key, new Entry(port, now, sticky, false));
    }

    private static void check(MacTable table, Map<Long, Entry> model, int now, long seed) {
        assertEquals(model.size(), table.size(), "seed " + seed);
        for (int vlan = 1; vlan <= 2; vlan++) {
            for (int mac = 0; mac < 60; mac++) {
                long key = LearningSwitch.key(vlan, Lab.mac(mac));
                int entry = table.find(key);
                Entry expected = model.get(key);
                assertEquals(expected == null, entry == MacTable.NONE, "seed " + seed);
                if (expected != null) {
                    assertEquals(expected.port(), table.portOf(entry), "seed " + seed);
                    assertEquals(expected.fixed(), table.isStatic(entry), "seed " + seed);
                    boolean fresh = expected.fixed() || expected.sticky();
                    fresh |= now - expected.seen() < 100;
                    assertEquals(fresh, table.isFresh(entry, now, 100), "seed " + seed);
                }
            }
        }
    }

    @Test
    void oldAddressesMakeRoomBeforeTheTableIsFull() {
        MacTable table = new MacTable(100);
        for (int i = 0; i < 50; i++) {
            table.learn(Lab.mac(i), 1, 0, 64, false, 300);
        }
        for (int i = 0; i < 50; i++) {
            table.learn(Lab.mac(100 + i), 1, 1000, 64, false, 300);
        }
        assertEquals(50, table.size());
        assertEquals(MacTable.NONE, table.find(Lab.mac(3)));
        assertFalse(table.find(Lab.mac(149)) == MacTable.NONE);
    }
}
