package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// What two looks at a ring give reason to say. The ring has 32 slots, and its indices have just
/// wrapped.
class RingExaminationTest {
    private static final JsonMapper JSON = JsonMapper.shared();
    private static final long WRAPS = 1L << 32;

    /// Everything answered and taken, both ends asleep.
    private static ObjectNode idle() {
        return JSON.createObjectNode()
                .put("name", "queue-0")
                .put("entries", 32)
                .put("req_prod", 4)
                .put("req_event", 5)
                .put("rsp_prod", 4)
                .put("rsp_event", 5)
                .put("req_cons", 4)
                .put("rsp_prod_pvt", 4)
                .put("rsp_prod_pushed", 4)
                .put("broken", false)
                .put("port", 9)
                .put("events_sent", 100)
                .put("events_received", 200)
                .put("events_spurious", 0);
    }

    private static ObjectNode device(ObjectNode ring) {
        ObjectNode device =
                JSON.createObjectNode()
                        .put("domain", "web")
                        .put("type", "vbd")
                        .put("name", "vbd/xvda")
                        .put("answered", true);
        device.putArray("rings").add(ring);
        device.putArray("streams");
        return device;
    }

    private static List<String> findings(ObjectNode before, ObjectNode now, String held) {
        List<String> found = new ArrayList<>();
        RingExamination examination =
                new RingExamination(
                        JSON.createArrayNode().add(device(before)),
                        each ->
                                found.add(
                                        each.place() + ": " + each.what() + "; " + each.advice()));
        examination.device(device(now), held);
        return found;
    }

    private static void assertFound(List<String> found, String what) {
        assertEquals(1, found.size(), found::toString);
        assertTrue(found.getFirst().contains("web vbd/xvda queue-0: "), found::toString);
        assertTrue(found.getFirst().contains(what), found::toString);
    }

    @Test
    void nothingIsSaidOfARingThatIsIdleOrMoves() {
        assertEquals(List.of(), findings(idle(), idle(), ""));
        ObjectNode before = idle().put("req_prod", WRAPS - 6).put("req_cons", WRAPS - 10);
        before.put("rsp_prod", WRAPS - 20).put("rsp_prod_pvt", WRAPS - 20);
        before.put("rsp_prod_pushed", WRAPS - 20).put("rsp_event", WRAPS - 30);
        assertEquals(List.of(), findings(before, idle(), ""));
    }

    @Test
    void requestsWithoutAnEventAreTheGuests() {
        ObjectNode asked = idle().put("req_prod", 7);
        assertFound(findings(asked, asked, ""), "3 requests stand on the ring, and none is taken");
        assertFound(findings(asked, asked, ""), "req_event 5, and no event came");
        assertFound(findings(asked, asked, ""), "port 9");
        assertFound(findings(asked, asked, "it is paused"), "it is paused");
        ObjectNode heard = asked.deepCopy().put("events_received", 201);
        assertFound(findings(asked, heard, ""), "the backend does not act on them");
        assertEquals(List.of(), findings(idle(), asked, ""), "they have just come");
        ObjectNode full = idle().put("req_prod", 36);
        assertFound(findings(full, full, ""), "its ring is full, and none of 32 requests is taken");
    }

    @Test
    void aRingWhoseRequestsAreNeverAnsweredIsFull() {
        ObjectNode full = idle().put("req_prod", 36).put("req_cons", 36);
        assertFound(findings(full, full, ""), "its ring is full: 32 requests are under way");
        ObjectNode moved = full.deepCopy().put("req_prod", 37).put("req_cons", 37);
        moved.put("rsp_prod", 5).put("rsp_prod_pvt", 5).put("rsp_prod_pushed", 5);
        moved.put("rsp_event", 6);
        assertEquals(List.of(), findings(full, moved, ""));
    }

    @Test
    void aGuestThatWasToldAndTakesNothingIsNamed() {
        ObjectNode told = idle().put("rsp_event", 2);
        assertFound(
                findings(told, told, ""),
                "the guest was told of answer 2 and does nothing: at least 3 are not taken");
        ObjectNode taken = told.deepCopy().put("rsp_event", 5);
        assertEquals(List.of(), findings(told, taken, ""));
    }

    @Test
    void numbersThatCannotBeAreShownAndNotComputedWith() {
        ObjectNode ahead = idle().put("req_prod", 37);
        assertFound(findings(ahead, ahead, ""), "req_prod 37 cannot be: 4 are answered");
        ObjectNode behind = idle().put("req_prod", 3);
        assertFound(findings(behind, behind, ""), "req_prod 3 cannot be");
        ObjectNode broken = idle().put("broken", true);
        assertFound(findings(broken, broken, ""), "detach and attach the device");
        ObjectNode overwritten = idle().put("rsp_prod", 0xDEAD_BEEFL);
        assertFound(
                findings(overwritten, overwritten, ""),
                "rsp_prod is 3735928559 in shared memory, and ours is 4");
        ObjectNode far = idle().put("rsp_event", 1000);
        assertFound(findings(far, far, ""), "rsp_event 1000 is further than the ring");
    }

    @Test
    void answersOnATxRingMayStayUntilSomethingIsSent() {
        ObjectNode told = idle().put("name", "queue-0 tx").put("rsp_event", 2);
        assertEquals(List.of(), findings(told, told, ""));
        ObjectNode asked = told.deepCopy().put("req_prod", 7);
        assertEquals(1, findings(asked, asked, "").size(), "but requests may not");
        ObjectNode rx = told.deepCopy().put("name", "queue-0 rx");
        assertEquals(1, findings(rx, rx, "").size());
    }

    @Test
    void freeBuffersOfAnRxRingAreNoRequestsThatWait() {
        ObjectNode rx = idle().put("name", "queue-0 rx").put("req_prod", 36);
        assertEquals(List.of(), findings(rx, rx, ""));
    }

    @Test
    void aLoopThatDoesNotAnswerIsNamed() {
        List<String> found = new ArrayList<>();
        ObjectNode silent = device(idle()).put("answered", false);
        silent.putArray("rings");
        new RingExamination(JSON.createArrayNode(), each -> found.add(each.what()))
                .device(silent, "");
        assertEquals(List.of("the loop that serves it does not answer"), found);
    }
}
