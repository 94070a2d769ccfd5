package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A guest in C attacks a running driver domain, one scenario a test, named after the catalogue's
/// entry. The verdict is the same for each: the driver domain lives; a polite guest's checked I/O
/// goes on during and after the attack; descriptors, threads and mappings of guest memory are back
/// where they were; and the attacker saw the documented outcome, or it would have said otherwise.
///
/// `-Dsplitring.hostile.millis=60000` makes the long scenarios last that long.
@Timeout(120)
class HostileGuestIT {
    private static final int MILLIS = Integer.getInteger("splitring.hostile.millis", 250);

    @TempDir static Path folder;

    private static DriverDomainUnderTest driverDomain;
    private static ChildProcess polite;
    private static ChildResources baseline;
    private static Path readOnlyImage;

    @BeforeAll
    static void startDriverDomainAndPoliteGuest() throws Exception {
        Path politeImage = DriverDomainUnderTest.image(folder, "polite.img", 16 << 20);
        Path hostileImage = DriverDomainUnderTest.image(folder, "hostile.img", 16 << 20);
        Path shortImage = DriverDomainUnderTest.image(folder, "short.img", 1 << 20);
        readOnlyImage = DriverDomainUnderTest.image(folder, "locked.img", 1 << 20);
        driverDomain =
                new DriverDomainUnderTest(
                        folder.resolve("run"),
                        List.of(
                                "polite:" + politeImage,
                                "hostile:" + hostileImage,
                                "short:" + shortImage,
                                "locked:" + readOnlyImage + ":ro"));
        polite = driverDomain.frontend("polite", "--load", "--order", "2", "--depth", "32");
        polite.awaitProgress(100);
        // A first round on the attacked domain starts whatever is started once.
        for (String domain : List.of("hostile", "short", "locked")) {
            ChildProcess first = driverDomain.hostile(domain, "second", 0, 1);
            assertEquals(0, first.await(Duration.ofSeconds(20)), first::output);
        }
        ChildProcess first = driverDomain.frontend("hostile", "--blocks", "64");
        assertEquals(0, first.await(Duration.ofSeconds(20)), first::output);
        baseline = driverDomain.settledResources(1); // the polite guest
    }

    @AfterAll
    static void politeGuestFoundNothingWrong() throws Exception {
        if (polite != null) {
            try (ChildProcess guest = polite;
                    DriverDomainUnderTest domain = driverDomain) {
                guest.endInput();
                assertEquals(0, guest.await(Duration.ofSeconds(20)), guest::output);
                assertTrue(domain.process().isAlive());
            }
        }
    }

    @Test
    void h001_madProducerIndexClosesTheDevice() throws Exception {
        attack("hostile", "h001");
    }

    @Test
    void h004_fieldsFlippedWhileTheyAreServed() throws Exception {
        attack("hostile", "h004");
    }

    @Test
    void h005_operationFlippedUnderTheSwitch() throws Exception {
        attack("hostile", "h004");
    }

    @Test
    void h006_responsesNeverTakenAndSlotsReused() throws Exception {
        attack("hostile", "h006");
    }

    @Test
    void h007_idsOfEveryKindAreEchoed() throws Exception {
        attack("hostile", "h007");
    }

    @Test
    void h008_responseWritesItsFieldsAndNothingElse() throws Exception {
        attack("hostile", "h008");
    }

    @Test
    void h009_strangeProtocolIsRefused() throws Exception {
        attack("hostile", "h009");
    }

    @Test
    void h010_strangeRingGeometryIsRefused() throws Exception {
        attack("hostile", "h010");
    }

    @Test
    void h011_randomEventWords() throws Exception {
        attack("hostile", "h011");
    }

    @Test
    void h012_eventsWithoutRequestsAndRequestsWithoutEvents() throws Exception {
        attack("hostile", "h012");
    }

    @Test
    void h013_operationsThatAreNotOffered() throws Exception {
        attack("hostile", "h013");
    }

    @Test
    void h020_writesOnAReadOnlyDisk() throws Exception {
        byte[] before = Files.readAllBytes(readOnlyImage);
        attack("locked", "h020");
        assertEquals(-1, java.util.Arrays.mismatch(before, Files.readAllBytes(readOnlyImage)));
    }

    @Test
    void h021_segmentsAndSectorsOutOfRange() throws Exception {
        attack("hostile", "h021");
    }

    @Test
    void h023_everyPatternOfBadReferences() throws Exception {
        attack("hostile", "h023");
    }

    @Test
    void h027_connectAndCloseToggledUnderLoad() throws Exception {
        attack("hostile", "h027");
    }

    @Test
    void h028_pagesInEveryOrder() throws Exception {
        attack("hostile", "h028");
    }

    @Test
    void h029_floodOfFlushes() throws Exception {
        attack("hostile", "h029");
    }

    @Test
    void h030_onePageAsSourceAndTarget() throws Exception {
        attack("hostile", "h030");
    }

    /// The administrator cuts the image while the driver domain has it open.
    @Test
    void h031_imageCutShortWhileItIsOpen() throws Exception {
        DriverDomainUnderTest.image(folder, "short.img", 4096);
        attack("short", "h031");
    }

    @Test
    void h060_stormOfEvents() throws Exception {
        attack("hostile", "h060");
    }

    @Test
    void h066_portsThatDoNotExist() throws Exception {
        attack("hostile", "h066");
    }

    @Test
    void h068_everyOperationAtTheLimitOfPorts() throws Exception {
        attack("hostile", "h068");
    }

    @Test
    void h069_allPortsTakenWhenTheDriverDomainMustCloseTheDevice() throws Exception {
        attack("hostile", "h068");
        ChildProcess next = driverDomain.frontend("hostile", "--blocks", "16");
        assertEquals(0, next.await(Duration.ofSeconds(20)), next::output);
    }

    @Test
    void h075_grantWordThatNeverHoldsStill() throws Exception {
        attack("hostile", "h075");
    }

    @Test
    void h079_frameOfAGrantChangesUnderItsMapping() throws Exception {
        attack("hostile", "h079");
    }

    @Test
    void h082_referencesThatAreNoGrants() throws Exception {
        attack("hostile", "h082");
    }

    @Test
    void h089_grantedPagesReplacedByHoles() throws Exception {
        attack("hostile", "h089");
    }

    @Test
    void h118_storeMessagesOfImpossibleLength() throws Exception {
        attack("hostile", "h118");
    }

    @Test
    void j01_memoryThatIsNotPlainAndSealedIsRefused() throws Exception {
        attack("hostile", "hello");
    }

    @Test
    void j09_badRequestsAreNotLogged() throws Exception {
        long before = driverDomain.process().lineCount();
        attack("hostile", "j09"); // a thousand bad requests at least
        long lines = driverDomain.process().lineCount() - before;
        assertTrue(lines < 20, lines + " lines for one device that came and went");
    }

    @Test
    void garbageOnTheAttachSocketEndsTheConnection() throws Exception {
        attack("hostile", "garbage");
    }

    @Test
    void secondGuestOfADomainIsRefused() throws Exception {
        attack("hostile", "second");
    }

    @Test
    void silentConnectionsKeepNobodyOut() throws Exception {
        attack("hostile", "silence");
    }

    private static void attack(String domain, String scenario) throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println(scenario + " seed " + seed);
        long politeBefore = polite.progress();
        long start = System.nanoTime();
        try (ChildProcess attacker = driverDomain.hostile(domain, scenario, MILLIS, seed)) {
            int exit = attacker.await(Duration.ofMillis(60_000L + 10L * MILLIS));
            assertTrue(driverDomain.process().isAlive(), driverDomain.process()::output);
            assertEquals(0, exit, () -> scenario + ":\n" + attacker.output());
            assertTrue(attacker.output().contains("outcome "), attacker::output);
        }
        assertTrue(polite.isAlive(), polite::output);
        // It reports every 20 ms, so a short attack proves nothing.
        if (System.nanoTime() - start > 500_000_000L) {
            assertTrue(polite.progress() > politeBefore, "the polite guest stood still");
        }
        polite.awaitProgress(10);
        driverDomain.awaitBaseline(baseline);
        assertFalse(
                driverDomain.process().output().contains("OutOfMemoryError"),
                driverDomain.process()::output);
    }
}
