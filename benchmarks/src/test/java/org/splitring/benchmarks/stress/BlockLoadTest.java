package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.benchmarks.stress.Arrivals.Pacing;
import org.splitring.benchmarks.stress.FaultyStore.Fault;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskMode;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;

/// A load finds what a disk does wrong, through front, ring and back, and counts how long it
/// takes.
@Isolated
final class BlockLoadTest {
    private static final int BLOCK = 4096;
    private static final int PLACES = 64;
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(20);

    private final FaultyStore store = new FaultyStore((long) PLACES * BLOCK, BLOCK);
    private final RunEnd end = new RunEnd();
    private final GuestBed bed = new GuestBed(1);
    private List<StressDisk> disks = List.of();

    @BeforeEach
    void plugIn() throws Exception {
        GuestBed.Guest guest = bed.guest(4 << 20);
        DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        image.onFailure(failure -> end.fail(failure.toString()));
        VbdFrontend disk =
                guest.disks(List.of(image), VbdFrontendOptions.DEFAULT.withBufferBytes(1 << 20))
                        .getFirst();
        disks =
                List.of(
                        new StressDisk(
                                0,
                                1,
                                "guest 1, xvda",
                                disk,
                                new PlaceTable(PLACES, 0),
                                new LoopPacer(guest.loop())));
    }

    @AfterEach
    void unplug() {
        bed.close();
    }

    private BlockLoad load(String mix, int depth, Pace pace) throws Exception {
        DiskLoad.Settings settings =
                new DiskLoad.Settings(BLOCK, depth, Mix.parse(mix), false, true);
        return new BlockLoad(disks, settings, pace, 7);
    }

    private static final Pace CLOSED =
            new Pace() {
                @Override
                public boolean isPaced() {
                    return false;
                }

                @Override
                public @Nullable Arrivals arrivals(int stream, int streams) {
                    return null;
                }
            };

    @ParameterizedTest
    @CsvSource({
        "FLIP, is damaged: byte 100 of it is 0x",
        "SWAP, is the intact block of byte ",
        "FORGET, is the intact block of byte "
    })
    void whatADiskGetsWrongEndsTheRunWithPlaceAndFinding(Fault fault, String finding)
            throws Exception {
        try (BlockLoad load = load("read=1,write=1", 4, CLOSED)) {
            load.fill(end);
            load.start(end);
            awaitUnder(load, 200);
            assertFalse(end.isEnded(), () -> end.failure().orElse("?"));
            store.be(fault);
            assertTrue(end.awaitUntil(System.nanoTime() + PATIENCE_NANOS), "nothing was found");
            load.stop();
            String message = end.failure().orElseThrow();
            assertTrue(message.startsWith("guest 1, xvda: read of 4096 bytes at byte "), message);
            assertTrue(message.contains("should be generation "), message);
            assertTrue(message.contains(finding), message);
        }
    }

    private static void awaitUnder(BlockLoad load, long answers) throws InterruptedException {
        List<KindTimes> times = load.logs().kinds().stream().map(kind -> new KindTimes()).toList();
        long until = System.nanoTime() + PATIENCE_NANOS;
        while (times.stream().mapToLong(t -> t.responses().getTotalCount()).sum() < answers) {
            assertTrue(System.nanoTime() < until, "no answers");
            TimeUnit.MILLISECONDS.sleep(1);
            load.logs().drain(times);
        }
    }

    @Test
    void aFullDiskEndsTheRunWithItsReason() throws Exception {
        try (BlockLoad load = load("write=1", 4, CLOSED)) {
            load.start(end);
            store.be(Fault.FULL);
            assertTrue(end.awaitUntil(System.nanoTime() + PATIENCE_NANOS), "nothing was found");
            load.stop();
            String message = end.failure().orElseThrow();
            assertTrue(message.contains("No space left on device"), message);
        }
    }

    @Test
    void whatWasWrittenIsReadAndChecked() throws Exception {
        try (BlockLoad load = load("read=2,write=1,flush=1", 8, CLOSED)) {
            load.fill(end);
            load.start(end);
            awaitUnder(load, 500);
            load.stop();
            assertTrue(end.failure().isEmpty(), () -> end.failure().orElse("?"));
            assertTrue(load.counts().getOrDefault("checked", 0L) > 100, load.counts()::toString);
        }
    }

    /// 300 requests a second for a second, and nothing gets on for a fifth of it: about a fifth of
    /// all requests was due meanwhile. One was sent, for there may be one at a time, and whoever
    /// counts from the sending sees that one alone.
    @Test
    void aStallCountsForAllRequestsThatWereDueInIt() throws Exception {
        Pace pace =
                new Pace() {
                    @Override
                    public boolean isPaced() {
                        return true;
                    }

                    @Override
                    public Arrivals arrivals(int stream, int streams) {
                        return new Arrivals(300, Pacing.EVEN, 0, 1);
                    }
                };
        try (BlockLoad load = load("read=1", 1, pace)) {
            long begin = System.nanoTime();
            load.start(end);
            assertFalse(end.awaitUntil(begin + 200_000_000));
            store.be(Fault.STALL);
            assertFalse(end.awaitUntil(begin + 1_000_000_000));
            load.stop();
            KindTimes times = new KindTimes();
            load.logs().drain(List.of(times));
            Histogram responses = times.responses();
            Histogram services = times.services();
            assertTrue(responses.getTotalCount() > 150, () -> "" + responses.getTotalCount());
            long late = responses.getCountBetweenValues(50_000_000, KindLog.MOST_NANOS);
            long slow = services.getCountBetweenValues(150_000_000, KindLog.MOST_NANOS);
            assertTrue(late >= 30, () -> late + " late");
            assertTrue(responses.getValueAtPercentile(99) >= 150_000_000, responses::toString);
            // A loaded machine may stall now and then, too.
            assertTrue(slow >= 1 && slow <= late / 6, () -> slow + " slow");
            assertEquals(responses.getTotalCount(), services.getTotalCount());
            assertTrue(load.counts().containsKey("unsent"));
        }
    }

    @Test
    void anEarlyEndIsTold() throws Exception {
        StringWriter said = new StringWriter();
        ProgressView progress = new ProgressView(new PrintWriter(said), false);
        end.interrupt();
        try (BlockLoad load = load("read=1", 1, CLOSED)) {
            StressSession session = new StressSession(new StressOptions(), end, progress);
            assertTrue(session.measure("1 guest", 1, load).isEmpty());
        }
    }
}
