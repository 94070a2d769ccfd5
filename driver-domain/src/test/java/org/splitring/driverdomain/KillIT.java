package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// kill -9 on either side, under load. `-Dsplitring.kills=1000` and `-Dsplitring.driver.kills=100`
/// make more of it.
@Timeout(value = 30, unit = java.util.concurrent.TimeUnit.MINUTES)
class KillIT {
    private static final int GUEST_KILLS = Integer.getInteger("splitring.kills", 20);
    private static final int DRIVER_KILLS = Integer.getInteger("splitring.driver.kills", 2);
    private static final int BLOCK_SECTORS = 2 * 8;

    @TempDir Path folder;

    @Test
    void aKilledGuestLeavesNothingBehindAndOthersDoNotNotice() throws Exception {
        Random random = seeded();
        Path politeImage = DriverDomainUnderTest.image(folder, "polite.img", 16 << 20);
        Path preyImage = DriverDomainUnderTest.image(folder, "prey.img", 16 << 20);
        try (DriverDomainUnderTest domain =
                        new DriverDomainUnderTest(
                                folder.resolve("run"),
                                List.of("polite:" + politeImage, "prey:" + preyImage));
                ChildProcess polite = domain.frontend("polite", "--load", "--depth", "16")) {
            polite.awaitProgress(100);
            kill(domain, random);
            ChildResources baseline = domain.settledResources(1); // only the polite guest is mapped
            for (int i = 0; i < GUEST_KILLS; i++) {
                long before = polite.progress();
                kill(domain, random);
                domain.awaitBaseline(baseline);
                assertTrue(polite.isAlive(), polite::output);
                assertTrue(polite.progress() >= before, polite::output);
                polite.awaitProgress(1);
            }
            polite.endInput();
            assertEquals(0, polite.await(Duration.ofSeconds(20)), polite::output);
        }
    }

    /// Kills a guest with its ring full, and waits until the next one could connect.
    private static void kill(DriverDomainUnderTest domain, Random random) throws Exception {
        try (ChildProcess prey = domain.hostile("prey", "prey", 0, random.nextLong())) {
            prey.awaitLine("ready");
            LockSupport.parkNanos(random.nextInt(20_000_000));
            prey.kill();
        }
    }

    @Test
    void anImageHoldsEveryAnsweredAndFlushedWriteWhenTheDriverDomainIsKilled() throws Exception {
        Random random = seeded();
        int flushes = 0;
        for (int i = 0; i < DRIVER_KILLS; i++) {
            long seed = random.nextLong() >>> 1;
            Path image = DriverDomainUnderTest.image(folder, "disk" + i + ".img", 8 << 20);
            Path historyFile = folder.resolve("history" + i);
            try (DriverDomainUnderTest domain =
                            new DriverDomainUnderTest(
                                    folder.resolve("run" + i), List.of("web:" + image));
                    ChildProcess guest =
                            domain.frontend(
                                    "web",
                                    "--load",
                                    "--seed",
                                    Long.toString(seed),
                                    "--segments",
                                    "2",
                                    "--order",
                                    "2",
                                    "--history",
                                    historyFile.toString())) {
                guest.awaitProgress(2_000 + random.nextInt(4_000));
                LockSupport.parkNanos(random.nextInt(50_000_000));
                domain.process().kill();
                assertEquals(3, guest.await(Duration.ofSeconds(20)), guest::output);
            }
            WriteHistory history = WriteHistory.read(historyFile);
            assertEquals(List.of(), history.broken(image, seed, BLOCK_SECTORS), "seed " + seed);
            assertTrue(history.writesAnswered() > 500, "only " + history.writesAnswered());
            assertTrue(history.flushedBlocks() > 100, "only " + history.flushedBlocks());
            flushes += history.flushesAnswered();
        }
        assertTrue(flushes > 10, "only " + flushes + " flushes answered");
    }

    @Test
    void aDiskIsServedAgainAfterItsDriverDomainWasKilled() throws Exception {
        Path image = DriverDomainUnderTest.image(folder, "disk.img", 8 << 20);
        Path runDir = folder.resolve("run");
        try (DriverDomainUnderTest domain =
                new DriverDomainUnderTest(runDir, List.of("web:" + image))) {
            ChildProcess guest = domain.frontend("web", "--blocks", "64", "--seed", "9");
            assertEquals(0, guest.await(Duration.ofSeconds(20)), guest::output);
            domain.process().kill();
        }
        DriverDomainUnderTest.deleteSockets(runDir);
        // What the first one acknowledged, a second one reads: as a read-only disk this time.
        try (DriverDomainUnderTest domain =
                new DriverDomainUnderTest(runDir, List.of("web:" + image + ":ro"))) {
            ChildProcess guest =
                    domain.frontend("web", "--blocks", "64", "--seed", "9", "--read-only");
            assertEquals(0, guest.await(Duration.ofSeconds(20)), guest::output);
        }
    }

    private static Random seeded() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        return new Random(seed);
    }
}
