package org.splitring.testkit.contract;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.splitring.testkit.contract.FillDevice.Contract;
import org.splitring.testkit.contract.FillDevice.Fault;

/// Devices with a fault fail, and the message says what is wrong with them.
class ContractBitesTest {
    private interface ContractTest {
        void run(Contract contract) throws Exception;
    }

    private final Duration patience = Bounded.patience;

    /// These wait for what does not come.
    @BeforeEach
    void waitLess() {
        Bounded.patience = Duration.ofSeconds(4);
    }

    @AfterEach
    void waitAsBefore() {
        Bounded.patience = patience;
    }

    private static void fails(Fault fault, String message, ContractTest test) {
        AssertionError failure =
                assertThrows(AssertionError.class, () -> test.run(new Contract(fault)));
        assertTrue(String.valueOf(failure.getMessage()).contains(message), failure::toString);
    }

    @Test
    void aMappingThatStaysIsFound() {
        fails(
                Fault.LEAKS_A_MAPPING,
                "grants mapped by the backend",
                contract -> contract.connectsWorksAndLeavesNothing(ContractPlatform.LOCAL));
    }

    @Test
    void aThreadThatStaysIsFound() {
        fails(
                Fault.LEAKS_A_THREAD,
                "threads: 3 leaked",
                contract -> contract.connectsWorksAndLeavesNothing(ContractPlatform.LOCAL));
    }

    @Test
    void aDeviceThatHangsOnCloseIsFound() {
        fails(
                Fault.HANGS_ON_CLOSE,
                "a piece of work",
                contract -> contract.connectsWorksAndLeavesNothing(ContractPlatform.LOCAL));
    }

    @Test
    void aDeviceThatReadsTheRingTwiceIsFound() {
        fails(
                Fault.READS_THE_RING_TWICE,
                "closed over request",
                contract -> contract.bytesThatChangeAreReadOnce(ContractPlatform.LOCAL));
    }

    @Test
    void aBackendThatDoesNotNameAKeyIsFound() {
        fails(
                Fault.NAMES_NO_KEY,
                "the error node says: no",
                contract -> contract.keysThatMakeNoSenseAreNamed(ContractPlatform.LOCAL));
    }

    @Test
    void aBackendThatWaitsForAGuestThatWasKilledIsFound() {
        fails(
                Fault.WAITS_FOR_THE_GUEST,
                "lets go of a guest that is gone",
                Contract::bearsTheDeathOfItsGuest);
    }

    @Test
    void aFrontendThatForgetsItsRequestsIsFound() {
        fails(
                Fault.FORGETS_ITS_REQUESTS,
                "failed: [java.io.IOException",
                Contract::bearsTheDeathOfItsDriverDomain);
    }

    @Test
    void aFrontendThatLeavesWorkHangingIsFound() {
        fails(
                Fault.LEAVES_WORK_HANGING,
                "all work is answered or refused",
                contract -> contract.aSilentBackendHoldsUpNobody(ContractPlatform.LOCAL));
    }

    @Test
    void aFrontendThatStopsItsLoopIsFound() {
        fails(
                Fault.STOPS_ITS_LOOP,
                "not within 4 s: request",
                contract -> contract.theFrontendBearsAnyAnswer(ContractPlatform.LOCAL));
    }

    @Test
    void aFrontendThatUsesPagesAgainIsFound() {
        fails(
                Fault.GIVES_PAGES_BACK_AT_ONCE,
                "pages that the backend has mapped were given back",
                contract -> contract.pagesThatABackendKeepsAreNotUsedAgain(ContractPlatform.LOCAL));
    }
}
