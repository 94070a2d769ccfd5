package org.splitring.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.hypervisor.GrantFixture.BACKEND;
import static org.splitring.hypervisor.GrantFixture.GUEST;
import static org.splitring.hypervisor.GrantFixture.mapOne;
import static org.splitring.hypervisor.GrantFixture.page;
import static org.splitring.wire.GrantEntryV1Layout.FLAGS_AND_DOMID;
import static org.splitring.wire.GrantEntryV1Layout.GTF_ACCEPT_TRANSFER;
import static org.splitring.wire.GrantEntryV1Layout.GTF_INVALID;
import static org.splitring.wire.GrantEntryV1Layout.GTF_PERMIT_ACCESS;
import static org.splitring.wire.GrantEntryV1Layout.GTF_READING;
import static org.splitring.wire.GrantEntryV1Layout.GTF_SUB_PAGE;
import static org.splitring.wire.GrantEntryV1Layout.GTF_TRANSITIVE;
import static org.splitring.wire.GrantEntryV1Layout.GTF_WRITING;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// The grant entries of the hostile catalogue, one test each at least.
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class HostileGrantsTest {
    private static final long SEED = Long.getLong("splitring.seed", 20_261_121L);

    /// Time of this thread alone: what else the machine does is not counted.
    private static final java.lang.management.ThreadMXBean CPU_TIME =
            ManagementFactory.getThreadMXBean();

    private final SplittableRandom random = new SplittableRandom(SEED);

    @Test
    void h026_mappingsAreLimitedPerWindowPerGuestAndOverAllGuests() {
        MappingBudget total = new MappingBudget(100);
        List<CheckedForeignPages> windows = new ArrayList<>();
        int mapped = 0;
        for (int i = 0; i < 4; i++) {
            GrantFixture guest = new GrantFixture(64, 1, 30, total);
            for (int device = 0; device < 2; device++) {
                CheckedForeignPages window = guest.open(20);
                windows.add(window);
                GrantBatch batch = new GrantBatch(25);
                for (int n = 0; n < 25; n++) {
                    batch.add(guest.grantNewPage(false), true);
                }
                assertFalse(window.map(batch));
                for (int n = 0; n < 25; n++) {
                    assertEquals(
                            n < window.mappedCount() ? GrantStatus.OKAY : GrantStatus.NO_SPACE,
                            batch.status(n));
                }
                mapped += window.mappedCount();
                assertTrue(window.mappedCount() <= 20);
            }
            assertTrue(guest.pins.mapped() <= 30);
        }
        assertEquals(100, mapped);
        assertEquals(100, total.taken());
        windows.forEach(CheckedForeignPages::close);
        assertEquals(0, total.taken());
    }

    @Test
    void h070_unmappingTwiceOrWithAStaleHandleNeverCountsBelowZero() {
        GrantFixture guest = new GrantFixture(64, 1, 32);
        CheckedForeignPages window = guest.open(8);
        CheckedForeignPages other = guest.open(8);
        int gref = guest.grantNewPage(false);
        GrantBatch batch = new GrantBatch(4);
        batch.add(gref, true);
        batch.add(gref, false);
        batch.add(3, false); // reserved: never mapped
        assertFalse(window.map(batch));
        int stale = batch.handle(0);
        assertEquals(2, guest.pins.pinCount(gref));
        window.unmap(batch);
        assertEquals(0, guest.pins.pinCount(gref));
        window.unmap(batch);
        assertEquals(GrantStatus.BAD_HANDLE, batch.status(0));
        assertEquals(GrantStatus.BAD_HANDLE, batch.status(1));
        assertEquals(GrantStatus.BAD_GNTREF, batch.status(2));
        assertEquals(0, guest.pins.pinCount(gref));

        // The slot is used again; the old handle must not unmap what is there now.
        GrantBatch now = new GrantBatch(1);
        assertEquals(0, mapOne(window, now, gref, false));
        for (int handle : new int[] {stale, -1, 8, 12345, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
            GrantBatch forged = new GrantBatch(1);
            forged.add(gref, false);
            forged.set(0, GrantStatus.OKAY, handle, MemorySegment.NULL, 0);
            window.unmap(forged);
            assertEquals(GrantStatus.BAD_HANDLE, forged.status(0), "handle " + handle);
        }
        GrantBatch foreign = new GrantBatch(1);
        foreign.add(gref, false);
        foreign.set(0, GrantStatus.OKAY, now.handle(0), MemorySegment.NULL, 0);
        other.unmap(foreign);
        assertEquals(GrantStatus.BAD_HANDLE, foreign.status(0));
        assertEquals(1, guest.pins.pinCount(gref));
        assertEquals(1, guest.pins.mapped());
        assertEquals(0, other.mappedCount());
        window.unmap(now);
        assertEquals(0, guest.pins.mapped());
    }

    @Test
    void h070_readersAndWritersLeaveInEveryOrder() {
        GrantFixture guest = new GrantFixture(64, 1, 32);
        CheckedForeignPages window = guest.open(8);
        int gref = guest.grantNewPage(false);
        for (int pattern = 0; pattern < 16; pattern++) {
            for (int order = 0; order < 24; order++) {
                List<GrantBatch> held = new ArrayList<>();
                int writers = 0;
                for (int i = 0; i < 4; i++) {
                    GrantBatch batch = new GrantBatch(1);
                    boolean forWriting = (pattern >> i & 1) != 0;
                    assertEquals(0, mapOne(window, batch, gref, forWriting));
                    writers += forWriting ? 1 : 0;
                    held.add(batch);
                }
                int code = order;
                for (int left = 4; left > 0; left--) {
                    GrantBatch leaving = held.remove(code % left);
                    code /= left;
                    writers -= leaving.writable(0) ? 1 : 0;
                    window.unmap(leaving);
                    int bits = left > 1 ? GTF_READING | (writers > 0 ? GTF_WRITING : 0) : 0;
                    assertEquals(GTF_PERMIT_ACCESS | bits, guest.flags(gref));
                    assertEquals(left - 1, guest.pins.pinCount(gref));
                }
            }
        }
    }

    @Test
    void h071_h072_bitsAreThereAsLongAsAnyPinIsWhateverTwoDevicesDo() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gref = guest.grantNewPage(false);
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(3);
        List<Callable<Long>> devices = new ArrayList<>();
        for (int d = 0; d < 3; d++) {
            CheckedForeignPages window = guest.open(8);
            boolean writes = d != 1;
            devices.add(
                    () -> {
                        GrantBatch batch = new GrantBatch(1);
                        long rounds = 0;
                        while (!stop.get()) {
                            int status = mapOne(window, batch, gref, writes);
                            if (status == GrantStatus.OKAY) {
                                int flags = guest.flags(gref);
                                int wanted = GTF_READING | (writes ? GTF_WRITING : 0);
                                assertEquals(wanted, flags & wanted);
                                counted(++rounds, 1000, enough);
                            } else {
                                assertEquals(GrantStatus.EAGAIN, status);
                            }
                            window.unmap(batch);
                        }
                        window.close();
                        return rounds;
                    });
        }
        for (long rounds : runFor(1_500, stop, enough, devices)) {
            assertTrue(rounds >= 1000, "rounds " + rounds);
        }
        assertEquals(GTF_PERMIT_ACCESS, guest.flags(gref));
        assertEquals(0, guest.pins.pinCount(gref));
        assertEquals(0, guest.pins.mapped());
    }

    @Test
    void h073_everyErrorStatusIsNegativeAndHasAName() throws IllegalAccessException {
        int seen = 0;
        for (Field field : GrantStatus.class.getDeclaredFields()) {
            if (Modifier.isPublic(field.getModifiers()) && field.getType() == int.class) {
                int status = field.getInt(null);
                assertTrue(status <= 0, field.getName());
                assertEquals(status == 0, field.getName().equals("OKAY"));
                assertEquals(
                        ("GNTST_" + field.getName()).toLowerCase(Locale.ROOT),
                        GrantStatus.name(status).toLowerCase(Locale.ROOT));
                seen++;
            }
        }
        assertEquals(14, seen);
        GrantFixture guest = new GrantFixture(64, 1, 1);
        CheckedForeignPages window = guest.open(1);
        GrantBatch batch = new GrantBatch(4);
        for (int gref : new int[] {1, 511, 512, -1}) {
            batch.add(gref, true);
        }
        window.map(batch);
        for (int i = 0; i < 4; i++) {
            assertTrue(batch.status(i) < 0);
        }
    }

    @Test
    void h074_statusOfEveryElementIsAlwaysWritten() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(64);
        int size = 6;
        int[] good = new int[size];
        for (int i = 0; i < size; i++) {
            good[i] = guest.grantNewPage(false);
        }
        for (int pattern = 0; pattern < 1 << size; pattern++) {
            GrantBatch batch = new GrantBatch(size);
            for (int i = 0; i < size; i++) {
                batch.add((pattern >> i & 1) != 0 ? good[i] : 500, true);
                batch.set(i, 0x7FFF, -1, MemorySegment.NULL, 0);
            }
            assertEquals(pattern == (1 << size) - 1, window.map(batch));
            for (int i = 0; i < size; i++) {
                boolean ok = (pattern >> i & 1) != 0;
                assertEquals(ok ? GrantStatus.OKAY : GrantStatus.BAD_GNTREF, batch.status(i));
                assertEquals(ok, batch.handle(i) >= 0);
            }
            assertEquals(Integer.bitCount(pattern), window.mappedCount());
            window.unmap(batch);
            assertEquals(0, window.mappedCount());
        }
        window.close();
        GrantBatch late = new GrantBatch(1);
        late.add(good[0], false);
        late.set(0, 0x7FFF, -1, MemorySegment.NULL, 0);
        assertFalse(window.map(late));
        assertEquals(GrantStatus.GENERAL_ERROR, late.status(0));
    }

    @Test
    void h075_guestThatStoresIntoTheWordInALoopDelaysNobody() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gref = guest.grantNewPage(false);
        CheckedForeignPages window = guest.open(8);
        MemorySegment memory = guest.memory.segment();
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(2);
        // Keeps domid and type, and changes the cache bits, which mean nothing here: each store can
        // defeat a compare-and-set, and each attempt looks good.
        Callable<Long> writer =
                () -> {
                    long stores = 0;
                    while (!stop.get()) {
                        FLAGS_AND_DOMID.setVolatile(
                                memory, gref * 8L, GTF_PERMIT_ACCESS | (((int) stores & 7) << 5));
                        counted(++stores, 1000, enough);
                    }
                    return stores;
                };
        Callable<Long> device =
                () -> {
                    GrantBatch batch = new GrantBatch(1);
                    long calls = 0;
                    while (!stop.get()) {
                        int status = mapOne(window, batch, gref, (calls & 1) == 0);
                        assertTrue(
                                status == GrantStatus.OKAY || status == GrantStatus.EAGAIN,
                                "status " + status);
                        window.unmap(batch);
                        counted(++calls, 1000, enough);
                    }
                    return calls;
                };
        List<Long> counts = runFor(1_000, stop, enough, List.of(writer, device));
        assertTrue(counts.get(0) >= 1000, "stores " + counts);
        assertTrue(counts.get(1) >= 1000, "calls " + counts);
        assertEquals(0, guest.pins.pinCount(gref));
        assertEquals(0, window.mappedCount());
    }

    @Test
    void h075_attemptsAtAWordOfTheGuestAreCountedAndEnd() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        // One attempt instead of 64, so that a writing guest wins now and then.
        GrantPins pins =
                new GrantPins(guest.memory, GUEST, 0, 1, DomainLimits.DEFAULT, guest.total, 1);
        CheckedForeignPages window = pins.open(BACKEND, 8, ContiguousMapper.NONE);
        int gref = 30;
        guest.writeEntry(gref, GTF_PERMIT_ACCESS, 0, 5);
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(1);
        Callable<Long> writer =
                () -> {
                    for (long stores = 0; ; stores++) {
                        if (stop.get()) {
                            return stores;
                        }
                        FLAGS_AND_DOMID.setVolatile(
                                guest.memory.segment(),
                                gref * 8L,
                                GTF_PERMIT_ACCESS | (((int) stores & 7) << 5));
                    }
                };
        Callable<Long> device =
                () -> {
                    GrantBatch batch = new GrantBatch(1);
                    long refused = 0;
                    while (!stop.get()) {
                        int status = mapOne(window, batch, gref, false);
                        if (status != GrantStatus.OKAY) {
                            assertEquals(GrantStatus.EAGAIN, status);
                            counted(++refused, 10, enough);
                        }
                        window.unmap(batch);
                    }
                    return refused;
                };
        // With one processor the writer wins only when it is its turn just then: once a second.
        long refused = runFor(0, stop, enough, List.of(device, writer)).getFirst();
        assertTrue(refused > 0);
        assertTrue(pins.contendedEntries() >= refused, pins.contendedEntries() + " " + refused);
        assertEquals(0, pins.pinCount(gref));
        assertEquals(0, pins.mapped());
    }

    @Test
    void h075_backendThatKeepsChangingTheWordMakesARevocationFailNotHang() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gref = guest.grantNewPage(false);
        MemorySegment memory = guest.memory.segment();
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(1);
        Callable<Long> backend =
                () -> {
                    long stores = 0;
                    while (!stop.get()) {
                        FLAGS_AND_DOMID.setVolatile(
                                memory, gref * 8L, GTF_PERMIT_ACCESS | (((int) stores & 3) << 3));
                        stores++;
                    }
                    return stores;
                };
        Callable<Long> frontend =
                () -> {
                    long calls = 0;
                    while (!stop.get()) {
                        if (guest.table.tryRevoke(gref)) {
                            guest.table.grant(gref, BACKEND, 5, false);
                        }
                        counted(++calls, 1000, enough);
                    }
                    return calls;
                };
        List<Long> counts = runFor(500, stop, enough, List.of(backend, frontend));
        assertTrue(counts.get(1) >= 1000, "calls " + counts);
    }

    @Test
    void h076_h077_transitiveAndSubPageGrantsAreRefused() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        MemorySegment mine = Arena.ofAuto().allocate(16);
        for (int flags :
                new int[] {
                    GTF_TRANSITIVE, GTF_TRANSITIVE | GTF_SUB_PAGE, GTF_PERMIT_ACCESS | GTF_SUB_PAGE
                }) {
            guest.writeEntry(20, flags, 0, 5);
            for (boolean forWriting : new boolean[] {false, true}) {
                assertEquals(GrantStatus.BAD_GNTREF, mapOne(window, batch, 20, forWriting));
            }
            assertEquals(GrantStatus.BAD_GNTREF, window.copyFrom(20, 0, mine, 0, 16));
            assertEquals(GrantStatus.BAD_GNTREF, window.copyTo(20, 0, mine, 0, 16));
            assertEquals(flags, guest.flags(20));
        }
        assertEquals(0, window.mappedCount());
    }

    @Test
    void h078_thereIsNoVersionSwitchAndASmallerTableChangesNothing() throws GrantException {
        GrantFixture guest = new GrantFixture(64, 2, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        guest.writeEntry(1000, GTF_PERMIT_ACCESS, 0, 5);
        assertEquals(0, mapOne(window, batch, 1000, true));
        guest.pins.grow(1); // a switch would halve the entries; there is none
        assertEquals(1024, guest.pins.entries());
        window.unmap(batch);
        assertEquals(GTF_PERMIT_ACCESS, guest.flags(1000));
        assertEquals(0, mapOne(window, batch, 1000, true));
        window.unmap(batch);
    }

    @Test
    void h079_whileAPageIsPinnedEverythingComesFromTheRecord() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        int gref = guest.table.claim();
        guest.memory.pages(9, 1).set(ValueLayout.JAVA_INT, 0, 0x600D);
        guest.memory.pages(10, 1).set(ValueLayout.JAVA_INT, 0, 0xBAD);
        guest.table.grant(gref, BACKEND, 9, false);
        GrantBatch first = new GrantBatch(1);
        GrantBatch second = new GrantBatch(1);
        MemorySegment mine = Arena.ofAuto().allocate(16);
        assertEquals(0, mapOne(window, first, gref, true));
        for (int flags :
                new int[] {
                    GTF_PERMIT_ACCESS,
                    GTF_TRANSITIVE,
                    GTF_ACCEPT_TRANSFER,
                    GTF_INVALID,
                    GTF_PERMIT_ACCESS | GTF_SUB_PAGE
                }) {
            guest.writeEntry(gref, flags, 3, 10);
            assertEquals(0, mapOne(window, second, gref, true));
            assertEquals(first.offset(0), second.offset(0));
            assertEquals(0x600D, page(second, 0).get(ValueLayout.JAVA_INT, 0));
            assertEquals(0, window.copyFrom(gref, 0, mine, 0, 4));
            assertEquals(0x600D, mine.get(ValueLayout.JAVA_INT, 0));
            window.unmap(second);
        }
        window.unmap(first);
        assertNotEquals(GrantStatus.OKAY, mapOne(window, first, gref, true));
    }

    @Test
    void h079_frameIsReadOnceAndNeverPointsOutside() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gref = 40;
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(1);
        Callable<Long> flipper =
                () -> {
                    long stores = 0;
                    while (!stop.get()) {
                        guest.writeEntry(gref, GTF_PERMIT_ACCESS, 0, 5);
                        guest.writeEntry(gref, GTF_PERMIT_ACCESS, 0, 0x7FFFFFFF);
                        stores++;
                    }
                    return stores;
                };
        CheckedForeignPages window = guest.open(8);
        Callable<Long> device =
                () -> {
                    GrantBatch batch = new GrantBatch(1);
                    long mapped = 0;
                    while (!stop.get()) {
                        if (mapOne(window, batch, gref, true) == GrantStatus.OKAY) {
                            assertEquals(5 * 4096L, batch.offset(0));
                            counted(++mapped, 10, enough);
                        }
                        window.unmap(batch);
                    }
                    return mapped;
                };
        List<Long> counts = runFor(700, stop, enough, List.of(flipper, device));
        assertTrue(counts.get(1) >= 10, "mapped " + counts);
    }

    @Test
    void h080_batchesOfExactlyTheSizeAndOneMore() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(8);
        for (int i = 0; i < 8; i++) {
            batch.add(guest.grantNewPage(false), true);
        }
        assertThrows(IndexOutOfBoundsException.class, () -> batch.add(8, true));
        assertEquals(8, batch.size());
        assertTrue(window.map(batch));
        GrantBatch more = new GrantBatch(1);
        assertEquals(GrantStatus.NO_SPACE, mapOne(window, more, guest.grantNewPage(false), false));
        window.unmap(batch);
        assertEquals(0, guest.pins.mapped());

        // The table itself: the last frame that fits, and one more.
        assertThrows(IllegalStateException.class, () -> new GrantFixture(64, 33, 64));
        assertEquals(32 * 512, new GrantFixture(64, 32, 64).pins.entries());
    }

    @Test
    void h081_hundredThousandMappingsInRandomOrderTakeLinearTime() {
        unmapInRandomOrder(12_500); // once to warm up
        long small = Long.MAX_VALUE;
        long large = Long.MAX_VALUE;
        for (int round = 0; round < 5; round++) {
            small = Math.min(small, unmapInRandomOrder(12_500));
            large = Math.min(large, unmapInRandomOrder(100_000));
        }
        // Eight times as many; a search through a list would be 64 times as long. Caches cost some.
        assertTrue(large < 40 * small, small + " ns for 12,500 and " + large + " for 100,000");
    }

    private long unmapInRandomOrder(int count) {
        GrantFixture guest = new GrantFixture(64, 32, 200_000);
        int entries = 32 * 512 - 8;
        for (int gref = 8; gref < 32 * 512; gref++) {
            guest.writeEntry(gref, GTF_PERMIT_ACCESS, 0, 40);
        }
        CheckedForeignPages window = guest.open(count);
        int[] order = new int[count]; // the handles, and little else, so that caches matter little
        GrantBatch batch = new GrantBatch(1);
        long start = CPU_TIME.getCurrentThreadCpuTime();
        for (int i = 0; i < count; i++) {
            batch.clear();
            batch.add(8 + i % entries, (i & 1) == 0);
            assertTrue(window.map(batch));
            order[i] = batch.handle(0);
        }
        long mapped = CPU_TIME.getCurrentThreadCpuTime();
        for (int i = count - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        long shuffled = CPU_TIME.getCurrentThreadCpuTime();
        for (int handle : order) {
            batch.clear();
            batch.add(8, false);
            batch.set(0, GrantStatus.OKAY, handle, MemorySegment.NULL, 0);
            window.unmap(batch);
        }
        long end = CPU_TIME.getCurrentThreadCpuTime();
        assertEquals(0, window.mappedCount());
        assertEquals(0, guest.pins.mapped());
        return mapped - start + end - shuffled;
    }

    @Test
    void h082_everyReferenceOfEveryOperationIsChecked() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        MemorySegment mine = Arena.ofAuto().allocate(16);
        for (int reserved = 0; reserved < 8; reserved++) {
            guest.writeEntry(reserved, GTF_PERMIT_ACCESS, 0, 5);
        }
        for (int gref :
                new int[] {0, 1, 7, 511, 512, 513, Integer.MAX_VALUE, Integer.MIN_VALUE, -1}) {
            String what = "gref " + Integer.toUnsignedString(gref);
            assertEquals(GrantStatus.BAD_GNTREF, mapOne(window, batch, gref, false), what);
            assertEquals(GrantStatus.BAD_GNTREF, mapOne(window, batch, gref, true), what);
            assertEquals(GrantStatus.BAD_GNTREF, window.copyFrom(gref, 0, mine, 0, 4), what);
            assertEquals(GrantStatus.BAD_GNTREF, window.copyTo(gref, 0, mine, 0, 4), what);
            GrantException refused =
                    assertThrows(
                            GrantException.class, () -> window.mapContiguous(new int[] {gref}));
            assertEquals(GrantStatus.BAD_GNTREF, refused.status(), what);
        }
        guest.writeEntry(511, GTF_PERMIT_ACCESS, 0, 5);
        assertEquals(0, mapOne(window, batch, 511, true));
        window.unmap(batch);
    }

    @Test
    void h082_noWindowAndNoRecordWithoutATableInsideTheMemory() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        DomainLimits limits = DomainLimits.DEFAULT;
        int[][] wrong = {{0, 0}, {0, -1}, {-1, 1}, {64, 1}, {63, 2}, {0, 33}, {1 << 30, 2}};
        for (int[] table : wrong) {
            GrantException e =
                    assertThrows(
                            GrantException.class,
                            () ->
                                    new GrantPins(
                                            guest.memory,
                                            GUEST,
                                            table[0],
                                            table[1],
                                            limits,
                                            guest.total),
                            Arrays.toString(table));
            assertTrue(e.status() < 0);
        }
    }

    @Test
    void h083_growthThatIsRefusedLeavesTheTableAsItWas() throws GrantException {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        int gref = guest.grantNewPage(false);
        assertEquals(0, mapOne(window, batch, gref, true));
        for (int frames : new int[] {33, 65, Integer.MAX_VALUE, 0, -1}) {
            assertThrows(GrantException.class, () -> guest.pins.grow(frames));
            assertEquals(512, guest.pins.entries());
        }
        guest.pins.grow(2);
        assertEquals(1024, guest.pins.entries());
        assertEquals(1, guest.pins.pinCount(gref));
        // Page 1 belongs to the table now: it is no page to be granted.
        guest.writeEntry(600, GTF_PERMIT_ACCESS, 0, 1);
        GrantBatch table = new GrantBatch(1);
        assertEquals(GrantStatus.BAD_PAGE, mapOne(window, table, 600, true));
        window.unmap(batch);
        assertEquals(0, guest.pins.pinCount(gref));
    }

    @Test
    void h065_tableGrowsWhileDevicesMap() throws Exception {
        GrantFixture guest = new GrantFixture(128, 1, 64);
        int gref = guest.table.claim();
        guest.table.grant(gref, BACKEND, 100, false);
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(1);
        List<Callable<Long>> parts = new ArrayList<>();
        for (int d = 0; d < 2; d++) {
            CheckedForeignPages window = guest.open(8);
            parts.add(
                    () -> {
                        GrantBatch batch = new GrantBatch(1);
                        long mapped = 0;
                        while (!stop.get()) {
                            int status = mapOne(window, batch, gref, true);
                            assertTrue(status == 0 || status == GrantStatus.EAGAIN, "" + status);
                            mapped += status == 0 ? 1 : 0;
                            window.unmap(batch);
                        }
                        return mapped;
                    });
        }
        parts.add(
                () -> {
                    for (int frames = 2; frames <= 32; frames++) {
                        guest.pins.grow(frames);
                        assertEquals(frames * 512, guest.pins.entries());
                        Thread.onSpinWait();
                    }
                    enough.countDown();
                    return 1L;
                });
        runFor(500, stop, enough, parts);
        assertEquals(0, guest.pins.pinCount(gref));
        assertEquals(GTF_PERMIT_ACCESS, guest.flags(gref));
    }

    @Test
    void h084_pageTransferIsRefused() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        for (int extra : new int[] {0, 1 << 2, 1 << 3, 3 << 2}) {
            guest.writeEntry(30, GTF_ACCEPT_TRANSFER | extra, 0, 5);
            assertEquals(GrantStatus.BAD_GNTREF, mapOne(window, batch, 30, false));
            assertEquals(GTF_ACCEPT_TRANSFER | extra, guest.flags(30));
        }
    }

    @Test
    void h085_pageThatABackendKeepsIsQuarantinedUntilItLetsGo() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        int freePages = guest.pages.freeCount();
        int freeRefs = guest.table.freeCount();
        int gfn = guest.pages.allocate(1);
        int gref = guest.table.claim();
        guest.table.grant(gref, BACKEND, gfn, false);
        assertEquals(0, mapOne(window, batch, gref, true));
        assertFalse(guest.table.tryRevoke(gref));
        guest.table.quarantine(gref, gfn);
        assertEquals(1, guest.table.quarantinedCount());
        for (int i = 0; i < 200; i++) {
            int other = guest.table.claim(); // tries the quarantine each time
            assertNotEquals(gref, other);
            guest.table.unclaim(other);
            int page = guest.pages.allocate(1);
            assertNotEquals(gfn, page);
            guest.pages.free(page, 1);
        }
        assertEquals(0, guest.table.retryQuarantined());
        window.unmap(batch);
        assertEquals(1, guest.table.retryQuarantined());
        assertEquals(0, guest.table.quarantinedCount());
        assertEquals(freePages, guest.pages.freeCount());
        assertEquals(freeRefs, guest.table.freeCount());
    }

    @Test
    void h085_nothingIsFreedTwice() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gref = guest.table.claim();
        int gfn = guest.pages.allocate(1);
        guest.table.grant(gref, BACKEND, gfn, false);
        assertThrows(IllegalStateException.class, () -> guest.table.unclaim(gref));
        assertThrows(
                IllegalStateException.class, () -> guest.table.grant(gref, BACKEND, gfn, false));
        guest.table.quarantine(gref, gfn);
        assertThrows(IllegalStateException.class, () -> guest.table.quarantine(gref, gfn));
        assertThrows(IllegalStateException.class, () -> guest.table.tryRevoke(gref));
        assertThrows(IllegalStateException.class, () -> guest.table.unclaim(gref));
        assertEquals(1, guest.table.retryQuarantined());
        assertThrows(IllegalStateException.class, () -> guest.pages.free(gfn, 1));
        assertThrows(IllegalStateException.class, () -> guest.table.unclaim(gref));

        // One page behind two references comes back with the last of them.
        int page = guest.pages.allocate(1);
        int one = guest.table.claim();
        int two = guest.table.claim();
        guest.table.grant(one, BACKEND, page, false);
        guest.table.grant(two, BACKEND, page, true);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        assertEquals(0, mapOne(window, batch, two, false));
        guest.table.quarantine(one, page);
        guest.table.quarantine(two, page);
        int free = guest.pages.freeCount();
        assertEquals(1, guest.table.retryQuarantined());
        assertEquals(free, guest.pages.freeCount());
        window.unmap(batch);
        assertEquals(1, guest.table.retryQuarantined());
        assertEquals(free + 1, guest.pages.freeCount());
    }

    @Test
    void h085_revokeAgainstMapNeverLetsBothWin() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gref = guest.table.claim();
        int gfn = guest.pages.allocate(1);
        MemorySegment page = guest.memory.pages(gfn, 1);
        CheckedForeignPages window = guest.open(8);
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(2);
        AtomicLong owner = new AtomicLong(); // bit 0: guest has it to itself; bit 1: mapped
        Callable<Long> frontend =
                () -> {
                    long rounds = 0;
                    while (!stop.get()) {
                        guest.table.grant(gref, BACKEND, gfn, false);
                        while (!guest.table.tryRevoke(gref)) {
                            Thread.onSpinWait();
                        }
                        assertEquals(0, owner.getAndAdd(1), "revoked while it is mapped");
                        page.set(ValueLayout.JAVA_INT, 0, (int) rounds);
                        owner.getAndAdd(-1);
                        counted(++rounds, 10_000, enough);
                    }
                    return rounds;
                };
        Callable<Long> backend =
                () -> {
                    GrantBatch batch = new GrantBatch(1);
                    long mapped = 0;
                    while (!stop.get()) {
                        if (mapOne(window, batch, gref, true) == GrantStatus.OKAY) {
                            assertEquals(0, owner.getAndAdd(2), "mapped while it is private");
                            owner.getAndAdd(-2);
                            counted(++mapped, 1000, enough);
                        }
                        window.unmap(batch);
                    }
                    return mapped;
                };
        List<Long> counts = runFor(2_000, stop, enough, List.of(frontend, backend));
        assertTrue(counts.get(0) >= 10_000 && counts.get(1) >= 1000, "counts " + counts);
        assertEquals(0, guest.pins.pinCount(gref));
    }

    @Test
    void h086_nothingOfTheGuestsPastIsOnGrantedPages() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        byte canary = (byte) 0xC7;
        // The guest has used all its memory for itself, and given it back.
        int all = guest.pages.freeCount();
        int first = guest.pages.allocate(all);
        guest.memory.pages(first, all).fill(canary);
        guest.pages.free(first, all);
        CheckedForeignPages window = guest.open(64);
        GrantBatch batch = new GrantBatch(all);
        for (int i = 0; i < all; i++) {
            batch.add(guest.grantNewPage(true), false);
        }
        assertTrue(window.map(batch));
        for (int i = 0; i < all; i++) {
            for (byte b : page(batch, i).toArray(ValueLayout.JAVA_BYTE)) {
                assertNotEquals(canary, b);
            }
        }
        window.unmap(batch);
    }

    @Test
    void h087_manyDevicesOfOneGuestMapTheSameReferences() throws Exception {
        GrantFixture guest = new GrantFixture(64, 1, 512);
        int[] grefs = new int[8];
        for (int i = 0; i < grefs.length; i++) {
            grefs[i] = guest.grantNewPage(false);
        }
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch enough = new CountDownLatch(6);
        List<Callable<Long>> devices = new ArrayList<>();
        for (int d = 0; d < 6; d++) {
            CheckedForeignPages window = guest.open(32);
            SplittableRandom mine = random.split();
            devices.add(
                    () -> {
                        GrantBatch batch = new GrantBatch(16);
                        long mapped = 0;
                        while (!stop.get()) {
                            batch.clear();
                            int n = 1 + mine.nextInt(16);
                            for (int i = 0; i < n; i++) {
                                batch.add(grefs[mine.nextInt(grefs.length)], mine.nextBoolean());
                            }
                            window.map(batch);
                            for (int i = 0; i < n; i++) {
                                if (batch.status(i) == GrantStatus.OKAY) {
                                    int flags = guest.flags(batch.gref(i));
                                    assertTrue((flags & GTF_READING) != 0);
                                    assertTrue(!batch.writable(i) || (flags & GTF_WRITING) != 0);
                                    counted(++mapped, 100, enough);
                                } else {
                                    assertEquals(GrantStatus.EAGAIN, batch.status(i));
                                }
                            }
                            window.unmap(batch);
                            assertEquals(0, window.mappedCount());
                        }
                        window.close();
                        return mapped;
                    });
        }
        for (long mapped : runFor(1_500, stop, enough, devices)) {
            assertTrue(mapped >= 100, "mapped " + mapped);
        }
        assertEquals(0, guest.pins.mapped());
        assertEquals(0, guest.total.taken());
        for (int gref : grefs) {
            assertEquals(0, guest.pins.pinCount(gref));
            assertEquals(GTF_PERMIT_ACCESS, guest.flags(gref));
            assertTrue(guest.table.tryRevoke(gref));
        }
    }

    @Test
    void h088_backendThatScribblesInTheTableCannotMakeTheGuestReuseAHeldPage() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        int gfn = guest.pages.allocate(1);
        int gref = guest.table.claim();
        guest.table.grant(gref, BACKEND, gfn, false);
        for (int flags = 0; flags < 0x200; flags++) {
            guest.writeEntry(gref, flags, flags & 7, -1);
            boolean ended = guest.table.tryRevoke(gref);
            assertEquals((flags & (GTF_READING | GTF_WRITING)) == 0, ended);
            if (ended) {
                guest.table.grant(gref, BACKEND, gfn, false);
            }
        }
    }

    @Test
    void h089_contentsThatChangeAfterGrantingAreJustOtherContents() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        int gfn = guest.pages.allocate(1);
        int gref = guest.table.claim();
        guest.table.grant(gref, BACKEND, gfn, false);
        guest.memory.pages(gfn, 1).fill((byte) 7);
        GrantBatch batch = new GrantBatch(1);
        assertEquals(0, mapOne(window, batch, gref, false));
        MemorySegment copy = Arena.ofAuto().allocate(4096);
        assertEquals(0, window.copyFrom(gref, 0, copy, 0, 4096));
        guest.memory.pages(gfn, 1).fill((byte) 0); // as a punched hole reads
        assertEquals(0, page(batch, 0).get(ValueLayout.JAVA_BYTE, 100));
        assertEquals(7, copy.get(ValueLayout.JAVA_BYTE, 100)); // the private copy stands
        window.unmap(batch);
    }

    @Test
    void h064_closingAWindowWithVeryManyMappingsGoesInSlices() throws GrantException {
        GrantFixture guest = new GrantFixture(64, 32, 20_000);
        for (int gref = 8; gref < 32 * 512; gref++) {
            guest.writeEntry(gref, GTF_PERMIT_ACCESS, 0, 40);
        }
        CheckedForeignPages window = guest.open(16_384);
        GrantBatch batch = new GrantBatch(16_000);
        for (int i = 0; i < 16_000; i++) {
            batch.add(8 + i, false);
        }
        assertTrue(window.map(batch));
        window.mapContiguous(new int[] {16_100});
        int slices = 0;
        int before = window.mappedCount();
        while (!window.closeSome(256)) {
            assertTrue(before - window.mappedCount() <= 256);
            before = window.mappedCount();
            slices++;
        }
        assertTrue(slices >= 62, "slices " + slices);
        assertEquals(0, guest.pins.mapped());
        window.unmap(batch); // late: the device's batches are void now
        assertEquals(GrantStatus.BAD_HANDLE, batch.status(0));
        assertEquals(0, guest.pins.mapped());
        window.close();
        window.close();
    }

    @Test
    void j03_unsignedFieldsAreWidenedWhenTheyAreRead() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(8);
        GrantBatch batch = new GrantBatch(1);
        guest.writeEntry(50, GTF_PERMIT_ACCESS | 0x8000, 0, 5); // flags with the top bit
        assertEquals(0, mapOne(window, batch, 50, true));
        assertEquals(GTF_PERMIT_ACCESS | 0x8000 | GTF_READING | GTF_WRITING, guest.flags(50));
        window.unmap(batch);
        guest.writeEntry(50, GTF_PERMIT_ACCESS, 0x8000, 5); // a domid that sign extension spoils
        assertEquals(GrantStatus.PERMISSION_DENIED, mapOne(window, batch, 50, true));
        guest.writeEntry(50, GTF_PERMIT_ACCESS, 0xFFFF, 5);
        assertEquals(GrantStatus.PERMISSION_DENIED, mapOne(window, batch, 50, true));
        guest.writeEntry(50, GTF_PERMIT_ACCESS, 0, 0x80000005);
        assertEquals(GrantStatus.BAD_PAGE, mapOne(window, batch, 50, true));
    }

    @Test
    void j02_memoryGoesOnlyWhenTheLastWindowHasClosed() throws GrantException {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages one = guest.open(8);
        CheckedForeignPages two = guest.open(8);
        AtomicLong released = new AtomicLong();
        int gref = guest.grantNewPage(false);
        GrantBatch batch = new GrantBatch(1);
        guest.pins.retire(released::incrementAndGet);
        assertEquals(0, mapOne(one, batch, gref, true)); // a device that is there still finishes
        GrantException e =
                assertThrows(
                        GrantException.class,
                        () -> guest.pins.open(BACKEND, 8, ContiguousMapper.NONE));
        assertEquals(GrantStatus.BAD_DOMAIN, e.status());
        two.close();
        two.close();
        assertEquals(0, released.get());
        one.close();
        assertEquals(1, released.get());
        assertEquals(0, guest.pins.mapped());
    }

    @Test
    void j08_refusalsAreStatusesNotExceptions() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(16);
        GrantBatch batch = new GrantBatch(3);
        guest.writeEntry(20, GTF_TRANSITIVE, 0, 5);
        guest.writeEntry(21, GTF_PERMIT_ACCESS, 0, -1);
        MemorySegment mine = Arena.ofAuto().allocate(16);
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = Long.MAX_VALUE;
        for (int round = 0; round < 20 && allocated > 1_000; round++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 20_000; i++) {
                batch.clear();
                batch.add(20, true);
                batch.add(21, false);
                batch.add(-1, false);
                window.map(batch);
                window.unmap(batch);
                window.copyFrom(20, 0, mine, 0, 16);
                window.copyTo(8, 4095, mine, 0, 16);
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertTrue(allocated <= 1_000, allocated + " bytes in 20,000 rounds of refusals");
    }

    @Test
    void j07_mappingAndCopyingAllocateNothing() {
        GrantFixture guest = new GrantFixture(64, 1, 64);
        CheckedForeignPages window = guest.open(16);
        GrantBatch batch = new GrantBatch(8);
        int[] grefs = new int[8];
        for (int i = 0; i < 8; i++) {
            grefs[i] = guest.grantNewPage(false);
        }
        MemorySegment mine = Arena.ofAuto().allocate(4096);
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = Long.MAX_VALUE;
        for (int round = 0; round < 20 && allocated > 1_000; round++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 20_000; i++) {
                batch.clear();
                for (int gref : grefs) {
                    batch.add(gref, (i & 1) == 0);
                }
                window.map(batch);
                window.unmap(batch);
                window.copyFrom(grefs[0], 0, mine, 0, 512);
                guest.table.tryRevoke(grefs[1]);
                guest.table.grant(grefs[1], BACKEND, 20, false);
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertTrue(allocated <= 1_000, allocated + " bytes in 20,000 rounds");
    }

    /// Says once that a part has done what it must have done.
    private static void counted(long count, long wanted, CountDownLatch enough) {
        if (count == wanted) {
            enough.countDown();
        }
    }

    /// Runs all parts until the time is over and all of them have done enough, however late their
    /// threads had their turn, and hands on what any of them threw.
    private static List<Long> runFor(
            long millis, AtomicBoolean stop, CountDownLatch enough, List<Callable<Long>> parts)
            throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        try {
            long start = System.nanoTime();
            List<Future<Long>> futures = new ArrayList<>();
            for (Callable<Long> part : parts) {
                futures.add(threads.submit(part));
            }
            while (!isOver(System.nanoTime() - start, millis, enough)
                    && futures.stream().noneMatch(HostileGrantsTest::hasFailed)) {
                TimeUnit.MILLISECONDS.sleep(1);
            }
            stop.set(true);
            List<Long> results = new ArrayList<>();
            for (Future<Long> future : futures) {
                results.add(future.get(20, TimeUnit.SECONDS));
            }
            return results;
        } finally {
            stop.set(true);
            threads.shutdownNow();
        }
    }

    private static boolean isOver(long nanos, long millis, CountDownLatch enough) {
        return nanos > TimeUnit.SECONDS.toNanos(20)
                || (nanos > TimeUnit.MILLISECONDS.toNanos(millis) && enough.getCount() == 0);
    }

    private static boolean hasFailed(Future<Long> part) {
        return part.state() == Future.State.FAILED;
    }
}
