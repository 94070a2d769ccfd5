package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.blkback.image.FaultyFile;
import org.splitring.blkback.image.FaultyFile.Kind;
import org.splitring.blkback.image.FaultyFile.NoWait;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;

/// Every call of the kernel under a raw image fails once, for each kind of call and each place in a
/// script of a guest, or moves fewer bytes than asked. The guest is told of exactly the requests
/// that it concerns, and everything else is intact.
@Timeout(60)
class RawDiskFaultsTest {
    private static final int SECTOR = DiskImage.SECTOR_SIZE;
    private static final int PAGE = 4096;
    private static final int SECTORS = 160;

    @TempDir Path folder;

    /// A guest's request, or another size of its disk when `operation` is [#RESIZE].
    private record Step(int operation, int first, int pages) {}

    private static final int RESIZE = -1;

    private static final List<Step> SCRIPT =
            List.of(
                    new Step(BlkifOp.WRITE, 0, 1),
                    new Step(BlkifOp.READ, 0, 2),
                    new Step(BlkifOp.WRITE, 16, 4),
                    new Step(BlkifOp.FLUSH_DISKCACHE, 0, 0),
                    new Step(BlkifOp.INDIRECT, 40, 13),
                    new Step(BlkifOp.READ, 44, 8),
                    new Step(BlkifOp.DISCARD, 24, 2),
                    new Step(BlkifOp.WRITE_BARRIER, 3, 2),
                    new Step(RESIZE, SECTORS + 24, 0),
                    new Step(BlkifOp.WRITE, SECTORS, 2),
                    new Step(BlkifOp.FLUSH_DISKCACHE, 8, 1),
                    new Step(BlkifOp.DISCARD, 9, 1),
                    new Step(RESIZE, SECTORS, 0),
                    new Step(BlkifOp.WRITE_BARRIER, 0, 0),
                    new Step(BlkifOp.READ, 0, 11),
                    new Step(BlkifOp.WRITE, 70, 3),
                    new Step(BlkifOp.FLUSH_DISKCACHE, 0, 0),
                    new Step(BlkifOp.READ, 64, 3));

    /// A disk, a guest, and what it should hold.
    private final class Lab implements AutoCloseable {
        final Path image;
        final FaultyFile file;
        final DiskImage disk;
        final QueueRig rig;
        byte[] model;
        int number;

        Lab(DiskMode mode, NoWait noWait) throws IOException {
            byte[] before = new byte[SECTORS * SECTOR];
            new Random(7).nextBytes(before);
            image = Files.write(folder.resolve("disk.img"), before);
            model = before.clone();
            file = new FaultyFile(image);
            file.noWait(noWait, new Random(8));
            disk = DiskImage.of(file.open(mode == DiskMode.WRITETHROUGH), mode, Runnable::run);
            rig = new QueueRig(disk);
            file.noFaults(); // counts from here
        }

        /// Does one step.
        ///
        /// @return its status
        int run(Step step) {
            number++;
            if (step.operation == RESIZE) {
                try {
                    disk.resize((long) step.first * SECTOR);
                    return BlkifStatus.OKAY;
                } catch (DiskException e) {
                    return BlkifStatus.ERROR;
                }
            }
            int[] grefs = new int[step.pages];
            for (int i = 0; i < step.pages; i++) {
                grefs[i] = rig.grefs[i];
                rig.page(i).fill((byte) (step.operation == BlkifOp.READ ? 0xEE : number));
            }
            switch (step.operation) {
                case BlkifOp.DISCARD ->
                        rig.writeDiscard(number, 0, step.first, (long) step.pages * 8);
                case BlkifOp.INDIRECT ->
                        rig.writeIndirect(BlkifOp.WRITE, number, step.first, 63, step.pages, grefs);
                default -> rig.write(step.operation, number, step.first, grefs);
            }
            rig.serve();
            QueueRig.Response response = rig.take();
            assertEquals(number, response.id());
            assertFalse(rig.hasResponse());
            return response.status();
        }

        /// Changes the model as the step should have changed the disk.
        void done(Step step) {
            int from = step.first * SECTOR;
            switch (step.operation) {
                case RESIZE -> model = Arrays.copyOf(model, from);
                case BlkifOp.READ -> {
                    for (int i = 0; i < step.pages; i++) {
                        byte[] found = rig.page(i).toArray(ValueLayout.JAVA_BYTE);
                        byte[] right =
                                Arrays.copyOfRange(model, from + i * PAGE, from + (i + 1) * PAGE);
                        assertEquals(-1, Arrays.mismatch(right, found), "what was read");
                    }
                }
                case BlkifOp.DISCARD ->
                        Arrays.fill(model, from, from + step.pages * PAGE, (byte) 0);
                default -> Arrays.fill(model, from, from + step.pages * PAGE, (byte) number);
            }
        }

        /// After a request that failed: each of its sectors is as before or as it should become.
        void half(Step step) throws IOException {
            byte[] now = Files.readAllBytes(image);
            if (step.operation != RESIZE && step.operation != BlkifOp.READ) {
                byte filling = (byte) (step.operation == BlkifOp.DISCARD ? 0 : number);
                byte[] filled = new byte[SECTOR];
                Arrays.fill(filled, filling);
                for (int i = 0; i < step.pages * 8; i++) {
                    int at = (step.first + i) * SECTOR;
                    byte[] found = Arrays.copyOfRange(now, at, at + SECTOR);
                    byte[] old = Arrays.copyOfRange(model, at, at + SECTOR);
                    assertTrue(
                            Arrays.equals(found, old) || Arrays.equals(found, filled),
                            "sector " + (step.first + i) + " holds something else");
                    System.arraycopy(found, 0, model, at, SECTOR);
                }
            }
            check();
        }

        void check() throws IOException {
            byte[] now = Files.readAllBytes(image);
            assertEquals(-1, Arrays.mismatch(model, now), "first byte of the image that differs");
            assertEquals(model.length, disk.sizeBytes());
        }

        /// Opened again the disk works, and holds what it should.
        void checkReopened() throws IOException {
            try (DiskImage again = DiskImage.open(image, DiskMode.WRITEBACK)) {
                try (QueueRig other = new QueueRig(again)) {
                    other.page(1).fill((byte) 0x77);
                    assertEquals(0, other.ask(BlkifOp.READ, 1, 0, other.grefs[0]).status());
                    MemorySegment first = MemorySegment.ofArray(model).asSlice(0, PAGE);
                    assertEquals(-1, first.mismatch(other.page(0)));
                    assertEquals(0, other.ask(BlkifOp.WRITE, 2, 8, other.grefs[1]).status());
                    assertEquals(0, other.ask(BlkifOp.FLUSH_DISKCACHE, 3, 0).status());
                }
            }
            Arrays.fill(model, PAGE, 2 * PAGE, (byte) 0x77);
            assertEquals(-1, Arrays.mismatch(model, Files.readAllBytes(image)));
        }

        @Override
        public void close() {
            rig.close();
        }
    }

    /// Writes that are stable when they return always wait.
    private static List<NoWait> kindsOfWaiting(DiskMode mode) {
        return mode == DiskMode.WRITETHROUGH
                ? List.of(NoWait.TAKES)
                : List.of(NoWait.TAKES, NoWait.NEVER, NoWait.UNKNOWN);
    }

    private static boolean changes(Step step) {
        return step.operation != BlkifOp.READ;
    }

    /// Runs the script to its end, with all as it should be.
    ///
    /// @return how many calls there were of each kind
    private Map<Kind, Integer> soundRun(DiskMode mode, NoWait noWait) throws IOException {
        try (Lab lab = new Lab(mode, noWait)) {
            for (Step step : SCRIPT) {
                assertEquals(BlkifStatus.OKAY, lab.run(step), step.toString());
                lab.done(step);
                lab.check();
            }
            Map<Kind, Integer> calls = new EnumMap<>(Kind.class);
            for (Kind kind : Kind.values()) {
                calls.put(kind, lab.file.calls(kind));
            }
            lab.disk.close();
            return calls;
        }
    }

    private void runWithFault(DiskMode mode, NoWait noWait, Kind kind, int call, int errno)
            throws IOException {
        try (Lab lab = new Lab(mode, noWait)) {
            lab.file.failAt(kind, call, errno);
            boolean failed = false;
            for (Step step : SCRIPT) {
                boolean before = lab.file.hit();
                int status = lab.run(step);
                boolean hit = !before && lab.file.hit();
                boolean refused = failed && changes(step);
                int expected = hit || refused ? BlkifStatus.ERROR : BlkifStatus.OKAY;
                assertEquals(expected, status, step.toString());
                if (hit) {
                    failed = kind == Kind.WRITE || kind == Kind.SYNC;
                    assertEquals(failed, lab.disk.failure().isPresent(), step.toString());
                    lab.half(step);
                } else if (!refused) {
                    lab.done(step);
                }
                if (step.operation == RESIZE && status != BlkifStatus.OKAY) {
                    break; // what comes next is made for the other size
                }
                lab.check();
            }
            assertTrue(lab.file.hit());
            if (failed) {
                checkFailed(lab, errno);
            } else {
                lab.disk.close();
            }
            lab.checkReopened();
        }
    }

    /// A disk that has failed asks nothing of the kernel but reads, and is not closed in silence.
    private static void checkFailed(Lab lab, int errno) {
        int[] before = callsThatChange(lab);
        for (int i = 0; i < 3; i++) {
            assertEquals(
                    BlkifStatus.ERROR, lab.run(new Step(BlkifOp.FLUSH_DISKCACHE, 0, 0)), "flush");
            assertEquals(BlkifStatus.ERROR, lab.run(new Step(BlkifOp.WRITE, 0, 1)));
            assertEquals(BlkifStatus.ERROR, lab.run(new Step(BlkifOp.DISCARD, 0, 1)));
            assertEquals(BlkifStatus.OKAY, lab.run(new Step(BlkifOp.READ, 0, 1)));
        }
        String why = lab.disk.failure().orElseThrow().toString();
        assertTrue(why.contains(Errno.describe(errno)), why);
        assertThrows(DiskException.class, lab.disk::close);
        assertEquals(Arrays.toString(before), Arrays.toString(callsThatChange(lab)));
        assertFalse(lab.file.syncedAfterFailure());
    }

    private static int[] callsThatChange(Lab lab) {
        return new int[] {
            lab.file.calls(Kind.WRITE), lab.file.calls(Kind.SYNC), lab.file.calls(Kind.HOLE)
        };
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void theNthCallFailsAndOnlyWhatItConcernsIsAnsweredWithAnError(Kind kind) throws IOException {
        int runs = 0;
        for (DiskMode mode : new DiskMode[] {DiskMode.WRITEBACK, DiskMode.WRITETHROUGH}) {
            for (NoWait noWait : kindsOfWaiting(mode)) {
                int calls = soundRun(mode, noWait).getOrDefault(kind, 0);
                for (int errno : new int[] {Errno.EIO, Errno.ENOSPC}) {
                    for (int call = 1; call <= calls; call++) {
                        try {
                            runWithFault(mode, noWait, kind, call, errno);
                            runs++;
                        } catch (AssertionError e) {
                            throw new AssertionError(
                                    "%s, %s, %s call %d fails with %s"
                                            .formatted(
                                                    mode,
                                                    noWait,
                                                    kind,
                                                    call,
                                                    Errno.describe(errno)),
                                    e);
                        }
                    }
                }
            }
        }
        assertTrue(runs >= 16, "only " + runs + " runs");
    }

    @ParameterizedTest
    @EnumSource(
            value = Kind.class,
            names = {"READ", "WRITE"})
    void aShortTransferGoesOnWhereItEnded(Kind kind) throws IOException {
        for (DiskMode mode : new DiskMode[] {DiskMode.WRITEBACK, DiskMode.WRITETHROUGH}) {
            for (NoWait noWait : kindsOfWaiting(mode)) {
                int calls = soundRun(mode, noWait).getOrDefault(kind, 0);
                for (long most : new long[] {1, 511, 513, PAGE + SECTOR}) {
                    for (int call = 0; call <= calls; call++) {
                        shortRun(mode, noWait, kind, call, most);
                    }
                }
            }
        }
    }

    /// @param call 0 for each
    private void shortRun(DiskMode mode, NoWait noWait, Kind kind, int call, long most)
            throws IOException {
        if (call == 0 && most < 511) {
            return; // a call for each byte takes its time
        }
        try (Lab lab = new Lab(mode, noWait)) {
            if (call == 0) {
                lab.file.alwaysShort(kind, most);
            } else {
                lab.file.shortAt(kind, call, most);
            }
            for (Step step : SCRIPT) {
                assertEquals(BlkifStatus.OKAY, lab.run(step), step.toString());
                lab.done(step);
                lab.check();
            }
            assertTrue(lab.disk.failure().isEmpty());
            lab.disk.close();
        } catch (AssertionError e) {
            throw new AssertionError(
                    "%s, %s, %s call %d moves %d bytes".formatted(mode, noWait, kind, call, most),
                    e);
        }
    }

    /// The storage is full in the middle of a request.
    @Test
    void n33_aShortWriteAndThenNoSpaceIsAnError() throws IOException {
        for (NoWait noWait : new NoWait[] {NoWait.TAKES, NoWait.NEVER}) {
            for (long most : new long[] {SECTOR, PAGE, 3 * PAGE + SECTOR}) {
                try (Lab lab = new Lab(DiskMode.WRITEBACK, noWait)) {
                    Step step = new Step(BlkifOp.WRITE, 16, 4);
                    lab.file.shortThenFailAt(Kind.WRITE, 1, most, Errno.ENOSPC);
                    assertEquals(BlkifStatus.ERROR, lab.run(step));
                    lab.half(step);
                    checkFailed(lab, Errno.ENOSPC);
                    lab.checkReopened();
                }
            }
        }
    }

    /// Nothing at all moves: behind the end of a file that somebody has shortened, or in a kernel
    /// that says nothing.
    @Test
    void aTransferOfNothingIsAnError() throws IOException {
        try (Lab lab = new Lab(DiskMode.WRITEBACK, NoWait.NEVER)) {
            lab.file.shortAt(Kind.READ, 1, 0);
            assertEquals(BlkifStatus.ERROR, lab.run(new Step(BlkifOp.READ, 0, 2)));
            assertTrue(lab.disk.failure().isEmpty());
            lab.file.shortAt(Kind.WRITE, 1, 0);
            assertEquals(BlkifStatus.ERROR, lab.run(new Step(BlkifOp.WRITE, 0, 2)));
            lab.check();
            checkFailed(lab, Errno.EIO);
        }
    }

    /// What lies before the one that fails in one row of requests is done, and so are the reads
    /// behind it.
    @Test
    void ofRequestsSentTogetherOnlyThoseAreAnsweredWithAnErrorThatItConcerns() throws IOException {
        for (int call = 1; call <= 4; call++) {
            try (Lab lab = new Lab(DiskMode.WRITEBACK, NoWait.TAKES)) {
                lab.file.failAt(Kind.WRITE, call, Errno.EIO);
                for (int i = 0; i < 4; i++) {
                    lab.rig.page(i).fill((byte) (i + 1));
                    lab.rig.write(BlkifOp.WRITE, i, 8L * i, lab.rig.grefs[i]);
                    lab.rig.write(BlkifOp.READ, 10L + i, 64, lab.rig.grefs[10 + i]);
                }
                lab.rig.write(BlkifOp.FLUSH_DISKCACHE, 20, 0);
                lab.rig.serve();
                List<Long> errors = new ArrayList<>();
                while (lab.rig.hasResponse()) {
                    QueueRig.Response response = lab.rig.take();
                    if (response.status() != BlkifStatus.OKAY) {
                        errors.add(response.id());
                    }
                }
                List<Long> expected = new ArrayList<>();
                for (long i = call - 1L; i < 4; i++) {
                    expected.add(i);
                }
                expected.add(20L);
                assertEquals(expected, errors);
                for (int i = 0; i < call - 1; i++) {
                    Arrays.fill(lab.model, i * PAGE, (i + 1) * PAGE, (byte) (i + 1));
                }
                lab.check();
                assertThrows(DiskException.class, lab.disk::close);
            }
        }
    }

    /// Pausing a disk and closing it make it stable. If that fails, nobody may hear of success
    /// later: the pages that are lost count as clean.
    @Test
    void aDiskThatCouldNotBeMadeStableOnTheWayStaysFailed() throws IOException {
        try (Lab lab = new Lab(DiskMode.WRITEBACK, NoWait.TAKES)) {
            assertEquals(BlkifStatus.OKAY, lab.run(new Step(BlkifOp.WRITE, 0, 1)));
            lab.file.failAt(Kind.SYNC, 1, Errno.EIO);
            assertThrows(DiskException.class, lab.disk::makeStable);
            assertTrue(lab.disk.failure().isPresent());
            assertThrows(DiskException.class, lab.disk::makeStable);
            checkFailed(lab, Errno.EIO);
        }
    }

    @Test
    void aFileSystemWithoutHolesIsFoundOutAtOnceAndOneThatForgetsThemLater() throws IOException {
        try (Lab lab = new Lab(DiskMode.WRITEBACK, NoWait.TAKES)) {
            lab.file.failAt(Kind.HOLE, 1, Errno.EOPNOTSUPP);
            assertEquals(BlkifStatus.EOPNOTSUPP, lab.run(new Step(BlkifOp.DISCARD, 0, 1)));
            lab.check();
            assertTrue(lab.disk.failure().isEmpty());
            lab.disk.close();
        }
        Path image = Files.write(folder.resolve("other.img"), new byte[PAGE]);
        FaultyFile file = new FaultyFile(image);
        file.failAt(Kind.HOLE, 1, Errno.EOPNOTSUPP);
        try (FileStore store = file.open(false)) {
            assertEquals(0, store.discardGranularityBytes());
        }
        file.failAt(Kind.HOLE, 1, Errno.EIO);
        DiskException e = assertThrows(DiskException.class, () -> file.open(false).close());
        assertTrue(String.valueOf(e.getMessage()).contains("other.img"), e.toString());
    }
}
