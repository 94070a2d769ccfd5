package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.blkback.image.FaultyFile;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Loses power under a raw image while a guest uses its ring: before and after each
/// synchronisation, and after each change that reaches the file; with what waits for storage done
/// in any order. Each sector then holds a version that the promise of the mode allows, and is
/// never torn; and a disk that becomes larger and smaller meanwhile has one of its sizes.
/// `-Dsplitring.seed=123` has another run.
@Timeout(60)
class RawDiskPowerLossTest {
    private static final int SECTOR = DiskImage.SECTOR_SIZE;
    private static final int SECTORS = 96; // at last
    private static final int SECTORS_AT_FIRST = 48;
    private static final int SECTORS_AT_LEAST = 40;
    private static final int RUNS = 25;
    private static final int STEPS = 160;

    private final long seed = Long.getLong("splitring.seed", 20_261_126L);

    @TempDir Path folder;

    /// Of one sector: what was written to it, in order. Writes to it never overlap in time, as a
    /// guest's file system sees to.
    private static final class History {
        final List<Long> versions = new ArrayList<>(List.of(0L));

        /// Version that has been answered, and version that must outlive a loss of power.
        int answered;

        int promised;
        boolean busy;

        /// Version that is written now.
        @Nullable Long writing;

        /// When all is done that is under way it holds this version or a later one. There is a
        /// later one only where nobody can tell which of them came last.
        int sure;

        /// Of the sizes, the one that the disk had when the promise was asked for.
        int promisedAt;

        void write(long version) {
            writing = version;
            versions.add(version);
            sure = versions.size() - 1;
        }

        /// It is cut off: zeros if the disk becomes larger again, or what is just being written.
        int cut() {
            sure = versions.size();
            versions.add(0L);
            if (writing != null) {
                versions.add(writing);
            }
            return sure;
        }

        /// A write that was answered with an error may have been done or not.
        void failed() {
            List<Long> possible = versions.subList(answered, versions.size());
            sure = versions.size();
            versions.addAll(List.copyOf(possible));
            answered = sure;
        }
    }

    /// A write had been begun when the disk became smaller, and may make the file longer for a
    /// moment.
    private record Late(int sectors, int mostSectors, int size) {}

    /// @param covers what had been answered when it was sent, and behind it the size
    @SuppressWarnings("ArrayRecordComponent") // compared by nobody
    private record Request(
            int operation, int first, int count, long version, List<Integer> pages, int[] covers) {}

    private final class Guest {
        final Random random;
        final Random losses;
        final DiskMode mode;
        final FaultyFile file;
        final List<Runnable> work = new ArrayList<>();
        final QueueRig rig;
        final History[] sectors = new History[SECTORS];
        final Map<Long, Request> sent = new HashMap<>();
        final ArrayDeque<Integer> freePages = new ArrayDeque<>();
        final DiskImage disk;
        final List<Integer> sizes = new ArrayList<>(List.of(SECTORS_AT_FIRST));
        int promisedSize; // of these
        boolean resizing;
        final List<Late> lates = new ArrayList<>();
        boolean late; // until the write has ended
        boolean nested;
        int cuts;
        int errors;
        long lastId;
        int looks;
        int flushes;
        @Nullable AssertionError wrong;

        Guest(long runSeed, DiskMode mode) throws IOException {
            this.random = new Random(runSeed);
            this.losses = new Random(runSeed + 1);
            this.mode = mode;
            Path image =
                    Files.write(folder.resolve("disk.img"), new byte[SECTORS_AT_FIRST * SECTOR]);
            file = new FaultyFile(image);
            file.noWait(
                    List.of(FaultyFile.NoWait.values())
                            .get(random.nextInt(FaultyFile.NoWait.values().length)),
                    random);
            Executor anyOrder = work::add;
            disk = DiskImage.of(file.open(mode == DiskMode.WRITETHROUGH), mode, anyOrder);
            rig =
                    new QueueRig(
                            disk, BlkifLayout.X86_64, 0xFFFF_FFF0, anyOrder, DomainLimits.DEFAULT);
            for (int i = 0; i < SECTORS; i++) {
                sectors[i] = new History();
            }
            for (int i = 0; i < QueueRig.DATA_PAGES; i++) {
                freePages.add(i);
            }
            file.setWitness(this::look);
            file.setBeforeWrite(this::cutUnderAWrite);
        }

        void run() {
            for (int step = 0; step < STEPS; step++) {
                if (random.nextInt(3) > 0 && sent.size() < 24) {
                    send();
                }
                if (random.nextInt(2) == 0) {
                    rig.publish();
                    rig.queue.poll(64);
                    late = false;
                }
                if (random.nextInt(2) == 0 && !work.isEmpty()) {
                    runAny();
                }
                if (random.nextInt(2) == 0) {
                    rig.loop.pump();
                    late = false;
                }
                if (random.nextInt(24) == 0) {
                    resize(random.nextInt(3) == 0 ? smaller() : larger());
                }
                takeAnswers();
                if (wrong != null) {
                    throw wrong;
                }
            }
            rig.publish();
            rig.queue.poll(64);
            for (int i = 0; rig.queue.inFlight() > 0 || !work.isEmpty(); i++) {
                assertTrue(i < 10_000, "requests that are never answered");
                if (!work.isEmpty()) {
                    runAny();
                }
                rig.loop.pump();
                late = false;
            }
            takeAnswers();
            assertEquals(0, sent.size());
            look();
            if (wrong != null) {
                throw wrong;
            }
        }

        private void runAny() {
            work.remove(random.nextInt(work.size())).run();
            late = false;
        }

        private int larger() {
            return Math.min(SECTORS, sizes.getLast() + 1 + random.nextInt(16));
        }

        private int smaller() {
            return SECTORS_AT_LEAST + random.nextInt(sizes.getLast() + 1 - SECTORS_AT_LEAST);
        }

        private void resize(int size) {
            int before = sizes.getLast();
            if (size == before) {
                return;
            }
            int[] cut = new int[SECTORS];
            for (int s = size; s < before; s++) {
                cut[s] = sectors[s].cut();
                cuts++;
            }
            sizes.add(size);
            resizing = true;
            try {
                disk.resize((long) size * SECTOR);
            } catch (DiskException e) {
                throw new AssertionError(e);
            }
            resizing = false;
            for (int s = size; s < before; s++) {
                sectors[s].answered = cut[s];
            }
        }

        /// The disk becomes smaller when a write has been begun, which may be beyond the new end.
        private void cutUnderAWrite() {
            int size = smaller();
            if (resizing || random.nextInt(8) > 0 || size == sizes.getLast()) {
                return;
            }
            int most =
                    sent.values().stream()
                            .mapToInt(each -> each.first + each.count)
                            .max()
                            .orElse(0);
            resize(size);
            lates.add(new Late(size, most, sizes.size() - 1));
            late = true;
        }

        private void send() {
            int kind = random.nextInt(10);
            int operation =
                    kind < 4
                            ? BlkifOp.WRITE
                            : switch (kind) {
                                case 4, 5 -> BlkifOp.READ;
                                case 6 -> BlkifOp.DISCARD;
                                case 7 -> BlkifOp.WRITE_BARRIER;
                                default -> BlkifOp.FLUSH_DISKCACHE;
                            };
            int count = 1 + random.nextInt(random.nextInt(3) == 0 ? 32 : 8);
            if (operation == BlkifOp.FLUSH_DISKCACHE || operation == BlkifOp.WRITE_BARRIER) {
                count = random.nextInt(2) == 0 ? 0 : count;
            }
            int first = random.nextInt(sizes.getLast() - count);
            List<History> range = Arrays.asList(sectors).subList(first, first + count);
            if (range.stream().anyMatch(sector -> sector.busy)) {
                return;
            }
            long id = ++lastId;
            boolean discard = operation == BlkifOp.DISCARD;
            int pageCount = discard ? 0 : (count + 7) / 8;
            if (pageCount > freePages.size()) {
                return;
            }
            List<Integer> pages = new ArrayList<>();
            for (int i = 0; i < pageCount; i++) {
                pages.add(freePages.remove());
            }
            // A barrier covers also what is under way, which is done before it is.
            boolean barrier = operation == BlkifOp.WRITE_BARRIER;
            int[] covers = new int[SECTORS + 1];
            covers[SECTORS] = sizes.size() - 1;
            for (int i = 0; i < SECTORS; i++) {
                covers[i] = barrier ? sectors[i].sure : sectors[i].answered;
            }
            long version = discard ? 0 : id;
            if (operation != BlkifOp.READ) {
                range.forEach(sector -> sector.write(version));
            }
            range.forEach(sector -> sector.busy = true);
            sent.put(id, new Request(operation, first, count, version, pages, covers));
            put(id, operation, first, count, version, pages);
        }

        private void put(
                long id, int operation, int first, int count, long version, List<Integer> pages) {
            if (operation == BlkifOp.DISCARD) {
                rig.writeDiscard(id, 0, first, count);
                return;
            }
            int[] grefs = pages.stream().mapToInt(page -> rig.grefs[page]).toArray();
            long slot = rig.write(operation, id, first, grefs);
            if (count > 0) { // the last page need not be whole
                BlkifLayout.writeSegment(
                        rig.ring,
                        BlkifLayout.X86_64.segmentOffset(slot, grefs.length - 1),
                        grefs[grefs.length - 1],
                        0,
                        (count - 1) % 8);
            }
            for (int i = 0; i < count; i++) {
                MemorySegment page = rig.page(pages.get(i / 8));
                for (int at = i % 8 * SECTOR; at < (i % 8 + 1) * SECTOR; at += 8) {
                    page.set(ValueLayout.JAVA_LONG, at, value(version, first + i));
                }
            }
        }

        private static long value(long version, int sector) {
            return version == 0 ? 0 : version * 1000 + sector;
        }

        private void takeAnswers() {
            while (rig.hasResponse()) {
                QueueRig.Response response = rig.take();
                Request request = sent.remove(response.id());
                if (request == null) {
                    throw new AssertionError("answered twice: " + response);
                }
                if (response.status() == BlkifStatus.OKAY) {
                    answered(request);
                } else {
                    failed(request, response.status());
                }
                freePages.addAll(request.pages);
            }
        }

        /// Only what reaches beyond an end that the disk has had meanwhile may fail.
        private void failed(Request request, int status) {
            errors++;
            int end = request.first + request.count;
            List<Integer> since = sizes.subList(request.covers[SECTORS], sizes.size());
            assertEquals(BlkifStatus.ERROR, status);
            assertTrue(since.stream().anyMatch(size -> size < end), request + " of " + since);
            for (int s = request.first; s < end; s++) {
                sectors[s].busy = false;
                if (request.operation != BlkifOp.READ) {
                    sectors[s].writing = null;
                    sectors[s].failed();
                }
            }
        }

        private void answered(Request request) {
            boolean flush =
                    request.operation == BlkifOp.FLUSH_DISKCACHE
                            || request.operation == BlkifOp.WRITE_BARRIER;
            if (flush) {
                flushes++;
                promisedSize = Math.max(promisedSize, request.covers[SECTORS]);
                for (int i = 0; i < SECTORS; i++) {
                    sectors[i].promised = Math.max(sectors[i].promised, request.covers[i]);
                }
            }
            for (int i = 0; i < request.count; i++) {
                History sector = sectors[request.first + i];
                sector.busy = false;
                if (request.operation == BlkifOp.READ) {
                    MemorySegment page = rig.page(request.pages.get(i / 8));
                    long found = page.get(ValueLayout.JAVA_LONG, i % 8L * SECTOR);
                    int from = request.covers[request.first + i];
                    assertTrue(mayHold(request.first + i, found, from), "read " + found);
                    continue;
                }
                sector.writing = null;
                sector.answered = sector.sure;
                if (mode == DiskMode.WRITETHROUGH || request.operation == BlkifOp.WRITE_BARRIER) {
                    sector.promised = sector.answered;
                    sector.promisedAt = request.covers[SECTORS];
                }
            }
        }

        /// @param from first version that is possible
        private boolean mayHold(int s, long found, int from) {
            List<Long> versions = sectors[s].versions;
            for (int v = from; v < versions.size(); v++) {
                if (found == value(versions.get(v), s)) {
                    return true;
                }
            }
            return false;
        }

        private void checkSize(int found, boolean powerLost) {
            int last = sizes.size() - 1;
            int from = powerLost ? promisedSize : resizing ? last - 1 : last;
            List<Integer> possible = sizes.subList(from, last + 1);
            boolean tooLate = false;
            for (Late each : lates) {
                tooLate |=
                        (powerLost ? each.size >= promisedSize : late)
                                && found > each.sectors
                                && found <= each.mostSectors;
            }
            assertTrue(
                    possible.contains(found) || tooLate,
                    found + " sectors, and not " + possible + " or " + lates);
        }

        /// What may be left now is compared with what was promised.
        private void look() {
            looks++;
            if (resizing && !nested && !work.isEmpty() && random.nextInt(2) == 0) {
                nested = true; // another thread
                work.remove(random.nextInt(work.size())).run();
                nested = false;
            }
            try {
                check(file.afterKill(), false);
                for (int i = 0; i < 2; i++) {
                    check(file.afterPowerLoss(losses), true);
                }
            } catch (AssertionError e) {
                // What is thrown into a worker becomes an answer: the test shall say more.
                wrong = wrong == null ? e : wrong;
            }
        }

        /// What was promised is gone only where the disk has become smaller since.
        private void checkCut(int s) {
            int from = Math.max(promisedSize, sectors[s].promisedAt);
            List<Integer> possible = sizes.subList(from, sizes.size());
            assertTrue(possible.stream().anyMatch(size -> size <= s), s + " of " + possible);
        }

        private void check(byte[] left, boolean powerLost) {
            ByteBuffer bytes = ByteBuffer.wrap(left).order(ByteOrder.LITTLE_ENDIAN);
            checkSize(left.length / SECTOR, powerLost);
            for (int s = 0; s < SECTORS; s++) {
                if (s >= left.length / SECTOR) {
                    if (powerLost && sectors[s].promised > 0) {
                        checkCut(s);
                    }
                    continue;
                }
                long found = bytes.getLong(s * SECTOR);
                for (int at = 8; at < SECTOR; at += 8) {
                    if (bytes.getLong(s * SECTOR + at) != found) {
                        fail("sector " + s + " is torn");
                    }
                }
                History sector = sectors[s];
                if (!mayHold(s, found, powerLost ? sector.promised : sector.answered)) {
                    fail(
                            "sector %d holds %d after %s; versions %s, answered %d, promised %d"
                                    .formatted(
                                            s,
                                            found,
                                            powerLost ? "a loss of power" : "a kill",
                                            sector.versions,
                                            sector.answered,
                                            sector.promised));
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"WRITEBACK", "WRITETHROUGH"})
    void whatWasPromisedIsThereAfterALossOfPowerAtEachMoment(DiskMode mode) throws IOException {
        int looks = 0;
        int flushes = 0;
        int cuts = 0;
        int errors = 0;
        int lates = 0;
        for (int run = 0; run < RUNS; run++) {
            Guest guest = new Guest(seed + 100L * run, mode);
            try (guest.rig) {
                guest.run();
            } catch (AssertionError e) {
                throw new AssertionError("seed " + seed + ", run " + run, e);
            } finally {
                guest.work.forEach(Runnable::run);
            }
            guest.file.setWitness(() -> {});
            guest.file.setBeforeWrite(() -> {});
            guest.disk.close();
            byte[] last = guest.file.afterKill();
            assertEquals(-1, Arrays.mismatch(last, Files.readAllBytes(folder.resolve("disk.img"))));
            looks += guest.looks;
            flushes += guest.flushes;
            cuts += guest.cuts;
            errors += guest.errors;
            lates += guest.lates.size();
        }
        assertTrue(looks > RUNS * 20, "only " + looks + " looks");
        assertTrue(flushes > RUNS * 5, "only " + flushes + " flushes");
        String all = cuts + " sectors cut off, " + errors + " errors, " + lates + " late writes";
        assertTrue(cuts > RUNS * 5 && errors > RUNS / 2 && lates > RUNS, all);
    }

    /// The check itself: a mode that promises nothing loses something.
    @Test
    void aFlushThatDoesNothingIsFound() throws IOException {
        boolean found = false;
        for (int run = 0; run < 10 && !found; run++) {
            Guest guest = new Guest(seed + run, DiskMode.UNSAFE);
            try (guest.rig) {
                guest.run();
            } catch (AssertionError e) {
                found = true;
            }
        }
        assertTrue(found);
    }
}
